"""Yonyou: what follows an order that is in the books: taking it back, deliveries without a waybill, returns, a tenant
that moved."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import auth, client, errors, model, pacing
from connectors.simulator import engine
from connectors.yonyou import simulator
from tests.conformance import yonyou

NUMBER = "SN202606270001"
ORDER: dict[str, Any] = {
    "id": "1",
    "number": NUMBER,
    "status": "paid",
    "total": "118.00",
    "paid_at": "2026-06-27T17:59:58+08:00",
    "lines": [{"id": "L1", "sku": "SKU-1001", "quantity": "3", "paid": "118.00"}],
}
CLOSED = {"id": "1", "number": NUMBER, "status": "closed", "total": "118.00", "lines": []}
STOP: dict[str, Any] = yonyou.native("stop", CLOSED)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["yonyou"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def tenant(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["yonyou"]
    assert isinstance(found, simulator.Simulator)
    return found


@pytest.fixture
def bip(url: engine.Url) -> model.Connection:
    return yonyou.connection(url)


@pytest.mark.parametrize("made_by", ["sales_order.create", "sales_order.save"])
async def test_a_closed_order_is_taken_back_and_only_once(
    made_by: str, hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    await hub.call(bip, made_by, yonyou.native("order", ORDER))
    await hub.call(bip, "sales_order.stop", STOP)
    assert tenant.books.orders == {}
    done = len(tenant.journal.effects)
    await hub.call(bip, "sales_order.stop", STOP)
    assert len(tenant.journal.effects) == done


async def test_a_document_in_a_workflow_waits_for_people_before_it_is_taken_back(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    tenant.configure({"workflow": True})
    await hub.call(bip, "sales_order.propose", yonyou.native("order", ORDER))
    assert (await hub.call(bip, "sales_order.stop", STOP)).waiting
    await yonyou.control(url, "/reject", number=NUMBER)
    await hub.call(bip, "sales_order.stop", STOP, fresh=False)
    assert tenant.books.orders == {}


@pytest.mark.parametrize("closed", [False, True])
async def test_an_order_with_a_delivery_is_told_to_a_person(
    closed: bool, hub: client.Client, url: engine.Url, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    await hub.call(bip, "sales_order.save", yonyou.native("order", ORDER))
    await yonyou.control(url, "/ship", number=NUMBER)
    if closed:
        await yonyou.control(url, "/close", number=NUMBER)
    with pytest.raises(errors.Rejected) as caught:
        await hub.call(bip, "sales_order.stop", STOP)
    assert "发货单" in caught.value.hint["zh"]
    assert len(tenant.books.orders) == 1


async def test_a_delivery_without_a_waybill_is_made_once(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    await hub.call(bip, "sales_order.save", yonyou.native("order", ORDER))
    [order] = tenant.books.orders.values()
    left = {
        "id": "SH1", "status": "shipped", "order_id": str(order["id"]), "shipped_at": "2026-06-28T10:15:30+08:00",
        "lines": [{"order_line_id": str(order["orderDetails"][0]["id"]), "sku": "SKU-1001", "quantity": "3"}],
    }  # fmt: skip
    await hub.call(bip, "delivery.save", yonyou.native("shipment", left))
    tenant.books.keys.clear()  # an hour later the key says nothing any more
    assert (await hub.call(bip, "delivery.save", yonyou.native("shipment", left), fresh=False)).already
    assert [one.kind for one in tenant.journal.effects].count("delivery") == 1


async def test_a_return_is_audited_by_whoever_takes_it_in(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    back = {
        "id": "RF1", "kind": "return", "status": "accepted", "order_id": NUMBER, "amount": "64.00",
        "updated_at": "2026-07-01T15:20:00+08:00", "lines": [{"sku": "SKU-1001", "quantity": "1", "amount": "64.00"}],
    }  # fmt: skip
    native = yonyou.native("after_sale", back, config={"sales_org": "100", "customer": "CUST0001", "return_type": "SR"})
    await hub.call(bip, "return.save", native)
    [kept] = tenant.calls.returns.known.values()
    assert kept["saleReturnStatus"] == "SUBMITSALERETURN"
    await hub.call(bip, "return.save_and_audit", native)
    assert kept["saleReturnStatus"] == "CONFIRMSALERETURNORDER"
    assert [one.kind for one in tenant.journal.effects] == ["return", "return.audit"]


@pytest.mark.parametrize("seconds", [1200.0, 7300.0])
async def test_a_tenant_that_moved_is_looked_up_again(
    seconds: float, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    """Its old data centre answers 404, to a call or to the renewal: no refused credential, and no wait for tomorrow."""

    def later() -> float:
        return time.time() + tenant.ahead

    hub = client.Client(auth.MemoryTokens(later), pacing.LocalPacer(), now=later)
    try:
        await hub.probe(bip)
        tenant.settings["data_center"] = "c2"
        tenant.ahead = seconds
        seen = (await hub.probe(bip)).exchanges
    finally:
        await hub.aclose()
    assert [one.url.partition("?")[0].rpartition("/")[2] for one in seen][-3:] == [
        "getGatewayAddress",
        "getAccessToken",
        "list",
    ]

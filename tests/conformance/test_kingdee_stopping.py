"""Kingdee: what follows an order that is in the books: closing it, booking what left, returns that are back."""

from __future__ import annotations

import datetime
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from connectors.core import client, decode, errors, model, registry
from connectors.kingdee import simulator as kingdee
from connectors.simulator import engine
from mappings import library
from tests.conformance import kingdee_peer

pytestmark = pytest.mark.peers("k3cloud_webapi_sdk")

NUMBER = "SN202606270001"
STOP = {"FBillNo": NUMBER}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["kingdee"]) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> kingdee.Simulator:
    return kingdee_peer.site_of(url)


@pytest.fixture
def k3(url: engine.Url) -> Callable[..., model.Connection]:
    return functools.partial(kingdee_peer.connection, url)


@pytest.mark.parametrize(
    ("made_by", "done"),
    [
        ("sales_order.create", {"cancel_status": "B"}),
        ("sales_order.submit", {"cancel_status": "B", "status": "D"}),
        ("sales_order.save", {"close_status": "B", "status": "C"}),
    ],
)
async def test_a_closed_order_is_stopped_wherever_its_document_stands_and_only_once(
    made_by: str, done: dict[str, str], hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    if made_by == "sales_order.submit":
        await hub.call(k3(), "sales_order.create", kingdee_peer.sales_order())
    await hub.call(k3(), made_by, kingdee_peer.sales_order())
    await hub.call(k3(), "sales_order.stop", STOP)
    order = site.books.documents["SAL_SaleOrder"][NUMBER]
    assert {name: getattr(order, name) for name in done} == done
    before = kingdee_peer.kinds(site, NUMBER)
    await hub.call(k3(), "sales_order.stop", STOP)
    assert kingdee_peer.kinds(site, NUMBER) == before
    with pytest.raises(errors.Rejected, match="不满足"):
        await hub.call(k3(), "sales_order.push_outstock", {"FBillNo": NUMBER})


async def test_a_lost_reply_while_stopping_is_looked_up(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    await hub.call(k3(), "sales_order.save", kingdee_peer.sales_order())
    site.faults.drop_reply, site.faults.drop_kinds = 1, ["sales_order.mark"]
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(k3(), "sales_order.stop", STOP)
    await hub.call(k3(), "sales_order.stop", STOP, fresh=False)
    assert kingdee_peer.kinds(site, NUMBER).count("sales_order.mark") == 1


async def test_what_was_delivered_is_told_to_a_person(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    """All of it left, or a draft waits in the warehouse: either way no closing is enough."""
    await hub.call(k3(), "sales_order.save", kingdee_peer.sales_order())
    await hub.call(k3(), "sales_order.push_outstock", {"FBillNo": NUMBER})
    for _ in range(2):
        with pytest.raises(errors.Rejected, match="XSCKD") as caught:
            await hub.call(k3(), "sales_order.stop", STOP)
        assert "出库单" in caught.value.hint["zh"]
    assert site.books.documents["SAL_SaleOrder"][NUMBER].close_status == "B"
    [note] = site.books.documents["SAL_OUTSTOCK"].values()
    site.books.delete(note)
    await hub.call(k3(), "sales_order.stop", STOP)
    await hub.call(k3(), "sales_order.save", kingdee_peer.sales_order("SN2"))
    async with httpx.AsyncClient() as people:
        await people.post(f"{url}/_sim/kingdee/ship", json={"number": "SN2"})
    with pytest.raises(errors.Rejected, match="XSCKD"):
        await hub.call(k3(), "sales_order.stop", {"FBillNo": "SN2"})


async def test_a_whole_order_that_left_is_booked_with_its_waybill_once(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    await hub.call(k3(), "sales_order.save", kingdee_peer.sales_order())
    left = {"id": "S1", "status": "shipped", "order_id": NUMBER, "tracking_number": "SF1"}
    native = library.shipped("kingdee", "book_outstock").to_native(left, {})
    for cut in ("shipment", "shipment.update", "shipment.submit", "shipment.audit"):
        site.faults.drop_reply, site.faults.drop_kinds = 1, [cut]
        with pytest.raises(errors.OutcomeUnknown):
            await hub.call(k3(), "outstock.book", native, fresh=cut == "shipment")
    done = await hub.call(k3(), "outstock.book", native, fresh=False)
    [note] = site.books.documents["SAL_OUTSTOCK"].values()
    assert (note.number, note.status, note.header["FCarriageNO"]) == (done.record_id, "C", "SF1")
    assert [row["FRealQty"] for row in note.main_rows()] == [3, 1]
    assert site.books.documents["SAL_SaleOrder"][NUMBER].close_status == "B"


@pytest.mark.parametrize("as_list", [False, True])
async def test_a_push_that_converts_nothing_says_why(
    as_list: bool, hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    site.configure({"convert_list": as_list})
    await hub.call(k3(), "sales_order.create", kingdee_peer.sales_order())
    with pytest.raises(errors.Rejected, match="不满足下推条件") as caught:
        await hub.call(k3(), "sales_order.push_outstock", {"FBillNo": NUMBER})
    assert caught.value.code == "11"


async def test_a_return_is_audited_by_whoever_takes_it_in_and_then_told(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    connection, spec = k3(), registry.get("kingdee")
    given = {
        "id": "RF1", "number": "RT1", "kind": "return", "status": "accepted", "order_id": NUMBER,
        "updated_at": "2026-07-01T15:20:00+08:00", "lines": [{"sku": "SKU-1001", "quantity": "2", "amount": "64.00"}],
    }  # fmt: skip
    native = library.shipped("kingdee", "after_sale").to_native(given, {"config": {"return_stock": "CK001"}})
    await hub.call(connection, "return.save", native)
    assert site.books.documents["SAL_RETURNSTOCK"]["RT1"].status == "A"
    assert (await hub.call(connection, "return.save", native)).already
    assert await _rows(hub, connection, site) == []
    async with httpx.AsyncClient() as people:
        (await people.post(f"{url}/_sim/kingdee/receive/RT1")).raise_for_status()
    [row] = await _rows(hub, connection, site)
    event = decode.event(spec, "returns", row)
    assert (event.entity, event.record) == ("after_sale", "RT1")
    seen = await hub.call(connection, "return.view", {"FBillNo": "RT1"})
    back = library.shipped("kingdee", "returned").from_native(seen.data)
    assert (back["id"], back["status"], back["order_id"], back["amount"]) == ("RT1", "done", NUMBER, 64)


async def _rows(hub: client.Client, connection: model.Connection, site: kingdee.Simulator) -> list[Any]:
    end = datetime.datetime.fromtimestamp(site.now() + 60, datetime.UTC)
    window = (end - datetime.timedelta(hours=1), end)
    return [row async for page in hub.pages(connection, "return.list", {}, window) for row in page]


async def test_a_site_that_keeps_its_available_quantity(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    site.configure({"available_kept": True})
    connection = k3(stock_measure="FAVBQty", usable_status="KCZT01_SYS")
    await hub.call(connection, "sales_order.save", kingdee_peer.sales_order())
    found = [row async for page in hub.pages(connection, "inventory.usable", {}) for row in page]
    [mine] = [row for row in found if row["FMaterialId.FNumber"] == "SKU-1001"]
    level = library.shipped("kingdee", "inventory").from_native(mine, {"config": dict(connection.config)})
    assert (level["available"], level["on_hand"]) == (117, 120)

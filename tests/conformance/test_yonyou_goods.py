"""Yonyou's goods: what left the warehouse as outbound documents, and materials there and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import client, decode, errors, jsontext, model, registry, scope
from connectors.simulator import engine
from connectors.yonyou import simulator
from mappings import library
from tests.conformance import yonyou

control, connection = yonyou.control, yonyou.connection
NUMBER = "SN202606270001"
ORDER: dict[str, Any] = {
    "id": "1",
    "number": NUMBER,
    "status": "paid",
    "total": "128.00",
    "paid_at": "2026-06-27T17:59:58+08:00",
    "lines": [{"id": "L1", "sku": "SKU-1001", "quantity": "2", "paid": "128.00"}],
}
TEA: dict[str, Any] = {"id": "620001", "title": "龙井", "status": "active", "skus": [{"code": "SKU-9"}]}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["yonyou"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def tenant(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["yonyou"]
    assert isinstance(found, simulator.Simulator)
    return found


def native(entity: str, record: dict[str, Any], books: model.Connection, key: str) -> dict[str, Any]:
    return yonyou.native(entity, record, config=books.config, event={"key": key})


async def test_an_outbound_document_tells_the_order_behind_its_delivery(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator
) -> None:
    books = connection(url, shipments_from="outbound")
    assert "outbounds" in scope.open_sources(books)
    assert "deliveries" not in scope.open_sources(books)
    assert "outbounds" not in scope.open_sources(connection(url))
    saved = await hub.call(books, "sales_order.save", native("order", ORDER, books, "k1"))
    await control(url, "/ship", number=NUMBER, waybill="SF1")
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=5))
    rows = [row async for page in hub.pages(books, "outbound.list", {}, window) for row in page]
    [event] = [decode.event(books.declaration, "outbounds", row, books, window=window) for row in rows]
    seen = (await hub.call(books, "outbound.get", {"id": event.record})).data
    parcel = library.shipped("yonyou", "outbound").from_native(seen)
    assert (parcel["status"], parcel["order_id"], parcel["tracking_number"]) == ("shipped", saved.record_id, "SF1")
    [order] = tenant.books.orders.values()
    assert parcel["lines"][0]["order_line_id"] == str(order["orderDetails"][0]["id"])


async def test_a_material_is_made_then_changed_and_each_once(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator
) -> None:
    books = connection(url, product_class="fenlei001")
    for key, title in (("k1", "龙井"), ("k1", "龙井"), ("k2", "龙井 50g")):
        given = native("product", {**TEA, "title": title}, books, key)
        assert (await hub.call(books, "product.save", given)).record_id == "SKU-9"
    assert [one.kind for one in tenant.journal.effects] == ["product", "product.update"]
    found = (await hub.call(books, "product.find", {"code": "SKU-9"})).data
    assert library.shipped("yonyou", "material").from_native(found)["title"] == "龙井 50g"
    with pytest.raises(errors.Rejected, match="manageClassCode"):
        await hub.call(books, "product.save", native("product", TEA, connection(url), "k3"))


async def test_regression_a_second_change_of_a_material_is_news(hub: client.Client, url: engine.Url) -> None:
    """Rows tell no time of change and were told apart by their code alone: later changes were lost."""
    books, now = connection(url), datetime.now(UTC)

    async def keys(minutes: int) -> set[str]:
        window = (now - timedelta(hours=1), now + timedelta(minutes=minutes))
        rows = [row async for page in hub.pages(books, "product.list", {}, window) for row in page]
        assert not any("pubts" in row for row in rows)
        return {decode.event(books.declaration, "products", row, books, window=window).dedupe for row in rows}

    assert (first := await keys(1)) == await keys(1)
    assert not first & await keys(2)


@pytest.mark.parametrize(
    ("bill", "message", "record"),
    [({"id": "7", "code": "SKU-1001"}, "product", "SKU-1001"), ({"id": "7"}, "other", None), ({}, "other", None)],
)
def test_an_event_of_a_material_without_its_code_is_left_to_the_poll(
    bill: dict[str, str], message: str, record: str | None
) -> None:
    spec = registry.get("yonyou")
    told = {"type": "YXYBASEDOC_PC_PRODUCT_UPDATE", "eventId": "e1", "timestamp": 1782554400000, "content": "{}"}
    [event] = decode.events(spec, "push", jsontext.dumps({**told, "bill": bill}))
    assert (event.message, event.record) == (message, record)

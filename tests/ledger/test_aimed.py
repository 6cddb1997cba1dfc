"""What a target is told may differ from what the source said, and only what is its own reaches it."""

from __future__ import annotations

from typing import Any

import pytest

from retry_queue.ledger import configuration, session
from tests.ledger import hub as hubs
from tests.ledger import making, target

SHARE = "max([0, int((decimal(inventory.available) - 10) * 60 / 100)])"


async def both(ledger: session.Ledger, key: str, one: target.Target, entity: str) -> None:
    """A system that tells ``entity`` by hook and takes records."""
    config = {"verify_style": "hmac", "verify_header": "X-Signature", "entity": entity, "base_url": one.url}
    await hubs.connect(ledger, key, {**config, "record_path": "/records"}, {"hook_secret": hubs.SECRET})


async def route(
    ledger: session.Ledger, key: str, source: str, entity: str, *to: dict[str, Any], when: str | None = None
) -> None:
    ends = [{"operation": "record.put", **one} for one in to]
    spec = {"from": {"connection": source, "entity": entity}, "to": ends, "when": when}
    async with ledger.write() as connection:
        await configuration.put_route(connection, key, spec, True)
        await configuration.touch(connection)


def stock(sku: str, available: int, minute: int = 0, **more: Any) -> dict[str, Any]:
    moment = f"2024-11-11T00:{minute:02}:00+00:00"
    return {"id": f"{sku}@W1", "sku": sku, "available": str(available), "updated_at": moment, **more}


async def test_a_shipment_goes_to_the_shop_that_has_the_order(database_url: str, ledger: session.Ledger) -> None:
    async with hubs.targets("one", "two", "wms") as those:
        await both(ledger, "one", those["one"], "order")
        await both(ledger, "two", those["two"], "order")
        await both(ledger, "wms", those["wms"], "shipment")
        for shop in ("one", "two"):
            await route(ledger, f"{shop}-in", shop, "order", {"connection": "wms"})
            await route(ledger, f"{shop}-out", "wms", "shipment", {"connection": shop, "linked": True})
        async with hubs.running(database_url) as worker:
            await worker.push(hubs.order("A1"), key="one")
            await worker.push(hubs.order("B1"), key="two")
            await worker.settled()
            parcel = {"status": "shipped", "tracking_number": "SF1"}
            await worker.push(
                {"id": "S1", "order_id": "A1", **parcel}, {"id": "S2", "order_id": "B1", **parcel}, key="wms"
            )
            balance = await worker.settled()
            done = {(one.route_key, one.source_record): (one.state, one.reason) for one in await making.rows(
                worker.ledger, "SELECT d.route_key, r.record AS source_record, d.state, d.reason FROM deliveries d"
                " JOIN records r ON r.id = d.record_id WHERE r.entity = 'shipment'")}  # fmt: skip
    assert done == {
        ("one-out", "S1"): ("delivered", None), ("two-out", "S1"): ("skipped", "elsewhere"),
        ("one-out", "S2"): ("skipped", "elsewhere"), ("two-out", "S2"): ("delivered", None),
    }  # fmt: skip
    assert [body["id"] for body in those["one"].order] == ["S1"]
    assert [body["id"] for body in those["two"].order] == ["S2"]
    assert (balance.dead, balance.difference) == (0, 0)


async def test_a_closing_goes_only_where_the_order_is(database_url: str, ledger: session.Ledger) -> None:
    """Regression: an ERP could not be told that an order was closed without being told of those it never had."""
    paid, closed = "order.status == 'paid' && !order.hold", "order.status == 'closed'"
    async with hubs.targets("erp") as those:
        await both(ledger, "shop", those["erp"], "order")
        await both(ledger, "erp", those["erp"], "customer")
        await route(ledger, "orders", "shop", "order", {"connection": "erp"}, when=paid)
        await route(ledger, "closings", "shop", "order", {"connection": "erp", "linked": True}, when=closed)
        async with hubs.running(database_url) as worker:
            await worker.push(hubs.order("A1"), hubs.order("B1", hold=True), key="shop")
            await worker.settled()
            later = {"updated_at": "2024-11-11T01:00:00+00:00", "status": "closed"}
            await worker.push(hubs.order("A1", **later), hubs.order("B1", **later), key="shop")
            balance = await worker.settled()
            told = "SELECT route_key, reason FROM deliveries WHERE state = 'skipped'"
            skipped = await making.rows(worker.ledger, told)
    assert [(body["id"], body["status"]) for body in those["erp"].order] == [("A1", "paid"), ("A1", "closed")]
    assert [tuple(one) for one in skipped] == [("closings", "elsewhere")]
    assert (balance.dead, balance.difference) == (0, 0)


async def test_stock_finds_each_shops_own_ids_and_its_share(database_url: str, ledger: session.Ledger) -> None:
    async with hubs.targets("mall", "shop") as those:
        await hubs.source(ledger, "wms", "inventory")
        await both(ledger, "mall", those["mall"], "product")
        await both(ledger, "shop", those["shop"], "order")
        adjusted = {"connection": "mall", "adjust": {"available": SHARE}}
        await route(ledger, "stock", "wms", "inventory", adjusted, {"connection": "shop"})
        async with hubs.running(database_url) as worker:
            old = {"id": "P1", "title": "下架的", "status": "inactive", "skus": [{"id": "S1", "code": "TEA"}]}
            new = {"id": "P2", "title": "在售的", "status": "active", "skus": [{"id": "S2", "code": "TEA"}]}
            await worker.push(new, old, key="mall")
            await worker.settled()
            await worker.push(stock("TEA", 110, product_id="own", sku_id="own"), stock("CUP", 7), key="wms")
            await worker.settled()
            await worker.push(stock("TEA", 4, 1, product_id="own", sku_id="own"), key="wms")
            balance = await worker.settled()
            skipped = await making.rows(worker.ledger, "SELECT reason, detail FROM deliveries WHERE state = 'skipped'")
    told = [(one["sku"], one["product_id"], one["sku_id"], one["available"]) for one in those["mall"].order]
    assert told == [("TEA", "P2", "S2", "60"), ("TEA", "P2", "S2", "0")]
    assert {(one["sku"], one.get("product_id"), one["available"]) for one in those["shop"].order} == {
        ("TEA", "own", "110"), ("CUP", None, "7"), ("TEA", "own", "4"),
    }, "nothing is known of its goods, so it is told what the source said"  # fmt: skip
    assert [one.reason for one in skipped] == ["not_listed"]
    assert (balance.dead, balance.difference) == (0, 0)


@pytest.mark.usefixtures("quick")
async def test_an_adjustment_that_cannot_be_worked_out_parks(sqlite_url: str) -> None:
    async with hubs.targets("shop") as those, hubs.running(sqlite_url) as worker:
        await hubs.source(worker.ledger, "wms", "inventory")
        await both(worker.ledger, "shop", those["shop"], "order")
        broken = {"connection": "shop", "adjust": {"available": "inventory.available / 0"}}
        await route(worker.ledger, "stock", "wms", "inventory", broken)
        await worker.hub.reload()
        await worker.push(stock("TEA", 5), key="wms")

        async def parked() -> list[Any]:
            return await making.rows(worker.ledger, "SELECT detail FROM deliveries WHERE state = 'parked'")

        found = await making.until(parked)
        assert "adjust.available" in found[0].detail
        assert not those["shop"].calls

"""U8+: orders booked once and verified, deliveries found by date alone, the gateway's own ways of saying no."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import client, decode, errors, model, registry
from connectors.simulator import engine
from connectors.u8 import simulator
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "u8")
KNOWN = simulator.Simulator.SETTINGS
PAID = {
    "id": "1", "number": "SN202606270001", "status": "paid", "total": "138.00", "paid_at": "2026-06-27T17:59:58+08:00",
    "lines": [
        {"id": "L1", "sku": "SKU-1001", "quantity": "2", "paid": "128.00"},
        {"id": "L2", "sku": "SKU-1002", "quantity": "1", "paid": "0"},
    ],
}  # fmt: skip


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["u8"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def company(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["u8"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(url: str, *, secret: str = KNOWN["app_secret"], **config: Any) -> model.Connection:
    named = {key: KNOWN[key] for key in ("from_account", "to_account", "app_key", "customer")}
    given = {"base_url": f"{url}/u8", "department": "01", **named, **config}
    return model.Connection(
        f"u8-{secret[:1]}{given['app_key'][:1]}{given['to_account'][:1]}",
        registry.get("u8"),
        given,
        {"app_secret": secret},
    )


def order(books: model.Connection, record: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = library.shipped("u8", "order").to_native(record, {"config": books.config})
    return made


async def test_an_order_is_booked_once_whatever_gets_lost(
    hub: client.Client, url: engine.Url, company: simulator.Simulator
) -> None:
    books = connection(url)
    given = order(books, PAID)
    for _ in range(2):  # once after the order was booked, once after it was verified
        company.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await hub.call(books, "sales_order.save", given, fresh=False)
    assert (await hub.call(books, "sales_order.save", given, fresh=False)).already
    assert [one.kind for one in company.journal.effects] == ["sales_order", "sales_order.verify"]
    read = library.shipped("u8", "order").from_native(company.site.order("SN202606270001"))
    assert (read["status"], [line["id"] for line in read["lines"]]) == ("paid", ["L1", "L2"])


async def test_what_was_refused_can_be_sent_again_once_it_is_mended(
    hub: client.Client, url: engine.Url, company: simulator.Simulator
) -> None:
    books = connection(url)
    missing = company.site.goods.pop("SKU-1002")
    with pytest.raises(errors.Rejected, match="SKU-1002"):
        await hub.call(books, "sales_order.save", order(books, PAID))
    company.site.goods["SKU-1002"] = missing
    assert (await hub.call(books, "sales_order.save", order(books, PAID))).record_id == "SN202606270001"


async def test_regression_a_reset_site_takes_orders(
    hub: client.Client, url: engine.Url, company: simulator.Simulator
) -> None:
    """Orders went on into the books from before the reset, and were not to be found."""
    books = connection(url)
    await company.reset()
    await hub.call(books, "sales_order.save", order(books, PAID))
    assert list(company.site.orders) == ["SN202606270001"]


BACK = {
    "id": "RF1", "kind": "return", "status": "done", "order_id": "SN202606270001",
    "updated_at": "2026-07-01T15:20:00+08:00",
    "lines": [{"order_line_id": "L1", "sku": "SKU-1001", "quantity": "2", "amount": "128.00"}],
}  # fmt: skip


async def test_a_return_is_booked_and_verified_once_whatever_gets_lost(
    hub: client.Client, url: engine.Url, company: simulator.Simulator
) -> None:
    books, mapping = connection(url), library.shipped("u8", "after_sale")
    given = mapping.to_native(BACK, {"config": books.config})
    for _ in range(2):  # once after it was saved, once after it was verified
        company.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await hub.call(books, "return.save_and_verify", given, fresh=False)
    assert (await hub.call(books, "return.save_and_verify", given, fresh=False)).already
    assert [one.kind for one in company.journal.effects] == ["return", "return.verify"]
    assert company.site.stock["SKU-1001"] == 122
    assert not mapping.reads, "what is written and read alike would be taken for our own write coming back"
    read = library.shipped("u8", "returned").from_native((await hub.call(books, "return.find", {"code": "RF1"})).data)
    assert (read["status"], read["order_id"], read["lines"][0]["quantity"]) == ("done", "SN202606270001", 2)


async def test_quantities_of_returns_have_the_sign_that_the_site_wants(hub: client.Client, url: engine.Url) -> None:
    books = connection(url, return_sign="positive")
    given = library.shipped("u8", "after_sale").to_native(BACK, {"config": books.config})
    with pytest.raises(errors.Rejected, match="quantity"):  # this site wants them below zero
        await hub.call(books, "return.save_and_verify", given)


async def test_a_customer_is_made_once_and_changed_afterwards(
    hub: client.Client, url: engine.Url, company: simulator.Simulator
) -> None:
    books, mapping = connection(url, customer_class="98"), library.shipped("u8", "customer")

    async def saved(record: dict[str, Any]) -> None:
        given = mapping.to_native({"id": "C1", "kind": "person", **record}, {"config": books.config})
        assert (await hub.call(books, "customer.save", given)).record_id == "C1"

    await saved({"name": "李四", "phone": "13800000006", "created_at": "2026-06-27T09:00:00+08:00"})
    await saved({"name": "李四", "phone": "13900000006"})
    assert [one.kind for one in company.journal.effects] == ["customer", "customer.update"]
    kept = company.site.customers["C1"]
    assert (kept["mobile"], kept["sort_code"], kept["seed_date"]) == ("13900000006", "98", "2026-06-27")
    classless = connection(url)
    given = mapping.to_native({"id": "C2", "name": "王五", "kind": "person"}, {"config": classless.config})
    with pytest.raises(errors.Rejected, match="sort_code"):
        await hub.call(classless, "customer.save", given)


async def test_a_workflow_is_waited_for(hub: client.Client, url: engine.Url) -> None:
    await control(url, "configure", workflow=True)
    books = connection(url)
    assert (await hub.call(books, "sales_order.save", order(books, PAID))).waiting
    await control(url, "verify", code="SN202606270001")
    assert not (await hub.call(books, "sales_order.save", order(books, PAID))).waiting


async def test_deliveries_of_the_last_week_are_found_and_told_apart_by_their_content(
    hub: client.Client, url: engine.Url
) -> None:
    books = connection(url, waybill_field="define11")
    await hub.call(books, "sales_order.save", order(books, PAID))
    made = await control(url, "ship", code="SN202606270001", waybill="SF1")
    now = datetime.now(UTC)
    window = (now - timedelta(days=7), now)

    async def keys() -> set[str]:
        rows = [row async for page in hub.pages(books, "delivery.list", {}, window) for row in page]
        return {decode.event(books.declaration, "deliveries", row, books).dedupe for row in rows}

    first = await keys()
    assert await keys() == first
    native = (await hub.call(books, "delivery.get", {"code": made["code"]})).data
    parcel = library.shipped("u8", "shipment").from_native(native, {"config": books.config})
    assert (parcel["status"], parcel["order_id"], parcel["tracking_number"]) == ("shipped", "SN202606270001", "SF1")


async def test_nothing_to_read_is_no_error_and_wrong_keys_are(hub: client.Client, url: engine.Url) -> None:
    now = datetime.now(UTC)
    empty = hub.pages(connection(url), "sales_order.list", {}, (now - timedelta(days=1), now))
    assert [page async for page in empty] == []
    for wrong in (connection(url, secret="x"), connection(url, app_key="x"), connection(url, to_account="other")):
        with pytest.raises(errors.CredentialRefused):
            await hub.probe(wrong)
    await hub.probe(connection(url))
    await control(url, "expire_tokens")
    await hub.probe(connection(url))  # the token is renewed once, unseen


async def test_a_closed_order_is_closed_once_whatever_gets_lost(
    hub: client.Client, url: engine.Url, company: simulator.Simulator
) -> None:
    books, stop = connection(url), {"code": "SN202606270001"}
    await hub.call(books, "sales_order.save", order(books, PAID))
    company.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(books, "sales_order.stop", stop)
    assert (await hub.call(books, "sales_order.stop", stop, fresh=False)).already
    assert [one.kind for one in company.journal.effects].count("sales_order.close") == 1
    assert company.site.order("SN202606270001")["state"] == "Closed"


@pytest.mark.parametrize(("made_by", "hint"), [("sales_order.create", "删除"), ("sales_order.save", "退货")])
async def test_an_order_that_cannot_be_closed_is_told_to_a_person(
    hub: client.Client, url: engine.Url, company: simulator.Simulator, made_by: str, hint: str
) -> None:
    books = connection(url)
    await hub.call(books, made_by, order(books, PAID))
    if made_by == "sales_order.save":
        await control(url, "/ship", code="SN202606270001")
    with pytest.raises(errors.Rejected) as caught:
        await hub.call(books, "sales_order.stop", {"code": "SN202606270001"})
    assert hint in caught.value.hint["zh"]
    assert company.site.order("SN202606270001")["state"] != "Closed"

"""Kingdee Star: signed requests, an app secret that changes every day, and numbers that are taken only once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import auth, client, decode, errors, grant, line, model, pacing, registry
from connectors.jdy import signer, simulator
from connectors.simulator import engine
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "jdy")
KNOWN = simulator.Simulator.SETTINGS
NUMBER = "SN202606270001"
ORDER: dict[str, Any] = {
    "id": "1",
    "number": NUMBER,
    "status": "paid",
    "total": "128.00",
    "paid_at": "2026-06-27T17:59:58+08:00",
    "lines": [
        {"id": "L1", "sku": "SKU-1001", "quantity": "3", "paid": "10.00"},
        {"id": "L2", "sku": "SKU-1002", "quantity": "1", "paid": "118.00"},
    ],
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jdy"]) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["jdy"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(url: str, secret: str = "", **config: Any) -> model.Connection:
    named = {key: KNOWN[key] for key in ("client_id", "outer_instance_id", "customer_number")}
    secrets = {"client_secret": secret or KNOWN["client_secret"]}
    return model.Connection("star", registry.get("jdy"), {"base_url": f"{url}/jdy", **named, **config}, secrets)


@pytest.fixture
def star(url: engine.Url) -> model.Connection:
    return connection(url)


def native(order: dict[str, Any] | None = None) -> dict[str, Any]:
    config = {"customer_number": KNOWN["customer_number"]}
    written: dict[str, Any] = library.shipped("jdy", "order").to_native(order or ORDER, {"config": config})
    return written


async def test_an_order_is_booked_once_and_comes_back_as_it_was(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, star: model.Connection
) -> None:
    first = await hub.call(star, "sales_order.save", native())
    second = await hub.call(star, "sales_order.save", native())
    assert (first.record_id, second.record_id, second.already) == (NUMBER, NUMBER, True)
    assert [one.kind for one in site.journal.effects] == ["sales_order"]
    mapping = library.shipped("jdy", "order")
    back = mapping.from_native((await hub.call(star, "sales_order.view", {"bill_no": NUMBER})).data)
    assert (back["status"], back["total"]) == ("created", 128)
    assert [(line["id"], line["sku"], line["quantity"]) for line in back["lines"]] == [
        ("L1", "SKU-1001", 3),
        ("L2", "SKU-1002", 1),
    ]
    await control(url, "/audit", number=NUMBER)
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=5))
    rows = [row async for page in hub.pages(star, "sales_order.list", {}, window) for row in page]
    [event] = [decode.event(star.declaration, "orders", row, star) for row in rows]
    assert (event.message, event.record) == ("order_row", NUMBER)
    again = mapping.from_native((await hub.call(star, "sales_order.view", {"bill_no": NUMBER})).data)
    assert again["status"] == "paid"


@pytest.mark.parametrize(("source", "name"), [("orders", "sales_order.list"), ("customers", "customer.list")])
async def test_regression_a_second_change_is_news_though_rows_tell_no_time(
    hub: client.Client, site: simulator.Simulator, star: model.Connection, source: str, name: str
) -> None:
    """Rows were told apart by a time of change that the vendor's lists do not show: later changes were lost."""
    await hub.call(star, "sales_order.save", native())
    now = datetime.now(UTC)

    async def keys(minutes: int) -> set[str]:
        window = (now - timedelta(hours=1), now + timedelta(minutes=minutes))
        rows = [row async for page in hub.pages(star, name, {}, window) for row in page]
        assert not any("modify_time" in row for row in rows)
        return {decode.event(star.declaration, source, row, star, window=window).dedupe for row in rows}

    assert (first := await keys(1)) == await keys(1)
    assert not first & await keys(2)


async def test_what_people_ship_comes_back_with_its_waybill_also_when_that_is_entered_later(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, star: model.Connection
) -> None:
    await hub.call(star, "sales_order.save", native())
    made = await control(url, "/ship", number=NUMBER, waybill="")
    now = datetime.now(UTC)

    async def keys(end: datetime) -> list[str]:
        window = (now - timedelta(hours=1), end)
        rows = [row async for page in hub.pages(star, "shipment.list", {}, window) for row in page]
        return [decode.event(star.declaration, "shipments", row, star, window=window).dedupe for row in rows]

    read = functools.partial(library.shipped("jdy", "shipment").from_native, context={"config": star.config})
    parcel = read((await hub.call(star, "shipment.view", {"bill_no": made["bill_no"]})).data)
    assert (parcel["status"], parcel["order_id"], parcel.get("tracking_number")) == ("shipped", NUMBER, None)
    assert [line["order_line_id"] for line in parcel["lines"]] == ["L1", "L2"]
    early = await keys(now + timedelta(minutes=1))
    site.books.outbounds[made["bill_no"]]["express_entity"][0]["delivery_bill_no"] = "SF9"
    assert await keys(now + timedelta(minutes=2)) != early
    later = read((await hub.call(star, "shipment.view", {"bill_no": made["bill_no"]})).data)
    assert later["tracking_number"] == "SF9"


RETURN: dict[str, Any] = {
    "id": "RF1",
    "kind": "return",
    "status": "done",
    "order_id": NUMBER,
    "updated_at": "2026-07-01T15:20:00+08:00",
    "lines": [{"order_line_id": "L1", "sku": "SKU-1001", "quantity": "2", "amount": "6.66"}],
}


async def test_a_return_is_booked_and_audited_once_whatever_gets_lost(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    mapping = library.shipped("jdy", "after_sale")
    given = mapping.to_native(RETURN, {"config": {"customer_number": KNOWN["customer_number"]}})
    for _ in range(2):  # once after it was saved, once after it was audited
        site.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await hub.call(star, "return.save_and_audit", given, fresh=False)
    assert (await hub.call(star, "return.save_and_audit", given, fresh=False)).already
    assert [one.kind for one in site.journal.effects] == ["return", "return.audit"]
    assert site.books.count("SKU-1001") == 122
    native_return = (await hub.call(star, "return.view", {"bill_no": "RF1"})).data
    back = library.shipped("jdy", "returned").from_native(native_return)
    assert (back["status"], back["order_id"], back["lines"][0]["order_line_id"]) == ("done", NUMBER, "L1")


async def test_a_return_that_a_person_audits_is_news_only_then(
    hub: client.Client, url: engine.Url, star: model.Connection
) -> None:
    mapping = library.shipped("jdy", "after_sale")
    config = {"config": {"customer_number": KNOWN["customer_number"]}}
    await hub.call(star, "return.save", mapping.to_native(RETURN, config))
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=5))

    async def listed() -> list[str]:
        return [row["bill_no"] async for page in hub.pages(star, "return.list", {}, window) for row in page]

    assert await listed() == []
    assert not mapping.reads, "what is written and read alike would be taken for our own write coming back"
    await control(url, "/audit_return", number="RF1")
    assert await listed() == ["RF1"]


async def test_an_order_is_audited_where_that_is_asked_for(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    assert (await hub.call(star, "sales_order.save_and_audit", native())).record_id == NUMBER
    assert (await hub.call(star, "sales_order.save_and_audit", native())).already
    assert [one.kind for one in site.journal.effects] == ["sales_order", "sales_order.audit"]


async def test_stock_and_goods_are_read_page_by_page(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, star: model.Connection
) -> None:
    pages = [page async for page in hub.pages(star, "stock.list", {})]
    levels = [library.shipped("jdy", "inventory").from_native(row) for page in pages for row in page]
    assert len(levels) == len({one["id"] for one in levels}) == len(site.books.materials)
    assert {one["available"] for one in levels} == {120}
    site.ahead = 120.0
    await control(url, "/goods/SKU-1001", enable="0")
    now = datetime.now(UTC) + timedelta(seconds=120)
    window = (now - timedelta(seconds=60), now + timedelta(seconds=60))
    rows = [row async for page in hub.pages(star, "product.list", {}, window) for row in page]
    goods = [library.shipped("jdy", "product").from_native(row) for row in rows]
    assert [(one["id"], one["status"]) for one in goods] == [("SKU-1001", "inactive")]


async def test_a_lost_answer_is_settled_by_the_number(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    site.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(star, "sales_order.save", native())
    done = await hub.call(star, "sales_order.save", native(), fresh=False)
    assert (done.record_id, done.already) == (NUMBER, True)
    assert len(site.books.orders) == 1


async def test_an_app_secret_that_changed_is_fetched_again(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, star: model.Connection
) -> None:
    def names(outcome: model.Outcome) -> list[str]:
        return [one.url.partition("?")[0].rpartition("/")[2] for one in outcome.exchanges]

    assert names(await hub.probe(star)) == ["push_app_authorize", "kingdee_auth_token", "customer"]
    await control(url, "/expire_tokens")
    assert names(await hub.probe(star)) == ["customer", "kingdee_auth_token", "customer"]
    await control(url, "/rotate")
    seen = await hub.probe(star)
    assert names(seen) == ["customer", "kingdee_auth_token", "push_app_authorize", "kingdee_auth_token", "customer"]
    shown = repr(seen.exchanges)
    assert site.app_secret not in shown
    assert KNOWN["client_secret"] not in shown
    assert not [token for token in site.tokens if token in shown]


@pytest.mark.parametrize(
    ("secret", "config"), [("f" * 32, {}), ("", {"client_id": "1"}), ("", {"outer_instance_id": "999"})]
)
async def test_wrong_credentials_stop_the_connection(
    hub: client.Client, url: engine.Url, secret: str, config: dict[str, Any]
) -> None:
    with pytest.raises(errors.CredentialRefused) as caught:
        await hub.probe(connection(url, secret, **config))
    assert caught.value.hint["zh"]
    assert caught.value.hint["en"]


async def test_a_clock_that_is_off_is_refused_as_a_signature(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    await hub.probe(star)
    site.ahead = 400.0
    with pytest.raises(errors.CredentialRefused) as caught:
        await hub.probe(star)
    assert "服务器时间" in caught.value.hint["zh"]


@pytest.mark.parametrize("name", ["a&b=c d+%/中文", "~-._", ""])
async def test_whatever_is_in_the_query_is_signed_as_it_is_sent(
    hub: client.Client, star: model.Connection, name: str
) -> None:
    found = await hub.call(star, "customer.view", {"number": name})
    assert (found.data, found.record_id) == (None, None)


async def test_what_does_not_exist_over_there_is_told(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    wrong = native({**ORDER, "lines": [{**ORDER["lines"][0], "sku": "NOPE"}]})
    with pytest.raises(errors.Rejected, match="NOPE") as caught:
        await hub.call(star, "sales_order.save", wrong)
    assert "商品" in caught.value.hint["zh"]
    assert not site.books.orders


async def test_a_customer_is_made_once_and_a_name_that_is_taken_is_refused(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    mapping = library.shipped("jdy", "customer")
    person = mapping.to_native({"id": "C1", "name": "张三"})
    made = await hub.call(star, "customer.save", person)
    again = await hub.call(star, "customer.save", person)
    assert (made.record_id, again.record_id, again.already) == ("C1", "C1", True)
    with pytest.raises(errors.Rejected, match="名称"):
        await hub.call(star, "customer.save", mapping.to_native({"id": "C2", "name": "张三"}))
    assert [one.kind for one in site.journal.effects] == ["customer"]


async def test_a_known_customer_is_updated_and_keeps_what_we_do_not_write(
    hub: client.Client, site: simulator.Simulator, star: model.Connection
) -> None:
    mapping = library.shipped("jdy", "customer")
    await hub.call(star, "customer.save", mapping.to_native({"id": "C1", "name": "张三", "note": "旧"}))
    await hub.call(star, "customer.save", mapping.to_native({"id": "C2", "name": "李四"}))
    theirs = {"group_id": "88", "saler_id": "7", "credit_limit": 500, "custom_field": {"a": "1"}, "addr": "密文"}
    site.books.touch(site.books.customers["C1"], **theirs)
    number = site.books.customers["C1"]["id"]
    given = mapping.to_native({"id": "C1", "name": "张三丰", "tax_number": "9133"})
    site.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(star, "customer.save_and_update", given)
    assert (await hub.call(star, "customer.save_and_update", given, fresh=False)).record_id == "C1"
    kept = site.books.customers["C1"]
    assert {name: kept[name] for name in theirs} == theirs
    assert (kept["id"], kept["name"], kept["taxpayer_no"], kept["remark"]) == (number, "张三丰", "9133", "旧")
    assert [one.kind for one in site.journal.effects] == ["customer", "customer", "customer.update"]
    with pytest.raises(errors.Rejected, match="名称"):
        await hub.call(star, "customer.save_and_update", mapping.to_native({"id": "C1", "name": "李四"}))
    await hub.call(star, "customer.save_and_update", mapping.to_native({"id": "C1", "name": "张三丰", "note": "新"}))
    assert (kept["remark"], kept["taxpayer_no"]) == ("新", "9133"), "what is written counts, not what was there"
    made = await hub.call(star, "customer.save_and_update", mapping.to_native({"id": "C3", "name": "王五"}))
    assert (made.record_id, site.books.customers["C3"]["name"]) == ("C3", "王五")
    await hub.call(star, "customer.save", mapping.to_native({"id": "C3", "name": "王六"}))
    assert site.books.customers["C3"]["name"] == "王五", "the plain save leaves known ones as they are"


@pytest.mark.parametrize(("made_by", "left"), [("sales_order.save", None), ("sales_order.save_and_audit", "H")])
async def test_a_closed_order_is_stopped_wherever_its_document_stands_and_only_once(
    hub: client.Client, site: simulator.Simulator, star: model.Connection, made_by: str, left: str | None
) -> None:
    await hub.call(star, made_by, native())
    if left is None:
        with pytest.raises(errors.Rejected, match="不能关闭") as caught:
            await hub.call(star, "sales_order.close", {"bill_no": NUMBER})
        assert "星辰处理" in caught.value.hint["zh"]
    await hub.call(star, "sales_order.stop", {"bill_no": NUMBER})
    assert site.books.orders.get(NUMBER, {}).get("bill_close_state") == left
    done = [one.kind for one in site.journal.effects]
    site.tokens.clear()  # a token that ended meanwhile is no refusal of the stopping
    await hub.call(star, "sales_order.stop", {"bill_no": NUMBER})
    assert [one.kind for one in site.journal.effects] == done


async def test_an_order_that_was_delivered_cannot_be_stopped_and_people_hear_of_it(
    hub: client.Client, url: engine.Url, star: model.Connection
) -> None:
    await hub.call(star, "sales_order.save_and_audit", native())
    await control(url, "/ship", number=NUMBER)
    with pytest.raises(errors.Rejected) as caught:
        await hub.call(star, "sales_order.stop", {"bill_no": NUMBER})
    assert "退货" in caught.value.hint["zh"]


@pytest.mark.parametrize(
    ("told", "until"),
    [("2036-06-30 23:59:59", 2098454399), (2098454399000, 2098454399), ("", None), ("forever", None)],
)
async def test_the_end_of_the_authorisation_is_kept_beside_the_token(
    site: simulator.Simulator, star: model.Connection, told: Any, until: float | None
) -> None:
    site.configure({"instance_expires": told})
    store = auth.MemoryTokens()
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer())) as hub:
        await hub.probe(star)
        first = await store.kept("star")
        await hub.call(star, "customer.view", {"number": "KH00001"})
    assert first is not None
    assert grant.granted_until(first.extra) == until
    way = line.Line(star)
    try:
        renewed = await signer.refresh(way.send, star, first, site.now())
    finally:
        await way.aclose()
    assert renewed is not None
    assert grant.granted_until(renewed.extra) == until

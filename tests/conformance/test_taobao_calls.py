"""Every Taobao operation through the client, against the simulator: answers, errors, and no effect twice."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.core import client, decode, errors, model, registry
from connectors.simulator import engine
from connectors.taobao import simulator
from mappings import library
from tests.conformance import panel, taobao_peer

control = functools.partial(panel.control, "taobao")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["taobao"]) as base:
        yield base


@pytest.fixture
def shop(url: engine.Url) -> simulator.Simulator:
    return taobao_peer.shop_of(url)


@pytest.fixture
def connection(url: engine.Url) -> model.Connection:
    return taobao_peer.connection(url)


async def ordered(url: str, **wish: Any) -> str:
    """The tid of one paid order."""
    made = await control(url, "orders", **wish)
    return str(made["orders"][0]["tid"])


def parcel(tid: str, waybill: str = "SF1000000000001", **more: str) -> dict[str, str]:
    return {"tid": tid, "out_sid": waybill, "company_code": "SF", **more}


def window() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(minutes=25), now + timedelta(minutes=5)


@pytest.mark.parametrize("sign_method", ["md5", "hmac", "hmac-sha256"])
async def test_probe(url: engine.Url, calls: client.Client, sign_method: str) -> None:
    outcome = await calls.probe(taobao_peer.connection(url, sign_method=sign_method))
    assert outcome.record_id == "110110110"


async def test_no_secret_leaves_in_an_exchange(calls: client.Client, connection: model.Connection) -> None:
    seen = json.dumps([repr(one) for one in (await calls.probe(connection)).exchanges])
    assert taobao_peer.SETTINGS["session"] not in seen
    assert taobao_peer.SETTINGS["app_secret"] not in seen


async def test_orders_are_listed_from_the_last_page(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    await control(url, "orders", count=120)
    for number, trade in enumerate(shop.shop.trades.values()):
        trade["modified"] = (datetime.fromisoformat(trade["modified"]) - timedelta(seconds=number)).isoformat(" ")
    pages = [rows async for rows in calls.pages(connection, "order.list", {}, window())]
    assert [len(rows) for rows in pages] == [20, 50, 50]
    listed = [str(row["tid"]) for rows in pages for row in rows]
    assert sorted(listed) == sorted(str(tid) for tid in shop.shop.trades)
    assert pages[0][-1]["modified"] < pages[-1][0]["modified"]
    event = decode.event(connection.declaration, "modified", pages[0][0])
    assert (event.message, event.entity, event.record) == ("trade_row", "order", str(pages[0][0]["tid"]))


async def test_an_empty_list_is_no_error(calls: client.Client, connection: model.Connection) -> None:
    for name in ("order.list", "refund.list"):
        assert [rows async for rows in calls.pages(connection, name, {}, window())] == []
    assert (await calls.call(connection, "tmc.consume", {})).data == []


async def test_an_order_of_every_state_maps(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    mapping = library.shipped("taobao", "order")

    async def canonical() -> dict[str, Any]:
        outcome = await calls.call(connection, "order.get", {"tid": tid})
        assert outcome.record_id == tid
        return mapping.from_native(outcome.data, {})

    tid = await ordered(url, customer=7, paid=False)
    assert (await canonical())["status"] == "created"
    await control(url, f"orders/{tid}/pay")
    order = await canonical()
    assert (order["status"], order["hold"], order["id"], order["number"]) == ("paid", False, tid, tid)
    person = shop.world.customers[7]
    assert order["buyer"]["identities"] == [{"kind": "taobao.open_uid", "value": person.ids["taobao.open_uid"]}]
    assert order["receiver"]["address"]["province"] == person.address.province
    assert order["receiver"]["cipher"]
    assert sum(line["paid"] for line in order["lines"]) == order["total"]
    await control(url, f"orders/{tid}/hold")
    assert (await canonical())["hold"] is True
    await control(url, f"orders/{tid}/release")
    await calls.call(connection, "shipment.send", parcel(tid))
    assert (await canonical())["status"] == "shipped"
    await control(url, f"orders/{tid}/finish")
    order = await canonical()
    assert order["status"] == "completed"
    assert order["completed_at"].utcoffset() == timedelta(hours=8)


async def test_shipping_shows_on_the_order_and_happens_once(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    outcome = await calls.call(connection, "shipment.send", parcel(tid))
    assert (outcome.record_id, outcome.already) == ("SF1000000000001", False)
    async with httpx.AsyncClient() as web:
        trade = (await web.get(f"{url}/_sim/taobao/orders/{tid}")).json()
    assert trade["status"] == "WAIT_BUYER_CONFIRM_GOODS"
    lines = trade["orders"]["order"]
    assert {(line["invoice_no"], line["logistics_company"]) for line in lines} == {("SF1000000000001", "顺丰速运")}
    again = await calls.call(connection, "shipment.send", parcel(tid))
    assert again.already
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(connection, "shipment.send", parcel(tid, "SF9999999999999"))
    assert refused.value.code == "isv.logistics-offline-service-error:B04"
    assert refused.value.hint["zh"]
    assert len(shop.journal.find("shipment", tid)) == 1
    topics = [one.topic for one in shop.channel.queue("default").messages.values()]
    assert topics.count("taobao_trade_TradeSellerShip") == 1


async def test_a_lost_reply_is_looked_up_and_not_sent_again(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    await control(url, "faults", drop_reply=1)
    with pytest.raises(errors.OutcomeUnknown):
        await calls.call(connection, "shipment.send", parcel(tid))
    outcome = await calls.call(connection, "shipment.send", parcel(tid), fresh=False)
    assert outcome.already
    assert shop.journal.totals()["shipment"] == {"total": 1, "keys": 1, "repeated": {}}


async def test_the_question_before_shipping_may_fail_and_nothing_is_lost(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    await control(url, "faults", error_rate=1)
    outcome = await calls.call(connection, "shipment.send", parcel(tid))
    assert not outcome.already
    assert len(shop.journal.find("shipment", tid)) == 1


async def test_part_of_an_order_is_shipped_by_sub_orders(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    codes = [sku.code for sku in shop.world.skus[:2]]
    tid = await ordered(url, skus=codes)
    order = library.shipped("taobao", "order").from_native(shop.shop.trades[int(tid)], {})
    first, second = order["lines"]
    shipment = {
        "id": "SO-1",
        "status": "shipped",
        "order_id": tid,
        "carrier_code": "SF",
        "tracking_number": "SF1000000000001",
        "lines": [{"sku": first["sku"], "quantity": "1"}],
    }
    native = library.shipped("taobao", "shipment").to_native(shipment, {"order": order})
    await calls.call(connection, "shipment.send", native)
    trade = (await calls.call(connection, "order.get", {"tid": tid})).data
    assert trade["status"] == "SELLER_CONSIGNED_PART"
    again = await calls.call(connection, "shipment.send", native)
    assert again.already
    rest = parcel(tid, "SF1000000000002", is_split="1", sub_tid=second["id"])
    await calls.call(connection, "shipment.send", rest)
    trade = (await calls.call(connection, "order.get", {"tid": tid})).data
    assert trade["status"] == "WAIT_BUYER_CONFIRM_GOODS"
    assert [line["invoice_no"] for line in trade["orders"]["order"]] == ["SF1000000000001", "SF1000000000002"]
    with pytest.raises(errors.Rejected, match="拆单"):
        other = await ordered(url)
        await calls.call(connection, "shipment.send", parcel(other, "SF3000000000000", is_split="1", sub_tid="1"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"company_code": "NOBODY"}, "B27"),
        ({"out_sid": ""}, "B59"),
        ({"out_sid": "运单"}, "B60"),
    ],
)
async def test_refused_shipments_have_a_hint(
    url: engine.Url, calls: client.Client, connection: model.Connection, change: dict[str, str], code: str
) -> None:
    tid = await ordered(url)
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(connection, "shipment.send", {**parcel(tid), **change})
    assert refused.value.code == f"isv.logistics-offline-service-error:{code}"
    assert refused.value.hint["zh"] != refused.value.hint["en"]


async def test_a_held_or_unpaid_order_is_not_shipped(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    await control(url, f"orders/{tid}/hold")
    assert (await calls.call(connection, "shipment.send", parcel(tid))).waiting
    await control(url, f"orders/{tid}/release")
    refund = (await control(url, f"orders/{tid}/refund"))["refund_id"]
    assert (await calls.call(connection, "shipment.send", parcel(tid))).waiting
    assert not shop.journal.find("shipment")
    await control(url, f"refunds/{refund}", status="CLOSED")
    assert not (await calls.call(connection, "shipment.send", parcel(tid))).waiting
    unpaid = await ordered(url, paid=False)
    await control(url, f"orders/{unpaid}/deposit")
    native = (await calls.call(connection, "order.get", {"tid": unpaid})).data
    deposit = library.shipped("taobao", "order").from_native(native, {})
    assert (deposit["status"], deposit.get("paid_at"), deposit.get("payments")) == ("created", None, None)
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(connection, "shipment.send", parcel(unpaid, "SF1000000000009"))
    assert str(refused.value.code).endswith(":B02")


@pytest.mark.parametrize("status", ["WAIT_SELLER_AGREE", "WAIT_BUYER_RETURN_GOODS", "WAIT_SELLER_CONFIRM_GOODS"])
@pytest.mark.parametrize("part", [False, True])
async def test_no_line_goes_out_while_a_refund_is_open(
    url: engine.Url,
    calls: client.Client,
    connection: model.Connection,
    shop: simulator.Simulator,
    status: str,
    part: bool,
) -> None:
    tid = await ordered(url, skus=[shop.world.skus[0].code, shop.world.skus[1].code])
    first, second = (line["oid"] for line in shop.shop.trades[int(tid)]["orders"]["order"])
    if part:
        shop.shop.ship(int(tid), [first], True, "SF1000000000001", "SF")
    refund = (await control(url, f"orders/{tid}/refund", oid=second, returning=True))["refund_id"]
    if status != "WAIT_SELLER_AGREE":
        await control(url, f"refunds/{refund}", status=status)
    sent = {**parcel(tid, "SF1000000000002"), "sub_tid": str(second), "is_split": 1}
    assert (await calls.call(connection, "shipment.send", sent)).waiting
    await control(url, f"refunds/{refund}", status="CLOSED")
    assert not (await calls.call(connection, "shipment.send", sent)).waiting


async def test_stock_memo_goods_and_couriers(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    sku = shop.world.skus[0]
    level = {
        "id": sku.code,
        "sku": sku.code,
        "sku_id": sku.ids["taobao.sku_id"],
        "product_id": sku.ids["taobao.num_iid"],
        "available": "25",
    }
    to_native = library.shipped("taobao", "inventory").to_native
    outcome = await calls.call(connection, "stock.set", to_native(level, {}))
    assert outcome.record_id == sku.ids["taobao.sku_id"]
    level["available"] = "7"
    await calls.call(connection, "stock.set", to_native({key: level[key] for key in level if key != "sku_id"}, {}))
    rows = (await calls.call(connection, "sku.list", {"num_iids": sku.ids["taobao.num_iid"]})).data
    found = [library.shipped("taobao", "inventory").from_native(row, {}) for row in rows]
    assert [one["available"] for one in found if one["sku"] == sku.code] == [7]
    with pytest.raises(errors.Rejected):
        await calls.call(connection, "stock.set", {"num_iid": "1", "skuid_quantities": "1:1"})
    goods = [row async for page in calls.pages(connection, "product.list", {}) for row in page]
    assert {str(row["num_iid"]) for row in goods} == {one.ids["taobao.num_iid"] for one in shop.world.skus}
    couriers = (await calls.call(connection, "company.list", {})).data
    table = library.shipped("taobao", "shipment").spec.tables["carrier"]
    assert set(table.to_native.values()) <= {row["code"] for row in couriers}
    tid = await ordered(url)
    memo = library.shipped("taobao", "memo").to_native({"id": tid, "seller_note": "XSDD000001", "seller_flag": "3"}, {})
    assert (await calls.call(connection, "memo.update", memo)).record_id == tid
    assert shop.shop.trades[int(tid)]["seller_memo"] == "XSDD000001"
    assert shop.shop.trades[int(tid)]["seller_flag"] == 3


async def test_refunds(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    refund = await control(url, f"orders/{tid}/refund", reason="尺码不合适")
    (rows,) = [rows async for rows in calls.pages(connection, "refund.list", {}, window())]
    event = decode.event(connection.declaration, "refunds", rows[0])
    assert (event.message, event.entity, event.record) == ("refund_row", "after_sale", refund["refund_id"])
    outcome = await calls.call(connection, "refund.get", {"refund_id": refund["refund_id"]})
    record = library.shipped("taobao", "after_sale").from_native(outcome.data, {})
    assert (record["status"], record["order_id"], record["reason"]) == ("requested", tid, "尺码不合适")
    await control(url, f"refunds/{refund['refund_id']}", status="SUCCESS")
    outcome = await calls.call(connection, "refund.get", {"refund_id": refund["refund_id"]})
    assert library.shipped("taobao", "after_sale").from_native(outcome.data, {})["status"] == "done"
    trade = (await calls.call(connection, "order.get", {"tid": tid})).data
    assert "TRADE_CLOSED" in {line["status"] for line in trade["orders"]["order"]}
    messages = shop.channel.queue("default").messages.values()
    topics = [one.topic for one in messages if one.topic.startswith("taobao_refund_")]
    assert topics == ["taobao_refund_RefundCreated", "taobao_refund_RefundSuccess"]


async def test_messages_by_http(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid = await ordered(url)
    rows = (await calls.call(connection, "tmc.consume", {"quantity": 10})).data
    events = [decode.event(connection.declaration, "tmc", row) for row in rows]
    assert [(event.message, event.record) for event in events] == [("trade", tid)] * 2
    assert (await calls.call(connection, "tmc.consume", {})).data == []
    await calls.call(connection, "tmc.confirm", {"ids": ",".join(str(row["id"]) for row in rows)})
    assert not shop.channel.queue("default").messages
    await calls.call(connection, "tmc.permit", {})


async def test_the_sample_messages_are_understood(connection: model.Connection) -> None:
    folder = registry.folder("taobao").joinpath("samples")
    answer = json.loads(folder.joinpath("tmc_messages_consume.response.json").read_text("utf-8"))
    rows = answer["tmc_messages_consume_response"]["messages"]["tmc_message"]
    trade, refund = (decode.event(connection.declaration, "tmc", row) for row in rows)
    assert (trade.entity, trade.record) == ("order", "2067719225654838")
    assert (refund.entity, refund.record) == ("after_sale", "137960003")
    assert trade.dedupe != refund.dedupe
    for topic in ("taobao_item_ItemUpdate", "taobao_logistics_LogsticDetailTrace", "taobao_fuwu_OrderPaid"):
        other = decode.event(connection.declaration, "tmc", {**rows[0], "topic": topic})
        assert (other.entity, other.message == decode.UNKNOWN) == (None, False)


async def test_an_ended_session_needs_a_person(
    url: engine.Url, calls: client.Client, connection: model.Connection
) -> None:
    await control(url, "expire_session")
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(connection)
    assert "重新授权" in refused.value.hint["zh"]
    session = (await control(url, "authorize"))["session"]
    with pytest.raises(errors.CredentialRefused):
        await calls.probe(connection)
    await calls.probe(taobao_peer.connection(url, secrets={"session": session}))


async def test_another_shop_that_was_authorised_is_not_taken(url: engine.Url, calls: client.Client) -> None:
    given = {"code": (await control(url, "agree"))["code"], "session": ""}
    with pytest.raises(errors.Misdeclared) as wrong:
        await calls.probe(taobao_peer.connection(url, secrets=given, seller_id="4711"))
    assert "不是这家店铺" in wrong.value.hint["zh"]
    given = {"code": (await control(url, "agree"))["code"], "session": ""}
    await calls.probe(taobao_peer.connection(url, secrets=given, seller_id=str(simulator.SELLER_ID)))


async def test_a_wrong_secret_needs_a_person(url: engine.Url, calls: client.Client) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(taobao_peer.connection(url, secrets={"app_secret": "wrong"}))
    assert refused.value.code in ("25", "isv.invalid-signature")


async def test_throttles_and_bans_say_how_long(
    url: engine.Url, calls: client.Client, connection: model.Connection
) -> None:
    await control(url, "faults", throttle=1)
    with pytest.raises(errors.Throttled) as slowed:
        await calls.call(connection, "company.list", {})
    assert (slowed.value.retry_after, slowed.value.banned) == (1, False)
    await control(url, "faults", ban=30)
    with pytest.raises(errors.Throttled) as banned:
        await calls.call(connection, "company.list", {})
    assert banned.value.banned
    assert banned.value.retry_after == pytest.approx(30, abs=2)


async def test_a_short_outage_does_not_show_when_only_reading(
    url: engine.Url, calls: client.Client, connection: model.Connection
) -> None:
    for fault in ("error_rate", "garbage"):
        await control(url, "faults", **{fault: 1})
        found = await calls.probe(connection)
        assert len(found.exchanges) == 2, f"{fault}: it was read again"
        assert found.data


async def test_an_unknown_order_is_refused_with_words(calls: client.Client, connection: model.Connection) -> None:
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(connection, "order.get", {"tid": "99"})
    assert "99" in refused.value.message

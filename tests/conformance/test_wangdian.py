"""Wangdiantong: an independent client against our simulator and signature, and what only its three editions have."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from wangdiantong.api.logistics import LogisticsAPI
from wangdiantong.api.order import OrderAPI
from wangdiantong.client.base import BaseAPIClient
from wangdiantong.utils import calculate_signature

from connectors.core import client, decode, errors, model, registry
from connectors.simulator import engine
from connectors.wangdian import signer, simulator, stream
from connectors.wangdian.simulated import books
from mappings import library
from tests.conformance import rehearsal

pytestmark = pytest.mark.peers("wangdiantong")

ORDER = {
    "id": "T1",
    "status": "paid",
    "total": "128.00",
    "created_at": "2026-06-27T17:58:11+08:00",
    "paid_at": "2026-06-27T17:59:00+08:00",
    "buyer": {"nick": "测试买家01"},
    "receiver": {
        "name": "测试收件人",
        "phone": "13800000001",
        "address": {"province": "浙江省", "city": "杭州市", "district": "西湖区", "street": "文三路1号"},
    },
    "lines": [
        {"id": "T1-1", "sku": "TEA-01", "title": "绿茶", "quantity": "2", "unit_price": "64.00", "paid": "128.00"},
        {"id": "T1-2", "sku": "CUP-01", "title": "盖碗", "quantity": "1", "unit_price": "10.00", "paid": "10.00"},
    ],
}


class Peer(BaseAPIClient):  # type: ignore[misc]  # the peer has no types
    """The public client of the enterprise edition."""

    order = OrderAPI()
    logistics = LogisticsAPI()


@contextlib.asynccontextmanager
async def tenant(edition: str) -> AsyncIterator[tuple[rehearsal.Stage, simulator.Simulator, model.Connection]]:
    async with rehearsal.stage("wangdian") as stage:
        found = stage.simulator
        assert isinstance(found, simulator.Simulator)
        name = {"qjb": "main", "qyb": "qyb", "y": "web"}[edition]
        yield stage, found, stage.connection(name, queue_every=1)


def native(mapping: str, connection: model.Connection, **change: Any) -> dict[str, Any]:

    made: dict[str, Any] = library.shipped("wangdian", mapping).to_native(
        {**ORDER, **change}, {"config": dict(connection.config)}
    )
    return made


async def push(stage: rehearsal.Stage, connection: model.Connection, **change: Any) -> model.Outcome:
    edition = "qjb" if connection.config["edition"] == "qjb" else "qyb"
    given = native(f"{edition}_order", connection, **change)
    return await stage.caller.call(connection, f"{edition}.order.push", given)


# The independent client.


async def test_the_public_client_is_served_by_our_simulator() -> None:
    async with tenant("qyb") as (stage, simulated, connection):
        assert (await push(stage, connection)).record_id == "T1"
        parcel = simulated.tenant.ship("T1", simulator.CARRIERS["SF"])
        settings = simulated.settings
        peer = Peer(settings["sid"], settings["appkey"], settings["appsecret"])
        peer.API_BASE_URL = f"{stage.url}/wangdian"
        found = await asyncio.to_thread(peer.logistics.sync_query, settings["shop_no"], 10)
        assert found["code"] == 0
        assert [row["logistics_no"] for row in found["trades"]] == [parcel.waybill]
        told = [peer.logistics.item_for_ack(found["trades"][0]["rec_id"])]
        assert (await asyncio.to_thread(peer.logistics.sync_ack, told))["errors"] == []
        again = await asyncio.to_thread(peer.logistics.sync_query, settings["shop_no"], 10)
        assert again["trades"] == []
        order = {**native("qyb_order", connection, id="T2"), "order_list": [{"oid": "T2-1", "num": 1, "price": 1}]}
        order["order_list"][0] |= {"spec_no": "TEA-01", "status": 30, "refund_status": 0, "goods_name": "茶"}
        pushed = await asyncio.to_thread(peer.order.trade_push, settings["shop_no"], [order], 0)
        assert (pushed["code"], pushed["new_count"]) == (0, 1)
        assert "T2" in simulated.tenant.raws


def test_the_public_client_signs_like_us_where_text_is_ascii() -> None:
    params = {"sid": "s", "appkey": "k", "timestamp": "1782554400", "limit": "10", "list": signer.ascii_json('["茶"]')}
    assert signer.form_signature(params, "secret") == calculate_signature(dict(params), "secret")


def test_lengths_count_characters_where_the_public_client_counts_bytes() -> None:
    params = {"sid": "s", "appkey": "k", "timestamp": "1782554400", "name": "茶"}
    assert signer.form_signature(params, "secret") != calculate_signature(dict(params), "secret")


async def test_nested_data_travels_as_ascii_and_without_emoji() -> None:
    async with tenant("qyb") as (stage, simulated, connection):
        await push(stage, connection, buyer={"nick": "小🎁明"}, buyer_note="快\x07点")
        assert simulated.tenant.raws["T1"].head["buyer_nick"] == "小明"
        assert simulated.tenant.raws["T1"].head["buyer_message"] == "快点"
    request = model.Request("POST", "http://x/trade_push.php", form={"trade_list": '[{"a":"茶🎁"}]', "name": "茶🎁"})
    spec = registry.get("wangdian")
    config = {"edition": "qyb", "sid": "s", "appkey": "k"}
    signer.sign(request, model.Connection("w", spec, config, {"appsecret": "x"}), time.time())
    assert request.form is not None
    assert request.form["trade_list"] == '[{"a":"\\u8336"}]'
    assert request.form["name"] == "茶"


# Editions.


@pytest.mark.parametrize(
    ("edition", "operation"), [("qyb", "qjb.shop.list"), ("qjb", "qyb.stock.queue"), ("y", "qjb.stock.queue")]
)
async def test_an_operation_of_another_edition_is_not_sent(edition: str, operation: str) -> None:
    async with tenant(edition) as (stage, simulated, connection):
        with pytest.raises(errors.Misdeclared) as refused:
            await stage.caller.call(connection, operation, {})
        assert "版本" in refused.value.hint["zh"]
        assert simulated.journal.effects == []


async def test_an_appsecret_without_its_salt_is_named() -> None:
    async with tenant("qjb") as (stage, _, connection):
        bare = model.Connection("w", connection.declaration, connection.config, {"appsecret": "only-one-part"})
        with pytest.raises(errors.Misdeclared, match="secret:salt"):
            await stage.caller.probe(bare)


@pytest.mark.parametrize(
    ("edition", "ahead", "kind"),
    [
        ("qjb", 119, None),
        ("qjb", -119, None),
        ("qjb", 125, errors.Misdeclared),
        ("qyb", 299, None),
        ("qyb", 310, errors.Rejected),
    ],
)
async def test_clocks_that_differ(edition: str, ahead: float, kind: type[Exception] | None) -> None:
    async with tenant(edition) as (stage, simulated, connection):
        simulated.ahead = ahead
        if kind is None:
            await stage.caller.probe(connection)
        else:
            with pytest.raises(kind):
                await stage.caller.probe(connection)


@pytest.mark.parametrize("edition", ["qjb", "qyb"])
@pytest.mark.parametrize(
    ("field", "value"), [("appsecret", "6f2e8d4x:5c1d7a9e0b3f2468"), ("appkey", "other"), ("sid", "other")]
)
async def test_wrong_credentials_pause_the_connection(edition: str, field: str, value: str) -> None:
    async with tenant(edition) as (stage, _, connection):
        config, secrets = dict(connection.config), dict(connection.secrets)
        (secrets if field == "appsecret" else config)[field] = value
        wrong = model.Connection("w", connection.declaration, config, secrets)
        kind = errors.Rejected if (edition, field) == ("qyb", "sid") else errors.CredentialRefused
        with pytest.raises(kind):
            await stage.caller.probe(wrong)


# Orders.


async def test_a_refused_order_inside_an_accepted_call_is_a_refusal() -> None:
    async with tenant("qjb") as (stage, simulated, connection):
        given = native("qjb_order", connection)
        given["trade"]["receiver_name"] = ""
        with pytest.raises(errors.Rejected, match="非法字符") as refused:
            await stage.caller.call(connection, "qjb.order.push", given)
        assert "字符" in refused.value.hint["zh"]
        assert simulated.tenant.raws == {}


async def test_an_order_is_pushed_once_and_then_updated() -> None:
    async with tenant("qjb") as (stage, simulated, connection):
        for _ in range(2):
            await push(stage, connection)
        await push(stage, connection, status="closed")
        kinds = [effect.kind for effect in simulated.journal.effects]
        assert kinds == ["order.push", "order.update"]
        assert simulated.tenant.trades["T1"].status == 5


async def test_a_held_order_is_stopped_over_there() -> None:
    async with tenant("qyb") as (stage, simulated, connection):
        await push(stage, connection)
        await push(stage, connection, hold=True)
        with pytest.raises(ValueError, match="refund"):
            simulated.tenant.ship("T1", simulator.CARRIERS["SF"])
        found = await stage.caller.call(connection, "qyb.order.get", {"tid": "T1"})
        assert str(found.data["refund_status"]) == "1"


async def test_changed_quantities_of_a_pushed_line_are_refused() -> None:
    async with tenant("qjb") as (stage, _, connection):
        await push(stage, connection)
        lines = [{**ORDER["lines"][0], "quantity": "3"}]  # type: ignore[index]
        with pytest.raises(errors.Rejected, match="不能修改"):
            await push(stage, connection, lines=lines)


@pytest.mark.parametrize("edition", ["qjb", "qyb"])
async def test_marketplace_orders_are_hidden_and_others_come_without_people(edition: str) -> None:
    async with tenant(edition) as (stage, _, connection):
        for number, platform in (("M1", 1), ("M39", 39), ("M3", 3), ("M127", 127)):
            await stage.do([rehearsal.Step(do="POST /trades", body={"tid": number, "platform": platform})])
        seen = {}
        for number in ("M1", "M39", "M3", "M127"):
            found = await stage.caller.call(
                connection, f"{'qjb' if edition == 'qjb' else 'qyb'}.order.get", {"tid": number}
            )
            seen[number] = found.data
        assert (seen["M1"], seen["M39"]) == (None, None)
        assert "receiver_mobile" not in seen["M3"]
        assert seen["M127"]["receiver_mobile"]


async def test_a_window_that_is_too_wide_is_our_mistake() -> None:
    async with tenant("qjb") as (stage, _, connection):
        now = datetime.now(UTC)
        with pytest.raises(errors.Misdeclared):
            async for _page in stage.caller.pages(connection, "qjb.order.list", {}, (now - timedelta(hours=2), now)):
                pass


async def test_pages_are_read_from_the_last_and_counted_once() -> None:
    async with tenant("qyb") as (stage, simulated, connection):
        for number in range(95):
            head = {"tid": f"P{number}", "receivable": "1", "paid": "1"}
            simulated.tenant.add_trade(
                0, head, [{"oid": f"P{number}-1", "spec_no": "TEA-01", "goods_name": "x", "num": 1, "price": 1}]
            )
        now = datetime.now(UTC)
        window = (now - timedelta(minutes=30), now + timedelta(minutes=10))
        pages = [page async for page in stage.caller.pages(connection, "qyb.order.list", {}, window)]
        assert [len(page) for page in pages] == [15, 40, 40]
        assert len({row["src_tids"] for page in pages for row in page}) == 95


# Queues.


class Inbox:
    """What was accepted, decoded as the hub decodes it; ``refuse`` fails so many times first."""

    def __init__(self, connection: model.Connection, refuse: int = 0) -> None:
        self.connection, self.refuse = connection, refuse
        self.events: list[model.SourceEvent] = []

    async def accept(self, payload: bytes) -> None:
        if self.refuse:
            self.refuse -= 1
            raise OSError("the ledger is away")
        self.events += decode.events(self.connection.declaration, "queues", payload, self.connection)


@contextlib.asynccontextmanager
async def draining(connection: model.Connection, inbox: Inbox) -> AsyncIterator[None]:
    stopped = asyncio.Event()
    task = asyncio.create_task(stream.run(connection, inbox.accept, stopped))
    try:
        yield
    finally:
        stopped.set()
        async with asyncio.timeout(5):
            await task


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("edition", ["qjb", "qyb", "y"])
async def test_shipments_are_acknowledged_only_after_they_are_kept(
    edition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FIRST_DELAY", 0.05)
    async with tenant(edition) as (stage, simulated, connection):
        await push(stage, connection)
        simulated.tenant.ship("T1", simulator.CARRIERS["ZTO"], ["T1-1"])
        simulated.tenant.ship("T1", simulator.CARRIERS["SF"], ["T1-2"])
        inbox = Inbox(connection, refuse=2)
        async with draining(connection, inbox):
            await until(lambda: not inbox.refuse)
            assert [one.state for one in simulated.tenant.parcels.values()] == [0, 0]
            await until(lambda: all(one.state == 3 for one in simulated.tenant.parcels.values()))
        assert {event.entity for event in inbox.events} == {"shipment"}
        assert len({event.dedupe for event in inbox.events}) == 2

        read = library.shipped("wangdian", "queued")
        found = [read.from_native(json.loads(event.payload), {}) for event in inbox.events]
        assert [one["order_id"] for one in found] == ["T1", "T1"]
        assert sorted(one["carrier_code"] for one in found) == ["SF", "ZTO"]
        assert sorted(one["lines"][0]["order_line_id"] for one in found) == ["T1-1", "T1-2"]


@pytest.mark.parametrize("edition", ["qjb", "qyb"])
async def test_a_queue_longer_than_one_batch_is_emptied(edition: str) -> None:
    async with tenant(edition) as (_, simulated, connection):
        for number in range(120):
            head = {"tid": f"Q{number}"}
            simulated.tenant.add_trade(127, head, [{"oid": f"Q{number}-1", "spec_no": "TEA-01", "num": 0, "price": 1}])
            simulated.tenant.ship(f"Q{number}", simulator.CARRIERS["SF"])
        inbox = Inbox(connection)
        async with draining(connection, inbox):
            await until(lambda: all(one.state == 3 for one in simulated.tenant.parcels.values()))
        assert len({event.dedupe for event in inbox.events}) == len(inbox.events) == 120


@pytest.mark.parametrize("edition", ["qjb", "qyb"])
async def test_stock_to_be_shown_comes_and_is_acknowledged(edition: str) -> None:
    async with tenant(edition) as (stage, simulated, plain):
        connection = stage.connection(
            "main" if edition == "qjb" else "qyb", stock="queue", shipments="none", queue_every=1
        )
        assert plain.config["edition"] == edition
        await stage.do([rehearsal.Step(do="POST /stock", body={"spec_no": "TEA-01", "change": -20})])
        inbox = Inbox(connection)
        async with draining(connection, inbox):
            await until(lambda: not simulated.tenant.to_show())

        found = library.shipped("wangdian", "queued_stock").from_native(json.loads(inbox.events[0].payload), {})
        assert (found["sku"], str(found["available"]), found["product_id"]) == ("TEA-01", "100", "TEA")


async def test_a_stopped_variant_does_not_block_the_queue() -> None:
    async with tenant("qjb") as (stage, simulated, _):
        connection = stage.connection("main", stock="queue", shipments="none", queue_every=1)
        for spec in ("TEA-01", "CUP-01"):
            await stage.do([rehearsal.Step(do="POST /stock", body={"spec_no": spec, "change": 1})])
        await stage.do([rehearsal.Step(do="POST /stop", body={"spec_no": "TEA-01"})])
        inbox = Inbox(connection)
        async with draining(connection, inbox):
            await until(lambda: not simulated.tenant.to_show())
        assert [json.loads(event.payload)["spec_outer_id"] for event in inbox.events] == ["CUP-01"]


async def test_rows_whose_acknowledgement_is_refused_do_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tenant("qyb") as (stage, simulated, connection):
        await push(stage, connection)
        simulated.tenant.ship("T1", simulator.CARRIERS["SF"])
        monkeypatch.setattr(books.Books, "acknowledge", lambda self, number, good: f"同步表不存在,packId:{number}")
        inbox = Inbox(connection)
        async with draining(connection, inbox):
            await until(lambda: inbox.events)
            await asyncio.sleep(0.5)
        assert len(inbox.events) == 1


async def test_the_queue_waits_when_the_vendor_says_so() -> None:
    async with tenant("qyb") as (_, simulated, connection):
        simulated.faults.throttle = 1
        async with client.alone() as calls:
            with pytest.raises(errors.Throttled) as slow:
                await calls.call(connection, "qyb.shipment.queue", {})
        assert slow.value.retry_after == 300


async def test_an_unknown_shape_of_body_is_told_in_the_vendors_words() -> None:
    """The flagship wants a list of arguments; anything else is said to be a wrong number of them."""
    async with engine.serve(["wangdian"]) as url:
        simulated = url.simulators["wangdian"]
        now = simulated.now()
        query = {"method": "setting.Shop.queryShop", "page_no": "0", "page_size": "1", "sid": "hubdemo3"}
        query |= {"key": "hubdemo3-app", "salt": "5c1d7a9e0b3f2468", "v": "1.0", "timestamp": str(signer.stamp(now))}

        answers = {}
        async with httpx.AsyncClient(trust_env=False) as http:
            for body in ("{}", "[{}]"):
                proof = signer.body_signature(query, body, simulated.settings["appsecret"])
                got = await http.post(f"{url}/wangdian/openapi", params={**query, "sign": proof}, content=body)
                answers[body] = got.json()
        assert answers["{}"] == {"status": 1, "message": "invalid argument count"}
        assert answers["[{}]"]["status"] == 0

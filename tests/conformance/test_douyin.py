"""Doudian: an independent client at our simulator, its callback on our pushes, and what only this vendor has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import client, decode, errors, model, registry
from connectors.douyin import signer
from connectors.simulator import engine
from mappings import library
from tests.conformance import door, rehearsal

KEY, SECRET, SHOP = "3409409348479354011", "2ad2355c-01d0-11f8-91dc-05a8cd1054b1", "4463798"


@contextlib.asynccontextmanager
async def stage(name: str = "main") -> AsyncIterator[tuple[rehearsal.Stage, model.Connection]]:
    async with rehearsal.stage("douyin") as found:
        yield found, found.connection(name)


async def sold(found: rehearsal.Stage, **wish: Any) -> dict[str, Any]:
    body = {"count": 1, "skus": ["TEA-01", "CUP-01"], **wish}
    await found.do([rehearsal.Step(do="POST /orders", body=body, save={"made": "orders[0]"})])
    return dict(found.saved["made"])


async def control(found: rehearsal.Stage, path: str, **body: Any) -> dict[str, Any]:
    await found.do([rehearsal.Step(do=f"POST {path}", body=body, save={"answer": "."})])
    return dict(found.saved["answer"])


def peer(url: str, **more: Any) -> Any:
    """doudian 0.6 against the simulator instead of the gateway it has built in."""
    import doudian

    made = doudian.DouDian(app_key=KEY, app_secret=SECRET, app_type=doudian.AppType.TOOL, **more)
    made._gate_way = f"{url}/douyin"
    return made


@pytest.mark.peers("doudian")
async def test_an_independent_client_gets_a_token_and_reads_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    # It writes local time without saying of where; the gateway takes it for Beijing's.
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    __import__("time").tzset()
    try:
        async with engine.serve(["douyin"], time_scale=0.001) as url:
            simulator = url.simulators["douyin"]
            order = simulator.shop.create(simulator.world.customers[0], [(simulator.shop.goods[0], 1)])
            theirs = peer(str(url))
            assert await asyncio.to_thread(theirs.init_token, "simulated-code-0001")
            assert not await asyncio.to_thread(theirs.init_token, "simulated-code-0001"), "a code works once"
            got = await asyncio.to_thread(theirs.request, "/order/orderDetail", {"shop_order_id": order["order_id"]})
            assert got["err_no"] == 0
            assert got["data"]["shop_order_detail"]["order_id"] == order["order_id"]
            theirs._app_secret = SECRET[:-1] + "2"
            refused = await asyncio.to_thread(theirs.request, "/order/orderDetail", {"shop_order_id": "1"})
            assert refused["sub_code"] == "isv.signature-invalid"
    finally:
        monkeypatch.undo()
        __import__("time").tzset()


@pytest.mark.peers("doudian")
async def test_an_independent_receiver_takes_our_pushes_and_no_forgery() -> None:
    push = rehearsal.of("douyin").pushes[1]
    async with door.pushed("douyin", push) as (found, opened):
        theirs = peer(str(found.url))
        tags = [piece["tag"] for one in opened.taken for piece in json.loads(one.hook.body)]
        assert sorted(tags) == ["0", "100", "101", "110", "200"]
        for one in opened.taken:
            read = theirs.callback(dict(one.hook.headers), one.hook.body)
            assert read == json.loads(one.hook.body)
            assert theirs.callback(dict(one.hook.headers), one.hook.body + b" ") is None


def _push(content: Any, **headers: str) -> model.RawHook:
    body = json.dumps(content, ensure_ascii=False).encode()
    given = {"app-id": KEY, "event-sign": signer.event_sign(KEY, SECRET, body), **headers}
    return model.RawHook("POST", {}, given, body)


def _taken(content: Any, shop_id: str = SHOP) -> list[model.SourceEvent]:
    spec = registry.get("douyin")
    connection = model.Connection("dy", spec, {"app_key": KEY, "shop_id": shop_id}, {"app_secret": SECRET})
    verified = signer.verify(_push(content), connection, {"app_key": KEY, "secret": SECRET, "shop_id": shop_id}, 0)
    return decode.events(spec, "push", verified.plaintext, connection, verified)


def test_every_form_of_a_message_is_the_same_event() -> None:
    data = {"p_id": 6920000000000000123, "shop_id": int(SHOP), "update_time": 1772992861}
    forms: list[Any] = [
        [{"tag": "101", "msg_id": "m1", "data": json.dumps(data)}],
        {"tag": "101", "msg_id": "m1", "data": json.dumps(data)},
        {"tag": 101, "msg_id": "m1", "data": data},
        [{"tag": 101, "msgId": "m1", "data": {**data, "p_id": "6920000000000000123"}}],
    ]
    for form in forms:
        (event,) = _taken(form)
        assert (event.message, event.entity, event.record) == ("order", "order", "6920000000000000123")
        assert event.occurred_at is not None
        assert event.occurred_at.timestamp() == 1772992861


def test_messages_of_other_shops_are_kept_but_not_synced() -> None:
    ours = {"tag": "101", "msg_id": "m1", "data": json.dumps({"p_id": 1, "shop_id": int(SHOP)})}
    theirs = {"tag": "200", "msg_id": "m2", "data": json.dumps({"aftersale_id": 2, "shop_id": 999})}
    found = _taken([ours, theirs])
    assert [(one.message, one.entity) for one in found] == [("order", "order"), ("foreign", None)]
    assert [one.message for one in _taken([ours, theirs], shop_id="999")] == ["foreign", "refund"]


@pytest.mark.parametrize(
    "data", ["x", "", None, 7, [], {"shop_id": None}, {"shop_id": True}, "[1]", "{", {"shop_id": [1]}]
)
def test_odd_data_is_still_an_event(data: Any) -> None:
    (event,) = _taken([{"tag": "999", "msg_id": "m", "data": data}])
    assert (event.message, event.entity) == ("other", None)


def test_the_signed_text_is_canonical_at_every_level() -> None:
    assert signer.param_json({"b": [{"z": 1, "a": {"y": "/<&>汉😀", "x": 1}}], "a": 7200000000000000001}) == (
        '{"a":7200000000000000001,"b":[{"a":{"x":1,"y":"/<&>汉😀"},"z":1}]}'
    )
    assert signer.param_json(None) == signer.param_json({}) == "{}"


async def test_a_tool_application_lives_on_its_refresh_token() -> None:
    async with stage("tool") as (found, connection):
        await found.caller.probe(connection)
        first = found.simulator.tokens.grant.refresh
        for _ in range(3):
            await control(found, "/expire_tokens")
            outcome = await found.caller.probe(connection)
            shown = repr(outcome.exchanges)
            assert first not in shown
            assert found.simulator.tokens.grant.refresh not in shown
        assert first in found.simulator.tokens.dead_refresh
        found.simulator.tokens.grant.refresh_ends = 0
        await control(found, "/expire_tokens")
        with pytest.raises(errors.CredentialRefused) as caught:
            await found.caller.probe(connection)
        assert "重新授权" in caught.value.hint["zh"]
        await control(found, "/authorize", code="simulated-code-0007")
        again = model.Connection(
            connection.key,
            connection.declaration,
            connection.config,
            {**connection.secrets, "code": "simulated-code-0007"},
        )
        assert (await found.caller.probe(again)).data


async def test_a_token_for_another_shop_is_refused() -> None:
    async with stage("tool") as (found, connection):
        found.simulator.settings["shop_id"] = "5000001"
        with pytest.raises(errors.Misdeclared, match="another shop"):
            await found.caller.probe(connection)


async def test_an_own_application_creates_its_token_again() -> None:
    async with stage() as (found, connection):
        await found.caller.probe(connection)
        kept = found.simulator.tokens.grant.access
        async with client.alone() as late:
            outcome = await late.probe(connection)
        assert [one.operation for one in outcome.exchanges] == ["token", "company.list"]
        assert found.simulator.tokens.grant.access == kept, "far from its end the platform gives the same token"


async def test_shipping_twice_is_one_parcel_and_another_waybill_is_a_conflict() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        given = {"order_id": made["id"], "company_code": "shunfeng", "logistics_code": "SF1000000000001"}
        assert (await found.call(connection, "shipment.send", given)).record_id == "SF1000000000001"
        assert (await found.call(connection, "shipment.send", given)).already
        with pytest.raises(errors.Rejected):
            await found.call(connection, "shipment.send", {**given, "logistics_code": "SF1000000000002"})
        assert found.effects() == [("shipment", made["id"])]


async def test_a_part_then_the_rest() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        one = {"shipped_order_id": made["lines"][1], "shipped_num": 1}
        pack = {"company_code": "yuantong", "logistics_code": "YT1000000000001", "shipped_order_info": [one]}
        given = {"order_id": made["id"], "request_id": "r-1", "pack_list": [pack]}
        outcome = await found.call(connection, "shipment.send_part", given)
        assert outcome.data["pack_list"][0]["shipped_order_info"][0]["shipped_num"] == "1", (
            "text, as the vendor writes it"
        )
        read = await found.call(connection, "order.get", {"order_id": made["id"]})
        order = library.shipped("douyin", "order").from_native(read.data)
        assert [line["status"] for line in order["lines"]] == ["2", "3"]
        assert order["status"] == "partially_shipped"
        with pytest.raises(errors.Rejected):
            await found.call(connection, "shipment.send_part", {**given, "request_id": "r-2"})
        rest = {"order_id": made["id"], "company_code": "shunfeng", "logistics_code": "SF1000000000001"}
        await found.call(connection, "shipment.send", rest)
        done = await found.call(connection, "order.get", {"order_id": made["id"]})
        assert library.shipped("douyin", "order").from_native(done.data)["status"] == "shipped"


async def test_an_order_under_check_or_with_an_open_refund_is_on_hold() -> None:
    async with stage() as (found, connection):
        mapping = library.shipped("douyin", "order")

        async def read(number: str) -> Any:
            return mapping.from_native((await found.call(connection, "order.get", {"order_id": number})).data)

        risky = await sold(found, risk=True)
        assert (await read(risky["id"]))["hold"]
        await control(found, f"/orders/{risky['id']}/release")
        assert not (await read(risky["id"]))["hold"]
        refund = await control(found, f"/orders/{risky['id']}/refund", kind=1)
        held = await read(risky["id"])
        assert held["hold"]
        assert held["hold_reason"] == "有未完结的售后"
        given = {"order_id": risky["id"], "company_code": "shunfeng", "logistics_code": "SF1000000000001"}
        assert (await found.call(connection, "shipment.send", given)).waiting
        line = found.simulator.shop.orders[risky["id"]]["sku_order_list"][0]["after_sale_info"]
        for status in (7, 8, 11, 13):
            line["after_sale_status"] = status
            assert (await read(risky["id"]))["hold"], status
            assert (await found.call(connection, "shipment.send", given)).waiting, status
        line["after_sale_status"], line["refund_status"] = 12, 1
        assert (await read(risky["id"]))["hold"], "agreed, and the money is still under way"
        line["refund_status"] = 3
        assert not (await read(risky["id"]))["hold"]
        line["after_sale_status"], line["refund_status"] = 6, 1
        await control(found, f"/refunds/{refund['id']}/withdraw")
        assert not (await read(risky["id"]))["hold"]
        assert not (await found.call(connection, "shipment.send", given)).waiting


async def test_an_answer_to_an_after_sale_that_moved_on_is_not_given() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        refund = (await control(found, f"/orders/{made['id']}/refund", kind=0))["id"]
        given = {"aftersale_id": refund, "type": 101, "logistics": {"receiver_address_id": 95251}}
        assert (await found.call(connection, "after_sale.agree", given)).record_id == refund
        assert (await found.call(connection, "after_sale.agree", given)).already
        await control(found, f"/refunds/{refund}/withdraw")
        with pytest.raises(errors.Rejected):
            await found.call(connection, "after_sale.agree", given)
        assert found.effects() == [("after_sale", refund)]


async def test_decrypting_in_part_says_what_is_missing() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        infos = [
            {"auth_id": made["id"], "cipher_text": made["cipher"]},
            {"auth_id": made["id"], "cipher_text": "#x#y#1##"},
        ]
        outcome = await found.call(connection, "receiver.decrypt", {"cipher_infos": infos})
        assert [one["err_no"] for one in outcome.data] == [0, 300008]
        assert len(outcome.warnings) == 1
        assert outcome.data[0]["decrypt_text"] == "18400000000-7576"


async def test_a_range_beyond_ninety_days_is_our_mistake() -> None:
    async with stage() as (found, connection):
        found.simulator.ahead = 200 * 86400
        with pytest.raises(errors.Misdeclared):
            await found.call(connection, "order.list", {})


async def test_pages_begin_at_zero_for_orders_and_at_one_for_products() -> None:
    async with stage() as (found, connection):
        for _ in range(3):
            await sold(found, count=50)
        await sold(found, count=1)
        rows = (await found.call(connection, "order.list", {})).data
        assert len({row["order_id"] for row in rows}) == 151
        assert 151 <= len(rows) <= 251, "the first page may be read twice, for the total"
        listed = (await found.call(connection, "product.list", {})).data
        assert len(listed) == 8

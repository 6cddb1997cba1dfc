"""Xiaohongshu: a push whose proof leaves the body out, tokens that renew only late, rows that move while one reads."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import answer, decode, errors, failure, model, registry, verify
from connectors.xiaohongshu import signer
from gateway import signature
from mappings import library
from tests.conformance import door, rehearsal

APP, SECRET, SELLER = "test-app-id-0001", "test-app-secret-0001", "5fabcdef0000000000000001"


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[tuple[rehearsal.Stage, model.Connection]]:
    async with rehearsal.stage("xiaohongshu") as found:
        yield found, found.connection()


async def sold(found: rehearsal.Stage, **wish: Any) -> dict[str, Any]:
    body = {"count": 1, "skus": ["TEA-01", "CUP-01"], **wish}
    await found.do([rehearsal.Step(do="POST /orders", body=body, save={"made": "orders[0]"})])
    return dict(found.saved["made"])


async def control(found: rehearsal.Stage, path: str, **body: Any) -> dict[str, Any]:
    await found.do([rehearsal.Step(do=f"POST {path}", body=body, save={"answer": "."})])
    return dict(found.saved["answer"])


async def read(found: rehearsal.Stage, connection: model.Connection, number: str) -> dict[str, Any]:
    outcome = await found.call(connection, "order.get", {"orderId": number})
    return dict(library.shipped("xiaohongshu", "order").from_native(outcome.data))


def test_the_signature_debugger_shows_a_signature_inside_the_body() -> None:
    made = signature.explain(
        "xiaohongshu", "order.list", {"app_id": APP}, {"app_secret": SECRET}, {}, 1752812658.0, "token-1234"
    )
    assert made.added == {}
    assert json.loads(made.body)["sign"] == "96f8581709da750d3098149d0ccb72dc"
    assert json.loads(made.body)["accessToken"] == "***"


# Pushes.


def _connection(**config: Any) -> model.Connection:
    given = {"app_id": APP, "push_url": "https://hub.example/hooks/red?canshu=test", **config}
    return model.Connection("red", registry.get("xiaohongshu"), given, {"app_secret": SECRET})


def _hook(
    body: Any, *, place: str = "/hooks/red", at: int | None = None, query: dict[str, str] | None = None, **signed: str
) -> model.RawHook:
    """A push signed by the rule itself, written down once more here."""
    stamp = str(int(time.time()) if at is None else at)
    params = {**(query or {}), "app-key": APP, "timestamp": stamp, **signed}
    joined = "&".join(f"{key}={params[key]}" for key in sorted(params) if params[key])
    sign = hashlib.md5(f"{place}?{joined}{SECRET}".encode(), usedforsecurity=False).hexdigest()
    headers = {"app-key": APP, "timestamp": stamp, "sign": sign}
    return model.RawHook("POST", query or {}, headers, json.dumps(body, ensure_ascii=False).encode())


def _taken(hook: model.RawHook, connection: model.Connection, now: float | None = None) -> list[model.SourceEvent]:
    spec = connection.declaration.events["push"].verify
    assert spec is not None
    verified = verify.verify(hook, connection, spec, time.time() if now is None else now)
    return decode.events(connection.declaration, "push", verified.plaintext, connection, verified)


STATUS = {"orderId": "P768291112062421411", "orderStatus": 4, "updateTime": 1752739131122}


def _message(seller: str = SELLER, tag: str = "msg_fulfillment_status_change", **data: Any) -> dict[str, Any]:
    return {"msgTag": tag, "sellerId": seller, "data": json.dumps({**STATUS, **data})}


@pytest.mark.parametrize("place", ["/hooks/red", "https://hub.example/hooks/red"])
def test_path_and_full_address_are_both_taken(place: str) -> None:
    (event,) = _taken(_hook([_message()], place=place, query={"canshu": "测试 &"}), _connection())
    assert (event.message, event.record) == ("order", "P768291112062421411")


def test_without_an_address_of_its_own_the_path_of_the_connection_counts() -> None:
    assert _taken(_hook([_message()]), _connection(push_url=""))
    other = replace(_connection(push_url=""), key="blue")
    with pytest.raises(errors.HookRefused) as caught:
        _taken(_hook([_message()]), other)
    assert caught.value.reason == "forged"


def test_without_an_address_of_its_own_the_full_address_is_taken_too() -> None:
    full = _hook([_message()], place="https://hub.example/hooks/red")
    told = replace(full, headers={**full.headers, "host": "hub.example"})
    assert _taken(told, _connection(push_url=""))
    for other in ({"host": "evil.example"}, {}):
        with pytest.raises(errors.HookRefused):
            _taken(replace(full, headers={**full.headers, **other}), _connection(push_url=""))


def test_milliseconds_are_a_time_as_well() -> None:
    now = time.time()
    assert _taken(_hook([_message()], at=int(now * 1000)), _connection())
    for late in (int((now - 700) * 1000), int(now - 700), int(now + 700)):
        with pytest.raises(errors.HookRefused) as caught:
            _taken(_hook([_message()], at=late), _connection())
        assert caught.value.reason == "stale"


def test_a_body_under_a_borrowed_proof_only_makes_us_read() -> None:
    """The vendor's proof leaves the body out: what a thief may write there must stay a hint."""
    genuine = _hook([_message()])
    lie = [
        _message(orderStatus=9, totalPayAmount=1),
        _message(tag="msg_after_sale_create", returnsId="R1", refundFee=9.9),
    ]
    found = _taken(replace(genuine, body=json.dumps(lie).encode()), _connection())
    spec = registry.get("xiaohongshu")
    for event in found:
        hydrate = spec.messages[event.message].hydrate
        assert hydrate is not None, "nothing of a push is mapped without being read again"
    assert [one.record for one in found] == ["P768291112062421411", "R1"]
    pushed = spec.events["push"].messages
    assert not [name for name in pushed if spec.messages[name].entity and spec.messages[name].hydrate is None]


def test_another_apps_key_is_refused_even_with_its_own_proof() -> None:
    hook = _hook([_message()], **{"app-key": "other-app"})
    with pytest.raises(errors.HookRefused):
        _taken(replace(hook, headers={**hook.headers, "app-key": "other-app"}), _connection())


def test_messages_of_other_shops_are_kept_but_not_synced() -> None:
    both = _hook([_message(), _message(seller="5fabcdef0000000000000009")])
    assert [one.message for one in _taken(both, _connection(seller_id=SELLER))] == ["order", "foreign"]
    assert [one.message for one in _taken(both, _connection())] == ["order", "order"]


def test_the_same_status_told_twice_is_one_event_and_another_time_is_another() -> None:
    first, again, later = (
        _taken(_hook([_message(**more)]), _connection())[0].dedupe for more in ({}, {}, {"updateTime": 1752739131123})
    )
    assert first == again != later


async def test_a_simulated_push_in_the_other_forms_is_taken_too() -> None:
    push = rehearsal.of("xiaohongshu").pushes[0]
    async with door.pushed("xiaohongshu", push) as (found, opened):
        opened.connection = replace(opened.connection, config={**opened.connection.config, "push_url": opened.address})
        opened.taken.clear()
        found.simulator.configure(
            {"push_place": "url", "push_system": "query", "foreign_seller": "5fab0000000000000000000f"}
        )
        await sold(found)
        await found.simulator.settle()
        assert not opened.refused
        assert len([event for one in opened.taken for event in one.events]) == 6, "two shops, three messages each"


# Tokens.


async def test_a_token_is_renewed_within_its_last_half_hour_and_not_before() -> None:
    async with stage() as (found, connection):
        tokens = found.simulator.tokens
        await found.caller.probe(connection)
        kept = await found.caller._tokens.kept(connection.key)
        assert kept is not None
        assert tokens.ends - 1800 < kept.expires_at < tokens.ends, "earlier there would be the same pair again"
        first, old = tokens.refresh, tokens.access
        found.simulator.ahead = 604800 - 1000
        again = await signer.refresh(_sender(found), connection, kept, found.simulator.now())
        assert again is not None
        assert (tokens.refresh != first, again.value) == (True, tokens.access)
        tokens.check(old)


def _sender(found: rehearsal.Stage) -> Any:
    async def send(request: model.Request) -> answer.Answer:
        body = json.loads(request.body)
        stamp = str(int(time.time()))
        body |= {"timestamp": stamp, "sign": signer.signature(body["method"], APP, SECRET, stamp)}
        got = await found._http.post(request.url, json=body)
        return answer.Answer(got.status_code, {"content-type": "application/json"}, got.content)

    return send


async def test_after_two_weeks_a_person_must_authorise_again() -> None:
    async with stage() as (found, connection):
        await found.caller.probe(connection)
        found.simulator.tokens.refresh_ends = 0.0
        await control(found, "/expire_tokens")
        with pytest.raises(errors.CredentialRefused) as caught:
            await found.caller.probe(connection)
        assert "重新授权" in caught.value.hint["zh"]
        await control(found, "/authorize", code="code-demo-0009")
        again = replace(connection, secrets={**connection.secrets, "code": "code-demo-0009"})
        assert (await found.caller.probe(again)).data


async def test_a_grant_of_another_shop_is_refused_and_named() -> None:
    async with stage() as (found, connection):
        wrong = replace(connection, config={**connection.config, "seller_id": "5fabcdef0000000000000009"})
        with pytest.raises(errors.Misdeclared, match=SELLER):
            await found.caller.probe(wrong)


# Answers.


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({"error_code": 0, "success": True, "data": None}, True),
        ({"success": True, "data": {"success": True, "code": 200, "data": {}}}, True),
        ({"error_code": 0, "success": True, "data": "ok"}, True),
        ({"error_code": 0, "success": True, "data": {"success": False, "code": 0}}, False),
        ({"error_code": 0, "success": True, "data": {"success": True, "code": 500}}, False),
        ({"error_code": 7, "success": True, "data": {}}, False),
        ({"error_code": 0, "success": False}, False),
        ({"error_code": 0}, False),
    ],
)
def test_both_layers_must_say_yes(body: dict[str, Any], good: bool) -> None:
    got = answer.Answer(200, {"content-type": "application/json"}, json.dumps(body).encode())
    assert failure.Reader(registry.get("xiaohongshu"), None).succeeded(got) is good


@pytest.mark.parametrize(
    ("words", "becomes"),
    [
        ("accessToken 已过期", "token"),
        *(
            (words, "token")
            for words in ("token已失效", "token 已过期", "invalid token", "Token过期", "access_token无效")
        ),
        ("token已过期，请刷新", "token"),
        ("refreshToken 已失效", "credential"),
        ("签名错误", "credential"),
        ("调用过于频繁", "throttled"),
        ("Too many requests", "throttled"),
        ("系统繁忙，请稍后再试", "unavailable"),
        ("该接口无权限", "credential"),
        ("订单状态不允许发货", "rejected"),
    ],
)
def test_words_decide_where_numbers_are_not_public(words: str, becomes: str) -> None:
    raw = json.dumps({"error_code": 4711, "error_msg": words, "success": False}, ensure_ascii=False).encode()
    got = answer.Answer(200, {"content-type": "application/json"}, raw)
    assert failure.Reader(registry.get("xiaohongshu"), None).finding(got, safe=True).becomes == becomes


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_broken_gateway_is_no_refusal_also_when_it_says_so_in_json(status: int) -> None:
    """A shipment that may have been made was given up for good."""
    got = answer.Answer(status, {"content-type": "application/json"}, b'{"error_code": -1, "success": false}')
    spec = registry.get("xiaohongshu")
    assert failure.Reader(spec, spec.operations["shipment.send"]).finding(got, safe=False).becomes == "unknown"


# Orders, stock, after-sales.


async def test_rows_that_move_while_one_reads_are_not_lost() -> None:
    async with stage() as (found, connection):
        for _ in range(3):
            await sold(found, count=50)
        numbers = list(found.simulator.shop.orders)
        now = datetime.now(UTC)
        window = (now - timedelta(minutes=10), now + timedelta(minutes=10))
        seen: set[str] = set()
        pages = 0
        async for rows in found.caller.pages(connection, "order.list", {}, window):
            seen |= {row["orderId"] for row in rows}
            pages += 1
            if pages == 1:
                # Thirty of those still to be read change, and go to the end.
                for number in numbers[:30]:
                    found.simulator.shop.touch(found.simulator.shop.order(number))
        assert pages == 2
        assert set(numbers) - seen <= set(numbers[:30]), "only what the next, overlapping window shows as newer"


async def test_more_than_half_an_hour_is_refused() -> None:
    async with stage() as (found, connection):
        now = datetime.now(UTC)
        with pytest.raises(errors.Rejected, match="时间跨度"):
            async for _ in found.caller.pages(connection, "order.list", {}, (now - timedelta(minutes=31), now)):
                pass


async def test_what_must_not_be_shipped_yet_is_on_hold() -> None:
    async with stage() as (found, connection):
        made = (await sold(found, risk=True))["id"]
        assert (await read(found, connection, made))["hold_reason"] == "平台风控处理中"
        await control(found, f"/orders/{made}/release")
        assert not (await read(found, connection, made))["hold"]
        refund = (await control(found, f"/orders/{made}/refund"))["id"]
        assert (await read(found, connection, made))["hold_reason"] == "有未完结的售后"
        await control(found, f"/refunds/{refund}/withdraw")
        await control(found, f"/orders/{made}/ask_cancel")
        assert (await read(found, connection, made))["hold_reason"] == "买家申请取消"
        parcel = {"orderId": made, "expressNo": "SF1000000000001", "expressCompanyCode": "shunfeng"}
        assert (await found.call(connection, "shipment.send", parcel)).waiting
        assert not found.effects()


async def test_parts_of_an_order_and_the_same_waybill_again() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        head = {"orderId": made["id"], "expressCompanyCode": "shunfeng", "unpack": True}
        first = {**head, "expressNo": "SF1000000000001", "skuIdList": made["skus"][:1]}
        await found.call(connection, "shipment.send", first)
        assert (await read(found, connection, made["id"]))["status"] == "partially_shipped"
        await found.call(
            connection, "shipment.send", {**head, "expressNo": "SF1000000000002", "skuIdList": made["skus"][1:]}
        )
        assert (await read(found, connection, made["id"]))["status"] == "shipped"
        assert (await found.call(connection, "shipment.send", first)).already
        with pytest.raises(errors.Rejected):
            await found.call(connection, "shipment.send", {**first, "expressNo": "SF1000000000009"})
        assert len(found.effects()) == 2


async def test_reserved_pieces_stay_when_stock_is_set() -> None:
    async with stage() as (found, connection):
        made = await sold(found, count=3)
        sku = made["skus"][0]
        await found.call(connection, "stock.set", {"skuId": sku, "available": 25})
        level = (await found.call(connection, "stock.get", {"skuId": sku})).data
        assert (level["available"], level["reserved"], level["total"]) == (25, 3, 28)
        await found.call(connection, "stock.set", {"skuId": sku, "available": 0})
        assert (await found.call(connection, "stock.get", {"skuId": sku})).data["available"] == 0


async def test_a_changed_address_has_another_fingerprint() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        asked = {"orderId": made["id"], "openAddressId": made["address"]}
        (row,) = (await found.call(connection, "receiver.get", asked)).data
        assert row["matched"]
        assert row["receiverPhone"] == made["cipher"]
        await control(found, f"/orders/{made['id']}/move_house")
        (row,) = (await found.call(connection, "receiver.get", asked)).data
        assert not row["matched"]
        assert (await read(found, connection, made["id"]))["receiver"]["cipher"] != made["address"]


async def test_an_answer_to_an_after_sale_that_moved_on_is_not_given() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        refund = (await control(found, f"/orders/{made['id']}/refund", kind=5))["id"]
        outcome = await found.call(connection, "after_sale.refund", {"returnsId": refund})
        assert outcome.record_id == refund
        assert (await found.call(connection, "after_sale.refund", {"returnsId": refund})).already
        detail = await found.call(connection, "refund.get", {"returnsId": refund})
        record = library.shipped("xiaohongshu", "after_sale").from_native(detail.data)
        assert (record["status"], record["kind"]) == ("done", "refund")
        withdrawn = (await control(found, f"/orders/{made['id']}/refund", kind=1))["id"]
        await control(found, f"/refunds/{withdrawn}/withdraw")
        with pytest.raises(errors.Rejected):
            await found.call(connection, "after_sale.agree", {"returnsId": withdrawn})
        assert found.effects() == [("after_sale", refund)]

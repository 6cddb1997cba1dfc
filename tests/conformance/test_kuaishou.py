"""Kuaishou: an independent signer, pushes without a signature, stock by difference."""

from __future__ import annotations

import base64
import contextlib
import json
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.core import decode, errors, model, registry, verify
from connectors.kuaishou import signer
from gateway import signature as explaining
from mappings import library
from tests.conformance import door, rehearsal

KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
APP, SELLER = "ks680000000000000001", "2161500000"


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[tuple[rehearsal.Stage, model.Connection]]:
    async with rehearsal.stage("kuaishou") as found:
        yield found, found.connection()


async def sold(found: rehearsal.Stage, **wish: Any) -> str:
    body = {"count": 1, "skus": ["TEA-01"], **wish}
    await found.do([rehearsal.Step(do="POST /orders", body=body, save={"made": "orders[0].id"})])
    return str(found.saved["made"])


async def control(found: rehearsal.Stage, path: str, **body: Any) -> dict[str, Any]:
    await found.do([rehearsal.Step(do=f"POST {path}", body=body, save={"answer": "."})])
    return dict(found.saved["answer"])


async def read(found: rehearsal.Stage, connection: model.Connection, oid: str) -> dict[str, Any]:
    outcome = await found.call(connection, "order.get", {"oid": oid})
    return dict(library.shipped("kuaishou", "order").from_native(outcome.data))


@pytest.mark.peers("kwaixiaodian")
@settings(max_examples=40, deadline=None)
@given(
    param=st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=8) | st.integers(), max_size=4),
    method=st.sampled_from(["HMAC_SHA256", "MD5"]),
    secret=st.text(min_size=1, max_size=20),
    stamp=st.integers(10**12, 2 * 10**12),
)
def test_an_independent_signer_agrees(param: dict[str, Any], method: str, secret: str, stamp: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kwaixiaodian.auth import signature, types
    config = types.AuthConfig(app_key=APP, app_secret="x", sign_secret=secret)
    text = json.dumps(param, ensure_ascii=False)
    theirs = types.SignatureParams(
        "open.order.detail", APP, "token", timestamp=str(stamp), sign_method=method, param=text
    )
    ours = {
        "appkey": APP,
        "method": "open.order.detail",
        "version": "1",
        "access_token": "token",
        "timestamp": str(stamp),
        "signMethod": method,
        "param": text,
    }
    assert signature.SignatureManager(config).sign_request(theirs) == signer.signature(ours, secret)


def test_the_signature_debugger_signs_what_a_call_would_carry() -> None:
    config, secrets = {"app_key": APP}, {"app_secret": "an-app-secret", "sign_secret": "sign-secret"}
    made = explaining.explain("kuaishou", "order.get", config, secrets, {"oid": "1"}, 1583271919.0, "token-1234")
    (seen,) = made.proofs
    assert seen.text == (
        f'access_token=***&appkey={APP}&method=open.order.detail&param={{"oid":1}}&signMethod=HMAC_SHA256'
        "&timestamp=1583271919000&version=1&signSecret=***"
    )


async def test_appsecret_in_place_of_signsecret_is_told() -> None:
    async with stage() as (found, connection):
        mixed = {**connection.secrets, "sign_secret": connection.secrets["app_secret"]}
        with pytest.raises(errors.CredentialRefused) as caught:
            await found.caller.probe(replace(connection, secrets=mixed))
        assert "signSecret" in caught.value.hint["zh"]


# Pushes.


def _connection(**config: Any) -> model.Connection:
    given_config = {"app_key": APP, "seller_id": SELLER, **config}
    return model.Connection("ks", registry.get("kuaishou"), given_config, {"message_key": KEY})


def _message(**more: Any) -> dict[str, Any]:
    info = json.dumps({"oid": 2607600000000301, "status": 30})
    head = {"eventId": "e1", "msgId": "m1", "bizId": 2607600000000301, "userId": int(SELLER), "appKey": APP}
    return {
        **head,
        "event": "kwaishop_order_paySuccess",
        "info": info,
        "updateTime": 1773750945776,
        "test": False,
        **more,
    }


def _opened(body: str | bytes, connection: model.Connection) -> list[model.SourceEvent]:
    raw = body.encode() if isinstance(body, str) else body
    spec = connection.declaration.events["push"].verify
    assert spec is not None
    verified = verify.verify(model.RawHook("POST", {}, {}, raw), connection, spec, 0.0)
    return decode.events(connection.declaration, "push", verified.plaintext, connection, verified)


def test_blanks_around_a_push_and_an_empty_open_id_do_no_harm() -> None:
    text = signer.encrypt(KEY, json.dumps(_message(openId=None)).encode())
    for body in (text, text + "\r\n", f"\n {text}\t"):
        (event,) = _opened(body, _connection())
        assert (event.message, event.record, event.dedupe) == ("order", "2607600000000301", "order:e1")


def test_messages_of_other_sellers_are_kept_but_not_synced() -> None:
    text = signer.encrypt(KEY, json.dumps(_message(userId=99)).encode())
    (event,) = _opened(text, _connection())
    assert (event.message, event.entity) == ("foreign", None)
    (event,) = _opened(text, _connection(seller_id=""))
    assert event.message == "order"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"test": false}',
        b'{"test": true, "bizId": 1}',
        json.dumps(_message(appKey="ks000000000000000000")).encode(),
        json.dumps(_message(eventId="")).encode(),
        json.dumps(_message(event="kwaishop order")).encode(),
        json.dumps(_message(info="{")).encode(),
        json.dumps(_message(info="[1]")).encode(),
        b"\xff" * 32,
    ],
)
def test_what_opens_but_is_not_the_platforms_is_refused_in_the_same_words(content: bytes) -> None:
    with pytest.raises(errors.HookRefused) as caught:
        _opened(signer.encrypt(KEY, content), _connection())
    assert (caught.value.reason, caught.value.detail) == ("forged", "cannot be decrypted")


@pytest.mark.parametrize("key", ["", " ", "short", base64.b64encode(bytes(32)).decode(), "签名签名签名"])
def test_a_key_that_is_none_opens_nothing(key: str) -> None:
    text = signer.encrypt(KEY, json.dumps(_message()).encode())
    with pytest.raises(errors.HookRefused) as caught:
        _opened(text, replace(_connection(), secrets={"message_key": key}))
    assert caught.value.reason == "misconfigured"


def test_the_last_character_of_base64_cannot_be_respelt() -> None:
    text = next(
        made for pad in range(16)
        if (made := signer.encrypt(KEY, json.dumps(_message(msgId="x" * pad)).encode())).endswith("==")
    )  # fmt: skip
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = [
        letter
        for letter in alphabet
        if letter != text[-3] and base64.b64decode(f"{text[:-3]}{letter}==") == base64.b64decode(text)
    ]
    assert other
    for letter in other:
        with pytest.raises(errors.HookRefused):
            _opened(f"{text[:-3]}{letter}==", _connection())


async def test_the_heartbeat_is_acknowledged_and_means_nothing() -> None:
    push = rehearsal.of("kuaishou").pushes[1]
    async with door.pushed("kuaishou", push) as (found, opened):
        beats = [event for one in opened.taken for event in one.events if event.message == "test"]
        assert len(beats) == 1
        assert beats[0].entity is None
        assert all(one.state == "acknowledged" for one in found.simulator.pushes)


# Shipping, stock and after-sales.


async def test_a_change_carries_nothing_secret_in_its_address() -> None:
    async with stage() as (found, connection):
        parcel = {"orderId": int(await sold(found)), "expressNo": "SF1000000000001", "expressCode": 4}
        sent = (await found.call(connection, "shipment.send", parcel)).exchanges[-1]
        assert sent.method == "POST"
        assert "?" not in sent.url
        assert "access_token=***" in sent.request


async def test_the_same_waybill_again_is_a_success_and_another_one_is_not() -> None:
    async with stage() as (found, connection):
        oid = await sold(found)
        parcel = {"orderId": int(oid), "expressNo": "SF1000000000001", "expressCode": 4}
        for _ in range(2):
            assert (await found.call(connection, "shipment.send", parcel)).record_id == "SF1000000000001"
        with pytest.raises(errors.Rejected):
            await found.call(connection, "shipment.send", {**parcel, "expressNo": "SF1000000000002"})
        assert found.effects() == [("shipment", oid)]
        with pytest.raises(errors.Rejected) as caught:
            await found.call(
                connection,
                "shipment.send",
                {**parcel, "orderId": int(await sold(found, customer=3)), "expressCode": 999},
            )
        assert caught.value.code == "11"
        assert "快递公司不存在" in str(caught.value)


async def test_blocked_risky_and_refunding_orders_are_on_hold() -> None:
    async with stage() as (found, connection):
        assert (await read(found, connection, await sold(found, blocked=[3])))["hold_reason"] == "平台禁止发货"
        risky = await sold(found, risk=2)
        assert (await read(found, connection, risky))["hold_reason"] == "平台风控检查中"
        parcel = {"orderId": int(risky), "expressNo": "SF1000000000001", "expressCode": 4}
        assert (await found.call(connection, "shipment.send", parcel)).waiting
        await control(found, f"/orders/{risky}/release")
        assert not (await read(found, connection, risky))["hold"]
        refund = (await control(found, f"/orders/{risky}/refund"))["id"]
        assert (await read(found, connection, risky))["hold_reason"] == "有未完结的售后"
        assert (await found.call(connection, "shipment.send", parcel)).waiting
        for status in (20, 22, 30, 40, 45, 50):
            found.simulator.shop.orders[int(risky)]["refunds"][0]["refundStatus"] = status
            assert (await read(found, connection, risky))["hold"], status
            assert (await found.call(connection, "shipment.send", parcel)).waiting, status
        found.simulator.shop.orders[int(risky)]["refunds"][0]["refundStatus"] = 10
        await control(found, f"/refunds/{refund}/withdraw")
        assert not (await read(found, connection, risky))["hold"]
        assert not (await found.call(connection, "shipment.send", parcel)).waiting


async def test_a_list_row_and_the_detail_mean_the_same() -> None:
    async with stage() as (found, connection):
        oid = await sold(found)
        await control(found, f"/orders/{oid}/refund", way=1)
        (row,) = (await found.call(connection, "order.list", {})).data
        listed = library.shipped("kuaishou", "order").from_native(row)
        assert listed == await read(found, connection, oid)
        assert listed["lines"][0]["refund_status"] == "open"


@pytest.mark.parametrize(("before", "wanted"), [(10, 3), (3, 10), (5, 5), (0, 0), (7, 0)])
async def test_stock_is_set_by_the_difference(before: int, wanted: int) -> None:
    async with stage() as (found, connection):
        one = found.simulator.shop.goods[0]
        found.simulator.shop.stock[one.sku_id] = before
        level = {"kwaiItemId": one.item_id, "skuId": one.sku_id, "target": wanted}
        await found.call(connection, "stock.set", level)
        assert found.simulator.shop.stock[one.sku_id] == wanted
        await found.call(connection, "stock.set", level)
        assert found.simulator.shop.stock[one.sku_id] == wanted
        assert len(found.effects()) == (before != wanted)


async def test_a_lost_answer_to_a_difference_is_read_again_not_sent_again() -> None:
    async with stage() as (found, connection):
        one = found.simulator.shop.goods[0]
        level = {"kwaiItemId": one.item_id, "skuId": one.sku_id, "target": 990}
        found.simulator.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await found.call(connection, "stock.set", level)
        assert found.simulator.shop.stock[one.sku_id] == 990
        await found.call(connection, "stock.set", level, fresh=False)
        assert found.simulator.shop.stock[one.sku_id] == 990, "980 would be the difference sent twice"


async def test_a_sku_of_another_item_is_refused_before_anything_is_sent() -> None:
    async with stage() as (found, connection):
        first = found.simulator.shop.goods[0]
        other = next(one for one in found.simulator.shop.goods if one.item_id != first.item_id)
        with pytest.raises(errors.Rejected) as caught:
            await found.call(connection, "stock.set", {"kwaiItemId": first.item_id, "skuId": other.sku_id, "target": 1})
        assert "SKU" in caught.value.hint["zh"]
        assert not found.effects()


async def test_an_answer_to_an_after_sale_that_moved_on_is_not_given() -> None:
    async with stage() as (found, connection):
        oid = await sold(found)
        refund = (await control(found, f"/orders/{oid}/refund", way=10))["id"]
        answer = {"refundId": int(refund)}
        assert (await found.call(connection, "after_sale.agree_refund", answer)).record_id == refund
        assert (await found.call(connection, "after_sale.agree_refund", answer)).already
        assert (await read(found, connection, oid))["status"] == "closed"
        other = (await control(found, f"/orders/{await sold(found)}/refund", way=10))["id"]
        with pytest.raises(errors.Rejected):
            await found.call(connection, "after_sale.agree_return", {"refundId": int(other)})
        await control(found, f"/refunds/{other}/withdraw")
        with pytest.raises(errors.Rejected):
            await found.call(connection, "after_sale.refuse", {"refundId": int(other), "reasonCode": 3})
        assert found.effects() == [("after_sale", refund)]


async def test_cursors_end_at_the_vendors_word() -> None:
    async with stage() as (found, connection):
        await sold(found, count=201)
        rows = (await found.call(connection, "order.list", {})).data
        assert len({row["orderBaseInfo"]["oid"] for row in rows}) == len(rows) == 201


async def test_a_part_is_shipped_once_and_never_more_than_was_bought() -> None:
    async with stage() as (found, connection):
        oid = await sold(found)
        parcel = {"orderId": oid, "expressNo": "SF1000000000003", "expressCode": 4}
        some, many = ({**parcel, "goods": [{"oid": int(oid), "deliveryNum": count}]} for count in (1, 99))
        with pytest.raises(errors.Rejected) as refused:
            await found.call(connection, "shipment.send_part", many)
        assert "数量" in refused.value.message
        assert not (await found.call(connection, "shipment.send_part", some)).already
        assert (await found.call(connection, "shipment.send_part", some, fresh=False)).already
        assert [one.kind for one in found.simulator.journal.effects] == ["shipment"]
        assert (await read(found, connection, oid))["status"] == "shipped"

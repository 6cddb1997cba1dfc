"""JD: signatures beside independent code, answers that fail with code 0, the grant's last day, and no effect twice."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jd.jd import comm
from pyjos import client as peer

from connectors.core import auth, client, errors, pacing
from connectors.jd import signer
from connectors.simulator import engine
from mappings import library
from tests.conformance import jd_peer


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jd"]) as base:
        yield base


@pytest.fixture
def beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The vendor's local time, for peers that write their own clock."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# Signatures

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_0369", min_size=1)
PLAIN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@"), min_size=1)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, PLAIN), st.text("0123456789abcdef", min_size=1))
def test_signature_as_pyjos_makes_it(params: dict[str, str], secret: str) -> None:
    params.pop("sign", None)
    made = peer.JdClient()
    made.app_secret = secret
    assert signer.digest(secret, params) == made.generate_sign(params)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), min_size=1)), st.text("0af", min_size=1)
)
def test_signature_as_the_package_jd_makes_it(params: dict[str, str], secret: str) -> None:
    params.pop("sign", None)
    oracle = comm.Comm()
    oracle._appsecret = secret
    assert signer.digest(secret, params) == oracle.sign(dict(params))


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(errors.Misdeclared):
        signer.digest("", {"a": "1"})


def test_the_zone_is_written_out() -> None:
    assert signer.stamp(1620350439.683) == "2021-05-07 09:20:39.683+0800"


class _Ask:
    def __init__(self, method: str, params: dict[str, Any]) -> None:
        self.api_method_name, self.api_params = method, json.dumps(params)


async def test_pyjos_runs_against_the_simulator(url: engine.Url, beijing: None) -> None:
    settings_of = jd_peer.shop(url).settings
    caller = peer.JdClient()
    caller.server_url, caller.timeout = f"{url}/jd/routerjson", (5, 5)
    caller.app_key, caller.app_secret = settings_of["app_key"], settings_of["app_secret"]
    number = await jd_peer.sold(url)
    asked = _Ask("jingdong.pop.order.get", {"order_id": number, "optional_fields": "orderId,orderState"})
    found = await asyncio.to_thread(caller.execute, asked, settings_of["access_token"])
    assert found["jingdong_pop_order_get_responce"]["orderDetailInfo"]["orderInfo"] == {
        "orderId": number,
        "orderState": "WAIT_SELLER_STOCK_OUT",
    }
    caller.app_secret = "wrong"
    refused = await asyncio.to_thread(caller.execute, asked, settings_of["access_token"])
    assert refused["error_response"]["code"] == "12"


def signed(url: engine.Url, **params: str) -> dict[str, str]:
    known = jd_peer.shop(url).settings
    full = {"app_key": known["app_key"], "access_token": known["access_token"], "v": "2.0", **params}
    full.setdefault("timestamp", signer.stamp(time.time()))
    text = known["app_secret"] + "".join(f"{key}{full[key]}" for key in sorted(full)) + known["app_secret"]
    return full | {"sign": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()}


async def test_every_transport_is_taken_and_everything_received_is_signed(url: engine.Url) -> None:
    gateway = f"{url}/jd/routerjson"
    more = {"method": "jingdong.vender.shop.query", "360buy_param_json": "{}", "format": "json"}
    params = signed(url, **more)
    business = {"360buy_param_json": params["360buy_param_json"]}
    rest = {key: value for key, value in params.items() if key not in business}
    async with httpx.AsyncClient() as http:
        answers = [
            await http.get(gateway, params=params),
            await http.post(gateway, data=params),
            await http.post(gateway, params=rest, data=business),
        ]
        forged = await http.get(gateway, params={**params, "extra": "1"})
        late = await http.get(gateway, params=signed(url, **more, timestamp=signer.stamp(time.time() - 361)))
    assert all("jingdong_vender_shop_query_responce" in one.json() for one in answers)
    assert forged.json()["error_response"]["code"] == "12"
    assert late.json()["error_response"]["code"] == "8"


# Reading


async def test_the_token_is_nowhere_in_the_body_and_nothing_secret_shows(url: engine.Url, calls: client.Client) -> None:
    shop = jd_peer.connection(url)
    outcome = await calls.probe(shop)
    assert outcome.record_id == "20000001"
    assert not [secret for secret in shop.secrets.values() if secret in repr(outcome.exchanges)]


async def test_every_order_of_a_window_is_read_once(url: engine.Url, calls: client.Client) -> None:
    made = await jd_peer.control(url, "orders", count=130)
    now = datetime.now(UTC)
    window = (now - timedelta(minutes=10), now + timedelta(minutes=10))
    shop = jd_peer.connection(url)
    found = [row async for page in calls.pages(shop, "order.list", {}, window) for row in page]
    assert sorted(row["orderId"] for row in found) == sorted(one["orderId"] for one in made["orders"])


async def _record(url: engine.Url, calls: client.Client, number: str) -> Any:
    order = (await calls.call(jd_peer.connection(url), "order.get", {"orderId": number})).data
    return library.shipped("jd", "order").from_native(order, {})


async def test_a_cancelling_buyer_holds_the_order_until_it_is_answered(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url), jd_peer.connection(url)
    assert (await _record(url, calls, number))["hold"] is False
    application = (await jd_peer.control(url, f"orders/{number}/refund"))["id"]
    held = await _record(url, calls, number)
    assert (held["status"], held["hold"]) == ("paid", True)
    parcel = {"orderId": number, "logiCoprId": "467", "logiNo": "SF1000001"}
    assert (await calls.call(shop, "shipment.send", parcel)).waiting
    reply = {"id": application, "status": 2, "checkUserName": "客服一", "remark": "已发出"}
    assert not (await calls.call(shop, "refund.reply", reply)).already
    assert (await _record(url, calls, number))["hold"] is False
    await jd_peer.control(url, f"orders/{number}/pause")
    assert (await _record(url, calls, number))["hold"] is True
    await jd_peer.control(url, f"orders/{number}/resume")
    assert not (await calls.call(shop, "shipment.send", parcel)).waiting
    ours = await jd_peer.sold(url, warehouse=True)
    assert (await _record(url, calls, ours))["hold_reason"] == "由京东仓发货，商家不发"


async def test_a_refund_in_fen_closes_the_order(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url, skus=["TEA-01"]), jd_peer.connection(url)
    application = (await jd_peer.control(url, f"orders/{number}/refund"))["id"]
    row = (await calls.call(shop, "refund.get", {"id": application})).data
    record = library.shipped("jd", "refund_application").from_native(row, {})
    assert (record["amount"], record["status"], record["order_id"]) == (Decimal(68), "requested", number)
    await jd_peer.control(url, f"applications/{application}", status=3)
    assert (await _record(url, calls, number))["status"] == "closed"


async def test_a_split_parent_is_no_cancellation(url: engine.Url, calls: client.Client) -> None:
    number = await jd_peer.sold(url, skus=["TEA-01", "CUP-01"])
    children = (await jd_peer.control(url, f"orders/{number}/split"))["children"]
    parent = await _record(url, calls, number)
    assert (parent["status"], parent["extra"]) == ("closed", {"split": True})
    records = [await _record(url, calls, one["orderId"]) for one in children]
    assert [one["extra"] for one in records] == [{"parent_order_id": number}] * 2
    assert sum(one["total"] for one in records) == Decimal("197.00")


async def test_what_each_line_paid_adds_up(url: engine.Url, calls: client.Client) -> None:
    number = await jd_peer.sold(url, skus=["TEA-01", "CUP-01", "LMP-02"])
    record = await _record(url, calls, number)
    assert abs(sum(line["paid"] for line in record["lines"]) - record["total"]) < Decimal("0.0000001")


async def test_an_unknown_order_fails_with_code_0(url: engine.Url, calls: client.Client) -> None:
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(jd_peer.connection(url), "order.get", {"orderId": "1"})
    assert (refused.value.code, refused.value.message) == ("10400001", "订单不存在")


async def test_a_used_up_day_stops_every_call(url: engine.Url, calls: client.Client) -> None:
    shop = jd_peer.connection(url)
    await jd_peer.control(url, "faults", ban=60)
    with pytest.raises(errors.Throttled) as banned:
        await calls.probe(shop)
    assert (banned.value.banned, banned.value.code, banned.value.retry_after) == (True, "2", 3600)
    await jd_peer.control(url, "faults", ban=-60)
    with pytest.raises(errors.Throttled) as again:
        await calls.probe(shop)
    assert not again.value.exchange, "nothing was sent"


# Nothing twice


async def test_shipping_again_is_success_only_with_the_same_waybill(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url), jd_peer.connection(url)
    parcel = {"orderId": number, "logiCoprId": "467", "logiNo": "SF1000001"}
    assert not (await calls.call(shop, "shipment.send", parcel)).already
    assert (await calls.call(shop, "shipment.send", parcel)).already
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(shop, "shipment.send", {**parcel, "logiNo": "SF1000002"})
    assert (refused.value.code, refused.value.message) == ("10400000", "订单已经出库，请勿重复操作")
    assert "运单号" in refused.value.hint["zh"]
    assert [one.kind for one in jd_peer.shop(url).journal.effects] == ["shipment"]


async def test_an_application_answered_otherwise_is_no_success(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url), jd_peer.connection(url)
    application = (await jd_peer.control(url, f"orders/{number}/refund"))["id"]
    agreed = {"id": application, "status": 1, "checkUserName": "客服一", "remark": ""}
    await calls.call(shop, "refund.reply", agreed)
    assert (await calls.call(shop, "refund.reply", agreed, fresh=False)).already
    assert (await calls.call(shop, "refund.reply", agreed)).already, "refused, and the application says the same"
    with pytest.raises(errors.Rejected):
        await calls.call(shop, "refund.reply", {**agreed, "status": 2})
    assert [one.kind for one in jd_peer.shop(url).journal.effects] == ["refund_reply"]


@pytest.mark.parametrize("operation", ["stock.set", "memo.update"])
async def test_a_false_anywhere_in_an_answer_is_no_success(
    url: engine.Url, calls: client.Client, operation: str
) -> None:
    wrong = {"stock.set": {"skuId": 1, "stockNum": 5}, "memo.update": {"order_id": "1", "remark": "x"}}
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(jd_peer.connection(url), operation, wrong[operation])
    assert refused.value.hint["zh"]


# The grant


async def test_a_token_is_renewed_in_its_last_day_and_the_new_pair_goes_on(url: engine.Url) -> None:
    now, sim = time.time(), jd_peer.shop(url)
    sim.configure({"lifetime": 43200 + 60})
    store = auth.MemoryTokens(lambda: now)
    shop = jd_peer.connection(url)
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer(), now=lambda: now)) as caller:
        first = await caller.probe(shop)
        now += 120
        second = await caller.call(shop, "shop.get", {})
    assert [one.operation for one in first.exchanges] == ["shop.get"]
    assert [one.operation for one in second.exchanges] == ["token", "shop.get"]
    kept = await store.kept("shop")
    assert kept is not None
    assert kept.value == sim.grant.access != sim.settings["access_token"]
    assert kept.extra["refresh_token"] == sim.grant.refresh != sim.settings["refresh_token"]
    assert kept.expires_at - now == pytest.approx(31535999 - 43200, abs=5)
    assert sim.grant.refresh not in repr(second.exchanges)


async def test_refused_long_before_its_end_is_a_withdrawn_authorisation(url: engine.Url, calls: client.Client) -> None:
    far = (datetime.now(UTC) + timedelta(days=90)).strftime("%Y-%m-%d %H:%M:%S")
    shop = jd_peer.connection(url, token_expires=far)
    await calls.probe(shop)
    await jd_peer.control(url, "expire_token", renewable=False)
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(shop)
    assert [one.operation for one in refused.value.exchange] == ["shop.get"], "the vendor was not asked in vain"
    assert "重新授权" in refused.value.hint["zh"]


async def test_without_a_refresh_token_or_after_the_end_a_person_is_needed(
    url: engine.Url, calls: client.Client
) -> None:
    await jd_peer.control(url, "expire_token")
    with pytest.raises(errors.CredentialRefused):
        await calls.probe(jd_peer.connection(url, secrets={"refresh_token": ""}))
    with pytest.raises(errors.CredentialRefused):
        await calls.probe(jd_peer.connection(url, token_expires="2024-01-01 00:00:00"))
    with pytest.raises(errors.Misdeclared):
        await calls.probe(jd_peer.connection(url, token_expires="2024-13-01"))


async def test_the_vendor_refuses_a_renewal_before_the_last_day(url: engine.Url, calls: client.Client) -> None:
    await jd_peer.control(url, "expire_token", renewable=False)
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(jd_peer.connection(url))
    assert refused.value.code == "400"
    assert "simulated-refresh-token" not in repr(refused.value.exchange)


async def test_a_new_grant_in_the_form_goes_before_the_old_chain(url: engine.Url, calls: client.Client) -> None:
    await calls.probe(jd_peer.connection(url))
    told = await jd_peer.control(url, "authorize")
    with pytest.raises(errors.CredentialRefused):
        await calls.probe(jd_peer.connection(url))
    fresh = {"access_token": told["access_token"], "refresh_token": told["refresh_token"]}
    assert (await calls.probe(jd_peer.connection(url, secrets=fresh))).record_id == "20000001"


async def test_an_authorisation_server_that_is_away_stops_nothing_while_the_token_lives(url: engine.Url) -> None:
    now = time.time()
    jd_peer.shop(url).configure({"lifetime": 43200 + 60})
    store = auth.MemoryTokens(lambda: now)
    shop = jd_peer.connection(url, oauth_url="http://127.0.0.1:9/oauth2")
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer(), now=lambda: now)) as caller:
        await caller.probe(shop)
        now += 120
        outcome = await caller.call(shop, "shop.get", {})
        assert [one.operation for one in outcome.exchanges] == ["token", "shop.get"]
        await jd_peer.control(url, "expire_token")
        with pytest.raises(errors.Unavailable):
            await caller.call(shop, "shop.get", {})

"""Youzan: pushes in every form of the vendor, tokens of both kinds of application, and no effect twice."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.core import auth, client, decode, errors, model, pacing, registry, verify
from connectors.simulator import engine
from connectors.youzan import callback, simulator
from connectors.youzan.simulated import refunds
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "youzan")
OURS: dict[str, Any] = simulator.Simulator.SETTINGS


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["youzan"], time_scale=0.0001) as base:
        yield base


def shop(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["youzan"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(url: str, *, secrets: dict[str, str] | None = None, **config: Any) -> model.Connection:
    known = {"base_url": f"{url}/youzan", "client_id": OURS["client_id"], "kdt_id": OURS["kdt_id"]}
    hidden = {"client_secret": OURS["client_secret"], "refresh_token": OURS["refresh_token"], **(secrets or {})}
    return model.Connection("mall", registry.get("youzan"), {**known, **config}, hidden)


async def sold(url: str, **wish: Any) -> str:
    made = await control(url, "orders", **wish)
    return str(made["orders"][0]["tid"])


# Pushes


def pushed(body: dict[str, Any], secret: str = OURS["client_secret"]) -> model.RawHook:
    """A push as the vendor's rule makes it, by nobody's code but this."""
    raw = json.dumps(body, ensure_ascii=False).encode()
    proof = hashlib.md5(OURS["client_id"].encode() + raw + secret.encode(), usedforsecurity=False).hexdigest()
    return model.RawHook("POST", {}, {"event-sign": proof, "content-type": "application/json"}, raw)


def taken(hook: model.RawHook) -> model.SourceEvent:
    ours = connection("http://127.0.0.1:9")
    source = ours.declaration.events["push"]
    assert source.verify is not None
    verified = verify.verify(hook, ours, source.verify, time.time())
    (event,) = decode.events(ours.declaration, "push", verified.plaintext, ours, verified)
    return event


HINT = {"kdt_id": 160001, "id": "E1", "type": "trade_TradeSuccess", "msg_id": "m-1", "version": 7, "sendCount": 0}
SAID = {"tid": "E1", "close_reason": "a+b 100% 超时"}
TEXT = json.dumps(SAID, ensure_ascii=False)


@pytest.mark.parametrize("msg", [SAID, TEXT, quote(TEXT, safe=""), quote_plus(TEXT)])
def test_what_a_push_says_is_read_in_each_of_its_forms(msg: Any) -> None:
    event = taken(pushed({**HINT, "msg": msg}))
    assert (event.message, event.entity, event.record) == ("trade", "order", "E1")
    assert json.loads(event.payload)["msg"] == SAID


@given(st.none() | st.booleans() | st.integers() | st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_msg_at_all_is_no_error(msg: Any) -> None:
    found = callback.content(msg)
    assert found == msg or isinstance(found, dict | list)


def test_a_repeated_push_is_the_same_event() -> None:
    first = taken(pushed({**HINT, "msg": SAID}))
    again = taken(pushed({**HINT, "msg": SAID, "sendCount": 3}))
    other = taken(pushed({**HINT, "msg": SAID, "msg_id": "m-2"}))
    assert first.dedupe == again.dedupe != other.dedupe


@pytest.mark.parametrize(
    ("change", "message", "entity"),
    [
        ({"kdt_id": 999, "root_kdt_id": 998}, "elsewhere", None),
        ({"kdt_id": 999, "root_kdt_id": 160001}, "trade", "order"),
        ({"test": True}, "test", None),
        ({"type": "youzan_trade_RefundSuccess"}, "refund", "after_sale"),
        ({"type": "trade_refund_RefundClosed"}, "refund", "after_sale"),
        ({"type": "youzan_item_SkuStockChanged"}, "item", "product"),
        ({"type": "ITEM_INFO"}, "item", "product"),
        ({"type": "SCRM_CUSTOMER_EVENT", "msg": {"yz_open_id": "yt1"}}, "customer", "customer"),
        ({"type": "POINTS"}, "other", None),
    ],
)
def test_each_family_is_what_it_is(change: dict[str, Any], message: str, entity: str | None) -> None:
    event = taken(pushed({**HINT, "msg": SAID, **change}))
    assert (event.message, event.entity) == (message, entity)


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"{", b"\xff\xfe", b"1" * 300])
def test_a_signed_body_that_is_no_object_is_refused(body: bytes) -> None:
    proof = callback.digest(OURS["client_id"], OURS["client_secret"], body)
    with pytest.raises(errors.HookRefused) as refused:
        taken(model.RawHook("POST", {}, {"event-sign": proof}, body))
    assert refused.value.reason == "garbled"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_noise_opens_to_nothing(noise: bytes) -> None:
    with pytest.raises(callback.Unopened):
        callback.decrypt(OURS["client_secret"], noise.decode("latin-1"))


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_what_was_sealed_opens_again(said: dict[str, Any]) -> None:
    plain = json.dumps(said).encode()
    sealed = callback.encrypt(OURS["client_secret"], plain)
    assert callback.decrypt(OURS["client_secret"], sealed) == plain
    assert callback.decrypt(OURS["client_secret"], quote(sealed, safe="")) == plain


async def test_a_push_with_the_whole_order_says_the_same_as_the_detail_call(
    url: engine.Url, calls: client.Client
) -> None:
    tid = await sold(url, skus=["TEA-01", "CUP-01"])
    order = (await calls.call(connection(url), "order.get", {"tid": tid})).data
    whole = {**HINT, "id": tid, "type": "trade_TradeBuyerPay", "msg": {"full_order_info": order["full_order_info"]}}
    event, spec = taken(pushed(whole)), registry.get("youzan")
    assert (event.message, event.record) == ("trade_full", tid)
    mapping = library.shipped("youzan", "order")
    by_push = mapping.from_native(decode.native(event.payload, spec.messages["trade_full"]), {})
    now = datetime.now(UTC)
    window = (now - timedelta(minutes=5), now + timedelta(minutes=5))
    (rows,) = [page async for page in calls.pages(connection(url), "order.list", {}, window)]
    assert by_push == mapping.from_native(order, {}) == mapping.from_native(rows[0], {})
    assert by_push["total"] == Decimal("207.00")
    assert by_push["lines"][0]["spec"] == "50g"


# Tokens


async def ask(url: str, **asked: Any) -> Any:
    known = {"client_id": OURS["client_id"], "client_secret": OURS["client_secret"]}
    async with httpx.AsyncClient() as http:
        return (await http.post(f"{url}/youzan/auth/token", json={**known, **asked})).json()


async def test_our_call_is_what_the_official_sdk_sends(url: engine.Url, calls: client.Client) -> None:
    tid = await sold(url)
    outcome = await calls.call(connection(url), "order.get", {"tid": tid})
    token, call = outcome.exchanges
    assert token.operation == "token"
    assert call.url == f"{url}/youzan/api/youzan.trade.get/4.0.2?access_token=***"
    assert call.request.endswith(json.dumps({"tid": tid}, separators=(",", ":")))
    assert OURS["client_secret"] not in repr(outcome.exchanges)


async def test_a_token_in_force_is_given_again_and_only_to_json(url: engine.Url) -> None:
    silent = {"authorize_type": "silent", "grant_id": OURS["kdt_id"], "refresh": False}
    first, again = await ask(url, **silent), await ask(url, **silent)
    assert first["data"]["access_token"] == again["data"]["access_token"]
    assert first["data"]["expires"] > time.time() * 1000
    forced = await ask(url, **{**silent, "refresh": True})
    assert forced["data"]["access_token"] != first["data"]["access_token"]
    async with httpx.AsyncClient() as http:
        form = await http.post(f"{url}/youzan/auth/token", data={"client_id": OURS["client_id"]})
        old = f"{url}/youzan/api/youzan.shop.basic.get/3.0.0?access_token={first['data']['access_token']}"
        refused = (await http.post(old, json={})).json()
    assert form.json()["code"] == 1000
    assert refused["gw_err_resp"]["err_code"] == 4202


async def test_a_tools_chain_goes_on_and_each_refresh_token_works_once(url: engine.Url) -> None:
    store = auth.MemoryTokens()
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer())) as calls:
        tool = connection(url, app_type="tool")
        chain = [OURS["refresh_token"]]
        for _ in range(3):
            await calls.probe(tool)
            kept = await store.kept("mall#1")
            assert kept is not None
            chain.append(kept.extra["refresh_token"])
            await control(url, "expire_token")
        assert len(set(chain)) == 4
        assert (await ask(url, authorize_type="refresh_token", refresh_token=chain[1]))["code"] == 1004
        shown = (await calls.probe(tool)).exchanges
        assert not [token for token in chain if token in repr(shown)]


async def test_a_grant_unused_for_28_days_needs_a_person(url: engine.Url) -> None:
    now = time.time()
    store = auth.MemoryTokens(lambda: now)
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer(), now=lambda: now)) as calls:
        tool = connection(url, app_type="tool")
        await calls.probe(tool)
        now += 28 * 86400 + 1
        with pytest.raises(errors.CredentialRefused) as refused:
            await calls.probe(tool)
        assert not refused.value.exchange, "the vendor is not asked in vain"
        assert "重新授权" in refused.value.hint["zh"]


@pytest.mark.parametrize(
    ("config", "secrets"),
    [
        ({}, {"client_secret": "another"}),
        ({"kdt_id": "999"}, {}),
        ({"app_type": "tool"}, {"refresh_token": "another"}),
        ({"app_type": "tool"}, {"refresh_token": ""}),
    ],
)
async def test_refused_credentials_wait_for_a_person(
    url: engine.Url, calls: client.Client, config: dict[str, str], secrets: dict[str, str]
) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(connection(url, secrets=secrets, **config))
    assert refused.value.hint["zh"]
    assert "another" not in repr(refused.value.exchange)


# Nothing twice


async def test_every_order_of_a_window_is_read_once(url: engine.Url, calls: client.Client) -> None:
    made = await control(url, "orders", count=230)
    now = datetime.now(UTC)
    window = (now - timedelta(minutes=10), now + timedelta(minutes=10))
    found = [row async for page in calls.pages(connection(url), "order.list", {}, window) for row in page]
    tids = [row["full_order_info"]["order_info"]["tid"] for row in found]
    assert sorted(tids) == sorted(one["tid"] for one in made["orders"])


async def test_shipping_line_by_line_and_again(url: engine.Url, calls: client.Client) -> None:
    tid, mall = await sold(url, skus=["TEA-01", "CUP-01"]), connection(url)
    lines = [
        one["oid"] for one in (await calls.call(mall, "order.get", {"tid": tid})).data["full_order_info"]["orders"]
    ]
    part = {"tid": tid, "oids": lines[0], "out_stype": "7", "out_sid": "SF3100001"}
    assert not (await calls.call(mall, "shipment.send", part)).already
    assert (await calls.call(mall, "shipment.send", part)).already
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(mall, "shipment.send", {**part, "out_sid": "SF3100002"})
    assert refused.value.code == "102570007"
    await calls.call(mall, "shipment.send", {"tid": tid, "out_stype": "3", "out_sid": "ZT3100003"})
    assert shop(url).shop.info(tid)["status"] == "WAIT_BUYER_CONFIRM_GOODS"
    assert [one.kind for one in shop(url).journal.effects] == ["shipment", "shipment"]


@pytest.mark.parametrize("state", ["wait", "close"])
async def test_what_must_not_be_shipped_waits_or_is_refused(url: engine.Url, calls: client.Client, state: str) -> None:
    tid, mall = await sold(url, paid=False), connection(url)
    await control(url, f"orders/{tid}/{state}")
    parcel = {"tid": tid, "out_stype": "7", "out_sid": "SF3100001"}
    if state == "wait":
        assert (await calls.call(mall, "shipment.send", parcel)).waiting
    else:
        with pytest.raises(errors.Rejected):
            await calls.call(mall, "shipment.send", parcel)
    order = (await calls.call(mall, "order.get", {"tid": tid})).data
    record = library.shipped("youzan", "order").from_native(order, {})
    assert (record["status"], record["hold"]) == {"wait": ("paid", True), "close": ("closed", False)}[state]


async def test_a_refund_is_read_right_before_it_is_answered(url: engine.Url, calls: client.Client) -> None:
    tid, mall = await sold(url, skus=["TEA-01"]), connection(url)
    number = (await control(url, f"orders/{tid}/refund"))["refund_id"]
    await control(url, f"refunds/{number}/touch")
    assert not (await calls.call(mall, "refund.agree", {"refund_id": number})).already
    assert (await calls.call(mall, "refund.agree", {"refund_id": number})).already
    order = (await calls.call(mall, "order.get", {"tid": tid})).data
    assert library.shipped("youzan", "order").from_native(order, {})["status"] == "closed"
    with pytest.raises(errors.Rejected):
        await calls.call(mall, "refund.refuse", {"refund_id": number, "remark": "x"})
    assert [one.kind for one in shop(url).journal.effects] == ["refund_answer"]


async def test_a_refund_changed_between_reading_and_answering_is_tried_again(
    url: engine.Url, calls: client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tid, mall = await sold(url), connection(url)
    number = (await control(url, f"orders/{tid}/refund", returning=True))["refund_id"]
    place, answer = shop(url).shop, refunds.answer

    def overtaken(*given: Any) -> None:
        monkeypatch.setattr(refunds, "answer", answer)
        refunds.touch(place, number)
        answer(*given)

    monkeypatch.setattr(refunds, "answer", overtaken)
    with pytest.raises(errors.Unavailable):
        await calls.call(mall, "refund.agree", {"refund_id": number})
    await calls.call(mall, "refund.agree", {"refund_id": number}, fresh=False)
    assert place.refunds[number]["status"] == "WAIT_BUYER_RETURN_GOODS"
    assert [one.kind for one in shop(url).journal.effects] == ["refund_answer"]


async def test_a_customer_that_is_there_already_counts_as_created(url: engine.Url, calls: client.Client) -> None:
    mall, given = connection(url), {"account_id": "13800000001", "customer": {"name": "客户甲"}}
    assert not (await calls.call(mall, "customer.create", given)).already
    assert (await calls.call(mall, "customer.create", given)).already
    assert [one.kind for one in shop(url).journal.effects] == ["customer"]
    unknown = {"account_type": "Mobile", "account_id": "13900000009", "customer": {"name": "x"}}
    with pytest.raises(errors.Rejected):
        await calls.call(mall, "customer.update", unknown)
    found = await calls.call(mall, "customer.get", {"account_id": "yt-nobody"})
    assert found.data is None


async def test_tags_are_a_set_and_new_customers_are_found_page_by_page(url: engine.Url, calls: client.Client) -> None:
    mall = connection(url)
    for number in range(60):
        await control(url, "customers", mobile=f"138000{number:05d}", name=f"客户{number}")
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=5))
    rows = [row async for page in calls.pages(mall, "customer.list", {}, window) for row in page]
    assert sorted(row["mobile"] for row in rows) == [f"138000{number:05d}" for number in range(60)]
    for wish in (["高价值"], ["高价值"], ["高价值", "茶友"]):
        person = {"id": "C1", "name": "客户", "phone": "13800000000", "tags": wish}
        await calls.call(mall, "customer.tag", library.shipped("youzan", "tags").to_native(person, {}))
    found = await calls.call(mall, "customer.get", {"account_id": rows[-1]["yz_open_id"]})
    known = await calls.call(mall, "customer.get", {"account_type": "2", "account_id": "13800000000"})
    assert known.data["tags"] == [{"tag_name": "高价值"}, {"tag_name": "茶友"}], found.data
    assert [one.kind for one in shop(url).journal.effects].count("tag") == 2
    with pytest.raises(errors.Rejected):
        await calls.call(mall, "customer.tag", {"account_id": "13900000009", "tags": [{"tag_name": "x"}]})


async def test_an_order_that_is_not_there_yet_is_asked_for_again(url: engine.Url, calls: client.Client) -> None:
    with pytest.raises(errors.Unavailable) as wait:
        await calls.call(connection(url), "order.get", {"tid": "E1"})
    assert "半分钟" in wait.value.hint["zh"]


# The simulator's own schedule


async def test_an_unacknowledged_push_comes_sixteen_times_more_at_most(url: engine.Url) -> None:
    shop(url).configure({"push_url": "http://127.0.0.1:9/hooks/mall"})
    await sold(url, paid=False)
    await shop(url).settle(20)
    (push,) = shop(url).pushes
    assert (push.state, len(push.tries)) == ("given_up", 1 + 16)


async def test_goods_come_back_before_the_money_goes(url: engine.Url, calls: client.Client) -> None:
    mall, tid = connection(url), await sold(url)
    made = await control(url, f"orders/{tid}/refund", returning=True)
    record = {"id": made["refund_id"], "kind": "return", "status": "accepted", "order_id": tid}
    given = library.shipped("youzan", "decision").to_native(record, {})
    await calls.call(mall, "return.agree", given)
    assert (await calls.call(mall, "return.agree", given)).already
    assert (await calls.call(mall, "return.received", given)).waiting
    await control(url, f"refunds/{made['refund_id']}", status="WAIT_SELLER_CONFIRM_GOODS")
    await calls.call(mall, "return.received", given)
    assert [one.kind for one in shop(url).journal.effects] == ["return_answer", "refund_answer"]
    with pytest.raises(errors.Rejected):  # what was paid back cannot be refused any more
        await calls.call(mall, "return.refuse", given)

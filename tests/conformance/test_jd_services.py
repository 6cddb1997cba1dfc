"""JD: service orders after receipt, decided on the version that was read, and the code of an authorisation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.core import auth, client, errors, grant, pacing
from connectors.simulator import engine
from mappings import library
from tests.conformance import jd_peer

RETURNS = {
    "returnContactName": "退货组",
    "returnContactTel": "0571-0000000",
    "returnZipcode": "310000",
    "returnProvince": 15,
    "returnCity": 1213,
    "returnCounty": 3411,
    "returnDetailAddress": "示例路1号",
    "returnAddressType": 1,
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jd"]) as base:
        yield base


@pytest.fixture
async def calls() -> AsyncIterator[client.Client]:
    async with contextlib.aclosing(client.Client(auth.MemoryTokens(), pacing.LocalPacer())) as made:
        yield made


async def asked(url: engine.Url) -> dict[str, Any]:
    """What names a fresh service order: a return that waits for the seller's answer."""
    number = await jd_peer.sold(url, skus=["TEA-01"])
    made = await jd_peer.control(url, f"orders/{number}/service", expect=10)
    return {"serviceId": made["serviceId"], "orderId": number}


def effects(url: engine.Url) -> list[str]:
    return [one.kind for one in jd_peer.shop(url).journal.effects]


async def test_a_return_is_agreed_to_received_and_paid_back(url: engine.Url, calls: client.Client) -> None:
    shop, which = jd_peer.connection(url, return_contact=RETURNS), await asked(url)
    answer = {**which, "note": "请寄回仓库", "reason": 19}
    await calls.call(shop, "service.agree", answer)
    assert (await calls.call(shop, "service.agree", answer)).already
    await jd_peer.control(url, f"services/{which['serviceId']}/send_back", waybill="JDX000000000009")
    assert (await calls.call(shop, "service.freight", which)).record_id == "JDX000000000009"
    # Registered as received is not paid back yet: somebody over there decides.
    assert (await calls.call(shop, "service.receive", {**which, "note": "完好"})).waiting
    assert (await calls.call(shop, "service.refunds", {"orderId": which["orderId"]})).data == []
    await jd_peer.control(url, f"services/{which['serviceId']}/settle")
    assert (await calls.call(shop, "service.receive", {**which, "note": "完好"})).already
    (refund,) = (await calls.call(shop, "service.refunds", {"orderId": which["orderId"]})).data
    assert (refund["status"], refund["sameOrderServiceBill"]["serviceId"]) == (13, which["serviceId"])
    assert effects(url) == ["service_agreed", "service_received"]
    row = (await calls.call(shop, "service.get", which)).data
    record = library.shipped("jd", "service_order").from_native(row, {})
    assert (record["status"], record["kind"], record["amount"]) == ("done", "return", Decimal(68))


async def test_goods_sent_back_to_the_buyer_are_no_refund(url: engine.Url, calls: client.Client) -> None:
    shop, which = jd_peer.connection(url), await asked(url)
    await jd_peer.control(url, f"services/{which['serviceId']}/settle", result=70)
    row = (await calls.call(shop, "service.get", which)).data
    assert library.shipped("jd", "service_order").from_native(row, {})["status"] == "closed"
    assert (await calls.call(shop, "service.refunds", {"orderId": which["orderId"]})).data == []


async def test_a_decision_on_an_older_version_is_refused(
    url: engine.Url, calls: client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's answer between our reading and ours: nothing is overruled."""
    shop, which = jd_peer.connection(url), await asked(url)
    record = jd_peer.shop(url).shop.services[which["serviceId"]]
    desk = jd_peer.shop(url).calls.desk
    view = desk.methods["jingdong.asc.query.view"]

    def overtaken(given: dict[str, Any]) -> dict[str, Any]:
        told = view(given)
        record["_version"] += 1
        return told

    monkeypatch.setitem(jd_peer.shop(url).calls.methods, "jingdong.asc.query.view", overtaken)
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(shop, "service.refuse", {**which, "note": "超过七天", "reason": 7})
    assert (refused.value.code, refused.value.message) == ("20002", "服务单版本号已变化，请刷新后重试")
    assert effects(url) == []
    monkeypatch.undo()
    await calls.call(shop, "service.refuse", {**which, "note": "超过七天", "reason": 7})
    assert effects(url) == ["service_refused"]


async def test_a_lost_answer_is_looked_up_and_nothing_is_registered_twice(
    url: engine.Url, calls: client.Client
) -> None:
    shop, which = jd_peer.connection(url, return_contact=RETURNS), await asked(url)
    await calls.call(shop, "service.agree", {**which, "note": "请寄回", "reason": 19})
    await jd_peer.control(url, "faults", drop_reply=1, drop_kinds=["service_received"])
    with contextlib.suppress(errors.OutcomeUnknown):
        await calls.call(shop, "service.receive", {**which, "note": "完好"})
    await jd_peer.control(url, "faults", drop_reply=0)
    assert (await calls.call(shop, "service.receive", {**which, "note": "完好"}, fresh=False)).waiting
    assert effects(url).count("service_received") == 1


async def test_without_a_return_address_the_words_of_the_vendor_are_told(url: engine.Url, calls: client.Client) -> None:
    which = await asked(url)
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(jd_peer.connection(url), "service.agree", {**which, "note": "请寄回", "reason": 19})
    assert refused.value.message == "缺少returnContactName"


# The code of an authorisation


async def test_a_code_is_exchanged_once_and_its_end_is_counted_down(url: engine.Url) -> None:
    now, sim = time.time(), jd_peer.shop(url)
    code = (await jd_peer.control(url, "agree"))["code"]
    given = {"code": code, "access_token": "", "refresh_token": ""}
    shop = jd_peer.connection(url, secrets=given, token_expires="")
    store = auth.MemoryTokens(lambda: now)
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer(), now=lambda: now)) as caller:
        first = await caller.probe(shop)
        assert [one.operation for one in first.exchanges] == ["token", "shop.get"]
        assert sim.grant.access not in repr(first.exchanges)
        assert code not in repr(first.exchanges)
        kept = await store.kept("shop")
        assert kept is not None
        assert grant.granted_until(kept.extra) == pytest.approx(now + 31535999, abs=5)
        assert [one.operation for one in (await caller.probe(shop)).exchanges] == ["shop.get"]
    async with contextlib.aclosing(client.Client(auth.MemoryTokens(), pacing.LocalPacer())) as stranger:
        with pytest.raises(errors.CredentialRefused) as used:
            await stranger.probe(shop)
    assert "重新授权" in used.value.hint["zh"]


async def test_a_code_goes_before_the_old_token_and_a_used_one_does_not(url: engine.Url, calls: client.Client) -> None:
    code = (await jd_peer.control(url, "agree"))["code"]
    assert (await calls.probe(jd_peer.connection(url, secrets={"code": code}))).record_id == "20000001"
    told = await jd_peer.control(url, "authorize")
    by_hand = {"code": code, "access_token": told["access_token"], "refresh_token": told["refresh_token"]}
    async with contextlib.aclosing(client.Client(auth.MemoryTokens(), pacing.LocalPacer())) as other:
        assert (await other.probe(jd_peer.connection(url, secrets=by_hand))).record_id == "20000001"

"""The vendors' own Node packages against our simulators and our bytes: what they send is taken, what we send they read.

A simulator shares our beliefs; these packages were written by, or for, the vendors.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.core import cipher
from connectors.simulator import engine
from connectors.taobao import simulator as taobao
from tests.conformance import node_peer, streaming

pytestmark = [pytest.mark.node, pytest.mark.timeout(180)]


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["taobao", "kuaishou", "pdd"], time_scale=0.001) as base:
        yield base


async def control(url: engine.Url, path: str, **body: Any) -> Any:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/_sim/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# Taobao: multipart calls and the binary message channel, by the vendor's own package


def _top(url: engine.Url) -> dict[str, Any]:
    known = url.simulators["taobao"].settings
    app, secret, session = known["app_key"], known["app_secret"], known["session"]
    return {"url": f"{url}/taobao/router/rest", "app": app, "secret": secret, "session": session}


async def test_top_signs_what_the_gateway_takes_and_is_told_what_is_wrong(url: engine.Url) -> None:
    # Numbers of JavaScript end at 2**53, so the package is given and asked for text.
    tid = str((await control(url, "taobao/orders", count=1))["orders"][0]["tid"])
    ship = {"tid": tid, "out_sid": "SF1000000001", "company_code": "SF"}
    calls = [
        {"method": "taobao.trade.fullinfo.get", "params": {"tid": tid, "fields": "tid,tid_str,status,receiver_name"}},
        {"method": "taobao.trade.memo.update", "params": {"tid": tid, "memo": "备注：加急 & <b>", "flag": 1}},
        {"method": "taobao.logistics.offline.send", "params": ship},
        {"method": "taobao.logistics.offline.send", "params": ship},
    ]
    seen, noted, sent, again = await node_peer.said("ali-topsdk", calls=calls, **_top(url))
    assert seen["ok"]["trade"]["tid_str"] == tid
    assert "modified" in noted["ok"]["trade"]
    assert sent["ok"]["shipping"]["is_success"] is True
    assert again["refused"]["sub_code"].endswith(":B04")
    assert [one.kind for one in url.simulators["taobao"].journal.effects] == ["memo", "shipment"]


async def test_tops_message_client_reads_our_frames_and_we_read_its_confirmations(url: engine.Url) -> None:
    shop = url.simulators["taobao"]
    assert isinstance(shop, taobao.Simulator)
    asked = {**_top(url), "tmc": f"{url}/taobao/tmc".replace("http", "ws", 1), "messages": 4}
    async with node_peer.talking("ali-topsdk", **asked) as lines:
        await streaming.until(lambda: len(shop.channel.open) == 1)
        await control(url, "taobao/orders", count=2)
        heard = [(await node_peer.heard(lines))["message"] for _ in range(4)]
        await streaming.until(lambda: not shop.channel.queue("default").messages)
    assert {one["topic"] for one in heard} == {"taobao_trade_TradeCreate", "taobao_trade_TradeBuyerPay"}
    assert {json.loads(one["content"])["tid"] for one in heard} == {trade["tid"] for trade in shop.shop.trades.values()}


# Kuaishou


@pytest.mark.parametrize("method", ["MD5", "HMAC_SHA256"])
async def test_kuaishous_package_is_authorised_renewed_and_answered(url: engine.Url, method: str) -> None:
    known = url.simulators["kuaishou"].settings
    oid = int((await control(url, "kuaishou/orders", count=1, skus=["TEA-01"]))["orders"][0]["id"])
    calls = [
        {"api": "open.order.detail", "verb": "GET", "param": {"oid": oid}},
        {
            "api": "open.seller.order.goods.deliver",
            "verb": "POST",
            "param": {"orderId": oid, "expressNo": "SF1000000001", "expressCode": 4},
        },
        {"api": "open.seller.order.note.add", "verb": "POST", "param": {"orderId": oid, "note": "短袖 + 备注&"}},
        {"api": "open.order.detail", "verb": "GET", "param": {"oid": 1}},
    ]
    asked = {"url": str(url), "prefix": "/kuaishou", "app": known["app_key"], "secret": known["app_secret"]}
    asked |= {"sign": known["sign_secret"], "method": method, "code": known["code"], "calls": calls}
    first, second, order, sent, noted, unknown = await node_peer.said("kuaishou-merchant-open-api", **asked)
    assert first["ok"]["accessToken"] != second["ok"]["accessToken"]
    assert second["ok"]["refreshTokenExpiresIn"] <= first["ok"]["refreshTokenExpiresIn"]
    assert str(_result(order)["data"]["orderBaseInfo"]["oid"]) == str(oid)
    assert (_result(sent)["result"], _result(noted)["result"]) == (1, 1)
    assert _result(unknown)["result"] != 1
    assert [one.kind for one in url.simulators["kuaishou"].journal.effects] == ["shipment", "note"]


def _result(line: dict[str, Any]) -> Any:
    """The vendor's envelope, whether the package took it for a success or not."""
    (found,) = line.values()
    return found


# Pinduoduo


async def test_pdds_package_signs_what_the_router_takes(url: engine.Url) -> None:
    known = url.simulators["pdd"].settings
    sn = (await control(url, "pdd/orders", count=1))["orders"][0]["order_sn"]
    token = {"access_token": known["access_token"]}
    calls = [
        {"type": "pdd.order.information.get", "params": {**token, "order_sn": sn}},
        {"type": "pdd.order.note.update", "params": {**token, "order_sn": sn, "note": "加急，备注 + & <b>"}},
        {"type": "pdd.order.information.get", "params": {"access_token": "another", "order_sn": sn}},
    ]
    asked = {"url": f"{url}/pdd/api/router", "app": known["client_id"], "secret": known["client_secret"]}
    order, noted, refused = await node_peer.said("pdd-sdk", calls=calls, **asked)
    assert order["ok"]["order_info_get_response"]["order_info"]["order_sn"] == sn
    assert noted["ok"]["response"]["success"] is True
    assert refused["refused"]["error_code"] == 10019


# WeCom: the cipher of callbacks, both ways

KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)


@settings(max_examples=1, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=40, max_size=40), st.text("abcdefghij0123456789", min_size=2, max_size=20))
def test_wecoms_package_opens_what_we_seal_and_we_what_it_seals(texts: list[str], owner: str) -> None:
    token, stamp, nonce = "QDG6eK", "1409659813", "1372623149"
    plain = [{"timestamp": stamp, "nonce": nonce, "message": text} for text in texts]
    sealed = [
        {"timestamp": stamp, "nonce": nonce, "encrypted": cipher.encrypt(KEY, text.encode(), owner)} for text in texts
    ]
    told = asyncio.run(node_peer.said("@wecom/crypto", token=token, key=KEY, id=owner, sealed=sealed, plain=plain))
    opened, made = told[: len(texts)], told[len(texts) :]
    for text, ours, theirs in zip(texts, sealed, opened, strict=True):
        assert (theirs["ok"]["message"], theirs["ok"]["id"]) == (text, owner)
        assert theirs["ok"]["signature"] == cipher.signature(token, stamp, nonce, ours["encrypted"])
    for text, theirs in zip(texts, made, strict=True):
        assert cipher.decrypt(KEY, theirs["ok"]["encrypted"]) == (text.encode(), owner)
        assert theirs["ok"]["signature"] == cipher.signature(token, stamp, nonce, theirs["ok"]["encrypted"])

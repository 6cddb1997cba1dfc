"""Weibo: the address check and pushes through our door, an independent check of the signature, replies."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator

import pytest

from connectors.core import client, decode, errors, model, registry, template, verify
from connectors.simulator import engine
from connectors.weibo import signer, simulator
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "weibo")
KNOWN = simulator.Simulator.SETTINGS
SPEC = registry.get("weibo")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["weibo"], time_scale=0.001) as base:
        yield base


def connection(url: str = "http://127.0.0.1:9") -> model.Connection:
    config = {"base_url": f"{url}/weibo", "reply_url": f"{url}/weibo", "app_key": KNOWN["app_key"]}
    secrets = {key: KNOWN[key] for key in ("app_secret", "access_token")}
    return model.Connection("weibo-test", SPEC, config, secrets)


def opened(method: str, query: dict[str, str], body: bytes, now: float) -> model.VerifiedHook:
    spec = SPEC.events["push"].verify
    assert spec is not None
    return verify.verify(model.RawHook(method, query, {}, body), connection(), spec, now)


@pytest.mark.peers("wechatpy")
def test_an_independent_checker_accepts_our_signature() -> None:
    from wechatpy import exceptions
    from wechatpy.utils import check_signature

    signed = signer.push_signature("xyz123xyz", "1397022061823", "57155157")["signature"]
    check_signature("xyz123xyz", signed, "1397022061823", "57155157")
    with pytest.raises(exceptions.InvalidSignatureException):
        check_signature("another", signed, "1397022061823", "57155157")


def test_the_address_check_is_answered_with_the_echo_and_old_ones_are_refused() -> None:
    now = time.time()
    stamp = str(int(now * 1000))
    query = {"timestamp": stamp, "nonce": "1", "echostr": "hello"}
    query |= signer.push_signature(KNOWN["app_secret"], stamp, "1")
    assert opened("GET", query, b"", now).handshake == b"hello"
    with pytest.raises(errors.HookRefused, match="window"):
        opened("GET", query, b"", now + 700)
    with pytest.raises(errors.HookRefused, match="echostr"):
        opened("GET", {key: value for key, value in query.items() if key != "echostr"}, b"", now)


def test_two_messages_of_one_second_are_two() -> None:
    body = b'{"type":"text","sender_id":2489518277,"created_at":"Mon Jul 16 18:09:20 +0800 2012","text":"%s","data":{}}'
    first, second = (decode.events(SPEC, "push", body % text)[0] for text in (b"a", b"b"))
    assert (first.message, first.record) == ("private_message", "2489518277")
    assert first.dedupe != second.dedupe
    assert decode.events(SPEC, "push", body % b"a")[0].dedupe == first.dedupe
    assert first.occurred_at is not None
    assert first.occurred_at.isoformat() == "2012-07-16T18:09:20+08:00"


async def test_who_left_is_marked_also_where_nothing_is_told_of_strangers(hub: client.Client, url: engine.Url) -> None:
    """Regression: an unfollow was read again, refused (284…), and parked for a person."""
    shop = connection(url)
    await control(url, "/people/2489518280/follow")
    await control(url, "/configure", strangers="refused")
    assert (await hub.call(shop, "user.get", {"uid": "2489518280"})).record_id == "2489518280"
    await control(url, "/people/2489518280/unfollow")
    assert (await hub.call(shop, "user.get", {"uid": "2489518280"})).data is None
    hydrate = SPEC.messages["follower"].hydrate
    assert hydrate is not None
    gone = template.render(hydrate.absent, {"payload": {"sender_id": 2489518280}})
    assert library.shipped("weibo", "customer").from_native(gone, {})["status"] == "unsubscribed"


async def test_replies_need_a_follower_who_acted_and_an_ended_token_stops_the_connection(
    hub: client.Client, url: engine.Url
) -> None:
    site, shop = url.simulators["weibo"], connection(url)
    record = {"id": "m1", "recipients": ["2489518280"], "text": "运费 10% & 包邮"}
    native = library.shipped("weibo", "message").to_native(record)
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "message.reply", native)
    assert refused.value.code == "28406"
    await control(url, "/people/2489518280/follow")
    await hub.call(shop, "message.reply", native)
    assert [one.data for one in site.journal.effects] == ["运费 10% & 包邮"]
    site.ahead = 49 * 3600.0
    with pytest.raises(errors.Rejected):
        await hub.call(shop, "message.reply", native)
    await control(url, "/token/expire")
    with pytest.raises(errors.CredentialRefused) as ended:
        await hub.probe(shop)
    assert ended.value.code == "21327"
    assert KNOWN["access_token"] not in repr(ended.value.exchange)

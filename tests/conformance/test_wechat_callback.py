"""WeChat message push: an independent cipher on both sides, forgeries, the address check, the vendor's own schedule."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.core import cipher, decode, errors, jsontext, model, reply, verify
from connectors.simulator import engine
from connectors.wechat import signer, simulator
from connectors.wechat.simulated import pushes
from tests.conformance.wechat import KNOWN, SPEC, connection, control

PEER = pytest.mark.peers("wechatpy")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wechat"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["wechat"]
    assert isinstance(found, simulator.Simulator)
    return found


@PEER
@pytest.mark.parametrize("form", ["json", "xml"])
def test_what_the_peer_encrypts_comes_through_our_door(form: str) -> None:
    from wechatpy import crypto

    told = {"Event": "channels_ec_order_pay", "CreateTime": 1731400051, "order_info": {"order_id": "37051150584712089"}}
    plain = (
        json.dumps(told)
        if form == "json"
        else (
            "<xml><Event><![CDATA[channels_ec_order_pay]]></Event><CreateTime>1731400051</CreateTime>"
            "<order_info><order_id>37051150584712089</order_id></order_info></xml>"
        )
    )
    now = int(time.time())
    theirs = crypto.WeChatCrypto(KNOWN["token"], KNOWN["encoding_aes_key"], KNOWN["app_id"])
    sealed = theirs.encrypt_message(plain, "nonce1", str(now))
    from wechatpy.utils import check_signature

    outer = decode.parse("xml", sealed.encode() if isinstance(sealed, str) else sealed)
    query = {"timestamp": str(now), "nonce": "nonce1", "msg_signature": outer["MsgSignature"]}
    envelope = {"ToUserName": "gh", "Encrypt": outer["Encrypt"]}
    body = jsontext.dumps(envelope) if form == "json" else sealed.encode()
    verified = opened(model.RawHook("POST", query, {}, body), float(now))
    [event] = decode.events(SPEC, "push", verified.plaintext)
    assert (event.message, event.entity, event.record) == ("order_changed", "order", "37051150584712089")
    # The proof of the address check, by theirs.
    check_signature(KNOWN["token"], signer.url_signature(KNOWN["token"], str(now), "n"), str(now), "n")


@PEER
async def test_what_the_simulator_pushes_can_be_opened_by_the_peer(url: engine.Url, site: simulator.Simulator) -> None:
    from wechatpy import crypto

    site.settings["push_format"] = "xml"
    post = pushes.post(
        "http://127.0.0.1:9", site.settings, {"ToUserName": "gh", "FromUserName": "o", "Event": "SCAN"}, time.time()
    )
    theirs = crypto.WeChatCrypto(KNOWN["token"], KNOWN["encoding_aes_key"], KNOWN["app_id"])
    plain = theirs.decrypt_message(
        post.content, post.params["msg_signature"], post.params["timestamp"], post.params["nonce"]
    )
    assert decode.parse("xml", plain.encode() if isinstance(plain, str) else plain)["Event"] == "SCAN"


# The door.


def opened(hook: model.RawHook, now: float, source: str = "push", **config: Any) -> model.VerifiedHook:
    spec = SPEC.events[source].verify
    assert spec is not None
    return verify.verify(hook, connection(**config), spec, now)


def push(message: dict[str, Any], now: int, app_id: str = KNOWN["app_id"]) -> model.RawHook:
    text = cipher.encrypt(KNOWN["encoding_aes_key"], jsontext.dumps(message), app_id)
    signed = cipher.signature(KNOWN["token"], str(now), "n1", text)
    query = {"timestamp": str(now), "nonce": "n1", "msg_signature": signed}
    return model.RawHook("POST", query, {}, jsontext.dumps({"ToUserName": "gh", "Encrypt": text}))


def test_the_address_check_is_answered_with_the_echo_alone() -> None:
    now = 1714036504
    query = {"timestamp": str(now), "nonce": "1514711492", "echostr": "4375120948345356249"}
    query["signature"] = signer.url_signature(KNOWN["token"], query["timestamp"], query["nonce"])
    assert query["signature"] == "f464b24fc39322e44b38aa78f5edd27bd1441696"
    for source in ("push", "push_plain"):
        verified = opened(model.RawHook("GET", query, {}, b""), now, source)
        assert verified.handshake == b"4375120948345356249"
        answer = reply.reply(connection(), SPEC.events[source], verified, now)
        assert (answer.status, answer.body) == (200, b"4375120948345356249")
        for wrong in (
            {**query, "signature": "0" * 40},
            {**query, "nonce": "1"},
            {k: v for k, v in query.items() if k != "echostr"},
        ):
            with pytest.raises(errors.HookRefused):
                opened(model.RawHook("GET", wrong, {}, b""), now, source)
        with pytest.raises(errors.HookRefused, match="window"):
            opened(model.RawHook("GET", query, {}, b""), now + 15000, source)


def test_a_message_for_another_app_or_in_clear_is_refused_in_secure_mode() -> None:
    now, told = 1731400051, {"Event": "SCAN"}
    assert opened(push(told, now), now).context["receive_id"] == KNOWN["app_id"]
    with pytest.raises(errors.HookRefused) as refused:
        opened(push(told, now, "wxffffffffffffffff"), now)
    assert refused.value.reason == "forged"
    stamp = {"timestamp": str(now), "nonce": "n1", "signature": signer.url_signature(KNOWN["token"], str(now), "n1")}
    with pytest.raises(errors.HookRefused) as refused:
        opened(model.RawHook("POST", stamp, {}, jsontext.dumps(told)), now)
    assert refused.value.reason == "unsigned"
    # A valid plain signature beside a foreign ciphertext proves nothing.
    forged = push(told, now)
    with pytest.raises(errors.HookRefused):
        opened(replace(forged, query={**forged.query, **stamp, "msg_signature": stamp["signature"]}), now)


def test_in_compatible_mode_only_the_ciphertext_counts() -> None:
    hook = push({"Event": "SCAN", "FromUserName": "true"}, 1731400051)
    body = {**jsontext.loads(hook.body), "Event": "unsubscribe", "FromUserName": "forged"}
    verified = opened(replace(hook, body=jsontext.dumps(body)), 1731400051)
    [event] = decode.events(SPEC, "push", verified.plaintext)
    assert (event.message, event.record) == ("scanned", "true")


def test_an_order_id_is_one_id_whether_it_comes_as_number_or_as_text() -> None:
    head = '{"Event": "channels_ec_order_new", "CreateTime": 1, "order_info": {"order_id": '
    number, text = (
        decode.events(SPEC, "push", (head + one + "}}").encode())[0]
        for one in ("3705115058471208928", '"3705115058471208928"')
    )
    assert number.record == text.record == "3705115058471208928"
    assert number.dedupe == text.dedupe


async def test_a_push_that_is_not_acknowledged_comes_by_the_vendors_schedule(
    url: engine.Url, site: simulator.Simulator
) -> None:
    site.configure({"push_url": "http://127.0.0.1:9/hook"})
    site.pusher.time_scale = 0.000001
    await control(url, "/orders", customer=1, paid=False)
    await control(url, "/people/3/say", text="在吗")
    await site.settle()
    tries = {one.label: (len(one.tries), one.state) for one in site.pushes}
    assert tries == {"channels_ec_order_new": (10, "given_up"), "text": (3, "given_up")}

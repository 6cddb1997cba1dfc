"""WeCom callbacks: published vectors, forgeries, what events mean, an independent implementation of the cipher."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from connectors.core import cipher, decode, errors, jsontext, model, registry, reply
from tests.conformance import messaging
from tests.conformance.messaging import check, flipped
from tests.conformance.messaging import wecom as connection

SAMPLES = registry.folder("wecom") / "samples"
VECTORS = jsontext.loads((SAMPLES / "vectors.json").read_bytes())
BY_NAME = {vector["name"]: vector for vector in VECTORS}
SOURCE = registry.get("wecom").events["callback"]
DEFAULTS = messaging.WECOM


def envelope(text: str) -> bytes:
    return f"<xml><ToUserName><![CDATA[corp]]></ToUserName><Encrypt><![CDATA[{text}]]></Encrypt></xml>".encode()


def hook_of(vector: dict[str, Any]) -> model.RawHook:
    """The call a vector describes: a delivery, or the URL check."""
    given = vector["inputs"]
    signed = given.get("msg_signature") or vector["expected"]["msg_signature"]
    query = {"msg_signature": signed, "timestamp": given["timestamp"], "nonce": given["nonce"]}
    if given["kind"] == "url_verify.decrypt_echostr":
        return model.RawHook("GET", {**query, "echostr": given["encrypt"]}, {}, b"")
    return model.RawHook("POST", query, {"content-type": "text/xml"}, envelope(given["encrypt"]))


def owner_of(vector: dict[str, Any]) -> model.Connection:
    given = vector["inputs"]
    return connection(
        corp_id=vector["expected"].get("receive_id", DEFAULTS["corp_id"]),
        token=given["token"],
        encoding_aes_key=given.get("encoding_aes_key", DEFAULTS["encoding_aes_key"]),
    )


# Published vectors.


def test_vector_kinds_are_all_tested() -> None:
    assert {vector["inputs"]["kind"] for vector in VECTORS} == {
        "callback.decrypt",
        "url_verify.decrypt_echostr",
        "reply.encrypt",
        "callback.verify",
    }


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector_signature(vector: dict[str, Any]) -> None:
    given, expected = vector["inputs"], vector["expected"]
    text = given.get("encrypt") or expected["encrypt"]
    found = cipher.signature(given["token"], given["timestamp"], given["nonce"], text)
    if expected.get("valid") is False:
        assert found != given["msg_signature"]
    else:
        assert found == expected["msg_signature"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "random16" in v["expected"]], ids=lambda v: v["name"])
def test_vector_opens_and_closes_again(vector: dict[str, Any]) -> None:
    given, expected = vector["inputs"], vector["expected"]
    verified = check(hook_of(vector), owner_of(vector), float(given["timestamp"]))
    assert verified.plaintext.decode() == expected["msg"]
    assert verified.context["receive_id"] == expected["receive_id"]
    assert (verified.handshake is not None) == given["kind"].startswith("url_verify")
    again = cipher.encrypt(
        given["encoding_aes_key"],
        expected["msg"].encode(),
        expected["receive_id"],
        random=expected["random16"].encode(),
    )
    assert again == given["encrypt"]


def test_vector_encrypted_reply() -> None:
    vector = BY_NAME["wechatpy-test-encrypt-passive-reply"]
    given = vector["inputs"]
    made = cipher.encrypt(
        given["encoding_aes_key"], given["msg"].encode(), given["receive_id"], random=given["random16"].encode()
    )
    assert made == vector["expected"]["encrypt"]


def test_vector_with_a_wrong_token_is_refused() -> None:
    vector = BY_NAME["negative-wrong-token"]
    with pytest.raises(errors.HookRefused) as refused:
        check(hook_of(vector), owner_of(vector), float(vector["inputs"]["timestamp"]))
    assert refused.value.reason == "forged"


# The door: forged, old, incomplete.

GENUINE = BY_NAME["doc-callback-text-message"]
NOW = float(GENUINE["inputs"]["timestamp"])


@pytest.mark.parametrize("name", ["msg_signature", "nonce"])
def test_flipped_byte_in_the_query_is_refused(name: str) -> None:
    hook = hook_of(GENUINE)
    for at in range(len(hook.query[name])):
        forged = replace(hook, query={**hook.query, name: flipped(hook.query[name], at)})
        with pytest.raises(errors.HookRefused) as refused:
            check(forged, owner_of(GENUINE), NOW)
        assert refused.value.reason == "forged"


def test_another_timestamp_inside_the_window_is_refused() -> None:
    hook = hook_of(GENUINE)
    with pytest.raises(errors.HookRefused) as refused:
        check(replace(hook, query={**hook.query, "timestamp": str(int(NOW) + 1)}), owner_of(GENUINE), NOW)
    assert refused.value.reason == "forged"


def test_flipped_byte_anywhere_in_the_ciphertext_is_refused() -> None:
    text = GENUINE["inputs"]["encrypt"]
    for at in range(len(text)):
        with pytest.raises(errors.HookRefused) as refused:
            check(replace(hook_of(GENUINE), body=envelope(flipped(text, at))), owner_of(GENUINE), NOW)
        assert refused.value.reason == "forged"


def test_every_cipher_failure_reads_the_same() -> None:
    """Rightly signed but undecipherable texts must not tell why: padding, length, owner."""
    owner = connection()
    key, token = DEFAULTS["encoding_aes_key"], DEFAULTS["token"]
    texts = [
        cipher.encrypt(key, b"<xml/>", "ww-somebody-else"),
        flipped(cipher.encrypt(key, b"<xml/>", DEFAULTS["corp_id"]), 3),
        cipher.encrypt("x" * 43, b"<xml/>", DEFAULTS["corp_id"]),
        "not base64!",
        "AAAA",
    ]
    seen = set()
    for text in texts:
        query = {
            "msg_signature": cipher.signature(token, "1700000000", "n", text),
            "timestamp": "1700000000",
            "nonce": "n",
        }
        with pytest.raises(errors.HookRefused) as refused:
            check(model.RawHook("POST", query, {}, envelope(text)), owner, 1700000000)
        seen.add(str(refused.value))
    assert len(seen) == 1


@pytest.mark.parametrize("late", [601, -601, 86400])
def test_replay_outside_the_window_is_refused(late: float) -> None:
    with pytest.raises(errors.HookRefused) as refused:
        check(hook_of(GENUINE), owner_of(GENUINE), NOW + late)
    assert refused.value.reason == "stale"


def test_window_is_configurable() -> None:
    wide = owner_of(GENUINE)
    wide = replace(wide, config={**wide.config, "callback_window": 100000})
    assert check(hook_of(GENUINE), wide, NOW + 86400).plaintext


@pytest.mark.parametrize("secret", ["token", "encoding_aes_key"])
@pytest.mark.parametrize("value", ["", "   "])
def test_without_its_secret_the_door_stays_shut(secret: str, value: str) -> None:
    owner = owner_of(GENUINE)
    with pytest.raises(errors.HookRefused) as refused:
        check(hook_of(GENUINE), replace(owner, secrets={**owner.secrets, secret: value}), NOW)
    assert refused.value.reason == "misconfigured"


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
def test_missing_proof_is_refused(name: str) -> None:
    hook = hook_of(GENUINE)
    with pytest.raises(errors.HookRefused) as refused:
        check(replace(hook, query={k: v for k, v in hook.query.items() if k != name}), owner_of(GENUINE), NOW)
    assert refused.value.reason == "unsigned"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<xml><Encrypt>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa">]><xml><Encrypt>&a;</Encrypt></xml>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><xml><Encrypt>&a;</Encrypt></xml>',
    ],
)
def test_unreadable_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(errors.HookRefused) as refused:
        check(replace(hook_of(GENUINE), body=body), owner_of(GENUINE), NOW)
    assert refused.value.reason == "garbled"


def test_a_get_without_echo_is_not_a_handshake() -> None:
    with pytest.raises(errors.HookRefused):
        check(replace(hook_of(GENUINE), method="GET"), owner_of(GENUINE), NOW)


def test_handshake_is_answered_with_the_bare_plaintext() -> None:
    vector = BY_NAME["doc-url-verify-echostr"]
    owner = owner_of(vector)
    verified = check(hook_of(vector), owner, float(vector["inputs"]["timestamp"]))
    answer = reply.reply(owner, SOURCE, verified, 0)
    assert (answer.status, answer.body) == (200, b"1616140317555161061")


def test_delivery_is_answered_with_an_empty_200() -> None:
    owner = owner_of(GENUINE)
    answer = reply.reply(owner, SOURCE, check(hook_of(GENUINE), owner, NOW), NOW)
    assert (answer.status, answer.body) == (200, b"")


# What events mean.

EVENTS = {
    "change_external_contact_add": ("contact_welcome", "customer", "wmTEST0000000000000000000000001", True),
    "change_external_contact_edit": ("contact_edited", "customer", "wmTEST0000000000000000000000001", False),
    "change_external_contact_del_follow_user": (
        "contact_removed",
        "customer",
        "wmTEST0000000000000000000000001",
        False,
    ),
    "change_external_chat_update": ("customer_group", None, "wrTEST000000000000000000000001", False),
    "sys_approval_change": ("approval", "approval", "202411120003", False),
    "template_card_event": ("card_button", "message", "shuniu_refund_0001", False),
}


@pytest.mark.parametrize("name", EVENTS)
def test_event_sample(name: str) -> None:
    body = (SAMPLES / f"{name}.event.xml").read_bytes()
    (event,) = decode.events(registry.get("wecom"), "callback", body)
    assert (event.message, event.entity, event.record, event.fast) == EVENTS[name]
    assert event.occurred_at is not None
    assert event.occurred_at.year == 2024
    (again,) = decode.events(registry.get("wecom"), "callback", body)
    assert again.dedupe == event.dedupe
    (later,) = decode.events(registry.get("wecom"), "callback", body.replace(b"<CreateTime>17", b"<CreateTime>16"))
    assert later.dedupe != event.dedupe


def test_every_event_sample_is_listed() -> None:
    assert {path.name.removesuffix(".event.xml") for path in SAMPLES.iterdir() if ".event." in path.name} == set(EVENTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("add_external_contact", "contact_added"),
        ("add_half_external_contact", "contact_added"),
        ("del_external_contact", "contact_removed"),
        ("transfer_fail", "contact_other"),
        ("msg_audit_approved", "contact_other"),
    ],
)
def test_customer_change_without_welcome_code(change: str, message: str) -> None:
    body = (SAMPLES / "change_external_contact_edit.event.xml").read_text().replace("edit_external_contact", change)
    (event,) = decode.events(registry.get("wecom"), "callback", body.encode())
    assert (event.message, event.fast) == (message, False)


def test_unknown_event_is_kept_as_unknown() -> None:
    body = b"<xml><MsgType>event</MsgType><Event>something_new</Event></xml>"
    (event,) = decode.events(registry.get("wecom"), "callback", body)
    assert (event.message, event.entity) == ("unknown", None)


def test_numbers_of_approvals_keep_every_digit() -> None:
    body = (SAMPLES / "sys_approval_change.event.xml").read_text().replace("202411120003", "9007199254740993001")
    (event,) = decode.events(registry.get("wecom"), "callback", body.encode())
    assert event.record == "9007199254740993001"


# An independent implementation.

PEER = pytest.mark.peers("wechatpy")


def peer_crypto() -> Any:
    from wechatpy.work import crypto

    return crypto.WeChatCrypto(DEFAULTS["token"], DEFAULTS["encoding_aes_key"], DEFAULTS["corp_id"])


@PEER
def test_peer_opens_what_we_close_and_we_open_what_it_closes() -> None:
    other = peer_crypto()
    message = "<xml><Content>中文 🎁</Content></xml>"
    text = cipher.encrypt(DEFAULTS["encoding_aes_key"], message.encode(), DEFAULTS["corp_id"])
    signed = cipher.signature(DEFAULTS["token"], "1700000000", "nonce1", text)
    opened = other.decrypt_message(envelope(text), signed, "1700000000", "nonce1")
    assert opened == message

    made = other.encrypt_message(message, "nonce2", "1700000001")
    outer = decode.parse("xml", made.encode())
    query = {"msg_signature": outer["MsgSignature"], "timestamp": outer["TimeStamp"], "nonce": outer["Nonce"]}
    verified = check(model.RawHook("POST", query, {}, made.encode()), connection(), 1700000001)
    assert verified.plaintext.decode() == message


def test_url_check_survives_percent_encoding() -> None:
    """The echo holds + / =; a router that decodes the query once must still see what was signed."""
    vector = BY_NAME["doc-url-verify-echostr"]
    query = hook_of(vector).query
    assert dict(httpx.QueryParams(urlencode(query))) == query

"""Feishu's HTTP push: genuine events are opened, everything else is refused, each event has its meaning."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from connectors.core import decode, errors, model, registry, reply
from connectors.feishu import signer
from connectors.feishu.simulated import pushes
from tests.conformance import feishu_stage as stage


@pytest.mark.peers("lark_oapi")
async def test_peer_dispatcher_judges_the_simulators_pushes_as_we_do() -> None:
    settings = {**stage.DEFAULTS}
    events = [
        pushes.modern(settings, "im.message.receive_v1", {"message": {"message_id": "om_中文"}}, stage.NOW),
        pushes.classic(settings, {"type": "approval_instance", "instance_code": "I-1"}, stage.NOW),
        pushes.check(settings),
    ]
    posts = [pushes.post("http://h", settings, one, stage.NOW, signed="challenge" not in one) for one in events]
    wrong = pushes.post("http://h", {**settings, "encrypt_key": "another key"}, events[0], stage.NOW)
    hooks = [{"headers": dict(one.headers), "body": one.content.decode()} for one in [*posts, wrong]]
    spoiled = {**hooks[0], "headers": {**hooks[0]["headers"], "x-lark-signature": "0" * 64}}
    told = await stage.peer(
        "dispatch", encrypt_key=settings["encrypt_key"], token=settings["verification_token"], hooks=[*hooks, spoiled]
    )
    assert [one["status"] for one in told] == [200, 200, 200, 500, 500]
    assert [one["taken"] for one in told[:2]] == [["om_中文"], ["I-1"]]
    ours = []
    for hook in [*hooks, spoiled]:
        try:
            verified = stage.judged(model.RawHook("POST", {}, hook["headers"], hook["body"].encode()))
            ours.append(verified.handshake.decode() if verified.handshake else "event")
        except errors.HookRefused as refusal:
            ours.append(refusal.reason)
    assert ours == ["event", "event", told[2]["body"], "forged", "forged"]


def pushed(event: dict[str, Any], **changes: Any) -> model.RawHook:
    post = pushes.post("http://h", {**stage.DEFAULTS, **changes}, event, stage.NOW)
    return model.RawHook("POST", {}, dict(post.headers), post.content)


def asked(settings: Any = stage.DEFAULTS) -> dict[str, Any]:
    return pushes.modern(settings, "im.message.receive_v1", {"message": {"message_id": "om_1"}}, stage.NOW)


def test_an_event_is_opened_and_its_proof_is_not_kept() -> None:
    verified = stage.judged(pushed(asked()))
    assert stage.DEFAULTS["verification_token"].encode() not in verified.plaintext
    (event,) = decode.events(registry.get("feishu"), "callback", verified.plaintext)
    assert (event.message, event.record) == ("user_message", "om_1")
    answer = reply.reply(stage.connection(), registry.get("feishu").events["callback"], verified, stage.NOW)
    assert (answer.status, answer.body) == (200, b"{}")


def test_without_an_encrypt_key_the_token_alone_decides() -> None:
    plain = stage.connection(encrypt_key="")
    verified = stage.judged(pushed(asked(), encrypt_key=""), plain)
    assert b"om_1" in verified.plaintext
    with pytest.raises(errors.HookRefused) as wrong:
        stage.judged(pushed(asked({**stage.DEFAULTS, "verification_token": "other"}), encrypt_key=""), plain)
    assert wrong.value.reason == "forged"
    with pytest.raises(errors.HookRefused) as sealed:
        stage.judged(pushed(asked()), plain)
    assert sealed.value.reason == "misconfigured"
    with pytest.raises(errors.HookRefused) as nothing:
        stage.judged(pushed(asked(), encrypt_key=""), stage.connection(encrypt_key="", verification_token=""))
    assert nothing.value.reason == "misconfigured"


def test_with_an_encrypt_key_nothing_plain_is_taken() -> None:
    """Whoever learned the token from an old log cannot leave the encryption out."""
    with pytest.raises(errors.HookRefused) as refused:
        stage.judged(pushed(asked(), encrypt_key=""))
    assert refused.value.reason == "unsigned"


@pytest.mark.parametrize("signed", [True, False])
def test_the_address_check_is_answered_whether_it_is_signed_or_not(signed: bool) -> None:
    event = pushes.check(stage.DEFAULTS)
    post = pushes.post("http://h", stage.DEFAULTS, event, stage.NOW, signed=signed)
    verified = stage.judged(model.RawHook("POST", {}, dict(post.headers), post.content))
    answer = reply.reply(stage.connection(), registry.get("feishu").events["callback"], verified, stage.NOW)
    assert json.loads(answer.body) == {"challenge": event["challenge"]}
    assert answer.content_type == "application/json"


def test_a_spoiled_signature_spoils_the_address_check_too() -> None:
    hook = pushed(pushes.check(stage.DEFAULTS))
    with pytest.raises(errors.HookRefused):
        stage.judged(replace(hook, headers={**hook.headers, "x-lark-signature": "0" * 64}))


def test_an_event_cannot_call_itself_an_address_check() -> None:
    """Unsigned, but sealed with our key and holding our token: the answer is an echo and nothing is kept."""
    post = pushes.post("http://h", stage.DEFAULTS, {**asked(), "type": "url_verification"}, stage.NOW, signed=False)
    with pytest.raises(errors.HookRefused):
        stage.judged(model.RawHook("POST", {}, dict(post.headers), post.content))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"encrypt":1}', b'{"encrypt":""}', b'{"encrypt":"AAAA"}', b'{"encrypt":"!"}', b"\xff"],
)
def test_unreadable_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(errors.HookRefused):
        stage.judged(model.RawHook("POST", {}, {}, body))


def test_every_event_has_its_meaning() -> None:
    spec = registry.get("feishu")
    kinds = {
        "contact.user.created_v3": "staff",
        "contact.user.deleted_v3": "staff",
        "contact.department.updated_v3": "department",
        "im.chat.updated_v1": "other",
    }
    for kind, message in kinds.items():
        (event,) = decode.events(
            spec, "callback", json.dumps(pushes.modern(stage.DEFAULTS, kind, {}, stage.NOW)).encode()
        )
        assert (event.message, event.entity) == (message, None)
    told = pushes.modern(stage.DEFAULTS, "card.action.trigger", {"context": {"open_message_id": "om_1"}}, stage.NOW)
    (event,) = decode.events(spec, "callback", json.dumps(told).encode())
    assert (event.message, event.entity, event.record) == ("card_button", "message", "om_1")
    for kind, message in {"approval_task": "approval_task", "leave_approvalV2": "other_v1"}.items():
        told = pushes.classic(stage.DEFAULTS, {"type": kind, "instance_code": "I"}, stage.NOW)
        (event,) = decode.events(spec, "callback", json.dumps(told).encode())
        assert event.message == message


def test_what_we_close_we_open() -> None:
    for text in ("", "中文 🎁", "x" * 15, "x" * 16, "x" * 4097):
        assert signer.decrypt("k", signer.encrypt("k", text)) == text
    with pytest.raises(ValueError, match="cannot be decrypted"):
        signer.decrypt("other", signer.encrypt("k", "x" * 100))

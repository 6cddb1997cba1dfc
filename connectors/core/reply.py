"""The exact acknowledgement an external system waits for, in its own dialect."""

from __future__ import annotations

import secrets
from typing import Any

from connectors.core import cipher, declaration, decode, errors, jsontext, model, scope, template, verify, xmltext

_PLAIN = declaration.Reply.model_fields["type"].default


def _hook(source: declaration.EventSource, verified: model.VerifiedHook) -> dict[str, Any]:
    try:
        body = decode.parse(source.format, verified.plaintext)
    except decode.Malformed:
        body = {}
    return {
        "query": verified.context.get("query", {}),
        "headers": verified.context.get("headers", {}),
        "body": body,
    }


def reply(
    connection: model.Connection, source: declaration.EventSource, verified: model.VerifiedHook, now: float
) -> model.HookReply:
    """The answer to send after the event is safely stored (or at once, for a handshake)."""
    if verified.handshake is not None:
        kind = "application/json" if verified.handshake.lstrip()[:1] == b"{" else _PLAIN
        return model.HookReply(200, verified.handshake, kind)
    spec = source.reply
    context = scope.of(connection, verified=dict(verified.context), now=now)
    if any(name.startswith("hook.") for name in template.names(spec.body)):
        context["hook"] = _hook(source, verified)
    value = template.render(spec.body, context)
    body = value.encode() if isinstance(value, str) else (b"" if value is None else jsontext.dumps(value))
    kind = spec.type
    if kind == _PLAIN and isinstance(value, dict | list):
        kind = "application/json"
    if spec.style == "encrypted":
        return _encrypted(connection, source, verified, body, now)
    return model.HookReply(spec.status, body, kind)


def refusal(source: declaration.EventSource) -> model.HookReply | None:
    """The declared answer to a call that was refused; None where the connector declares none."""
    spec = source.refusal
    if spec is None:
        return None
    body = spec.body.encode() if isinstance(spec.body, str) else jsontext.dumps(spec.body)
    kind = "application/json" if spec.type == _PLAIN and not isinstance(spec.body, str) else spec.type
    return model.HookReply(spec.status, body, kind)


def _encrypted(
    connection: model.Connection,
    source: declaration.EventSource,
    verified: model.VerifiedHook,
    message: bytes,
    now: float,
) -> model.HookReply:
    assert source.verify is not None
    options = verify.options_of(connection, source.verify)
    timestamp = str(int(now * 1000) if options.get("timestamp", "s") == "ms" else int(now))
    nonce = secrets.token_urlsafe(9)
    # The id that came in goes out again: which of its ids a platform uses is its own choice.
    owner = verified.context.get("receive_id")
    if owner is None:
        raise errors.HookRefused("misconfigured", "an encrypted reply needs a verify scheme that tells receive_id")
    text = cipher.encrypt(verify.secrets_of(options, "key")[0], message, str(owner))
    proof = cipher.signature(verify.secrets_of(options, "token")[0], timestamp, nonce, text)
    if options.get("envelope", "xml") == "json":
        fields = {"msg_signature": proof, "timeStamp": timestamp, "nonce": nonce, "encrypt": text}
        return model.HookReply(source.reply.status, jsontext.dumps(fields), "application/json")
    parts = {"Encrypt": text, "MsgSignature": proof, "TimeStamp": timestamp, "Nonce": nonce}
    return model.HookReply(source.reply.status, xmltext.dumps("xml", parts), "application/xml; charset=utf-8")

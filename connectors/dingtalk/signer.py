"""The proof of a message to the robot that comes by HTTP: a signature of the time alone.

``sign`` is base64(HMAC-SHA256(Client Secret, timestamp \\n Client Secret)); the header ``timestamp`` is in ms. It does
not cover the body: whoever saw one genuine call could send another body within the window, which is why the
Stream is the better way in. The reply address in the body is sealed before anything keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.core import errors, jsontext, model, signing
from connectors.core import verify as proof
from connectors.dingtalk import session


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """Judge one message to the robot. Raises errors.HookRefused."""
    secret = proof.secrets_of(options)[0]
    timestamp, given = (hook.headers.get(name, "") for name in ("timestamp", "sign"))
    if not timestamp or not given:
        raise errors.HookRefused("unsigned", "timestamp or sign is missing")
    proof.in_window(timestamp, now, options.get("window"), "ms")
    if not proof.equal(given, signing.timestamp_signature(secret, timestamp)):
        raise errors.HookRefused("forged", "wrong signature")
    try:
        message = jsontext.loads(hook.body)
    except (jsontext.JsonError, UnicodeError):
        raise errors.HookRefused("garbled", "the body is not JSON") from None
    if not isinstance(message, dict):
        raise errors.HookRefused("garbled", "the body is no object")
    return model.VerifiedHook(jsontext.dumps(session.kept(message, secret)))

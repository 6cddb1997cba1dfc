"""Weibo's push: SHA-1 over the sorted app secret, timestamp (milliseconds) and nonce. It does not cover the body."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from connectors.core import errors, model
from connectors.core import verify as checks


def push_signature(appsecret: str, timestamp: str, nonce: str) -> dict[str, str]:
    """The ``signature`` of a query."""
    parts = sorted(part.encode("utf-8", "surrogatepass") for part in (appsecret, timestamp, nonce))
    return {"signature": hashlib.sha1(b"".join(parts), usedforsecurity=False).hexdigest()}


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A proven push, or the echo of the address check (GET). Options: ``secret``, ``window``. Raises HookRefused."""
    secret = checks.secrets_of(options)[0]
    given, timestamp, nonce = (hook.query.get(name) or "" for name in ("signature", "timestamp", "nonce"))
    if not (given and timestamp and nonce):
        raise errors.HookRefused("unsigned", "signature, timestamp or nonce is missing")
    if not checks.equal(given, push_signature(secret, timestamp, nonce)["signature"]):
        raise errors.HookRefused("forged", "wrong signature")
    checks.in_window(timestamp, now, options.get("window"), "ms" if len(timestamp) > 10 else "s")
    if hook.method.upper() != "GET":
        return model.VerifiedHook(hook.body)
    echo = hook.query.get("echostr")
    if not echo:
        raise errors.HookRefused("unsigned", "echostr is missing")
    return model.VerifiedHook(b"", {}, handshake=echo.encode("utf-8", "surrogatepass"))

"""Weibo's push, and the token that an account's consent gives.

A push is proven by SHA-1 over the sorted app secret, timestamp (milliseconds) and nonce, which does not cover the body.
A token lives as long as the consent behind it and nothing renews it; the code is exchanged only together with the
address that it was sent to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.core import answer, errors, grant, model, scope
from connectors.core import verify as checks

Send = Callable[[model.Request], Awaitable[answer.Answer]]


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


# The grant


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The token for the code of the last authorisation, else the one that a person entered."""

    async def exchange(code: str) -> model.Token:
        config, secrets = scope.settings(connection), connection.secrets
        form = {
            "client_id": str(config.get("app_key", "")),
            "client_secret": secrets.get("app_secret", ""),
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": secrets.get("redirect_uri", ""),
        }
        got = await send(model.Request("POST", f"{str(config['base_url']).rstrip('/')}/oauth2/access_token", form=form))
        grant.check(connection, got)
        said = got.body if isinstance(got.body, dict) else {}
        if not said.get("access_token"):
            raise errors.CredentialRefused("the authorisation gave no token", hint=grant.AGAIN)
        ends = now + float(said.get("expires_in") or 86400)
        return model.Token(str(said["access_token"]), ends, grant.carried("", ends, _given(connection)))

    code, entered = _given(connection)
    return await grant.begun(code, entered, now, exchange)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The same token where only an edit ended it; there are no others."""
    return grant.resumed(kept, _given(connection), now)


def _given(connection: model.Connection) -> tuple[str, str]:
    return connection.secrets.get("code", ""), connection.secrets.get("access_token", "")

"""Who may push, and how a tool's authorisation goes on.

Calls are not signed: the access token alone proves them. A tool goes on from a refresh token that is good for 28 days
and is replaced whenever it is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.core import answer, errors, grant, jsontext, model, scope
from connectors.core import verify as proof
from connectors.youzan import callback

Send = Callable[[model.Request], Awaitable[answer.Answer]]

GRANTED = 28 * 86400.0
"""Seconds a refresh token is good for."""
EARLY = 600.0
"""A token is renewed so many seconds before its end."""


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A push (``kind: push``), its ``msg`` opened and marked ``ours`` or not; or an encrypted callback.

    Raises HookRefused.
    """
    (secret,) = proof.secrets_of(options)
    if options.get("kind") == "callback":
        return _callback(hook, secret)
    client_id = str(options.get("client_id") or "")
    if not client_id:
        raise errors.HookRefused("misconfigured", "no client_id: fill it in on the connection")
    given = hook.headers.get("event-sign", "")
    if hook.method != "POST" or not given:
        raise errors.HookRefused("unsigned", "Event-Sign is missing")
    if not proof.equal(given, callback.digest(client_id, secret, hook.body)):
        raise errors.HookRefused("forged", "Event-Sign does not fit the body")
    try:
        body = jsontext.loads(hook.body)
    except jsontext.JsonError:
        raise errors.HookRefused("garbled", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise errors.HookRefused("garbled", "the body is no object")
    ours = str(options.get("kdt_id"))
    shops = [str(body[name]) for name in ("kdt_id", "root_kdt_id") if body.get(name) is not None]
    whole = {**body, "msg": callback.content(body.get("msg")), "ours": not shops or ours in shops}
    return model.VerifiedHook(jsontext.dumps(whole))


def _callback(hook: model.RawHook, secret: str) -> model.VerifiedHook:
    message = hook.query.get("message", "")
    if hook.method != "GET" or not message:
        raise errors.HookRefused("unsigned", "no message")
    try:
        return model.VerifiedHook(callback.decrypt(secret, message))
    except callback.Unopened:
        raise errors.HookRefused("forged", "the message does not open") from None


# The grant of a tool


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The first token, from the refresh token that a person entered."""
    given = (connection.secrets.get("refresh_token", ""),)
    if not given[0]:
        raise errors.CredentialRefused("no refresh_token on this connection", hint=grant.AGAIN)
    return await _renewed(send, connection, given[0], given, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next pair of tokens; None when a person entered another grant. Raises CredentialRefused at its end."""
    given = (connection.secrets.get("refresh_token", ""),)
    following = grant.refresh_token(kept, given, now)
    return None if following is None else await _renewed(send, connection, following, given, now)


async def _renewed(
    send: Send, connection: model.Connection, following: str, given: tuple[str], now: float
) -> model.Token:
    config = scope.settings(connection)
    asked = {
        "client_id": config.get("client_id", ""),
        "client_secret": connection.secrets.get("client_secret", ""),
        "authorize_type": "refresh_token",
        "refresh_token": following,
    }
    url = f"{str(config['base_url']).rstrip('/')}/auth/token"
    headers = {"content-type": "application/json"}
    got = await send(model.Request("POST", url, headers=headers, body=jsontext.dumps(asked)))
    grant.check(connection, got)
    data = got.body["data"] if isinstance(got.body, dict) and isinstance(got.body.get("data"), dict) else {}
    if not data.get("access_token"):
        raise errors.CredentialRefused("the answer holds no token", hint=grant.AGAIN)
    ends = float(data.get("expires") or 0) / 1000
    lifetime = ends - now if ends > now else 7 * 86400.0
    kept = grant.carried(str(data.get("refresh_token") or following), now + GRANTED, given)
    return model.Token(str(data["access_token"]), now + lifetime - min(EARLY, lifetime / 2), kept)

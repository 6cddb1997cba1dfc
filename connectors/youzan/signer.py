"""Who may push, and how a tool's authorisation goes on.

Calls are not signed: the access token alone proves them. A tool begins with the code of a shop's authorisation and goes
on from a refresh token that is good for 28 days and is replaced whenever it is used.
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

_WRONG_SHOP = {
    "zh": "授权的不是这家店铺：请核对 kdt_id（连锁填总部的），并用这家店的管理员账号授权",
    "en": "Another shop was authorised: check the kdt_id (a chain's head office) and agree as its administrator",
}


def returning(given: Mapping[str, str], connection: model.Connection, redirect: str) -> Mapping[str, str]:
    """The way back with its code in plain, also where the platform sends it in an encrypted ``message``.

    Raises HookRefused.
    """
    if not given.get("message"):
        return given
    try:
        said = jsontext.loads(callback.decrypt(connection.secrets.get("client_secret", ""), given["message"]))
    except callback.Unopened:
        raise errors.HookRefused("forged", "the message does not open") from None
    return {**given, **{name: str(value) for name, value in said.items() if name == "code"}}


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The token for the code of the last authorisation, else the first from the refresh token that was entered."""

    async def exchange(code: str) -> model.Token:
        return await _exchanged(send, connection, {"authorize_type": "authorization_code", "code": code}, now)

    entered = connection.secrets.get("refresh_token", "")
    granted = await grant.from_code(connection.secrets.get("code", ""), entered, exchange)
    return granted or await _renewed(send, connection, entered, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next pair of tokens; None when a person entered another grant. Raises CredentialRefused at its end."""
    following = grant.refresh_token(kept, _given(connection), now)
    return None if following is None else await _renewed(send, connection, following, now)


async def _renewed(send: Send, connection: model.Connection, following: str, now: float) -> model.Token:
    wanted = {"authorize_type": "refresh_token", "refresh_token": following}
    return await _exchanged(send, connection, wanted, now)


async def _exchanged(send: Send, connection: model.Connection, wanted: Mapping[str, str], now: float) -> model.Token:
    config = scope.settings(connection)
    client = {"client_id": config.get("client_id", ""), "client_secret": connection.secrets.get("client_secret", "")}
    url = f"{str(config['base_url']).rstrip('/')}/auth/token"
    headers = {"content-type": "application/json"}
    got = await send(model.Request("POST", url, headers=headers, body=jsontext.dumps({**client, **wanted})))
    grant.check(connection, got)
    data = got.body["data"] if isinstance(got.body, dict) and isinstance(got.body.get("data"), dict) else {}
    if not data.get("access_token"):
        raise errors.CredentialRefused("the answer holds no token", hint=grant.AGAIN)
    shop = str(config.get("kdt_id", ""))
    if str(data.get("authority_id") or shop) != shop:
        raise errors.Misdeclared(f"the token is for shop {data['authority_id']}", hint=_WRONG_SHOP)
    ends = float(data.get("expires") or 0) / 1000
    lifetime = ends - now if ends > now else 7 * 86400.0
    following = str(data.get("refresh_token") or wanted.get("refresh_token", ""))
    kept = grant.carried(following, now + GRANTED, _given(connection))
    return model.Token(str(data["access_token"]), now + lifetime - min(EARLY, lifetime / 2), kept)


def _given(connection: model.Connection) -> tuple[str, ...]:
    secrets = connection.secrets
    # A grant without a code keeps the mark that it had before there were codes.
    return tuple(filter(None, (secrets.get("refresh_token", ""), secrets.get("code", ""))))

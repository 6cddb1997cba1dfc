"""Signing of calls through the one gateway, the tokens of a shop, and the proof of a push.

Both signatures leave the body out. For calls that is the vendor's affair; for pushes it means that whoever holds one
genuine push may send any content for some minutes. So a push is never believed: it only makes us read a record again,
and polling finds what a forged one might hide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from connectors.core import answer, errors, grant, jsontext, model, scope
from connectors.core import verify as proof

VERSION = "2.0"
EARLY = 1200.0
"""Seconds before its end at which a token is renewed: only within the last half hour there is a new one."""

STOCK = "inventory.syncSkuStock"

_NO_CODE = {
    "zh": "还没有授权：请让商家授权，把回调得到的 code 填到连接里（10 分钟内有效）",
    "en": "Not authorised yet: let the shop authorise and enter the code of the redirect (valid 10 minutes)",
}
_WRONG_SHOP = {
    "zh": "授权的店铺与连接里填的店铺 ID 不一致，请核对",
    "en": "The authorisation is for another shop than the shop id of this connection",
}
_NO_SECRET = {"zh": "请在连接中填写 App Secret", "en": "Enter the App Secret on the connection"}

Send = Callable[[model.Request], Awaitable[answer.Answer]]


def sign_text(method: str, app_id: str, app_secret: str, timestamp: str, version: str = VERSION) -> str:
    """What is signed of a call; neither its parameters nor its token."""
    return f"{method}?appId={app_id}&timestamp={timestamp}&version={version}{app_secret}"


def signature(method: str, app_id: str, app_secret: str, timestamp: str, version: str = VERSION) -> str:
    """The ``sign`` of a call, lower-case hex."""
    return _md5(sign_text(method, app_id, app_secret, timestamp, version))


def push_text(place: str, params: Mapping[str, str], app_secret: str) -> str:
    """What is signed of a push: where it goes (path or address) and every parameter that is not empty, sorted, raw."""
    joined = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "sign" and params[name])
    return f"{place}?{joined}{app_secret}"


def push_sign(place: str, params: Mapping[str, str], app_secret: str) -> str:
    """The ``sign`` of a push, lower-case hex."""
    return _md5(push_text(place, params, app_secret))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Make one flat object of business parameters, token and public parameters; ``now`` in Unix seconds."""
    secret = connection.secrets.get("app_secret", "")
    if not secret:
        raise errors.Misdeclared("no App Secret on this connection", hint=_NO_SECRET)
    body = jsontext.loads(request.body)
    app_id, stamp = str(scope.settings(connection).get("app_id", "")), str(int(now))
    public = {"appId": app_id, "timestamp": stamp, "version": VERSION}
    public["sign"] = signature(body["method"], app_id, secret, stamp)
    if body["method"] == STOCK:
        body = total(body)
    # The token travels in the body here; declared as a query parameter, it never is one.
    request.body = jsontext.dumps({**body, **request.query, **public})
    request.query = {}


def total(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """``{skuId, available, reserved}`` as the total that leaves so many for sale: what is reserved counts into it."""
    rest = {name: value for name, value in wanted.items() if name not in ("available", "reserved")}
    return {**rest, "qty": int(wanted["available"]) + int(wanted.get("reserved") or 0)}


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The first token, from the code of the form. Raises CredentialRefused without one."""
    code = connection.secrets.get("code")
    if not code:
        raise errors.CredentialRefused("no authorisation code on this connection", hint=_NO_CODE)
    return await _token(send, connection, {"method": "oauth.getAccessToken", "code": code}, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next token. Far from its end the platform gives the same pair again, which does no harm."""
    old = grant.refresh_token(kept, _given(connection), now)
    if old is None:
        return None
    return await _token(send, connection, {"method": "oauth.refreshToken", "refreshToken": old}, now)


async def _token(send: Send, connection: model.Connection, wanted: dict[str, str], now: float) -> model.Token:
    config = scope.settings(connection)
    request = model.Request("POST", str(config["base_url"]), body=jsontext.dumps(wanted))
    request.headers["content-type"] = "application/json"
    sign(request, connection, now)
    got = await send(request)
    grant.check(connection, got)
    data = got.body.get("data") if isinstance(got.body, dict) else None
    if not isinstance(data, dict) or not data.get("accessToken") or not data.get("refreshToken"):
        raise errors.CredentialRefused("the login gave no token", hint=grant.AGAIN)
    seller = str(config.get("seller_id") or "")
    if seller and str(data.get("sellerId")) != seller:
        raise errors.Misdeclared(f"the token is for shop {data.get('sellerId')}", hint=_WRONG_SHOP)
    lifetime = float(data["accessTokenExpiresAt"]) / 1000 - now if data.get("accessTokenExpiresAt") else 604800.0
    # Each renewal moves the end of the refresh token (14 days) on, so there is no day a person must be told of.
    more = grant.carried(str(data["refreshToken"]), None, _given(connection))
    return model.Token(str(data["accessToken"]), now + lifetime - min(EARLY, max(lifetime, 0.0) / 2), more)


def _given(connection: model.Connection) -> tuple[str, ...]:
    return str(scope.settings(connection).get("app_id", "")), connection.secrets.get("code", "")


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A push of the platform, with any content. Messages of other shops are marked, not hidden.

    Raises errors.HookRefused.
    """
    secret = proof.secrets_of(options)[0]
    app_id = str(options.get("app_id") or "")
    if not app_id:
        raise errors.HookRefused("misconfigured", "no app_id on the connection")
    # Some of the vendor's senders put the system parameters into headers, others into the query.
    system = {name: hook.headers.get(name) or hook.query.get(name) or "" for name in ("app-key", "timestamp", "sign")}
    if not all(system.values()):
        raise errors.HookRefused("unsigned", "app-key, timestamp or sign is missing")
    params = {**hook.query, **system}
    fits = [
        proof.equal(system["sign"], push_sign(place, params, secret)) for place in _places(hook, connection, options)
    ]
    if not (any(fits) & proof.equal(system["app-key"], app_id)):
        raise errors.HookRefused("forged", "wrong sign")
    unit = "ms" if len(system["timestamp"]) == 13 else "s"
    proof.in_window(system["timestamp"], now, options.get("window"), unit)
    return model.VerifiedHook(marked(hook.body, str(options.get("seller_id") or "")))


def _places(hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any]) -> list[str]:
    """How the platform may call the address it was given: by path, or in full.

    The host is what the caller says; the secret behind it is what proves.
    """
    address = str(options.get("push_url") or "").partition("?")[0]
    if not address:
        path = f"/hooks/{connection.key}"
        return [path, f"https://{hook.headers.get('host', '')}{path}"]
    return [urlsplit(address).path or "/", address]


def marked(body: bytes, seller_id: str) -> bytes:
    """``body`` with ``foreign_seller`` beside every message of another shop; untouched when there is none."""
    if not seller_id:
        return body
    try:
        data = jsontext.loads(body)
    except jsontext.JsonError:
        return body
    pieces = [one for one in (data if isinstance(data, list) else [data]) if isinstance(one, dict)]
    strange = [one for one in pieces if one.get("sellerId") not in (None, "", seller_id)]
    for one in strange:
        one["foreign_seller"] = str(one["sellerId"])
    return jsontext.dumps(data) if strange else body

"""The gateway's signature over ``param_json``, the tokens of both kinds of application, and the proof of a push.

No stock scheme fits: what is signed is the canonical JSON of the business parameters between fixed names, and a push
is proven by a plain MD5 over key, raw body and secret. Tokens come from signed calls that carry no token themselves.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.core import answer, errors, grant, jsontext, model, scope
from connectors.core import verify as proof

VERSION = "2"
EARLY = 1800.0
"""Seconds before its end at which a token is renewed: within its last hour the platform gives a new one."""

_WRONG_SHOP = {
    "zh": "授权的店铺与连接里填的店铺 ID 不一致，请核对",
    "en": "The authorisation is for another shop than the shop id of this connection",
}
_NO_CODE = {
    "zh": "工具型应用需要授权码：请让商家重新授权，把回调得到的 code 填到连接里（10 分钟内有效）",
    "en": "A tool application needs a code: let the shop authorise and enter the code (valid 10 minutes)",
}
_NO_SECRET = {"zh": "请在连接中填写 App Secret", "en": "Enter the App Secret on the connection"}

Send = Callable[[model.Request], Awaitable[answer.Answer]]


def param_json(params: Any) -> str:
    """Business parameters as signed and sent: keys sorted at every level, compact, nothing escaped needlessly."""
    return jsontext.dumps(params or {}, sort=True).decode()


def signature(
    app_key: str,
    app_secret: str,
    method: str,
    timestamp: str,
    params: Any,
    sign_method: str = "hmac-sha256",
    v: str = VERSION,
) -> str:
    """The ``sign`` of one call in lower-case hex; ``params`` is data, or the JSON text as it travels."""
    text = params if isinstance(params, str) else param_json(params)
    fields = f"app_key{app_key}method{method}param_json{text}timestamp{timestamp}v{v}"
    return digest(sign_method, app_secret, f"{app_secret}{fields}{app_secret}")


def digest(sign_method: str, secret: str, pattern: str) -> str:
    """``hmac-sha256``, or the older ``md5``."""
    if sign_method == "md5":
        return hashlib.md5(pattern.encode(), usedforsecurity=False).hexdigest()
    return hmac.new(secret.encode(), pattern.encode(), "sha256").hexdigest()


def event_sign(app_key: str, app_secret: str, raw_body: str | bytes) -> str:
    """The ``event-sign`` header of a push, over the bytes as they came."""
    body = raw_body.encode() if isinstance(raw_body, str) else raw_body
    return hashlib.md5(app_key.encode() + body + app_secret.encode(), usedforsecurity=False).hexdigest()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Bring the body into its canonical form and put the public parameters into the query; ``now`` in Unix seconds."""
    secret = connection.secrets.get("app_secret", "")
    if not secret:
        raise errors.Misdeclared("no App Secret on this connection", hint=_NO_SECRET)
    text = param_json(jsontext.loads(request.body) if request.body else {})
    app_key, stamp = str(scope.settings(connection).get("app_key", "")), str(int(now))
    request.body = text.encode()
    request.headers["content-type"] = "application/json;charset=UTF-8"
    request.query |= {"app_key": app_key, "timestamp": stamp, "v": VERSION, "sign_method": "hmac-sha256"}
    request.query["sign"] = signature(app_key, secret, request.query["method"], stamp, text)


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The token of an own application, or the first one of a tool application from its code.

    Raises CredentialRefused without a code, Misdeclared when the token is for another shop.
    """
    config = scope.settings(connection)
    wanted: dict[str, str] = {"grant_type": "authorization_self", "code": "", "shop_id": str(config.get("shop_id", ""))}
    if config.get("app_type") == "tool":
        if not connection.secrets.get("code"):
            raise errors.CredentialRefused("no authorisation code on this connection", hint=_NO_CODE)
        wanted = {"grant_type": "authorization_code", "code": connection.secrets["code"]}
    return await _token(send, connection, "token.create", wanted, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next token of a tool application. Own applications simply create theirs again."""
    if scope.settings(connection).get("app_type") != "tool":
        return None
    old = grant.refresh_token(kept, _given(connection), now)
    if old is None:
        return None
    wanted = {"grant_type": "refresh_token", "refresh_token": old}
    return await _token(send, connection, "token.refresh", wanted, now)


async def _token(
    send: Send, connection: model.Connection, method: str, wanted: Mapping[str, str], now: float
) -> model.Token:
    config = scope.settings(connection)
    url = f"{str(config['base_url']).rstrip('/')}/{method.replace('.', '/')}"
    request = model.Request("POST", url, query={"method": method}, body=jsontext.dumps(dict(wanted)))
    sign(request, connection, now)
    got = await send(request)
    grant.check(connection, got)
    data = got.body.get("data") if isinstance(got.body, dict) else None
    if not isinstance(data, dict) or not data.get("access_token"):
        raise errors.CredentialRefused("the login gave no token", hint=grant.AGAIN)
    if str(data.get("shop_id", "")) != str(config.get("shop_id", "")):
        raise errors.Misdeclared("the token is for another shop", hint=_WRONG_SHOP)
    lifetime = float(data.get("expires_in") or 604800)
    more = grant.carried(str(data.get("refresh_token") or ""), None, _given(connection))
    return model.Token(str(data["access_token"]), now + lifetime - min(EARLY, lifetime / 2), more)


def _given(connection: model.Connection) -> tuple[str, ...]:
    config = scope.settings(connection)
    return str(config.get("app_key", "")), str(config.get("shop_id", "")), connection.secrets.get("code", "")


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A genuine push. Messages of other shops of the same application are marked (``foreign_shop``), not hidden.

    The platform sends all shops of an application to one address. Raises errors.HookRefused.
    """
    secret = proof.secrets_of(options)[0]
    app_key = str(options.get("app_key") or "")
    given, whose = hook.headers.get("event-sign"), hook.headers.get("app-id")
    if not given or not whose:
        raise errors.HookRefused("unsigned", "event-sign or app-id is missing")
    if not app_key:
        raise errors.HookRefused("misconfigured", "no app_key on the connection")
    # Both are compared whatever the first one says.
    if not (proof.equal(whose, app_key) & proof.equal(given, event_sign(app_key, secret, hook.body))):
        raise errors.HookRefused("forged", "wrong event-sign")
    return model.VerifiedHook(marked(hook.body, str(options.get("shop_id") or "")))


def marked(body: bytes, shop_id: str) -> bytes:
    """``body`` with ``foreign_shop`` beside every message that names another shop; untouched when there is none."""
    try:
        data = jsontext.loads(body)
    except jsontext.JsonError:
        return body
    pieces = data if isinstance(data, list) else [data]
    strange = [
        (piece, shop) for piece in pieces if isinstance(piece, dict) and (shop := _shop(piece)) not in ("", shop_id)
    ]
    for piece, shop in strange:
        piece["foreign_shop"] = shop
    return jsontext.dumps(data) if strange else body


def _shop(piece: dict[str, Any]) -> str:
    inner = piece.get("data")
    if isinstance(inner, str):
        try:
            inner = jsontext.loads(inner)
        except jsontext.JsonError:
            return ""
    shop = inner.get("shop_id") if isinstance(inner, dict) else None
    return str(shop) if isinstance(shop, int | str) and not isinstance(shop, bool) else ""

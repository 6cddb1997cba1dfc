"""TOP's signature over all parameters of a call, with the digest that the connection chose, and a shop's SessionKey.

The stock ``sorted_params`` scheme fixes one digest per connector; TOP lets each connection choose its
``sign_method`` and wraps the text in the secret only for ``md5``. The public parameters of every call
(app_key, timestamp, format, v, sign_method) are added here, in the form, so that none is in a URL. A call with a
picture is signed without it and becomes a multipart body (``picture``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from connectors.core import answer, errors, grant, jsontext, model, scope, signing
from connectors.taobao import picture

Send = Callable[[model.Request], Awaitable[answer.Answer]]

ZONE = timezone(timedelta(hours=8))
ALGORITHMS = {"md5": "md5", "hmac": "hmac_md5", "hmac-sha256": "hmac_sha256"}
"""``sign_method`` -> our name of the digest."""


def local(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def digest(method: str, secret: str, params: Mapping[str, str]) -> str:
    """The ``sign`` of ``params``, upper-case hex. Raises Misdeclared for an unknown method or without a secret."""
    if method not in ALGORITHMS:
        raise errors.Misdeclared(
            f"sign_method '{method}' is not known",
            hint={"zh": "签名方式只能是 md5、hmac 或 hmac-sha256", "en": "sign_method is md5, hmac or hmac-sha256"},
        )
    if not secret:
        raise errors.Misdeclared(
            "no App Secret on this connection",
            hint={"zh": "请在连接中填写 App Secret", "en": "Enter the App Secret on the connection"},
        )
    text = signing.param_text({name: value for name, value in params.items() if name not in ("", "sign")})
    wrapped = f"{secret}{text}{secret}" if method == "md5" else text
    return signing.digest(ALGORITHMS[method], secret, wrapped.encode()).hex().upper()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the public parameters and the signature to the form of ``request``; ``now`` in Unix seconds."""
    config = scope.settings(connection)
    form = {
        **request.query,
        **(request.form or {}),
        "app_key": str(config.get("app_key", "")),
        "timestamp": local(now),
        "format": "json",
        "v": "2.0",
        "sign_method": str(config.get("sign_method", "md5")),
    }
    pictures = picture.taken(form)
    secret = connection.secrets.get("app_secret", "")
    form["sign"] = digest(form["sign_method"], secret, form)
    request.query, request.form = {}, form
    if pictures:
        picture.attach(request, pictures)


# The grant

_WRONG_SELLER = {
    "zh": "授权的不是这家店铺：请用连接上卖家数字编号的店铺主账号授权",
    "en": "Another shop was authorised: agree as the main account of the seller's user id on this connection",
}


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The SessionKey for the code of the last authorisation, else the one that a person entered."""

    async def exchange(code: str) -> model.Token:
        return await _exchanged(send, connection, {"method": "taobao.top.auth.token.create", "code": code}, now)

    code, entered = _given(connection)
    return await grant.begun(code, entered, now, exchange)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The same SessionKey where only an edit ended it, the next one where the grant allows it, else None."""

    async def exchange(following: str) -> model.Token:
        wanted = {"method": "taobao.top.auth.token.refresh", "refresh_token": following}
        return await _exchanged(send, connection, wanted, now)

    return await grant.gone_on(kept, _given(connection), now, exchange)


async def _exchanged(send: Send, connection: model.Connection, wanted: Mapping[str, str], now: float) -> model.Token:
    config = scope.settings(connection)
    request = model.Request("POST", str(config["base_url"]), form=dict(wanted))
    sign(request, connection, now)
    got = await send(request)
    grant.check(connection, got)
    said = _told(got.body, wanted["method"])
    if not said.get("access_token"):
        raise errors.CredentialRefused("the authorisation gave no SessionKey", hint=grant.AGAIN)
    seller = str(config.get("seller_id") or "")
    if seller and str(said.get("taobao_user_id") or seller) != seller:
        raise errors.Misdeclared(f"the SessionKey is for seller {said.get('taobao_user_id')}", hint=_WRONG_SELLER)
    ends = now + float(said.get("expires_in") or 86400)
    # Zero means that it cannot be renewed: in-house applications of merchants are authorised again each year.
    renewable = float(said.get("re_expires_in") or 0) > 0
    following = str(said.get("refresh_token") or "") if renewable else ""
    return model.Token(str(said["access_token"]), ends, grant.carried(following, ends, _given(connection)))


def _told(body: Any, method: str) -> dict[str, Any]:
    """What stands in ``token_result``, which is JSON inside the JSON."""
    root = method.removeprefix("taobao.").replace(".", "_") + "_response"
    part = body.get(root) if isinstance(body, dict) else None
    text = part.get("token_result") if isinstance(part, dict) else None
    try:
        said = jsontext.loads(text) if isinstance(text, str) else text
    except jsontext.JsonError:
        said = None
    return said if isinstance(said, dict) else {}


def _given(connection: model.Connection) -> tuple[str, str]:
    return connection.secrets.get("code", ""), connection.secrets.get("session", "")

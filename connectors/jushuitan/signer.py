"""Jushuitan's proof: MD5 over the sorted form with the secret in front, for calls, token requests and pushes.

The text is ``secret + name value name value ...`` with names in byte order and values as they are before URL encoding;
the answer is lower-case hex. ``sign`` adds the public parameters, so that an operation only writes its ``biz``.
A verified push leaves here as a JSON list of plain facts: the vendor merges orders into one parcel and lists many SKUs
in one message, while an event is about one record.
"""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.core import answer, errors, grant, jsontext, model, scope
from connectors.core import verify as checks

INIT, EXCHANGE, RENEW = "/openWeb/auth/getInitToken", "/openWeb/auth/accessToken", "/openWeb/auth/refreshToken"
SANDBOX_INIT = "/openWebIsv/auth/getInitToken"
SANDBOXES = frozenset({"dev-api.jushuitan.com"})
"""Hosts of the trial environment, which gives tokens at an address of its own."""
MARGIN = 12 * 3600.0
"""Seconds before its end at which a token counts as over: the vendor asks for a renewal half a day ahead."""
_LETTERS = string.ascii_letters + string.digits
_ROWS = ("items", "datas", "skus", "data")
"""Members under which a stock message may list its SKUs; the vendor does not publish which."""

REAUTHORISE = {
    "zh": "授权已失效：请在连接页点“去授权”，由商家重新同意",
    "en": "The authorisation has ended: press “Authorise” on the connection and let the merchant agree again",
}
REFUSED = {
    "zh": "取令牌被拒绝：请核对 App Key、App Secret、应用类型，以及枢纽的出口 IP 是否在白名单里",
    "en": "The token was refused: check App Key, App Secret, the kind of app, and the IP white list",
}


def signature(params: Mapping[str, str], app_secret: str) -> str:
    """The ``sign`` of a form; an existing ``sign`` and empty values do not count."""
    names = sorted((name for name, value in params.items() if name != "sign" and value != ""), key=str.encode)
    text = app_secret + "".join(f"{name}{params[name]}" for name in names)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the public parameters and ``sign`` to the form; ``now`` in Unix seconds. Raises Misdeclared."""
    config = scope.settings(connection)
    form = {name: value for name, value in (request.form or {}).items() if value != ""}
    form |= {"app_key": str(config.get("app_key", "")), "timestamp": str(int(now)), "version": "2", "charset": "utf-8"}
    request.form = {**form, "sign": signature(form, _secret(connection))}


def _secret(connection: model.Connection) -> str:
    found = connection.secrets.get("app_secret", "")
    if not found:
        raise errors.Misdeclared(
            "no App Secret on this connection",
            hint={"zh": "请在连接中填写 App Secret", "en": "Enter the App Secret on the connection"},
        )
    return found


def leaving(query: Mapping[str, str], connection: model.Connection, now: float) -> dict[str, str]:
    """The query of the page on which a merchant agrees, signed like a call. Raises Misdeclared."""
    stamped = {**query, "timestamp": str(int(now)), "charset": "utf-8"}
    return {**stamped, "sign": signature(stamped, _secret(connection))}


def returning(given: Mapping[str, str], connection: model.Connection, redirect: str) -> Mapping[str, str]:
    """The way back, its signature checked where it has one. Raises HookRefused."""
    if given.get("app_key", scope.settings(connection).get("app_key")) != scope.settings(connection).get("app_key"):
        raise errors.HookRefused("forged", "another app's consent")
    if given.get("sign") and not checks.equal(given["sign"], signature(given, _secret(connection))):
        raise errors.HookRefused("forged", "wrong signature")
    return given


Send = Callable[[model.Request], Awaitable[answer.Answer]]


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The token that is about to end, made to last longer: its value stays.

    None means that there is nothing to go on from and ``login`` is next: an ISV's token cannot be renewed, only gone on
    with after an edit, and one that the platform refused before its time is not worth it.
    Raises Throttled, Unavailable.
    """
    config = scope.settings(connection)
    if config.get("app_type") == "isv":
        return grant.resumed(kept, _given(connection), now)
    if not kept.extra.get("refresh") or now < kept.expires_at or _sandbox(connection):
        return None
    more = {"grant_type": "refresh_token", "refresh_token": kept.extra["refresh"], "scope": "all"}
    try:
        return _token(await send(_request(connection, RENEW, more, now)), now, own=True)
    except errors.CredentialRefused:
        return None


def _request(connection: model.Connection, path: str, more: Mapping[str, str], now: float) -> model.Request:
    config = scope.settings(connection)
    form = {"app_key": str(config.get("app_key", "")), "timestamp": str(int(now)), "charset": "utf-8", **more}
    form["sign"] = signature(form, _secret(connection))
    return model.Request("POST", str(config["base_url"]).rstrip("/") + path, form=form)


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """A token that lives for about 30 days.

    A merchant's own app gets it by itself. An ISV app exchanges the code of the merchant's consent, which works once:
    when that token ends a person must authorise again. Raises CredentialRefused, Throttled, Unavailable.
    """
    config = scope.settings(connection)
    own = config.get("app_type") != "isv"
    code = "".join(secrets.choice(_LETTERS) for _ in range(6)) if own else connection.secrets.get("auth_code", "")
    if not code:
        raise errors.CredentialRefused("no authorisation code", hint=REAUTHORISE)
    more = {"grant_type": "authorization_code", "code": code}
    path = EXCHANGE if not own else SANDBOX_INIT if _sandbox(connection) else INIT
    made = _token(await send(_request(connection, path, more, now)), now, own=own)
    # What a code brought lasts as long as its token, and only a person can give another.
    return (
        made
        if own
        else model.Token(made.value, made.expires_at, grant.carried("", made.expires_at, _given(connection)))
    )


def _sandbox(connection: model.Connection) -> bool:
    return urlsplit(str(scope.settings(connection)["base_url"])).netloc in SANDBOXES


def _given(connection: model.Connection) -> tuple[str, ...]:
    return str(scope.settings(connection).get("app_key", "")), connection.secrets.get("auth_code", "")


def _token(got: answer.Answer, now: float, *, own: bool) -> model.Token:
    said = got.body if got.parsed and isinstance(got.body, dict) else {}
    if got.status >= 500 or not said:
        raise errors.Unavailable(f"the token request answered HTTP {got.status}")
    code, words = str(said.get("code", "")), str(said.get("msg") or "token refused")
    if code in ("199", "200") or "频繁" in words:
        raise errors.Throttled(words, code=code, retry_after=60 if code == "200" else 1)
    if code == "150" and "刷新" not in words and "授权" not in words:
        raise errors.Unavailable(words, code=code)  # an inner error over there is no reason to ask a person
    data = said.get("data")
    if code != "0" or not isinstance(data, dict) or not data.get("access_token"):
        raise errors.CredentialRefused(words, code=code, hint=REFUSED if own else REAUTHORISE)
    lifetime = float(data.get("expires_in") or 2592000)
    usable = lifetime - min(MARGIN, lifetime / 2)
    return model.Token(str(data["access_token"]), now + usable, {"refresh": str(data.get("refresh_token") or "")})


def verify(
    hook: model.RawHook, connection: model.Connection, options: Mapping[str, Any], now: float
) -> model.VerifiedHook:
    """A push whose proof holds, as a JSON list of facts. Raises HookRefused.

    Option ``proof``: ``sign`` checks the form's own signature with ``secret``, its ``app_key`` and its ``timestamp``
    (within ``window`` seconds); ``token`` compares the query parameter ``token`` and also takes a bare JSON body.
    """
    if options.get("proof") == "token":
        accepted = checks.secrets_of(options, "token")
        given = hook.query.get("token")
        if not given:
            raise errors.HookRefused("unsigned", "the token is missing")
        if not sum(checks.equal(given, one) for one in accepted):  # all are asked: time tells nothing
            raise errors.HookRefused("forged", "wrong token")
        form = {} if hook.body.lstrip()[:1] in (b"{", b"[") else _form(hook.body)
        text = form["biz"].encode() if "biz" in form else hook.body
    else:
        form = _signed(hook.body, options, now)
        text = form["biz"].encode()
    try:
        told = jsontext.loads(text)
    except jsontext.JsonError:
        raise errors.HookRefused("garbled", "biz is not JSON") from None
    return model.VerifiedHook(jsontext.dumps(facts(told)))


def _signed(body: bytes, options: Mapping[str, Any], now: float) -> dict[str, str]:
    form = _form(body)
    secret = checks.secrets_of(options)[0]
    for name in ("sign", "app_key", "timestamp", "biz"):
        if not form.get(name):
            raise errors.HookRefused("unsigned", f"{name} is missing")
    if not checks.equal(form["sign"], signature(form, secret)):
        raise errors.HookRefused("forged", "wrong signature")
    if form["app_key"] != options.get("app_key"):
        raise errors.HookRefused("forged", "another app's push")
    checks.in_window(form["timestamp"], now, options.get("window"))
    return form


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=50)
    except ValueError:
        raise errors.HookRefused("garbled", "the body is not a form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise errors.HookRefused("garbled", "a field came twice")
    return form


def facts(told: Any) -> list[Any]:
    """One element per record: a parcel of merged orders by order, a stock message by SKU."""
    if isinstance(told, list):
        return [fact for one in told for fact in facts(one)]
    if not isinstance(told, dict):
        return [told]
    rows = told.get("items")
    if "l_id" in told and "as_id" not in told and isinstance(rows, list):
        return _parcels(told, rows)
    if "so_id" not in told and "as_id" not in told:
        for name in _ROWS:
            listed = told.get(name)
            if isinstance(listed, list) and listed and all(isinstance(one, dict) and "sku_id" in one for one in listed):
                return list(listed)
    return [told]


def _parcels(told: dict[str, Any], rows: list[Any]) -> list[Any]:
    orders: dict[str, list[Any]] = {}
    for row in rows:
        own = (row.get("so_id") or row.get("raw_so_id")) if isinstance(row, dict) else None
        orders.setdefault(str(own or told.get("so_id") or ""), []).append(row)
    return [{**told, "so_id": number, "items": listed} for number, listed in orders.items()] or [told]

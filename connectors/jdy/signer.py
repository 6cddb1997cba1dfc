"""Kingdee Star's proof: every request is signed with the application's secret; a token belongs to one company's books.

The text that is signed holds the method, the encoded path, the query with names and values encoded twice, the nonce and
the time; bodies are not signed. A company is known by its ``outerInstanceId``: with it the application asks for the
company's app key and app secret (the platform changes the secret about every 24 hours) and for the address of its data
centre, and with these for the app-token. All of it is kept beside the token, so that a renewal is one call.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from connectors.core import answer, errors, failure, grant, model, scope

AUTHORISE = "/jdyconnector/app_management/push_app_authorize"
TOKEN = "/jdyconnector/app_management/kingdee_auth_token"  # house: vendor-word because it is an address
LIFETIME = 22 * 3600.0
"""Seconds a token is used; the platform ends it after 24 hours."""

UNTIL = "granted_until"
"""Where the end of an authorisation is kept beside a token, so that people are told before it comes."""

Send = Callable[[model.Request], Awaitable[answer.Answer]]

REFUSED = {
    "zh": "取令牌被拒绝：请核对应用 ID、应用密钥和第三方实例 ID，以及授权是否到期",
    "en": "The token was refused: check client id, client secret and instance id, and whether the authorisation ended",
}


def _mac(key: str, text: str) -> str:
    """Base64 of the hex digits, not of the digest: the vendor's own habit."""
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return base64.b64encode(digest.encode()).decode()


def app_signature(app_key: str, app_secret: str) -> str:
    """What proves the app key in a token request."""
    return _mac(app_secret, app_key)


def request_signature(
    method: str, path: str, params: Mapping[str, str], client_secret: str, nonce: str, timestamp_ms: str
) -> str:
    """``X-Api-Signature`` of a request."""

    def twice(value: str) -> str:
        return quote(quote(value, safe=""), safe="")

    query = "&".join(f"{twice(name)}={twice(params[name])}" for name in sorted(params))
    stamped = f"x-api-nonce:{nonce}\nx-api-timestamp:{timestamp_ms}\n"
    return _mac(client_secret, f"{method.upper()}\n{quote(path, safe='')}\n{query}\n{stamped}")


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Add the signed headers; ``now`` in Unix seconds. Raises CredentialRefused without a secret."""
    secret = connection.secrets.get("client_secret", "")
    if not secret:
        raise errors.CredentialRefused("client_secret is missing", hint=REFUSED)
    nonce, stamp = str(secrets.randbelow(2**31 - 2) + 1), str(int(now * 1000))
    # The platform signs its own part of the path; an address of one's own may stand before it.
    before = urlsplit(str(scope.settings(connection)["base_url"])).path.rstrip("/")
    path = urlsplit(request.url).path.removeprefix(before)
    request.headers |= {
        "X-Api-ClientID": str(scope.settings(connection).get("client_id", "")),
        "X-Api-Auth-Version": "2.0",
        "X-Api-TimeStamp": stamp,
        "X-Api-Nonce": nonce,
        "X-Api-SignHeaders": "X-Api-TimeStamp,X-Api-Nonce",
        "X-Api-Signature": request_signature(request.method, path, request.query, secret, nonce, stamp),
    }


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """A token for the company's books. Raises CredentialRefused, Throttled, Unavailable."""
    config = scope.settings(connection)
    wish = _request("POST", AUTHORISE, {"outerInstanceId": str(config["outer_instance_id"])}, connection, now)
    wish.body, wish.headers["content-type"] = b"{}", "application/json"
    listed = _data(connection, await send(wish))
    known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    chosen = next((one for one in known if str(one.get("status")) == "1"), known[0] if known else {})
    if not chosen.get("appKey") or not chosen.get("appSecret"):
        raise errors.CredentialRefused("this instance is not authorised", hint=REFUSED)
    domain = str(chosen.get("domain") or config.get("domain") or "")
    until = granted_until(chosen.get("instanceExpiresTime"), connection.declaration.time.zone)
    return await _token(send, connection, str(chosen["appKey"]), str(chosen["appSecret"]), domain, until, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next token by the app secret of the one before; None when that secret was changed meanwhile."""
    known = kept.extra
    if known.get("instance") != str(scope.settings(connection).get("outer_instance_id")) or not known.get("secret"):
        return None
    try:
        until = grant.granted_until(known)
        return await _token(send, connection, known["app"], known["secret"], known.get("domain", ""), until, now)
    except errors.CredentialRefused:
        return None


def granted_until(told: Any, zone: str) -> float | None:
    """Unix seconds at which an authorisation ends, by ``instanceExpiresTime``; None where that says nothing.

    It is read as a number of milliseconds (or seconds), or as a local time or date.
    """
    text = str(told or "").strip()
    if text.isdigit() and len(text) in (10, 13):
        return int(text) / (1000 if len(text) == 13 else 1)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).timestamp()


async def _token(
    send: Send, connection: model.Connection, app: str, secret: str, domain: str, until: float | None, now: float
) -> model.Token:
    query = {"app_key": app, "app_signature": app_signature(app, secret)}
    data = _data(connection, await send(_request("GET", TOKEN, query, connection, now)))
    value = data.get("app-token") if isinstance(data, dict) else None
    if not value:
        raise errors.CredentialRefused("the answer holds no app-token", hint=REFUSED)
    instance = str(scope.settings(connection).get("outer_instance_id", ""))
    extra = {"app": app, "secret": secret, "domain": domain, "instance": instance}
    if until is not None:
        extra[UNTIL] = str(int(until))
    return model.Token(str(value), now + LIFETIME, extra)


def _request(
    method: str, path: str, query: Mapping[str, str], connection: model.Connection, now: float
) -> model.Request:
    base = str(scope.settings(connection)["base_url"]).rstrip("/")
    request = model.Request(method, base + path, dict(query))
    sign(request, connection, now)
    return request


def _data(connection: model.Connection, got: answer.Answer) -> Any:
    """``data`` of an answer that is a success: errcode 0, or code 200 in some. Raises by the connector's tables."""
    said = got.body if got.parsed and isinstance(got.body, dict) else {}
    if got.status == 200 and (str(said.get("errcode")) == "0" or str(said.get("code")) == "200"):
        return said.get("data")
    found = failure.Reader(connection.declaration, None).finding(got, safe=True)
    error = failure.error(found, "token", safe=True)
    if not said or isinstance(error, errors.Throttled | errors.Unavailable):
        raise error
    raise errors.CredentialRefused(found.message, code=found.code, hint=REFUSED)

"""Two proofs and one grant: the gateway's signature, the message queue's, and the renewal of the shop's token.

The gateway signs every parameter of a call wherever it stands; the business parameters are one JSON text, signed and
sent as the same bytes. The queue (JCQ) has keys and a scheme of its own; its calls are known by their ``accessKey``
header. A token is renewed only within its last day, and both tokens change then.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

from connectors.core import answer, errors, grant, jsontext, mask, model, scope, signing, template

Send = Callable[[model.Request], Awaitable[answer.Answer]]

ZONE = timezone(timedelta(hours=8))
LAST_DAY = 86400.0
"""Seconds before the end of a token during which it can be renewed."""
EARLY = 43200.0
"""Renewed so many seconds before the end, in the middle of the last day."""
SOON, LATER = 60.0, 600.0
"""Seconds until a token entered within that time is renewed; until another try when the renewal was not to be had."""


def stamp(now: float) -> str:
    """Milliseconds and zone are written out, so that nobody has to guess them."""
    local = datetime.fromtimestamp(now, UTC).astimezone(ZONE)
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}+0800"


def digest(secret: str, params: Mapping[str, str]) -> str:
    """The gateway's ``sign`` of ``params``, upper-case hex. Raises Misdeclared without a secret."""
    if not secret:
        raise errors.Misdeclared(
            "no AppSecret on this connection",
            hint={"zh": "请在连接中填写 AppSecret", "en": "Enter the AppSecret on the connection"},
        )
    signed = {name: value for name, value in params.items() if name != "sign"}
    return signing.sorted_params_signature(signed, {"secret": secret})


def queue_signature(secret: str, params: Mapping[str, str]) -> str:
    """JCQ's: base64(HMAC-SHA1) over ``k=v`` pairs joined by ``&``, sorted by name."""
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def sign(request: model.Request, connection: model.Connection, now: float) -> None:
    """Sign a call of the gateway or of the queue in place; ``now`` in Unix seconds."""
    if "accessKey" in request.headers:
        _sign_queue(request, connection, now)
        return
    request.query |= {
        "app_key": str(scope.settings(connection).get("app_key", "")),
        "timestamp": stamp(now),
        "v": "2.0",
    }
    params = {**request.query, **(request.form or {})}
    request.query["sign"] = digest(connection.secrets.get("app_secret", ""), params)


def _sign_queue(request: model.Request, connection: model.Connection, now: float) -> None:
    secret = connection.secrets.get("jcq_secret_key", "")
    if not secret:
        raise errors.Misdeclared(
            "no JCQ secretKey on this connection",
            hint={"zh": "请在连接中填写 JCQ secretKey", "en": "Enter the JCQ secretKey on the connection"},
        )
    request.headers["dateTime"] = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = jsontext.loads(request.body) if request.body else {}
    proven = {name: template.text(value) for name, value in body.items()}
    proven |= request.query | {name: request.headers[name] for name in ("accessKey", "dateTime")}
    request.headers["signature"] = queue_signature(secret, proven)


# The grant


async def login(send: Send, connection: model.Connection, now: float) -> model.Token:
    """The token for the code of the last authorisation, else the one that a person entered."""

    async def exchange(code: str) -> model.Token:
        return await _exchanged(send, connection, {"grant_type": "authorization_code", "code": code}, now)

    given = _given(connection)
    granted = await grant.from_code(connection.secrets.get("code", ""), given[0], exchange)
    if granted is not None:
        return granted
    ends = _entered_end(connection)
    if ends is not None and ends <= now:
        raise errors.CredentialRefused("the access_token is over", hint=grant.AGAIN)
    return _token(given[0], given[1], ends, given, now)


async def refresh(send: Send, connection: model.Connection, kept: model.Token, now: float) -> model.Token | None:
    """The next pair of tokens, within the last day of this one. None when a person entered another grant.

    Raises CredentialRefused when a person must authorise again.
    """
    given = _given(connection)
    following = grant.refresh_token(kept, given, now)
    if following is None:
        return None
    ends = grant.granted_until(kept.extra)
    same = grant.resumed(kept, given, now)
    if same is not None and now < same.expires_at - EARLY:
        return model.Token(same.value, same.expires_at - EARLY, same.extra)
    if ends is not None and now < ends - LAST_DAY:
        # Refused long before its end: the seller withdrew the authorisation, and the vendor would not renew it yet.
        raise errors.CredentialRefused("refused before its end", hint=grant.AGAIN)
    # Only a token whose time has come may be used on while the renewal is not to be had; a refused one may not.
    scheduled = kept.expires_at <= now and ends is not None and ends > now + LATER
    try:
        wanted = {"grant_type": "refresh_token", "refresh_token": following}
        return await _exchanged(send, connection, wanted, now)
    except (errors.Unavailable, errors.Throttled):
        if not scheduled:
            raise
        return model.Token(kept.value, now + LATER, kept.extra)


async def _exchanged(send: Send, connection: model.Connection, wanted: Mapping[str, str], now: float) -> model.Token:
    """A pair of tokens for a code or a refresh token. Raises CredentialRefused or Unavailable."""
    config, given = scope.settings(connection), _given(connection)
    query = {
        "app_key": str(config.get("app_key", "")),
        "app_secret": connection.secrets.get("app_secret", ""),
        **wanted,
    }
    place = "access_token" if "code" in wanted else "refresh_token"
    got = await send(model.Request("GET", f"{str(config['oauth_url']).rstrip('/')}/{place}", query))
    body = got.body if isinstance(got.body, dict) else {}
    value, code, before = body.get("access_token"), body.get("code", 0), wanted.get("refresh_token", "")
    if got.status == 200 and value and str(code) == "0":
        seconds = float(body.get("expires_in") or LAST_DAY)
        return _token(str(value), str(body.get("refresh_token") or before), now + seconds, given, now)
    hidden = mask.Mask([*(one for one in connection.secrets.values() if one), *filter(None, [before])])
    if not body or got.status >= 500:
        raise errors.Unavailable(f"the authorisation server answered HTTP {got.status}", hint=_AWAY)
    raise errors.CredentialRefused(hidden.text(str(body.get("msg") or "refused")), code=str(code), hint=grant.AGAIN)


_AWAY = {"zh": "京东授权服务暂时不可用，稍后自动重试", "en": "JD's authorisation server is away; tried again later"}


def _token(value: str, following: str, ends: float | None, given: tuple[str, ...], now: float) -> model.Token:
    until = now + grant.ENDLESS if ends is None else max(ends - EARLY, min(ends, now + SOON))
    if not following:
        return model.Token(value, until)
    return model.Token(value, until, grant.carried(following, ends, given))


def _given(connection: model.Connection) -> tuple[str, ...]:
    return tuple(connection.secrets.get(name, "") for name in ("access_token", "refresh_token", "code"))


def _entered_end(connection: model.Connection) -> float | None:
    text = str(scope.settings(connection).get("token_expires") or "")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()
    except ValueError:
        raise errors.Misdeclared(
            "token_expires is no date",
            hint={"zh": "到期时间的格式是 2027-03-01 09:00:00", "en": "The end is written like 2027-03-01 09:00:00"},
        ) from None

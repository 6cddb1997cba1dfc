"""A grant that a person gave once, and the refresh token that goes on from it: what a kept token carries.

A platform that lets a shop authorise an application gives a short-lived token and a refresh token, often good for one
use. The newest refresh token lives in ``Token.extra``; the fields of the form hold only where it all began. A mark of
those fields is kept beside it, so that a new authorisation entered by a person goes before the chain of the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.core import answer, declaration, errors, failure, mask, model, scope

_REFRESH, _MARK, _UNTIL = "refresh_token", "grant", "granted_until"

ENDLESS = 10 * 365 * 86400.0
"""Seconds for which a token is used whose end nobody told: until it is refused."""

_PERSONS = (declaration.ErrorClass.REJECTED, declaration.ErrorClass.DONE, declaration.ErrorClass.TOKEN)

AGAIN = {
    "zh": "店铺授权已到期或被取消：请重新授权，把新的授权信息填到连接里",
    "en": "The shop's authorisation ended or was withdrawn: authorise again and enter the new grant",
}


def carried(refresh: str, until: float | None, given: tuple[str, ...]) -> dict[str, str]:
    """What to keep beside a token.

    ``until``: Unix seconds after which a person must authorise again, None where each renewal moves that on;
    ``given``: the credentials of the form that the chain began with.
    """
    kept = {_REFRESH: refresh, _MARK: _mark(given)}
    return kept if until is None else {**kept, _UNTIL: str(int(until))}


def refresh_token(kept: model.Token, given: tuple[str, ...], now: float) -> str | None:
    """The refresh token to go on with; None when the form holds another grant by now.

    Raises CredentialRefused when this grant is over.
    """
    if kept.extra.get(_MARK) != _mark(given) or not kept.extra.get(_REFRESH):
        return None
    until = granted_until(kept.extra)
    if until is not None and until <= now:
        raise errors.CredentialRefused("the authorisation is over", hint=AGAIN)
    return kept.extra[_REFRESH]


def resumed(kept: model.Token, given: tuple[str, ...], now: float) -> model.Token | None:
    """The kept token once more, where only a change of the connection ended it and its grant still lasts.

    For tokens that live as long as their grant, and that nothing but a person can replace: an edit of another field,
    or a pause, must not cost an authorisation. None when it is over, was refused, or the form holds another grant.
    """
    until = granted_until(kept.extra)
    ended_here = kept.expires_at <= 0
    if not ended_here or kept.extra.get(_MARK) != _mark(given) or (until is not None and until <= now):
        return None
    return model.Token(kept.value, now + ENDLESS if until is None else until, kept.extra)


Exchange = Callable[[str], Awaitable[model.Token]]
"""Gives a token for a code, or for a refresh token; raises CredentialRefused."""


async def begun(code: str, entered: str, now: float, exchange: Exchange) -> model.Token:
    """The token for the code of the last authorisation, else the one that a person ``entered``.

    The end of the entered one is the vendor's to tell: it is used until it is refused.
    """
    return await from_code(code, entered, exchange) or model.Token(entered, now + ENDLESS)


async def from_code(code: str, entered: str, exchange: Exchange) -> model.Token | None:
    """The token for the code of the last authorisation; None where the token that a person ``entered`` counts.

    A code works once; where it is refused, what was entered counts. Raises CredentialRefused where there is neither.
    """
    if code:
        try:
            return await exchange(code)
        except errors.CredentialRefused:
            if not entered:
                raise
    if not entered:
        raise errors.CredentialRefused("neither a code nor a token", hint=AGAIN)
    return None


async def gone_on(kept: model.Token, given: tuple[str, ...], now: float, exchange: Exchange) -> model.Token | None:
    """The same token where only an edit ended it, the next one of the chain, or None with nothing to go on from."""
    same = resumed(kept, given, now)
    if same is not None:
        return same
    following = refresh_token(kept, given, now)
    return None if following is None else await exchange(following)


def granted_until(kept: Mapping[str, str]) -> float | None:
    """Unix seconds until which the grant behind a token lasts; None when nobody told."""
    text = kept.get(_UNTIL, "")
    return float(text) if text.isdigit() else None


def entered_until(connection: model.Connection) -> float | None:
    """Unix seconds until which the authorisation lasts as a person wrote it in the field that the declaration names.

    A date alone means its first moment; None when the field is empty or holds no date.
    """
    spec = connection.declaration
    text = str(scope.settings(connection).get(spec.ends) or "") if spec.ends else ""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(spec.time.zone))).timestamp()


def check(connection: model.Connection, got: answer.Answer, operation: str = "token") -> None:
    """Raise what a refused login means by the connector's own tables; a refusal nobody explained is a credential's."""
    reader = failure.Reader(connection.declaration, None)
    if reader.succeeded(got):
        return
    found = reader.finding(got, safe=True)
    found.message = mask.Mask(value for value in connection.secrets.values() if value).text(found.message)
    if found.becomes in _PERSONS:
        if found.becomes is declaration.ErrorClass.TOKEN or found.hint == failure.hint("refused"):
            found.hint = AGAIN
        found.becomes = declaration.ErrorClass.CREDENTIAL
    raise failure.error(found, operation, safe=True)


def _mark(given: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(given).encode()).hexdigest()[:32]

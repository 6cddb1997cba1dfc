"""Getting a token: by the declared request, or by the connector's own ``signer.login``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from connectors.core import answer, declaration, errors, failure, grant, line, model, paths, plan, registry

NAME = "token"
"""How the exchange is called in the ledger."""


class Work(Protocol):
    """The call on whose behalf somebody logs in."""

    way: line.Line

    async def exchange(
        self, name: str, request: model.Request, *, safe: bool, token: model.Token | None = None
    ) -> answer.Answer:
        """Send, and keep what may be seen of it."""


class _TokenPlan(plan.RequestPlan):
    """A compiled TokenSpec with a request."""

    def __init__(self, spec: declaration.Declaration, token: declaration.TokenSpec) -> None:
        assert token.request is not None
        super().__init__(token.request, "auth.token.request")
        self.follow = plan.RequestPlan(token.refresh, "auth.token.refresh") if token.refresh else None
        self.refresh_value = plan.reader(token.refresh_value or "refresh_token")
        self.token = token
        self.value = plan.reader(token.value or "access_token")
        self.expires_in = plan.reader(token.expires_in) if token.expires_in else None
        self.reader = failure.Reader(spec, None)
        value = declaration.Condition(
            path=f"body.{(token.value or 'access_token').removeprefix('body.')}", present=True
        )
        self.reader.use(token.success or value)


_plans: dict[int, tuple[declaration.TokenSpec, _TokenPlan]] = {}


def _plan(spec: declaration.Declaration, token: declaration.TokenSpec) -> _TokenPlan:
    kept = _plans.get(id(token))
    if kept is None or kept[0] is not token:
        if len(_plans) > 1024:
            _plans.clear()
        kept = _plans[id(token)] = (token, _TokenPlan(spec, token))
    return kept[1]


async def run(work: Work, one: plan.Auth, now: Callable[[], float], kept: model.Token | None = None) -> model.Token:
    """A fresh token; ``kept`` is the one before it.

    Raises CredentialRefused, Throttled, Unavailable, ...; never an unknown outcome.
    """
    spec = work.way.connection.declaration
    assert one.spec.token is not None
    if one.spec.token.request is None:
        return await _by_signer(work, spec, now, kept)
    made = _plan(spec, one.spec.token)
    at = now()
    scope = {**work.way.scope, "input": {}, "now": at}
    given = tuple(work.way.connection.secrets.get(key, "") for key in made.token.given)
    refresh = grant.refresh_token(kept, given, at) if made.follow is not None and kept is not None else None
    if made.follow is None or refresh is None:
        got = await work.exchange(NAME, made.request(scope), safe=True)
    else:
        request = made.follow.request({**scope, "token_extra": {"refresh_token": refresh}})
        got = await work.exchange(NAME, request, safe=True, token=kept)
    value = made.value(got.body) if made.reader.succeeded(got) else None
    if value is None or value is paths.ABSENT or value == "":
        raise _refusal(made, got, work)
    lifetime = _lifetime(made, got, at)
    # A short-lived token must not be renewed on every call because it is always "nearly over".
    usable = lifetime - min(made.token.early, lifetime / 2)
    extra = {name: text for name, text in got.cookies.items() if text}
    if made.follow is not None:
        newer = made.refresh_value(got.body)
        chain = refresh or "" if newer is paths.ABSENT or not newer else str(newer)
        extra |= grant.carried(chain, None, given)
    return model.Token(str(value), at + usable, extra)


def _lifetime(made: _TokenPlan, got: answer.Answer, now: float) -> float:
    found = made.expires_in(got.body) if made.expires_in else None
    try:
        seconds = float(found) if found is not None and found is not paths.ABSENT else made.token.lifetime
    except (TypeError, ValueError):
        return made.token.lifetime
    if seconds > 100_000_000_000:
        seconds /= 1000
    if seconds > 1_000_000_000:
        seconds -= now
    return seconds if seconds > 0 else made.token.lifetime


def _refusal(made: _TokenPlan, got: answer.Answer, work: Work) -> errors.ConnectorError:
    found = made.reader.finding(got, safe=True)
    found.message = work.way.mask.text(found.message)
    told = found.becomes not in (declaration.ErrorClass.REJECTED, declaration.ErrorClass.DONE)
    if not told:
        found.becomes = made.token.refusal
    if found.becomes in (declaration.ErrorClass.TOKEN, declaration.ErrorClass.CREDENTIAL) and not found.hint:
        found.hint = failure.hint("unauthorised")
    return failure.error(found, NAME, safe=True)


async def _by_signer(
    work: Work, spec: declaration.Declaration, now: Callable[[], float], kept: model.Token | None
) -> model.Token:
    signer = registry.signer(spec.id)
    if signer is None or not hasattr(signer, "login"):
        raise errors.Misdeclared(
            "auth.token has no request and signer.py has no login()",
            operation=NAME,
            hint={"zh": "连接器缺少登录方式", "en": "The connector has no way to log in"},
        )

    async def send(request: model.Request) -> answer.Answer:
        # What renews a token is as secret as the token: it is masked where the exchange is kept.
        return await work.exchange(NAME, request, safe=True, token=kept)

    token: Any = None
    if kept is not None and hasattr(signer, "refresh"):
        token = await signer.refresh(send, work.way.connection, kept, now())
    if token is None:
        token = await signer.login(send, work.way.connection, now())
    if not isinstance(token, model.Token) or not token.value:
        raise errors.CredentialRefused("the login gave no token", operation=NAME, hint=failure.hint("unauthorised"))
    return token

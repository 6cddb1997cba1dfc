"""One exchange with a system, from the rendered request to its meaning, with the token renewed at most once."""

from __future__ import annotations

import contextlib
import copy
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from connectors.core import (
    answer,
    auth,
    declaration,
    errors,
    failure,
    jsontext,
    line,
    login,
    model,
    pacing,
    plan,
    signing,
    template,
)

HIDDEN = "***"

_UNREACHABLE = {
    "zh": "连接不上对方系统，请求没有发出；稍后自动重试",
    "en": "The system cannot be reached, nothing was sent; tried again later",
}


class AlreadySo(Exception):
    """The system says it is already so; whoever called decides whether that is what was wanted."""

    def __init__(self, found: failure.Finding) -> None:
        super().__init__(found.message)
        self.found = found


class Sending:
    """The work of one call: its exchanges are collected here, whatever becomes of it."""

    def __init__(
        self,
        way: line.Line,
        tokens: auth.TokenStore,
        pacer: pacing.Pacer,
        now: Callable[[], float],
        *,
        urgent: bool = False,
    ) -> None:
        self.way, self._tokens, self._pacer, self._now = way, tokens, pacer, now
        self._slot: contextlib.AbstractAsyncContextManager[Any] = contextlib.nullcontext() if urgent else way.busy
        self.exchanges: list[model.Exchange] = []

    async def once(
        self, made: plan.Plan, given: Mapping[str, Any], **values: Any
    ) -> tuple[model.Outcome, answer.Answer]:
        """One operation, sent once (twice when only the token was refused). Raises errors.* or AlreadySo."""
        connection = self.way.connection
        filled = made.filled(given)
        carried = plan.applicable(made, connection)
        if made.wants_uuid:
            values["uuid"] = str(uuid.uuid4())
        stale: str | None = None
        while True:
            await self._pacer.acquire(connection, made.name, filled)
            token = await self._token(carried, stale)
            async with self._slot:
                got = await self._send(made, filled, carried, token, values)
            if made.reader.succeeded(got):
                data, record, warnings = made.outcome(got, filled)
                return model.Outcome(data, record, warnings, rest=made.rest(got)), got
            found = made.reader.finding(got, safe=made.safe)
            if found.becomes is declaration.ErrorClass.TOKEN and token is not None and stale is None:
                stale = token.value
                continue
            raise await self._refused(made, found, token)

    async def _refused(
        self, made: plan.Plan, found: failure.Finding, token: model.Token | None
    ) -> errors.ConnectorError | AlreadySo:
        found.message = self.way.masks(_hidden(token)).text(found.message)
        if found.becomes is declaration.ErrorClass.DONE:
            return AlreadySo(found)
        error = failure.error(found, made.name, safe=made.safe)
        if isinstance(error, errors.Throttled):
            connection = self.way.connection
            if error.banned:
                told = self._pacer.banned(connection, error.retry_after or failure.BAN, error.scope)
            else:
                told = self._pacer.throttled(connection, made.name, error.retry_after or 0.0)
            if isawaitable(told):
                await told
        return error

    async def _send(
        self,
        made: plan.Plan,
        given: dict[str, Any],
        carried: list[plan.Auth],
        token: model.Token | None,
        values: dict[str, Any],
    ) -> answer.Answer:
        now = self._now()
        scope = {**self.way.scope, "input": given, "now": now, **values}
        if token is not None:
            scope["token"], scope["token_extra"] = token.value, token.extra
        try:
            request, proof = self._made(made, carried, scope, now)
        except (template.TemplateError, jsontext.JsonError) as error:
            hint = {"zh": f"有一个值的类型不符：{error}", "en": f"A value is of the wrong kind: {error}"}
            raise errors.Misdeclared(str(error), operation=made.name, hint=hint) from None
        return await self.exchange(made.name, request, safe=made.safe, token=token, proof=proof)

    def _made(
        self, made: plan.Plan, carried: list[plan.Auth], scope: Mapping[str, Any], now: float
    ) -> tuple[model.Request, frozenset[str]]:
        """The request with everything on it, and the names that the signature put there."""
        request = made.request(scope)
        for one in carried:
            # What the operation says itself goes before what every call carries.
            request.query = {**one.query(scope), **request.query}
            request.headers = {**one.headers(scope), **request.headers}
            request.cookies = {**one.cookies(scope), **request.cookies}
        if not made.signs:
            return request, frozenset()
        before = _parameters(request)
        signing.sign(made.declaration.signing.scheme, made.sign_options(scope), request, self.way.connection, now)
        return request, frozenset(name for name, value in _parameters(request).items() if before.get(name) != value)

    async def exchange(
        self,
        name: str,
        request: model.Request,
        *,
        safe: bool,
        token: model.Token | None = None,
        proof: frozenset[str] = frozenset(),
    ) -> answer.Answer:
        """Send, and keep what may be seen of it. Raises Unavailable or OutcomeUnknown when no answer came."""
        begun = time.perf_counter()
        status: int | None = None
        shown = ""
        try:
            got = await self.way.send(request)
            status, shown = got.status, got.broken or got.text
            return got
        except line.NotSent as error:
            shown = str(error)
            raise errors.Unavailable(self.way.mask.text(shown), operation=name, hint=_UNREACHABLE) from None
        except line.NoAnswer as error:
            shown = str(error)
            kind = errors.Unavailable if safe else errors.OutcomeUnknown
            hint = failure.hint("down" if safe else "unclear")
            raise kind(self.way.mask.text(shown), operation=name, hint=hint) from None
        finally:
            mask = self.way.masks(_hidden(token))
            url, text = _shown(request, proof)
            self.exchanges.append(
                model.Exchange(
                    operation=name,
                    method=request.method,
                    url=mask.text(url),
                    request=mask.text(text),
                    status=status,
                    response=mask.text(shown),
                    duration=time.perf_counter() - begun,
                )
            )

    async def _token(self, carried: list[plan.Auth], stale: str | None) -> model.Token | None:
        one = next((one for one in carried if one.spec.token is not None), None)
        if one is None:
            return None
        key = self.way.connection.key + one.key

        async def fetch() -> model.Token:
            first = len(self.exchanges)
            token = await login.run(self, one, self._now, await self._tokens.kept(key))
            # The answer holds the token and whatever else the system likes to put beside it.
            self.exchanges[first:] = [replace(seen, response=HIDDEN) for seen in self.exchanges[first:]]
            return token

        if stale is None:
            token = await self._tokens.get(key, self._now())
            if token is not None:
                return token
        try:
            return await self._tokens.renew(key, stale, fetch)
        except errors.ConnectorError as error:
            # Many callers may be given this one exception; each adds its own exchanges to its own copy.
            raise copy.copy(error) from None


def _hidden(token: model.Token | None) -> tuple[str, ...]:
    return () if token is None else (token.value, *token.extra.values())


def _parameters(request: model.Request) -> dict[str, str]:
    return {**request.query, **request.headers, **(request.form or {})}


def _hides(name: str, value: str, proof: frozenset[str]) -> bool:
    # The password of basic authentication is there in a spelling that no mask knows.
    basic = name.lower() == "authorization" and value.startswith(plan.BASIC)
    return basic or (name in proof and not value.isdigit())


def _shown(request: model.Request, proof: frozenset[str]) -> tuple[str, str]:
    def listed(fields: Mapping[str, str], between: str) -> list[str]:
        # Numbers that signing adds are times; they help whoever reads this, and prove nothing.
        return [f"{name}{between}{HIDDEN if _hides(name, value, proof) else value}" for name, value in fields.items()]

    url = request.url
    if request.query:
        url += ("&" if "?" in url else "?") + "&".join(listed(request.query, "="))
    lines = listed(request.headers, ": ")
    if request.cookies:
        lines.append("cookie: " + HIDDEN)
    body = "&".join(listed(request.form, "=")) if request.form is not None else request.body.decode("utf-8", "replace")
    return url, "\n".join([*lines, "", body]) if lines else body

"""The door to every system: call an operation, read a list, probe a connection. Nothing here knows any vendor.

What comes out is an Outcome or one of errors.*; both carry the masked exchanges, the error as the list ``exchange``.
Repeats inside a call are few and only for calls that change nothing; everything else is the ledger's business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import tenacity

from connectors.core import (
    auth,
    declaration,
    errors,
    flow,
    line,
    model,
    pacing,
    paging,
    plan,
    predicate,
    scope,
    sending,
    template,
    together,
)

TRIES = 3
TRY_SECONDS = 10.0
"""At most so many tries within so many seconds, for list and get only."""

_T = TypeVar("_T")


class Client:
    """Calls systems. Keep one for as long as the program runs; it holds open connections."""

    def __init__(
        self,
        tokens: auth.TokenStore,
        pacer: pacing.Pacer,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
        files: Path | None = None,
    ) -> None:
        """``files``: where connections that work with files have a folder each, called like their key."""
        self._files = files
        self._tokens, self._pacer, self._transport, self._now = tokens, pacer, transport, now
        self._lines: dict[str, line.Line] = {}
        self._retired: list[line.Line] = []

    async def call(
        self,
        connection: model.Connection,
        operation: str,
        given: Mapping[str, Any],
        *,
        fresh: bool = True,
        urgent: bool = False,
    ) -> model.Outcome:
        """Run one operation, or one flow of them.

        ``urgent`` goes beside the declared concurrency: the call has seconds and must not queue behind others.
        ``fresh`` false means that an earlier attempt may have got through: operations declared ``query_first`` and
        flows look before they send. Raises errors.ConnectorError.
        """
        if self._retired:
            await self._close_retired()
        with self._work(connection, operation, urgent) as work:
            made = plan.of(connection.declaration, operation)
            if made.operation.flow is not None:
                found = await self._flow(work, made.operation.flow, operation, given, fresh)
            elif made.safe:
                found = await self._safely(lambda: _settled(work, made, given))
                joined = made.operation.together
                if joined is not None and found.data and made.operation.paging.style == "none":
                    found = replace(found, data=together.one(joined, operation, found.data))
            else:
                found = await self._write(work, made, given, fresh)
            return replace(found, exchanges=tuple(work.exchanges))

    async def pages(
        self,
        connection: model.Connection,
        operation: str,
        given: Mapping[str, Any],
        window: tuple[datetime, datetime] | None = None,
    ) -> AsyncIterator[list[Any]]:
        """The rows of a list operation, page by page; ``window`` gives ``${window.start}`` and ``${window.end}``.

        Where rows of one record are added up (``together``), nothing comes before all of them were read.
        """
        with self._work(connection, operation) as work:
            made = plan.of(connection.declaration, operation)
            span = {"window": {"start": window[0], "end": window[1]}} if window else {}

            joined = made.operation.together
            sums = together.Sums(joined, operation) if joined is not None else None

            async def fetch(page: Mapping[str, Any]) -> tuple[list[Any], Any]:
                found, got = await self._safely(lambda: work.once(made, given, page=page, **span))
                rows = found.data or []
                if sums is not None:
                    sums.take(rows, paging.total(made.operation.paging, got.body))
                return rows, got.headers if paging.by_header(made.operation.paging) else got.body

            async for rows in paging.read(fetch, made.operation.paging, operation):
                if sums is None:
                    yield rows
                # A long reading must not collect every page it has seen.
                work.exchanges.clear()
            if sums is not None:
                sums.over()
                for added in sums.pages():
                    yield added

    async def probe(self, connection: model.Connection) -> model.Outcome:
        """The connector's cheap call: are address, credentials and permissions right? Then what it has to prepare."""
        found = await self.call(connection, connection.declaration.probe, {})
        known = scope.of(connection)
        for one in connection.declaration.prepare:
            given = template.render(one.input, known)
            if scope.applies(one.when, known["config"]) and all(given.get(key) not in (None, "") for key in one.input):
                made = await self.call(connection, one.operation, given)
                found = replace(found, exchanges=(*found.exchanges, *made.exchanges))
        return found

    async def aclose(self) -> None:
        """Close every connection."""
        lines = [*self._lines.values(), *self._retired]
        self._lines.clear()
        self._retired.clear()
        for one in lines:
            await one.aclose()

    async def _close_retired(self) -> None:
        idle = [one for one in self._retired if not one.users]
        self._retired = [one for one in self._retired if one.users]
        for one in idle:
            await one.aclose()

    @contextmanager
    def _work(self, connection: model.Connection, operation: str, urgent: bool = False) -> Iterator[sending.Sending]:
        way = self._line(connection)
        work = sending.Sending(way, self._tokens, self._pacer, self._now, urgent=urgent)
        way.users += 1
        try:
            yield work
        except errors.ConnectorError as error:
            error.operation = error.operation or operation
            error.exchange = list(work.exchanges)
            raise
        finally:
            way.users -= 1

    def _line(self, connection: model.Connection) -> line.Line:
        kept = self._lines.get(connection.key)
        if kept is not None and kept.serves(connection):
            return kept
        if kept is not None:
            # Calls may still be under way on the old settings; its sockets go when they are over.
            self._retired.append(kept)
        made = self._lines[connection.key] = line.Line(connection, self._transport, self._files)
        return made

    async def _safely(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        begun = time.monotonic()
        try:
            return await attempt()
        except errors.Unavailable as error:
            left = TRY_SECONDS - (time.monotonic() - begun)
            if left <= 0:
                raise
            first: list[errors.Unavailable] = [error]

        async def again() -> _T:
            if first:
                raise first.pop()
            return await attempt()

        # Built only now: most calls succeed at once and must not pay for it.
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(errors.Unavailable),
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_before_delay(left),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        return await retrying(again)

    async def _flow(
        self, work: sending.Sending, spec: declaration.Flow, name: str, given: Mapping[str, Any], fresh: bool
    ) -> model.Outcome:
        async def step(operation: str, record: Mapping[str, Any]) -> model.Outcome:
            made = plan.of(work.way.connection.declaration, operation)
            filled = {**plan.of(work.way.connection.declaration, name).operation.defaults, **given}
            if made.safe:
                return await self._safely(lambda: _settled(work, made, filled, record=record))
            found, _ = await work.once(made, filled, record=record)
            return found

        return await flow.run(step, name, spec, fresh=fresh)

    async def _write(
        self, work: sending.Sending, made: plan.Plan, given: Mapping[str, Any], fresh: bool
    ) -> model.Outcome:
        if not fresh and made.operation.idempotent is declaration.Idempotency.QUERY_FIRST:
            found = await self._there(work, made, given)
            if found is not None:
                return found
        held = await self._held(work, made, given)
        if held is not None:
            return held
        try:
            return await self._asked(work, made, given, (await work.once(made, given))[0])
        except sending.AlreadySo as error:
            if made.operation.lookup is None:
                record = made.sent_id(made.filled(given))
                return model.Outcome(None, record, (error.found.message,), already=True)
            found = await self._there(work, made, given)
            if found is not None:
                return found
            raise errors.Rejected(
                error.found.message, code=error.found.code, hint=error.found.hint, operation=made.name
            ) from None

    async def _asked(
        self, work: sending.Sending, made: plan.Plan, given: Mapping[str, Any], done: model.Outcome
    ) -> model.Outcome:
        """The outcome with what the system tells afterwards about the pieces that did not work."""
        ask, connection = made.operation.ask, work.way.connection
        if ask is None or done.record_id is None or not scope.applies(ask.when, scope.settings(connection)):
            return done
        await asyncio.sleep(ask.after)
        wish = template.render(ask.input, {"record": {"id": done.record_id}, "input": made.filled(given)})
        try:
            told = await self._safely(lambda: _settled(work, plan.of(connection.declaration, ask.operation), wish))
        except errors.ConnectorError:
            # The exchange is kept with the others; the call itself did succeed.
            return done
        return replace(done, warnings=(*done.warnings, *told.warnings))

    async def _there(self, work: sending.Sending, made: plan.Plan, given: Mapping[str, Any]) -> model.Outcome | None:
        """What the lookup finds when it confirms that our write is there; None when it does not."""
        lookup = made.operation.lookup
        assert lookup is not None
        look = plan.of(work.way.connection.declaration, lookup)
        filled = made.filled(given)
        seen = await self._safely(lambda: _settled(work, look, filled))
        if seen.data is None or seen.data in ([], {}):
            return None
        confirm = made.operation.confirm
        if confirm is not None and not predicate.holds(confirm, {"result": seen.data, "input": filled}):
            return None
        record = made.sent_id(filled)
        return model.Outcome(seen.data, record or seen.record_id, already=True)

    async def _held(self, work: sending.Sending, made: plan.Plan, given: Mapping[str, Any]) -> model.Outcome | None:
        """A waiting outcome while the declared guard says that the record must not go out now; else None."""
        guard = made.operation.guard
        if guard is None:
            return None
        look, filled = plan.of(work.way.connection.declaration, guard.operation), made.filled(given)
        seen = await self._safely(lambda: _settled(work, look, filled))
        if not predicate.holds(guard.when, {"result": seen.data, "input": filled}):
            return None
        return model.Outcome(seen.data, None, (f"{guard.hint.zh} ({guard.hint.en})",), waiting=True)


async def _settled(work: sending.Sending, made: plan.Plan, given: Mapping[str, Any], **values: Any) -> model.Outcome:
    """A call that changes nothing: "already so" cannot mean anything but an empty answer."""
    try:
        return (await work.once(made, given, **values))[0]
    except sending.AlreadySo as error:
        return model.Outcome(None, None, (error.found.message,), already=True)


@asynccontextmanager
async def alone(files: Path | None = None) -> AsyncIterator[Client]:
    """A client that shares tokens and limits with no other, closed behind its piece of work; ``files`` as above."""
    made = Client(auth.MemoryTokens(), pacing.LocalPacer(), files=files)
    try:
        yield made
    finally:
        await made.aclose()

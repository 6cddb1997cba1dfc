"""Polling: lists what changed since the cursor and appends it. The cursor moves only after the commit.

Windows overlap, because rows arrive late and move while pages are read; the inbox's dedupe key makes
seeing a row twice harmless. One poller at a time holds a cursor (lease), so more processes only help.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import structlog

from connectors.core import client, declaration, decode, errors, model, scope, template
from retry_queue import append, metrics, rest, whole
from retry_queue.ledger import connections, cursors, inbox, session
from retry_queue.sync import backoff, verdict
from retry_queue.sync import site as sites

LEASE = 120.0
LONG = 600.0
"""For a whole listing, of which nothing is given out before its end was read."""
LOOK = 1.0
AT_ONCE = 500
"""Records that are told as gone together."""

log = structlog.get_logger()


class Poller:
    """Polls every source that is due. One per process that polls."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        appender: append.Appender,
        pace: float = 1.0,
    ) -> None:
        """``pace`` shortens every declared period (demo and tests: 0.1 polls ten times as often)."""
        self._ledger = ledger
        self._site = site
        self._calls = calls
        self._appender = appender
        self._pace = pace
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._stopping = False

    async def run(self, stopped: asyncio.Event) -> None:
        """Polls until ``stopped``."""
        while not stopped.is_set():
            try:
                await self._look()
            except session.LedgerUnavailable as error:
                log.warning("poll.waiting", error=str(error))
            await rest.until(stopped, LOOK * min(self._pace, 1.0))
        self._stopping = True
        await rest.end(self._running.values())  # a poll that is cut off inside a transaction leaves it open for a while

    def _sources(self) -> Iterator[tuple[sites.Live, str, declaration.EventSource]]:
        for live in self._site().live.values():
            if live.delivers and live.opened is not None:
                for name, source in scope.open_sources(live.opened).items():
                    if source.door == "poll" and source.gap != "only":
                        yield live, name, source

    async def _look(self) -> None:
        async with self._ledger.read() as connection:
            rows = {
                (row.connection_key, row.source): row.next_at
                for row in await cursors.all_rows(connection)
                if row.owner != self._ledger.owner  # ours but not running: the ledger was away when it ended
            }
        now = await self._ledger.now()
        for live, name, source in self._sources():
            place = (live.key, name)
            if place in self._running or rows.get(place, 0.0) > now or live.opened is None:
                continue
            task = asyncio.create_task(self._poll(live.opened, name, source), name=f"poll {live.key}/{name}")
            self._running[place] = task
            task.add_done_callback(lambda _done, place=place: self._running.pop(place, None))  # type: ignore[misc]

    async def _poll(self, connection: model.Connection, name: str, source: declaration.EventSource) -> None:
        try:
            await self._once(connection, name, source)
        except session.LedgerUnavailable as error:
            log.warning("poll.waiting", connection=connection.key, source=name, error=str(error))

    async def _once(self, connection: model.Connection, name: str, source: declaration.EventSource) -> None:
        async with self._ledger.write() as db:
            lease = LONG if source.whole else LEASE
            held = await cursors.claim(db, connection.key, name, self._ledger.owner, lease)
        if held is None:
            return
        try:
            taken = await (self._whole if source.whole else self._windows)(connection, name, source, held)
        except session.LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - judged and written down, whatever it is
            await self._failed(connection, name, held, error)
            return
        metrics.POLLS.labels(connection.key, name, "ok").inc()
        delay = 0.0 if taken else source.every * self._pace
        async with self._ledger.write() as db:
            await cursors.move(db, connection.key, name, held.fence, None, delay, 0)

    async def _windows(
        self, connection: model.Connection, name: str, source: declaration.EventSource, held: cursors.Claim
    ) -> bool:
        """Reads window after window up to now; True when it stopped early with more to read."""
        newest = time.time() - source.lag
        given = template.render(source.input, scope.of(connection)) or {}
        read_to = float(held.value["at"]) if held.value else newest - source.horizon
        for _ in range(20):
            start = read_to - source.overlap
            end = min(read_to + source.window - source.overlap, newest)
            window = (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
            async for rows in self._calls.pages(connection, source.operation or "", given, window=window):
                await self._appender.append([self._event(connection, name, row, window) for row in rows])
            read_to = end
            async with self._ledger.write() as db:
                if not await cursors.keep(db, connection.key, name, held.fence, {"at": end}, LEASE):
                    return False
            if end >= newest or self._stopping:
                return False
        return True

    async def _whole(
        self, connection: model.Connection, name: str, source: declaration.EventSource, held: cursors.Claim
    ) -> bool:
        """Reads all there is, and tells of what is missing since the last time; there is never more to read."""
        given = template.render(source.input, scope.of(connection)) or {}
        listing = whole.Listing(self._ledger, connection, name)
        before = held.value or {}
        end = time.time() - source.lag
        value = {"at": end, whole.ASKED: listing.asked(given)}
        if before.get(whole.ASKED) != value[whole.ASKED]:
            await listing.forget()
        await self._read(connection, name, given, listing, end)
        believe = bool(before.get(cursors.BELIEVE))
        if not await self._kept(connection, name, held, {**value, cursors.BELIEVE: believe}):
            return False
        if await listing.missing(believe=believe):
            await self._read(connection, name, given, listing, end)
        missing = await listing.missing(believe=believe)
        for begin in range(0, len(missing), AT_ONCE):
            if self._stopping or not await self._kept(connection, name, held, {**value, cursors.BELIEVE: believe}):
                return False
            some = missing[begin : begin + AT_ONCE]
            await self._appender.append(await listing.ends(some, end))
            await listing.told(some)
        await self._kept(connection, name, held, value)
        return False

    async def _read(
        self, connection: model.Connection, name: str, given: Any, listing: whole.Listing, end: float
    ) -> None:
        span = (datetime.fromtimestamp(end, UTC), datetime.fromtimestamp(end, UTC))
        async for rows in self._calls.pages(connection, listing.operation, given, window=span):
            await listing.take(rows)
            await self._appender.append([self._event(connection, name, row, span) for row in rows])

    async def _kept(self, connection: model.Connection, name: str, held: cursors.Claim, value: dict[str, Any]) -> bool:
        async with self._ledger.write() as db:
            return await cursors.keep(db, connection.key, name, held.fence, value, LONG)

    def _event(
        self, connection: model.Connection, name: str, row: Any, window: tuple[datetime, datetime]
    ) -> inbox.NewEvent:
        found = decode.event(connection.declaration, name, row, connection, window=window)
        return append.new_event(connection, name, found, reread=True)

    async def _failed(self, connection: model.Connection, name: str, held: cursors.Claim, error: Exception) -> None:
        failures = held.failures + 1
        ruling = verdict.of_error(error, failures=failures - 1, idempotent=declaration.Idempotency.KEY, jitter=0.5)
        delay = ruling.delay or min(backoff.after(min(failures, 6), 0.5).delay or 1800.0, 1800.0)
        log.warning("poll.failed", connection=connection.key, source=name, reason=ruling.reason, code=ruling.code)
        metrics.POLLS.labels(connection.key, name, ruling.reason or "failed").inc()
        words = {"code": ruling.reason or "failed", **ruling.words}
        async with self._ledger.write() as db:
            await cursors.move(db, connection.key, name, held.fence, None, delay * self._pace, failures, words)
            if isinstance(error, errors.CredentialRefused):
                await connections.refuse(db, connection.key, words, connection.proof)

"""Backfill: reads a poll source's history, window after window, without making anything live wait.

Its events have the last priority, it reads no faster than its budget, keeps little under way, and rests while
live events or deliveries are late. A gap (``gap.py``) is the same with live priority and no budget.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from connectors.core import client, declaration, decode, errors, model
from retry_queue import append, metrics, rest
from retry_queue.ledger import backfills, inbox, session
from retry_queue.sync import sides, verdict
from retry_queue.sync import site as sites

LOOK = 1.0
LEASE = 120.0
AT_ONCE = 3
"""Backfills that one process works on at a time."""
BUDGET = 20.0
"""Records a second, when nobody says otherwise."""
UNPLANNED = 8
"""Events of history that wait for planning, at most: their detail calls are in the way of live ones."""
UNDER_WAY = 200
"""Deliveries of history that are owed, at most: the rest waits outside."""
PATIENCE = 1.0
"""Seconds overdue after which live work counts as late."""
RESTS = 0.1
TRIES = 10
"""Failures in a row after which a backfill is given up."""

log = structlog.get_logger()


class Halted(Exception):
    """This process is stopping; whoever comes next goes on."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A source whose history could be read: from ``since`` on the poll itself covers it."""

    connection_key: str
    source: str
    entity: str | None
    label: dict[str, str]
    since: float


def readable(opened: model.Connection) -> dict[str, declaration.EventSource]:
    """The sources of a connection that can be read back: every poll, whether it is open or not."""
    return {
        name: one
        for name, one in opened.declaration.events.items()
        if one.door == "poll" and one.gap != "only" and one.operation
    }


def offers(site: sites.Site, done: set[tuple[str, str]], now: float) -> list[Offer]:
    """What history nobody has asked for yet, of every connection that is enabled."""
    found = []
    for live in site.live.values():
        if not live.delivers or live.opened is None:
            continue
        spec = live.opened.declaration
        for name, source in readable(live.opened).items():
            if (live.key, name) in done:
                continue
            messages = source.messages or list(spec.messages)
            entity = next((spec.messages[one].entity for one in messages if spec.messages[one].entity), None)
            label = {"zh": source.label.zh, "en": source.label.en}
            found.append(Offer(live.key, name, entity, label, now - source.horizon))
    return found


class Backfiller:
    """Works on every backfill that is due. One per process that polls."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        appender: append.Appender,
        only: int | None = None,
    ) -> None:
        """``only``: work on this one and nothing else."""
        self._ledger = ledger
        self._site = site
        self._calls = calls
        self._appender = appender
        self._only = only
        self._running: set[asyncio.Task[None]] = set()
        self._halt = asyncio.Event()

    async def run(self, stopped: asyncio.Event) -> None:
        """Works until ``stopped``; what is under way stops after its page and is given back."""
        while not stopped.is_set():
            try:
                await self.step()
            except session.LedgerUnavailable as error:
                log.warning("backfill.waiting", error=str(error))
            except Exception:
                log.exception("backfill.failed")
            await rest.until(stopped, LOOK)
        await self.close()

    async def close(self) -> None:
        """Stops what is under way at its next step; it is given back."""
        self._halt.set()
        if self._running:
            await asyncio.wait(set(self._running), timeout=10.0)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def step(self) -> None:
        """Begins what is due."""
        while len(self._running) < AT_ONCE:
            async with self._ledger.write() as db:
                row = await backfills.claim(db, self._ledger.owner, LEASE, self._only)
            if row is None:
                return
            task = asyncio.create_task(self._one(row), name=f"backfill {row.id}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def idle(self) -> None:
        """Waits until nothing of this process is under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _one(self, row: backfills.Row) -> None:
        try:
            await self._windows(row)
            async with self._ledger.write() as db:
                if await backfills.end(db, row, "done"):
                    log.info("backfill.done", backfill=row.id, connection=row.connection_key, source=row.source)
        except backfills.Lost:
            return
        except Halted:
            with suppress(session.LedgerUnavailable):
                async with self._ledger.write() as db:
                    await backfills.release(db, [self._ledger.owner])
        except session.LedgerUnavailable as error:
            log.warning("backfill.waiting", backfill=row.id, error=str(error))  # the lease ends, somebody goes on
        except Exception as error:
            log.warning("backfill.stopped", backfill=row.id, kind=type(error).__name__, exc_info=_ours(error))
            with suppress(session.LedgerUnavailable):
                await self._stopped(row, error)

    async def _stopped(self, row: backfills.Row, error: Exception) -> None:
        words, delay = judged(error, row.failures)
        async with self._ledger.write() as db:
            if delay is not None and row.failures < TRIES:
                await backfills.later(db, row, delay, words)
            else:
                await backfills.end(db, row, "failed", words)

    async def _windows(self, row: backfills.Row) -> None:
        """Reads from where it is to its end. Raises Lost, Halted and what calls raise."""
        opened, source = self._source(row)
        counts = dict(row.counts)
        windowed = sides.windowed(opened.declaration, source.operation or "")
        at = float(row.cursor.get("at", row.window_start))
        step = max(source.window - source.overlap, 60.0)
        while at < row.window_end:
            end = min(at + step, row.window_end) if windowed else row.window_end
            start = at - (source.overlap if row.cause == "gap" else 0.0)
            span = (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)) if windowed else None
            async for rows in self._calls.pages(opened, source.operation or "", {}, window=span):
                await self._page(row, opened, rows, counts)
            at = end
            counts["windows"] = counts.get("windows", 0) + 1
            async with self._ledger.write() as db:
                await backfills.keep(db, row, {"at": at}, counts, LEASE)

    def _source(self, row: backfills.Row) -> tuple[model.Connection, declaration.EventSource]:
        live = self._site().live.get(row.connection_key)
        source = live.opened.declaration.events.get(row.source) if live is not None and live.opened else None
        if live is None or live.opened is None or source is None or source.operation is None:
            said = f"{row.connection_key}/{row.source}"
            raise sides.Unreadable(f"没有可读取历史的来源 {said}", f"no source {said} whose history can be read")
        if not live.delivers:
            raise errors.Unavailable(
                f"{row.connection_key} is {live.state}",
                hint={"zh": f"连接 {row.connection_key} 未启用，启用后继续", "en": "the connection is not enabled"},
            )
        return live.opened, source

    async def _page(
        self, row: backfills.Row, opened: model.Connection, rows: list[Any], counts: dict[str, int]
    ) -> None:
        """Appends one page in pieces that the budget allows, each when there is room for it."""
        piece = len(rows) if row.budget <= 0 else max(1, min(UNPLANNED, int(row.budget * RESTS)))
        kept = asyncio.get_running_loop().time()
        for begin in range(0, len(rows), piece):
            events = [self._event(row, opened, one) for one in rows[begin : begin + piece]]
            await self._room(row, counts)
            made = await self._appender.append(events)
            counts["rows"] = counts.get("rows", 0) + len(events)
            counts["new"] = counts.get("new", 0) + sum(one is not None for one in made)
            metrics.BACKFILLED.labels(row.connection_key, row.source, row.cause).inc(len(events))
            if row.budget > 0:
                await self._pause(len(events) / row.budget)
            if asyncio.get_running_loop().time() - kept > LEASE / 4:  # a page may take longer than the lease
                kept = asyncio.get_running_loop().time()
                async with self._ledger.write() as db:
                    await backfills.keep(db, row, None, counts, LEASE)
        async with self._ledger.write() as db:
            await backfills.keep(db, row, None, counts, LEASE)

    async def _pause(self, seconds: float) -> None:
        if await rest.until(self._halt, seconds):
            raise Halted

    async def _room(self, row: backfills.Row, counts: dict[str, int]) -> None:
        """Waits while live work is late or enough of history is under way. A gap is live itself.

        A command that works alone waits for nobody: no hub is there that anything could be in the way of.
        """
        if self._halt.is_set():
            raise Halted
        waited = 0.0
        while row.priority >= inbox.BACKFILL and self._only is None:
            async with self._ledger.read() as db:
                found = await backfills.pressure(db, PATIENCE)
            if not found.late and found.unplanned < UNPLANNED and found.owed < UNDER_WAY:
                return
            await self._pause(RESTS)
            waited += RESTS
            if waited >= LEASE / 4:  # a long wait must not look like a death, and a person's pause is noticed
                async with self._ledger.write() as db:
                    await backfills.keep(db, row, None, counts, LEASE)
                waited = 0.0

    def _event(self, row: backfills.Row, opened: model.Connection, native: Any) -> inbox.NewEvent:
        found = decode.event(opened.declaration, row.source, native, opened)
        made = append.new_event(row.connection_key, row.source, found, reread=True)
        return replace(made, priority=max(made.priority, row.priority)) if row.cause != "gap" else made


def judged(error: Exception, failures: int) -> tuple[dict[str, str], float | None]:
    """Why reading stopped, and after how many seconds to try again; None: a person must look at it."""
    if isinstance(error, sides.Unreadable):
        return error.words, None
    kind = declaration.Idempotency.KEY  # it only reads
    ruling = verdict.of_error(error, failures=failures, idempotent=kind, jitter=random.random())
    again = ruling.act in (verdict.Act.RETRY, verdict.Act.WAIT)
    return ruling.words, ruling.delay if again else None


def _ours(error: Exception) -> Exception | None:
    """An error that is ours to mend, for the log."""
    return None if isinstance(error, errors.ConnectorError | sides.Unreadable) else error


def window(
    source: declaration.EventSource, open_: bool, now: float, since: float, until: float | None
) -> tuple[float, float]:
    """(start, end) of an import: without ``until`` it ends where the poll itself began."""
    end = now - (source.horizon if open_ else 0.0) if until is None else min(until, now)
    return since, max(end, since)

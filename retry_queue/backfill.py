"""Backfill: reads a poll source's history, window after window, without making anything live wait.

Its events have the last priority, it reads no faster than its budget, keeps little under way, and rests while
live events or deliveries are late. A gap (``gap.py``) is the same with live priority and no budget.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from connectors.core import client, declaration, decode, errors, model, scope, template
from retry_queue import append, metrics, rest
from retry_queue.ledger import backfills, inbox, session
from retry_queue.sync import sides, verdict
from retry_queue.sync import site as sites

LOOK = 1.0
LEASE = 120.0
BUDGET = 20.0
"""Records a second, when nobody says otherwise."""
UNPLANNED = 8
"""Events of history that wait for planning, at most: their detail calls are in the way of live ones."""
UNDER_WAY = 200
"""Deliveries of history that are owed, at most: the rest waits outside."""
PATIENCE = 1.0
"""Seconds overdue after which live work counts as late."""
RESTS = 0.1

Span = tuple[datetime, datetime]
"""What one call reads: from, to."""

log = structlog.get_logger()


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


class Backfiller(rest.Jobber[backfills.Row]):
    """Works on every backfill that is due. One per process that polls."""

    LEASE = LEASE

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        appender: append.Appender,
        only: int | None = None,
    ) -> None:
        """``only``: work on this one and nothing else."""
        super().__init__("backfill", LOOK, ledger, backfills.JOBS, only)
        self._site = site
        self._calls = calls
        self._appender = appender

    def judged(self, error: Exception, failures: int) -> tuple[dict[str, str], float | None, bool]:
        """What reading ended in, by the same table as deliveries."""
        return (*judged(error, failures), not isinstance(error, errors.ConnectorError | sides.Unreadable))

    async def work(self, row: backfills.Row) -> None:
        """Reads from where it is to its end. Raises Lost, Halted and what calls raise."""
        opened, source = self._source(row)
        counts = dict(row.counts)
        given = template.render(source.input, scope.of(opened)) or {}
        windowed = sides.windowed(opened.declaration, source.operation or "")
        at = float(row.cursor.get("at", row.window_start))
        step = max(source.window - source.overlap, 60.0)
        while at < row.window_end:
            end = min(at + step, row.window_end) if windowed else row.window_end
            start = at - (source.overlap if row.cause == "gap" else 0.0)
            span = (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)) if windowed else None
            async for rows in self._calls.pages(opened, source.operation or "", given, window=span):
                await self._page(row, opened, rows, counts, span)
            at = end
            counts["windows"] = counts.get("windows", 0) + 1
            async with self._ledger.write(patient=True) as db:
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
        self, row: backfills.Row, opened: model.Connection, rows: list[Any], counts: dict[str, int], span: Span | None
    ) -> None:
        """Appends one page in pieces that the budget allows, each when there is room for it."""
        piece = len(rows) if row.budget <= 0 else max(1, min(UNPLANNED, int(row.budget * RESTS)))
        kept = asyncio.get_running_loop().time()
        for begin in range(0, len(rows), piece):
            events = [self._event(row, opened, one, span) for one in rows[begin : begin + piece]]
            await self._room(row, counts)
            made = await self._appender.append(events)
            counts["rows"] = counts.get("rows", 0) + len(events)
            counts["new"] = counts.get("new", 0) + sum(one is not None for one in made)
            metrics.BACKFILLED.labels(row.connection_key, row.source, row.cause).inc(len(events))
            if row.budget > 0:
                await self.pause(len(events) / row.budget)
            if asyncio.get_running_loop().time() - kept > LEASE / 4:  # a page may take longer than the lease
                kept = asyncio.get_running_loop().time()
                async with self._ledger.write(patient=True) as db:
                    await backfills.keep(db, row, None, counts, LEASE)
        async with self._ledger.write(patient=True) as db:
            await backfills.keep(db, row, None, counts, LEASE)

    async def _room(self, row: backfills.Row, counts: dict[str, int]) -> None:
        """Waits while live work is late or enough of history is under way. A gap is live itself.

        A command that works alone waits for nobody: no hub is there that anything could be in the way of.
        """
        if self._halt.is_set():
            raise rest.Halted
        waited = 0.0
        while row.priority >= inbox.BACKFILL and self._only is None:
            async with self._ledger.read() as db:
                found = await backfills.pressure(db, PATIENCE)
            if not found.late and found.unplanned < UNPLANNED and found.owed < UNDER_WAY:
                return
            await self.pause(RESTS)
            waited += RESTS
            if waited >= LEASE / 4:  # a long wait must not look like a death, and a person's pause is noticed
                async with self._ledger.write(patient=True) as db:
                    await backfills.keep(db, row, None, counts, LEASE)
                waited = 0.0

    def _event(self, row: backfills.Row, opened: model.Connection, native: Any, span: Span | None) -> inbox.NewEvent:
        found = decode.event(opened.declaration, row.source, native, opened, window=span)
        made = append.new_event(opened, row.source, found, reread=True)
        return replace(made, priority=max(made.priority, row.priority)) if row.cause != "gap" else made


def judged(error: Exception, failures: int) -> tuple[dict[str, str], float | None]:
    """Why reading stopped, and after how many seconds to try again; None: a person must look at it."""
    if isinstance(error, sides.Unreadable):
        return error.words, None
    kind = declaration.Idempotency.KEY  # it only reads
    ruling = verdict.of_error(error, failures=failures, idempotent=kind, jitter=random.random())
    again = ruling.act in (verdict.Act.RETRY, verdict.Act.WAIT)
    return ruling.words, ruling.delay if again else None


def window(
    source: declaration.EventSource, open_: bool, now: float, since: float, until: float | None
) -> tuple[float, float]:
    """(start, end) of an import: without ``until`` it ends where the poll itself began."""
    end = now - (source.horizon if open_ else 0.0) if until is None else min(until, now)
    return since, max(end, since)

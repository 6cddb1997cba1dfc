"""Gaps: after nobody could take anything in for more than a few seconds, what was missed is read again.

Every API process marks the ledger once a second while it can take hooks in. Whoever marks it and finds the last
mark too old was the first back: every connection that depends on being called gets its polls read for that time,
also those that are closed, and its list of failed pushes where the connector declares one. Processes that were
dead, frozen or cut off from the ledger look the same here, and nothing but the ledger has to remember.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import declaration, scope, template
from retry_queue import rest
from retry_queue.ledger import backfills, cursors, inbox, marks, session
from retry_queue.sync import site as sites

BEAT = 1.0
SILENT = 5.0
"""Seconds without any mark after which something may have been missed."""

log = structlog.get_logger()


class Gaps:
    """Keeps the mark and asks for what was missed. One per process that takes hooks in."""

    def __init__(self, ledger: session.Ledger, site: Callable[[], sites.Site], silent: float = SILENT) -> None:
        self._ledger = ledger
        self._site = site
        self._silent = silent

    async def run(self, stopped: asyncio.Event) -> None:
        """Marks until ``stopped``."""
        while not stopped.is_set():
            try:
                await self.beat()
            except session.LedgerUnavailable as error:
                log.warning("gap.unmarked", error=str(error))
            except Exception:
                log.exception("gap.failed")
            await rest.until(stopped, BEAT)

    async def beat(self) -> int:
        """One mark; returns how many sources are to be read again."""
        async with self._ledger.write() as db:
            last, now = await marks.beat(db, marks.INGRESS)
            if last is None or now - last <= self._silent:
                return 0
            asked = [one async for one in self._ask(db, last, now)]
        log.warning("gap.found", seconds=round(now - last, 1), sources=len(asked))
        return len(asked)

    async def _ask(self, db: AsyncConnection, last: float, now: float) -> AsyncIterator[str]:
        hurried: set[str] = set()
        for live in self._site().live.values():
            for name, open_ in sources(live):
                if open_:
                    if live.key not in hurried:
                        await cursors.hurry(db, live.key)  # its cursor stands before the gap
                        hurried.add(live.key)
                else:
                    wanted = backfills.New(live.key, name, "gap", (last, now), 0.0, inbox.LIVE)
                    await backfills.create(db, wanted, now)
                yield f"{live.key}/{name}"


def sources(live: sites.Live) -> Iterator[tuple[str, bool]]:
    """(source, whether it is polled anyway) of everything to be read after an outage."""
    if not live.delivers or live.opened is None:
        return
    opened = scope.open_sources(live.opened)
    called = any(one.door != "poll" for one in opened.values())
    config = scope.settings(live.opened)
    for name, one in live.opened.declaration.events.items():
        if one.door != "poll" or one.gap == "never":
            continue
        if one.gap == "only":
            if called and scope.applies(one.when, config):
                yield name, False
        elif name in opened:
            yield name, True
        elif called and _asked(one, config):
            yield name, False


def _asked(source: declaration.EventSource, config: Mapping[str, Any]) -> bool:
    """Whether a source that nobody opened can be read: everything its question names is configured."""
    named = [one.removeprefix("config.") for one in template.names(source.input) if one.startswith("config.")]
    return all(config.get(one) not in (None, "") for one in named)

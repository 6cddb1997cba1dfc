"""The sweep: once a second a worker asks the database what is due, says that it is alive, and keeps the ledger tidy.

A lost wake-up, a retry's time or a dead process's lane never waits longer than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import structlog

from retry_queue import gates, holdings, rest, tending
from retry_queue.ledger import configuration, inbox, outbox, session, workers
from retry_queue.sync import site as sites

PERIOD = 1.0
CALLED = 0.1
"""Seconds between two looks at what is due because another process rang."""
SILENT = 10.0
"""Seconds without a heartbeat after which a process counts as dead."""

log = structlog.get_logger()


class Pumps(Protocol):
    """Who is told what is due."""

    def wake(self) -> None:
        """There are events to plan."""

    def poke(self, target: str, fast: bool = False) -> None:
        """A target has something due."""

    def past(self, targets: Iterable[str]) -> None:
        """These are owed imported history."""


class Sweeper:
    """The sweep of one worker process. ``turns`` grows with each."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        reload: Callable[[], Awaitable[None]],
        guard: gates.Gates,
        seat: holdings.Seat,
        pumps: Pumps,
    ) -> None:
        self._ledger = ledger
        self._site = site
        self._reload = reload
        self._gates = guard
        self._seat = seat
        self._pumps = pumps
        self._called = asyncio.Event()
        self.turns = 0

    def look(self) -> None:
        """Another process made something due; looks soon."""
        self._called.set()

    async def looks(self, halt: asyncio.Event) -> None:
        """Looks whenever somebody called, until ``halt`` (after which it must be called once more)."""
        while not halt.is_set():
            await self._called.wait()
            self._called.clear()
            await self._survived(self._look())
            await rest.until(halt, CALLED)

    async def sweeps(self, halt: asyncio.Event) -> None:
        """Sweeps until ``halt``."""
        turn = 0
        while not halt.is_set():
            await self._survived(self._sweep(turn))
            turn += 1
            await rest.until(halt, PERIOD)

    async def _survived(self, work: Awaitable[None]) -> None:
        """The next turn comes whatever became of this one."""
        try:
            await work
        except session.LedgerUnavailable as error:
            log.warning("sweep.waiting", error=str(error))
        except Exception:
            log.exception("sweep.failed")

    async def _look(self) -> None:
        async with self._ledger.read() as connection:
            waits, _ = await outbox.due(connection)
        for target in (key for key, wait in waits.items() if wait <= 0):
            self._pumps.poke(target)

    async def _sweep(self, turn: int) -> None:
        self.turns += 1
        await self._beat(turn)
        async with self._ledger.read() as connection:
            epoch = await configuration.epoch(connection)
            waits, history = await outbox.due(connection)
            first = await inbox.wait(connection)
            await self._gates.load(connection)
        if epoch != self._site().epoch:
            await self._reload()
        loop = asyncio.get_running_loop()
        for target, wait in waits.items():
            if wait <= 0:
                self._pumps.poke(target)
            elif wait < PERIOD:
                loop.call_later(wait, self._pumps.poke, target)
        self._pumps.past(history)
        if first is not None and first <= 0:
            self._pumps.wake()
        elif first is not None and first < PERIOD:
            loop.call_later(first, self._pumps.wake)

    async def _beat(self, turn: int) -> None:
        """Says "alive", buries the silent, and keeps the ledger tidy in between."""
        begun = asyncio.get_running_loop().time()
        async with self._ledger.write() as connection:
            alive = await workers.beat(connection, self._ledger.owner)
            if turn % 5 == 0:
                dead = [one for one in await workers.silent(connection, SILENT) if one != self._ledger.owner]
                if dead:
                    log.warning("workers.buried", count=len(dead))
                    await workers.bury(connection, dead)
            await tending.tend(connection, turn, self._gates, self._site().policies)
        self._seat.heard(begun)
        if not alive:
            self._seat.anew(asyncio.get_running_loop().time())
            if await workers.again(self._ledger):
                log.error("worker.taken_for_dead", owner=self._ledger.owner)

"""Resting between two turns of a loop, never past its stop, and bringing what it began to an end."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import Any, Generic

import structlog

from retry_queue.ledger import jobs, session

log = structlog.get_logger()


async def until(stop: asyncio.Event, seconds: float) -> bool:
    """Sleeps ``seconds`` or until ``stop``; True when it is set.

    Loops rest here and end by themselves: one that is cancelled inside a transaction leaves it open for a while.
    """
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return stop.is_set()
    return True


async def end(tasks: Collection[asyncio.Task[Any]], seconds: float = 10.0) -> None:
    """Gives tasks that are stopping by themselves so long, then cancels what is left."""
    if tasks:
        await asyncio.wait(set(tasks), timeout=seconds)
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Crew(abc.ABC):
    """A loop that begins leased work, some of it at a time, and ends it together. ``name`` is its word in the log."""

    def __init__(self, name: str, look: float) -> None:
        """``look``: seconds between two steps."""
        self._waiting, self._failed = f"{name}.waiting", f"{name}.failed"
        self._look = look
        self._running: set[asyncio.Task[None]] = set()
        self._halt = asyncio.Event()

    @abc.abstractmethod
    async def step(self) -> None:
        """Begins what is due."""

    async def run(self, stopped: asyncio.Event) -> None:
        """Works until ``stopped``; what is under way stops at its next step and is given back."""
        while not stopped.is_set():
            try:
                await self.step()
            except session.LedgerUnavailable as error:
                log.warning(self._waiting, error=str(error))
            except Exception:
                log.exception(self._failed)
            await until(stopped, self._look)
        await self.close()

    async def close(self) -> None:
        """Stops what is under way at its next step; it is given back."""
        self._halt.set()
        await end(self._running)

    async def idle(self) -> None:
        """Waits until nothing of this process is under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


class Halted(Exception):
    """This process is stopping; whoever comes next goes on."""


class Jobber(Crew, Generic[jobs.R]):
    """A crew over one table of jobs: leases what is due, and ends, delays or gives back what it began."""

    LEASE = 120.0
    AT_ONCE = 3
    """Jobs that one process works on at a time."""
    TRIES = 10
    """Failures in a row after which a job is given up."""

    def __init__(self, name: str, look: float, ledger: session.Ledger, table: jobs.Jobs[jobs.R], only: int | None):
        """``only``: work on this one and nothing else."""
        super().__init__(name, look)
        self._name, self._ledger, self._jobs, self._only = name, ledger, table, only
        self._ended, self._stopped = f"{name}.done", f"{name}.stopped"

    @abc.abstractmethod
    async def work(self, row: jobs.R) -> None:
        """Does it from where it is to its end. Raises Lost, Halted, and whatever ``judged`` knows."""

    @abc.abstractmethod
    def judged(self, error: Exception, failures: int) -> tuple[dict[str, str], float | None, bool]:
        """Why it stopped, after how many seconds to try again (None: a person must look), and whether it is ours."""

    async def step(self) -> None:
        """Begins what is due."""
        while len(self._running) < self.AT_ONCE:
            async with self._ledger.write(patient=True) as db:
                row = await self._jobs.claim(db, self._ledger.owner, self.LEASE, self._only)
            if row is None:
                return
            self._begin(self._one(row), f"{self._name} {row.id}")

    async def pause(self, seconds: float) -> None:
        """Rests. Raises Halted when the process is stopping."""
        if await until(self._halt, seconds):
            raise Halted

    async def _one(self, row: jobs.R) -> None:
        try:
            await self.work(row)
            async with self._ledger.write() as db:
                if await self._jobs.end(db, row, "done"):
                    log.info(self._ended, id=row.id)
        except jobs.Lost:
            return
        except Halted:
            with suppress(session.LedgerUnavailable):
                async with self._ledger.write() as db:
                    await self._jobs.release(db, [self._ledger.owner])
        except session.LedgerUnavailable as error:
            log.warning(self._waiting, id=row.id, error=str(error))  # the lease ends, somebody goes on
        except Exception as error:
            words, delay, ours = self.judged(error, row.failures)
            log.warning(self._stopped, id=row.id, kind=type(error).__name__, exc_info=error if ours else None)
            with suppress(session.LedgerUnavailable):
                async with self._ledger.write() as db:
                    if delay is not None and row.failures < self.TRIES:
                        await self._jobs.later(db, row, delay, words)
                    else:
                        await self._jobs.end(db, row, "failed", words)

"""Resting between two turns of a loop, never past its stop, and bringing what it began to an end."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

import structlog

from retry_queue.ledger import session

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

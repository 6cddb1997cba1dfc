"""When a pump looks for work, how far ahead of its calls it claims, and how far ahead of that a crowd is planned."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

AHEAD = 200
"""Deliveries claimed ahead of their call, at most."""
PAST, STOCK = 3, 0.25
"""How often history's share of the slots is claimed at once, at least; and for how many seconds of calls."""
SOON = 0.1
"""Seconds until history is looked for again after some was found: replays and imports add to it piece by piece."""

BUSY = 0.7
"""The share of a core from which on a process is at its limit."""
ENOUGH = 1.0
"""Seconds between two plannings of a crowd, at most, while a process at its limit has enough to deliver."""


class Stock:
    """Whether there is enough to deliver: to plan more of a crowd would only take time from that.

    Others plan too, and the process that took the crowd in has time for it once the crowd is over. A process that is
    not at its limit plans on: its targets are slow, and more than these may wait for what is not planned yet.
    """

    def __init__(self, cpu: Callable[[], float] = time.process_time, now: Callable[[], float] = time.monotonic) -> None:
        self.short = asyncio.Event()
        """Some target got less than it asked for, or nothing may be waited for any more."""
        self._cpu, self._now = cpu, now
        self._begun = (now(), cpu())
        self._full = -math.inf

    def planning(self) -> None:
        """A step of planning begins."""
        self.short.clear()
        self._begun = (self._now(), self._cpu())

    def refilled(self, wanted: int, got: int) -> None:
        """A target asked for so many deliveries, and so many were due."""
        if got < wanted:
            self.short.set()
        else:
            self._full = self._now()

    def enough(self) -> bool:
        """Since the step began this process was busy all the time, and every target got what it asked for."""
        now = self._now()
        busy = self._cpu() - self._begun[1] >= BUSY * (now - self._begun[0])
        return busy and now - self._full < ENOUGH and not self.short.is_set()


class Pace:
    """How far ahead to claim: what can be called within a few seconds, so that no lease runs out in a queue."""

    def __init__(self) -> None:
        self._seconds = 0.05

    def took(self, seconds: float) -> None:
        self._seconds += 0.1 * (seconds - self._seconds)

    def ahead(self, window: int) -> int:
        """Deliveries to hold ready for ``window`` calls at a time."""
        return max(window, min(AHEAD, int(window * 2.0 / max(self._seconds, 0.001))))

    def past(self, share: int) -> int:
        """The same for history with ``share`` calls at a time: a claim of its own is in the way of live ones."""
        return max(PAST * share, min(AHEAD, int(share * STOCK / max(self._seconds, 0.001))))


class Turn:
    """Tells a pump to look again: a call ended, the configuration changed, or there is work to claim.

    ``due``: some work; ``fast``: work with a deadline of seconds, which does not wait for a free slot.
    """

    def __init__(self) -> None:
        self.due = self.fast = False
        self.history = False
        """Imported history is owed, which may have what live work leaves."""
        self._event = asyncio.Event()

    def ring(self, *, due: bool = False, fast: bool = False, history: bool = False) -> None:
        self.due = self.due or due
        self.fast = self.fast or fast
        self.history = self.history or history
        self._event.set()

    async def come(self) -> None:
        """Returns once for any number of rings since the last time."""
        await self._event.wait()
        self._event.clear()

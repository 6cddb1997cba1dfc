"""When a pump looks for work, and how far ahead of its calls it claims."""

from __future__ import annotations

import asyncio

AHEAD = 200
"""Deliveries claimed ahead of their call, at most."""
PAST, STOCK = 3, 0.25
"""How often history's share of the slots is claimed at once, at least; and for how many seconds of calls."""
SOON = 0.1
"""Seconds until history is looked for again after some was found: replays and imports add to it piece by piece."""


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

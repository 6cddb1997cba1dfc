"""Replays of very many deliveries: through what fits, oldest first, no faster than asked, and never many at once.

Each piece is revived and noted in one transaction, so a process that dies repeats nothing and leaves nothing out.
They go in the last priority: live work does not wait for them, and within a lane the order of events is kept.
"""

from __future__ import annotations

import asyncio

from retry_queue import rest
from retry_queue.ledger import deliveries, inbox, replays, revival, session

LOOK = 0.5
PIECE = 400
"""Deliveries revived in one transaction, at most."""
SHORT = 0.02
"""Seconds that such a transaction should take: shorter pieces where it takes longer."""
UNDER_WAY, MOST = 500, 4000
"""Deliveries of one replay that are not ended, at most: as many as come to their end within ``AHEAD`` seconds, and
between these two. The rest waits as it is, where a cancel leaves it."""
AHEAD = 2.0
RESTS = 0.1


class Flow:
    """How fast what was set going comes to its end, and so how much of it may be under way."""

    def __init__(self, now: float) -> None:
        self._at = now
        self._rate = 0.0

    def ended(self, count: int, now: float) -> None:
        """So many ended since the last time."""
        elapsed = max(now - self._at, 0.001)
        self._rate += min(elapsed, 1.0) * (count / elapsed - self._rate)
        self._at = now

    @property
    def bound(self) -> int:
        return min(MOST, max(UNDER_WAY, int(self._rate * AHEAD)))


class Replayer(rest.Jobber[replays.Row]):
    """Works on every replay that is due. One per process that works."""

    def __init__(self, ledger: session.Ledger, only: int | None = None) -> None:
        """``only``: work on this one and nothing else."""
        super().__init__("replay", LOOK, ledger, replays.JOBS, only)

    def judged(self, error: Exception, failures: int) -> tuple[dict[str, str], float | None, bool]:
        """Nothing but errors of ours can end it early; it is tried again a few times."""
        name = type(error).__name__
        words = {"zh": f"内部错误 {name}，稍后自动继续", "en": f"internal error {name}; goes on by itself"}
        return words, min(2.0**failures, 60.0), True

    async def work(self, row: replays.Row) -> None:
        """Piece after piece until nothing fits any more."""
        clock = asyncio.get_running_loop().time
        at, recent, counts = row.at, row.recent, dict(row.counts)
        most = PIECE if row.budget <= 0 else max(1, min(PIECE, int(row.budget * 2 * RESTS)))
        piece, flow, due, idle = min(most, 100), Flow(clock()), clock(), 0.0
        while True:
            took, known = 0, len(recent)
            async with self._ledger.write(patient=True) as db:
                begun = clock()
                await replays.JOBS.hold(db, row)
                recent, untried = await replays.owed(db, recent)
                flow.ended(known - len(recent), begun)
                room = min(piece, flow.bound - len(recent))
                ids = await deliveries.oldest(db, row.wanted, room, at, row.upto) if room > 0 else []
                if ids:
                    made = await revival.revive(
                        db, ids, priority=inbox.BACKFILL, revocable=True, newest=row.mapping == "newest"
                    )
                    at, took = ids[-1], len(ids)
                    recent = [*recent, *made]
                    counts["looked_at"] = counts.get("looked_at", 0) + len(ids)
                    counts["replayed"] = counts.get("replayed", 0) + len(made)
                    counts["superseded"] = counts.get("superseded", 0) + len(ids) - len(made)
                if ids or idle >= self.LEASE / 4 or (room > 0 and not untried):
                    # A long wait must not look like a death; and whoever was cancelled or paused learns it here.
                    await replays.JOBS.keep(db, row, {"at": at, "recent": recent}, counts, self.LEASE)
                    idle = 0.0
            if room > 0 and not ids and not untried:
                return  # the last of them can be cancelled until somebody tries it
            now = clock()
            rests = RESTS if took < piece else 0.0  # there is no room for more, or no more
            if took:
                piece = max(min(most, 50), min(most, int(took * SHORT / max(now - begun, 0.001))))
                due = max(due, begun - RESTS) + (took / row.budget if row.budget > 0 else 0.0)
                rests = max(rests, due - now if row.budget > 0 else 0.0)
            idle += rests
            await self.pause(rests)

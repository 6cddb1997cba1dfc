"""Replays of very many deliveries: through what fits, oldest first, no faster than asked, and never many at once.

Each piece is revived and noted in one transaction, so a process that dies repeats nothing and leaves nothing out.
They go in the last priority: live work does not wait for them, and within a lane the order of events is kept.
"""

from __future__ import annotations

from retry_queue import rest
from retry_queue.ledger import deliveries, inbox, replays, revival, session

LOOK = 0.5
PIECE = 100
"""Deliveries revived in one transaction, at most."""
UNDER_WAY = 500
"""Deliveries of one replay that are not ended, at most: the rest waits as it is, where a cancel leaves it."""
RESTS = 0.1


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
        at, recent, counts = row.at, row.recent, dict(row.counts)
        piece = PIECE if row.budget <= 0 else max(1, min(PIECE, int(row.budget * 2 * RESTS)))
        idle = 0.0
        while True:
            took = 0
            async with self._ledger.write() as db:
                await replays.JOBS.hold(db, row)
                recent, untried = await replays.owed(db, recent)
                room = min(piece, UNDER_WAY - len(recent))
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
            rests = took / row.budget if row.budget > 0 and took else RESTS if not took else 0.0
            idle += rests
            await self.pause(rests)

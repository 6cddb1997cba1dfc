"""What nobody waits for: room for what comes, forgetting what is over, a rotation of keys. One loop per worker.

Several may run side by side: every piece is a small transaction that another one may have done already.
"""

from __future__ import annotations

import random

import structlog

from retry_queue import metrics, rest
from retry_queue.ledger import keyring, paces, partitions, retention, secrets, session

LOOK = 5.0
"""Seconds between two looks at the keys."""
SWEEP_EVERY = 600.0
"""Seconds between two sweeps of what is over."""
AGAIN_EVERY = 86400.0
"""Seconds after which a sweep begins with the oldest rows again."""
BATCHES = 200
"""Of one sweep at most; the next one goes on."""
BREATH = 0.05
"""Seconds between two batches, so that deliveries go first."""

log = structlog.get_logger()


class Keeper(rest.Crew):
    """Sweeps by the retention policy and finishes rotations that somebody began."""

    def __init__(self, ledger: session.Ledger, sealer: secrets.Sealer) -> None:
        super().__init__("keeper", LOOK)
        self._ledger, self._sealer = ledger, sealer
        self._next_sweep: float | None = None
        self._restart = 0.0

    async def step(self) -> None:
        now = await self._ledger.now()
        await self._rotate(now)
        await self._extend()
        if self._next_sweep is None:  # not all workers at once, and not while everything is starting
            self._next_sweep = now + random.uniform(0.2, 1.0) * SWEEP_EVERY
            self._restart = now + AGAIN_EVERY
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_EVERY
            await self.sweep(now)

    async def _rotate(self, now: float) -> None:
        done = await keyring.step(self._ledger, self._sealer, now)
        while done.phase == "sealing" and not done.wait and not self._halt.is_set():
            await rest.until(self._halt, BREATH)
            done = await keyring.step(self._ledger, self._sealer, await self._ledger.now())

    async def _extend(self) -> None:
        """Makes the next partitions in time. What is busy now is asked again at the next look."""
        made = 0
        for family in partitions.FAMILIES:
            try:
                made += await partitions.ahead(self._ledger, family)
            except session.LedgerUnavailable as error:
                log.info("partitions.busy", table=family.head, reason=str(error))
        if made:
            log.info("partitions.made", count=made)
            await partitions.analyze(self._ledger)

    async def sweep(self, now: float) -> int:
        """Removes what is over, a batch at a time; returns how many rows."""
        if now >= self._restart:
            self._restart = now + AGAIN_EVERY
            async with self._ledger.write() as connection:
                await retention.restart(connection)
            async with self._ledger.write() as connection:
                await paces.forget(connection)
            await partitions.analyze(self._ledger)
        removed = 0
        for _ in range(BATCHES):
            gone = await retention.sweep(self._ledger, self._sealer, now)
            for name in retention.CLASSES:
                metrics.FORGOTTEN.labels(name).inc(getattr(gone, name))
            removed += gone.total
            if not gone.more or await rest.until(self._halt, BREATH):
                break
        if removed:
            log.info("retention.swept", rows=removed)
        return removed

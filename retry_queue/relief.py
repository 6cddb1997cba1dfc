"""Relief: a process that takes events in plans some as well, while nobody hands it any and the workers are behind.

After a burst the workers have both to plan and to deliver, and the process that took the burst in has nothing to do.
It plans what needs no call to anybody: the workers keep all that speaks to other systems.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from retry_queue import rest
from retry_queue.ledger import inbox, session
from retry_queue.sync import intake

LOOK = 0.2
"""Seconds between two looks at how far behind planning is."""
BEHIND = 0.5
"""Seconds that an event has waited for planning before this process takes part."""
CALM, RECENT = 0.05, 60.0
"""Seconds without a hand-in after which there is time, as an acknowledgement never waits for planning; and after which
the workers will have come to an end, and nobody looks any more."""
BATCH = 200

log = structlog.get_logger()


class Relief(intake.Intake):
    """Plans in a process without pumps. ``poke`` must ring a worker for what is due then."""

    async def run(self, stopped: asyncio.Event, calm: Callable[[], float]) -> None:
        """Helps until ``stopped``; ``calm`` tells for how many seconds nobody has handed in anything."""
        while not await rest.until(stopped, LOOK):
            try:
                while CALM <= calm() < RECENT and not stopped.is_set() and await self._late() and await self._some():
                    await asyncio.sleep(0)
            except session.LedgerUnavailable as error:
                log.warning("relief.waiting", error=str(error))
            except Exception:
                log.exception("relief.failed")
                await rest.until(stopped, 1.0)

    async def _late(self) -> bool:
        async with self._ledger.read() as connection:
            wait = await inbox.wait(connection)
        return wait is not None and wait < -BEHIND

    async def _some(self) -> int:
        """Claims and plans a batch; fast events, history, what needs a detail call or travels both ways: not here."""
        async with self._ledger.loose() as connection:
            claimed, behind, epoch = await self._claim(
                connection, BATCH, self._site().workers_own, (inbox.LIVE, inbox.LIVE)
            )
        return await self._taken(claimed, behind, epoch) if claimed else 0

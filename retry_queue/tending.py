"""What the sweep does now and then, in its own transaction: nothing waits for it, and any process may do it."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue import gates
from retry_queue.ledger import breakers, detours, links, outbox, revival
from retry_queue.sync import timers

log = structlog.get_logger()


async def tend(connection: AsyncConnection, turn: int, guard: gates.Gates, policies: Mapping[str, str]) -> None:
    """What is over is forgotten, and what strayed is brought home."""
    for target in [*guard.back]:
        if await revival.hurry(connection, target) < revival.HURRIED:
            guard.back.discard(target)
    if turn % 60 == 45:
        await timers.tidy(connection)
        await detours.tidy(connection)
    if turn % 5 == 2:
        await links.gather(connection, 120.0)
    if turn % 10 == 3:
        await breakers.tidy(connection, max(guard.rule.window, 60.0), 3600.0)
    if turn % 60 == 30:
        healed = await outbox.heal(connection, policies)
        if healed:
            log.error("lanes.healed", count=healed)

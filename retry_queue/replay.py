"""Replay 重放: again by a person. The ledger's balance follows in the same transaction.

An event that was skipped is counted as filtered; planned anew it is not, or the balance would count it twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import deliveries, inbox, revival, session, tables, tallies
from retry_queue.ledger.states import DeliveryState, EventState

REPLAYABLE = (DeliveryState.DEAD, DeliveryState.PARKED, DeliveryState.SKIPPED)
"""States a delivery may be replayed from. What was delivered is not sent twice."""
BULK = 10_000
"""Deliveries of one bulk replay at most."""

BY_PERSON = {"zh": "由人工跳过，不再投递", "en": "skipped by a person; it will not be delivered"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay set going: ids that are planned or delivered anew."""

    events: tuple[int, ...] = ()
    deliveries: tuple[int, ...] = ()


async def event(connection: AsyncConnection, slot: int, event_id: int) -> Replayed:
    """Replays one event: planned anew when it was parked or skipped, else what it owes and did not deliver."""
    box, body = tables.inbox, tables.events
    row = (
        await connection.execute(
            select(box.c.state, box.c.reason, body.c.connection_key)
            .join(body, body.c.id == box.c.id)
            .where(box.c.id == event_id)
            .with_for_update(of=box)
        )
    ).first()
    if row is None:
        return Replayed()
    if row.state == EventState.PLANNED:
        owed = await deliveries.of_event(connection, event_id)
        wanted = [one.id for one in owed if one.state in (DeliveryState.DEAD, DeliveryState.PARKED)]
        return Replayed(deliveries=tuple(await revival.revive(connection, wanted)))
    revived = await inbox.revive(connection, [event_id])
    if revived and row.state == EventState.SKIPPED:
        undone = Counter({(row.connection_key, "filtered"): -1, (row.connection_key, f"skipped.{row.reason}"): -1})
        await tallies.add(connection, slot, undone)
    return Replayed(events=tuple(revived))


async def some(connection: AsyncConnection, ids: Iterable[int], *, newest: bool = False) -> Replayed:
    """Replays deliveries in their lanes; those that are not parked, dead or skipped stay as they are.

    ``newest``: with the mapping in force by then, not the one they were planned with.
    """
    return Replayed(deliveries=tuple(await revival.revive(connection, sorted(set(ids)), newest=newest)))


def checked(wanted: deliveries.Filter) -> deliveries.Filter:
    """Raises ValueError when the filter names no state that can be replayed."""
    if wanted.state not in REPLAYABLE:
        raise ValueError(f"state must be one of {', '.join(REPLAYABLE)}")
    return wanted


async def matching(
    ledger: session.Ledger, wanted: deliveries.Filter, limit: int, *, dry_run: bool, newest: bool = False
) -> tuple[int, Replayed]:
    """Replays the oldest ``limit`` deliveries that fit; returns how many fit in all, and what was replayed.

    Raises ValueError when the filter names no state that can be replayed.
    """
    checked(wanted)
    if dry_run:
        async with ledger.read() as connection:
            return await deliveries.count(connection, wanted), Replayed()
    async with ledger.write() as connection:
        fit = await deliveries.count(connection, wanted)
        ids = await deliveries.oldest(connection, wanted, min(limit, BULK))
        return fit, await some(connection, ids, newest=newest)

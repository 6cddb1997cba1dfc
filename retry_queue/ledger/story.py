"""Whole events, many at a time: bodies, deliveries and attempts together, for an archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import deliveries, events, tables

E = tables.events


@dataclass(frozen=True, slots=True)
class Whole:
    """One event with what became of it."""

    event: events.Story
    owed: list[deliveries.Found]
    tries: dict[int, list[deliveries.Attempt]]
    """By the delivery's id."""


async def after(
    connection: AsyncConnection, event_id: int, upto: int, limit: int, since: float, until: float
) -> list[Whole]:
    """The next events above an id, up to another, that came from ``since`` to before ``until``; in order of ids."""
    near = (E.c.id > event_id, E.c.id <= upto, E.c.received_at >= since, E.c.received_at < until)
    ids = list((await connection.execute(select(E.c.id).where(*near).order_by(E.c.id).limit(limit))).scalars())
    return await some(connection, ids)


async def some(connection: AsyncConnection, ids: Sequence[int]) -> list[Whole]:
    """Events by their ids, in order; without those that are not there any more."""
    found = {one.id: one for one in await events.whole(connection, ids)}
    owed: dict[int, list[deliveries.Found]] = {}
    for one in await deliveries.of_events(connection, ids):
        owed.setdefault(one.event_id, []).append(one)
    tried = await deliveries.attempts(connection, [one.id for each in owed.values() for one in each])
    return [Whole(found[i], owed.get(i, []), {one.id: tried[one.id] for one in owed.get(i, [])}) for i in sorted(found)]

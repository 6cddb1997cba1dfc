"""A person settles a conflict: the value they choose holds, and every system of the link is brought to it.

It goes the normal way of a delivery, as an event of our own, so that lanes, attempts and the balance apply.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import inbox, lane, merged, outbox, records, tallies
from retry_queue.sync import draft, merge, plan
from retry_queue.sync import site as sites

DOOR = "hub"
MESSAGE = "conflict.settled"


class NothingToSettle(Exception):
    """Somebody else settled it meanwhile, or the systems came to agree."""


async def settle(
    connection: AsyncConnection, site: sites.Site, slot: int, row: Any, value: Any, by: str, now: float, trace: str
) -> int:
    """Makes ``value`` hold for the field of an open conflict; returns how many systems are written to.

    Raises NothingToSettle. Runs in the caller's transaction.
    """
    fields = (await merged.hold(connection, {row.link_id: row.entity}))[row.link_id]
    held = fields.get(row.field)
    if held is None or "other" not in held:
        raise NothingToSettle
    sides = (held, held["other"])
    winner = next((str(one["from"]) for one in sides if _same(one["value"], value)), merge.PERSON)
    fields[row.field] = {"value": value, "at": now, "from": merge.PERSON, "record": ""}
    await merged.keep(connection, {row.link_id: fields})
    await merged.close(connection, [(row.link_id, row.field, winner, by, None)])
    group = (await records.groups(connection, [row.link_id])).get(row.link_id, [])
    known = [one for one in group if one.entity == row.entity and one.canonical]
    if not known:
        return 0
    return await _spread(connection, site, slot, group, known[0], f"{MESSAGE}.{row.id}", trace)


def _same(one: Any, other: Any) -> bool:
    return draft.encode(one) == draft.encode(other)


async def _spread(
    connection: AsyncConnection,
    site: sites.Site,
    slot: int,
    group: list[records.Known],
    base: records.Known,
    dedupe: str,
    trace: str,
) -> int:
    """One event of our own about ``base``, owed to every record of the group that we can write."""
    ways = [(one, edge) for one in group if (edge := site.writer(one.connection_key, base.entity))]
    if not ways:
        return 0
    new = inbox.NewEvent(base.connection_key, DOOR, MESSAGE, base.entity, base.record, dedupe, "{}", None, trace)
    (event_id,) = await inbox.append(connection, [new])
    if event_id is None:
        return 0
    await inbox.planned(connection, [event_id])
    body = orjson.loads(base.canonical or "{}")
    await inbox.carry(connection, [(event_id, base.entity, "", draft.encode(body), None)])
    owed = [
        lane.NewDelivery(
            event_id=event_id,
            route_key=edge.route,
            connection_key=one.connection_key,
            operation=site.routes[edge.route].targets[edge.position].target.operation,
            position=edge.position + plan.RESTORE,
            kind="state",
            record_id=one.id,
            lane=plan.lane(one.connection_key, base.entity, one.link_id),
            version=None,
            hop=0,
            priority=inbox.LIVE,
        )
        for one, edge in ways
    ]
    counts = Counter({(base.connection_key, "received"): 1, (base.connection_key, "planned"): 1})
    await tallies.add(connection, slot, counts)
    return await outbox.plan(connection, owed)

"""The steps of a route: later deliveries of an event wait for the earlier ones, in the ledger itself.

They are planned with the rest, so that one balance and one trace cover the whole chain; their ``next_at`` is
``lane.BLOCKED`` plus what they wait once their turn has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import lane, sql

_GUARD = sql.Statement(
    "SELECT inbox.id FROM inbox JOIN {src} ON inbox.id = src.event_id ORDER BY inbox.id FOR UPDATE OF inbox",
    "event_id int",
)
_ADVANCE = sql.Statement(
    """
    UPDATE deliveries SET next_at = {now} + (deliveries.next_at - 1e11) FROM {src}
    WHERE deliveries.event_id = src.event_id AND deliveries.state = 'pending' AND deliveries.next_at >= 1e11
      AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.event_id = deliveries.event_id
        AND o.route_key = deliveries.route_key AND o.stage < deliveries.stage
        AND o.state NOT IN ('delivered', 'skipped', 'superseded'))
    RETURNING deliveries.lane, deliveries.connection_key, deliveries.next_at - {now} AS delay
    """,
    "event_id int",
)
_BLOCKED = sql.Statement(
    "SELECT DISTINCT event_id FROM (SELECT event_id FROM deliveries WHERE state || '' = 'pending' AND next_at >= 1e11"
    " AND state IN ('pending', 'in_flight', 'retrying', 'parked') LIMIT 100000) d LIMIT 10000"
)
_CUT = sql.Statement(
    """
    UPDATE deliveries SET state = 'skipped', reason = 'earlier_step', detail = src.detail, settled_at = {now} FROM {src}
    WHERE deliveries.event_id = src.event_id AND deliveries.route_key = src.route_key
      AND deliveries.stage > src.stage AND deliveries.state = 'pending' AND deliveries.next_at >= 1e11
    """,
    "event_id int, route_key text, stage small, detail text",
)
_MEND = sql.Statement(
    """
    UPDATE deliveries SET state = 'pending', reason = NULL, detail = NULL, settled_at = NULL
    FROM {src}, deliveries d
    WHERE d.id = src.id AND deliveries.event_id = d.event_id AND deliveries.route_key = d.route_key
      AND deliveries.stage > d.stage AND deliveries.state = 'skipped'
      AND deliveries.reason = 'earlier_step'
    """,
    "id int",
)
_EARLIER = sql.Statement(
    """
    SELECT d.event_id, d.route_key, d.stage, d.connection_key, d.state, d.target_record
    FROM {src} JOIN deliveries d ON d.event_id = src.event_id AND d.route_key = src.route_key
    ORDER BY d.event_id, d.position
    """,
    "event_id int, route_key text",
)
WORDS = '{"zh":"前一步失败，未执行；重放前一步后继续","en":"the step before it failed; replay that one to go on"}'


async def guard(connection: AsyncConnection, events: Iterable[int]) -> None:
    """Makes settles of one event take turns: two steps that end at once must see each other. For PostgreSQL."""
    await _GUARD.run(connection, [(i,) for i in sorted(set(events))])


async def due(connection: AsyncConnection, events: Iterable[int]) -> dict[str, tuple[str, float]]:
    """Frees deliveries whose earlier steps have all ended well; returns lane -> (target connection, delay)."""
    lanes: dict[str, tuple[str, float]] = {}
    for row in await _ADVANCE.run(connection, [(i,) for i in sorted(set(events))]):
        known = lanes.get(row.lane)
        if known is None or row.delay < known[1]:
            lanes[row.lane] = (row.connection_key, float(row.delay))
    return lanes


async def cut(connection: AsyncConnection, failed: Sequence[lane.ClaimedDelivery]) -> None:
    """Ends what waits for a step that was given up; a replay of that step brings it back."""
    await cut_off(connection, [(d.event_id, d.route_key, d.stage) for d in failed])


async def cut_off(connection: AsyncConnection, steps: Sequence[tuple[int, str, int]]) -> None:
    """The same by (event, route, step)."""
    await _CUT.run(connection, [(*step, WORDS) for step in steps])


async def mend(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Brings back what was cut off behind deliveries that are tried again."""
    await _MEND.run(connection, [(i,) for i in ids])


async def blocked(connection: AsyncConnection) -> list[int]:
    """Events some of whose deliveries wait for earlier steps."""
    return [row.event_id for row in await _BLOCKED.run(connection)]


async def earlier(
    connection: AsyncConnection, those: Iterable[lane.ClaimedDelivery]
) -> dict[tuple[int, str], list[Any]]:
    """(event, route) -> its deliveries as (stage, connection_key, state, target_record), in order."""
    found: dict[tuple[int, str], list[Any]] = {}
    for row in await _EARLIER.run(connection, sorted({(d.event_id, d.route_key) for d in those})):
        found.setdefault((row.event_id, row.route_key), []).append(row)
    return found

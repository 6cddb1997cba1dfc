"""Reviving: deliveries that ended badly, or wait for a person, are owed again in their lanes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import inbox, outbox, records, sql, stages

_OVERTAKEN = sql.Statement(
    f"""
    UPDATE deliveries SET state = 'superseded', reason = 'newer_state', detail = NULL, settled_at = {{now}}
    FROM {{src}} WHERE deliveries.id = src.id AND deliveries.state IN ('parked', 'dead', 'skipped')
      AND deliveries.kind = 'state' AND EXISTS (
        SELECT 1 FROM deliveries n WHERE n.record_id = deliveries.record_id AND n.route_key = deliveries.route_key
          AND n.position = deliveries.position AND n.state IN ('delivered', 'in_flight')
          AND (n.version > deliveries.version + {records.VERSION_SLACK} OR (n.id > deliveries.id
            AND coalesce(n.version >= deliveries.version - {records.VERSION_SLACK}, true))))
    """,
    "id int",
)
_REVIVE = sql.Statement(
    """
    UPDATE deliveries SET state = 'pending', failures = 0, crashes = 0, next_at = {now}, settled_at = NULL,
        reason = CASE WHEN {1} = 1 THEN reason ELSE NULL END,
        detail = CASE WHEN {1} = 1 OR detail LIKE '%"rest"%' THEN detail ELSE NULL END,
        mapping = CASE WHEN {2} = 1 THEN NULL ELSE mapping END
    FROM {src} WHERE deliveries.id = src.id AND deliveries.state IN ('parked', 'dead', 'skipped')
        AND EXISTS (SELECT 1 FROM canonicals c JOIN events e ON e.id = c.event_id
                    WHERE c.event_id = deliveries.event_id AND c.body <> 'null')
    RETURNING deliveries.id, deliveries.lane, deliveries.connection_key
    """,
    "id int",
)

# As claims do, the lanes first, and none that a claim is at: what it takes is under way.
_REACH = sql.Statement(
    """
    SELECT lane FROM lanes WHERE owner IS NULL AND lane IN (
        SELECT d.lane FROM {src} JOIN deliveries d ON d.id = src.id WHERE d.state = 'pending')
    ORDER BY lane {lock}
    """,
    "id int",
)
_LANE = sql.Statement("SELECT d.id, d.lane FROM {src} JOIN deliveries d ON d.id = src.id", "id int")
_TAKE_BACK = sql.Statement(
    """
    UPDATE deliveries SET state = CAST({1} AS VARCHAR), settled_at = CASE WHEN {1} = 'parked' THEN NULL ELSE {now} END
    FROM {src} WHERE deliveries.id = src.id AND deliveries.state = 'pending' AND deliveries.next_at < 1e11
    RETURNING deliveries.id, deliveries.event_id, deliveries.route_key, deliveries.stage, deliveries.lane
    """,
    "id int",
)
_EMPTY = sql.Statement(
    """
    SELECT l.lane, l.fence, l.seq FROM {src} JOIN lanes l ON l.lane = src.lane WHERE l.owner IS NULL AND NOT EXISTS (
        SELECT 1 FROM deliveries d WHERE d.lane = l.lane AND d.state IN ('pending', 'in_flight', 'retrying', 'parked'))
    ORDER BY l.lane
    """,
    "lane text",
)
# Only where nobody claimed it and nothing was planned since it was seen to be empty.
_CLOSE = sql.Statement(
    "DELETE FROM lanes WHERE (lane, fence, seq) IN (SELECT lane, fence, seq FROM {src})",
    "lane text, fence int, seq int",
)
_LATE = sql.Statement(
    """
    WITH late AS MATERIALIZED (
        SELECT lane FROM lanes l WHERE l.connection_key = {1} AND l.owner IS NULL AND l.next_at > {now}
          AND l.next_at < 1e11 AND EXISTS (SELECT 1 FROM deliveries d WHERE d.lane = l.lane AND d.state = 'retrying'
                AND d.next_at > {now} AND d.reason IN ('unavailable', 'unknown'))
        ORDER BY l.lane LIMIT {2} {lock}
    )
    UPDATE lanes SET next_at = {now} FROM late WHERE lanes.lane = late.lane RETURNING lanes.lane
    """
)
_HURRY = sql.Statement(
    """
    UPDATE deliveries SET next_at = {now} FROM {src} WHERE deliveries.lane = src.lane
      AND deliveries.state = 'retrying' AND deliveries.reason IN ('unavailable', 'unknown')
    """,
    "lane text",
)
HURRIED = 1000


async def hurry(connection: AsyncConnection, connection_key: str) -> int:
    """A system is back: what waits because it was not there is due now, ``HURRIED`` lanes of it; returns how many."""
    lanes = [(row.lane,) for row in await _LATE.run(connection, (), connection_key, HURRIED)]
    await _HURRY.run(connection, lanes)
    return len(lanes)


async def revive(
    connection: AsyncConnection,
    ids: Sequence[int],
    *,
    priority: int = inbox.LIVE,
    revocable: bool = False,
    newest: bool = False,
) -> list[int]:
    """Replays parked, dead or skipped deliveries in their lanes; returns those revived.

    A state that a newer one has overtaken is not sent again: it ends as superseded. ``revocable``: they keep their
    reason until they are tried, for ``take_back``. ``newest``: with the mapping in force, not the one planned with.
    """
    await _OVERTAKEN.run(connection, [(i,) for i in ids])
    rows = await _REVIVE.run(connection, [(i,) for i in ids], int(revocable), int(newest))
    await stages.mend(connection, [row.id for row in rows])
    await outbox.rouse(connection, {row.lane: (row.connection_key, priority, 0.0) for row in rows})
    return [row.id for row in rows]


async def take_back(connection: AsyncConnection, ids: Sequence[int], state: str) -> int:
    """Gives revived deliveries that nobody has tried since their state back; returns how many."""
    lanes = {row.lane for row in await _REACH.run(connection, [(i,) for i in ids])}
    found = await _LANE.run(connection, [(i,) for i in ids])
    rows = await _TAKE_BACK.run(connection, [(row.id,) for row in found if row.lane in lanes], state)
    empty = await _EMPTY.run(connection, [(lane,) for lane in sorted({row.lane for row in rows})])
    await _CLOSE.run(connection, [tuple(row) for row in empty])
    if state == "dead":
        await stages.cut_off(connection, [(row.event_id, row.route_key, row.stage) for row in rows])
    return len(rows)

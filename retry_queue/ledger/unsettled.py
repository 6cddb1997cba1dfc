"""Writes of ours that are not settled: what comes from there meanwhile may be their echo, or half of it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import lane, sql

# No lane and no delivery is looked at that waits for its turn: in a burst that is all of them. So lanes are found by
# who has them and not, as the empty text prevents, by their target.
_BUSY = sql.Statement(
    """
    WITH held AS MATERIALIZED (
        SELECT lane, next_at FROM {src} JOIN lanes ON lanes.connection_key || '' = src.connection_key WHERE owner > ''
    )
    SELECT lane, next_at FROM held
    UNION SELECT x.lane, held.next_at FROM held JOIN detours x ON x.behind = held.lane
    UNION SELECT d.lane, d.created_at + {1} FROM held
    JOIN deliveries d ON d.lane = held.lane AND d.state IN ('pending', 'in_flight', 'retrying', 'parked')
    WHERE d.state || '' = 'in_flight' AND d.attempt > 1 AND d.kind = 'state' AND d.created_at > {now} - {2}
    UNION SELECT d.lane, d.created_at + {1} FROM {src} JOIN deliveries d ON d.connection_key = src.connection_key
    WHERE d.state = 'retrying' AND d.kind = 'state' AND d.attempt > 0 AND d.created_at > {now} - {2}
    """,
    "connection_key text",
)


async def busy(connection: AsyncConnection, targets: Iterable[str]) -> dict[str, float]:
    """Lane -> since when something of ours may have happened there that is not settled, for these targets.

    Lanes that are being worked on, and those whose write is between two tries or in a later one: part of it may have
    been done by the first.
    """
    rows = await _BUSY.run(connection, [(key,) for key in sorted(set(targets))], lane.LEASE, lane.HALF_DONE)
    return {row.lane: float(row.next_at) - lane.LEASE for row in sorted(rows, key=lambda one: -one.next_at)}

"""Vital signs of the hub, counted per connection: what alerts are decided by. Each is cheap at any size of history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

_PARKED = sql.Statement(
    """
    SELECT connection_key, sum(n) AS n FROM (
        SELECT connection_key, count(*) AS n FROM deliveries WHERE state = 'parked' GROUP BY connection_key
        UNION ALL
        SELECT connection_key || '', count(*) AS n FROM inbox WHERE state = 'parked' GROUP BY connection_key || ''
    ) AS stopped GROUP BY connection_key
    """
)
_DEAD = sql.Statement(
    "SELECT connection_key, count(*) AS n FROM deliveries WHERE state = 'dead' GROUP BY connection_key"
)
_REJECTED = sql.Statement(
    "SELECT connection_key, sum(n) AS n FROM tallies WHERE kind LIKE 'rejected.%' GROUP BY connection_key"
)
# A lane that waits for another one is not late by itself; one that is worked on has its lease's end ahead.
_LATE = sql.Statement(
    """
    SELECT src.key AS connection_key, {now} - (
        SELECT next_at FROM lanes WHERE connection_key = src.key AND priority = src.priority
          AND NOT EXISTS (SELECT 1 FROM detours x WHERE x.lane = lanes.lane)
        ORDER BY next_at LIMIT 1
    ) AS n FROM {src}
    """,
    "key text, priority small",
)
_UNREAD = sql.Statement(
    """
    SELECT connection_key, {now} - next_at AS n FROM inbox
    WHERE state = 'received' AND priority = {1} ORDER BY next_at LIMIT 1
    """
)
_FAILING = sql.Statement(
    "SELECT connection_key, max(failures) AS n FROM cursors WHERE failures > 0 GROUP BY connection_key"
)
_SILENT = sql.Statement(
    """
    SELECT src.key AS connection_key, {now} - (
        SELECT e.received_at FROM events e WHERE e.connection_key = src.key ORDER BY e.id DESC LIMIT 1
    ) AS n FROM {src}
    """,
    "key text",
)
_CONFLICTS = sql.Statement("SELECT count(*) AS n FROM conflicts WHERE state = 'open'")


@dataclass(frozen=True, slots=True)
class Signs:
    """Connection -> number. ``late`` and ``silent`` are seconds; a connection that never had news is not silent."""

    parked: dict[str, float]
    dead: dict[str, float]
    rejected: dict[str, float]
    late: dict[str, float]
    failing: dict[str, float]
    silent: dict[str, float]
    conflicts: int


PRIORITIES = (0, 1, 2)


async def read(connection: AsyncConnection, sources: Iterable[str], targets: Iterable[str]) -> Signs:
    """All of them, of nearly one moment.

    ``sources`` are the connections whose silence matters, ``targets`` those that should be served.
    """

    async def counted(statement: sql.Statement, rows: list[tuple[str]] | None = None) -> dict[str, float]:
        found = await statement.run(connection, rows or ())
        return {row.connection_key: float(row.n) for row in found if row.n is not None and row.n > 0}

    late: dict[str, float] = {}
    lanes = [(key, priority) for key in sorted(targets) for priority in PRIORITIES]
    oldest = [*await _LATE.run(connection, lanes)]
    for priority in PRIORITIES:
        oldest += await _UNREAD.run(connection, (), priority)
    for row in oldest:
        if row.n is not None and row.n > 0:
            late[row.connection_key] = max(late.get(row.connection_key, 0.0), float(row.n))
    return Signs(
        parked=await counted(_PARKED),
        dead=await counted(_DEAD),
        rejected=await counted(_REJECTED),
        late=late,
        failing=await counted(_FAILING),
        silent=await counted(_SILENT, [(key,) for key in sorted(sources)]),
        conflicts=await conflicts(connection),
    )


async def conflicts(connection: AsyncConnection) -> int:
    """How many fields wait for a person's decision."""
    return int((await _CONFLICTS.run(connection))[0].n)

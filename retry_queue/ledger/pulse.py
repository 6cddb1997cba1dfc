"""The pulse of the hub for people who look at it: what moved in the last minutes, what is stuck and why.

Bounded at any size of history: what moved is read from the newest rows only, what is stuck from partial
indexes. Counts of one answer are of nearly one moment; the balance itself is in ``tallies``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

SAMPLE = 20_000
"""Newest rows that are looked at: at higher rates a shorter time is covered, and the answer says so."""

_ARRIVED = sql.Statement(
    """
    SELECT connection_key, minute, count(*) AS n, min(received_at) AS since FROM (
        SELECT connection_key || '' AS connection_key, CAST({now} - received_at AS BIGINT) / 60 AS minute, received_at
        FROM inbox WHERE id > (SELECT coalesce(max(id), 0) FROM inbox) - {1} AND received_at > {now} - {2}
    ) newest GROUP BY connection_key, minute
    """
)
_MOVED = sql.Statement(
    """
    SELECT route_key, connection_key, CAST({now} - created_at AS BIGINT) / 60 AS minute, count(*) AS n,
        sum(CASE WHEN state IN ('parked', 'dead') THEN 1 ELSE 0 END) AS failed,
        max(settled_at) AS settled_at, min(created_at) AS since
    FROM deliveries WHERE id > (SELECT coalesce(max(id), 0) FROM deliveries) - {1} AND created_at > {now} - {2}
    GROUP BY route_key, connection_key, CAST({now} - created_at AS BIGINT) / 60
    """
)
_STUCK = sql.Statement(
    """
    SELECT route_key, connection_key, state, count(*) AS n, min(created_at) AS oldest FROM deliveries
    WHERE state IN ('pending', 'in_flight', 'retrying', 'parked') GROUP BY route_key, connection_key, state
    UNION ALL
    SELECT route_key, connection_key, state, count(*) AS n, min(created_at) AS oldest FROM deliveries
    WHERE state = 'dead' GROUP BY route_key, connection_key, state
    """
)
_CAUSES = sql.Statement(
    """
    SELECT 'delivery' AS what, state, connection_key, route_key, operation, reason, count(*) AS n,
        min(created_at) AS oldest, max(created_at) AS newest, max(id) AS example
    FROM deliveries WHERE state = 'parked' GROUP BY state, connection_key, route_key, operation, reason
    UNION ALL
    SELECT 'delivery' AS what, state, connection_key, route_key, operation, reason, count(*) AS n,
        min(created_at) AS oldest, max(created_at) AS newest, max(id) AS example
    FROM deliveries WHERE state = 'dead' GROUP BY state, connection_key, route_key, operation, reason
    UNION ALL
    SELECT 'event' AS what, state, connection_key, NULL AS route_key, NULL AS operation, reason, count(*) AS n,
        min(received_at) AS oldest, max(received_at) AS newest, max(id) AS example
    FROM inbox WHERE state = 'parked' GROUP BY state, connection_key, reason
    """
)
_SAID = {
    "delivery": sql.Statement(
        "SELECT d.id, d.detail FROM {src} JOIN deliveries d ON d.id = src.id",
        "id int",
    ),
    "event": sql.Statement("SELECT i.id, i.detail FROM {src} JOIN inbox i ON i.id = src.id", "id int"),
}
_MARKS = sql.Statement(
    """
    SELECT 'events' AS what, coalesce(max(id), 0) AS n FROM inbox
    UNION ALL SELECT 'deliveries', coalesce(max(id), 0) FROM deliveries
    UNION ALL SELECT 'attempts', coalesce(max(id), 0) FROM attempts
    UNION ALL SELECT 'configuration', coalesce(max(version), 0) FROM settings WHERE key = 'epoch'
    UNION ALL SELECT 'audit', coalesce(max(id), 0) FROM audit
    UNION ALL SELECT 'alerts', coalesce(max(id), 0) + (SELECT count(*) FROM alarms WHERE state = 'firing') FROM notices
    UNION ALL SELECT 'quarantine', coalesce(max(id), 0) FROM quarantine
    """
)


@dataclass(frozen=True, slots=True)
class Moved:
    """One minute of one stream; ``minute`` counts backwards from now. ``route`` is None for arrivals."""

    route: str | None
    connection: str
    minute: int
    n: int
    failed: int
    settled_at: float | None
    since: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """Deliveries of a route to one target that have not ended well, by state. ``oldest`` in Unix seconds."""

    route: str
    connection: str
    state: str
    n: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Cause:
    """Parked or dead things that have one reason. ``words`` are those of the newest, ``example`` is its id."""

    what: str
    state: str
    connection: str
    route: str | None
    operation: str | None
    reason: str | None
    n: int
    oldest: float
    newest: float
    example: int
    words: dict[str, Any] | None


async def arrived(connection: AsyncConnection, minutes: int) -> list[Moved]:
    """Events taken in per connection and minute."""
    rows = await _ARRIVED.run(connection, (), SAMPLE, minutes * 60.0)
    return [Moved(None, r.connection_key, int(r.minute), int(r.n), 0, None, r.since) for r in rows]


async def moved(connection: AsyncConnection, minutes: int) -> list[Moved]:
    """Deliveries planned per route, target and minute."""
    rows = await _MOVED.run(connection, (), SAMPLE, minutes * 60.0)
    return [
        Moved(r.route_key, r.connection_key, int(r.minute), int(r.n), int(r.failed), r.settled_at, r.since)
        for r in rows
    ]


async def stuck(connection: AsyncConnection) -> list[Stuck]:
    """What is owed or given up, per route and target."""
    rows = await _STUCK.run(connection)
    return [Stuck(r.route_key, r.connection_key, r.state, int(r.n), r.oldest) for r in rows]


async def causes(connection: AsyncConnection) -> list[Cause]:
    """Everything parked or dead, grouped by why; the largest groups first."""
    rows = await _CAUSES.run(connection)
    said: dict[tuple[str, int], Any] = {}
    for what, statement in _SAID.items():
        for row in await statement.run(connection, [(int(r.example),) for r in rows if r.what == what]):
            said[(what, int(row.id))] = json.loads(row.detail) if row.detail else None
    found = [
        Cause(
            r.what, r.state, r.connection_key, r.route_key, r.operation, r.reason, int(r.n), r.oldest, r.newest,
            int(r.example), said.get((r.what, int(r.example))),
        )
        for r in rows
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one.n, one.connection, one.route or "", one.reason or ""))


async def marks(connection: AsyncConnection) -> dict[str, int]:
    """One growing number per subject: whoever remembers them sees whether something happened since."""
    return {row.what: int(row.n) for row in await _MARKS.run(connection)}

"""Backfills: history that is read again from a source, leased to one process at a time.

``cursor`` is {at}: everything before it is in the inbox. The window under way is read again after a restart,
which costs nothing, because what is in the inbox already is no news.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import inbox, jobs, sql, upkeep

T = upkeep.backfills
OPEN = jobs.OPEN
Lost = jobs.Lost

_COLUMNS = (
    "id, connection_key, source, cause, window_start, window_end, state, cursor, counts, budget, priority, detail,"
    " fence, failures, requested_by, created_at, ended_at"
)
# What is under way for history, and whether something live is late: history waits for both.
_PRESSURE = sql.Statement(
    """
    SELECT (SELECT count(*) FROM inbox WHERE state = 'received' AND priority = {1}) AS unplanned,
        (SELECT count(*) FROM lanes WHERE priority = {1}) AS owed,
        (SELECT count(*) FROM (SELECT id FROM inbox WHERE state = 'received' AND priority < {1}
            AND next_at <= {now} - {2} LIMIT 1) i) AS late_events,
        (SELECT count(*) FROM (SELECT lane FROM lanes WHERE priority < {1} AND owner IS NULL
            AND next_at <= {now} - {2} LIMIT 1) l) AS late_lanes
    """
)


@dataclass(frozen=True, slots=True)
class Row:
    """One backfill. Times are Unix seconds; ``budget`` records a second at most, 0 for no bound."""

    id: int
    connection_key: str
    source: str
    cause: str
    window_start: float
    window_end: float
    state: str
    cursor: dict[str, Any]
    counts: dict[str, int]
    budget: float
    priority: int
    detail: dict[str, str] | None
    fence: int
    failures: int
    requested_by: str
    created_at: float
    ended_at: float | None

    @property
    def share(self) -> float:
        """How much of the window is read, 0 to 1."""
        if self.state == "done":
            return 1.0
        span = max(self.window_end - self.window_start, 1.0)
        return min(max((float(self.cursor.get("at", self.window_start)) - self.window_start) / span, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class New:
    """History to be read."""

    connection_key: str
    source: str
    cause: str
    window: tuple[float, float]
    budget: float
    priority: int = inbox.BACKFILL
    by: str = "hub"


@dataclass(frozen=True, slots=True)
class Pressure:
    """What history has under way, and whether live work is late."""

    unplanned: int
    owed: int
    late: bool


def _row(found: Any) -> Row:
    values = list(found)
    for place, empty in ((7, {}), (8, {}), (11, None)):
        values[place] = json.loads(values[place]) if values[place] else empty
    return Row(*values)


async def create(connection: AsyncConnection, wanted: New, now: float) -> int:
    """Asks for history to be read; returns its id."""
    values = {
        "connection_key": wanted.connection_key, "source": wanted.source, "cause": wanted.cause,
        "window_start": wanted.window[0], "window_end": wanted.window[1], "state": "waiting",
        "budget": wanted.budget, "priority": wanted.priority, "next_at": 0.0, "requested_by": wanted.by,
        "created_at": now,
    }  # fmt: skip
    return int((await connection.execute(insert(T).values(**values).returning(T.c.id))).scalar_one())


JOBS = jobs.Jobs("backfills", _COLUMNS, "priority, next_at, id", _row)
claim, keep, later, end = JOBS.claim, JOBS.keep, JOBS.later, JOBS.end
turn, release = JOBS.turn, JOBS.release


async def pressure(connection: AsyncConnection, patience: float) -> Pressure:
    """Whether history should wait; ``patience`` is how many seconds overdue live work counts as late."""
    row = (await _PRESSURE.run(connection, (), inbox.BACKFILL, patience))[0]
    return Pressure(int(row.unplanned), int(row.owed), bool(row.late_events or row.late_lanes))


def _select() -> Any:
    return select(*[T.c[name.strip()] for name in _COLUMNS.split(",")])


async def get(connection: AsyncConnection, number: int) -> Row | None:
    found = (await connection.execute(_select().where(T.c.id == number))).first()
    return None if found is None else _row(found)


async def search(
    connection: AsyncConnection, *, limit: int, before: int | None = None, state: str | None = None,
    connection_key: str | None = None,
) -> list[Row]:  # fmt: skip
    """Backfills, the newest first, with ids below ``before``."""
    query = _select().order_by(T.c.id.desc()).limit(limit)
    for column, value in ((T.c.state, state), (T.c.connection_key, connection_key)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(T.c.id < before)
    return [_row(found) for found in await connection.execute(query)]


async def open_rows(connection: AsyncConnection) -> list[Row]:
    """Everything that is not ended."""
    rows = await connection.execute(_select().where(T.c.state.in_(OPEN)).order_by(T.c.id))
    return [_row(found) for found in rows]


async def imported(connection: AsyncConnection) -> set[tuple[str, str]]:
    """(connection, source) of every source whose history was asked for, and not given up."""
    rows = await connection.execute(
        select(T.c.connection_key, T.c.source).where(T.c.cause != "gap", T.c.state != "cancelled").distinct()
    )
    return {(row.connection_key, row.source) for row in rows}

"""Reconciliations 对账: each comparison of two connections, leased to one process at a time.

``next_at`` says when a row is due; while it is worked on, when the lease ends. ``fence`` decides whose writes
count: everything a run finds is written in one transaction with its ``progress``, so that a restart neither
loses nor repeats a finding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, upkeep

T = upkeep.reconciliations

OPEN = ("waiting", "running")
"""States that will still move by themselves."""

_COLUMNS = (
    "id, plan_key, left_key, right_key, entity, window_start, window_end, spec, state, progress, counts, detail,"
    " fence, requested_by, created_at, ended_at"
)
_TURN = sql.Statement(
    """
    INSERT INTO reconciliations (plan_key, left_key, right_key, entity, window_start, window_end, spec, state,
                                 next_at, requested_by, created_at)
    VALUES ({1}, {2}, {3}, {4}, {5}, {6}, {7}, 'waiting', {now}, {8}, {now})
    ON CONFLICT (plan_key, window_end) DO NOTHING RETURNING id
    """
)
_CLAIM = sql.Statement(
    f"""
    UPDATE reconciliations SET state = 'running', owner = {{1}}, fence = fence + 1, next_at = {{now}} + {{2}}
    WHERE id = (SELECT id FROM reconciliations WHERE state IN ('waiting', 'running') AND next_at <= {{now}}
                AND (CAST({{3}} AS BIGINT) IS NULL OR id = {{3}}) ORDER BY next_at, id LIMIT 1 {{lock}})
    RETURNING {_COLUMNS}
    """
)
_KEEP = sql.Statement(
    """
    UPDATE reconciliations SET progress = {3}, counts = {4}, next_at = {now} + {5}
    WHERE id = {1} AND fence = {2} AND state = 'running' RETURNING id
    """
)
_LATER = sql.Statement(
    """
    UPDATE reconciliations SET owner = NULL, progress = {3}, next_at = {now} + {4}, detail = {5}
    WHERE id = {1} AND fence = {2} AND state = 'running' RETURNING id
    """
)
_END = sql.Statement(
    """
    UPDATE reconciliations SET state = {3}, counts = coalesce({4}, counts), detail = {5}, owner = NULL,
        ended_at = {now} WHERE id = {1} AND fence = {2} AND state = 'running' RETURNING id
    """
)
_CANCEL = sql.Statement(
    """
    UPDATE reconciliations SET state = 'cancelled', fence = fence + 1, owner = NULL, ended_at = {now}
    WHERE id = {1} AND state IN ('waiting', 'running') RETURNING id
    """
)
_RELEASE = sql.Statement(
    """
    UPDATE reconciliations SET owner = NULL, next_at = {now}
    FROM {src} WHERE reconciliations.state = 'running' AND reconciliations.owner = src.owner
    """,
    "owner text",
)
_LAST = sql.Statement(
    """
    WITH newest AS (
        SELECT max(id) AS id FROM reconciliations WHERE state = 'done' GROUP BY left_key, right_key, entity
    )
    SELECT r.left_key, r.right_key, r.entity, r.ended_at, f.kind, count(f.id) AS n
    FROM newest JOIN reconciliations r ON r.id = newest.id
    LEFT JOIN findings f ON f.reconciliation_id = r.id AND f.state IN ('open', 'repairing', 'failed')
    GROUP BY r.left_key, r.right_key, r.entity, r.ended_at, f.kind
    """
)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. Times are Unix seconds; ``spec``, ``progress``, ``counts`` and ``detail`` are parsed."""

    id: int
    plan_key: str | None
    left_key: str
    right_key: str
    entity: str
    window_start: float
    window_end: float
    spec: dict[str, Any]
    state: str
    progress: dict[str, Any]
    counts: dict[str, int]
    detail: dict[str, str] | None
    fence: int
    requested_by: str
    created_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class New:
    """A comparison to be made; ``plan_key`` and ``window_end`` together are unique."""

    left_key: str
    right_key: str
    entity: str
    window: tuple[float, float]
    spec: Mapping[str, Any] = field(default_factory=dict)
    plan_key: str | None = None
    by: str = "schedule"


class Lost(Exception):
    """Somebody else has this row by now, or a person ended it: nothing of the transaction may stay."""


def _row(found: Any) -> Row:
    values = list(found)
    for place, empty in ((7, {}), (9, {}), (10, {}), (11, None)):
        values[place] = json.loads(values[place]) if values[place] else empty
    return Row(*values)


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


async def create(connection: AsyncConnection, wanted: New, now: float) -> int:
    """Asks for a comparison on behalf of a person; returns its id."""
    values = {
        "plan_key": wanted.plan_key, "left_key": wanted.left_key, "right_key": wanted.right_key,
        "entity": wanted.entity, "window_start": wanted.window[0], "window_end": wanted.window[1],
        "spec": json.dumps(wanted.spec, ensure_ascii=False), "state": "waiting", "next_at": 0.0,
        "requested_by": wanted.by, "created_at": now,
    }  # fmt: skip
    return int((await connection.execute(insert(T).values(**values).returning(T.c.id))).scalar_one())


async def turn(connection: AsyncConnection, wanted: New) -> int | None:
    """Writes one turn of a schedule; None when it is there already."""
    made = await _TURN.run(
        connection, (), wanted.plan_key, wanted.left_key, wanted.right_key, wanted.entity, *wanted.window,
        json.dumps(wanted.spec, ensure_ascii=False), wanted.by,
    )  # fmt: skip
    return int(made[0].id) if made else None


async def claim(connection: AsyncConnection, owner: str, lease: float, only: int | None = None) -> Row | None:
    """Leases the one that is longest due (or ``only`` this one), for ``lease`` seconds."""
    rows = await _CLAIM.run(connection, (), owner, lease, only)
    return _row(rows[0]) if rows else None


async def keep(
    connection: AsyncConnection, row: Row, progress: Mapping[str, Any], counts: Mapping[str, int], lease: float
) -> None:
    """Notes how far it is, in the transaction of what was found. Raises Lost."""
    if not await _KEEP.run(connection, (), row.id, row.fence, _text(progress), _text(counts), lease):
        raise Lost


async def later(
    connection: AsyncConnection, row: Row, progress: Mapping[str, Any], delay: float, words: Mapping[str, str]
) -> bool:
    """Gives it back, due again after ``delay`` seconds, with the reason."""
    return bool(await _LATER.run(connection, (), row.id, row.fence, _text(progress), delay, _text(words)))


async def end(
    connection: AsyncConnection,
    row: Row,
    state: str,
    counts: Mapping[str, int] | None = None,
    words: Mapping[str, str] | None = None,
) -> bool:
    """Ends it as ``done`` or ``failed``; False when it was not ours any more."""
    return bool(await _END.run(connection, (), row.id, row.fence, state, _text(counts), _text(words)))


async def cancel(connection: AsyncConnection, number: int) -> bool:
    """Ends a comparison that waits or runs."""
    return bool(await _CANCEL.run(connection, (), number))


async def release(connection: AsyncConnection, owners: Sequence[str]) -> None:
    """Gives back what dead processes were at."""
    await _RELEASE.run(connection, [(owner,) for owner in owners])


async def get(connection: AsyncConnection, number: int) -> Row | None:
    columns = [T.c[name.strip()] for name in _COLUMNS.split(",")]
    found = (await connection.execute(select(*columns).where(T.c.id == number))).first()
    return None if found is None else _row(found)


async def search(
    connection: AsyncConnection, *, limit: int, before: int | None = None, state: str | None = None,
    plan_key: str | None = None, entity: str | None = None,
) -> list[Row]:  # fmt: skip
    """Comparisons, the newest first, with ids below ``before``."""
    query = select(*[T.c[name.strip()] for name in _COLUMNS.split(",")]).order_by(T.c.id.desc()).limit(limit)
    for column, value in ((T.c.state, state), (T.c.plan_key, plan_key), (T.c.entity, entity)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(T.c.id < before)
    return [_row(found) for found in await connection.execute(query)]


async def drift(connection: AsyncConnection) -> Sequence[Any]:
    """(left_key, right_key, entity, ended_at, kind, n) of what the last comparison of each pair left different."""
    return await _LAST.run(connection)

"""Deliveries as people look at them: lists by filter, one with its attempts, and ending one by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import outbox, sql, stages, tables

D, A, R = tables.deliveries, tables.attempts, tables.records

_SKIP = sql.Statement(
    """
    UPDATE deliveries SET state = 'skipped', reason = 'by_person', detail = src.detail, settled_at = {now}
    FROM {src} WHERE deliveries.id = src.id AND deliveries.state IN ('parked', 'dead')
    RETURNING deliveries.id, deliveries.lane, deliveries.event_id
    """,
    "id int, detail text",
)
_PARTLY = sql.Statement(
    """
    SELECT d.id, d.detail FROM {src} JOIN deliveries d ON d.id = src.id WHERE d.detail LIKE '%"rest"%'
    """,
    "id int",
)
# Whatever waited behind it may go now; a lane with nothing in it is closed by the next claim.
_WAKE = sql.Statement(
    """
    INSERT INTO lanes (lane, connection_key, priority, next_at, fence, seq)
    SELECT src.lane, min(d.connection_key), 1, {now}, 0, 1 FROM {src} JOIN deliveries d ON d.lane = src.lane
    WHERE d.state IN ('pending', 'in_flight', 'retrying', 'parked') AND d.state || '' <> 'parked'
    GROUP BY src.lane ORDER BY src.lane
    ON CONFLICT (lane) DO UPDATE SET seq = lanes.seq + 1,
        next_at = CASE WHEN lanes.owner IS NULL AND excluded.next_at < lanes.next_at
                  THEN excluded.next_at ELSE lanes.next_at END
    """,
    "lane text",
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries; what is None does not matter. Times are Unix seconds of ``created_at``."""

    state: str | None = None
    connection_key: str | None = None
    route_key: str | None = None
    reason: str | None = None
    event_id: int | None = None
    since: float | None = None
    until: float | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        pairs: list[tuple[Any, Any]] = [
            (D.c.state, self.state),
            (D.c.connection_key, self.connection_key),
            (D.c.route_key, self.route_key),
            (D.c.reason, self.reason),
            (D.c.event_id, self.event_id),
        ]
        found: list[ColumnElement[bool]] = [column == value for column, value in pairs if value is not None]
        if self.since is not None:
            found.append(D.c.created_at >= self.since)
        if self.until is not None:
            found.append(D.c.created_at < self.until)
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """One delivery. ``entity``, ``record``, ``number`` are the source's; ``detail`` is {zh, en, code} or None."""

    id: int
    event_id: int
    route_key: str
    connection_key: str
    operation: str
    position: int
    kind: str
    state: str
    attempt: int
    failures: int
    crashes: int
    next_at: float
    reason: str | None
    detail: dict[str, Any] | None
    target_record: str | None
    created_at: float
    settled_at: float | None
    lane: str
    source_key: str | None
    entity: str | None
    record: str | None
    number: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. ``exchanges`` are the masked HTTP exchanges; ``duration`` in seconds."""

    delivery_id: int
    attempt: int
    outcome: str
    code: str | None
    words: dict[str, Any] | None
    """Why, {zh, en}."""
    exchanges: list[dict[str, Any]]
    duration: float
    worker: str
    at: float


_COLUMNS = (
    D.c.id, D.c.event_id, D.c.route_key, D.c.connection_key, D.c.operation, D.c.position, D.c.kind, D.c.state,
    D.c.attempt, D.c.failures, D.c.crashes, D.c.next_at, D.c.reason, D.c.detail, D.c.target_record, D.c.created_at,
    D.c.settled_at, D.c.lane, R.c.connection_key.label("source_key"), R.c.entity, R.c.record, R.c.number,
)  # fmt: skip


def _found(row: Any) -> Found:
    values = list(row)
    values[13] = json.loads(values[13]) if values[13] else None
    (values[13] or {}).pop("rest", None)  # for the target, not for people
    return Found(*values)


async def search(connection: AsyncConnection, wanted: Filter, *, limit: int, before: int | None = None) -> list[Found]:
    """Deliveries, the newest first, with ids below ``before``."""
    query = select(*_COLUMNS).select_from(D).outerjoin(R, R.c.id == D.c.record_id)
    query = query.where(*wanted.clauses()).order_by(D.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(D.c.id < before)
    return [_found(row) for row in await connection.execute(query)]


async def get(connection: AsyncConnection, delivery_id: int) -> Found | None:
    query = select(*_COLUMNS).select_from(D).outerjoin(R, R.c.id == D.c.record_id).where(D.c.id == delivery_id)
    row = (await connection.execute(query)).first()
    return None if row is None else _found(row)


async def of_event(connection: AsyncConnection, event_id: int) -> list[Found]:
    """What an event owes or owed, in the order it was planned."""
    query = select(*_COLUMNS).select_from(D).outerjoin(R, R.c.id == D.c.record_id)
    return [_found(row) for row in await connection.execute(query.where(D.c.event_id == event_id).order_by(D.c.id))]


async def of_events(connection: AsyncConnection, event_ids: Sequence[int]) -> list[Found]:
    """The same of many events."""
    query = select(*_COLUMNS).select_from(D).outerjoin(R, R.c.id == D.c.record_id)
    return [_found(row) for row in await connection.execute(query.where(D.c.event_id.in_(event_ids)).order_by(D.c.id))]


async def some(connection: AsyncConnection, ids: Sequence[int]) -> list[Found]:
    """Deliveries by their ids, the newest first."""
    query = select(*_COLUMNS).select_from(D).outerjoin(R, R.c.id == D.c.record_id)
    return [_found(row) for row in await connection.execute(query.where(D.c.id.in_(ids)).order_by(D.c.id.desc()))]


async def attempts(connection: AsyncConnection, delivery_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    """Delivery id -> its attempts, oldest first."""
    found: dict[int, list[Attempt]] = {i: [] for i in delivery_ids}
    query = select(A).where(A.c.delivery_id.in_(list(delivery_ids))).order_by(A.c.id)
    for row in await connection.execute(query):
        exchanges = json.loads(row.exchanges) if row.exchanges else []
        found[row.delivery_id].append(
            Attempt(
                row.delivery_id, row.attempt, row.outcome, row.code, _said(row.message), exchanges, row.duration,
                row.worker, row.at,
            )
        )  # fmt: skip
    return found


def _said(text: str | None) -> dict[str, Any] | None:
    """The words of an attempt; one that a bound cut short is shown as it is."""
    if not text:
        return None
    try:
        return dict(json.loads(text))
    except ValueError:
        return {"zh": text, "en": text}


async def count(connection: AsyncConnection, wanted: Filter) -> int:
    """How many fit."""
    query = select(func.count()).select_from(D).where(*wanted.clauses())
    return int((await connection.execute(query)).scalar_one())


async def oldest(
    connection: AsyncConnection, wanted: Filter, limit: int, after: int = 0, upto: int | None = None
) -> list[int]:
    """Ids of those that fit, the oldest first, above ``after`` and up to ``upto``."""
    query = select(D.c.id).where(*wanted.clauses()).order_by(D.c.id).limit(limit)
    if after:
        query = query.where(D.c.id > after)
    if upto is not None:
        query = query.where(D.c.id <= upto)
    return list((await connection.execute(query)).scalars())


async def skip(connection: AsyncConnection, ids: Iterable[int], words: dict[str, str]) -> list[int]:
    """Ends parked or dead deliveries without sending; what waited behind them goes on. Returns those ended."""
    those = sorted(set(ids))
    # What is done already stays known: who changes their mind must not send that part again.
    partly = await _PARTLY.run(connection, [(one,) for one in those])
    done = {row.id: {"rest": json.loads(row.detail).get("rest")} for row in partly}
    texts = [(one, json.dumps({**words, **done.get(one, {})}, ensure_ascii=False)) for one in those]
    rows = await _SKIP.run(connection, texts)
    await _WAKE.run(connection, [(lane,) for lane in sorted({row.lane for row in rows})])
    await stages.mend(connection, [row.id for row in rows])  # the steps after it go on without it
    await outbox.advance(connection, {row.event_id for row in rows})
    return [row.id for row in rows]

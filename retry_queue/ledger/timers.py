"""Timers 定时: deliveries that wait for their hour, and the quotas of those they go to.

A timer stands beside its delivery. ``waiting`` becomes ``fired`` or ``cancelled`` in one statement, so no delivery
is both sent and cancelled. A delivery that somebody else is just writing is not waited for: the timer's word is
enough, and the delivery ends when it is claimed (until then the timer has no ``ended_at``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, tables, upkeep

T, D, R = upkeep.timers, tables.deliveries, tables.records
CANCELLED = "cancelled"
BY_PERSON = "by_person"
WORDS = {
    CANCELLED: {"zh": "之后发生的事件使它不再需要，已取消", "en": "a later event made it pointless"},
    BY_PERSON: {"zh": "由人工取消，不再发送", "en": "cancelled by a person"},
}

_ARM = sql.Statement(
    """
    INSERT INTO timers (delivery_id, event_id, route_key, connection_key, record_id, due_at, state, created_at)
    SELECT d.id, d.event_id, d.route_key, d.connection_key, d.record_id, d.next_at, 'waiting', {now}
    FROM {src} JOIN deliveries d
      ON d.event_id = src.event_id AND d.route_key = src.route_key AND d.position = src.position
    WHERE d.state = 'pending'
    ON CONFLICT (delivery_id) DO NOTHING
    """,
    "event_id int, route_key text, position small",
)
# What has fired and failed waits again: it is cancelled too, unless nobody knows whether it happened. Each half has an
# index of its own.
_OPEN = """
    SELECT delivery_id, min(cause) AS event_id FROM (
        SELECT t.delivery_id, src.event_id AS cause FROM {src} JOIN %(what)s
        JOIN timers t ON t.route_key = src.route_key AND t.record_id = %(record)s
        WHERE t.state = 'waiting' AND t.event_id < src.event_id
        UNION ALL
        SELECT d.id, src.event_id FROM {src} JOIN %(what)s
        JOIN deliveries d ON d.record_id = %(record)s AND d.route_key = src.route_key
        JOIN timers t ON t.delivery_id = d.id
        WHERE d.state = 'retrying' AND coalesce(d.reason, '') <> 'unknown' AND t.state = 'fired'
          AND t.event_id < src.event_id
    ) open GROUP BY delivery_id
"""
_BY_LINK = sql.Statement(
    _OPEN % {"what": "records r ON coalesce(r.link_id, r.id) = src.link_id", "record": "r.id"},
    "event_id int, route_key text, link_id int",
)
_BY_MARK = sql.Statement(
    _OPEN % {"what": "mentions m ON m.kind = src.kind AND m.digest = src.digest", "record": "m.record_id"},
    "event_id int, route_key text, kind text, digest text",
)
# Whatever is claimed or settled at this moment is left alone: nobody waits for it here, so nobody waits in a circle.
_FREE = sql.Statement(
    """
    SELECT id FROM deliveries WHERE id IN (SELECT id FROM {src}) AND state IN ('pending', 'retrying') ORDER BY id {lock}
    """,
    "id int",
)
_PICK = sql.Statement("SELECT lane FROM lanes WHERE lane IN (SELECT lane FROM {src}) ORDER BY lane {lock}", "lane text")
# In order, so that two who write the same timers wait for each other and never in a circle.
_LOCK = sql.Statement(
    "SELECT delivery_id FROM timers WHERE delivery_id IN (SELECT id FROM {src}) ORDER BY delivery_id FOR UPDATE",
    "id int",
)
# Asked again: while the lock was waited for one may have fired, and what has gone out is not cancelled afterwards.
_CANCEL = sql.Statement(
    """
    UPDATE timers SET state = 'cancelled', reason = src.reason, cancelled_by = src.event_id, ended_at = NULL
    FROM {src} WHERE timers.delivery_id = src.id AND (timers.state = 'waiting' OR (timers.state = 'fired' AND EXISTS (
        SELECT 1 FROM deliveries d
        WHERE d.id = src.id AND d.state = 'retrying' AND coalesce(d.reason, '') <> 'unknown'
    )))
    RETURNING timers.delivery_id
    """,
    "id int, reason text, event_id int",
)
_END = sql.Statement(
    """
    UPDATE deliveries SET state = 'skipped', reason = src.reason, detail = src.detail, settled_at = {now}
    FROM {src} WHERE deliveries.id = src.id AND deliveries.state IN ('pending', 'retrying')
    RETURNING deliveries.id, deliveries.connection_key, deliveries.lane
    """,
    "id int, reason text, detail text",
)
_ENDED = sql.Statement("UPDATE timers SET ended_at = {now} FROM {src} WHERE timers.delivery_id = src.id", "id int")
_HELD = sql.Statement(
    """
    SELECT t.delivery_id, t.state, t.reason, t.event_id, t.record_id, t.spent, t.ended_at,
           coalesce(d.reason, '') AS said
    FROM {src} JOIN timers t ON t.delivery_id = src.id JOIN deliveries d ON d.id = t.delivery_id
    """,
    "id int",
)
_MOVE = sql.Statement(
    """
    UPDATE timers SET state = src.state, reason = src.reason,
        due_at = coalesce({now} + src.delay, CASE WHEN timers.due_at >= 1e11 THEN {now} ELSE timers.due_at END),
        cancelled_by = coalesce(src.event_id, timers.cancelled_by), spent = coalesce(src.spent, timers.spent),
        ended_at = CASE WHEN src.state = 'waiting' THEN NULL ELSE {now} END
    FROM {src} WHERE timers.delivery_id = src.id
    """,
    "id int, state text, delay float, reason text, event_id int, spent text",
)
_SPEND = sql.Statement(
    """
    INSERT INTO quotas (connection_key, subject, period, n) SELECT connection_key, subject, period, n FROM {src} {more}
    ON CONFLICT (connection_key, subject, period) DO UPDATE SET n = quotas.n + excluded.n
    RETURNING connection_key, subject, period, n
    """,
    "connection_key text, subject text, period text, n int",
)
_NOW_DUE = sql.Statement(
    """
    UPDATE deliveries SET next_at = {now} FROM {src}
    WHERE deliveries.id = src.id AND deliveries.state IN ('pending', 'retrying') AND deliveries.next_at < 1e11
    RETURNING deliveries.id, deliveries.lane
    """,
    "id int",
)
_WAKE = sql.Statement(
    """
    UPDATE lanes SET seq = lanes.seq + 1, next_at = CASE WHEN lanes.owner IS NULL THEN {now} ELSE lanes.next_at END
    FROM {src} WHERE lanes.lane = src.lane
    """,
    "lane text",
)
_TIDY = sql.Statement(
    """
    UPDATE timers SET state = 'cancelled', reason = coalesce(d.reason, d.state), ended_at = {now} FROM deliveries d
    WHERE timers.state = 'waiting' AND d.id = timers.delivery_id
      AND d.state NOT IN ('pending', 'in_flight', 'retrying', 'parked') AND coalesce(d.reason, '') <> 'earlier_step'
    """
)
_NEWS = sql.Statement(
    """
    SELECT src.delivery_id, max(e.id) AS event_id, r.connection_key, r.entity, r.canonical
    FROM {src} JOIN records r ON r.id = src.record_id
    JOIN events e ON e.record = r.record AND e.connection_key = r.connection_key AND e.id > src.event_id
    JOIN inbox i ON i.id = e.id
    WHERE r.canonical IS NOT NULL AND i.priority < 2 AND (e.entity IS NULL OR e.entity = r.entity)
      AND (i.state = 'planned' OR (i.state = 'skipped' AND i.reason IN ('no_route', 'filtered', 'hop_limit')))
    GROUP BY src.delivery_id, r.id, r.connection_key, r.entity, r.canonical
    """,
    "delivery_id int, event_id int, record_id int",
)
_DEPTH = sql.Statement("SELECT route_key, count(*) AS n FROM timers WHERE state = 'waiting' GROUP BY route_key")
_OLD_QUOTAS = sql.Statement("DELETE FROM quotas WHERE period < {1}")


@dataclass(frozen=True, slots=True)
class Held:
    """A timer as it is when its delivery was claimed. ``said`` is the delivery's own reason so far."""

    id: int
    state: str
    reason: str | None
    event_id: int
    record_id: int
    spent: str | None
    ended_at: float | None
    said: str


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a timer; ``delay`` (seconds from now) and ``spent`` only where they change."""

    id: int
    state: str
    delay: float | None = None
    reason: str | None = None
    event_id: int | None = None
    spent: str | None = None


Spend = tuple[str, str, str]
"""(connection key, digest of the recipient, period)."""


async def arm(connection: AsyncConnection, owed: Iterable[tuple[int, str, int]]) -> None:
    """Gives deliveries (event id, route, position) that were just planned their timers."""
    await _ARM.run(connection, sorted(set(owed)))


async def waiting_for(
    connection: AsyncConnection,
    links: Iterable[tuple[int, str, int]],
    marks: Iterable[tuple[int, str, str, str]],
) -> dict[int, int]:
    """Deliveries that wait and are about one of these links or people -> the event that came later.

    ``links`` are (event id, route, link id), ``marks`` (event id, route, kind, digest).
    """
    found: dict[int, int] = {}
    rows = [*await _BY_LINK.run(connection, sorted(set(links))), *await _BY_MARK.run(connection, sorted(set(marks)))]
    for row in rows:
        found[row.delivery_id] = min(row.event_id, found.get(row.delivery_id, row.event_id))
    return found


async def cancel(connection: AsyncConnection, causes: Iterable[tuple[int, int | None]], reason: str) -> dict[int, str]:
    """Cancels timers (delivery id, event id or None); returns the deliveries ended now, with their targets.

    A delivery that is under way is not in the answer; if it was not sent yet it ends when its claim is looked at.
    """
    wanted = dict(causes)
    await _lock(connection, wanted)
    cancelled = {row.delivery_id for row in await _CANCEL.run(connection, [(i, reason, e) for i, e in wanted.items()])}
    free = [row.id for row in await _FREE.run(connection, [(i,) for i in sorted(cancelled)])]
    detail = json.dumps(WORDS[reason], ensure_ascii=False)
    ended = await _END.run(connection, [(i, reason, detail) for i in free])
    await _ENDED.run(connection, [(row.id,) for row in ended])
    await wake(connection, {row.lane for row in ended})
    return {row.id: row.connection_key for row in ended}


async def _lock(connection: AsyncConnection, delivery_ids: Iterable[int]) -> None:
    if connection.dialect.name == "postgresql":  # SQLite has one writer
        await _LOCK.run(connection, [(i,) for i in sorted(delivery_ids)])


async def wake(connection: AsyncConnection, lanes: Iterable[str]) -> None:
    """Lets what waited behind go on; a lane that is being worked on sees it by itself."""
    free = await _PICK.run(connection, [(name,) for name in sorted(set(lanes))])
    await _WAKE.run(connection, [(row.lane,) for row in free])


async def held(connection: AsyncConnection, delivery_ids: Iterable[int]) -> dict[int, Held]:
    """The timers of claimed deliveries, locked until this transaction ends."""
    ids = sorted(set(delivery_ids))
    await _lock(connection, ids)
    rows = await _HELD.run(connection, [(i,) for i in ids])
    return {row.delivery_id: Held(*row) for row in rows}


async def news(connection: AsyncConnection, asked: Iterable[tuple[int, int, int]]) -> Sequence[Any]:
    """Of (delivery id, event id, record row id) those records that said something new after that event.

    Rows of (delivery_id, event_id, connection_key, entity, canonical).
    """
    return await _NEWS.run(connection, sorted(set(asked)))


async def move(connection: AsyncConnection, moves: Sequence[Move]) -> None:
    """Writes what became of timers."""
    ordered = sorted(moves, key=lambda one: one.id)
    await _MOVE.run(connection, [(m.id, m.state, m.delay, m.reason, m.event_id, m.spent) for m in ordered])


async def spend(connection: AsyncConnection, spends: Iterable[Spend], n: int = 1) -> dict[Spend, int]:
    """Counts ``n`` more for each (0 locks, -1 gives back); returns the counts.

    They are locked in order until the transaction ends: a transaction that writes several locks all of them first.
    """
    rows = await _SPEND.run(connection, [(*one, n) for one in sorted(set(spends))])
    return {(row.connection_key, row.subject, row.period): int(row.n) for row in rows}


async def fire(connection: AsyncConnection, delivery_id: int) -> bool:
    """Makes a waiting delivery due at once, whatever the hour; False when it waits no more, or for an earlier step."""
    stands = await held(connection, [delivery_id])
    if delivery_id not in stands or stands[delivery_id].state != "waiting":
        return False
    rows = await _NOW_DUE.run(connection, [(delivery_id,)])
    if not rows:
        return False
    await move(connection, [Move(delivery_id, "waiting", 0.0, BY_PERSON)])
    await wake(connection, {row.lane for row in rows})
    return True


async def tidy(connection: AsyncConnection, day: str) -> None:
    """Ends timers whose deliveries ended otherwise, and forgets quotas of days before ``day`` (ISO date)."""
    await _TIDY.run(connection)
    await _OLD_QUOTAS.run(connection, (), day)


async def depth(connection: AsyncConnection) -> dict[str, int]:
    """Route -> timers that wait."""
    return {row.route_key: int(row.n) for row in await _DEPTH.run(connection)}


# --- for people ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """One timer. ``source_key``, ``entity``, ``record`` and ``number`` are of what it is about."""

    delivery_id: int
    event_id: int
    route_key: str
    connection_key: str
    operation: str
    state: str
    delivery_state: str
    reason: str | None
    cancelled_by: int | None
    due_at: float
    """While it waits: when its delivery is due; beyond ``lane.BLOCKED`` when earlier steps come first."""
    created_at: float
    ended_at: float | None
    link_id: int
    source_key: str
    entity: str
    record: str
    number: str | None


def _select() -> Any:
    due = case((T.c.state == "waiting", D.c.next_at), else_=T.c.due_at)
    link = func.coalesce(R.c.link_id, R.c.id)
    return (
        select(
            T.c.delivery_id, T.c.event_id, T.c.route_key, T.c.connection_key, D.c.operation, T.c.state, D.c.state,
            T.c.reason, T.c.cancelled_by, due, T.c.created_at, T.c.ended_at, link, R.c.connection_key,
            R.c.entity, R.c.record, R.c.number,
        )
        .select_from(T)
        .join(D, D.c.id == T.c.delivery_id)
        .join(R, R.c.id == T.c.record_id)
    )  # fmt: skip


async def search(
    connection: AsyncConnection,
    *,
    limit: int,
    before: int | None = None,
    state: str | None = None,
    route_key: str | None = None,
    connection_key: str | None = None,
    record_ids: Iterable[int] | None = None,
) -> list[Found]:
    """Timers, the newest first, with delivery ids below ``before``."""
    clauses: list[ColumnElement[bool]] = []
    for column, value in ((T.c.state, state), (T.c.route_key, route_key), (T.c.connection_key, connection_key)):
        if value is not None:
            clauses.append(column == value)
    if before is not None:
        clauses.append(T.c.delivery_id < before)
    if record_ids is not None:
        clauses.append(T.c.record_id.in_(sorted(set(record_ids))))
    query = _select().where(*clauses).order_by(T.c.delivery_id.desc()).limit(limit)
    return [Found(*row) for row in await connection.execute(query)]


async def get(connection: AsyncConnection, delivery_id: int) -> Found | None:
    row = (await connection.execute(_select().where(T.c.delivery_id == delivery_id))).first()
    return None if row is None else Found(*row)

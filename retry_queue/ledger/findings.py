"""Findings: what a reconciliation found different, and what became of each.

open -> repairing -> repaired | failed; open | failed -> ignored. A finding that is ``repairing`` without an event
waits to be begun; with one it follows that event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, upkeep

F = upkeep.findings

KINDS = ("missing", "extra", "different")
STATES = ("open", "repairing", "repaired", "ignored", "failed")

_ADD = sql.Statement(
    """
    INSERT INTO findings (reconciliation_id, kind, number, left_record, right_record, link_id, fields, state, detail,
                          created_at)
    SELECT CAST({1} AS BIGINT), kind, number, left_record, right_record, link_id, fields, 'open', detail, {now}
    FROM {src}
    """,
    "kind text, number text, left_record text, right_record text, link_id int, fields text, detail text",
)
_ASK = sql.Statement(
    """
    UPDATE findings SET state = 'repairing', event_id = NULL, asked_at = {now}, next_at = {now}, ended_at = NULL,
        detail = NULL
    FROM {src} WHERE findings.id = src.id AND findings.state IN ('open', 'failed') RETURNING findings.id
    """,
    "id int",
)
_IGNORE = sql.Statement(
    """
    UPDATE findings SET state = 'ignored', ended_at = {now}, detail = src.detail
    FROM {src} WHERE findings.id = src.id AND findings.state IN ('open', 'failed') RETURNING findings.id
    """,
    "id int, detail text",
)
_CLAIM = sql.Statement(
    """
    UPDATE findings SET next_at = {now} + {2}
    WHERE id IN (SELECT id FROM findings WHERE state = 'repairing' AND event_id IS NULL AND next_at <= {now}
                 AND (CAST({3} AS BIGINT) IS NULL OR reconciliation_id = {3}) ORDER BY next_at, id LIMIT {1} {lock})
    RETURNING id, reconciliation_id, kind, number, left_record, right_record, link_id, fields, state, event_id,
        detail, created_at, ended_at, asked_at
    """
)
_BEGUN = sql.Statement(
    "UPDATE findings SET event_id = src.event_id FROM {src}"
    " WHERE findings.id = src.id AND findings.state = 'repairing' AND findings.asked_at = src.asked_at",
    "id int, event_id int, asked_at float",
)
_LATER = sql.Statement("UPDATE findings SET next_at = {now} + {2}, detail = {3} WHERE id = {1} AND state = 'repairing'")
_END = sql.Statement(
    """
    UPDATE findings SET state = src.state, detail = src.detail, ended_at = {now}
    FROM {src} WHERE findings.id = src.id AND findings.state = 'repairing' RETURNING findings.id
    """,
    "id int, state text, detail text",
)
_FOLLOW = sql.Statement(
    """
    SELECT f.id, f.event_id, i.state AS event_state, i.reason AS event_reason, i.detail AS event_detail,
        (SELECT count(*) FROM deliveries d WHERE d.event_id = f.event_id
            AND d.state IN ('pending', 'in_flight', 'retrying')) AS waiting,
        (SELECT min(d.id) FROM deliveries d WHERE d.event_id = f.event_id
            AND d.state IN ('parked', 'dead', 'skipped')) AS stuck
    FROM findings f JOIN inbox i ON i.id = f.event_id
    WHERE f.state = 'repairing' AND i.state <> 'received' ORDER BY f.id LIMIT {1}
    """
)
_STUCK = sql.Statement(
    "SELECT d.id, d.state, d.reason, d.detail FROM {src} JOIN deliveries d ON d.id = src.id", "id int"
)
_UNDER_WAY = sql.Statement(
    """
    SELECT DISTINCT src.link_id FROM {src} JOIN records r ON coalesce(r.link_id, r.id) = src.link_id
    JOIN deliveries d ON d.record_id = r.id
    WHERE d.state IN ('pending', 'in_flight', 'retrying')
    """,
    "link_id int",
)
# The connection is compared as an expression: an index on it would be read from end to end for every record.
_UNPLANNED = sql.Statement(
    """
    SELECT DISTINCT src.connection_key, src.record FROM {src} CROSS JOIN events e JOIN inbox i ON i.id = e.id
    WHERE e.record = src.record AND e.connection_key || '' = src.connection_key AND i.state = 'received'
    """,
    "connection_key text, record text",
)


@dataclass(frozen=True, slots=True)
class New:
    """A difference. ``fields`` is [{path, left, right}]."""

    kind: str
    number: str | None
    left_record: str | None
    right_record: str | None
    link_id: int | None
    fields: Sequence[Mapping[str, Any]] = ()
    detail: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A stored difference; ``fields`` and ``detail`` parsed."""

    id: int
    reconciliation_id: int
    kind: str
    number: str | None
    left_record: str | None
    right_record: str | None
    link_id: int | None
    fields: list[dict[str, Any]]
    state: str
    event_id: int | None
    detail: dict[str, str] | None
    created_at: float
    ended_at: float | None
    asked_at: float | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which findings of one reconciliation."""

    reconciliation_id: int
    kind: str | None = None
    state: str | None = None
    ids: tuple[int, ...] | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = [F.c.reconciliation_id == self.reconciliation_id]
        if self.kind is not None:
            found.append(F.c.kind == self.kind)
        if self.state is not None:
            found.append(F.c.state == self.state)
        if self.ids is not None:
            found.append(F.c.id.in_(self.ids))
        return found


_COLUMNS = tuple(F.c[name] for name in Found.__slots__)


def _found(row: Any) -> Found:
    values = list(row)
    values[7] = json.loads(values[7]) if values[7] else []
    values[10] = json.loads(values[10]) if values[10] else None
    return Found(*values)


def _text(value: Any) -> str | None:
    return json.dumps(value, ensure_ascii=False, default=str) if value else None


async def add(connection: AsyncConnection, reconciliation: int, found: Sequence[New]) -> None:
    """Writes differences, in the transaction of the progress that they belong to."""
    rows = [
        (one.kind, one.number, one.left_record, one.right_record, one.link_id, _text(one.fields), _text(one.detail))
        for one in found
    ]
    await _ADD.run(connection, rows, reconciliation)


async def search(connection: AsyncConnection, wanted: Filter, *, limit: int, after: int = 0) -> list[Found]:
    """Findings in the order they were made, with ids above ``after``."""
    query = select(*_COLUMNS).where(*wanted.clauses(), F.c.id > after).order_by(F.c.id).limit(limit)
    return [_found(row) for row in await connection.execute(query)]


async def counts(connection: AsyncConnection, numbers: Iterable[int]) -> dict[int, dict[str, dict[str, int]]]:
    """Reconciliation -> kind -> state -> how many."""
    query = (
        select(F.c.reconciliation_id, F.c.kind, F.c.state, func.count().label("n"))
        .where(F.c.reconciliation_id.in_(list(numbers)))
        .group_by(F.c.reconciliation_id, F.c.kind, F.c.state)
    )
    found: dict[int, dict[str, dict[str, int]]] = {}
    for row in await connection.execute(query):
        found.setdefault(row.reconciliation_id, {}).setdefault(row.kind, {})[row.state] = int(row.n)
    return found


async def _ids(connection: AsyncConnection, wanted: Filter) -> list[int]:
    query = select(F.c.id).where(*wanted.clauses(), F.c.state.in_(("open", "failed"))).order_by(F.c.id)
    return list((await connection.execute(query)).scalars())


async def ask(connection: AsyncConnection, wanted: Filter) -> int:
    """Asks for the repair of everything that fits and is open or failed; returns how many."""
    return len(await _ASK.run(connection, [(i,) for i in await _ids(connection, wanted)]))


async def ignore(connection: AsyncConnection, wanted: Filter, words: Mapping[str, str]) -> int:
    """Ends what fits and is open or failed without repair; returns how many."""
    rows = [(i, _text(words)) for i in await _ids(connection, wanted)]
    return len(await _IGNORE.run(connection, rows))


async def repairing(connection: AsyncConnection, reconciliation: int, *, begun: bool = True) -> int:
    """How many repairs of a reconciliation are not ended; without ``begun`` only those that have no event yet."""
    query = select(func.count()).where(F.c.reconciliation_id == reconciliation, F.c.state == "repairing")
    if not begun:
        query = query.where(F.c.event_id.is_(None))
    return int((await connection.execute(query)).scalar_one())


async def claim(connection: AsyncConnection, limit: int, lease: float, only: int | None = None) -> list[Found]:
    """Leases findings (``only`` of this reconciliation) whose repair was asked for and not begun."""
    rows = await _CLAIM.run(connection, (), limit, lease, only)
    return sorted((_found(row) for row in rows), key=lambda one: one.id)


async def begun(connection: AsyncConnection, events: Sequence[tuple[int, int, float]]) -> None:
    """Notes the events that repair: (finding, event, when it was asked for)."""
    await _BEGUN.run(connection, sorted(events))


async def later(connection: AsyncConnection, number: int, delay: float, words: Mapping[str, str]) -> None:
    """Begins the repair again after ``delay`` seconds."""
    await _LATER.run(connection, (), number, delay, _text(words))


async def end(connection: AsyncConnection, ended: Sequence[tuple[int, str, Mapping[str, str] | None]]) -> int:
    """Ends repairs: (finding, repaired or failed, words); returns how many were still open."""
    return len(await _END.run(connection, [(i, state, _text(words)) for i, state, words in sorted(ended, key=_id)]))


def _id(one: tuple[int, str, Any]) -> int:
    return one[0]


async def follow(connection: AsyncConnection, limit: int) -> list[tuple[int, str, dict[str, str] | None]]:
    """Repairs whose event has come to its end: (finding, repaired or failed, why)."""
    rows = [row for row in await _FOLLOW.run(connection, (), limit) if not row.waiting]
    stuck = {row.id: row for row in await _STUCK.run(connection, [(row.stuck,) for row in rows if row.stuck])}
    ended: list[tuple[int, str, dict[str, str] | None]] = []
    for row in rows:
        if row.event_state != "planned":
            ended.append((row.id, "failed", _words(row.event_state, row.event_reason, row.event_detail)))
        elif row.stuck is not None:
            last = stuck[row.stuck]
            ended.append((row.id, "failed", _words(last.state, last.reason, last.detail)))
        else:
            ended.append((row.id, "repaired", None))
    return ended


def _words(state: str, reason: str | None, detail: str | None) -> dict[str, str]:
    said = json.loads(detail) if detail else {}
    code = f"{state}:{reason}" if reason else state
    return {"code": code, "zh": said.get("zh", code), "en": said.get("en", code)}


async def under_way(connection: AsyncConnection, links: Iterable[int]) -> set[int]:
    """Links about which something is still to be delivered."""
    return {row.link_id for row in await _UNDER_WAY.run(connection, [(i,) for i in sorted(set(links))])}


async def unplanned(connection: AsyncConnection, refs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """(connection, record) with an event that is not planned yet."""
    rows = await _UNPLANNED.run(connection, sorted(set(refs)))
    return {(row.connection_key, row.record) for row in rows}

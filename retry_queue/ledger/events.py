"""Looking events up: by what people have in hand (an order number, a record's id), and one event's whole story."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import records, tables

E, B, C, R = tables.events, tables.inbox, tables.canonicals, tables.records
H = tables.link_history
TIME_SLACK = 120.0
"""Seconds by which ids and times of arrival may disagree: parallel commits number rows before they end."""


@dataclass(frozen=True, slots=True)
class Found:
    """One event in a list. Times are Unix seconds; ``detail`` is {zh, en, …} or None."""

    id: int
    connection_key: str
    source: str
    message: str
    entity: str | None
    record: str | None
    number: str | None
    state: str
    reason: str | None
    detail: dict[str, Any] | None
    occurred_at: float | None
    received_at: float
    trace: str
    hop: int


@dataclass(frozen=True, slots=True)
class Story(Found):
    """One event with its bodies: ``payload`` as it came, ``canonical`` as it was mapped (JSON texts).

    ``native``: the record as it was read, where the payload only named it.
    """

    failures: int
    payload: str
    canonical: str | None
    mapping: str | None
    native: str | None


def _select() -> Select[Any]:
    here = and_(R.c.connection_key == E.c.connection_key, R.c.entity == E.c.entity, R.c.record == E.c.record)
    return (
        select(
            E.c.id, E.c.connection_key, E.c.source, E.c.message, E.c.entity, E.c.record, R.c.number,
            B.c.state, B.c.reason, B.c.detail, E.c.occurred_at, E.c.received_at, E.c.trace, E.c.hop,
        )
        .select_from(E)
        .join(B, B.c.id == E.c.id)
        .outerjoin(R, here)
    )  # fmt: skip


def _found(row: Any) -> Found:
    values = list(row)
    values[9] = json.loads(values[9]) if values[9] else None
    return Found(*values)


async def refs(
    connection: AsyncConnection, text: str, connection_keys: Iterable[str], entities: Iterable[str]
) -> list[records.Known]:
    """Every record that ``text`` (a number or an id) names, and all that is linked with them."""
    kinds = list(entities)
    probes = [(key, entity, text) for key in connection_keys for entity in kinds]
    links = {one.link_id for one in (await records.find(connection, probes)).values()}
    rows = await connection.execute(select(func.coalesce(R.c.link_id, R.c.id)).where(R.c.number == text).limit(200))
    links.update(rows.scalars())
    groups = await records.groups(connection, links)
    return [one for link in sorted(groups) for one in groups[link]]


async def search(
    connection: AsyncConnection,
    *,
    limit: int,
    before: int | None = None,
    text: str | None = None,
    named: Iterable[records.Known] = (),
    connection_key: str | None = None,
    entity: str | None = None,
    message: str | None = None,
    state: str | None = None,
    reason: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[Found]:
    """Events, the newest first, with ids below ``before``. ``named`` comes from ``refs(text)``."""
    query = _select().order_by(E.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(E.c.id < before)
    if text is not None:
        pairs = sorted({(one.connection_key, one.record) for one in named})[:500]
        known = [and_(E.c.record == record, E.c.connection_key == key) for key, record in pairs]
        query = query.where(or_(E.c.record == text, *known))
    for column, value in (
        (E.c.connection_key, connection_key),
        (E.c.entity, entity),
        (E.c.message, message),
        (B.c.state, state),
        (B.c.reason, reason),
    ):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(E.c.id >= await first_at(connection, since - TIME_SLACK), E.c.received_at >= since)
    if until is not None:
        last = await first_at(connection, until + TIME_SLACK)
        query = query.where(E.c.id <= last, E.c.received_at < until)
    return [_found(row) for row in await connection.execute(query)]


async def first_at(connection: AsyncConnection, at: float) -> int:
    """About the first id at a time: ids grow with time, so a few probes of the key replace an index on it."""
    low, high = (await connection.execute(select(func.min(E.c.id), func.max(E.c.id)))).one()
    if low is None:
        return 0
    below, above = int(low), int(high) + 1
    while below < above:
        middle = (below + above) // 2
        probe = select(E.c.id, E.c.received_at).where(E.c.id >= middle).order_by(E.c.id).limit(1)
        row = (await connection.execute(probe)).first()
        if row is None or row.received_at >= at:
            above = middle
        else:
            below = int(row.id) + 1
    return below


async def get(connection: AsyncConnection, event_id: int) -> Story | None:
    """One event with its payload and its canonical form."""
    found = await whole(connection, [event_id])
    return found[0] if found else None


async def whole(connection: AsyncConnection, event_ids: Iterable[int]) -> list[Story]:
    """Events with their payloads and canonical forms, in no order."""
    query = (
        _select()
        .add_columns(B.c.failures, E.c.payload, C.c.body, C.c.mapping, C.c.native)
        .outerjoin(C, C.c.event_id == E.c.id)
        .where(E.c.id.in_(list(event_ids)))
    )
    return [_story(row) for row in await connection.execute(query)]


def _story(row: Any) -> Story:
    found = _found(row[:14])
    more = {"failures": row[14], "payload": row[15], "canonical": row[16], "mapping": row[17], "native": row[18]}
    return Story(**{name: getattr(found, name) for name in Found.__slots__}, **more)


async def between(connection: AsyncConnection, since: float, until: float) -> tuple[int, int]:
    """Ids from which to which events of a time lie, others among them."""
    return await first_at(connection, since - TIME_SLACK), await first_at(connection, until + TIME_SLACK)


async def group_of(
    connection: AsyncConnection, connection_key: str, entity: str | None, record: str | None
) -> list[records.Known]:
    """The records linked with an event's own, itself included."""
    if entity is None or record is None:
        return []
    ref = (connection_key, entity, record)
    one = (await records.find(connection, [ref])).get(ref)
    if one is None:
        return []
    return (await records.groups(connection, [one.link_id])).get(one.link_id, [])


async def payloads(connection: AsyncConnection, event_ids: Iterable[int]) -> dict[int, str]:
    """Event id -> its message as it came (JSON text)."""
    rows = await connection.execute(select(E.c.id, E.c.payload).where(E.c.id.in_(sorted(set(event_ids)))))
    return {row.id: row.payload for row in rows}


@dataclass(frozen=True, slots=True)
class Joined:
    """One step in the history of a link."""

    record_id: int
    was: int
    became: int
    cause: str
    at: float


async def history(connection: AsyncConnection, record_ids: Iterable[int]) -> list[Joined]:
    """How these records came to be linked, oldest first."""
    columns = (H.c.record_id, H.c.was, H.c.became, H.c.cause, H.c.at)
    rows = await connection.execute(select(*columns).where(H.c.record_id.in_(list(record_ids))).order_by(H.c.id))
    return [Joined(*row) for row in rows]

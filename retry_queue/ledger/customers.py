"""Customers as one: everything the ledger knows that is about one person, whatever system it came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import deliveries, links, mentions, records, sql, tables

R, D = tables.records, tables.deliveries
PEOPLE = "customer"
MOST = 500
"""Records of one customer that are looked at, at most; the newest."""

# Hops from kind to kind along the index: there are a handful among millions of rows.
_KINDS = sql.Statement(
    """
    WITH RECURSIVE found(kind) AS (
        SELECT min(kind) FROM identities
        UNION ALL SELECT (SELECT min(i.kind) FROM identities i WHERE i.kind > found.kind) FROM found
        WHERE found.kind IS NOT NULL
    )
    SELECT kind FROM found WHERE kind IS NOT NULL
    """
)


async def kinds(connection: AsyncConnection) -> list[str]:
    """Every kind of identity that is known of anybody."""
    return [row.kind for row in await _KINDS.run(connection)]


async def named(connection: AsyncConnection, marks: Iterable[mentions.Mark], text: str) -> set[int]:
    """Links of the customers whom one of these marks, a record's id or a number names."""
    wanted = set(marks)
    rows = {one.id for one in (await records.by_identity(connection, wanted)).values()}
    rows |= {row for ids in (await mentions.by(connection, wanted)).values() for row in ids}
    query = select(R.c.id).where(R.c.entity == PEOPLE, or_(R.c.id.in_(sorted(rows)), R.c.number == text))
    found = set((await connection.execute(query)).scalars())
    return set((await links.current(connection, found)).values())


async def newest(connection: AsyncConnection, limit: int, before: int | None) -> list[int]:
    """Links of customers, the newest first, with names below ``before``."""
    query = select(R.c.id).where(R.c.entity == PEOPLE, or_(R.c.link_id.is_(None), R.c.link_id == R.c.id))
    if before is not None:
        query = query.where(R.c.id < before)
    return list((await connection.execute(query.order_by(R.c.id.desc()).limit(limit))).scalars())


async def mentioning(connection: AsyncConnection, marks: Iterable[mentions.Mark]) -> dict[int, list[records.Known]]:
    """What names one of these (orders of a buyer, shipments of an order), with all that is linked with it."""
    found = await mentions.by(connection, marks)
    ids = sorted({row for rows in found.values() for row in rows}, reverse=True)[:MOST]
    names = set((await links.current(connection, ids)).values())
    return await records.groups(connection, names)


async def owed(connection: AsyncConnection, record_ids: Iterable[int], limit: int) -> Sequence[deliveries.Found]:
    """Deliveries that come from these records, the newest first."""
    ids = sorted(set(record_ids))
    query = select(D.c.id).where(D.c.record_id.in_(ids)).order_by(D.c.id.desc()).limit(limit)
    numbers = list((await connection.execute(query)).scalars())
    return await deliveries.some(connection, numbers)

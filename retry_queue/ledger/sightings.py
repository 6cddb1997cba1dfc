"""Sightings: what a reconciliation has read of either side, kept in the ledger until it is compared.

So a comparison of any size needs the memory of a page only, and goes on after a restart where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

LEFT, RIGHT = 0, 1


@dataclass(frozen=True, slots=True)
class Sighting:
    """One record as one side listed it. ``body`` is JSON text of what is compared, None where it cannot be read.

    ``timely``: changed within the window; ``holds``: the condition holds. Others are partners only.
    """

    record: str
    link_id: int | None
    number: str | None
    named: str | None
    at: float | None
    timely: bool
    holds: bool
    body: str | None


_COLUMNS = "s.record, s.link_id, s.number, s.named, s.at, s.inside, s.body"
_PUT = sql.Statement(
    """
    INSERT INTO sightings (reconciliation_id, side, record, link_id, number, named, at, inside, body)
    SELECT CAST({1} AS BIGINT), CAST({2} AS SMALLINT), record, link_id, number, named, at, inside, body
    FROM {src} {more}
    ON CONFLICT (reconciliation_id, side, record) DO UPDATE SET link_id = excluded.link_id, number = excluded.number,
        named = excluded.named, at = excluded.at, inside = excluded.inside, body = excluded.body
    """,
    "record text, link_id int, number text, named text, at float, inside small, body text",
)
_CHUNK = sql.Statement(
    f"""
    SELECT {_COLUMNS} FROM sightings s
    WHERE reconciliation_id = {{1}} AND side = {{2}} AND record > {{3}} AND (paired = 0 OR {{5}} = 1)
    ORDER BY record LIMIT {{4}}
    """
)
# Crossed, so that SQLite begins with the batch and looks each up, instead of reading all that was seen.
_BY = {
    name: sql.Statement(
        f"""
        SELECT src.record AS mine, {_COLUMNS} FROM {{src}} CROSS JOIN sightings s
        WHERE s.reconciliation_id = CAST({{1}} AS BIGINT) AND s.side = {{2}} AND s.{name} = src.value
          AND (s.paired = 0 OR {{3}} = 1)
        ORDER BY s.record
        """,
        f"record text, value {kind}",
    )
    for name, kind in (("link_id", "int"), ("number", "text"), ("named", "text"))
}
_PAIR = sql.Statement(
    """
    UPDATE sightings SET paired = 1 WHERE reconciliation_id = CAST({1} AS BIGINT) AND side = {2}
        AND record IN (SELECT record FROM {src})
    """,
    "record text",
)
_COUNT = sql.Statement("SELECT side, count(*) AS n FROM sightings WHERE reconciliation_id = {1} GROUP BY side")
_DROP = sql.Statement(
    """
    DELETE FROM sightings WHERE reconciliation_id = {1} AND record IN
        (SELECT record FROM sightings WHERE reconciliation_id = {1} LIMIT {2})
    RETURNING side
    """
)


def _sighting(row: Any) -> Sighting:
    record, link_id, number, named, at, inside, body = row
    return Sighting(record, link_id, number, named, at, bool(inside & 1), bool(inside & 2), body)


async def put(connection: AsyncConnection, reconciliation: int, side: int, seen: Sequence[Sighting]) -> None:
    """Keeps what was read; of one record the later reading stays."""
    newest = {one.record: one for one in seen}
    rows = [
        (one.record, one.link_id, one.number, one.named, one.at, one.timely + 2 * one.holds, one.body)
        for _, one in sorted(newest.items())
    ]
    await _PUT.run(connection, rows, reconciliation, side)


async def chunk(
    connection: AsyncConnection, reconciliation: int, side: int, after: str, limit: int, *, alone: bool = False
) -> list[Sighting]:
    """The next records of a side in the order of their ids; ``alone``: only those without a partner."""
    rows = await _CHUNK.run(connection, (), reconciliation, side, after, limit, int(not alone))
    return [_sighting(row) for row in rows]


async def partners(
    connection: AsyncConnection, reconciliation: int, side: int, seen: Sequence[Sighting]
) -> dict[str, list[Sighting]]:
    """Record -> its counterparts on ``side``: by link, else by number, else by what names it in any system.

    A counterpart found by number or name is one nobody else has yet, and goes to one record only.
    """
    found: dict[str, list[Sighting]] = {}
    rows = [(one.record, one.link_id) for one in seen if one.link_id is not None]
    for row in await _BY["link_id"].run(connection, rows, reconciliation, side, 1):
        found.setdefault(row[0], []).append(_sighting(row[1:]))
    taken = {one.record for many in found.values() for one in many}
    for name in ("number", "named"):
        left = [(one.record, getattr(one, name)) for one in seen if one.record not in found and getattr(one, name)]
        for row in await _BY[name].run(connection, left, reconciliation, side, 0):
            other = _sighting(row[1:])
            if row[0] not in found and other.record not in taken:
                found[row[0]] = [other]
                taken.add(other.record)
    return found


async def linked(
    connection: AsyncConnection, reconciliation: int, side: int, seen: Sequence[Sighting]
) -> dict[str, list[Sighting]]:
    """Record -> everything seen on its own ``side`` with its link, itself included."""
    found: dict[str, list[Sighting]] = {}
    rows = [(one.record, one.link_id) for one in seen if one.link_id is not None]
    for row in await _BY["link_id"].run(connection, rows, reconciliation, side, 1):
        found.setdefault(row[0], []).append(_sighting(row[1:]))
    return found


async def pair(connection: AsyncConnection, reconciliation: int, side: int, records: Sequence[str]) -> None:
    """Notes that these have their counterpart."""
    await _PAIR.run(connection, [(record,) for record in sorted(set(records))], reconciliation, side)


async def count(connection: AsyncConnection, reconciliation: int) -> tuple[int, int]:
    """How many records were seen left and right."""
    found = {row.side: int(row.n) for row in await _COUNT.run(connection, (), reconciliation)}
    return found.get(LEFT, 0), found.get(RIGHT, 0)


async def drop(connection: AsyncConnection, reconciliation: int, limit: int = 5000) -> int:
    """Forgets some of what was read; returns how many rows went, 0 when none are left."""
    return len(await _DROP.run(connection, (), reconciliation, limit))

"""Merged records and conflicts: per link what counts, and where systems disagreed.

``hold`` locks: two planners that judge claims about one thing take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, upkeep

C = upkeep.conflicts
OPEN, SETTLED = "open", "settled"

_HOLD = sql.Statement(
    """
    INSERT INTO merged (link_id, entity, fields, updated_at) SELECT link_id, entity, '{}', {now} FROM {src} {more}
    ON CONFLICT (link_id) DO UPDATE SET entity = merged.entity
    RETURNING link_id, fields
    """,
    "link_id int, entity text",
)
_FIND = sql.Statement(
    "SELECT merged.link_id, fields FROM {src} JOIN merged ON merged.link_id = src.link_id", "link_id int"
)
_SETTLED = sql.Statement(
    "SELECT merged.link_id, fields FROM merged JOIN {src} ON merged.link_id = src.link_id"
    " ORDER BY merged.link_id FOR SHARE OF merged",
    "link_id int",
)
_KEEP = sql.Statement(
    "UPDATE merged SET fields = src.fields, updated_at = {now} FROM {src} WHERE merged.link_id = src.link_id",
    "link_id int, fields text",
)
_DROP = sql.Statement("DELETE FROM merged WHERE link_id IN (SELECT link_id FROM {src})", "link_id int")
_RELINK = sql.Statement(
    "UPDATE conflicts SET link_id = src.became FROM {src} WHERE conflicts.link_id = src.was", "was int, became int"
)
_NOTE = sql.Statement(
    """
    INSERT INTO conflicts (link_id, entity, field, policy, state, sides, winner, reason, event_id, created_at,
                           settled_at, settled_by)
    SELECT link_id, entity, field, policy, state, sides, winner, reason, event_id, {now},
           CASE WHEN state = 'open' THEN NULL ELSE {now} END, settled_by
    FROM {src}
    """,
    "link_id int, entity text, field text, policy text, state text, sides text, winner text, reason text,"
    " event_id int, settled_by text",
)
_RESAY = sql.Statement(
    """
    UPDATE conflicts SET sides = src.sides, event_id = src.event_id FROM {src}
    WHERE conflicts.link_id = src.link_id AND conflicts.field = src.field AND conflicts.state = 'open'
    RETURNING conflicts.link_id, conflicts.field
    """,
    "link_id int, field text, sides text, event_id int",
)
_CLOSE = sql.Statement(
    """
    UPDATE conflicts SET state = 'settled', winner = src.winner, settled_at = {now}, settled_by = src.settled_by,
        reason = src.reason
    FROM {src} WHERE conflicts.link_id = src.link_id AND conflicts.field = src.field AND conflicts.state = 'open'
    RETURNING conflicts.id
    """,
    "link_id int, field text, winner text, settled_by text, reason text",
)


@dataclass(frozen=True, slots=True)
class Note:
    """A conflict to be written down. ``winner`` None leaves it open for a person; ``sides`` are two merged fields."""

    link_id: int
    entity: str
    field: str
    policy: str
    sides: Sequence[Mapping[str, Any]]
    winner: str | None
    event_id: int


async def hold(connection: AsyncConnection, links: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """Link id -> merged fields, locked until the transaction ends; made where there was none."""
    rows = await _HOLD.run(connection, sorted(links.items()))
    return {row.link_id: orjson.loads(row.fields) for row in rows}


async def find(connection: AsyncConnection, links: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Link id -> merged fields, for reading."""
    rows = await _FIND.run(connection, [(link,) for link in sorted(set(links))])
    return {row.link_id: orjson.loads(row.fields) for row in rows}


async def settled(connection: AsyncConnection, links: Iterable[int]) -> dict[int, dict[str, Any]]:
    """As ``find``, after whoever is judging claims right now: what is written next must not miss them."""
    statement = _SETTLED if connection.dialect.name == "postgresql" else _FIND  # SQLite has one writer
    rows = await statement.run(connection, [(link,) for link in sorted(set(links))])
    return {row.link_id: orjson.loads(row.fields) for row in rows}


async def keep(connection: AsyncConnection, fields: Mapping[int, Mapping[str, Any]]) -> None:
    """Stores what counts now; only for links that are held."""
    await _KEEP.run(connection, [(link, orjson.dumps(one, default=str).decode()) for link, one in fields.items()])


async def relink(connection: AsyncConnection, pairs: Sequence[tuple[int, int]]) -> None:
    """Follows a merge of links: the merged record of ``was`` goes, its conflicts move to ``became``."""
    await _DROP.run(connection, [(was,) for was, _ in pairs])
    await _RELINK.run(connection, list(pairs))


async def forget(connection: AsyncConnection, links: Iterable[int]) -> None:
    """Drops merged records of links that were parted: they hold what the other side said. Events refill them."""
    await _DROP.run(connection, [(link,) for link in sorted(set(links))])


async def note(connection: AsyncConnection, notes: Sequence[Note]) -> None:
    """Writes conflicts down; an open one about the same field is brought up to date instead of a second one."""
    rows = {(one.link_id, one.field): one for one in notes if one.winner is None}
    again = await _RESAY.run(
        connection, [(one.link_id, one.field, _json(one.sides), one.event_id) for one in rows.values()]
    )
    known = {(row.link_id, row.field) for row in again}
    fresh = [one for one in notes if one.winner is not None] + [one for key, one in rows.items() if key not in known]
    await _NOTE.run(
        connection,
        [
            (one.link_id, one.entity, one.field, one.policy, OPEN if one.winner is None else SETTLED,
             _json(one.sides), one.winner, None, one.event_id, None if one.winner is None else one.policy)
            for one in fresh
        ],
    )  # fmt: skip


async def close(
    connection: AsyncConnection, settled: Sequence[tuple[int, str, str | None, str, Mapping[str, str] | None]]
) -> int:
    """Ends open conflicts: (link, field, winner, by whom, words); returns how many were open."""
    rows = [(link, path, winner, by, _json(said) if said else None) for link, path, winner, by, said in settled]
    return len(await _CLOSE.run(connection, rows))


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


async def conflict(connection: AsyncConnection, number: int) -> Any:
    """One conflict's row, or None."""
    return (await connection.execute(select(C).where(C.c.id == number))).first()


async def conflicts(
    connection: AsyncConnection, state: str | None, entity: str | None, link: int | None, before: int | None, limit: int
) -> Sequence[Any]:
    """Conflicts, newest first, older than row ``before``."""
    query = select(C).order_by(C.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(C.c.state == state)
    if entity is not None:
        query = query.where(C.c.entity == entity)
    if link is not None:
        query = query.where(C.c.link_id == link)
    if before is not None:
        query = query.where(C.c.id < before)
    return (await connection.execute(query)).all()

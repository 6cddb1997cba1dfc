"""Listed: what a poll of a whole listing found there, so that what is missing the next time can be told of.

A row per record that had something in it. Put aside with everything else of a connection while a simulator stands in
for its system: neither may be missed in the listing of the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, upkeep

L = upkeep.listed
ASIDE = "~"
"""How the source of what is put aside begins; no source is called so."""
AT_ONCE = 500

_PUT = sql.Statement(
    """
    INSERT INTO listed (connection_key, source, name, body)
    SELECT CAST({1} AS TEXT), CAST({2} AS TEXT), src.name, src.body FROM {src} {more}
    ON CONFLICT (connection_key, source, name) DO NOTHING
    """,
    "name text, body text",
)
_DROP = sql.Statement(
    "DELETE FROM listed WHERE connection_key = {1} AND source = {2} AND name IN (SELECT name FROM {src})", "name text"
)
_ROWS = sql.Statement(
    """
    SELECT listed.body FROM {src} JOIN listed
    ON listed.connection_key = {1} AND listed.source = {2} AND listed.name = src.name ORDER BY listed.name
    """,
    "name text",
)


async def put(connection: AsyncConnection, key: str, source: str, rows: Sequence[tuple[str, str]]) -> None:
    """Notes (name, row with nothing in it); what is noted stays as it is."""
    await _PUT.run(connection, sorted(dict(rows).items()), key, source)


async def drop(connection: AsyncConnection, key: str, source: str, names: Iterable[str]) -> None:
    """Forgets these."""
    await _DROP.run(connection, [(name,) for name in sorted(set(names))], key, source)


async def names(connection: AsyncConnection, key: str, source: str, after: str) -> list[str]:
    """The next ``AT_ONCE`` names in their order."""
    wanted = (L.c.connection_key == key) & (L.c.source == source) & (L.c.name > after)
    return list((await connection.execute(select(L.c.name).where(wanted).order_by(L.c.name).limit(AT_ONCE))).scalars())


async def rows(connection: AsyncConnection, key: str, source: str, wanted: Iterable[str]) -> list[str]:
    """The rows of these names that are still there, in the order of their names."""
    return [one.body for one in await _ROWS.run(connection, [(name,) for name in wanted], key, source)]


async def count(connection: AsyncConnection, key: str, source: str) -> int:
    """How many records had something in them."""
    query = select(func.count()).where(L.c.connection_key == key, L.c.source == source)
    return int((await connection.execute(query)).scalar_one())


async def forget(connection: AsyncConnection, key: str, source: str) -> None:
    """As if this had never been listed: something else is asked for from now on."""
    await connection.execute(delete(L).where(L.c.connection_key == key, L.c.source == source))


async def aside(connection: AsyncConnection, key: str) -> None:
    """Puts aside what a connection listed."""
    here = (L.c.connection_key == key) & ~L.c.source.startswith(ASIDE)
    await connection.execute(update(L).where(here).values(source=ASIDE + L.c.source))


async def back(connection: AsyncConnection, key: str) -> None:
    """What was put aside is there again, and nothing else."""
    await connection.execute(delete(L).where(L.c.connection_key == key, ~L.c.source.startswith(ASIDE)))
    was = func.substr(L.c.source, 1 + len(ASIDE))
    await connection.execute(update(L).where(L.c.connection_key == key).values(source=was))

"""Marks: when something was last alive, kept where a death cannot take it away."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, tables

INGRESS = "mark.ingress"
"""Some process can take hooks in."""

S = tables.settings
_BEAT = sql.Statement(
    """
    INSERT INTO settings (key, value, version, updated_at) VALUES ({1}, 'null', 1, {now})
    ON CONFLICT (key) DO UPDATE SET updated_at = excluded.updated_at
    RETURNING updated_at
    """
)


async def beat(connection: AsyncConnection, name: str) -> tuple[float | None, float]:
    """Marks now, by the database's clock; returns the mark before (None: the first) and this one.

    The row is locked first, so of several processes that come back at once only one sees the old mark.
    """
    row = (await connection.execute(select(S.c.updated_at).where(S.c.key == name).with_for_update())).first()
    made = await _BEAT.run(connection, (), name)
    return (None if row is None else float(row.updated_at)), float(made[0].updated_at)


async def last(connection: AsyncConnection, name: str) -> float | None:
    """The newest mark."""
    row = (await connection.execute(select(S.c.updated_at).where(S.c.key == name))).first()
    return None if row is None else float(row.updated_at)

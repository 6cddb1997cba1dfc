"""Quarantine: calls refused at the door, kept in a bounded number so that people can see why."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, tables

KEPT = 1000
_ADD = sql.Statement(
    """
    INSERT INTO quarantine (connection_key, reason, detail, excerpt, at)
    SELECT connection_key, reason, detail, excerpt, {now} FROM {src}
    """,
    "connection_key text, reason text, detail text, excerpt text",
)
_TRIM = sql.Statement(
    """
    DELETE FROM quarantine WHERE id <= (SELECT id FROM quarantine ORDER BY id DESC LIMIT 1 OFFSET {1})
    """
)


async def add(connection: AsyncConnection, refused: list[tuple[str, str, str, str]]) -> None:
    """Adds (connection, reason, detail, excerpt) and drops the oldest beyond the cap."""
    if not refused:
        return
    await _ADD.run(connection, [(key[:80], reason[:40], detail[:400], text) for key, reason, detail, text in refused])
    await _TRIM.run(connection, (), KEPT)


async def newest(connection: AsyncConnection, limit: int = 50) -> list[Any]:
    """The newest refusals first."""
    T = tables.quarantine
    return list(await connection.execute(select(T).order_by(T.c.id.desc()).limit(limit)))

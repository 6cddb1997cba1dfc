"""Forgetting shared logins: whoever changes a connection's credentials must not go on with its old token."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import tables

T = tables.tokens


async def forget(connection: AsyncConnection, key: str) -> None:
    """Drops the kept tokens of a connection (``key`` itself, and ``key#1`` … for further logins)."""
    await connection.execute(delete(T).where((T.c.key == key) | T.c.key.startswith(f"{key}#", autoescape=True)))

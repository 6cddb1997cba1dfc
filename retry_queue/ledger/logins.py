"""Ending and forgetting shared logins: whoever changes a connection's credentials must not go on with its old token."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import tables

T = tables.tokens


async def end(connection: AsyncConnection, key: str) -> None:
    """Nobody goes on with the kept tokens of a connection, but what they carry stays for the next login.

    A refresh token that works once must outlive an edit of the connection, or a person would have to authorise again.
    Whether it still belongs to the credentials entered is for the connector to say.
    """
    over = {"expires_at": 0, "renewing_until": 0, "epoch": T.c.epoch + 1}
    await connection.execute(update(T).where(of(key)).values(over))


async def forget(connection: AsyncConnection, key: str) -> None:
    """Drops the kept tokens of a connection that is removed."""
    await connection.execute(delete(T).where(of(key)))


def of(key: str) -> ColumnElement[bool]:
    """The tokens of a connection: ``key`` itself, and ``key#1`` … for further logins."""
    return (T.c.key == key) | T.c.key.startswith(f"{key}#", autoescape=True)

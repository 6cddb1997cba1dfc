"""Cursors 游标: how far each poll has read, leased to one poller at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, tables

U = tables.cursors
BELIEVE = "believe"
"""In a cursor: the next listing counts, however much is missing in it."""

_CLAIM = sql.Statement(
    """
    INSERT INTO cursors (connection_key, source, next_at, owner, fence, failures)
    VALUES ({1}, {2}, {now} + {4}, {3}, 1, 0)
    ON CONFLICT (connection_key, source) DO UPDATE SET owner = excluded.owner, fence = cursors.fence + 1,
        next_at = excluded.next_at
    WHERE cursors.next_at <= {now} OR cursors.owner = excluded.owner
    RETURNING fence, value, failures
    """
)
_MOVE = sql.Statement(
    """
    UPDATE cursors SET value = coalesce({4}, value), next_at = {now} + {5}, owner = NULL,
        last_ok_at = CASE WHEN {6} = 0 THEN {now} ELSE last_ok_at END, failures = {6}, last_error = {7}
    WHERE connection_key = {1} AND source = {2} AND fence = {3}
    RETURNING fence
    """
)
_KEEP = sql.Statement(
    """
    UPDATE cursors SET value = {4}, next_at = {now} + {5}
    WHERE connection_key = {1} AND source = {2} AND fence = {3} RETURNING fence
    """
)
_RELEASE = sql.Statement(
    "UPDATE cursors SET owner = NULL, next_at = {now} WHERE owner IN (SELECT owner FROM {src})", "owner text"
)
_HURRY = sql.Statement("UPDATE cursors SET next_at = {now} WHERE connection_key = {1} AND owner IS NULL")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to poll; ``value`` is the parsed cursor or None at first."""

    fence: int
    value: Any
    failures: int


async def claim(connection: AsyncConnection, key: str, source: str, owner: str, lease: float) -> Claim | None:
    """Leases a cursor when it is due, for ``lease`` seconds.

    Who holds it already gets it anew: a process
    polls one source once at a time, so it asks only when it lost track of its own lease.
    """
    rows = await _CLAIM.run(connection, (), key, source, owner, lease)
    if not rows:
        return None
    row = rows[0]
    return Claim(row.fence, json.loads(row.value) if row.value else None, row.failures)


async def keep(connection: AsyncConnection, key: str, source: str, fence: int, value: Any, lease: float) -> bool:
    """Moves the cursor and keeps the lease; False when somebody else has it now."""
    return bool(await _KEEP.run(connection, (), key, source, fence, json.dumps(value), lease))


async def move(
    connection: AsyncConnection,
    key: str,
    source: str,
    fence: int,
    value: Any,
    delay: float,
    failures: int,
    error: dict[str, str] | None = None,
) -> bool:
    """Moves the cursor (None leaves it) and gives the lease back; due again after ``delay`` seconds."""
    text = None if value is None else json.dumps(value)
    words = None if error is None else json.dumps(error, ensure_ascii=False)
    return bool(await _MOVE.run(connection, (), key, source, fence, text, delay, failures, words))


async def release(connection: AsyncConnection, owners: list[str]) -> None:
    """Gives back what dead pollers held."""
    await _RELEASE.run(connection, [(owner,) for owner in owners])


async def believe(connection: AsyncConnection, key: str, source: str) -> bool:
    """The next listing counts whatever is missing in it, a person said so; False when it was never read.

    A reading that is under way loses its lease: it began before anybody said so.
    """
    here = (U.c.connection_key == key) & (U.c.source == source)
    row = (await connection.execute(select(U.c.value).where(here).with_for_update())).first()
    if row is None or row.value is None:
        return False
    value = json.dumps({**json.loads(row.value), BELIEVE: True})
    anew = {"value": value, "fence": U.c.fence + 1, "owner": None, "next_at": 0, "failures": 0, "last_error": None}
    await connection.execute(update(U).where(here).values(anew))
    return True


async def hurry(connection: AsyncConnection, key: str) -> None:
    """Polls a connection as soon as possible."""
    await _HURRY.run(connection, (), key)


async def all_rows(connection: AsyncConnection) -> list[Any]:
    """Every cursor, for people and metrics."""
    return list(await connection.execute(select(U)))

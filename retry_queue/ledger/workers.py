"""Processes that work on this ledger: their slot, their heartbeat, and taking over from the dead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import (
    backfills,
    breakers,
    cursors,
    inbox,
    outbox,
    reconciliations,
    replays,
    session,
    sql,
    tables,
)

W = tables.workers
_ENTER = sql.Statement(
    """
    INSERT INTO workers (owner, slot, role, pid, host, started_at, beat_at)
    VALUES ({1}, {2}, {3}, {4}, {5}, {now}, {now})
    """
)
_BEAT = sql.Statement("UPDATE workers SET beat_at = {now} WHERE owner = {1} RETURNING owner")
_SILENT = sql.Statement("SELECT owner FROM workers WHERE beat_at < {now} - {1}")
_ALIVE = sql.Statement("SELECT role FROM workers WHERE beat_at >= {now} - {1}")
_PIDS = sql.Statement("SELECT owner FROM workers WHERE host = {1} AND pid = {2}")

_ABANDON = sql.Statement(
    "UPDATE lanes SET owner = NULL, next_at = {now} WHERE connection_key = {1} AND owner = {2}"
    " AND lane NOT IN (SELECT lane FROM {src})",
    "lane text",
)


async def register(ledger: session.Ledger, owner: str, role: str, pid: int, host: str) -> int:
    """Registers a process and gives it the lowest free slot."""
    for _ in range(50):
        try:
            async with ledger.write() as connection:
                taken = set((await connection.execute(select(W.c.slot))).scalars())
                slot = next(i for i in range(len(taken) + 1) if i not in taken)
                await _ENTER.run(connection, (), owner, slot, role, pid, host)
                ledger.seat = (role, pid, host)
                return slot
        except IntegrityError:  # another process took the same slot at the same moment
            await asyncio.sleep(0.02)
    raise session.LedgerUnavailable("no slot could be had in the workers table")


async def beat(connection: AsyncConnection, owner: str) -> bool:
    """Says "alive"; False when others took this process for dead and its leases are gone."""
    return bool(await _BEAT.run(connection, (), owner))


async def again(ledger: session.Ledger) -> bool:
    """Registers anew a process that others took for dead; False when it never was registered."""
    if ledger.seat is None:
        return False
    ledger.slot = await register(ledger, ledger.owner, *ledger.seat)
    return True


async def silent(connection: AsyncConnection, seconds: float) -> list[str]:
    """Processes without a heartbeat for so long."""
    return [row.owner for row in await _SILENT.run(connection, (), seconds)]


async def alive(connection: AsyncConnection, seconds: float) -> set[str]:
    """The roles of the processes that were heard of so recently."""
    return {row.role for row in await _ALIVE.run(connection, (), seconds)}


async def by_pid(connection: AsyncConnection, host: str, pid: int) -> list[str]:
    """The registrations of one operating-system process."""
    return [row.owner for row in await _PIDS.run(connection, (), host, pid)]


async def bury(connection: AsyncConnection, owners: list[str]) -> None:
    """Gives back everything the dead held, and forgets them."""
    if not owners:
        return
    await inbox.release(connection, owners)
    await outbox.release(connection, owners)
    await cursors.release(connection, owners)
    await reconciliations.release(connection, owners)
    await backfills.release(connection, owners)
    await replays.JOBS.release(connection, owners)
    await breakers.release(connection, owners)
    await connection.execute(delete(W).where(W.c.owner.in_(owners)))


async def abandon(connection: AsyncConnection, connection_key: str, owner: str, held: Iterable[str]) -> None:
    """Gives back lanes of one target that this process leased and does not know of: the answer to its claim was lost.

    ``held`` are those it knows. Their heads count as interrupted, because nobody can tell them from those that are.
    """
    await _ABANDON.run(connection, [(name,) for name in sorted(held)] or [("",)], connection_key, owner)

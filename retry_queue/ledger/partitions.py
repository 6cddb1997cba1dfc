"""Partitions of the tables that grow with every event, on PostgreSQL; SQLite has one file and no use for them.

``events`` with ``canonicals`` (by event id) and ``attempts`` are split by RANGE of their ids, which grow with time:
primary keys and ``ON CONFLICT`` stay as they are, a join by id touches one partition, and the newest come first in
order. The last partition, the *spare*, is open at its end and empty: whatever becomes of those who make partitions,
no row is without a place. What is over goes with its partition: the few rows that are still owed, or wait for a
person, move to a small one (``_kept``), everything else is gone at once and leaves no bloat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import session

SMALLEST, LARGEST, STEP = 250_000, 200_000_000, 10_000
"""Ids of one partition: about a week's, within these, rounded up."""
WEEK = 7 * 86400.0
SLACK = 120.0
"""Seconds by which ids and times may disagree: parallel commits number rows before they end."""
PATIENCE = "2s"
"""How long a change of partitions waits for its locks; everybody else waits behind it. Tried again later."""
MOST_KEPT = 20_000
"""Rows that may outlive their partition; with more of them it stays."""
KEPT, SPARE = "kept", "spare"
_KEY = 0x53485550  # "SHUP": one change of partitions at a time
_BOUND = re.compile(r"FROM \((?:MINVALUE|'(\d+)')\) TO \((?:MAXVALUE|'(\d+)')\)")


@dataclass(frozen=True, slots=True)
class Family:
    """Tables that are cut at the same ids: (table, key) each, the first one has the times."""

    tables: tuple[tuple[str, str], ...]
    moment: str
    sequence: str

    @property
    def head(self) -> str:
        return self.tables[0][0]


EVENTS = Family((("events", "id"), ("canonicals", "event_id")), "received_at", "inbox_id_seq")
ATTEMPTS = Family((("attempts", "id"),), "at", "attempts_id_seq")
FAMILIES = (EVENTS, ATTEMPTS)


@dataclass(frozen=True, slots=True)
class Part:
    """One partition: ids from ``low`` (0: from the beginning) to below ``high`` (None: no end)."""

    suffix: str
    low: int
    high: int | None


def next_size(used: int, seconds: float) -> int:
    """How many ids the next partition gets, when ``used`` were used in ``seconds``; pure."""
    week = used * WEEK / max(seconds, 1.0)
    return -(-int(min(max(week, SMALLEST), LARGEST)) // STEP) * STEP


async def parts(connection: AsyncConnection, family: Family) -> list[Part]:
    """The partitions of a family, the oldest first; empty on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    query = text(
        "SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i"
        " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(:head)"
    )
    found = []
    for row in await connection.execute(query, {"head": family.head}):
        bound = _BOUND.search(row.bound)
        if bound is None:
            raise ValueError(f"{row.name}: {row.bound}")
        found.append(
            Part(row.name.removeprefix(f"{family.head}_"), int(bound[1] or 0), int(bound[2]) if bound[2] else None)
        )
    return sorted(found, key=lambda one: one.low)


async def last_id(connection: AsyncConnection, family: Family) -> int:
    """The highest id given out."""
    query = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {family.sequence}"
    return int((await connection.execute(text(query))).scalar_one())


def partition(name: str) -> bool:
    """Is a table of this name a part of another one?"""
    return re.fullmatch(r"(events|canonicals|attempts)_(\d+|spare|kept)", name) is not None


async def ahead(ledger: session.Ledger, family: Family) -> int:
    """Makes the next partition as soon as the newest is being filled; returns how many were made.

    A change that does not get its locks within ``PATIENCE`` raises LedgerUnavailable, and nothing was done.
    """
    async with ledger.read() as connection:
        there = await parts(connection, family)
        if not there or not _wanted(there, await last_id(connection, family)):
            return 0
    async with ledger.write() as connection:
        if not await _mine(connection):
            return 0
        there, last = await parts(connection, family), await last_id(connection, family)
        if not _wanted(there, last):
            return 0
        return await _extend(connection, family, there, last)


def _wanted(there: Sequence[Part], last: int) -> bool:
    """Nothing is empty but the spare."""
    newest = there[-2] if len(there) > 1 else None
    return newest is None or last >= newest.low


async def _extend(connection: AsyncConnection, family: Family, there: Sequence[Part], last: int) -> int:
    spare = there[-1]
    size = await _size(connection, family, there, last)
    await _lock(connection, family)
    top, made = spare.low, 1
    if last >= spare.low:  # nobody was there to do it in time: what it took becomes a partition like the others
        made, top = 2, -(-(last + size) // STEP) * STEP
        for table, _ in family.tables:
            await _run(connection, f"ALTER TABLE {table} DETACH PARTITION {table}_{SPARE}")
            await _rename(connection, f"{table}_{SPARE}", f"{table}_{spare.low}")
            await _attach(connection, table, str(spare.low), spare.low, top)
    else:
        for table, _ in family.tables:
            await _run(connection, f"DROP TABLE {table}_{SPARE}")
    for table, _ in family.tables:
        await _create(connection, table, str(top), top, top + size)
        await _create(connection, table, SPARE, top + size, None)
    return made


async def _size(connection: AsyncConnection, family: Family, there: Sequence[Part], last: int) -> int:
    """By how fast ids went since the partition before the newest began."""
    since = there[-3].low if len(there) > 2 else there[0].low
    query = (
        f"SELECT {family.moment} - extract(epoch FROM now())::float8 FROM {family.head} WHERE id >= :low ORDER BY id"
    )
    age = (await connection.execute(text(f"{query} LIMIT 1"), {"low": since})).scalar()
    return next_size(last - since, WEEK if age is None else -float(age))


async def _newest(connection: AsyncConnection, family: Family, high: int) -> float:
    """When the newest row below ``high`` came; long ago where nothing is below it."""
    query = f"SELECT {family.moment} FROM {family.head} WHERE id < :high ORDER BY id DESC LIMIT 1"
    return float((await connection.execute(text(query), {"high": high})).scalar() or 0.0) + SLACK


async def analyze(ledger: session.Ledger) -> None:
    """Statistics of the whole tables, which nobody else makes: without them joins are planned by guesses."""
    if ledger.dialect != "postgresql":
        return
    for table, _ in (*EVENTS.tables, *ATTEMPTS.tables):
        async with ledger.write() as connection:
            await _run(connection, "SET LOCAL default_statistics_target = 20")
            await _run(connection, f"ANALYZE {table}")


async def _mine(connection: AsyncConnection) -> bool:
    await _run(connection, f"SET LOCAL lock_timeout = '{PATIENCE}'")
    return bool((await connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _KEY})).scalar_one())


async def _lock(connection: AsyncConnection, family: Family) -> None:
    """Always in this order, and before anything is looked at that a change may overtake."""
    for table, _ in family.tables:
        await _run(connection, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


async def _create(connection: AsyncConnection, table: str, suffix: str, low: int | None, high: int | None) -> None:
    await _run(connection, f"CREATE TABLE {table}_{suffix} (LIKE {table} INCLUDING ALL)")
    await _attach(connection, table, suffix, low, high)


async def _attach(connection: AsyncConnection, table: str, suffix: str, low: int | None, high: int | None) -> None:
    bounds = f"FROM ({low or 'MINVALUE'}) TO ({'MAXVALUE' if high is None else high})"
    await _run(connection, f"ALTER TABLE {table} ATTACH PARTITION {table}_{suffix} FOR VALUES {bounds}")


async def _rename(connection: AsyncConnection, was: str, now: str) -> None:
    """A table and its indexes, whose names begin with the table's."""
    await _run(connection, f"ALTER TABLE {was} RENAME TO {now}")
    query = text("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :name")
    for name in list((await connection.execute(query, {"name": now})).scalars()):
        if name.startswith(was):
            await _run(connection, f"ALTER INDEX {name} RENAME TO {now}{name.removeprefix(was)}")


async def _run(connection: AsyncConnection, statement: str) -> None:
    await connection.exec_driver_sql(statement)


# --- what is over ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went: rows by the planner's estimate and partitions; ``kept`` rows moved."""

    parts: int = 0
    rows: int = 0
    kept: int = 0


async def over(connection: AsyncConnection, family: Family, cut: float) -> list[Part]:
    """The oldest partitions, all of whose rows came before ``cut``."""
    return [part for part, newest in await _closed(connection, family, cut) if newest < cut]


async def soon(connection: AsyncConnection, family: Family, cut: float) -> list[Part]:
    """Those that will be over within a week; not what already outlived its partition."""
    found = await _closed(connection, family, cut + WEEK)
    return [part for part, newest in found if cut <= newest < cut + WEEK and part.suffix != KEPT]


async def _closed(connection: AsyncConnection, family: Family, until: float) -> list[tuple[Part, float]]:
    """Partitions that take no more rows, with the time of their newest one, as long as that is before ``until``."""
    last = await last_id(connection, family)
    found = []
    for part in await parts(connection, family):
        if part.high is None or part.high > last:
            break
        newest = await _newest(connection, family, part.high)
        if newest >= until:
            break
        found.append((part, newest))
    return found


async def drop(ledger: session.Ledger, family: Family, cut: float, keep: str, given: dict[str, Any]) -> Dropped:
    """Drops what ``over`` says, but for the rows whose ids ``keep`` selects (``:high`` is the end of their range).

    ``keep`` is asked under the locks that stop every change of these tables: what was revived a moment ago is
    among its rows, and what comes later finds nothing to revive. With too many of them the younger partitions wait.
    """
    async with ledger.read() as connection:
        going = await over(connection, family, cut)
        while going and not await _worth(connection, family, going, keep, given):
            going.pop()
    if not going:
        return Dropped()
    async with ledger.write() as connection:
        if not await _mine(connection):
            return Dropped()
        now = await parts(connection, family)
        if now[: len(going)] != going:
            return Dropped()  # somebody else was here in between
        await _lock(connection, family)
        return await _replace(connection, family, going, keep, given)


async def _worth(connection: AsyncConnection, family: Family, going: Sequence[Part], keep: str, given: Any) -> bool:
    stay = len(await _ids(connection, keep, {**given, "high": going[-1].high}))
    if stay > MOST_KEPT:
        return False
    if len(going) > 1 or going[0].suffix != KEPT:
        return True
    query = text(f"SELECT count(*) FROM {family.head}_{KEPT}")
    return int((await connection.execute(query)).scalar_one()) > 2 * stay


async def _ids(connection: AsyncConnection, keep: str, given: dict[str, Any]) -> list[int]:
    query = f"SELECT DISTINCT id FROM ({keep}) AS kept LIMIT {MOST_KEPT + 1}"
    return list((await connection.execute(text(query), given)).scalars())


async def _replace(
    connection: AsyncConnection, family: Family, going: Sequence[Part], keep: str, given: dict[str, Any]
) -> Dropped:
    high = going[-1].high
    stay = await _ids(connection, keep, {**given, "high": high})
    rows = 0
    for table, key in family.tables:
        old = [f"{table}_{part.suffix}" for part in going]
        query = "SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class WHERE relname = ANY(:old)"
        if table == family.head:
            rows = int((await connection.execute(text(query), {"old": old})).scalar_one())
        await _run(connection, f"CREATE TABLE {table}_keeping (LIKE {table} INCLUDING ALL)")
        move = f"INSERT INTO {table}_keeping SELECT * FROM {table} WHERE {key} = ANY(:ids) AND {key} < :high"
        await connection.execute(text(move), {"ids": stay, "high": high})
        for name in old:
            await _run(connection, f"DROP TABLE {name}")
        await _rename(connection, f"{table}_keeping", f"{table}_{KEPT}")
        await _attach(connection, table, KEPT, None, high)
    return Dropped(len(going), max(rows - len(stay), 0), len(stay))

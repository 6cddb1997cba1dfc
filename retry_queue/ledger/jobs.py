"""Jobs: long work that is a row, leased to one process at a time, paused and cancelled by people.

The statements are the same for every table of jobs (backfills, replays): state, owner, fence, next_at, failures,
cursor, counts, detail, ended_at. Whoever holds a row by its fence writes how far it is; a person who pauses or ends
it raises the fence, so that the next note of the holder is refused as ``Lost``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

OPEN = ("waiting", "running", "paused")


class Lost(Exception):
    """Somebody else has this row by now, or a person paused or ended it."""


class Leased(Protocol):
    """What every row of jobs has."""

    @property
    def id(self) -> int: ...
    @property
    def fence(self) -> int: ...
    @property
    def failures(self) -> int: ...


R = TypeVar("R", bound=Leased)


class Jobs(Generic[R]):
    """The statements over one table. ``columns`` are those of a row, ``order`` says which is leased first."""

    def __init__(self, table: str, columns: str, order: str, row: Callable[[Any], R]) -> None:
        self._row = row
        self._claim = sql.Statement(
            f"""
            UPDATE {table} SET state = 'running', owner = {{1}}, fence = fence + 1, next_at = {{now}} + {{2}}
            WHERE id = (SELECT id FROM {table} WHERE state IN ('waiting', 'running') AND next_at <= {{now}}
                        AND (CAST({{3}} AS BIGINT) IS NULL OR id = {{3}}) ORDER BY {order} LIMIT 1 {{lock}})
            RETURNING {columns}
            """
        )
        self._hold = sql.Statement(
            f"UPDATE {table} SET owner = owner WHERE id = {{1}} AND fence = {{2}} AND state = 'running' RETURNING id"
        )
        self._keep = sql.Statement(
            f"""
            UPDATE {table} SET cursor = coalesce({{3}}, cursor), counts = {{4}}, next_at = {{now}} + {{5}},
                failures = 0, detail = NULL
            WHERE id = {{1}} AND fence = {{2}} AND state = 'running' RETURNING id
            """
        )
        self._later = sql.Statement(
            f"""
            UPDATE {table} SET owner = NULL, failures = failures + 1, next_at = {{now}} + {{3}}, detail = {{4}}
            WHERE id = {{1}} AND fence = {{2}} AND state = 'running' RETURNING id
            """
        )
        self._end = sql.Statement(
            f"""
            UPDATE {table} SET state = {{3}}, detail = {{4}}, owner = NULL, ended_at = {{now}}
            WHERE id = {{1}} AND fence = {{2}} AND state = 'running' RETURNING id
            """
        )
        self._turn = {
            "pause": sql.Statement(
                f"UPDATE {table} SET state = 'paused', fence = fence + 1, owner = NULL"
                f" WHERE id = {{1}} AND state IN ('waiting', 'running') RETURNING {columns}"
            ),
            "resume": sql.Statement(
                f"UPDATE {table} SET state = 'waiting', next_at = {{now}}, failures = 0, ended_at = NULL, detail = NULL"
                f" WHERE id = {{1}} AND state IN ('paused', 'failed') RETURNING {columns}"
            ),
            "cancel": sql.Statement(
                f"UPDATE {table} SET state = 'cancelled', fence = fence + 1, owner = NULL, ended_at = {{now}}"
                f" WHERE id = {{1}} AND state IN ('waiting', 'running', 'paused', 'failed') RETURNING {columns}"
            ),
        }
        self._release = sql.Statement(
            f"UPDATE {table} SET owner = NULL, next_at = {{now}} FROM {{src}}"
            f" WHERE {table}.state = 'running' AND {table}.owner = src.owner",
            "owner text",
        )

    async def claim(self, connection: AsyncConnection, owner: str, lease: float, only: int | None = None) -> R | None:
        """Leases the one that is due (or ``only`` this one) for ``lease`` seconds."""
        rows = await self._claim.run(connection, (), owner, lease, only)
        return self._row(rows[0]) if rows else None

    async def hold(self, connection: AsyncConnection, row: R) -> None:
        """Locks the row before anything that a cancel might touch too, so that they take turns. Raises Lost."""
        if not await self._hold.run(connection, (), row.id, row.fence):
            raise Lost

    async def keep(
        self,
        connection: AsyncConnection,
        row: R,
        cursor: Mapping[str, Any] | None,
        counts: Mapping[str, int],
        lease: float,
    ) -> None:
        """Notes how far it is (``cursor`` None: only the counts). Raises Lost."""
        if not await self._keep.run(connection, (), row.id, row.fence, text(cursor), text(counts), lease):
            raise Lost

    async def later(self, connection: AsyncConnection, row: R, delay: float, words: Mapping[str, str] | None) -> bool:
        """Gives it back after a failure, due again after ``delay`` seconds."""
        return bool(await self._later.run(connection, (), row.id, row.fence, delay, text(words)))

    async def end(
        self, connection: AsyncConnection, row: R, state: str, words: Mapping[str, str] | None = None
    ) -> bool:
        """Ends it as ``done`` or ``failed``; False when it was not ours any more."""
        return bool(await self._end.run(connection, (), row.id, row.fence, state, text(words)))

    async def turn(self, connection: AsyncConnection, number: int, what: str) -> R | None:
        """``pause``, ``resume`` or ``cancel`` by a person: the row as it is now; None: its state does not allow it."""
        rows = await self._turn[what].run(connection, (), number)
        return self._row(rows[0]) if rows else None

    async def release(self, connection: AsyncConnection, owners: Sequence[str]) -> None:
        """Gives back what dead processes were at."""
        await self._release.run(connection, [(owner,) for owner in owners])


def text(value: Mapping[str, Any] | None) -> str | None:
    """JSON text of what a row keeps."""
    return None if value is None else json.dumps(dict(value), ensure_ascii=False)

"""Batch statements that read the same on PostgreSQL and SQLite.

A statement is written once with marks: ``{src}`` is the batch as a table, ``{now}`` the database's
clock in Unix seconds, ``{1}``, ``{2}`` … are scalars, ``{lock}`` skips rows that others hold,
``{more}`` stands where SQLite needs ``WHERE true`` before ``ON CONFLICT``, ``{soon}`` in ``RETURNING`` lets the
transaction end before it is on disk, ``{patch a b}`` is JSON
text ``a`` with the members of ``b`` put over it. The batch travels as one
parameter (arrays on PostgreSQL, JSON on SQLite), so a statement's text never changes with its size
and stays prepared.
"""

from __future__ import annotations

import re
import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

AT_ONCE = "shuniu_at_once"
"""Execution option of a SQLite transaction that everybody waits for: its driver's connection. Statements run where they
are called. Each takes a millisecond or so; through the driver's thread it takes a turn of a busy loop besides, and a
step of fifteen statements keeps the only writer's place ten times as long as its work is."""
_POSTGRES_TYPES = {
    "text": "text",
    "int": "bigint",
    "small": "smallint",
    "float": "float8",
    "bool": "boolean",
}
_MARK = re.compile(r"\{(src|now|lock|more|soon|\d+|patch (\S+) (\S+))\}")
_JOIN = re.compile(r"(?<!LEFT )(?<!CROSS )\bJOIN\b")
_NOW = {
    "postgresql": "extract(epoch from statement_timestamp())::float8",  # stable: an index can be searched by it
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}


class Statement:
    """One batch statement. ``columns`` is e.g. ``"id int, state text"``; empty for scalar statements."""

    def __init__(self, template: str, columns: str = "") -> None:
        self._columns = [part.split() for part in columns.split(",") if part.strip()]
        self._template = template
        self._text = {name: self._render(name) for name in _NOW}
        self._row: Any = None
        """The rows it returns, where it is run at once; known after the first time."""

    def _render(self, dialect: str) -> str:
        # As it is written: from the batch, which is small, to what may be a long history. SQLite has no statistics of
        # a ledger that grows, and would often begin with the history.
        template = self._template if dialect == "postgresql" else _JOIN.sub("CROSS JOIN", self._template)
        postgres = dialect == "postgresql"
        width = (len(self._columns) if postgres else 1) if self._columns else 0

        def source() -> str:
            names = [name for name, _ in self._columns]
            if postgres:
                arrays = ", ".join(
                    f"${place}::{_POSTGRES_TYPES[kind]}[]" for place, (_, kind) in enumerate(self._columns, 1)
                )
                return f"unnest({arrays}) AS src({', '.join(names)})"
            picks = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(names))
            return f"(SELECT {picks} FROM json_each(?1)) AS src"

        def mark(found: re.Match[str]) -> str:
            name = found.group(1)
            if name == "src":
                return source()
            if name == "now":
                return _NOW[dialect]
            if name == "lock":
                return "FOR UPDATE SKIP LOCKED" if postgres else ""
            if name == "soon":
                return "set_config('synchronous_commit', 'off', true)" if postgres else "''"
            if name == "more":
                return "" if postgres else "WHERE true"
            if name.startswith("patch "):
                old, new = found.group(2), found.group(3)
                if postgres:
                    return f"(coalesce({old}, '{{}}')::jsonb || coalesce({new}, '{{}}')::jsonb)::text"
                return f"json_patch(coalesce({old}, '{{}}'), coalesce({new}, '{{}}'))"
            place = width + int(name)
            return f"${place}" if postgres else f"?{place}"

        return _MARK.sub(mark, template)

    async def run(
        self, connection: AsyncConnection, rows: Sequence[Sequence[Any]] = (), *scalars: Any
    ) -> Sequence[Any]:
        """Runs once for the whole batch; returns the rows the statement returns."""
        if self._columns and not rows:
            return ()
        if connection.dialect.name == "postgresql":
            batch: tuple[Any, ...] = tuple(list(column) for column in zip(*rows, strict=True)) if rows else ()
            return await self._straight(connection, (*batch, *scalars))
        batch = (orjson.dumps(list(rows)).decode(),) if self._columns else ()
        driver = connection.sync_connection.get_execution_options().get(AT_ONCE) if connection.sync_connection else None
        if driver is not None:
            return self._at_once(driver, (*batch, *scalars))
        result = await connection.exec_driver_sql(self._text["sqlite"], (*batch, *scalars))
        return result.fetchall() if result.returns_rows else ()

    async def _straight(self, connection: AsyncConnection, given: tuple[Any, ...]) -> Sequence[Any]:
        """By PostgreSQL's driver itself, in SQLAlchemy's transaction on SQLAlchemy's connection.

        A cursor of the adapter between them costs as much as the statement: a greenlet, a copy of each row, a
        prepared statement looked up twice.
        """
        text = self._text["postgresql"]
        sync = connection.sync_connection
        assert sync is not None
        adapter: Any = sync.connection.dbapi_connection
        try:
            if adapter._transaction is None:
                await adapter._start_transaction()  # nothing where it is on AUTOCOMMIT
            found = await adapter.driver_connection.fetch(text, *given)
        except BaseException as error:
            await connection.run_sync(_told, adapter, text, error)
            raise
        return self._rows(found[0].keys, found) if found else ()

    def _at_once(self, driver: sqlite3.Connection, given: tuple[Any, ...]) -> Sequence[Any]:
        try:
            cursor = driver.execute(self._text["sqlite"], given)
            described = cursor.description
            return self._rows(lambda: (one[0] for one in described), cursor) if described else ()
        except sqlite3.Error as error:
            told = DBAPIError.instance(self._text["sqlite"], None, error, sqlite3.Error, hide_parameters=True)
            raise told from error

    def _rows(self, names: Callable[[], Iterable[str]], found: Iterable[Iterable[Any]]) -> Sequence[Any]:
        if self._row is None:  # every run has the same columns
            self._row = namedtuple("Row", list(names()), rename=True)  # type: ignore[misc]
        return list(map(self._row._make, found))


def _told(connection: Connection, adapter: Any, text: str, error: BaseException) -> None:
    """Raises what SQLAlchemy would have said, and gives up a connection that is gone or left in the middle."""
    try:
        if isinstance(error, Exception) and not isinstance(error, DBAPIError):
            adapter._handle_exception(error)
        raise error
    except BaseException as said:  # noqa: BLE001 - it goes on from there, whatever it is
        connection._handle_dbapi_exception(said, text, None, None, None)

"""The door to the database: one engine, one transaction per step, committed at the step's edge.

SQLite writes begin with ``BEGIN IMMEDIATE``: with deferred transactions two writers that read first
lose updates without any error. Who of them is next is decided before, at the turnstile.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from retry_queue.ledger import sql, turnstile

_CLOCK = sql.Statement("SELECT {now} AS at")
_AWAY = ("08", "25006", "40", "53", "55P03", "57", "58")
"""SQLSTATEs, by their beginning, of a server that cannot write now: connection lost, read-only, deadlock,
out of disk or connections, shutting down or starting up, disk error."""
PATIENCE = 30.0
"""Seconds that one statement may take."""
IDLE = "20s"
"""After so long inside a transaction without a statement PostgreSQL ends it: its process was stopped or sleeps, and
what it has locked would stop everybody else. No transaction of ours waits for anything outside the database."""

_BY_KEYS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""A plan that is made while a table is young, or a backlog is not counted yet, reads all of it; and it is kept. Looking
up each key of a batch costs the same at any size."""


class LedgerUnavailable(Exception):
    """The database cannot be reached or refuses to write; the step did not happen."""


class Ledger:
    """A database opened for use by one process. ``owner`` names the process in leases."""

    def __init__(self, engine: AsyncEngine, *, owner: str, slot: int = 0) -> None:
        self.engine = engine
        self.owner = owner
        self.slot = slot
        self.seat: tuple[str, int, str] | None = None
        """Role, process id and host under which this process is registered."""
        self.dialect = engine.dialect.name
        name = engine.url.database
        file = Path(name) if name and name != ":memory:" else None
        self._turnstile = turnstile.Turnstile(file) if self.dialect == "sqlite" else None
        # Each statement sees what is committed by then anyway: a transaction around them is two round trips for nothing
        self._reader = engine if self._turnstile else engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def single(self) -> bool:
        """Only one can write at a time: who writes long keeps the others waiting."""
        return self._turnstile is not None

    @asynccontextmanager
    async def write(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """One transaction: commits when the block ends, rolls back when it raises.

        ``patient``: of imported history or a replay, which waits where only one can write at a time.
        """
        with _told():
            if self._turnstile is None:
                async with self.engine.begin() as connection:
                    yield connection
            else:
                async with self._alone(self._turnstile, patient=patient) as connection:
                    yield connection

    @asynccontextmanager
    async def _alone(self, stile: turnstile.Turnstile, *, patient: bool) -> AsyncIterator[AsyncConnection]:
        """The turn ends with the commit: what a connection does before and after it is in nobody's way."""
        await stile.come(patient=patient)
        gone = False
        try:
            async with self.engine.connect() as connection:
                await connection.execution_options(shuniu_begin="IMMEDIATE", **await _at_once(connection, patient))
                await stile.take()
                try:
                    async with connection.begin():
                        yield connection
                finally:
                    gone = True
                    stile.leave(wrote=True, patient=patient)
        finally:
            if not gone:
                stile.leave(patient=patient)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A read-only look; sees what is committed."""
        with _told():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def loose(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """For statements that nothing must hold together: each is its own transaction, without two trips around them.

        Where only one can write at a time they are one transaction all the same: a turn is dearer than that.
        """
        async with self.write(patient=patient) if self._turnstile else self.read() as connection:
            yield connection

    async def now(self) -> float:
        """The database's clock, Unix seconds."""
        async with self.read() as connection:
            return float((await _CLOCK.run(connection))[0].at)

    async def close(self) -> None:
        await self.engine.dispose()
        if self._turnstile is not None:
            self._turnstile.close()


async def _at_once(connection: AsyncConnection, patient: bool) -> dict[str, Any]:
    """What is patient may also be long: it keeps to the driver's thread."""
    driver = (await connection.get_raw_connection()).driver_connection
    return {sql.AT_ONCE: None if patient or driver is None else driver._conn}


@contextmanager
def _told() -> Iterator[None]:
    """What the database raises becomes LedgerUnavailable, except what the statement itself is to blame for."""
    try:
        yield
    except (PoolTimeout, OSError) as error:
        raise LedgerUnavailable(_plain(error)) from error
    except DBAPIError as error:
        if _away(error):
            raise LedgerUnavailable(_plain(error)) from error
        raise


def _away(error: DBAPIError) -> bool:
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return True
    told = str(getattr(error.orig, "sqlstate", None) or "")
    # Without a word of the server it is the driver, which was cut off and does not know where it stands.
    return told.startswith(_AWAY) or (isinstance(error, InternalError) and not told)


def _plain(error: BaseException) -> str:
    """The driver's words without the statement and its parameters (they may hold personal data)."""
    origin = getattr(error, "orig", None) or error
    return f"{type(origin).__name__}: {str(origin).splitlines()[0] if str(origin) else ''}"[:300]


def open_ledger(
    url: str, *, owner: str, slot: int = 0, pool: int = 10, patience: float = PATIENCE, steps: bool = False
) -> Ledger:
    """Opens ``sqlite+aiosqlite:///…`` or ``postgresql+asyncpg://…``; nothing is connected yet.

    ``patience``: seconds that one statement may take on PostgreSQL. ``steps``: for processes that take the steps of
    the queue, whose every statement goes by keys.
    """
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        if target.database and target.database != ":memory:":
            Path(target.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(
            target.set(drivername="sqlite+aiosqlite"),
            pool_size=pool,
            max_overflow=0,
            pool_timeout=30,
            hide_parameters=True,  # they hold personal data, and errors reach the log
            connect_args={"timeout": 30, "check_same_thread": False, "cached_statements": 512},
        )
        _tune_sqlite(engine)
    else:
        engine = create_async_engine(
            target.set(drivername="postgresql+asyncpg"),
            pool_size=pool,
            max_overflow=pool,
            pool_timeout=5,
            pool_recycle=1800,
            hide_parameters=True,
            connect_args={
                "timeout": 5,
                "command_timeout": patience,
                "statement_cache_size": 400,  # all there are, so that none is planned twice on a connection
                "max_cached_statement_lifetime": 0,
                # Said while connecting: who gives up between two statements after that leaves a connection behind.
                "server_settings": {
                    "application_name": owner,
                    "idle_in_transaction_session_timeout": IDLE,
                    # What is claimed and settled is in memory; else whole tables would be read instead.
                    "random_page_cost": "1.1",
                    # Up to PostgreSQL 17 a plan that must read a small table whole counts as immensely dear by
                    # ``_BY_KEYS``, and would be compiled, for a tenth of a second, at every call.
                    "jit": "off",
                    **(_BY_KEYS if steps else {}),
                },
            },
        )
    return Ledger(engine, owner=owner, slot=slot)


@asynccontextmanager
async def opened(url: str, *, owner: str, pool: int = 1, patience: float = PATIENCE) -> AsyncIterator[Ledger]:
    """A ledger for one piece of work, closed behind it; the arguments are those of ``open_ledger``."""
    ledger = open_ledger(url, owner=owner, pool=pool, patience=patience)
    try:
        yield ledger
    finally:
        await ledger.close()


def _tune_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledged event survives a power cut
            "busy_timeout=30000",
            "foreign_keys=ON",
            "cache_size=-32000",
            "temp_store=MEMORY",
            "journal_size_limit=67108864",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        kind = connection.get_execution_options().get("shuniu_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    ending: set[asyncio.Task[None]] = set()

    @event.listens_for(engine.sync_engine, "invalidate")
    def invalidate(connection: Any, _record: Any, _error: BaseException | None) -> None:
        """What is given up in the middle gives up its lock first.

        A closed connection lives on while a statement of it is not forgotten, with its transaction; the error that
        ended it may keep that statement for long, and nobody else could write.
        """
        task = asyncio.ensure_future(_rolled_back(connection.driver_connection))
        ending.add(task)
        task.add_done_callback(ending.discard)


async def _rolled_back(driver: Any) -> None:
    with suppress(ValueError, sqlite3.Error):  # it was closed, or had no transaction
        await driver.rollback()

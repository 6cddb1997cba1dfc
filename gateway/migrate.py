"""Brings the ledger's schema up to date; safe to run from several processes at once."""

from __future__ import annotations

import asyncio
import importlib.resources

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from retry_queue.ledger import session

_LOCK = 0x5348554E  # "SHUN": one migration at a time on PostgreSQL
PATIENCE = 3600.0
"""Seconds that one statement of a migration may take: a big table is read through."""


def _config(connection: Connection) -> Config:
    config = Config()
    folder = importlib.resources.files("retry_queue.ledger") / "migrations"
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    return config


def _prepare(connection: Connection) -> None:
    """What migrations want done before their transaction, online: scans that would keep everybody waiting in it."""
    current, newest = _pending(connection)
    if current is None:
        return  # an empty database
    script = ScriptDirectory.from_config(_config(connection))
    for one in reversed([*script.iterate_revisions(newest, current)]):
        prepare = getattr(one.module, "prepare", None)
        if prepare is not None:
            prepare(connection)


async def _prepared(ledger: session.Ledger) -> None:
    if ledger.dialect != "postgresql":
        return
    async with ledger.read() as connection:
        each = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await each.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            await each.run_sync(_prepare)
        finally:
            await each.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    command.upgrade(_config(connection), "head")


async def upgrade(url: str, tries: int = 20) -> None:
    """Upgrades to the newest schema; waits a little for a database that is still starting."""
    ledger = session.open_ledger(url, owner="migrate", pool=1, patience=PATIENCE)
    try:
        for attempt in range(tries):
            try:
                await _prepared(ledger)
                async with ledger.write() as connection:
                    await connection.run_sync(_upgrade)
                return
            except (session.LedgerUnavailable, DBAPIError):
                if attempt == tries - 1:
                    raise
                await asyncio.sleep(0.5)
    finally:
        await ledger.close()


def _pending(connection: Connection) -> tuple[str | None, str | None]:
    script = ScriptDirectory.from_config(_config(connection))
    return MigrationContext.configure(connection).get_current_revision(), script.get_current_head()


def revisions() -> frozenset[str]:
    """Every revision that this version knows."""
    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("retry_queue.ledger") / "migrations"))
    return frozenset(one.revision for one in ScriptDirectory.from_config(config).walk_revisions())


async def state(url: str) -> tuple[str | None, str | None]:
    """(revision in the database, newest revision); equal when nothing is to be done."""
    ledger = session.open_ledger(url, owner="migrate", pool=1)
    try:
        async with ledger.read() as connection:
            return await connection.run_sync(_pending)
    finally:
        await ledger.close()

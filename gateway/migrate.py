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


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(importlib.resources.files("retry_queue.ledger") / "migrations"))
    return config


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def upgrade(url: str, tries: int = 20) -> None:
    """Upgrades to the newest schema; waits a little for a database that is still starting."""
    async with session.opened(url, owner="migrate") as ledger:
        for attempt in range(tries):
            try:
                async with ledger.write() as connection:
                    await connection.run_sync(_upgrade)
                return
            except (session.LedgerUnavailable, DBAPIError):
                if attempt == tries - 1:
                    raise
                await asyncio.sleep(0.5)


def _pending(connection: Connection) -> tuple[str | None, str | None]:
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision(), newest


def revisions() -> frozenset[str]:
    """Every revision that this version knows."""
    return frozenset(one.revision for one in ScriptDirectory.from_config(_config()).walk_revisions())


async def state(url: str) -> tuple[str | None, str | None]:
    """(revision in the database, newest revision); equal when nothing is to be done."""
    async with session.opened(url, owner="migrate") as ledger, ledger.read() as connection:
        return await connection.run_sync(_pending)

"""Brings the ledger's schema up to date; safe to run from several processes at once.

Going back: migrations only add, so a version of before runs on the schema of a later one and leaves it as it is. One
that does more says ``breaks = True``; from then on the ledger names the oldest version that may run on it (``FLOOR``).
"""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import time

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from gateway import references
from retry_queue.ledger import session

log = structlog.get_logger(__name__)

FLOOR = "schema_floor"
"""The setting that names the oldest revision whose version may run on this schema."""
_PUT = (
    "INSERT INTO settings (key, value, updated_at) VALUES (:key, :value, :now)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)
_LOCK = 0x5348554E  # "SHUN": one migration at a time on PostgreSQL
PATIENCE = 3600.0
"""Seconds that one statement of a migration may take: a big table is read through."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.attributes["connection"] = connection
    config.set_main_option("script_location", str(importlib.resources.files("retry_queue.ledger") / "migrations"))
    return config


def _prepare(connection: Connection) -> None:
    """What migrations want done before their transaction, online: scans that would keep everybody waiting in it."""
    current, newest = _pending(connection)
    if current is None or current not in revisions():
        return  # an empty database, or a later version's
    script = ScriptDirectory.from_config(_config())
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
    config = _config(connection)
    script = ScriptDirectory.from_config(config)
    known = [one.revision for one in script.walk_revisions()]
    now = MigrationContext.configure(connection).get_current_revision()
    if now is not None and now not in known:
        _tolerated(connection, now, known)
        return
    command.upgrade(config, "head")
    floor = next((one.revision for one in script.walk_revisions() if getattr(one.module, "breaks", False)), known[-1])
    if _floor(connection) != floor:
        connection.execute(text(_PUT), {"key": FLOOR, "value": json.dumps(floor), "now": time.time()})


def _floor(connection: Connection) -> str:
    found = connection.execute(text("SELECT value FROM settings WHERE key = :key"), {"key": FLOOR}).scalar()
    return str(json.loads(found)) if found else ""


def _tolerated(connection: Connection, now: str, known: list[str]) -> None:
    """Returns when this version may run on the schema of a later one; raises Unusable."""
    if _floor(connection) not in known:
        raise references.Unusable(
            f"台账结构 {now} 属于更新的版本，本版本不能使用；请换回新版本，或恢复升级前的备份",
            f"the ledger's schema {now} is a later version's, and this one cannot use it: "
            "run that version, or restore the backup from before the upgrade",
        )
    log.warning("ledger.newer", schema=now, ours=known[0])


async def upgrade(url: str, tries: int = 20) -> None:
    """Upgrades to the newest schema; waits a little for a database that is still starting."""
    async with session.opened(url, owner="migrate", patience=PATIENCE) as ledger:
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

"""The migrations and the metadata say the same, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text

from gateway import migrate
from gateway.trial import postgres
from retry_queue.ledger import partitions, session, upkeep


@pytest.fixture
def postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}"


def _whole(name: str | None, kind: str, _parents: Any) -> bool:
    """A partition is a piece of a table that is compared already."""
    return kind != "table" or name is None or not partitions.partition(name)


def _differences(connection: Connection) -> list[Any]:
    opts = {"compare_type": True, "compare_server_default": True, "include_name": _whole}
    context = MigrationContext.configure(connection, opts=opts)
    return compare_metadata(context, upkeep.metadata)


_INDEXES = {
    "postgresql": "SELECT pg_get_indexdef(i.indexrelid) || i.indisvalid FROM pg_index i"
    " JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace"
    " AND NOT c.relispartition AND c.relname <> 'alembic_version'",
    "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
}


def _shape(connection: Connection) -> dict[str, Any]:
    """Everything the database says about its tables, but for the migration's own."""
    look = inspect(connection)
    shape: dict[str, Any] = {
        name: {
            "columns": [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(name)],
            "unique": sorted((str(u["name"]), tuple(u["column_names"])) for u in look.get_unique_constraints(name)),
            "key": (look.get_pk_constraint(name)["name"], look.get_pk_constraint(name)["constrained_columns"]),
        }
        for name in look.get_table_names()
        if name != "alembic_version" and not partitions.partition(name)
    }
    indexes = connection.execute(text(_INDEXES[connection.dialect.name])).scalars()
    shape["indexes"] = sorted(" ".join(str(one).split()) for one in indexes)
    if connection.dialect.name == "sqlite":
        made = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")).scalars()
        shape["never reuses an id"] = sorted(made)
    return shape


async def _look(url: str, ask: Any) -> Any:
    async with session.opened(url, owner="test") as ledger, ledger.write() as connection:
        return await connection.run_sync(ask)


# Indexes on expressions cannot be compared by name of column; both dialects say so.
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
async def test_an_empty_database_is_brought_to_the_metadata(database_url: str) -> None:
    assert (await migrate.state(database_url))[0] is None
    await migrate.upgrade(database_url)
    now, newest = await migrate.state(database_url)
    assert now == newest
    assert newest is not None
    assert await _look(database_url, _differences) == []


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
async def test_migrated_and_created_look_the_same(database_url: str, tmp_path: Path, request: Any) -> None:
    """What autogenerate does not compare: names of constraints, partial indexes, defaults."""
    await migrate.upgrade(database_url)
    migrated = await _look(database_url, _shape)
    if database_url.startswith("sqlite"):
        other = f"sqlite+aiosqlite:///{tmp_path / 'created.sqlite3'}"
        await _look(other, upkeep.metadata.create_all)
        assert await _look(other, _shape) == migrated
    else:
        server: postgres.Postgres = request.getfixturevalue("postgres_server")
        with server.database() as other:
            await _look(other, upkeep.metadata.create_all)
            assert await _look(other, _shape) == migrated


async def test_twice_changes_nothing(database_url: str) -> None:
    await migrate.upgrade(database_url)

    def mark(connection: Connection) -> None:
        connection.execute(text("INSERT INTO settings (key, value, updated_at) VALUES ('here', '1', 0)"))

    await _look(database_url, mark)
    await migrate.upgrade(database_url)
    assert (
        await _look(database_url, lambda c: c.execute(text("SELECT value FROM settings WHERE key = 'here'")).scalar())
        == "1"
    )


def test_every_constraint_has_a_name() -> None:
    named: MetaData = upkeep.metadata
    for table in named.tables.values():
        for one in [*table.indexes, *table.constraints]:
            assert one.name, f"{table.name} has a constraint without a name"

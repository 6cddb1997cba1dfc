"""Going back: a version of before runs on the schema of a later one, unless the later one says that it cannot."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import health, migrate, references, settings
from gateway.trial import postgres
from retry_queue.ledger import claims, connections, inbox, secrets, session
from retry_queue.ledger.states import ConnectionState

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("gateway", "webhooks", "retry_queue", "connectors", "mappings")
NEXT = """\"\"\"what the next version adds\"\"\"

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None
breaks = {breaks}


def upgrade() -> None:
    op.add_column("inbox", sa.Column("tone", sa.String(10), server_default="calm", nullable=False))
    op.create_table("weather", sa.Column("id", sa.Integer(), primary_key=True))
"""


def upgraded(folder: Path, url: str, head: str, *, breaks: bool) -> None:
    """Another version of this code, with a migration more, brings the ledger up to itself."""
    for name in ROOMS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "static", "samples"))
    place = folder / "retry_queue/ledger/migrations/versions/9999_next.py"
    place.write_text(NEXT.format(head=head, breaks=breaks))
    code = "import asyncio, sys; from gateway import migrate; asyncio.run(migrate.upgrade(sys.argv[1]))"
    ran = subprocess.run([sys.executable, "-c", code, url], cwd=folder, capture_output=True, text=True, timeout=60,
                         env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A ledger as this version makes it, on both databases."""
    if request.param == "sqlite":
        made = f"sqlite+aiosqlite:///{tmp_path / 'ledger.sqlite3'}"
        await migrate.upgrade(made)
        yield made
        return
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    with server.database() as made:
        await migrate.upgrade(made)
        yield made


async def test_the_version_of_before_runs_on_the_schema_of_the_next(url: str, tmp_path: Path) -> None:
    _, head = await migrate.state(url)
    assert head is not None
    await asyncio.to_thread(upgraded, tmp_path / "next", url, head, breaks=False)
    await migrate.upgrade(url)  # as every start does: it must neither fail nor take anything away
    assert (await migrate.state(url))[0] == "9999"
    ledger = session.open_ledger(url, owner="before", pool=2)
    try:
        async with ledger.write() as db:
            sealer = secrets.Sealer("a master key of the test that is long enough")
            enabled = ConnectionState.ENABLED
            await connections.put(db, sealer, "shop", "http", {}, {"hook_secret": "x"}, enabled, time.time())
            event = inbox.NewEvent("shop", "hook", "record", "order", None, "d1", "{}", None, trace="0" * 32)
            assert len([one for one in await inbox.append(db, [event]) if one is not None]) == 1
        async with ledger.write() as db:
            assert [one.connection_key for one in await claims.claim(db, 10, "before", 60)] == ["shop"]
    finally:
        await ledger.close()
    config = settings.Settings(data_dir=tmp_path, database_url=url, secret_key="k" * 40)
    lines = [one for one in await health.examine(config) if one.subject == "schema"]
    assert [one.level for one in lines] == ["warning"]


async def test_a_schema_that_breaks_is_refused_with_the_way_back(url: str, tmp_path: Path) -> None:
    _, head = await migrate.state(url)
    assert head is not None
    await asyncio.to_thread(upgraded, tmp_path / "next", url, head, breaks=True)
    with pytest.raises(references.Unusable, match="restore the backup"):
        await migrate.upgrade(url)
    ledger = session.open_ledger(url, owner="look", pool=1)
    try:
        async with ledger.read() as db:
            found = (await db.exec_driver_sql("SELECT value FROM settings WHERE key = 'schema_floor'")).scalar()
    finally:
        await ledger.close()
    assert json.loads(str(found)) == "9999"

"""A ledger that was put back: what may have been sent since is asked or parked, what came later goes out as ever."""

from __future__ import annotations

import secrets as randomness
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import backup, migrate
from gateway.trial import postgres
from retry_queue import replay
from retry_queue.ledger import recovery, secrets, session
from retry_queue.ledger.states import ConnectionState
from tests.ledger import hub as hubs
from tests.ledger import making, target

LATER = "2199-01-01T00:00:00+00:00"


async def marked(ledger: session.Ledger) -> int:
    now = await ledger.now()
    async with ledger.write() as connection:
        return await recovery.mark(connection, now - 3600, now)


async def test_a_message_that_may_have_been_sent_waits_for_a_person(
    database_url: str, ledger: session.Ledger, chat: target.Target
) -> None:
    """Both what waited in the backup and what a source tells again of the time before the restore."""
    await hubs.set_state(ledger, "erp", ConnectionState.PAUSED)
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))

        async def waiting() -> bool:
            return [row.state for row in await worker.deliveries()] == ["pending"]

        await making.until(waiting)
    await hubs.set_state(ledger, "erp", ConnectionState.ENABLED)
    assert await marked(ledger) == 1
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T2"), hubs.order("T3", updated_at=LATER))

        async def ended() -> bool:
            rows = await worker.deliveries()
            return len(rows) == 3 and all(row.state in ("delivered", "parked") for row in rows)

        await making.until(ended)
        states = [(row.state, row.reason) for row in await worker.deliveries()]
        assert sorted(states) == [("delivered", None), ("parked", "restored"), ("parked", "restored")]
        assert [call.body["id"] for call in chat.calls] == ["T3"]
        parked = [row.id for row in await worker.deliveries() if row.state == "parked"]
        async with worker.ledger.write() as connection:
            await replay.some(connection, parked)
        await making.until(lambda: len(chat.calls) == 3, what="a person's word is enough")


async def test_what_may_be_repeated_is_repeated_under_its_key(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    """The target did it before the restore; it is told again, recognises the key and does nothing."""
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        await worker.settled()
    for table in ("attempts", "deliveries", "lanes", "records", "canonicals", "events", "inbox", "tallies"):
        await making.change(ledger, f"DELETE FROM {table}")
    await marked(ledger)
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        assert (await worker.settled()).delivered == 1
    assert len(erp.calls) == 2
    assert len(erp.effects) == 1, "one key"
    assert len(erp.order) == 1, "done once"


@pytest.fixture
def sealer() -> secrets.Sealer:
    return secrets.Sealer(hubs.MASTER)


@pytest.fixture
def empty(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the same kind with nothing in it."""
    if database_url.startswith("sqlite"):
        yield f"sqlite+aiosqlite:///{tmp_path / 'other' / 'ledger.sqlite3'}"
        return
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield url


async def test_a_backup_holds_everything_and_goes_into_an_empty_place(
    database_url: str, ledger: session.Ledger, erp: target.Target, empty: str, sealer: secrets.Sealer, tmp_path: Path
) -> None:
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(20)))
        await worker.settled()
        told = await backup.take(database_url, sealer, tmp_path / "kept" / "one.tar")
        before = await worker.balance()
    file = tmp_path / "kept" / "one.tar"
    assert file.stat().st_mode & 0o077 == 0
    assert backup.read(file) == told
    assert hubs.MASTER.encode() not in file.read_bytes()
    done = await backup.put_back(empty, sealer, file)
    assert done.aside is None
    async with session.opened(empty, owner="look") as other:
        rows = await making.rows(other, "SELECT count(*) AS n FROM deliveries WHERE state = 'delivered'")
        assert rows[0].n == before.delivered == 20
        assert await making.rows(other, "SELECT owner FROM workers") == []
        assert await migrate.state(empty) == await migrate.state(database_url)


async def test_what_does_not_fit_is_refused_and_nothing_is_touched(
    database_url: str, ledger: session.Ledger, empty: str, sealer: secrets.Sealer, tmp_path: Path
) -> None:
    file = tmp_path / "one.tar"
    await backup.take(database_url, sealer, file)
    with pytest.raises(backup.Refused, match="SHUNIU_SECRET_KEY"):
        await backup.put_back(empty, secrets.Sealer(randomness.token_urlsafe(32)), file)
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    bad = tmp_path / "bad.tar"
    bad.write_bytes(whole)
    with pytest.raises(backup.Refused):
        await backup.put_back(empty, sealer, bad)
    with pytest.raises(backup.Refused, match="no backup"):
        backup.read(Path(__file__))
    revision, _ = await migrate.state(empty)
    assert revision is None


def test_the_newest_client_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pg_dump that is older than its server refuses to work."""
    older: Callable[[str], str | None] = lambda _name: str(script)  # noqa: E731
    script = tmp_path / "pg_dump"
    script.write_text("#!/bin/sh\necho pg_dump 9.1\n")
    script.chmod(0o755)
    monkeypatch.setattr(shutil, "which", older)
    found = backup._tool("pg_dump")
    assert found != str(script) or postgres.binaries() is None


async def test_sqlite_is_kept_beside_what_replaces_it(sqlite_url: str, sealer: secrets.Sealer, tmp_path: Path) -> None:
    await migrate.upgrade(sqlite_url)
    file = tmp_path / "one.tar"
    await backup.take(sqlite_url, sealer, file)
    done = await backup.put_back(sqlite_url, sealer, file)
    assert done.aside is not None
    with sqlite3.connect(done.aside) as old:
        assert old.execute("SELECT count(*) FROM settings").fetchone()[0] >= 0

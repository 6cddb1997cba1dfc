"""What the driver raises is told apart: the ledger is away, or the statement is to blame."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from retry_queue.ledger import session, sql


@pytest.mark.postgres
async def test_a_driver_that_was_cut_off_is_a_ledger_that_is_away(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator ended connections: the driver lost its place, workers died of it and senders were told 500."""
    async with session.opened(postgres_url, owner="w") as ledger:

        async def lost(*_given: object, **_named: object) -> None:
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

        for way in ("prepare", "fetch"):  # while connecting, and by our own statements
            with monkeypatch.context() as patched:
                patched.setattr(asyncpg.Connection, way, lost)
                with pytest.raises(session.LedgerUnavailable, match="another operation"):
                    await ledger.now()
            assert await ledger.now() > 0
        with pytest.raises(DBAPIError):
            async with ledger.read() as connection:
                await connection.exec_driver_sql("SELECT no_such_column")


_NAP = sql.Statement("SELECT pg_sleep(30)")
_SET = sql.Statement(
    "INSERT INTO settings (key, value, updated_at) VALUES ('t', {1}, 0)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING value"
)
_WRONG = sql.Statement("SELECT 1 / 0 FROM {src}", "secret text")


@pytest.mark.postgres
async def test_a_statement_given_up_leaves_neither_its_lock_nor_its_connection(postgres_url: str) -> None:
    """A worker that is stopped cancels what is under way: the row would stay locked while the connection is pooled."""
    async with session.opened(postgres_url, owner="w", pool=1) as ledger:

        async def stopped() -> None:
            async with ledger.write() as connection:
                assert len(await _SET.run(connection, (), "7")) == 1
                await _NAP.run(connection)

        task = asyncio.create_task(stopped())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5), ledger.write() as connection:
            assert [row.value for row in await _SET.run(connection, (), "8")] == ["8"]
        async with ledger.read() as connection:
            left = await connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(30)' AND state = 'active'"
            )
            assert left.scalar_one() == 0


@pytest.mark.postgres
async def test_what_a_statement_is_to_blame_for_is_no_absence_and_tells_nothing(postgres_url: str) -> None:
    async with session.opened(postgres_url, owner="w", pool=1) as ledger:
        for _ in range(3):
            with pytest.raises(DBAPIError) as refused:
                async with ledger.write() as connection:
                    await _SET.run(connection, (), "9")
                    await _WRONG.run(connection, [("13800138000",)])
            assert "division by zero" in str(refused.value)
            assert "13800138000" not in str(refused.value), "errors reach the log"
        async with ledger.write() as connection:  # the connection is as good as before, and nothing was written
            assert (await _SET.run(connection, (), "10"))[0].value == "10"


@pytest.mark.postgres
async def test_a_process_that_stops_inside_a_transaction_does_not_stop_the_others(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row locks held up those who wanted to bury it, and with them their own heartbeats."""
    monkeypatch.setattr(session, "IDLE", "500ms")
    statement = "INSERT INTO settings (key, value, updated_at) VALUES ('lock', '1', 0)"
    through = False
    async with session.opened(postgres_url, owner="w1") as stopped, session.opened(postgres_url, owner="w2") as other:
        with pytest.raises(session.LedgerUnavailable):
            async with stopped.write() as connection:
                await connection.exec_driver_sql(statement)
                async with asyncio.timeout(10), other.write() as second:  # the same key: it waits for the first
                    await second.exec_driver_sql(statement)
                    through = True
        assert through


async def test_a_write_given_up_in_the_middle_lets_others_write(database_url: str, ledger: session.Ledger) -> None:
    """The error of a cancelled write held its statement, that its closed connection, and that SQLite's only lock."""

    async def busy(other: session.Ledger) -> None:
        while True:
            async with other.write() as connection:
                await connection.execute(text("UPDATE settings SET value = '1' WHERE key = 'none'"))
                await connection.execute(text("SELECT count(*) FROM inbox"))

    kept = []
    for turn in range(25):
        async with session.opened(database_url, owner=f"w{turn}", pool=8) as other:
            tasks = [asyncio.create_task(busy(other)) for _ in range(8)]
            await asyncio.sleep(0.02 + turn / 500)
            for task in tasks:
                task.cancel()
            kept.append(await asyncio.gather(*tasks, return_exceptions=True))
        async with asyncio.timeout(8), ledger.write() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM inbox"))).scalar_one() == 0

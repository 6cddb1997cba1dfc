"""What the driver raises is told apart: the ledger is away, or the statement is to blame."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from retry_queue.ledger import session


@pytest.mark.postgres
async def test_a_driver_that_was_cut_off_is_a_ledger_that_is_away(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator ended connections: the driver lost its place, workers died of it and senders were told 500."""
    async with session.opened(postgres_url, owner="w") as ledger:

        async def lost(*_given: object, **_named: object) -> None:
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

        with monkeypatch.context() as patched:
            patched.setattr(asyncpg.Connection, "prepare", lost)
            with pytest.raises(session.LedgerUnavailable, match="another operation"):
                await ledger.now()
        assert await ledger.now() > 0
        with pytest.raises(DBAPIError):
            async with ledger.read() as connection:
                await connection.exec_driver_sql("SELECT no_such_column")


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

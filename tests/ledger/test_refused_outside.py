"""A connection was refused, the hub went down, its secret was changed where it lives, and the hub came up again."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from gateway import outside
from retry_queue.ledger import audit, configuration, connections, session
from retry_queue.ledger.states import ConnectionState
from tests.ledger import hub as hubs
from tests.ledger import making, target

BEFORE, AFTER = "Canary-Of-The-Erp", "canary-of-the-erp"
"""They differ by capitals only: to a system these are two secrets."""


async def _erp(ledger: session.Ledger, url: str, where: str) -> None:
    config = {"verify_style": "closed", "base_url": url, "record_path": "/orders", "auth_style": "bearer"}
    async with ledger.write() as db:
        await connections.put(
            db, hubs.SEALER, "erp", "http", config, {"auth_secret": where}, ConnectionState.ENABLED, time.time(),
            referred={"auth_secret"},
        )  # fmt: skip
        await configuration.touch(db)


async def _row(ledger: session.Ledger) -> connections.Row:
    async with ledger.read() as db:
        row = await connections.get(db, "erp")
    assert row is not None
    return row


async def test_a_refused_connection_stayed_refused_when_its_secret_was_changed_while_the_hub_was_down(
    ledger: session.Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "FILE_SECONDS", 0.05)
    (tmp_path / "erp").write_text(BEFORE)
    sources = (f"file:{tmp_path}",)

    async def is_(state: ConnectionState) -> None:
        async def so() -> bool:
            return (await _row(ledger)).state is state

        await making.until(so, 20.0, str(state))

    async with hubs.targets("erp") as made:
        erp = made["erp"]
        await hubs.source(ledger)
        await _erp(ledger, erp.url, f"file:{tmp_path}/erp")
        await hubs.route(ledger)
        erp.judge = lambda _body: target.Answer(401)
        async with hubs.running(database_url, sources=sources) as worker:
            await worker.push(hubs.order("A-1"))
            await is_(ConnectionState.NEEDS_AUTH)
            row = await _row(ledger)
            stored = await making.rows(ledger, "SELECT reason FROM connections WHERE key = 'erp'")
        assert row.refused == row.proof(hubs.SEALER, {"auth_secret": BEFORE})
        assert connections.REFUSED not in (row.reason or {}), "what people and the API see of it are the words alone"
        assert BEFORE not in stored[0].reason
        assert json.loads(stored[0].reason)[connections.REFUSED] == row.refused

        calls = len(erp.calls)
        async with hubs.running(database_url, sources=sources):  # the same secret: it would only be refused again
            await asyncio.sleep(1.0)
        assert ((await _row(ledger)).state, len(erp.calls)) == (ConnectionState.NEEDS_AUTH, calls)

        (tmp_path / "erp").write_text(AFTER)
        async with hubs.running(database_url, sources=sources) as worker:  # refused as well: one try, no more

            async def again() -> bool:
                return (await _row(ledger)).refused == row.proof(hubs.SEALER, {"auth_secret": AFTER})

            await making.until(again, 20.0, "the new secret to be refused as well")
            await asyncio.sleep(0.5)
            assert len(erp.calls) == calls + 1

        (tmp_path / "erp").write_text(BEFORE)
        erp.judge = lambda _body: None
        async with hubs.running(database_url, sources=sources) as worker:
            found = await worker.settled()
            assert (found.difference, erp.records.keys()) == (0, {"A-1"})
            await is_(ConnectionState.ENABLED)
    assert (await _row(ledger)).refused == ""
    async with ledger.read() as db:
        told = [one.action for one in await audit.search(db, limit=9)]
    assert told == ["connection.enabled"] * 2

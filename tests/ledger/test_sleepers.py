"""A process that slept: what it had claimed is somebody else's by now, and it must not be sent a second time."""

from __future__ import annotations

import asyncio

import pytest

from retry_queue import holdings
from retry_queue.ledger import outbox, session, workers
from tests.ledger import hub as hubs
from tests.ledger import making, target


async def test_who_slept_sends_nothing_of_what_it_had_claimed(
    database_url: str, ledger: session.Ledger, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Woken after others had buried it, a worker went on with its queue: each of them was done twice."""
    erp.gate.clear()
    async with hubs.running(database_url) as sleeper:
        await sleeper.push(*(hubs.order(f"T{number}") for number in range(60)))
        await making.until(lambda: erp.waiting >= 16, 20.0, "calls")
        before = len(erp.calls)
        monkeypatch.setattr(holdings, "UNHEARD", -1.0)  # as after a long sleep: nobody can have heard of it lately
        async with ledger.write() as connection:
            await workers.bury(connection, [sleeper.ledger.owner])
        erp.gate.set()
        await asyncio.sleep(0.6)
        assert len(erp.calls) == before, "it went on sending"
        monkeypatch.setattr(holdings, "UNHEARD", 7.0)
        await sleeper.settled(30.0)
    assert set(erp.effects.values()) == {1}


async def test_what_is_in_doubt_stays_so_when_it_is_given_back(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    """An interrupted delivery that was given back counted as untried, and would have been sent again unasked."""
    await making.owe(ledger, "E1")
    worker = await hubs.build(database_url)
    async with ledger.write() as connection:
        await outbox.claim(connection, "erp", 10, "dead", 120.0, {})
        await outbox.release(connection, ["dead"])
    async with worker.ledger.write() as connection:
        (claimed,) = await outbox.claim(connection, "erp", 10, worker.ledger.owner, 120.0, {})
    assert claimed.interrupted
    await worker.pumps._give_back(claimed)
    assert [row.state for row in await worker.deliveries()] == ["in_flight"]
    await worker.hub.close()

"""Seats: a process that others took for dead comes back, and does nothing with what it held before."""

from __future__ import annotations

import asyncio

import pytest

from gateway import wiring
from retry_queue import holdings
from retry_queue.ledger import session, workers
from tests.ledger import hub as hubs
from tests.ledger import making, target


async def test_who_was_taken_for_dead_comes_back_under_a_new_seat(database_url: str, erp: target.Target) -> None:
    """T-16: a process that was stopped for a while; its late results count for nothing, and then it goes on."""
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        await worker.settled()
        async with worker.ledger.write() as connection:
            await workers.bury(connection, [worker.ledger.owner])

        async def back() -> bool:
            rows = await making.rows(worker.ledger, "SELECT role, slot FROM workers")
            return [(row.role, row.slot) for row in rows] == [("test", worker.ledger.slot)]

        await making.until(back)
        await worker.push(hubs.order("T2"))
        assert (await worker.settled()).delivered == 2


async def test_who_was_taken_for_dead_sends_nothing_of_what_it_had_claimed(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    """What waited for a free slot was sent by both, and a system that is looked up first had it twice."""
    erp.gate.clear()
    async with hubs.running(database_url) as stopped:
        await stopped.push(*(hubs.order(f"T{n}") for n in range(60)))
        await making.until(lambda: erp.waiting == 16)

        async def claimed() -> bool:
            return len([row for row in await stopped.deliveries() if row.state == "in_flight"]) > 30

        await making.until(claimed)
        seat = stopped.pumps._seat._seated
        async with ledger.write() as connection:
            await workers.bury(connection, [stopped.ledger.owner])
        await making.until(lambda: stopped.pumps._seat._seated > seat)
        async with hubs.running(database_url) as other:
            erp.gate.set()
            assert (await other.settled()).delivered == 60
    assert len(erp.calls) <= 60 + 16, "only what was under way may have been called twice"
    assert len(erp.order) == 60


async def test_no_call_begins_without_a_confirmed_heartbeat(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped for a while goes on before its next heartbeat: it must ask first."""
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T0"))
        await worker.settled()
        erp.gate.clear()
        await worker.push(*(hubs.order(f"T{n}") for n in range(1, 60)))
        await making.until(lambda: erp.waiting == 16)
        monkeypatch.setattr(holdings, "UNHEARD", 0.0)
        calls = len(erp.calls)
        erp.gate.set()
        await making.until(lambda: not erp.waiting)
        await asyncio.sleep(0.5)
        assert len(erp.calls) == calls
        monkeypatch.setattr(holdings, "UNHEARD", 8.0)
        assert (await worker.settled()).delivered == 60
        assert len(erp.calls) == 60


async def test_a_process_without_pumps_takes_a_new_seat_when_its_heartbeat_is_refused(database_url: str) -> None:
    """It was ignored: an API that was taken for dead once stayed without a seat, and its counts shared a slot."""
    worker = await hubs.build(database_url)
    hub = worker.hub
    watching = asyncio.create_task(wiring.watch(hub))
    async with hub.ledger.write() as connection:
        await workers.bury(connection, [hub.ledger.owner])

    async def back() -> bool:
        rows = await making.rows(hub.ledger, "SELECT owner, slot FROM workers")
        return [(row.owner, row.slot) for row in rows] == [(hub.ledger.owner, hub.ledger.slot)]

    await making.until(back)
    hub.stopped.set()
    await watching
    await hub.close()

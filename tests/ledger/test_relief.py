"""Relief: who took a burst in helps to plan it, and no worker waits for its next sweep to hear of that."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from gateway import wiring
from retry_queue import relief, sweep
from retry_queue.ledger import configuration, connections, inbox
from retry_queue.ledger.states import ConnectionState
from tests.ledger import hub as hubs
from tests.ledger import making, target

HINT = inbox.NewEvent("k3", "sales_orders", "order_row", "order", "SO1", "SO1@1", '{"FBillNo": "SO1"}', None, "t")


@contextlib.asynccontextmanager
async def helping(
    hub: wiring.Hub, calm: Callable[[], float], told: Callable[[Mapping[str, bool]], None]
) -> AsyncIterator[None]:
    """A process beside the workers that plans when ``calm`` says that it has time."""
    stopped = asyncio.Event()
    made = relief.Relief(hub.ledger, hub.current, hub.calls, hub.sealer, hub.reload, told, lambda: None)
    task = asyncio.create_task(made.run(stopped, calm))
    try:
        yield
    finally:
        stopped.set()
        await task


async def test_who_has_time_plans_what_the_workers_are_behind_with(database_url: str, erp: target.Target) -> None:
    """No worker runs. What needs a detail call stays theirs, and while hand-ins come nothing is planned at all."""
    worker = await hubs.build(database_url)
    config = {"server_url": "http://127.0.0.1:9/k3cloud/", "acct_id": "5f", "user_name": "u", "app_id": "a_b",
              "login_style": "app_secret"}  # fmt: skip
    async with worker.ledger.write() as db:
        state = ConnectionState.ENABLED
        await connections.put(db, hubs.SEALER, "k3", "kingdee", config, {"app_secret": "s"}, state, time.time())
        await configuration.touch(db)
    await worker.hub.reload()
    assert worker.hub.site.workers_own == ("k3",)
    await worker.push(*(hubs.order(f"T{n}") for n in range(250)))
    await worker.hub.appender.append([HINT])
    planned: list[Mapping[str, bool]] = []
    async with helping(worker.hub, lambda: 0.0, planned.append):
        await asyncio.sleep(1.2)
        assert await worker.deliveries() == []
    async with helping(worker.hub, lambda: worker.hub.appender.calm, planned.append):

        async def all_planned() -> bool:
            return len(await worker.deliveries()) == 250

        await making.until(all_planned, 20.0, "250 deliveries")
        await asyncio.sleep(2 * relief.LOOK)
    assert {"erp": False} in planned
    assert erp.calls == []
    (hint,) = await making.rows(worker.ledger, "SELECT state, owner, fence FROM inbox WHERE connection_key = 'k3'")
    assert tuple(hint) == ("received", None, 0)
    found = await worker.balance()
    assert (found.difference, found.received, found.in_flight) == (0, 251, 251)
    await worker.hub.close()


async def test_a_worker_that_is_rung_delivers_what_another_process_planned(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PERIOD", 60.0)
    async with hubs.running(database_url) as worker:
        await asyncio.sleep(0.5)  # its first sweep is over, and found nothing
        other = await hubs.build(database_url)
        await other.push(hubs.order("T1"))
        async with helping(other.hub, lambda: 1.0, lambda _targets: worker.pumps.rung()):

            async def arrived() -> bool:
                return bool(erp.calls)

            await making.until(arrived, 10.0, "the order at the target")
            assert (await worker.settled()).delivered == 1
        await other.hub.close()

"""Long connections in the hub: led by one process, confirmed after the commit, paused when credentials are refused."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors.core import channel
from connectors.dingtalk import simulator
from connectors.simulator import engine
from retry_queue.ledger import configuration, connections
from retry_queue.ledger.states import ConnectionState
from tests.conformance import messaging
from tests.ledger import hub, making
from webhooks import streams


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(streams, "BEAT", 0.3)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["dingtalk"], time_scale=0.001) as base:
        yield base


def ding_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["dingtalk"]
    assert isinstance(found, simulator.Simulator)
    return found


async def connect(worker: hub.Worker, url: str, **changes: Any) -> None:
    owner = messaging.dingtalk(url, **changes)
    async with worker.ledger.write() as db:
        state = ConnectionState.ENABLED
        await connections.put(
            db, hub.SEALER, "ding", "dingtalk", dict(owner.config), dict(owner.secrets), state, time.time()
        )
        await configuration.touch(db)
    await worker.hub.reload()


@contextlib.asynccontextmanager
async def listening(worker: hub.Worker) -> AsyncIterator[Callable[[], bool]]:
    """The streams of one process at work; gives whether it leads one."""
    halt = asyncio.Event()
    held = streams.Streams(worker.ledger, worker.hub.doors, worker.hub.appender)
    task = asyncio.create_task(held.run(halt))
    try:
        yield lambda: bool(held._running)
    finally:
        halt.set()
        await asyncio.wait_for(task, 15)


async def events(worker: hub.Worker) -> list[Any]:
    query = "SELECT e.message, e.record, e.source, i.state FROM events e JOIN inbox i ON i.id = e.id ORDER BY e.id"
    return await making.rows(worker.ledger, query)


async def test_what_comes_over_the_stream_is_in_the_inbox_before_it_is_confirmed(
    url: engine.Url, sqlite_url: str
) -> None:
    sim = ding_of(url)
    async with hub.running(sqlite_url) as worker:
        await connect(worker, url)
        async with listening(worker):
            await making.until(lambda: sim.channel.open, 10, "a socket")
            sim.faults.duplicate_push = 2
            async with messaging.control(url, "dingtalk") as http:
                for number in range(5):
                    body = {"EventType": "bpms_instance_change", "processInstanceId": f"PI-{number}", "type": "delete"}
                    await http.post("/events", json=body)

            def confirmed() -> bool:
                return {one.state for one in sim.channel.events} == {"acknowledged"}

            await making.until(confirmed, 10, "every event confirmed")
            found = await events(worker)
        balance = await worker.settled()
    assert sorted((one.message, one.record, one.source) for one in found) == [
        ("approval_deleted", f"PI-{number}", "stream") for number in range(5)
    ]
    assert (balance.received, balance.duplicate, balance.filtered) == (10, 5, 5)


async def test_two_processes_open_one_socket_and_the_other_takes_over(url: engine.Url, sqlite_url: str) -> None:
    """Each event goes to one random connection of the application: two readers would only be two places to fail."""
    sim = ding_of(url)
    async with hub.running(sqlite_url) as first, hub.running(sqlite_url) as second:
        await connect(first, url)
        await second.hub.reload()
        async with listening(second):
            async with listening(first):
                await making.until(lambda: sim.channel.open, 10, "a socket")
                await asyncio.sleep(0.8)
                assert len(sim.channel.open) == 1
            await making.until(lambda: len(sim.channel.open) == 1, 20, "the other's socket")
            async with messaging.control(url, "dingtalk") as http:
                await http.post("/events", json={"EventType": "user_add_org", "userId": ["u1"]})

            async def kept() -> bool:
                return [one.message for one in await events(second)] == ["staff"]

            await making.until(kept, 10, "the event")


async def test_refused_credentials_pause_the_connection(url: engine.Url, sqlite_url: str) -> None:
    async with hub.running(sqlite_url) as worker:
        await connect(worker, url, app_secret="wrong")
        async with listening(worker) as leads:

            async def paused() -> Any:
                rows = await making.rows(worker.ledger, "SELECT state, reason FROM connections WHERE key = 'ding'")
                return rows[0].state == "needs_auth" and rows[0].reason

            reason = await making.until(paused, 10, "needs_auth")
            assert "Client Secret" in reason
            await worker.hub.reload()
            await making.until(lambda: not leads(), 10, "the end of the stream")
            await connect(worker, url)
            await making.until(lambda: ding_of(url).channel.open, 10, "a socket with the right secret")

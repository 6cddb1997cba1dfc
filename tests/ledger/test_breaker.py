"""Breakers with real workers, sockets and databases: a dead system is left alone, and comes back gently."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from retry_queue.ledger import session
from retry_queue.ledger.states import DeliveryState
from retry_queue.sync import breaker
from tests.ledger import hub as hubs
from tests.ledger import making, target

RULE = breaker.Rule(streak=3, span=0.1, probe=0.5, step=0.3, recovery=1.5)
DOWN = target.Answer(503, b"down")


async def state(worker: hubs.Worker, operation: str = "") -> str:
    rows = await making.rows(
        worker.ledger, "SELECT state FROM breakers WHERE operation = :operation", operation=operation
    )
    return str(rows[0].state) if rows else "closed"


def opened(worker: hubs.Worker, operation: str = "") -> Any:
    async def check() -> bool:
        return await state(worker, operation) == "open"

    return check


async def test_a_dead_system_is_left_alone_and_comes_back_gently(
    database_url: str, erp: target.Target, quick: None
) -> None:
    """T-24 in small, with two workers: probes, failures not counted, an ordered drain that widens."""
    async with hubs.running(database_url, rule=RULE) as worker, hubs.running(database_url, rule=RULE):
        erp.judge = lambda _body: DOWN
        await worker.push(*(hubs.order(f"T{n}") for n in range(3)))
        await making.until(opened(worker))
        await asyncio.sleep(0.3)
        failures = {row.id: row.failures for row in await worker.deliveries()}
        before = len(erp.calls)
        await worker.push(*(hubs.order(f"T{n}", 1, total="2.00") for n in range(60)))
        await asyncio.sleep(2.3)
        probes = [call.at for call in erp.calls[before:]]
        assert 2 <= len(probes) <= 5, "one per period, over both workers"
        assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(probes))
        rows = await worker.deliveries()
        assert all(row.failures == failures.get(row.id, 0) for row in rows), "a probe burns no try"
        assert {row.state for row in rows} <= {"pending", "retrying", "superseded", "in_flight"}
        erp.judge = lambda _body: None
        came = len(erp.calls)
        found = await worker.settled(30.0)
        assert found.dead == 0
        assert {erp.records[f"T{n}"]["total"] for n in range(60)} == {"2.00"}, "the newest state, and no other after it"
        assert max(erp.effects.values()) == 1
        drained = [call.at for call in erp.calls[came:]]
        assert sum(at - drained[0] < 0.25 for at in drained) <= 40, "not everything in the first moment"

        async def closed() -> bool:
            await worker.push(hubs.order("late", 2))
            return await state(worker) in ("closed", "ramping")

        await making.until(closed)


async def test_what_needs_no_probe_is_not_called(database_url: str, erp: target.Target, quick: None) -> None:
    """Opened by a person: nothing at all goes out, also after the probe's time, until a person closes it."""
    async with hubs.running(database_url, rule=RULE) as worker:
        await making.change(
            worker.ledger,
            "INSERT INTO breakers (connection_key, operation, state, since, streak, streak_at, good, bad, window_at,"
            " next_probe_at, by) VALUES ('erp', '', 'open', 0, 0, 0, 0, 0, 0, 1e11, 'li')",
        )
        await worker.push(*(hubs.order(f"T{n}") for n in range(5)))
        await asyncio.sleep(1.2)
        assert erp.calls == []
        assert {row.state for row in await worker.deliveries()} == {"pending"}
        await making.change(worker.ledger, "DELETE FROM breakers")
        assert (await worker.settled()).delivered == 5


async def test_a_ban_is_kept_by_every_worker(database_url: str, erp: target.Target) -> None:
    """T-23: not one call until the ban is over, though two workers have plenty to send."""
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T0"))
        await worker.settled()
        (claimed,) = await making.rows(worker.ledger, "SELECT max(id) AS id FROM deliveries")
        result = making.result(await owed(worker.ledger), DeliveryState.RETRYING, 0.0, banned=1.5)
        async with worker.ledger.write() as connection:
            gate = worker.pumps._gates
            gate.took(await gate.record(connection, [result], {result.delivery.id}, worker.hub.site))
        loop = asyncio.get_running_loop()
        begun, before = loop.time(), len(erp.calls)
        await worker.push(*(hubs.order(f"N{n}") for n in range(20)))
        await worker.settled()
        assert min(call.at for call in erp.calls[before:]) - begun >= 1.4
        assert claimed.id


async def owed(ledger: session.Ledger) -> Any:
    """A claimed delivery of a target that nobody works on."""
    await making.owe(ledger, "elsewhere", lane_name="erp/order/none", delay=60.0)
    await making.change(ledger, "UPDATE lanes SET next_at = 0 WHERE lane = 'erp/order/none'")
    await making.change(ledger, "UPDATE deliveries SET next_at = 0 WHERE lane = 'erp/order/none'")
    (made,) = await making.claim(ledger)
    await making.settle(ledger, making.result(made, DeliveryState.SKIPPED))
    return made


@pytest.mark.parametrize("reason", ["unavailable", None])
async def test_only_trouble_of_the_system_counts(
    database_url: str, erp: target.Target, quick: None, reason: str | None
) -> None:
    """Records that are refused one after the other say that it works."""
    erp.judge = lambda _body: DOWN if reason else target.Answer(422)
    async with hubs.running(database_url, rule=RULE) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(8)))
        if reason:
            await making.until(opened(worker))
            return
        assert (await worker.settled()).dead == 8
        assert await state(worker) == "closed"

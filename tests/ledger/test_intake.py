"""Intake over a real ledger: who plans, in which order, and what is joined."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from retry_queue import replay
from retry_queue.ledger import inbox, records, session
from retry_queue.sync import intake
from tests.ledger import hub as hubs
from tests.ledger import making, target

Open = Callable[[str], session.Ledger]


def gated(worker: hubs.Worker, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """(reached, go): this worker's next planning stops between its decision and its write."""
    reached, go = asyncio.Event(), asyncio.Event()
    real = worker.pumps._intake._write

    async def stops(*given: Any, **how: Any) -> Any:
        reached.set()
        await go.wait()
        return await real(*given, **how)

    monkeypatch.setattr(worker.pumps._intake, "_write", stops)
    return reached, go


@pytest.fixture
async def pair(database_url: str, erp: target.Target) -> Any:
    """Two workers whose pumps do not run: the tests plan step by step."""
    workers = [await hubs.build(database_url) for _ in range(2)]
    for worker in workers:
        worker.pumps._intake._poke = lambda _targets: None  # planned, and left there
    yield workers
    for worker in workers:
        await worker.hub.close()


async def outcome(worker: hubs.Worker) -> list[tuple[str, str | None]]:
    rows = await making.rows(worker.ledger, "SELECT state, reason FROM inbox ORDER BY id")
    return [(row.state, row.reason) for row in rows]


async def test_a_planner_that_lost_its_lease_leaves_the_event_to_the_next(
    pair: list[hubs.Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-16: a state kept by the late one would look unchanged to the other, and nobody would deliver it."""
    late, other = pair
    await late.push(hubs.order("T1"))
    monkeypatch.setattr(intake, "LEASE", 0.0)
    reached, go = gated(late, monkeypatch)
    first = asyncio.create_task(late.pumps._intake.step(10))
    await reached.wait()
    monkeypatch.setattr(intake, "LEASE", 60.0)
    reached_too, go_too = gated(other, monkeypatch)
    second = asyncio.create_task(other.pumps._intake.step(10))
    await reached_too.wait()
    go.set()
    await first
    assert await outcome(other) == [("received", None)]
    assert await making.rows(other.ledger, "SELECT 1 FROM records") == []
    go_too.set()
    await second
    assert await outcome(other) == [("planned", None)]
    assert len(await other.deliveries()) == 1
    assert (await other.balance()).difference == 0


@pytest.mark.parametrize("known", [False, True])
async def test_copies_of_one_push_planned_by_two_processes_at_once_are_delivered_once(
    pair: list[hubs.Worker], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Both decided before either wrote: the buyer got two messages. The later one decides again.

    What keeps two planners to a record's order cannot see what is claimed in the same instant.
    """

    async def nothing(*_given: object) -> set[int]:
        return set()

    monkeypatch.setattr(inbox, "behind", nothing)
    one, other = pair
    if known:
        await one.push(hubs.order("T1"))
        await one.pumps._intake.step(10)
    before = len(await one.deliveries())
    steps = []
    for worker, name in ((one, "a"), (other, "b")):
        await worker.push(hubs.order("T1", 5, total="199.00", push_id=name))
        reached, go = gated(worker, monkeypatch)
        steps.append((asyncio.create_task(worker.pumps._intake.step(10)), go))
        await reached.wait()
    for step, go in steps:
        go.set()
        await step
    assert (await outcome(one))[-2:] == [("planned", None), ("skipped", "unchanged")]
    assert len(await one.deliveries()) == before + 1
    assert (await one.balance()).difference == 0


async def test_what_is_still_ours_is_planned_when_a_part_was_lost(
    pair: list[hubs.Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, _ = pair
    await late.push(*(hubs.order(f"T{n}") for n in range(4)))
    reached, go = gated(late, monkeypatch)
    step = asyncio.create_task(late.pumps._intake.step(10))
    await reached.wait()
    await making.change(late.ledger, "UPDATE inbox SET fence = fence + 1, owner = 'x' WHERE dedupe IN "
                                     "(SELECT dedupe FROM inbox ORDER BY id LIMIT 1)")  # fmt: skip
    go.set()
    await step
    states = [state for state, _ in await outcome(late)]
    assert sorted(states) == ["planned", "planned", "planned", "received"]
    assert len(await late.deliveries()) == 3
    assert (await late.balance()).difference == 0


@pytest.mark.parametrize("timed", [True, False])
async def test_two_planners_of_one_record_keep_the_order_of_arrival(
    pair: list[hubs.Worker], monkeypatch: pytest.MonkeyPatch, timed: bool
) -> None:
    """T-27: two updates of one second (or without any time), planned by two processes: each in its turn, none stale."""
    slow, quick = pair
    times = {} if timed else {"updated_at": None}
    await slow.push(hubs.order("T1", status="paid", **times))
    reached, go = gated(slow, monkeypatch)
    first = asyncio.create_task(slow.pumps._intake.step(10))
    await reached.wait()
    await quick.push(hubs.order("T1", status="shipped", **times))
    assert await quick.pumps._intake.step(10) == 0
    go.set()
    await first
    await asyncio.sleep(inbox.TURN + 0.05)
    assert await quick.pumps._intake.step(10) == 1
    assert await outcome(quick) == [("planned", None), ("planned", None)]
    async with quick.ledger.read() as connection:
        known = (await records.find(connection, [("shop", "order", "T1")]))[("shop", "order", "T1")]
    assert orjson.loads(str(known.canonical))["status"] == "shipped"


async def test_a_state_that_came_back_is_newer_than_what_lay_between(pair: list[hubs.Worker]) -> None:
    """paid (1) · paid (3) · held (2, late): the late one must not win though its content is new."""
    worker, _ = pair
    for minute, note in ((1, "a"), (3, "a"), (2, "b")):
        await worker.push(hubs.order("T1", minute, buyer_note=note))
        await worker.pumps._intake.step(10)
    assert [reason for _, reason in await outcome(worker)] == [None, "unchanged", "stale"]


async def test_a_ledger_that_is_away_for_a_moment_costs_a_moment(
    pair: list[hubs.Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the minute until the lease of the events is over."""
    worker, _ = pair
    await worker.push(hubs.order("T1"))
    real, failed = records.keep, 0

    async def away(*given: Any) -> Any:
        nonlocal failed
        failed += 1
        if failed < 3:
            raise session.LedgerUnavailable("gone")
        return await real(*given)

    monkeypatch.setattr(records, "keep", away)
    async with asyncio.timeout(10):
        await worker.pumps._intake.step(10)
    assert await outcome(worker) == [("planned", None)]


async def test_a_replayed_event_is_planned_though_nothing_changed(
    pair: list[hubs.Worker], ledger: session.Ledger
) -> None:
    worker, _ = pair
    await hubs.route(ledger, when='order.status == "shipped"')
    await worker.hub.reload()
    await worker.push(hubs.order("T1"))
    await worker.pumps._intake.step(10)
    assert await outcome(worker) == [("skipped", "filtered")]
    await hubs.route(ledger)
    ((event,),) = await making.rows(ledger, "SELECT id FROM inbox")
    async with ledger.write() as connection:
        await replay.event(connection, ledger.slot, event)
    await worker.pumps._intake.step(10)
    assert await outcome(worker) == [("planned", None)]
    assert (await worker.balance()).difference == 0


def customer(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "name": name, "updated_at": "2024-11-11T00:00:00+00:00"} | more


async def test_customers_with_one_phone_are_one_person(pair: list[hubs.Worker], ledger: session.Ledger) -> None:
    """In one batch and in later ones; masked numbers identify nobody."""
    worker, _ = pair
    for key in ("crm", "mall"):
        await hubs.source(ledger, key, "customer")
    await worker.hub.reload()
    await worker.push(customer("A", phone="13800000001"), customer("B", phone="138****0001"), key="crm")
    await worker.push(customer("C", phone="138****0001"), customer("D", phone="13800000001"), key="mall")
    await worker.pumps._intake.step(10)
    await worker.push(customer("E", phone="13800000002", email="a@x"), customer("F", email="A@X "), key="crm")
    await worker.pumps._intake.step(10)
    await worker.push(customer("G", phone="13800000001", email="a@x"), key="mall")
    await worker.pumps._intake.step(10)
    rows = await making.rows(ledger, "SELECT record, coalesce(link_id, id) AS link FROM records ORDER BY record")
    groups: dict[int, str] = {}
    for row in rows:
        groups[row.link] = groups.get(row.link, "") + row.record
    assert sorted(groups.values()) == ["ADEFG", "B", "C"]
    kept = await making.rows(ledger, "SELECT digest FROM identities")
    assert "13800000001" not in repr(kept)


async def test_a_crowd_is_planned_alone_and_all_others_beside_it(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a promotion a quiet shop's order waited for two full steps of the busy one, a quarter of a second."""
    worker = await hubs.build(database_url)
    plans = worker.pumps._intake
    plans._poke = lambda _targets: None
    reached, go = gated(worker, monkeypatch)

    async def left() -> dict[str, int]:
        rows = await making.rows(
            worker.ledger, "SELECT connection_key, count(*) AS n FROM inbox WHERE state = 'received' GROUP BY 1"
        )
        return {row.connection_key: row.n for row in rows}

    await worker.push(*(hubs.order(f"B{n}") for n in range(200)))
    assert not plans.crowded.is_set()
    go.set()
    assert await plans.step(100) == 100
    assert plans.crowded.is_set()
    go.clear()
    reached.clear()
    await worker.hub.appender.append([making.event(f"q{n}", key="quiet") for n in range(3)])
    full = asyncio.create_task(plans.step(50))  # stops before its write
    await reached.wait()
    monkeypatch.undo()
    assert await plans.others() == 3
    assert await left() == {"shop": 100}, "beside a step that is under way"
    go.set()
    assert await full == 50
    await worker.hub.appender.append([making.event("q9", key="quiet")])
    assert await plans.step(100) == 50, "the crowd's step takes no others"
    assert await left() == {"quiet": 1}
    assert await plans.step(100) == 1, "with nothing left of the crowd nobody is left behind"
    assert not plans.crowded.is_set()
    assert await left() == {}
    assert (await worker.balance()).difference == 0
    await worker.hub.close()

"""Pumps when things break: paused and refused connections, crashes, a ledger that goes away."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import warnings
from typing import Any

import pytest

from gateway import migrate
from gateway.trial import postgres
from retry_queue import replay
from retry_queue.ledger import connections, outbox, session, tallies
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import verdict
from tests.ledger import hub as hubs
from tests.ledger import making, target


async def test_a_paused_connection_keeps_what_it_is_owed_and_resumes(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    async with hubs.targets("crm") as made, hubs.running(database_url) as worker:
        await hubs.sink(ledger, made["crm"].url, "crm")
        await hubs.route(ledger, "beside", "crm")
        await making.until(lambda: "beside" in worker.hub.site.routes)
        await worker.push(hubs.order("T1"))
        await worker.settled()
        await hubs.set_state(ledger, "erp", ConnectionState.PAUSED)
        await making.until(lambda: worker.hub.site.live["erp"].state is ConnectionState.PAUSED)
        await worker.push(*(hubs.order(f"T{n}") for n in range(2, 7)))
        await making.until(lambda: len(made["crm"].records) == 6, what="the other target, which is not paused")
        found = await worker.balance()
        assert (found.delivered, found.in_flight, found.difference) == (1, 5, 0)
        owed = [row for row in await worker.deliveries() if row.connection_key == "erp"]
        assert [row.state for row in owed] == ["delivered"] + ["pending"] * 5
        assert len(erp.calls) == 1
        await hubs.set_state(ledger, "erp", ConnectionState.ENABLED)
        assert (await worker.settled()).delivered == 6
        assert {row.attempt for row in await worker.deliveries()} == {1}


async def test_what_was_claimed_when_the_pause_came_is_given_back(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    erp.gate.clear()
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(60)))
        await making.until(lambda: erp.waiting == 16)
        await hubs.set_state(ledger, "erp", ConnectionState.PAUSED)
        await making.until(lambda: worker.hub.site.live["erp"].state is ConnectionState.PAUSED)
        erp.gate.set()

        async def quiet() -> bool:
            return not [row for row in await worker.deliveries() if row.state == "in_flight"]

        await making.until(quiet)
        assert len(erp.calls) == 16
        await hubs.set_state(ledger, "erp", ConnectionState.ENABLED)
        await worker.settled()
        assert set(erp.effects.values()) == {1}
        assert len(erp.effects) == 60
        assert not await making.rows(ledger, "SELECT 1 FROM deliveries WHERE crashes > 0 OR failures > 0")


async def test_refused_credentials_pause_once_and_burn_nothing(
    database_url: str, ledger: session.Ledger, erp: target.Target, logs: list[Any]
) -> None:
    """T-31: one alert, few calls, no failures counted; after re-authorisation everything arrives."""
    erp.judge = lambda _body: target.Answer(401, b'{"message":"token revoked"}')
    async with hubs.running(database_url) as one, hubs.running(database_url) as two:
        await one.push(*(hubs.order(f"T{n}") for n in range(30)))

        async def refused() -> bool:
            async with ledger.read() as connection:
                row = await connections.get(connection, "erp")
            return row is not None and row.state is ConnectionState.NEEDS_AUTH and row.reason is not None

        await making.until(refused)
        for worker in (one, two):
            await making.until(lambda worker=worker: worker.hub.site.live["erp"].state is ConnectionState.NEEDS_AUTH)

        async def quiet() -> bool:
            return not [row for row in await one.deliveries() if row.state == "in_flight"]

        await making.until(quiet)
        calls = len(erp.calls)
        assert calls <= 2 * 2 * 16 + 8, "refused calls went on after the first refusal"
        await one.push(hubs.order("later"))
        turns = one.pumps.progress
        await making.until(lambda: one.pumps.progress > turns)
        assert len(erp.calls) == calls
        alerts = [entry for entry in logs if entry["event"] == "connection.needs_auth"]
        assert len(alerts) == 1
        rows = await one.deliveries()
        assert {row.failures for row in rows} == {0}
        assert {row.state for row in rows} <= {"retrying", "pending"}
        assert (await one.balance()).difference == 0
        erp.judge = lambda _body: None
        await hubs.set_state(ledger, "erp", ConnectionState.ENABLED)
        found = await one.settled()
        assert (found.delivered, found.dead) == (31, 0)


@pytest.mark.parametrize("operation", ["send", "record.put"])
async def test_a_worker_that_stops_leaves_nothing_that_might_have_been_sent(
    database_url: str, ledger: session.Ledger, chat: target.Target, operation: str
) -> None:
    """T-14: stopping with a backlog, calls under way; the next worker goes on without asking anybody."""
    await hubs.route(ledger, operation=operation)
    chat.gate.clear()
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(60)))
        await making.until(lambda: chat.waiting == 16)
        worker.hub.stopped.set()
        await asyncio.sleep(0)
        chat.gate.set()
    rows = await making.rows(ledger, "SELECT state, crashes FROM deliveries")
    assert len(rows) == 60
    assert {row.state for row in rows} <= {"delivered", "pending"}
    assert sum(row.state == "delivered" for row in rows) == len(chat.calls)
    async with hubs.running(database_url) as worker:
        found = await worker.settled()
    assert (found.delivered, found.parked) == (60, 0)
    assert len(chat.calls) == 60
    assert {row.crashes for row in rows} == {0}


async def crash(worker: hubs.Worker) -> None:
    """As kill -9 would end it: nothing is finished, nothing is given back."""
    tasks = [*worker.work, *worker.pumps._tasks, *worker.pumps._running, *worker.pumps._intake.running]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "beside"], "its connection would never end"
    await worker.hub.calls.aclose()
    await worker.hub.appender.close()
    await worker.hub.bell.close()
    await worker.ledger.close()


async def test_a_step_cancelled_before_its_first_turn_leaves_nothing_unawaited(database_url: str) -> None:
    worker = await hubs.build(database_url)
    worker.pumps._intake.crowded.set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        beside = asyncio.create_task(worker.pumps._beside())
        while not worker.pumps._tasks:
            await asyncio.sleep(0)
        worker.work.append(beside)
        await crash(worker)
        gc.collect()
    assert not [str(one.message) for one in caught]


async def test_after_a_crash_only_what_was_under_way_needs_a_person(
    database_url: str, ledger: session.Ledger, chat: target.Target
) -> None:
    """T-05: messages that were being sent are parked as unknown, all others go on."""
    chat.gate.clear()
    dead = await hubs.build(database_url)
    dead.work.append(asyncio.create_task(dead.pumps.run(dead.hub.stopped)))
    await dead.push(*(hubs.order(f"T{n}") for n in range(40)))
    await making.until(lambda: chat.waiting == 16)
    await crash(dead)
    called = {call.body["id"] for call in chat.calls}
    await making.change(
        ledger, "UPDATE workers SET beat_at = beat_at - 60 WHERE owner = :owner", owner=dead.ledger.owner
    )
    async with hubs.running(database_url) as worker:
        chat.gate.set()

        async def others() -> bool:
            rows = await worker.deliveries()
            return len(rows) == 40 and all(row.state in ("delivered", "parked") for row in rows)

        await making.until(others)
        parked = [row for row in await worker.deliveries() if row.state == "parked"]
        assert {row.reason for row in parked} == {"outcome_unknown"}
        assert len(parked) == len(called) == 16
        assert (await worker.balance()).parked == 16
        assert len(chat.calls) == 40
        async with worker.ledger.write() as connection:
            await replay.some(connection, [parked[0].id])
        await making.until(lambda: len(chat.calls) == 41)


async def test_after_a_crash_what_may_be_repeated_is_repeated_under_its_key(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    erp.gate.clear()
    dead = await hubs.build(database_url)
    dead.work.append(asyncio.create_task(dead.pumps.run(dead.hub.stopped)))
    await dead.push(*(hubs.order(f"T{n}") for n in range(40)))
    await making.until(lambda: erp.waiting == 16)
    await crash(dead)
    await making.change(
        ledger, "UPDATE workers SET beat_at = beat_at - 60 WHERE owner = :owner", owner=dead.ledger.owner
    )
    async with hubs.running(database_url) as worker:
        erp.gate.set()
        found = await worker.settled()
        assert (found.delivered, found.dead) == (40, 0)
        assert len(erp.order) == 40, "an effect was done twice"
        assert {row.failures for row in await worker.deliveries()} == {0}


async def test_a_record_at_which_processes_keep_dying_is_parked(
    database_url: str, ledger: session.Ledger, erp: target.Target
) -> None:
    await hubs.set_state(ledger, "erp", ConnectionState.PAUSED)
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"), hubs.order("T2"))
        await making.until(lambda: worker.deliveries())
        await making.change(
            ledger,
            "UPDATE deliveries SET crashes = :n WHERE id = (SELECT min(id) FROM deliveries)",
            n=verdict.MAX_CRASHES,
        )
        await hubs.set_state(ledger, "erp", ConnectionState.ENABLED)
        await making.until(lambda: len(erp.records) == 1)

        async def parked() -> bool:
            return (await worker.balance()).parked == 1

        await making.until(parked)
        assert len(erp.calls) == 1


async def test_an_error_of_ours_parks_one_and_stops_nobody(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hubs.running(database_url) as worker:
        real = worker.pumps._courier.prepare

        async def breaks(claimed: Any) -> Any:
            if any(delivery.source_record == "T3" for delivery in claimed):
                raise KeyError("a bug")
            return await real(claimed)

        monkeypatch.setattr(worker.pumps._courier, "prepare", breaks)
        await worker.push(*(hubs.order(f"T{n}") for n in range(8)))
        await making.until(lambda: len(erp.records) == 7)

        async def parked() -> bool:
            rows = [row for row in await worker.deliveries() if row.state == "parked"]
            return [row.reason for row in rows] == ["internal"]

        await making.until(parked)
        assert (await worker.balance()).difference == 0


async def test_a_result_that_the_database_refuses_is_parked_and_stops_nobody(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = outbox.settle

    async def refuses(connection: Any, results: Any, worker: str, joined: Any = None) -> Any:
        if any(one.delivery.source_record == "T3" and one.reason != "internal" for one in results):
            raise ValueError("invalid byte sequence")
        return await real(connection, results, worker, joined)

    monkeypatch.setattr(outbox, "settle", refuses)
    erp.gate.clear()
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(8)))
        await making.until(lambda: erp.waiting == 8)
        erp.gate.set()  # all results come at once and share a commit

        async def ended() -> bool:
            rows = await worker.deliveries()
            return sorted(row.state for row in rows) == ["delivered"] * 7 + ["parked"]

        await making.until(ended)
        await worker.push(hubs.order("after"))
        await making.until(lambda: "after" in erp.records)
        assert (await worker.balance()).difference == 0


async def test_a_ledger_that_is_away_between_claim_and_call_burns_nothing(
    database_url: str, chat: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent, so nothing needs a person, even where a repeat is not allowed."""
    async with hubs.running(database_url) as worker:
        real = worker.pumps._courier.prepare
        failed = 0

        async def away(claimed: Any) -> Any:
            nonlocal failed
            if failed < 2:
                failed += 1
                raise session.LedgerUnavailable("gone")
            return await real(claimed)

        monkeypatch.setattr(worker.pumps._courier, "prepare", away)
        await worker.push(*(hubs.order(f"T{n}") for n in range(5)))
        found = await worker.settled()
        assert (found.delivered, failed, len(chat.calls)) == (5, 2, 5)
        assert {row.crashes for row in await worker.deliveries()} == {0}


# --- the ledger's server dies ---------------------------------------------------------------------


@pytest.mark.postgres
async def test_pumps_come_back_by_themselves_when_the_database_does(own_server: postgres.PostgresServer) -> None:
    """T-06: killed and restarted under load, twice; no loop of the worker may end, nothing is lost or done twice."""
    url = own_server.server.url()
    await migrate.upgrade(url)
    setup = session.open_ledger(url, owner="setup")
    handed: set[str] = set()
    busy = True
    async with hubs.targets("erp") as made:
        erp = made["erp"]
        await hubs.source(setup)
        await hubs.sink(setup, erp.url)
        await hubs.route(setup)
        async with hubs.running(url) as worker:

            async def push(place: int) -> None:
                n = 0
                while busy:
                    n += 1
                    name = f"{place}-{n}"
                    try:
                        await worker.push(hubs.order(name))
                        handed.add(name)
                    except session.LedgerUnavailable:
                        await asyncio.sleep(0.02)
                    await asyncio.sleep(0.002)

            tasks = [asyncio.create_task(push(place)) for place in range(4)]
            for sign in (signal.SIGQUIT, signal.SIGINT):
                had = len(erp.effects)
                await making.until(lambda had=had: len(erp.effects) > had + 40, what="deliveries")
                await asyncio.to_thread(own_server.stop, sign)
                await asyncio.to_thread(own_server.start)
            had = len(erp.effects)
            await making.until(lambda: len(erp.effects) > had + 40, what="deliveries after the last restart")
            busy = False
            await asyncio.gather(*tasks)
            found = await worker.settled(40)
            assert found.dead == found.parked == 0
            async with worker.ledger.read() as connection:
                assert await tallies.audit(connection) == []
            assert handed <= set(erp.records)
            assert len(erp.order) == len(erp.records), "an order was written twice"
            assert len(worker.pumps._tasks) == 6  # settler, intake and beside it, sweep, looks, and the target's pump
    await setup.close()


async def test_the_code_of_a_refusal_was_only_in_the_attempt(database_url: str, erp: target.Target) -> None:
    """Lists of deliveries show the words and the system's own code; the code was null there."""
    async with hubs.running(database_url) as worker:
        erp.judge = lambda _body: target.Answer(422, b'{"code":"E77","message":"no such buyer"}')
        await worker.push(hubs.order("T1"))
        assert (await worker.settled()).dead == 1
        (row,) = await worker.deliveries()
        (tried,) = await making.rows(worker.ledger, "SELECT code FROM attempts")
        said = json.loads(row.detail)
        assert tried.code == "E77"
        assert said["code"] == "E77"
        assert said["zh"]

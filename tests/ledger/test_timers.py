"""Timers over a real ledger: set, cancelled by later events and by people, durable, each once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from retry_queue import replay
from retry_queue.ledger import lane, timers
from tests.ledger import hub as hubs
from tests.ledger import making, reminders, target


async def test_an_order_of_the_same_person_cancels_the_reminder(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger)
        await worker.push(reminders.person("C1", "u1"), reminders.person("C2", "u2"), key="contacts")
        await reminders.planned(worker, 2)
        await worker.push(reminders.bought("T1", "u1"))
        await reminders.ended(worker, "C1")
        await reminders.fire(worker, "C2")
        found = await worker.settled()
        assert [call.body["id"] for call in desk.calls] == ["C2"]
        assert await reminders.ends(worker) == {"C1": ("skipped", "cancelled"), "C2": ("delivered", None)}
        assert await reminders.states(worker) == [("cancelled", "cancelled"), ("fired", "by_person")]
        assert (found.received, found.dead, found.difference) == (3, 0, 0)
        (row,) = await making.rows(worker.ledger, "SELECT cancelled_by, ended_at FROM timers WHERE state = 'cancelled'")
        (event,) = await making.rows(worker.ledger, "SELECT id FROM events WHERE record = 'T1'")
        assert (row.cancelled_by, row.ended_at is not None) == (event.id, True)


@pytest.mark.parametrize("how", ["condition", "connection", "earlier", "stranger"])
async def test_what_is_not_meant_cancels_nothing(database_url: str, desk: target.Target, how: str) -> None:
    unless: dict[str, Any] = {"entity": "order"}
    if how == "condition":
        unless["when"] = 'order.status == "shipped"'
    if how == "connection":
        unless["connection"] = "desk"
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, unless=[unless])
        if how == "earlier":
            await worker.push(reminders.bought("T1", "u1"))
            await worker.settled()
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        if how != "earlier":
            await worker.push(reminders.bought("T1", "u9" if how == "stranger" else "u1"))
            await making.until(lambda: reminders.seen(worker, "T1"))
        await reminders.fire(worker, "C1")
        await worker.settled()
        assert [call.body["id"] for call in desk.calls] == ["C1"]


async def test_who_is_behind_an_order_is_found_through_linked_systems(database_url: str, desk: target.Target) -> None:
    """The shop knows the buyer's phone, the contact only a unionid; the CRM knows both."""
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger)
        known = reminders.person("K1", "u1", phone="13800000001")
        await worker.push(known, key="crm")
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        await worker.push(hubs.order("T1", buyer={"phone": "13800000001"}))
        await worker.settled()
        assert desk.calls == []
        assert (await reminders.ends(worker))["C1"] == ("skipped", "cancelled")


async def test_a_shipment_of_the_same_order_cancels_what_waits_for_it(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        given = {"after": "1h", "unless": [{"entity": "shipment"}]}
        await hubs.route(worker.ledger, "late", to=[{"connection": "desk", "operation": "send"}], **given)
        await worker.push(hubs.order("T1"), hubs.order("T2"))
        await reminders.planned(worker, 2)
        parcel = {"id": "S1", "status": "shipped", "order_id": "T1", "updated_at": "2024-11-12T00:00:00+00:00"}
        await worker.push(parcel, key="store")
        await making.until(lambda: reminders.seen(worker, "S1"))
        assert (await reminders.ends(worker))["T1"][0] == "pending", "another system's T1 is another order"
        await making.change(worker.ledger, "UPDATE records SET connection_key = 'store' WHERE record = 'T1'")
        await worker.push({**parcel, "status": "signed", "updated_at": "2024-11-13T00:00:00+00:00"}, key="store")
        await reminders.ended(worker, "T1")
        await reminders.fire(worker, "T2")
        await worker.settled()
        assert [call.body["id"] for call in desk.calls] == ["T2"]


async def test_an_order_that_was_planned_first_is_seen_when_the_timer_is_due(
    database_url: str, desk: target.Target
) -> None:
    """Who the buyer is becomes known only later: nothing could be cancelled when the order came."""
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger)
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        await worker.push(hubs.order("T1", buyer={"phone": "13800000001"}))
        await making.until(lambda: reminders.seen(worker, "T1"))
        assert (await reminders.states(worker)) == [("waiting", None)]
        await worker.push(reminders.person("K1", "u1", phone="13800000001"), key="crm")
        await making.until(lambda: reminders.seen(worker, "K1"))
        await reminders.fire(worker, "C1")
        await worker.settled()
        assert desk.calls == []
        assert (await reminders.ends(worker))["C1"] == ("skipped", "cancelled")


async def test_a_timer_cancelled_while_its_delivery_is_claimed_is_not_sent(
    database_url: str, desk: target.Target
) -> None:
    worker = await hubs.build(database_url)
    try:
        await reminders.remind(worker.ledger, after="0s")
        await worker.hub.reload()
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        assert await worker.pumps._intake.step(10) == 1
        claimed = await making.claim(worker.ledger, "desk")
        await worker.push(reminders.bought("T1", "u1"))
        assert await worker.pumps._intake.step(10) == 1
        assert await reminders.ends(worker) == {"C1": ("in_flight", None)}
        (result,) = await worker.pumps._courier.prepare(claimed)
        assert (result.state, result.reason) == ("skipped", "cancelled")  # type: ignore[union-attr]
        await making.settle(worker.ledger, result)  # type: ignore[arg-type]
        assert await reminders.ends(worker) == {"C1": ("skipped", "cancelled")}
        assert (await worker.balance()).in_flight == 0
    finally:
        await worker.hub.close()


async def test_what_fires_while_an_event_waits_to_cancel_it_stays_fired(database_url: str, desk: target.Target) -> None:
    """It was sent, and the timer said that it had been cancelled."""
    worker = await hubs.build(database_url)
    try:
        await reminders.remind(worker.ledger, after="0s")
        await worker.hub.reload()
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        assert await worker.pumps._intake.step(10) == 1
        claimed = await making.claim(worker.ledger, "desk")
        (job,) = await worker.pumps._courier.prepare(claimed)
        assert await reminders.states(worker) == [("fired", None)]
        async with worker.ledger.write() as connection:  # found while it waited, and come too late
            assert await timers.cancel(connection, [(claimed[0].id, None)], timers.CANCELLED) == {}
        assert await reminders.states(worker) == [("fired", None)]
        await making.settle(worker.ledger, making.result(job.delivery))  # type: ignore[union-attr]
        assert await reminders.ends(worker) == {"C1": ("delivered", None)}
    finally:
        await worker.hub.close()


async def test_what_has_fired_is_not_cancelled_and_what_failed_is(
    database_url: str, desk: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="0s")
        desk.next.extend([target.Answer(503)] * 3)
        await worker.push(reminders.person("C1", "u1"), key="contacts")

        async def failed() -> bool:
            return (await reminders.ends(worker)).get("C1", ("",))[0] == "retrying"

        await making.until(failed)
        await worker.push(reminders.bought("T1", "u1"))
        await worker.settled()
        assert (await reminders.ends(worker))["C1"] == ("skipped", "cancelled")
        assert desk.order == []


async def test_timers_survive_a_restart(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger)
        await worker.push(reminders.person("C1", "u1"), reminders.person("C2", "u2"), key="contacts")
        await reminders.planned(worker, 2)
    assert desk.calls == []
    async with hubs.running(database_url) as worker:
        await worker.push(reminders.bought("T1", "u1"))
        await reminders.ended(worker, "C1")
        await reminders.fire(worker, "C2")
        await worker.settled()
        assert [call.body["id"] for call in desk.calls] == ["C2"]


async def test_a_short_wait_ends_by_itself(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="300ms")
        begun = time.monotonic()
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await worker.settled()
        assert time.monotonic() - begun >= 0.3
        assert len(desk.calls) == 1
        assert await reminders.states(worker) == [("fired", None)]


# --- by people ----------------------------------------------------------------------------------


async def test_a_person_cancels_and_another_replays(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="1h")
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        async with worker.ledger.write() as connection:
            (row,) = await timers.search(connection, limit=10, state="waiting", route_key="remind")
            assert (row.entity, row.record, row.source_key) == ("customer", "C1", "contacts")
            ended = await timers.cancel(connection, [(row.delivery_id, None)], timers.BY_PERSON)
            assert ended == {row.delivery_id: "desk"}
        assert await reminders.ends(worker) == {"C1": ("skipped", "by_person")}
        assert (await worker.balance()).in_flight == 0
        async with worker.ledger.write() as connection:
            assert (await replay.some(connection, [row.delivery_id])).deliveries == (row.delivery_id,)
        await worker.settled()
        assert len(desk.calls) == 1


async def test_timers_of_what_ended_otherwise_are_ended(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="1h")
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        await making.change(worker.ledger, "UPDATE deliveries SET state = 'superseded', reason = 'newer_state'")
        async with worker.ledger.write() as connection:
            await timers.tidy(connection, "2020-01-01")
        assert await reminders.states(worker) == [("cancelled", "newer_state")]


async def test_a_later_event_cancels_the_steps_that_are_still_to_come(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        later = [{"to": [{"connection": "desk", "operation": "send.put"}], "after": "1h"}]
        await reminders.remind(worker.ledger, after="0s", then=later)
        await worker.push(reminders.person("C1", "u1"), reminders.person("C2", "u2"), key="contacts")
        await making.until(lambda: len(desk.calls) == 2)

        async def released() -> bool:
            rows = await making.rows(worker.ledger, "SELECT 1 FROM deliveries WHERE stage = 1 AND next_at < 1e11")
            return len(rows) == 2

        await making.until(released)
        await worker.push(reminders.bought("T1", "u1"))
        await reminders.ended(worker, "C1")
        async with worker.ledger.write() as connection:
            (waiting,) = await timers.search(connection, limit=9, state="waiting")
            assert time.time() + 3000 < waiting.due_at < time.time() + 3700
            assert await timers.fire(connection, waiting.delivery_id)
        await worker.settled()
        assert [(call.method, call.body["id"]) for call in desk.calls][2:] == [("PUT", "C2")]


async def test_what_waits_for_an_earlier_step_is_cancelled_and_not_sent_early(
    database_url: str, desk: target.Target
) -> None:
    async with hubs.running(database_url) as worker:
        later = [{"to": [{"connection": "desk", "operation": "send.put"}], "after": "1h"}]
        await reminders.remind(worker.ledger, then=later)
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 2)
        async with worker.ledger.write() as connection:
            second, first = await timers.search(connection, limit=9, state="waiting")
            assert second.due_at >= lane.BLOCKED > first.due_at
            assert not await timers.fire(connection, second.delivery_id), "not before the step it waits for"
        await worker.push(reminders.bought("T1", "u1"))
        found = await worker.settled()
        assert await reminders.states(worker) == [("cancelled", "cancelled")] * 2
        assert desk.calls == []
        assert (found.in_flight, found.dead) == (0, 0)

"""Quiet hours and quotas over a real ledger: asked when planned, and again before anything is sent."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from retry_queue.ledger import timers
from tests.ledger import hub as hubs
from tests.ledger import making, reminders, target


def closed() -> dict[str, Any]:
    """Hours that are closed today and tomorrow."""
    today = datetime.now(UTC).date()
    shut = [(today + timedelta(days=n)).isoformat() for n in (-1, 0, 1)]
    return {"holidays": shut, "zone": "UTC"}


async def test_quiet_hours_are_asked_when_planning_and_again_before_sending(
    database_url: str, desk: target.Target
) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="0s", hours=closed())
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        (row,) = await making.rows(worker.ledger, "SELECT due_at FROM timers")
        assert row.due_at > time.time() + 86400, "planned for the next opening"
        await making.change(worker.ledger, "UPDATE deliveries SET next_at = 0")
        await making.change(worker.ledger, "UPDATE lanes SET next_at = 0")

        async def postponed() -> bool:
            return (await reminders.ends(worker))["C1"] == ("pending", "quiet_hours")

        await making.until(postponed)
        assert desk.calls == []
        (row,) = await making.rows(worker.ledger, "SELECT d.next_at, d.failures FROM deliveries d")
        assert row.next_at > time.time() + 86400
        assert row.failures == 0
        assert await making.rows(worker.ledger, "SELECT 1 FROM attempts") == []


async def test_a_person_sends_it_now_whatever_the_hour(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="0s", hours=closed())
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await reminders.planned(worker, 1)
        async with worker.ledger.write() as connection:
            (row,) = await timers.search(connection, limit=10)
            assert await timers.fire(connection, row.delivery_id)
        await worker.settled()
        assert len(desk.calls) == 1
        async with worker.ledger.write() as connection:
            assert not await timers.fire(connection, row.delivery_id)


async def test_what_waits_lets_others_of_its_lane_pass(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.remind(worker.ledger, after="0s", hours=closed())
        await hubs.route(
            worker.ledger, "hello", to=[{"connection": "desk", "operation": "send.put"}],
            **{"from": {"connection": "contacts", "entity": "customer"}},
        )  # fmt: skip
        await worker.push(reminders.person("C1", "u1"), key="contacts")
        await making.until(lambda: desk.calls)
        assert {call.method for call in desk.calls} == {"PUT"}


async def test_a_quota_bounds_what_one_contact_gets(database_url: str, desk: target.Target) -> None:
    """Five customers of one salesperson, at most two messages a day; the others wait for tomorrow or go nowhere."""
    async with hubs.running(database_url) as worker:
        await reminders.words(worker.ledger)
        quota = {"per": "day", "limit": 2, "over": "skip"}
        await reminders.remind(worker.ledger, after="0s", to={"template": "t", "mapping": "message", "quota": quota})
        await worker.push(*(reminders.person(f"C{n}", f"u{n}", owner="anna") for n in range(5)), key="contacts")
        await worker.push(reminders.person("C9", "u9", owner="bert"), key="contacts")
        await worker.settled()
        assert sorted(call.body["recipients"][0] for call in desk.calls) == ["anna", "anna", "bert"]
        assert sorted((await reminders.ends(worker)).values(), key=str) == [
            ("delivered", None)] * 3 + [("skipped", "quota")] * 3  # fmt: skip
        assert sorted(row.n for row in await making.rows(worker.ledger, "SELECT n FROM quotas")) == [1, 2]


async def test_over_the_quota_a_message_waits_for_the_next_period(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.words(worker.ledger, quota=[{"per": "day", "limit": 1, "zone": "UTC"}])
        await reminders.remind(worker.ledger, after="0s", to={"template": "t", "mapping": "message"})
        await worker.push(*(reminders.person(f"C{n}", f"u{n}", owner="anna") for n in range(3)), key="contacts")

        async def one_of_three() -> bool:
            ends = list((await reminders.ends(worker)).values())
            return sorted(ends, key=str) == [("delivered", None)] + [("pending", "quota")] * 2

        await making.until(one_of_three)
        assert len(desk.calls) == 1
        midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), datetime.min.time(), UTC).timestamp()
        due = await making.rows(worker.ledger, "SELECT next_at FROM deliveries WHERE state = 'pending'")
        assert all(abs(row.next_at - midnight) < 5 for row in due)
        assert [row.n for row in await making.rows(worker.ledger, "SELECT n FROM quotas")] == [1]


async def test_a_second_try_takes_no_second_quota(database_url: str, desk: target.Target, quick: None) -> None:
    async with hubs.running(database_url) as worker:
        await reminders.words(worker.ledger, quota={"per": "day", "limit": 1, "over": "skip"})
        await reminders.remind(worker.ledger, after="0s", to={"template": "t", "mapping": "message"})
        desk.next.extend([target.Answer(503)] * 3)
        await worker.push(reminders.person("C1", "u1", owner="anna"), key="contacts")
        await worker.settled()
        assert (await reminders.ends(worker))["C1"] == ("delivered", None)


async def test_of_many_recipients_those_over_their_quota_are_left_out(database_url: str, desk: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        quota = {"per": "day", "limit": 1, "over": "skip"}
        await reminders.words(worker.ledger, recipients=["{customer.owner}", "boss", "boss"], quota=quota)
        await reminders.remind(worker.ledger, after="0s", to={"template": "t", "mapping": "message"})
        await worker.push(reminders.person("C1", "u1", owner="anna"), key="contacts")
        await worker.settled()
        await worker.push(reminders.person("C2", "u2", owner="bert"), key="contacts")
        await worker.settled()
        assert [call.body["recipients"] for call in desk.calls] == [["anna", "boss"], ["bert"]]

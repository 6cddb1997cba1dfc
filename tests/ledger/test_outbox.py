"""The outbox: lanes keep their order, one at a time, whoever works them and whatever dies."""

from __future__ import annotations

import json
from collections.abc import Callable

from retry_queue.ledger import deliveries, lane, outbox, records, revival, session, unsettled, workers
from retry_queue.ledger.states import DeliveryState as State
from tests.ledger import making

Open = Callable[[str], session.Ledger]


async def test_a_claim_brings_all_that_is_needed(ledger: session.Ledger) -> None:
    number = await making.owe(ledger, "T1", kind="state", version=12.5)
    (found,) = await making.claim(ledger)
    assert (found.id, found.state, found.attempt, found.version) == (number, "in_flight", 1, 12.5)
    assert (found.entity, found.source_key, found.source_record, found.body) == ("order", "shop", "T1", "{}")
    assert (found.more, found.next_wait, found.interrupted) == (False, None, False)
    assert found.lease == lane.Lease("erp/order/1", 1, 1)


async def test_only_the_head_of_a_lane_is_under_way(ledger: session.Ledger) -> None:
    first, second = await making.owe(ledger, "a"), await making.owe(ledger, "b")
    other = await making.owe(ledger, "c", lane_name="erp/order/2")
    taken = await making.claim(ledger)
    assert sorted(d.id for d in taken) == [first, other]
    assert await making.claim(ledger) == []
    await making.settle(ledger, *(making.result(d) for d in taken))
    (after,) = await making.claim(ledger)
    assert after.id == second
    await making.settle(ledger, making.result(after))
    assert await making.rows(ledger, "SELECT 1 FROM lanes") == []


async def test_other_targets_are_not_touched(ledger: session.Ledger) -> None:
    await making.owe(ledger, "a", lane_name="crm/order/1")
    assert await making.claim(ledger, "erp") == []
    async with ledger.read() as connection:
        waits, _ = await outbox.due(connection)
    assert waits.keys() == {"crm"}
    assert waits["crm"] <= 0


async def test_an_event_is_planned_once(ledger: session.Ledger) -> None:
    """A planner that comes again (its first commit was not heard of) plans nothing twice."""
    await making.owe(ledger, "a")
    (row,) = await making.rows(ledger, "SELECT * FROM deliveries")
    again = lane.NewDelivery(
        row.event_id, "r", "erp", "put", 0, "act", row.record_id, "erp/order/1", None, 0, 1, 0.0
    )  # fmt: skip
    async with ledger.write() as connection:
        assert await outbox.plan(connection, [again]) == 0
    assert len(await making.states(ledger)) == 1


async def test_a_late_writer_is_refused(open_ledger: Open) -> None:
    """T-16: the lease ended, another worker delivered; the first one's result changes nothing."""
    one, two = open_ledger("w1"), open_ledger("w2")
    await making.owe(one, "a")
    await making.owe(one, "b")
    (late,) = await making.claim(one, lease=0.0)
    (held,) = await making.claim(two)
    assert (held.id, held.attempt, held.interrupted, held.crashes) == (late.id, 2, True, 1)
    ref = ("erp", "order", "9")
    binding = records.Binding(ref, 1, '{"a":"b"}', 1)
    assert await making.settle(one, making.result(late, State.DEAD, reason="late", binding=binding)) == set()
    assert await making.rows(one, "SELECT 1 FROM attempts") == []
    assert await making.rows(one, "SELECT 1 FROM records WHERE record = '9'") == []
    ((owner, fence),) = await making.rows(one, "SELECT owner, fence FROM lanes")
    assert (owner, fence) == ("w2", 2)
    assert await making.settle(two, making.result(held)) == {held.id}
    assert await making.settle(two, making.result(held, State.DEAD)) == set()
    assert list((await making.states(one)).values()) == ["delivered", "pending"]
    ((attempt, worker),) = await making.rows(one, "SELECT attempt, worker FROM attempts")
    assert (attempt, worker) == (2, "w2")


async def test_a_crash_between_claim_and_settle_is_asked_about_first(open_ledger: Open) -> None:
    """T-05: the worker died during its call; whether the call happened is not known."""
    one, two = open_ledger("w1"), open_ledger("w2")
    await workers.register(one, "w1", "worker", 1, "here")
    first = await making.owe(one, "a")
    await making.owe(one, "b", kind="state", version=9)
    await making.claim(one)
    assert await making.claim(two) == []
    async with two.write() as connection:
        await workers.bury(connection, ["w1"])
    (found,) = await making.claim(two)
    assert (found.id, found.interrupted, found.attempt, found.failures) == (first, True, 2, 0)
    ((crashes,),) = await making.rows(two, "SELECT crashes FROM deliveries WHERE id = :id", id=first)
    assert crashes == 1
    await making.settle(two, making.result(found))
    ((attempts),) = await making.rows(two, "SELECT attempt, outcome FROM attempts")
    assert tuple(attempts) == (2, "delivered")


async def test_an_interrupted_state_is_not_superseded(open_ledger: Open) -> None:
    one, two = open_ledger("w1"), open_ledger("w2")
    first = await making.owe(one, "a", kind="state", version=1)
    await making.claim(one, lease=0.0)
    second = await making.owe(one, "b", kind="state", version=2)
    (found,) = await making.claim(two)
    assert (found.id, found.interrupted, found.more) == (first, True, True)
    await making.settle(two, making.result(found))
    (after,) = await making.claim(two)
    assert after.id == second


async def test_newer_states_supersede_those_that_wait(ledger: session.Ledger) -> None:
    one = await making.owe(ledger, "a", kind="state", version=10)
    two = await making.owe(ledger, "b", kind="state", version=30)
    three = await making.owe(ledger, "c", kind="state", version=20)
    act = await making.owe(ledger, "d", kind="act", version=5)
    (found,) = await making.claim(ledger)
    assert found.id == two
    await making.settle(ledger, making.result(found))
    assert await making.states(ledger) == {one: "superseded", two: "delivered", three: "superseded", act: "pending"}
    rows = await making.rows(ledger, "SELECT reason, settled_at FROM deliveries WHERE state = 'superseded'")
    assert {row.reason for row in rows} == {"newer_state"}
    assert all(row.settled_at for row in rows)


async def test_a_retry_holds_the_lane_until_it_is_due(ledger: session.Ledger) -> None:
    first, second = await making.owe(ledger, "a"), await making.owe(ledger, "b")
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.RETRYING, 600.0, reason="unavailable", detail="{}"))
    assert await making.claim(ledger) == []
    async with ledger.read() as connection:
        assert 590 < (await outbox.due(connection))[0]["erp"] <= 600
    await making.change(ledger, "UPDATE lanes SET next_at = 0")
    assert await making.claim(ledger) == []  # the lane was woken too early: it is given back with its proper time
    async with ledger.read() as connection:
        assert 590 < (await outbox.due(connection))[0]["erp"] <= 600
    await making.change(ledger, "UPDATE deliveries SET next_at = 0 WHERE id = :id", id=first)
    await making.change(ledger, "UPDATE lanes SET next_at = 0")
    (again,) = await making.claim(ledger)
    assert (again.id, again.failures, again.attempt, again.interrupted) == (first, 1, 2, False)
    await making.settle(ledger, making.result(again))
    assert [d.id for d in await making.claim(ledger)] == [second]


async def test_skip_goes_past_a_failing_one_which_keeps_its_own_time(ledger: session.Ledger) -> None:
    first, second = await making.owe(ledger, "a"), await making.owe(ledger, "b")
    (found,) = await making.claim(ledger, skip=["r"])
    await making.settle(ledger, making.result(found, State.RETRYING, 600.0, hold=False))
    (after,) = await making.claim(ledger, skip=["r"])
    assert (after.id, after.more) == (second, True)
    await making.settle(ledger, making.result(after, hold=False))
    assert await making.claim(ledger, skip=["r"]) == []
    async with ledger.read() as connection:
        assert 590 < (await outbox.due(connection))[0]["erp"] <= 600
    assert await making.states(ledger) == {first: "retrying", second: "delivered"}


async def test_what_is_planned_during_a_failing_call_does_not_wait_for_its_retry(ledger: session.Ledger) -> None:
    """The claim saw one delivery; the other came while the call was under way."""
    await making.owe(ledger, "a")
    (found,) = await making.claim(ledger, skip=["r"])
    second = await making.owe(ledger, "b")
    await making.settle(ledger, making.result(found, State.RETRYING, 36000.0, hold=False))
    assert [d.id for d in await making.claim(ledger, skip=["r"])] == [second]


async def test_a_newer_state_planned_during_a_failing_call_goes_at_once(ledger: session.Ledger) -> None:
    first = await making.owe(ledger, "a", kind="state", version=1)
    (found,) = await making.claim(ledger)
    second = await making.owe(ledger, "b", kind="state", version=2)
    await making.settle(ledger, making.result(found, State.RETRYING, 36000.0))
    assert [d.id for d in await making.claim(ledger)] == [second]
    assert (await making.states(ledger))[first] == "superseded"


async def test_a_parked_one_holds_its_lane_until_a_person_decides(ledger: session.Ledger) -> None:
    first, second = await making.owe(ledger, "a"), await making.owe(ledger, "b")
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.PARKED, reason="mapping"))
    await making.owe(ledger, "c")
    assert await making.claim(ledger) == []
    assert await making.rows(ledger, "SELECT 1 FROM lanes") == []
    async with ledger.write() as connection:
        assert await deliveries.skip(connection, [first], {"zh": "跳过", "en": "skipped"}) == [first]
    assert [d.id for d in await making.claim(ledger)] == [second]


async def test_a_parked_one_is_replayed_before_what_waits_behind_it(ledger: session.Ledger) -> None:
    first, second = await making.owe(ledger, "a"), await making.owe(ledger, "b")
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.PARKED, failed=True, reason="mapping", detail="{}"))
    async with ledger.write() as connection:
        assert await revival.revive(connection, [first, second]) == [first]
    (again,) = await making.claim(ledger)
    assert (again.id, again.failures, again.attempt, again.interrupted) == (first, 0, 2, False)
    await making.settle(ledger, making.result(again))
    assert [d.id for d in await making.claim(ledger)] == [second]


async def test_a_replay_never_overwrites_a_newer_state(ledger: session.Ledger) -> None:
    """I3: version 1 was given up, version 2 was delivered; replaying version 1 must not undo it."""
    old = await making.owe(ledger, "a", kind="state", version=1)
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.DEAD))
    unknown = await making.owe(ledger, "b", kind="state", version=None)
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.DEAD))
    message = await making.owe(ledger, "c", kind="act", version=1)
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.DEAD))
    new = await making.owe(ledger, "d", kind="state", version=2)
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found))
    other = await making.owe(ledger, "e", kind="state", version=1, route="s")
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.DEAD))
    async with ledger.write() as connection:
        assert sorted(await revival.revive(connection, [old, unknown, message, new, other])) == [message, other]
    assert await making.states(ledger) == {
        old: "superseded", unknown: "superseded", message: "pending", new: "delivered", other: "pending",
    }  # fmt: skip


async def test_a_replay_during_the_newer_states_call_waits_for_nothing(open_ledger: Open) -> None:
    ledger = open_ledger("w1")
    old = await making.owe(ledger, "a", kind="state", version=1)
    (found,) = await making.claim(ledger)
    await making.settle(ledger, making.result(found, State.DEAD))
    await making.owe(ledger, "b", kind="state", version=2)
    (flying,) = await making.claim(ledger)
    async with ledger.write() as connection:
        assert await revival.revive(connection, [old]) == []
    await making.settle(ledger, making.result(flying))
    assert await making.claim(ledger) == []
    assert (await making.states(ledger))[old] == "superseded"


async def test_a_delay_is_kept_and_lets_others_pass(ledger: session.Ledger) -> None:
    later = await making.owe(ledger, "a", delay=3600.0, route="after")
    now = await making.owe(ledger, "b")
    (found,) = await making.claim(ledger)
    assert (found.id, found.more) == (now, True)
    assert found.next_wait is not None
    assert found.next_wait > 3500
    await making.settle(ledger, making.result(found))
    assert await making.claim(ledger) == []
    async with ledger.read() as connection:
        assert 3500 < (await outbox.due(connection))[0]["erp"] <= 3600
    assert (await making.states(ledger))[later] == "pending"


async def test_what_was_claimed_and_not_called_goes_back_untried(ledger: session.Ledger) -> None:
    first = await making.owe(ledger, "a")
    (found,) = await making.claim(ledger)
    await making.settle(ledger, lane.Result(found, State.PENDING, "returned", 0.0, tried=False))
    assert await making.rows(ledger, "SELECT 1 FROM attempts") == []
    (again,) = await making.claim(ledger)
    assert (again.id, again.interrupted, again.failures) == (first, False, 0)


async def test_what_vendors_say_cannot_break_a_settle(ledger: session.Ledger) -> None:
    """T-30: NUL and endless texts in answers; PostgreSQL would refuse the whole batch."""
    await making.owe(ledger, "a")
    good = await making.owe(ledger, "b", lane_name="erp/order/2")
    poison = "\x00" + "长" * 9000
    said = json.dumps({"zh": poison, "en": poison}, ensure_ascii=False)
    results = []
    for found in await making.claim(ledger):
        words = {} if found.id == good else {"code": poison, "detail": said, "target_record": poison}
        results.append(making.result(found, State.DELIVERED, **words))
    assert len(await making.settle(ledger, *results)) == 2
    rows = await making.rows(ledger, "SELECT code, message FROM attempts WHERE code IS NOT NULL")
    assert [(len(row.code), row.code[0], len(row.message) < 9000) for row in rows] == [(120, "\ufffd", True)]


async def test_a_delivery_without_a_lane_is_healed(ledger: session.Ledger) -> None:
    waiting = await making.owe(ledger, "a")
    await making.owe(ledger, "b", lane_name="erp/order/2")
    (done, _) = await making.claim(ledger)
    await making.change(ledger, "UPDATE deliveries SET state = 'delivered' WHERE id <> :id", id=waiting)
    await making.change(ledger, "DELETE FROM lanes")
    assert done.id == waiting
    async with ledger.write() as connection:
        assert await outbox.heal(connection, {}) == 1
        assert await outbox.heal(connection, {}) == 0
    (found,) = await making.claim(ledger)
    assert (found.id, found.interrupted) == (waiting, True)


async def test_what_a_parked_delivery_holds_back_is_not_healed(ledger: session.Ledger) -> None:
    """Once a minute every held lane was opened, found held, closed, and called an error in the log."""
    first = await making.owe(ledger, "a")
    (head,) = await making.claim(ledger)
    await making.settle(ledger, making.result(head, State.PARKED))
    behind = await making.owe(ledger, "b")
    assert await making.claim(ledger) == []
    assert await making.rows(ledger, "SELECT 1 FROM lanes") == []
    route = (await making.rows(ledger, "SELECT route_key FROM deliveries WHERE id = :id", id=first))[0].route_key
    async with ledger.write() as connection:
        assert await outbox.heal(connection, {route: lane.SUPERSEDE}) == 0
        assert await outbox.heal(connection, {route: lane.SKIP}) == 1
    (found,) = await making.claim(ledger, skip=[route])
    assert found.id == behind


async def test_depth_counts_what_is_not_ended(ledger: session.Ledger) -> None:
    for name in "abc":
        await making.owe(ledger, name, lane_name=f"erp/order/{name}")
    taken = await making.claim(ledger, limit=2)
    await making.settle(ledger, making.result(taken[0], State.PARKED), making.result(taken[1]))
    async with ledger.read() as connection:
        found = {(row.connection_key, row.state): row.n for row in await outbox.depth(connection)}
    assert found == {("erp", "parked"): 1, ("erp", "pending"): 1}


async def test_urgent_lanes_go_first(ledger: session.Ledger) -> None:
    await making.owe(ledger, "a", lane_name="erp/order/1", priority=2)
    await making.owe(ledger, "b", lane_name="erp/order/2", priority=1)
    await making.owe(ledger, "c", lane_name="erp/order/3", priority=0)
    order = [(await making.claim(ledger, limit=1))[0].lane[-1] for _ in range(3)]
    assert order == ["3", "2", "1"]


async def test_a_write_between_two_tries_may_have_been_done_in_part(ledger: session.Ledger) -> None:
    """A document was saved, its audit throttled: the poll read our own change as somebody else's and echoed it."""
    await making.owe(ledger, "a", kind="state", version=1.0)
    (found,) = await making.claim(ledger)
    async with ledger.read() as connection:
        assert list(await unsettled.busy(connection, ["erp"])) == [found.lane]
    await making.settle(ledger, making.result(found, State.RETRYING, 30.0, reason="throttled", detail="{}"))
    async with ledger.read() as connection:
        since = await unsettled.busy(connection, ["erp"])
    assert list(since) == [found.lane]
    assert since[found.lane] <= await ledger.now()
    await making.change(ledger, "UPDATE lanes SET next_at = 0")
    later = await ledger.now()
    await making.claim(ledger)
    async with ledger.read() as connection:
        since = await unsettled.busy(connection, ["erp"])
    assert since[found.lane] < later, "during the second try, what came before it may still be of the first"
    await making.change(ledger, "UPDATE lanes SET owner = NULL")
    await making.change(ledger, "UPDATE deliveries SET created_at = created_at - 700")
    async with ledger.read() as connection:
        assert await unsettled.busy(connection, ["erp"]) == {}

"""The ledger balances in public: at every moment, in every state, whoever commits meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from sqlalchemy import text

from retry_queue import append, replay
from retry_queue.ledger import claims, deliveries, inbox, lane, outbox, session, tallies
from retry_queue.ledger.states import DeliveryState, EventState
from tests.ledger import making

Open = Callable[[str], session.Ledger]


def just_midnight() -> bool:
    """Whether a test that runs now may have begun on another day, as the ledger counts them."""
    return (time.time() + tallies.EAST) % 86400 < 900


async def balance(ledger: session.Ledger) -> tallies.Balance:
    async with ledger.read() as connection:
        found = await tallies.balance(connection)
        assert await tallies.audit(connection) == []
        if not just_midnight():  # all of it came today
            assert await tallies.today(connection, time.time()) == found
    assert found.difference == 0, found.line()
    assert f"difference={found.difference}" in found.line()
    return found


async def append_all(ledger: session.Ledger, *names: str) -> None:
    made = append.Appender(ledger, lambda: None)
    await made.append([making.event(name) for name in names])
    await made.close()


async def plan(ledger: session.Ledger, owed: int = 0, state: EventState = EventState.PLANNED, limit: int = 1) -> int:
    """Plans the next event as intake does: ruling, deliveries and tallies in one transaction."""
    async with ledger.write() as connection:
        claimed = await claims.claim(connection, limit, ledger.owner, 60.0)
    if not claimed:
        return 0
    async with ledger.write() as connection:
        record = await making.a_record(connection)
        counts: Counter[tuple[str, str]] = Counter()
        reason = "filtered" if state is EventState.SKIPPED else None
        for event in claimed:
            await inbox.settle(connection, [making.ruling(event, state, reason=reason)])
            if state is EventState.PLANNED:
                await connection.execute(
                    text("INSERT INTO canonicals (event_id, entity, mapping, body) VALUES (:id, 'order', 'm', '{}')"),
                    {"id": event.id},
                )
                counts[("shop", "planned")] += 1
            elif state is EventState.SKIPPED:
                counts.update([("shop", "filtered"), ("shop", "skipped.filtered")])
            await outbox.plan(connection, [
                lane.NewDelivery(event.id, "r", "erp", "put", n, "act", record, f"erp/order/{event.id}-{n}", None, 0, 1)
                for n in range(owed if state is EventState.PLANNED else 0)
            ])  # fmt: skip
        await tallies.add(connection, ledger.slot, counts)
    return claimed[0].id


async def test_an_empty_ledger_balances(ledger: session.Ledger) -> None:
    found = await balance(ledger)
    assert found == tallies.Balance(0, 0, 0, 0, 0, 0, 0, 0, 0)


async def test_it_balances_through_the_whole_life_of_events(ledger: session.Ledger) -> None:
    await append_all(ledger, "a", "b", "c", "a")
    found = await balance(ledger)
    assert (found.received, found.duplicate, found.in_flight) == (4, 1, 3)

    first = await plan(ledger, owed=3)
    assert (await balance(ledger)).in_flight == 3
    await plan(ledger, state=EventState.SKIPPED)
    third = await plan(ledger, state=EventState.PARKED)
    found = await balance(ledger)
    assert (found.filtered, found.in_flight, found.parked) == (1, 2, 1)

    one, two, three = await making.claim(ledger)
    assert (await balance(ledger)).in_flight == 2
    await making.settle(ledger, making.result(one), making.result(two, DeliveryState.RETRYING, 0.0))
    assert (await balance(ledger)).delivered == 0
    await making.settle(ledger, making.result(three, DeliveryState.PARKED))
    found = await balance(ledger)
    assert (found.delivered, found.parked, found.in_flight) == (0, 2, 2)
    (two,) = await making.claim(ledger)
    await making.settle(ledger, making.result(two, DeliveryState.DEAD))
    found = await balance(ledger)
    assert (found.dead, found.in_flight) == (0, 2), "one part of the event is still owed"
    async with ledger.write() as connection:
        assert await deliveries.skip(connection, [three.id], {"zh": "跳过", "en": "skipped"}) == [three.id]
    found = await balance(ledger)
    assert (found.dead, found.delivered, found.in_flight, found.parked) == (1, 0, 1, 1)

    async with ledger.write() as connection:
        assert (await replay.event(connection, ledger.slot, first)).deliveries == (two.id,)
    found = await balance(ledger)
    assert (found.dead, found.in_flight) == (0, 2)
    (two,) = await making.claim(ledger)
    await making.settle(ledger, making.result(two))
    found = await balance(ledger)
    assert (found.delivered, found.dead, found.in_flight) == (1, 0, 1)

    async with ledger.write() as connection:
        assert (await replay.event(connection, ledger.slot, third)).events == (third,)
    found = await balance(ledger)
    assert (found.parked, found.in_flight) == (0, 1)
    await plan(ledger, owed=1)
    (last,) = await making.claim(ledger)
    await making.settle(ledger, making.result(last, DeliveryState.SUPERSEDED))
    found = await balance(ledger)
    assert (found.received, found.delivered, found.duplicate, found.filtered, found.in_flight) == (4, 2, 1, 1, 0)


async def test_replaying_a_skipped_event_takes_its_count_back(ledger: session.Ledger) -> None:
    await append_all(ledger, "a")
    event = await plan(ledger, state=EventState.SKIPPED)
    async with ledger.write() as connection:
        assert (await replay.event(connection, ledger.slot, event)).events == (event,)
        assert await replay.event(connection, ledger.slot, event) == replay.Replayed()
    found = await balance(ledger)
    assert (found.filtered, found.in_flight) == (0, 1)
    await plan(ledger, owed=0)
    found = await balance(ledger)
    assert (found.delivered, found.in_flight) == (1, 0)
    async with ledger.read() as connection:
        assert (await tallies.by_connection(connection))["shop"]["skipped.filtered"] == 0


async def test_two_who_replay_one_event_at_once_count_once(open_ledger: Open) -> None:
    ledgers = [open_ledger(f"w{n}") for n in range(4)]
    await append_all(ledgers[0], "a")
    event = await plan(ledgers[0], state=EventState.SKIPPED)

    async def press(ledger: session.Ledger) -> int:
        async with ledger.write() as connection:
            return len((await replay.event(connection, ledger.slot, event)).events)

    assert sum(await asyncio.gather(*(press(ledger) for ledger in ledgers))) == 1
    await balance(ledgers[0])


async def test_bulk_replay_counts_and_takes_the_oldest(ledger: session.Ledger) -> None:
    await append_all(ledger, *"abcde")
    for _ in range(5):
        await plan(ledger, owed=1)
    taken = await making.claim(ledger)
    await making.settle(ledger, *(making.result(d, DeliveryState.DEAD, reason="rejected") for d in taken))
    wanted = deliveries.Filter(state="dead", reason="rejected")
    assert await replay.matching(ledger, wanted, 2, dry_run=True) == (5, replay.Replayed())
    fit, done = await replay.matching(ledger, wanted, 2, dry_run=False)
    assert (fit, done.deliveries) == (5, tuple(sorted(d.id for d in taken)[:2]))
    found = await balance(ledger)
    assert (found.dead, found.in_flight) == (3, 2)


async def test_rejected_calls_are_told_but_are_no_part_of_the_balance(ledger: session.Ledger) -> None:
    async with ledger.write() as connection:
        await tallies.add(connection, 0, Counter({("shop", "rejected.forged"): 2, ("crm", "rejected.stale"): 1}))
        await tallies.add(connection, 1, Counter({("shop", "rejected.forged"): 1, ("shop", "none"): 0}))
    assert (await balance(ledger)).rejected == 4
    async with ledger.read() as connection:
        assert await tallies.by_connection(connection) == {"shop": {"rejected.forged": 3}, "crm": {"rejected.stale": 1}}


async def test_a_day_is_a_day_of_beijing(ledger: session.Ledger) -> None:
    before = int(time.time() + 8 * 3600) // 86400
    async with ledger.write() as connection:
        await tallies.add(connection, 0, Counter({("shop", "received"): 1}))
    ((day,),) = await making.rows(ledger, "SELECT day FROM tallies")
    assert day in (before, int(time.time() + 8 * 3600) // 86400)


async def test_what_came_yesterday_is_no_part_of_today(ledger: session.Ledger) -> None:
    await append_all(ledger, "a", "b", "c", "d", "d")
    assert await plan(ledger, owed=1)
    assert await plan(ledger, state=EventState.SKIPPED)
    for table in ("inbox", "events"):
        where = "WHERE id <= (SELECT min(id) + 1 FROM events)"
        await making.change(ledger, f"UPDATE {table} SET received_at = received_at - 86400 {where}")
    async with ledger.read() as connection:
        told = await tallies.today(connection, time.time())
        later = await tallies.today(connection, time.time() + 86400)
    if just_midnight():
        return
    # Of today: two that wait to be planned, and the one that came twice; the others began yesterday.
    assert (told.received, told.duplicate, told.in_flight, told.delivered, told.filtered) == (3, 1, 2, 0, 0)
    assert later.received == 0


async def test_an_event_that_vanished_is_noticed(ledger: session.Ledger) -> None:
    await append_all(ledger, "a", "b")
    await making.change(ledger, "DELETE FROM inbox WHERE dedupe = 'a'")
    async with ledger.read() as connection:
        assert (await tallies.balance(connection)).difference == 1
        assert await tallies.audit(connection) == ["accepted: tallied 2, found 1"]


async def test_it_balances_at_every_moment_while_everybody_commits(open_ledger: Open) -> None:
    """I5: whoever looks, whenever: the difference is 0."""
    ledgers = [open_ledger(f"w{n}") for n in range(3)]
    ledgers[0].slot, ledgers[1].slot, ledgers[2].slot = 0, 1, 2
    door = append.Appender(ledgers[0], lambda: None)
    looks = 0
    busy = True

    async def push(place: int) -> None:
        for n in range(15):
            await door.append([making.event(f"{place}-{n % 12}")])

    async def work(ledger: session.Ledger) -> None:
        turn = 0
        while busy:
            turn += 1
            await plan(ledger, turn % 3, EventState.SKIPPED if turn % 4 == 0 else EventState.PLANNED, limit=3)
            fates = [DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.RETRYING]
            await making.settle(ledger, *(
                making.result(d, fates[place % 3]) for place, d in enumerate(await making.claim(ledger, limit=5))
            ))  # fmt: skip
            await asyncio.sleep(0)

    async def look() -> None:
        nonlocal looks
        while busy:
            async with ledgers[2].read() as connection:
                found = await tallies.balance(connection)
            assert found.difference == 0, found.line()
            looks += 1

    async def settled() -> bool:
        async with ledgers[2].read() as connection:
            found = await tallies.balance(connection)
        return found.received == 6 * 15 and found.in_flight == 0

    async def drive() -> None:
        nonlocal busy
        await asyncio.gather(*(push(place) for place in range(6)))
        await making.until(settled, 40)
        busy = False

    async with asyncio.timeout(60):
        await asyncio.gather(drive(), work(ledgers[0]), work(ledgers[1]), look())
    found = await balance(ledgers[0])
    assert (found.received, found.duplicate) == (90, 18)
    assert looks > 5
    await door.close()

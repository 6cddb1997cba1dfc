"""The inbox: each event once, leased to one planner, settled only by who holds it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import text

from retry_queue.ledger import claims, inbox, session, workers
from retry_queue.ledger.states import EventState
from tests.ledger import making

Open = Callable[[str], session.Ledger]


async def claim(ledger: session.Ledger, limit: int = 100, lease: float = 60.0, *busy: str) -> list[inbox.ClaimedEvent]:
    async with ledger.write() as connection:
        return await claims.claim(connection, limit, ledger.owner, lease, busy)


async def settle(ledger: session.Ledger, *rulings: inbox.Ruling) -> set[int]:
    async with ledger.write() as connection:
        return await inbox.settle(connection, rulings)


async def test_an_event_is_appended_once_with_its_body(ledger: session.Ledger) -> None:
    payload = '{"id":"T1","total":1234567890123456789012345.10,"名":"🎉"}'
    made = await making.append(ledger, making.event("d1", payload=payload, occurred_at=1700000000.25, hop=2))
    assert await making.append(ledger, making.event("d1", payload="{}")) == [None]
    (found,) = await claim(ledger)
    assert found.id == made[0]
    assert (found.payload, found.occurred_at, found.hop, found.replay) == (payload, 1700000000.25, 2, False)
    assert abs(found.received_at - await ledger.now()) < 60


async def test_one_batch_may_hold_an_event_twice(ledger: session.Ledger) -> None:
    first, second, other = await making.append(ledger, making.event("a"), making.event("a"), making.event("b"))
    assert first is not None
    assert second is None
    assert other is not None


async def test_the_key_is_per_connection(ledger: session.Ledger) -> None:
    made = await making.append(ledger, making.event("a", "shop"), making.event("a", "crm"))
    assert None not in made


async def test_concurrent_appends_of_the_same_events_make_one_of_each(open_ledger: Open) -> None:
    """T-26: every push several times, over several processes at once."""
    ledgers = [open_ledger(f"w{n}") for n in range(3)]
    names = [f"e{n}" for n in range(40)]

    async def push(place: int) -> list[int]:
        mine = names[place % 7 :] + names[: place % 7]
        made: list[int] = []
        for start in range(0, len(mine), 10):
            some = [making.event(name) for name in mine[start : start + 10]]
            made += [i for i in await making.append(ledgers[place % 3], *some) if i is not None]
        return made

    told = [i for made in await asyncio.gather(*(push(place) for place in range(12))) for i in made]
    assert len(told) == len(set(told)) == len(names)
    rows = await making.rows(ledgers[0], "SELECT i.dedupe FROM inbox i JOIN events e ON e.id = i.id")
    assert sorted(row.dedupe for row in rows) == sorted(names)


async def test_claims_of_two_owners_do_not_overlap(open_ledger: Open) -> None:
    ledgers = [open_ledger(f"w{n}") for n in range(4)]
    await making.append(ledgers[0], *(making.event(f"e{n}") for n in range(200)))

    async def take(ledger: session.Ledger) -> list[int]:
        mine: list[int] = []
        while found := await claim(ledger, 7):
            mine += [event.id for event in found]
        return mine

    taken = await asyncio.gather(*(take(ledger) for ledger in ledgers))
    everything = [i for mine in taken for i in mine]
    assert len(everything) == len(set(everything)) == 200
    owners = Counter(row.owner for row in await making.rows(ledgers[0], "SELECT owner FROM inbox"))
    assert owners == Counter({ledger.owner: len(mine) for ledger, mine in zip(ledgers, taken, strict=True) if mine})


async def test_fast_goes_before_live_before_backfill_then_by_arrival(ledger: session.Ledger) -> None:
    await making.append(
        ledger,
        making.event("old", priority=inbox.BACKFILL),
        making.event("first", priority=inbox.LIVE),
        making.event("second", priority=inbox.LIVE),
        making.event("urgent", priority=inbox.FAST),
    )
    order = [(await claim(ledger, 1))[0].record for _ in range(4)]
    assert order == ["urgent", "first", "second", "old"]


async def test_a_batch_comes_in_the_order_of_arrival(ledger: session.Ledger) -> None:
    await making.append(ledger, *(making.event(f"e{n}", priority=n % 3) for n in range(9)))
    ids = [event.id for event in await claim(ledger)]
    assert ids == sorted(ids)


async def test_busy_connections_are_left_out(ledger: session.Ledger) -> None:
    await making.append(ledger, making.event("a", "slow"), making.event("b", "shop"), making.event("c", "slower"))
    assert [event.record for event in await claim(ledger, 100, 60.0, "slow", "slower")] == ["b"]
    assert [event.record for event in await claim(ledger)] == ["a", "c"]


async def test_a_stale_fence_settles_nothing(open_ledger: Open) -> None:
    """T-16: the lease ran out, another planner took the event; the first one's ruling comes late."""
    one, two = open_ledger("w1"), open_ledger("w2")
    await making.append(one, making.event("a"))
    (late,) = await claim(one, lease=0.0)
    (held,) = await claim(two)
    assert held.fence == late.fence + 1
    assert await settle(one, making.ruling(late, EventState.SKIPPED, reason="late")) == set()
    assert await settle(two, making.ruling(held)) == {held.id}
    assert await settle(two, making.ruling(held, EventState.SKIPPED)) == set()
    ((state, reason),) = await making.rows(one, "SELECT state, reason FROM inbox")
    assert (state, reason) == ("planned", None)


async def test_an_event_that_stays_is_due_again_after_its_delay(ledger: session.Ledger) -> None:
    await making.append(ledger, making.event("a"))
    (event,) = await claim(ledger)
    await settle(ledger, making.ruling(event, EventState.RECEIVED, reason="unavailable", delay=3600.0, failed=True))
    assert await claim(ledger) == []
    async with ledger.read() as connection:
        wait = await inbox.wait(connection)
    assert wait is not None
    assert 3500 < wait <= 3600
    await making.change(ledger, "UPDATE inbox SET next_at = 0")
    (again,) = await claim(ledger)
    assert (again.id, again.failures) == (event.id, 1)


async def test_the_dead_give_back_what_they_held_and_nobody_else_does(open_ledger: Open) -> None:
    dead, alive = open_ledger("dead"), open_ledger("alive")
    await workers.register(dead, "dead", "worker", 1, "here")
    await making.append(dead, *(making.event(f"e{n}") for n in range(4)))
    lost = {event.id for event in await claim(dead, 2)}
    kept = {event.id for event in await claim(alive, 2)}
    async with alive.write() as connection:
        await workers.bury(connection, ["dead"])
    found = await claim(alive)
    assert {event.id for event in found} == lost
    assert not kept & lost


async def test_a_replayed_event_says_so_until_it_is_planned(ledger: session.Ledger) -> None:
    await making.append(ledger, making.event("a"), making.event("b"))
    first, second = await claim(ledger)
    await settle(ledger, making.ruling(first, EventState.PARKED, reason="mapping", detail="{}"))
    await settle(ledger, making.ruling(second))
    async with ledger.write() as connection:
        assert await inbox.revive(connection, [first.id, second.id, 99]) == [first.id]
    (again,) = await claim(ledger)
    assert (again.id, again.replay, again.failures) == (first.id, True, 0)
    assert await settle(ledger, making.ruling(first, EventState.SKIPPED)) == set()


async def test_nothing_due_is_said_so(ledger: session.Ledger) -> None:
    async with ledger.read() as connection:
        assert await inbox.wait(connection) is None
    assert await claim(ledger) == []
    assert await settle(ledger) == set()


async def test_a_burst_of_one_connection_leaves_the_others_their_share(ledger: session.Ledger) -> None:
    """What came after hundreds of events of somebody else is claimed beside them, the oldest of each first."""
    await making.append(ledger, *(making.event(f"b{n}", key="burst") for n in range(300)))
    await making.append(ledger, *(making.event(f"o{n}", key=key) for n in range(30) for key in ("calm", "quiet")))
    async with ledger.write() as connection:
        crowd = await claims.claim_of(connection, 100, "w1", 60.0, ["burst"])
        for apart in (["burst"], ["burst", "quiet"], ["calm"], [""]):
            assert await claims.waits_apart(connection, apart)
        assert not await claims.waits_apart(connection, ["quiet", "burst", "calm"])
        first = await claims.claim_apart(connection, 20, "w1", 60.0, ["burst"])
        second = await claims.claim_apart(connection, 20, "w1", 60.0, ["burst", "quiet"])
        both = await claims.claim_of(connection, 50, "w1", 60.0, ["burst", "quiet", "nobody"])
    assert [one.record for one in crowd] == [f"b{n}" for n in range(100)]
    keys = [one.connection_key for one in first]
    assert [keys.count(key) for key in ("burst", "calm", "quiet")] == [0, 20, 20]
    assert [one.record for one in first if one.connection_key == "calm"] == [f"o{n}" for n in range(20)]
    keys = [one.connection_key for one in second]
    assert [keys.count(key) for key in ("burst", "calm", "quiet")] == [0, 10, 0], "one that is busy gets no more"
    keys = [one.connection_key for one in both]
    assert [keys.count(key) for key in ("burst", "calm", "quiet")] == [50, 0, 10], "as much of each that crowds"
    assert len({one.id for one in (*crowd, *first, *second, *both)}) == 210


@pytest.mark.postgres
async def test_only_a_planners_lease_does_not_wait_for_the_disk(own_postgres_url: str) -> None:
    """What is written over the same connection afterwards does: an acknowledged event outlives a power cut."""
    ledger = session.open_ledger(own_postgres_url, owner="w1", pool=1)
    said = "SELECT current_setting('synchronous_commit') AS waits"
    usual = "local"  # nobody's default
    async with ledger.loose() as connection:
        await connection.execute(text(f"SET synchronous_commit = {usual}"))
    await making.append(ledger, making.event("a"), making.event("b"))
    async with ledger.loose() as connection:
        assert len(await claims.claim(connection, 1, "w1", 60.0)) == 1
        assert (await connection.execute(text(said))).scalar_one() == usual
    async with ledger.write() as connection:
        assert len(await claims.claim(connection, 1, "w1", 60.0)) == 1
        assert (await connection.execute(text(said))).scalar_one() == "off", "this transaction is a lease and no more"
    assert (await making.rows(ledger, said))[0].waits == usual
    await ledger.close()

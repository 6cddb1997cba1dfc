"""Many planners and workers on a few lanes at once: nothing lost, nothing twice, nothing out of order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from retry_queue.ledger import session
from retry_queue.ledger.states import DeliveryState as State
from tests.ledger import making

Open = Callable[[str], session.Ledger]


@pytest.mark.parametrize("seed", [1, 2])
async def test_plans_racing_with_claims_and_closing_lanes_lose_nothing(open_ledger: Open, seed: int) -> None:
    """Planners and workers of several processes on a few lanes, with retries, crashes and leases that end.

    Every delivery comes to its end, none is settled twice, and no attempt number is given out twice.
    """
    dice = random.Random(seed)
    ledgers = [open_ledger(f"w{n}") for n in range(4)]
    lanes = [f"erp/order/{n}" for n in range(5)]
    planned: list[int] = []
    done: list[int] = []
    ended: set[int] = set()
    attempts: Counter[tuple[int, int]] = Counter()
    planning = 6

    async with ledgers[0].write() as connection:
        await making.a_record(connection)

    async def plan(place: int) -> None:
        nonlocal planning
        for n in range(25):
            number = await making.owe(
                ledgers[place % 4], f"{place}-{n}", lane_name=dice.choice(lanes), delay=dice.choice([0.0, 0.0, 0.01])
            )
            planned.append(number)
        planning -= 1

    async def work(ledger: session.Ledger, hand: random.Random) -> None:
        while planning or len(ended) < len(planned):
            found = await making.claim(ledger, limit=3, lease=hand.choice([0.05, 30.0]))
            if not found:
                await asyncio.sleep(0.002)
            results = []
            for one in found:
                attempts[(one.id, one.attempt)] += 1
                fate = hand.random()
                if fate < 0.1:
                    continue  # crashed: the lease has to end
                if fate < 0.25:
                    results.append(making.result(one, State.RETRYING, hand.choice([0.0, 0.01])))
                else:
                    results.append(making.result(one))
            if any(one.lease is not None for one in found):
                await asyncio.sleep(hand.choice([0.0, 0.01]))
            ours = await making.settle(ledger, *results)
            for result in results:
                if result.delivery.id in ours and result.state is State.DELIVERED:
                    ended.add(result.delivery.id)
                    done.append(result.delivery.id)
            lost = [one.id for one in found if one.id not in {r.delivery.id for r in results}]
            if lost:
                await making.change(ledger, "UPDATE lanes SET next_at = 0 WHERE owner = :me", me=ledger.owner)

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(plan(place) for place in range(6)),
            *(work(ledger, random.Random(seed * 100 + n)) for n, ledger in enumerate(ledgers)),
        )
    assert len(planned) == len(set(planned)) == 150
    assert ended == set(planned)
    assert set((await making.states(ledgers[0])).values()) == {"delivered"}
    assert max(attempts.values()) == 1, "one attempt number was given to two workers"
    assert sorted(done) == sorted(planned), "a delivery was settled as delivered twice"
    await making.until(lambda: _emptied(ledgers[0]), what="the lanes closing")


async def _emptied(ledger: session.Ledger) -> bool:
    """Closed by the settle of their last delivery, or by the next claim when a plan came in between."""
    await making.claim(ledger)
    return not await making.rows(ledger, "SELECT 1 FROM lanes")


async def test_many_workers_keep_the_order_of_every_lane(open_ledger: Open) -> None:
    ledgers = [open_ledger(f"w{n}") for n in range(4)]
    lanes = [f"erp/order/{n}" for n in range(4)]
    seen: dict[str, list[int]] = defaultdict(list)
    left = 4 * 20

    async def plan(place: int) -> None:
        for n in range(20):
            await making.owe(ledgers[place], f"{place}-{n}", lane_name=lanes[(place + n) % 4])

    async def work(ledger: session.Ledger) -> None:
        nonlocal left
        while left:
            for one in await making.claim(ledger, limit=2):
                seen[one.lane].append(one.id)
                if await making.settle(ledger, making.result(one)):
                    left -= 1
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await asyncio.gather(*(plan(place) for place in range(4)), *(work(ledger) for ledger in ledgers))
    for ids in seen.values():
        assert ids == sorted(ids)
    assert sum(map(len, seen.values())) == 80
    assert await making.rows(ledgers[0], "SELECT 1 FROM lanes") == []

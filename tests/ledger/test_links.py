"""Links: joined, parted, bound; crosswise at once; and the order of what is owed while that happens."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from retry_queue.ledger import detours, links, merged, records, session
from retry_queue.ledger.states import DeliveryState as State
from tests.ledger import making

Open = Callable[[str], session.Ledger]


async def people(ledger: session.Ledger, *names: str) -> list[int]:
    """Row ids of customers that nothing joins yet."""
    async with ledger.write() as connection:
        states = [records.State((name, "customer", "1"), None, None, "f", "{}", 0) for name in names]
        kept = await records.keep(connection, states)
    return [kept[one.ref][0] for one in states]


async def merge(ledger: session.Ledger, *names: int, by: str | None = None) -> dict[int, int]:
    async with ledger.write() as connection:
        return await links.merge(connection, names, links.PERSON if by else links.IDENTITY, by)


async def split(ledger: session.Ledger, link: int, *ids: int) -> tuple[int, int]:
    async with ledger.write() as connection:
        return await links.split(connection, link, ids, "anna")


async def groups(ledger: session.Ledger) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for row in await making.rows(ledger, "SELECT id, coalesce(link_id, id) AS link FROM records ORDER BY id"):
        found.setdefault(row.link, []).append(row.id)
    return found


async def history(ledger: session.Ledger) -> list[tuple[int, int, int, str, str | None]]:
    query = "SELECT record_id, was, became, cause, by FROM link_history ORDER BY id"
    return [tuple(row) for row in await making.rows(ledger, query)]  # type: ignore[misc]


async def test_joining_moves_whole_groups_under_the_oldest_name(ledger: session.Ledger) -> None:
    a, b, c, d = await people(ledger, "a", "b", "c", "d")
    assert await merge(ledger, c, b) == {c: b}
    assert await merge(ledger, c, a) == {b: a}, "a name that was given up still finds its group"
    assert await groups(ledger) == {a: [a, b, c], d: [d]}
    assert await history(ledger) == [
        (c, c, b, "identity", None), (b, b, a, "identity", None), (c, b, a, "identity", None),
    ]  # fmt: skip
    assert await merge(ledger, a, c) == {}
    async with ledger.read() as connection:
        assert await links.current(connection, [a, b, c, d, 10**6]) == {a: a, b: a, c: a, d: d}


async def test_different_kinds_are_never_joined(ledger: session.Ledger) -> None:
    (a,) = await people(ledger, "a")
    async with ledger.write() as connection:
        order = await making.a_record(connection)
    with pytest.raises(links.Refused):
        await merge(ledger, a, order, by="anna")


async def test_parting_restores_and_is_remembered(ledger: session.Ledger) -> None:
    a, b, c = await people(ledger, "a", "b", "c")
    await merge(ledger, b, c)
    await merge(ledger, a, b)
    async with ledger.read() as connection:
        group = (await records.groups(connection, [a]))[a]
        steps = await links.steps(connection, [a, b, c])
    assert links.earlier(a, group, steps) == {a: [a], b: [b, c]}
    assert await split(ledger, a, b, c) == (a, b)
    assert await groups(ledger) == {a: [a], b: [b, c]}
    assert await merge(ledger, a, c) == {}, "what a person parted is not joined by itself"
    assert await groups(ledger) == {a: [a], b: [b, c]}
    assert await merge(ledger, a, c, by="bert") == {b: a}, "a person may"
    assert await making.rows(ledger, "SELECT 1 FROM apart") == []
    assert await split(ledger, a, c) == (a, c)
    assert await merge(ledger, b, c) == {}
    assert (await history(ledger))[-1] == (c, a, c, "split", "anna")


async def test_when_the_record_that_named_the_link_goes_it_keeps_the_name(ledger: session.Ledger) -> None:
    a, b, c = await people(ledger, "a", "b", "c")
    await merge(ledger, a, b, c)
    assert await split(ledger, a, a) == (b, a)
    assert await groups(ledger) == {a: [a], b: [b, c]}


async def test_what_the_others_said_is_forgotten_when_they_part(ledger: session.Ledger) -> None:
    """Or the phone of one person would be written to the other."""
    a, b = await people(ledger, "a", "b")
    await merge(ledger, a, b)
    async with ledger.write() as connection:
        await merged.hold(connection, {a: "customer"})
        await merged.keep(connection, {a: {"phone": {"value": "13800138000", "at": 1.0}}})
    await split(ledger, a, b)
    async with ledger.read() as connection:
        assert await merged.find(connection, [a, b]) == {}


@pytest.mark.parametrize("wrong", ["all", "none", "stranger", "old name"])
async def test_what_cannot_be_parted_is_refused(ledger: session.Ledger, wrong: str) -> None:
    a, b, c = await people(ledger, "a", "b", "c")
    await merge(ledger, a, b)
    given: dict[str, tuple[int, ...]] = {"all": (a, a, b), "none": (a,), "stranger": (a, c), "old name": (b, a)}
    with pytest.raises(links.Refused):
        await split(ledger, *given[wrong])
    assert await groups(ledger) == {a: [a, b], c: [c]}


async def test_a_third_joins_only_one_of_two_that_were_parted(ledger: session.Ledger) -> None:
    a, b, c = await people(ledger, "a", "b", "c")
    await merge(ledger, a, b)
    await split(ledger, a, b)
    assert await merge(ledger, a, b, c) == {c: a}
    assert await groups(ledger) == {a: [a, c], b: [b]}


async def test_a_delivery_binds_to_what_its_link_is_called_now(ledger: session.Ledger) -> None:
    a, b = await people(ledger, "a", "b")
    await merge(ledger, a, b)
    async with ledger.write() as connection:
        await links.bind(connection, [records.Binding(("erp", "customer", "9"), b, None, 1)])
    (new,) = (await groups(ledger))[a][2:]
    async with ledger.read() as connection:
        assert (await records.find(connection, [("erp", "customer", "9")]))[("erp", "customer", "9")].id == new


async def test_a_target_that_is_known_elsewhere_brings_its_group(ledger: session.Ledger) -> None:
    """The ERP's customer was linked with the shop's; now the CRM's turns out to be the same."""
    crm, erp, shop = await people(ledger, "crm", "erp", "shop")
    await merge(ledger, erp, shop)
    async with ledger.write() as connection:
        await links.bind(connection, [records.Binding(("erp", "customer", "1"), crm, None, 1)])
    assert await groups(ledger) == {crm: [crm, erp, shop]}
    assert {step[3] for step in (await history(ledger))[1:]} == {"delivery"}


async def test_a_delivery_does_not_join_what_a_person_parted(ledger: session.Ledger) -> None:
    crm, erp = await people(ledger, "crm", "erp")
    await merge(ledger, crm, erp)
    await split(ledger, crm, erp)
    async with ledger.write() as connection:
        await links.bind(connection, [records.Binding(("erp", "customer", "1"), crm, '{"x":"1"}', 1)])
    assert await groups(ledger) == {crm: [crm], erp: [erp]}


async def test_what_bound_to_a_name_just_given_up_is_brought_home(ledger: session.Ledger) -> None:
    a, b, c = await people(ledger, "a", "b", "c")
    await merge(ledger, a, b)
    await making.change(ledger, "UPDATE records SET link_id = :b WHERE id = :c", b=b, c=c)
    async with ledger.write() as connection:
        assert await links.gather(connection, 60.0) == 1
        assert await links.gather(connection, 60.0) == 0
    assert await groups(ledger) == {a: [a, b, c]}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_joining_crosswise_at_once_tears_no_link(open_ledger: Open, seed: int) -> None:
    """Many planners join random groups at the same time; afterwards what was joined is one and nothing else."""
    dice = random.Random(seed)
    ledgers = [open_ledger(f"w{n}") for n in range(6)]
    ids = await people(ledgers[0], *(f"p{n}" for n in range(24)))
    wanted = [tuple(dice.sample(ids, dice.choice([2, 2, 3]))) for _ in range(40)]
    turns: list[Sequence[tuple[int, ...]]] = [wanted[n::6] for n in range(6)]

    async def work(ledger: session.Ledger, pairs: Sequence[tuple[int, ...]]) -> None:
        for names in pairs:
            while True:
                try:
                    await merge(ledger, *names)
                    break
                except session.LedgerUnavailable:  # two waited for each other in a circle; one begins anew
                    await asyncio.sleep(0.01)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(ledger, turn) for ledger, turn in zip(ledgers, turns, strict=True)))
    parent = {i: i for i in ids}

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for names in wanted:
        low = min(root(name) for name in names)
        for name in names:
            parent[root(name)] = low
    expected: dict[int, list[int]] = {}
    for i in sorted(ids):
        expected.setdefault(root(i), []).append(i)
    found = await groups(ledgers[0])
    assert sorted(found.values()) == sorted(expected.values())
    assert all(link in members for link, members in found.items()), "a link must be named by one of its own"


# --- lanes --------------------------------------------------------------------------------------


async def owe(ledger: session.Ledger, name: str, record: int, link: int, route: str = "r") -> int:
    return await making.owe(ledger, name, lane_name=f"erp/customer/{link}", route=route, record=record)


async def test_what_is_owed_goes_on_in_one_order_after_joining(ledger: session.Ledger) -> None:
    a, b = await people(ledger, "a", "b")
    first, second, third = await owe(ledger, "1", b, b), await owe(ledger, "2", a, a), await owe(ledger, "3", b, b)
    await merge(ledger, a, b)
    seen = []
    for _ in range(3):
        (one,) = await making.claim(ledger)
        assert one.lane == f"erp/customer/{a}"
        assert await making.claim(ledger) == []
        seen.append(one.id)
        await making.settle(ledger, making.result(one))
    assert seen == [first, second, third]


async def test_what_is_under_way_in_the_old_lane_is_waited_for(open_ledger: Open) -> None:
    """Two workers: one has the old lane's head when the customers are joined; the other must wait for its end."""
    one, other = open_ledger("w1"), open_ledger("w2")
    a, b = await people(one, "a", "b")
    under_way = await owe(one, "1", b, b)
    (held,) = await making.claim(one)
    waiting = await owe(one, "2", b, b)
    await merge(other, a, b)
    newer = await owe(other, "3", a, a)
    assert await making.claim(other) == [], "the call under way goes to the same record"
    await making.settle(one, making.result(held, State.RETRYING, 0.0))
    (again,) = await making.claim(other)
    assert again.id == under_way
    assert await making.claim(one) == []
    await making.settle(other, making.result(again))
    order = []
    for ledger in (one, other):
        await making.claim(ledger)  # closes the old lane, or takes the head
        found = await making.rows(ledger, "SELECT id FROM deliveries WHERE state = 'in_flight'")
        order += [row.id for row in found]
        for row in await making.rows(ledger, "SELECT id, attempt FROM deliveries WHERE state = 'in_flight'"):
            query = "UPDATE deliveries SET state = 'delivered' WHERE id = :id"
            await making.change(ledger, query, id=row.id)
            await making.change(ledger, "UPDATE lanes SET owner = NULL, next_at = 0")
    assert order[0] == waiting
    assert newer not in order[:1]
    async with one.write() as connection:
        await detours.tidy(connection)


async def test_two_workers_never_call_for_one_record_at_once(open_ledger: Open) -> None:
    """Customers are joined and parted while workers deliver; every delivery once, one at a time per record."""
    dice = random.Random(5)
    ledgers = [open_ledger(f"w{n}") for n in range(3)]
    ids = await people(ledgers[0], *(f"p{n}" for n in range(4)))
    running: dict[int, int] = {}
    """Delivery -> record, from the claim until it is settled."""
    crashes: list[str] = []
    done: list[int] = []
    total = 60
    planned = 0
    kept = asyncio.Lock()  # in the intake it is the record's row that keeps these two from each other

    async def plan() -> None:
        nonlocal planned
        for n in range(total):
            record = dice.choice(ids)
            async with kept:
                async with ledgers[0].read() as connection:
                    link = (await links.current(connection, [record]))[record]
                await owe(ledgers[0], str(n), record, link)
            planned += 1
            await asyncio.sleep(0)

    async def join() -> None:
        for first in (0, 2, 1):
            await asyncio.sleep(0.1)
            while True:
                try:
                    async with kept:
                        await merge(ledgers[1], ids[first], ids[first + 1])
                    break
                except session.LedgerUnavailable:
                    await asyncio.sleep(0.01)

    async def work(ledger: session.Ledger) -> None:
        while planned < total or len(done) < total:
            try:
                async with ledger.read() as connection:
                    before = await links.current(connection, ids)
                found = await making.claim(ledger, limit=2)
                for one in found:  # what was claimed before the records were joined cannot be called back
                    known = [other for other, record in running.items() if before[record] == before[one.record_id]]
                    crashes.extend(f"{one.id} in {one.lane} while {other} is under way" for other in known)
                running.update({one.id: one.record_id for one in found})
                for one in found:
                    await asyncio.sleep(0.002)
                    running.pop(one.id)
                    if await making.settle(ledger, making.result(one)):
                        done.append(one.id)
            except session.LedgerUnavailable:
                await making.change(ledger, "UPDATE lanes SET next_at = 0 WHERE owner = :me", me=ledger.owner)
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await asyncio.gather(plan(), join(), *(work(ledger) for ledger in ledgers[1:]))
    assert crashes == []
    assert len(done) == len(set(done)) == total
    assert sorted(ids) in (await groups(ledgers[0])).values()

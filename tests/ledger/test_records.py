"""Records, links and identities: what corresponds, and that older never overwrites newer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from retry_queue.ledger import records, session

Open = Callable[[str], session.Ledger]
REF = ("shop", "order", "T1")


def state(text: str, version: float | None = None, ref: records.Ref = REF, **more: object) -> records.State:
    canonical = json.dumps({"status": text})
    return records.State(ref, more.get("number"), version, text, canonical, 0, more.get("event_id"))  # type: ignore[arg-type]


async def keep(ledger: session.Ledger, *states: records.State) -> dict[records.Ref, tuple[int, int]]:
    async with ledger.write() as connection:
        return await records.keep(connection, states)


async def find(ledger: session.Ledger, ref: records.Ref = REF) -> records.Known:
    async with ledger.read() as connection:
        return (await records.find(connection, [ref]))[ref]


async def bind(ledger: session.Ledger, *bindings: records.Binding) -> None:
    async with ledger.write() as connection:
        await records.bind(connection, bindings)


async def test_a_record_is_a_group_of_its_own_until_it_is_linked(ledger: session.Ledger) -> None:
    row, link = (await keep(ledger, state("paid", 10, number="N1")))[REF]
    assert row == link
    found = await find(ledger)
    assert (found.id, found.link_id, found.version, found.fingerprint, found.number) == (row, row, 10, "paid", "N1")


async def test_the_stale_guard_is_one_statement(ledger: session.Ledger) -> None:
    await keep(ledger, state("new", 20))
    assert await keep(ledger, state("old", 19)) == {}
    assert (await find(ledger)).fingerprint == "new"
    assert REF in await keep(ledger, state("same moment", 19.9999))
    assert REF in await keep(ledger, state("newer", 21))
    assert (await find(ledger)).version == 21


async def test_no_version_is_taken_and_does_not_forget_the_one_known(ledger: session.Ledger) -> None:
    await keep(ledger, state("v20", 20))
    assert REF in await keep(ledger, state("unknown"))
    found = await find(ledger)
    assert (found.fingerprint, found.version) == ("unknown", 20)
    assert await keep(ledger, state("v19", 19)) == {}


@pytest.mark.parametrize("version", [None, 10.0])
async def test_of_one_version_the_later_arrival_is_the_newer(ledger: session.Ledger, version: float | None) -> None:
    """T-27: two planners, two updates of one second; who writes last must not decide."""
    await keep(ledger, state("second", version, event_id=2))
    assert await keep(ledger, state("first", version, event_id=1)) == {}
    assert (await find(ledger)).fingerprint == "second"
    assert REF in await keep(ledger, state("third", version, event_id=3))
    assert REF in await keep(ledger, state("read again", version))
    if version is not None:
        assert REF in await keep(ledger, state("newer, though it came earlier", version + 1, event_id=1))


async def test_concurrent_planners_end_with_the_newest(open_ledger: Open) -> None:
    """I4 over many records: whatever the order of the writes, the newest version stays."""
    ledgers = [open_ledger(f"w{n}") for n in range(4)]
    refs = [("shop", "order", f"T{n}") for n in range(5)]

    async def plan(place: int) -> None:
        for step in range(12):
            version = float((step * 5 + place * 7) % 60)
            await keep(ledgers[place], *(state(f"{version:g}", version, ref) for ref in refs))

    await asyncio.gather(*(plan(place) for place in range(4)))
    newest = max(float((step * 5 + place * 7) % 60) for step in range(12) for place in range(4))
    for ref in refs:
        found = await find(ledgers[0], ref)
        assert (found.version, found.fingerprint) == (newest, f"{newest:g}")


async def test_binding_links_the_target_to_its_source(ledger: session.Ledger) -> None:
    row, link = (await keep(ledger, state("paid")))[REF]
    target = ("k3", "order", "100")
    await bind(ledger, records.Binding(target, link, '{"status":"aa"}', 1))
    found = await find(ledger, target)
    assert (found.link_id, found.wrote, found.hop, found.version) == (link, '{"status":"aa"}', 1, None)
    assert found.wrote_at is not None
    async with ledger.read() as connection:
        groups = await records.groups(connection, [link, 999])
    assert {key: [one.id for one in group] for key, group in groups.items()} == {link: [row, found.id]}


async def test_binding_again_puts_the_new_digests_over_the_old(ledger: session.Ledger) -> None:
    _, link = (await keep(ledger, state("paid")))[REF]
    target = ("k3", "order", "100")
    await bind(ledger, records.Binding(target, link, '{"status":"aa","total":"bb"}', 1))
    before = await find(ledger, target)
    await bind(ledger, records.Binding(target, None, '{"status":"cc"}', 2))
    after = await find(ledger, target)
    assert json.loads(after.wrote or "") == {"status": "cc", "total": "bb"}
    assert (after.id, after.link_id, after.hop) == (before.id, link, 2)
    await bind(ledger, records.Binding(target, link, None, 3))
    last = await find(ledger, target)
    assert (json.loads(last.wrote or ""), last.wrote_at) == ({"status": "cc", "total": "bb"}, after.wrote_at)


async def test_one_batch_may_bind_a_record_twice(ledger: session.Ledger) -> None:
    target = ("k3", "order", "100")
    await bind(ledger, records.Binding(target, None, '{"a":"1"}', 1), records.Binding(target, None, '{"a":"2"}', 1))
    assert json.loads((await find(ledger, target)).wrote or "") == {"a": "2"}


async def test_a_state_of_a_bound_record_keeps_its_link_and_digests(ledger: session.Ledger) -> None:
    _, link = (await keep(ledger, state("paid")))[REF]
    target = ("k3", "order", "100")
    await bind(ledger, records.Binding(target, link, '{"status":"aa"}', 1))
    kept = await keep(ledger, state("seen", 5, target))
    assert kept[target][1] == link
    assert (await find(ledger, target)).wrote == '{"status":"aa"}'


async def test_the_first_to_claim_an_identity_keeps_it(ledger: session.Ledger) -> None:
    kept = await keep(ledger, state("a", None, ("shop", "customer", "1")), state("b", None, ("crm", "customer", "2")))
    (first, _), (second, _) = kept.values()
    async with ledger.write() as connection:
        await records.identify(connection, [("phone", "d1", first), ("phone", "d1", first), ("unionid", "d2", first)])
        await records.identify(connection, [("phone", "d1", second)])
        found = await records.by_identity(connection, [("phone", "d1"), ("email", "d1"), ("unionid", "d2")])
    assert {mark: one.id for mark, one in found.items()} == {("phone", "d1"): first, ("unionid", "d2"): first}


async def test_nothing_asked_is_nothing_found(ledger: session.Ledger) -> None:
    async with ledger.write() as connection:
        assert await records.find(connection, []) == {}
        assert await records.keep(connection, []) == {}
        assert await records.groups(connection, []) == {}
        await records.bind(connection, [])

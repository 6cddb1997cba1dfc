"""Two processes plan events of one record at once: they keep to the order in which those came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from retry_queue.ledger import claims, inbox, session
from tests.ledger import hub as hubs
from tests.ledger import making, target


def event(record: str, dedupe: str) -> inbox.NewEvent:
    return making.event(dedupe, record=record)


async def test_a_later_event_of_a_record_waits_for_the_earlier_one(
    ledger: session.Ledger, open_ledger: Callable[[str], session.Ledger]
) -> None:
    other = open_ledger("w2")
    names = ("T1", "T2", "T1", "T3", "T1")
    ids = await making.append(ledger, *(event(name, f"d{place}") for place, name in enumerate(names)))
    async with ledger.write() as connection:
        first = await claims.claim(connection, 1, "w1", 60.0)
        assert await inbox.behind(connection, first) == set()
    async with other.write() as connection:
        rest = await claims.claim(connection, 10, "w2", 60.0)
        assert [one.id for one in rest] == ids[1:]
        assert await inbox.behind(connection, rest) == {ids[2], ids[4]}
    await asyncio.sleep(inbox.TURN + 0.02)
    async with ledger.write() as connection:
        again = await claims.claim(connection, 10, "w1", 60.0)
        assert await inbox.behind(connection, again) == {ids[2], ids[4]}, "the first is still being planned"


async def test_history_and_what_waits_for_its_own_time_hold_up_nobody(ledger: session.Ledger) -> None:
    old = making.event("old", record="T1", priority=inbox.BACKFILL)
    await making.append(ledger, old, event("T2", "later"))
    async with ledger.write() as connection:
        await connection.exec_driver_sql("UPDATE inbox SET next_at = next_at + 600 WHERE dedupe = 'later'")
    await making.append(ledger, event("T1", "new T1"), event("T2", "new T2"))
    async with ledger.write() as connection:
        claimed = await claims.claim(connection, 2, "w1", 60.0)
        assert [one.dedupe for one in claimed] == ["new T1", "new T2"]
        assert await inbox.behind(connection, claimed) == set()


async def test_a_planner_leaves_what_another_one_is_ahead_of(database_url: str, erp: target.Target) -> None:
    """Planned out of turn the older event seems overtaken, and what it should have done is never done."""
    worker = await hubs.build(database_url)
    for minute in range(3):
        await worker.push(hubs.order("T1", minute, total=f"{minute}.00"))
    await worker.push(hubs.order("T2"))
    async with worker.ledger.write() as connection:
        (held,) = await claims.claim(connection, 1, "another", 60.0)
    await worker.hub.close()
    async with hubs.running(database_url) as one:

        async def others() -> bool:
            return [call.body["id"] for call in erp.calls] == ["T2"]

        await making.until(others, 10.0, "the other record")
        await asyncio.sleep(4 * inbox.TURN)
        assert len(await making.rows(one.ledger, "SELECT id FROM inbox WHERE state = 'received'")) == 3
        async with one.ledger.write() as connection:
            await inbox.release(connection, ["another"])
        balance = await one.settled()
    assert (balance.filtered, balance.delivered) == (0, 4), held
    assert [call.body["total"] for call in erp.calls if call.body["id"] == "T1"][-1] == "2.00"

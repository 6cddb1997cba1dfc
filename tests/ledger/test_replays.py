"""Replays of very many dead letters: by filter, throttled, in order, cancelled at once, and never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from retry_queue import bulk, turns
from retry_queue.ledger import configuration, deliveries, replays, session
from tests.ledger import hub as hubs
from tests.ledger import making, target

DEAD = deliveries.Filter(state="dead", connection_key="erp")


async def dead_letters(worker: hubs.Worker, erp: target.Target, records: int, each: int) -> list[int]:
    """So many orders with so many messages each, all of them refused for good, the oldest first."""
    erp.judge = lambda _body: target.Answer(422)
    for minute in range(each):
        await worker.push(*(hubs.order(f"T{n}", minute, total=f"{minute}.00") for n in range(records)))
        await worker.settled(60.0)
    rows = await making.rows(worker.ledger, "SELECT id FROM deliveries WHERE state = 'dead' ORDER BY id")
    assert len(rows) == records * each
    erp.judge = lambda _body: None
    erp.calls.clear()
    return [row.id for row in rows]


async def begin(ledger: session.Ledger, mapping: str = "planned", budget: float = 0.0, **more: Any) -> int:
    async with ledger.write() as db:
        return await replays.create(db, DEAD if not more else deliveries.Filter(**more), mapping, budget, "li", 0.0)


async def look(ledger: session.Ledger, number: int) -> replays.Row:
    async with ledger.read() as db:
        found = await replays.get(db, number)
    assert found is not None
    return found


@asynccontextmanager
async def replaying(ledger: session.Ledger) -> AsyncIterator[bulk.Replayer]:
    made, stopped = bulk.Replayer(ledger), asyncio.Event()
    task = asyncio.create_task(made.run(stopped))
    yield made
    stopped.set()
    async with asyncio.timeout(20):
        await task


def ended(ledger: session.Ledger, number: int) -> Callable[[], Any]:
    async def check() -> bool:
        return (await look(ledger, number)).state not in ("waiting", "running")

    return check


async def test_all_go_once_and_in_order(
    database_url: str, erp: target.Target, open_ledger: Callable[[str], session.Ledger]
) -> None:
    """T-35 in small: acts, so that none replaces another; another process goes on in between."""
    async with hubs.running(database_url) as worker:
        await hubs.route(worker.ledger, to="erp", operation="send")
        await worker.hub.reload()
        await dead_letters(worker, erp, 20, 3)
        number = await begin(worker.ledger, budget=60.0)
        first = bulk.Replayer(open_ledger("w2"))
        await first.step()
        await asyncio.sleep(0.3)
        async with worker.ledger.write() as db:  # it is taken for dead, and does not know
            await replays.JOBS.release(db, ["w2"])
        async with replaying(worker.ledger):
            await first.idle()
            await making.until(ended(worker.ledger, number), 30.0)
            found = await worker.settled(30.0)
        row = await look(worker.ledger, number)
        assert (row.state, row.share) == ("done", 1.0)
        assert row.counts == {"matched": 60, "looked_at": 60, "replayed": 60, "superseded": 0}
        assert (found.delivered, found.dead) == (60, 0)
        assert set(erp.effects.values()) == {1}
        for n in range(20):
            told = [call.body["total"] for call in erp.calls if call.body["id"] == f"T{n}"]
            assert told == sorted(told), "the order of events is kept"
        took = erp.calls[-1].at - erp.calls[0].at
        assert took >= 0.3, "no faster than asked"


async def test_a_cancel_leaves_what_was_not_tried(
    database_url: str, erp: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AHEAD", 20)  # what is claimed ahead comes to its end
    async with hubs.running(database_url) as worker:
        await dead_letters(worker, erp, 120, 1)
        reasons = {row.id: row.reason for row in await worker.deliveries()}
        erp.gate.clear()  # a slow system: what is under way stays so
        number = await begin(worker.ledger)
        async with replaying(worker.ledger):

            async def busy() -> bool:
                return erp.waiting > 0 and (await look(worker.ledger, number)).counts.get("replayed", 0) > 50

            await making.until(busy)
            loop = asyncio.get_running_loop()
            begun = loop.time()
            async with worker.ledger.write() as db:
                row = await replays.cancel(db, number)
            assert row is not None
            assert row.state == "cancelled"
            assert loop.time() - begun < 5.0
            async with worker.ledger.write() as db:
                assert await replays.cancel(db, number) is None, "it is over"
            erp.gate.set()
            await asyncio.sleep(1.0)
            found = await worker.settled(30.0)
        row = await look(worker.ledger, number)
        assert row.counts["taken_back"] > 0
        assert found.delivered == row.counts["replayed"] == len(erp.calls)
        assert found.dead == 120 - found.delivered
        rows = [one for one in await worker.deliveries() if one.state == "dead"]
        assert all(one.reason == reasons[one.id] for one in rows), "as it was before"
        assert await making.rows(worker.ledger, "SELECT 1 FROM lanes") == []


async def test_what_dies_again_is_not_taken_up_again(database_url: str, erp: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await dead_letters(worker, erp, 5, 1)
        erp.judge = lambda _body: target.Answer(422)
        number = await begin(worker.ledger)
        async with replaying(worker.ledger):
            await making.until(ended(worker.ledger, number))
            await worker.settled()
            await asyncio.sleep(0.5)
        assert len(erp.calls) == 5
        assert (await look(worker.ledger, number)).counts["replayed"] == 5


async def test_with_the_old_mapping_or_the_newest(database_url: str, erp: target.Target) -> None:
    """A site's own mapping is published after they died; each replay says which of the two it means."""
    text = """
apiVersion: shuniu/mapping/v1
connector: http
entity: order
rules:
  - {native: id, canonical: id}
  - {native: amount_in_fen, canonical: total, codec: money, unit: fen, as: integer}
"""
    async with hubs.running(database_url) as worker:
        ids = await dead_letters(worker, erp, 2, 1)
        async with worker.ledger.write() as db:
            await configuration.publish_mapping(db, "http", "order", text, "li", 0.0)
            await configuration.touch(db)
        await worker.hub.reload()
        events = [row.event_id for row in await worker.deliveries()]
        async with replaying(worker.ledger):
            for mapping, event in zip(("planned", "newest"), events, strict=True):
                number = await begin(worker.ledger, mapping, state="dead", event_id=event)
                await making.until(ended(worker.ledger, number))
                await worker.settled()
        old, new = (call.body for call in erp.calls)
        assert "amount_in_fen" not in old
        assert "amount_in_fen" in new
        assert len(ids) == 2


async def test_what_a_newer_state_overtook_is_told_apart(database_url: str, erp: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await dead_letters(worker, erp, 1, 1)
        await worker.push(hubs.order("T0", 5, total="5.00"))
        await worker.settled()
        number = await begin(worker.ledger)
        async with replaying(worker.ledger):
            await making.until(ended(worker.ledger, number))
            await worker.settled()
        counts = (await look(worker.ledger, number)).counts
        assert (counts["looked_at"], counts["replayed"], counts["superseded"]) == (1, 0, 1)
        assert [call.body["total"] for call in erp.calls] == ["5.00"]

"""The whole way in one process: accepted, planned, delivered, on real sockets and both databases."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import orjson
import pytest

from retry_queue import sweep
from retry_queue.ledger import session
from tests.ledger import hub as hubs
from tests.ledger import making, target

arq_closes = pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")


async def test_an_order_is_delivered_once(database_url: str, erp: target.Target) -> None:
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1", total="188.10"))
        found = await worker.settled()
        assert (found.received, found.delivered) == (1, 1)
        (call,) = erp.calls
        assert (call.method, call.path) == ("PUT", "/orders/T1")
        assert (call.body["id"], call.body["total"]) == ("T1", "188.10")
        (row,) = await worker.deliveries()
        assert uuid.UUID(call.key).version == 5, "not from the ledger's own numbers, which begin anew after a restore"
        assert (row.state, row.attempt, row.failures, row.target_record) == ("delivered", 1, 0, "T1")
        ((outcome, exchanges),) = await making.rows(worker.ledger, "SELECT outcome, exchanges FROM attempts")
        assert outcome == "delivered"
        assert "/orders/T1" in exchanges
        assert await making.rows(worker.ledger, "SELECT 1 FROM lanes") == []


async def test_many_orders_many_times_are_each_delivered_once(database_url: str, erp: target.Target) -> None:
    """T-26: every push several times and concurrently."""
    async with hubs.running(database_url) as worker:
        orders = [hubs.order(f"T{n}") for n in range(60)]
        await worker.push(*(one for one in orders for _ in range(3)))
        found = await worker.settled()
        assert (found.received, found.duplicate, found.delivered) == (180, 120, 60)
        assert sorted(call.body["id"] for call in erp.calls) == sorted(one["id"] for one in orders)


async def test_reordered_states_end_with_the_newest(database_url: str, erp: target.Target) -> None:
    """T-27: updates of each order in any order, late ones and those of the same second; no stale write."""
    async with hubs.running(database_url) as worker:
        updates = [hubs.order(f"T{n}", minute, status="paid" if minute < 9 else "shipped")
                   for minute in (3, 9, 1, 5, 7, 2) for n in range(12)]  # fmt: skip
        for start in range(0, len(updates), 8):
            await worker.push(*updates[start : start + 8])
        await worker.settled()
        for n in range(12):
            assert erp.records[f"T{n}"]["status"] == "shipped"
            times = [body["updated_at"] for body in erp.order if body["id"] == f"T{n}"]
            assert times == sorted(times), "an older state was written after a newer one"


async def test_a_target_that_is_down_gets_everything_when_it_is_up(
    database_url: str, erp: target.Target, quick: None
) -> None:
    await erp.down()
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(5)))

        async def tried() -> bool:
            rows = await worker.deliveries()
            return len(rows) == 5 and all(row.failures >= 2 for row in rows)

        await making.until(tried)
        assert {row.reason for row in await worker.deliveries()} == {"unavailable"}
        assert (await worker.balance()).in_flight == 5
        await erp.up()
        assert (await worker.settled()).delivered == 5
        assert sorted(erp.records) == [f"T{n}" for n in range(5)]
        assert set(erp.effects.values()) == {1}


async def test_throttling_waits_as_long_as_asked_and_is_no_failure(
    database_url: str, erp: target.Target, quick: None
) -> None:
    erp.next.append(target.Answer(429, headers={"Retry-After": "1"}))
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        await worker.settled()
        first, second = erp.calls
        assert second.at - first.at >= 1.0
        (row,) = await worker.deliveries()
        assert (row.state, row.failures, row.attempt) == ("delivered", 0, 2)


async def test_a_dropped_reply_is_sent_again_under_the_same_key(
    database_url: str, erp: target.Target, quick: None
) -> None:
    """T-32: the write happened, the answer was lost; the target knows the key and does nothing twice."""
    erp.next += [target.DROP, target.DROP]
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        await worker.settled()
        assert len(erp.calls) == 3
        assert len({call.key for call in erp.calls}) == 1
        assert [body["id"] for body in erp.order] == ["T1"]
        rows = await making.rows(worker.ledger, "SELECT outcome FROM attempts ORDER BY id")
        assert [row.outcome for row in rows] == ["retry", "retry", "delivered"]


@pytest.mark.parametrize("bell", [None, "unix:///nowhere/at/all.sock?db=0"])
async def test_without_redis_the_sweep_does_it(
    database_url: str, erp: target.Target, bell: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-07: nobody rings; ingress does not notice, and the sweep finds the work within its period."""
    monkeypatch.setattr(sweep, "PERIOD", 1.0)
    async with hubs.running(database_url, bell) as worker:
        await worker.push(hubs.order("T1"))
        await worker.settled()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await worker.push(*(hubs.order(f"T{n}") for n in range(2, 30)))
        assert loop.time() - began < 1.0
        await worker.settled()
        assert loop.time() - began < 5.0
        assert len(erp.records) == 29


@arq_closes
async def test_the_bell_wakes_another_process_at_once(
    database_url: str, erp: target.Target, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker takes in, the other works; the sweep alone would need up to three seconds each time."""
    monkeypatch.setattr(sweep, "PERIOD", 3.0)
    door = await hubs.build(database_url)
    door.hub.bell = bell = type(door.hub.bell)(valkey_url)
    door.hub.appender._woken = bell.ring
    async with hubs.running(database_url, valkey_url) as worker:
        await door.push(hubs.order("first"))
        await worker.settled()
        loop = asyncio.get_running_loop()
        took = []
        for n in range(5):
            began = loop.time()
            await door.push(hubs.order(f"T{n}"))
            await making.until(lambda n=n: f"T{n}" in erp.records)
            took.append(loop.time() - began)
        assert sorted(took)[2] < 1.0, took
    await door.hub.close()


@arq_closes
async def test_redis_forgetting_everything_loses_nothing(
    database_url: str, erp: target.Target, valkey_url: str
) -> None:
    """T-10."""
    from gateway import valkey

    async with hubs.running(database_url, valkey_url) as worker:
        for start in range(0, 60, 10):
            await worker.push(*(hubs.order(f"T{start + n}") for n in range(10)))
            valkey.ask(valkey_url, "FLUSHALL")
        await worker.settled()
        assert len(erp.records) == 60
        assert set(erp.effects.values()) == {1}


async def test_two_workers_never_deliver_one_twice(database_url: str, erp: target.Target) -> None:
    async with hubs.running(database_url) as one, hubs.running(database_url) as two:
        await asyncio.gather(
            *(worker.push(*(hubs.order(f"T{n}", minute, buyer_note=str(minute)) for n in range(start, start + 40)))
              for minute, worker, start in ((0, one, 0), (0, two, 40), (1, two, 0), (1, one, 40)))
        )  # fmt: skip
        await one.settled(30)
        assert max(erp.effects.values()) == 1
        assert len(erp.calls) == len(erp.effects)
        assert {body["updated_at"][14:16] for body in erp.records.values()} == {"01"}
        for name in erp.records:
            times = [body["updated_at"] for body in erp.order if body["id"] == name]
            assert times == sorted(times)


async def test_a_slow_target_delays_nobody_else(database_url: str, ledger: session.Ledger) -> None:
    """T-25: bulkheads, and at most so many calls at once as the connector declares."""
    async with hubs.targets("slow", "quick") as made:
        await hubs.source(ledger)
        for name, one in made.items():
            await hubs.sink(ledger, one.url, name)
            await hubs.route(ledger, name, name)
        made["slow"].gate.clear()
        async with hubs.running(database_url) as worker:
            await worker.push(*(hubs.order(f"T{n}") for n in range(50)))
            await making.until(lambda: len(made["quick"].records) == 50)
            assert made["slow"].records == {}
            await worker.push(*(hubs.order(f"U{n}") for n in range(20)))
            await making.until(lambda: len(made["quick"].records) == 70)
            assert made["slow"].most <= 16
            made["slow"].gate.set()
            await worker.settled()
            assert len(made["slow"].records) == 70
            assert set(made["slow"].effects.values()) == {1}


async def test_a_poison_record_parks_with_its_reason_and_stops_nobody(database_url: str, erp: target.Target) -> None:
    """T-30."""
    poison: list[dict[str, Any] | bytes] = [
        hubs.order("no total", total="a lot"),
        hubs.order("no status", status="nonsense"),
        {"id": "nothing else"},
        b'["nested", ["lists"]]',
        hubs.order("bad time", updated_at="yesterday"),
    ]
    odd: list[dict[str, Any] | bytes] = [
        hubs.order("N\x00UL", number="1\x002"),
        hubs.order("emoji 🎉 \u200b", number="长" * 500),
        b'{"id":"huge","status":"paid","total":"1.00","extra":{"n":123456789012345678901234567890,"d":1.10}}',
        b'{"id":90071992547409931234,"status":"paid","total":1.00}',
    ]
    async with hubs.running(database_url) as worker:
        await worker.push(*poison, *odd, *(hubs.order(f"T{n}") for n in range(10)))

        async def planned() -> bool:
            return not await making.rows(worker.ledger, "SELECT 1 FROM inbox WHERE state = 'received'")

        await making.until(planned)
        await making.until(lambda: {f"T{n}" for n in range(10)} <= set(erp.records))
        rows = await making.rows(worker.ledger, "SELECT reason, detail FROM inbox WHERE state = 'parked'")
        assert len(rows) >= len(poison)
        for row in rows:
            assert row.reason in ("mapping", "internal")
            assert '"zh"' in row.detail
            assert '"en"' in row.detail
        found = await worker.balance()
        assert (found.difference, found.received) == (0, 20)
        await worker.push(hubs.order("after"))
        await making.until(lambda: "after" in erp.records)
        assert erp.records["90071992547409931234"]["id"] == "90071992547409931234"
        assert erp.records["huge"]["extra"]["n"] in ("123456789012345678901234567890", 123456789012345678901234567890)
        assert "emoji 🎉 \u200b" in erp.records


async def test_poisonous_answers_stop_nobody(database_url: str, erp: target.Target, quick: None) -> None:
    """T-39: what a target says is kept as far as it can be, and never breaks the books."""
    said = {
        "nul": target.Answer(422, b'{"code":"a\\u0000b","message":"x\\u0000y"}'),
        "long": target.Answer(422, orjson.dumps({"code": "c" * 5000, "message": "长" * 5000})),
        "html": target.Answer(200, b"<html>login</html>", {"Content-Type": "text/html"}),
        "bytes": target.Answer(422, bytes(range(256))),
        "half": target.Answer(422, b'{"message":"\\ud800"}'),
    }
    erp.judge = lambda body: said.pop(body["id"], None) if body["status"] == "paid" else None
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(name) for name in list(said)), *(hubs.order(f"T{n}") for n in range(5)))

        async def ended() -> bool:
            return all(row.state in ("dead", "delivered", "parked") for row in await worker.deliveries())

        await making.until(lambda: {f"T{n}" for n in range(5)} <= set(erp.records))
        await making.until(ended)
        await worker.push(hubs.order("after"))
        await making.until(lambda: "after" in erp.records)
        assert (await worker.balance()).difference == 0


async def test_a_refused_record_is_dead_with_the_targets_words(database_url: str, erp: target.Target) -> None:
    erp.next.append(target.Answer(422, b'{"code":"E7","message":"customer missing"}'))
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        assert (await worker.settled()).dead == 1
        (row,) = await worker.deliveries()
        assert (row.state, row.reason) == ("dead", "rejected")
        assert "customer missing" in row.detail
        ((code,),) = await making.rows(worker.ledger, "SELECT code FROM attempts")
        assert code == "E7"

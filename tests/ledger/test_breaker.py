"""Breakers with real workers, sockets and databases: a dead system is left alone, and comes back gently."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from gateway import hub as configuring
from gateway import hub_file
from retry_queue.ledger import session
from retry_queue.sync import breaker
from tests.ledger import hub as hubs
from tests.ledger import making, target

RULE = breaker.Rule(streak=3, span=0.1, probe=0.5, step=0.3, recovery=1.5)
DOWN = target.Answer(503, b"down")


async def state(worker: hubs.Worker, operation: str = "") -> str:
    rows = await making.rows(
        worker.ledger, "SELECT state FROM breakers WHERE operation = :operation", operation=operation
    )
    return str(rows[0].state) if rows else "closed"


def opened(worker: hubs.Worker, operation: str = "") -> Any:
    async def check() -> bool:
        return await state(worker, operation) == "open"

    return check


async def test_a_dead_system_is_left_alone_and_comes_back_gently(
    database_url: str, erp: target.Target, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-24 in small, with two workers: probes, failures not counted, an ordered drain that widens."""
    async with hubs.running(database_url, rule=RULE) as worker, hubs.running(database_url, rule=RULE):
        erp.judge = lambda _body: DOWN
        await worker.push(*(hubs.order(f"T{n}") for n in range(3)))
        await making.until(opened(worker))
        await asyncio.sleep(0.3)
        failures = {row.id: row.failures for row in await worker.deliveries()}
        before = len(erp.calls)
        await worker.push(*(hubs.order(f"T{n}", 1, total="2.00") for n in range(60)))
        await asyncio.sleep(2.3)
        probes = [call.at for call in erp.calls[before:]]
        assert 2 <= len(probes) <= 5, "one per period, over both workers"
        assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(probes))
        rows = await worker.deliveries()
        assert all(row.failures == failures.get(row.id, 0) for row in rows), "a probe burns no try"
        assert {row.state for row in rows} <= {"pending", "retrying", "superseded", "in_flight"}
        monkeypatch.setattr(erp, "_pause", lambda _body: asyncio.sleep(0.02))  # or how many go at once does not show
        erp.judge = lambda _body: None
        came = len(erp.calls)
        found = await worker.settled(30.0)
        assert found.dead == 0
        assert {erp.records[f"T{n}"]["total"] for n in range(60)} == {"2.00"}, "the newest state, and no other after it"
        assert max(erp.effects.values()) == 1
        drained = [call.at for call in erp.calls[came:]]
        assert sum(at - drained[0] < 0.25 for at in drained) <= 40, "not everything in the first moment"

        async def closed() -> bool:
            await worker.push(hubs.order("late", 2))
            return await state(worker) in ("closed", "ramping")

        await making.until(closed)


async def test_what_needs_no_probe_is_not_called(database_url: str, erp: target.Target, quick: None) -> None:
    """Opened by a person: nothing at all goes out, also after the probe's time, until a person closes it."""
    async with hubs.running(database_url, rule=RULE) as worker:
        await making.change(
            worker.ledger,
            "INSERT INTO breakers (connection_key, operation, state, since, streak, streak_at, good, bad, window_at,"
            " next_probe_at, by) VALUES ('erp', '', 'open', 0, 0, 0, 0, 0, 0, 1e11, 'li')",
        )
        await worker.push(*(hubs.order(f"T{n}") for n in range(5)))
        await asyncio.sleep(1.2)
        assert erp.calls == []
        assert {row.state for row in await worker.deliveries()} == {"pending"}
        await making.change(worker.ledger, "DELETE FROM breakers")
        assert (await worker.settled()).delivered == 5


@pytest.mark.parametrize("reason", ["unavailable", None])
async def test_only_trouble_of_the_system_counts(
    database_url: str, erp: target.Target, quick: None, reason: str | None
) -> None:
    """Records that are refused one after the other say that it works."""
    erp.judge = lambda _body: DOWN if reason else target.Answer(422)
    async with hubs.running(database_url, rule=RULE) as worker:
        await worker.push(*(hubs.order(f"T{n}") for n in range(8)))
        if reason:
            await making.until(opened(worker))
            return
        assert (await worker.settled()).dead == 8
        assert await state(worker) == "closed"


DECLARED = """
apiVersion: shuniu/v1
declarations:
  - body: |
      apiVersion: shuniu/api/v1
      id: limited
      label: {zh: 按接口限流, en: Limits its methods}
      success: {path: status, equals: 200}
      errors:
        - {status: [503], becomes: unavailable}
        - {status: [429], becomes: throttled}
        - {status: [418], becomes: banned, retry_after: 2}
      pacing:
        concurrency: 4
        scopes: [{scope: method, limit: 1000, per: 1}]
      operations:
        one.put: {kind: write, entity: order, method: PUT, path: /one, json: "${input}", id: id, idempotent: key,
                  headers: {Idempotency-Key: "${input.id}"}}
        two.put: {kind: write, entity: order, method: PUT, path: /two, json: "${input}", id: id, idempotent: key,
                  headers: {Idempotency-Key: "${input.id}"}}
mappings:
  - connector: limited
    name: order
    body: |
      apiVersion: shuniu/mapping/v1
      connector: limited
      entity: order
      rules:
        - {native: id, canonical: id, way: to}
connections:
  - {key: shop, connector: http, config: {verify_style: hmac, verify_header: X-Signature, entity: order},
     secrets: {hook_secret: hook secret}}
  - {key: erp, connector: limited, config: {base_url: "${URL}"}}
routes:
  - {key: one, from: {connection: shop, entity: order}, when: 'order.status == "paid"',
     to: [{connection: erp, operation: one.put}]}
  - {key: two, from: {connection: shop, entity: order}, when: 'order.status == "shipped"',
     to: [{connection: erp, operation: two.put}]}
"""


async def declared(ledger: session.Ledger, erp: target.Target) -> None:
    draft = hub_file.read(DECLARED, "hub.yaml", variables={"URL": erp.url})
    await configuring.apply(ledger, hubs.SEALER, draft, actor="test")


async def test_one_operation_in_trouble_leaves_the_others_alone(
    database_url: str, ledger: session.Ledger, quick: None
) -> None:
    """Where the system limits its methods one by one, each has a breaker of its own."""
    async with hubs.targets("erp") as made:
        erp = made["erp"]
        await declared(ledger, erp)
        async with hubs.running(database_url, rule=RULE) as worker:
            erp.judge = lambda body: DOWN if body["id"].startswith("one") else None
            await worker.push(*(hubs.order(f"one{n}", status="paid") for n in range(4)))
            await making.until(opened(worker, "one.put"))
            assert await state(worker) == "closed"
            before = len(erp.calls)
            await worker.push(*(hubs.order(f"one-more{n}", status="paid") for n in range(10)))
            await worker.push(*(hubs.order(f"two{n}", status="shipped") for n in range(10)))
            await making.until(lambda: {f"two{n}" for n in range(10)} <= erp.records.keys(), 5.0)
            await asyncio.sleep(1.2)
            held = [call for call in erp.calls[before:] if call.path == "/one"]
            assert 1 <= len(held) <= 6, "probes only"
            erp.judge = lambda _body: None
            found = await worker.settled(30.0)
            assert (found.delivered, found.dead) == (24, 0)
            assert len(erp.records) == 24


async def test_a_long_wait_is_everybodys(database_url: str, ledger: session.Ledger) -> None:
    """429 with seconds to wait: the others of that operation are not even claimed, and no attempt is noted for them."""
    async with hubs.targets("erp") as made:
        erp = made["erp"]
        await declared(ledger, erp)
        async with hubs.running(database_url) as worker:
            erp.next.append(target.Answer(429, headers={"Retry-After": "12"}))
            await worker.push(hubs.order("one0", status="paid"))
            await making.until(lambda: erp.calls)
            await asyncio.sleep(0.3)
            await worker.push(*(hubs.order(f"one{n}", status="paid") for n in range(1, 20)))
            await worker.push(hubs.order("two0", status="shipped"))
            await making.until(lambda: "two0" in erp.records, 5.0)
            await asyncio.sleep(1.0)
            assert [call.path for call in erp.calls] == ["/one", "/two"]
            rows = await making.rows(worker.ledger, "SELECT outcome FROM attempts")
            assert sorted(row.outcome for row in rows) == ["delivered", "wait"]


async def test_a_ban_is_kept_by_every_worker(database_url: str, ledger: session.Ledger) -> None:
    """T-23: not one call until the ban is over, though two workers have plenty to send."""
    async with hubs.targets("erp") as made:
        erp = made["erp"]
        await declared(ledger, erp)
        async with hubs.running(database_url) as worker, hubs.running(database_url):
            erp.next.append(target.Answer(418))
            await worker.push(hubs.order("first"))
            await making.until(lambda: erp.calls)
            await making.until(opened(worker))
            await worker.push(*(hubs.order(f"N{n}", status="shipped") for n in range(20)))
            assert (await worker.settled()).delivered == 21
            assert min(call.at for call in erp.calls[1:]) - erp.calls[0].at >= 1.95
            assert await making.rows(worker.ledger, "SELECT 1 FROM paces WHERE kind = 'ban'")

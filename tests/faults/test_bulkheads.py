"""One system in trouble is nobody else's trouble: dead, slow, banned, or met by a burst; counted at the systems."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests import hooks
from tests.faults import conftest, house, systems
from tests.ledger import making, target

CONNECTIONS = """
apiVersion: shuniu/v1
declarations:
  - body: |
      apiVersion: shuniu/api/v1
      id: limited
      label: {zh: 限流系统, en: Limited}
      success: {path: status, equals: 200}
      errors:
        - {status: [418], becomes: banned, retry_after: 3}
      pacing:
        concurrency: 8
        scopes: [{scope: app, limit: 40, per: 1}]
      operations:
        order.put: {kind: write, entity: order, method: PUT, path: "/o/${input.id}", json: "${input}",
                    id: id, idempotent: key, headers: {Idempotency-Key: "${input.id}"}}
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
  - {key: calm, connector: http, config: {verify_style: hmac, verify_header: X-Signature, entity: order},
     secrets: {hook_secret: "${SECRET}"}}
  - {key: loud, connector: http, config: {verify_style: hmac, verify_header: X-Signature, entity: order},
     secrets: {hook_secret: "${SECRET}"}}
  - {key: well, connector: http, config: {verify_style: closed, base_url: "${WELL}", record_path: /o}}
  - {key: ill, connector: http, config: {verify_style: closed, base_url: "${ILL}", record_path: /o}}
  - {key: slow, connector: http, config: {verify_style: closed, base_url: "${SLOW}", record_path: /o}}
  - {key: strict, connector: limited, config: {base_url: "${STRICT}"}}
routes:
  - {key: calm-well, from: {connection: calm, entity: order}, to: [{connection: well, operation: record.put}]}
"""
LOUD = "  - {key: loud-%s, from: {connection: loud, entity: order}, to: [{connection: %s, operation: %s}]}\n"


class Stand:
    """A hub with two sources, and targets that a test may break; ``sent`` is when each order was taken in."""

    def __init__(self, hub: house.House, those: dict[str, target.Target], client: httpx.AsyncClient) -> None:
        self.hub, self.those, self._client = hub, those, client
        self.sent: dict[str, float] = {}

    async def push(self, key: str, name: str, total: str = "1.00") -> None:
        stamp = "2026-01-01T00:00:00+00:00"
        raw = orjson.dumps({"id": name, "number": name, "status": "paid", "total": total, "updated_at": stamp})
        proof = hooks.proof(raw, systems.SECRET)
        answer = await self._client.post(f"/hooks/{key}", content=raw, headers={"X-Signature": proof})
        assert answer.is_success, answer.text
        self.sent[name] = asyncio.get_running_loop().time()

    async def steady(self, key: str, name: str, rate: float, seconds: float) -> None:
        """So many orders a second, evenly."""
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        begun = loop.time()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(begun + number / rate - loop.time(), 0))
            tasks.add(asyncio.create_task(self.push(key, f"{name}-{number}")))
        await asyncio.gather(*tasks)

    async def burst(self, key: str, name: str, size: int) -> None:
        """As many as are taken, as fast as they are."""
        numbers = iter(range(size))

        async def some() -> None:
            for number in numbers:
                await self.push(key, f"{name}-{number}")

        await asyncio.gather(*(some() for _ in range(16)))

    async def p95(self, name: str) -> float:
        """Seconds from taken in to done at ``well``, of the orders called so; waits until all are done."""
        wanted = {one for one in self.sent if one.startswith(f"{name}-")}

        def arrived() -> dict[str, float]:
            found: dict[str, float] = {}
            for call in self.those["well"].calls:
                found.setdefault(str(call.body["id"]), call.at)
            return {one: found[one] for one in wanted if one in found}

        found = await making.until(lambda: seen if len(seen := arrived()) == len(wanted) else None, 120.0, name)
        waits = [float(found[one] - self.sent[one]) for one in wanted]
        return float(statistics.quantiles(waits, n=20)[-1])

    async def all_at(self, key: str, name: str, size: int, seconds: float) -> None:
        """Waits until every order called so is in a target."""
        names = {f"{name}-{number}" for number in range(size)}
        await making.until(lambda: names <= self.those[key].records.keys(), seconds, f"{name} at {key}")


@contextlib.asynccontextmanager
async def standing(folder: Path, loud: dict[str, str], **how: Any) -> AsyncIterator[Stand]:
    """``loud``: target -> operation of what the loud source sends to."""
    those = {name: target.Target() for name in ("well", "ill", "slow", "strict")}
    for one in those.values():
        await one.up()
    try:
        async with house.standing(folder, **how) as hub:
            text = CONNECTIONS + "".join(LOUD % (key, key, operation) for key, operation in loud.items())
            values = {name.upper(): one.url for name, one in those.items()} | {"SECRET": systems.SECRET}
            await hub.apply(text, values)
            await asyncio.sleep(1.5)  # every process has taken the configuration over
            async with httpx.AsyncClient(base_url=hub.url, timeout=30.0) as client:
                made = Stand(hub, those, client)
                await made.burst("calm", "warm", 50)
                await made.p95("warm")
                yield made
    finally:
        for one in those.values():
            one.gate.set()
            await one.down()


def within(found: float, alone: float, full: bool) -> bool:
    """Ten per cent, and what a busy machine adds to milliseconds: in the small run, of one short round beside other
    tests, up to half a second. Whoever waits for a slow or dead system waits for whole seconds."""
    return found <= alone * 1.10 + (0.010 if full else 0.500)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_dead_and_a_slow_system_leave_the_others_alone(
    folder: Path, postgres_url: str, valkey_url: str, full: bool, trial: Callable[..., None]
) -> None:
    """T-25: the same orders beside two systems in trouble, again and again, so that the machine's moods even out."""
    rounds, seconds, rate = (3, 30.0, 40.0) if full else (1, 4.0, 20.0)
    alone, beside = [], []
    loud = {"ill": "record.put", "slow": "record.put"}
    async with standing(folder, loud, database_url=postgres_url, redis_url=valkey_url) as stand:
        for number in range(rounds):
            await stand.steady("calm", f"alone{number}", rate, seconds)
            alone.append(await stand.p95(f"alone{number}"))
            await stand.those["ill"].down()
            stand.those["slow"].gate.clear()
            noise = asyncio.create_task(stand.steady("loud", f"noise{number}", rate, seconds))
            await stand.steady("calm", f"beside{number}", rate, seconds)
            beside.append(await stand.p95(f"beside{number}"))
            await noise
            if not full:  # later some that were given up are still waiting over there
                assert stand.those["slow"].most <= 16, "no more calls under way than declared"
            stand.those["slow"].gate.set()
            await stand.those["ill"].up()
        async with stand.hub.client("operator") as api:
            closed = await api.post("/connections/ill/breaker/close")  # a person need not wait for the next probe
            assert closed.status_code == 200
        size = int(rate * seconds)
        for number in range(rounds):
            await stand.all_at("slow", f"noise{number}", size, 120.0)
            await stand.all_at("ill", f"noise{number}", size, 300.0)
        balance = await stand.hub.balance()
    figures = {"p95_alone": f"{min(alone):.3f}", "p95_beside": f"{min(beside):.3f}", "dead": balance.dead}
    trial("a dead and a slow system beside others", f"{rate:.0f}/s × {seconds:.0f} s × {rounds}", **figures)
    assert within(min(beside), min(alone), full), figures
    assert (balance.dead, balance.difference) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_system_that_was_dead_is_met_gently(
    folder: Path, postgres_url: str, valkey_url: str, full: bool, trial: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """T-24: few probes, tries not burnt, everything delivered once, no more at a time than declared."""
    period, outage, size = (30.0, 300.0, 5_000) if full else (1.0, 6.0, 150)
    monkeypatch.setenv("SHUNIU_PROBE_SECONDS", str(period))
    how = {"database_url": postgres_url, "redis_url": valkey_url, "workers": 2}
    async with standing(folder, {"ill": "record.put"}, **how) as stand:
        ill = stand.those["ill"]
        ill.judge = lambda _body: target.Answer(503)
        await stand.burst("loud", "early", 20)

        async def opened() -> bool:
            return bool(await stand.hub.rows("SELECT 1 FROM breakers WHERE state = 'open' AND operation = ''"))

        loop = asyncio.get_running_loop()
        begun = loop.time()
        await making.until(opened, 30.0, "the breaker open")
        opens = loop.time() - begun
        await asyncio.sleep(1.0)  # what was under way comes to its end
        before = len(ill.calls)
        await stand.burst("loud", "late", size)
        await asyncio.sleep(max(outage - (loop.time() - begun), period * 3))
        probes = len(ill.calls) - before
        waited = loop.time() - begun
        burnt = max(row[0] for row in await stand.hub.rows("SELECT failures FROM deliveries"))
        ill.judge, ill.most, came = lambda _body: None, 0, len(ill.calls)
        await stand.all_at("ill", "late", size, period + 240.0)
        await stand.all_at("ill", "early", 20, 240.0)
        drained = [call.at for call in ill.calls[came:]]
        first = sum(at - drained[0] < 0.5 for at in drained)
        balance = await stand.hub.balance()
    figures = {
        "opened_after": f"{opens:.1f}", "probes": probes, "failures_most": burnt, "in_first_half_second": first,
        "at_once": ill.most, "doubles": sum(n - 1 for n in ill.effects.values()), "dead": balance.dead,
    }  # fmt: skip
    trial("a system dead for a while", f"{outage:.0f} s, {size:,} orders", **figures)
    assert opens <= 12.0, figures
    assert 1 <= probes <= waited / period + 2, figures
    assert burnt <= 5, figures
    assert ill.most <= 32, figures
    assert set(ill.effects.values()) == {1}, figures
    assert (balance.dead, balance.difference) == (0, 0)


@pytest.mark.skipif(not conftest.FULL, reason="full size only; in small: tests/ledger")
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_ban_holds_all_workers(
    folder: Path, postgres_url: str, valkey_url: str, full: bool, trial: Callable[..., None]
) -> None:
    """T-23: three workers, a declared limit, a ban in the middle: no call within it, never more than the limit."""
    size = 1_200 if full else 160
    how = {"database_url": postgres_url, "redis_url": valkey_url, "workers": 3}
    async with standing(folder, {"strict": "order.put"}, **how) as stand:
        strict, banned = stand.those["strict"], list[float]()

        def judge(_body: Any) -> target.Answer | None:
            if len(strict.calls) >= size // 4 and not banned:
                banned.append(asyncio.get_running_loop().time())
                return target.Answer(418)
            return None

        strict.judge = judge
        await stand.burst("loud", "many", size)
        await stand.all_at("strict", "many", size, 240.0)
        balance = await stand.hub.balance()
    times = [call.at for call in strict.calls]
    during = [at for at in times if banned[0] + 0.8 < at < banned[0] + 2.9]
    fastest = max(sum(at <= other < at + 0.8 for other in times) for at in times)
    after = [at for at in times if at > banned[0] + 0.8]
    average = (len(after) - 1) / (after[-1] - after[0])
    figures = {"calls_in_ban": len(during), "average": f"{average:.1f}", "most_in_0.8_s": fastest, "limit": 40}
    trial("a ban and a limit over three workers", f"{size:,} orders", **figures)
    assert during == [], figures
    assert average <= 40.4, figures
    assert fastest <= 60, figures  # what was let go in time may leave late on a busy machine
    assert set(strict.effects.values()) == {1}, figures
    assert (balance.dead, balance.difference) == (0, 0)


@pytest.mark.skipif(not conftest.FULL, reason="full size only; in small: tests/ledger")
@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_burst_of_one_source_leaves_another_its_share(
    folder: Path, postgres_url: str, valkey_url: str, full: bool, trial: Callable[..., None]
) -> None:
    """T-33 in part: while thousands of one source wait, another's orders go through in their usual time."""
    size, rate = (20_000, 20.0) if full else (800, 20.0)
    async with standing(folder, {"ill": "record.put"}, database_url=postgres_url, redis_url=valkey_url) as stand:
        await stand.steady("calm", "alone", rate, 3.0)
        alone = await stand.p95("alone")
        noise = asyncio.create_task(stand.burst("loud", "many", size))
        await asyncio.sleep(0.3)
        begun = asyncio.get_running_loop().time()
        while not noise.done():
            await stand.steady("calm", f"beside{asyncio.get_running_loop().time() - begun:.0f}x", rate, 1.0)
        await noise
        await stand.all_at("ill", "many", size, 240.0)
        beside = await stand.p95("beside0x")
    figures = {"p95_alone": f"{alone:.3f}", "p95_beside": f"{beside:.3f}"}
    trial("a burst of one source beside another", f"{size:,} orders", **figures)
    assert beside <= max(alone * 4, 1.0), figures

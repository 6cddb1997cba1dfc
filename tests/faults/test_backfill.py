"""Live events beside the import of a long history into the same slow system: they do not wait for it.

Asked twice: how many calls of history began at the target after a live delivery was owed and before it was called
(never more than the slots that history may have), and what the 95th percentile is beside the import and alone, in
turns within one run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from retry_queue.ledger import backfills
from tests import hooks
from tests.faults import house, systems
from tests.ledger import making, pair, target

HUB = """
apiVersion: shuniu/v1
connections:
  - key: live
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: customer}
    secrets: {hook_secret: "${SECRET}"}
  - {key: past, connector: crm, config: {base_url: "${CRM}", intake: closed}, secrets: {api_key: "${KEY}"}}
  - {key: there, connector: http, config: {verify_style: closed, base_url: "${THERE}", record_path: /c}}
routes:
  - {key: now, from: {connection: live, entity: customer}, to: [{connection: there, operation: record.put}]}
  - {key: then, from: {connection: past, entity: customer}, to: [{connection: there, operation: record.put}]}
"""
CALL = 0.1
"""Seconds of one call of the target."""
MOST = {"sqlite": 1.5, "postgres": 1.25}
"""How much longer a live event may take beside an import; SQLite has one writer for both."""
SHARE = 8
"""Half of the target's sixteen slots: what history may have of them."""
DAY = 86400.0


class Slow(target.Target):
    """Takes its time over each call, and knows when each began and ended (Unix seconds)."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[tuple[float, str]] = []
        self.ended: dict[str, float] = {}

    def _done(self, key: str, body: Any) -> None:
        self.ended[str(body["id"])] = time.time()

    async def _pause(self, body: Any) -> None:
        self.began.append((time.time(), str(body["id"])))
        await asyncio.sleep(CALL)


class Import:
    """A backfill that can be let go and held."""

    def __init__(self, hub: house.House, number: int) -> None:
        self.hub, self.number = hub, number

    async def owed(self) -> int:
        async with self.hub.ledger.read() as db:
            return (await backfills.pressure(db, 60.0)).owed

    async def turn(self, what: str) -> None:
        async with self.hub.ledger.write() as db:
            assert await backfills.turn(db, self.number, what)

    async def go(self) -> None:
        """Lets it go until more is owed than the target takes."""
        await self.turn("resume")
        await making.until(self._enough, 60.0, "more history is owed than the target takes")

    async def _enough(self) -> bool:
        await asyncio.sleep(0.05)
        return await self.owed() >= 4 * SHARE

    async def hold(self) -> None:
        """Holds it, and waits until nothing of it is under way."""
        await self.turn("pause")
        await making.until(self._none, 60.0, "no history is owed")

    async def _none(self) -> bool:
        await asyncio.sleep(0.05)
        return await self.owed() == 0


class Source:
    """Pushes live events one after the other and measures each from its sending to its end at the target."""

    def __init__(self, url: str, there: Slow) -> None:
        self.there = there
        self._url = f"{url}/hooks/live"
        self._client = httpx.AsyncClient(timeout=30.0)
        self._count = 0

    async def some(self, count: int) -> list[float]:
        found = []
        for _ in range(count):
            self._count += 1
            name = f"live{self._count}"
            raw = orjson.dumps({"id": name, "name": "新客户", "updated_at": None})
            proof = hooks.proof(raw, systems.SECRET)
            begun = time.time()
            answer = await self._client.post(self._url, content=raw, headers={"X-Signature": proof})
            assert answer.is_success
            await making.until(lambda name=name: name in self.there.ended, 30.0, f"{name} at the target")
            found.append(self.there.ended[name] - begun)
        return found

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def standing(folder: Path, history: int, **how: Any) -> AsyncIterator[tuple[house.House, Slow, Import]]:
    there = Slow()
    await there.up()
    try:
        async with pair.systems() as crm, house.standing(folder, **how) as hub:
            crm.fill(history, ago=20 * DAY)
            values = {"THERE": there.url, "CRM": crm.urls["left"], "KEY": pair.KEY, "SECRET": systems.SECRET}
            await hub.apply(HUB, values)
            now = time.time()
            async with hub.ledger.write() as db:
                wanted = backfills.New("past", "changes", "person", (now - 30 * DAY, now), 500.0)
                number = await backfills.create(db, wanted, now)
                assert await backfills.turn(db, number, "pause")
            await asyncio.sleep(1.5)  # every process has taken the configuration over
            yield hub, there, Import(hub, number)
    finally:
        await there.down()


async def overtaken(hub: house.House, there: Slow) -> list[int]:
    """Of each live delivery: calls of history that began after it was owed and before it was called."""
    query = (
        "SELECT e.record, d.created_at FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.route_key = 'now'"
    )
    owed = {row.record: row.created_at for row in await hub.rows(query)}
    called = {name: at for at, name in reversed(there.began)}
    return [
        sum(owed[name] < at < called[name] and other not in owed for at, other in there.began)
        for name in owed
    ]  # fmt: skip


def p95(found: list[float]) -> float:
    return sorted(found)[int(len(found) * 0.95)] * 1000


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres])])
async def test_live_events_do_not_wait_for_history(
    folder: Path, database: str, full: bool, seed: int, trial: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    how: dict[str, Any] = {}
    if database == "postgres":
        served = {"database_url": request.getfixturevalue("postgres_url")}
        how = served | {"redis_url": request.getfixturevalue("valkey_url")}
    turns, each = (6, 40) if full else (1, 15)
    async with standing(folder, 12_000 if full else 2_000, **how) as (hub, there, history):
        source = Source(hub.url, there)
        await source.some(5)
        alone: list[float] = []
        beside: list[float] = []
        for place in range(turns):
            if place:
                await history.hold()
            alone += await source.some(each)
            await history.go()
            before = len(there.began)
            beside += await source.some(each)
            assert await history.owed() > 0, "history was owed all the time"
            assert len(there.began) - before >= 2 * each, "history went on all the time"
        await source.close()
        passed = await overtaken(hub, there)
        assert (await hub.balance()).difference == 0
    figures = {
        "live_p95_alone_ms": round(p95(alone)), "live_p95_beside_ms": round(p95(beside)),
        "ratio": round(p95(beside) / p95(alone), 2), "history_calls": len(there.began) - len(alone + beside) - 5,
        "most_overtaken_by": max(passed),
    }  # fmt: skip
    trial("live events beside the import of history", f"{len(beside)} live events, {database}", seed=seed, **figures)
    print(figures)
    assert max(passed) <= 2 * SHARE, figures
    if full:
        assert figures["ratio"] <= MOST[database], figures

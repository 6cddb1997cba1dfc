"""Redis carries wake-ups only: it may be away, empty, full or killed, and everything goes on all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import supervisor
from retry_queue import dispatch
from tests.faults import harness, line, servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.redis]


async def test_redis_fails_in_every_way(
    folder: Path, postgres_url: str, full: bool, seed: int, trial: Callable[..., None]
) -> None:
    redis = servers.Redis(folder)
    redis.start()
    between = line.Line(folder / "r.sock", redis.socket)
    await between.up()
    try:
        url = f"unix://{between.here}?db=0"
        async with harness.ground(folder, seed, records=4_000, database_url=postgres_url, redis_url=url) as ground:

            @asynccontextmanager
            async def told(name: str, size: str) -> AsyncIterator[None]:
                """Load before, during and after what the block does, and nobody may notice it."""
                first, taken = len(ground.sender.accepted), len(ground.sender.latencies)
                refused = sum(n for status, n in ground.sender.answers.items() if status != 200)
                async with ground.load(60.0):
                    await asyncio.sleep(0.3)
                    yield
                    await asyncio.sleep(0.5)
                found = await ground.held(seconds=60.0, metrics=full)
                slowest = ground.slowest(first)
                latest = sorted(ground.sender.latencies[taken:])
                p99 = 1000 * latest[int(len(latest) * 0.99)]
                trial(
                    name, size, seed=seed, accepted=len(ground.sender.accepted) - first, lost=len(found.lost),
                    double=len(found.double), out_of_order=len(found.disorder), slowest_s=round(slowest, 1),
                    ack_p99_ms=round(p99),
                )  # fmt: skip
                assert slowest < 10.0, "the sweep was late"
                assert sum(n for status, n in ground.sender.answers.items() if status != 200) == refused
                assert p99 < 2_000.0

            seconds = 300.0 if full else 2.0
            async with told("Redis unreachable while events come in", f"{seconds:.0f} s"):
                between.hold()
                await asyncio.sleep(seconds)
                between.free()

            outages = (0.2, 3.0, 30.0, 300.0) if full else (0.5,)
            async with told("Redis kill -9 and restart", " + ".join(f"{one:g} s" for one in outages)):
                for one in outages:
                    redis.stop()
                    await asyncio.sleep(one)
                    redis.start()
                    await asyncio.sleep(0.5)

            async with told("Redis restarted empty", "1 ×"):
                redis.stop()
                redis.empty()
                redis.start()

            times = 20 if full else 2
            async with told("FLUSHALL in full run", f"{times} ×"):
                for _ in range(times):
                    redis.ask("FLUSHALL")
                    await asyncio.sleep(0.3)

            seconds = 60.0 if full else 1.0
            async with told("Redis full (noeviction)", f"{seconds:.0f} s"):
                redis.ask("CONFIG", "SET", "maxmemory", "1")
                await asyncio.sleep(seconds)
                redis.ask("CONFIG", "SET", "maxmemory", "0")

            assert int(redis.ask("DBSIZE")) < 100, "wake-ups pile up"
            end = time.monotonic() + 20.0
            while int(redis.ask("PUBLISH", dispatch.SHORTCUT, "")) < 2:
                await asyncio.sleep(0.1)
                assert time.monotonic() < end, "a worker does not listen any more"
    finally:
        await between.down()
        redis.stop()


async def test_an_evicting_redis_is_refused_at_the_start(folder: Path) -> None:
    redis = servers.Redis(folder, kept=False)
    redis.start("--maxmemory-policy", "allkeys-lru")
    made = harness.Hub(folder, database_url="", redis_url=redis.url, workers=1, inject={})
    try:
        made.launch()
        begun = time.monotonic()
        assert made.child is not None
        code = await asyncio.to_thread(made.child.wait, 30)
        assert code == supervisor.CONFIG_EXIT, made.tail()
        assert time.monotonic() - begun < 30.0
        said = made.tail()
        assert "maxmemory-policy=allkeys-lru" in said
        assert "CONFIG SET maxmemory-policy noeviction" in said
    finally:
        await made.down()
        redis.stop()

"""Hours of load with a random fault every few seconds, and the memory stays flat. ``SOAK_MINUTES`` says how long."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults import harness, line, servers, sink

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(MINUTES * 60 * 1.5 + 600), pytest.mark.postgres, pytest.mark.redis,
    pytest.mark.skipif(os.environ.get("FAULTS") != "full", reason="minutes long: only in the full run"),
]  # fmt: skip
RATE = 50.0
EVERY = 8.0
"""Seconds between two faults, about."""


async def test_soak_with_random_faults(folder: Path, seed: int, trial: Callable[..., None]) -> None:
    chance = random.Random(seed)
    redis = servers.Redis(folder)
    database = servers.Postgres(folder / "db", "max_connections=100")
    redis.start()
    database.start()
    (folder / "way").mkdir()
    between = line.Line(folder / "way" / ".s.PGSQL.5432", database.socket)
    await between.up()
    url = f"postgresql+asyncpg://postgres@/postgres?host={folder / 'way'}"
    try:
        async with harness.ground(folder, seed, records=2_000, database_url=url, redis_url=redis.url) as ground:
            faults = Faults(ground, redis, database, between, chance)
            begun = time.monotonic()
            samples: list[tuple[float, dict[str, float]]] = []

            async def strike() -> None:
                while time.monotonic() < begun + MINUTES * 60:
                    await asyncio.sleep(chance.uniform(0.5, 1.5) * EVERY)
                    await faults.one()

            async def watch() -> None:
                while True:
                    await asyncio.sleep(5.0)
                    samples.append((time.monotonic() - begun, ground.hub.memory()))

            watching = asyncio.create_task(watch())
            try:
                async with ground.load(RATE, patience=180.0):
                    await strike()
            finally:
                watching.cancel()
            found = await ground.held(seconds=300.0)
            grown = growth(samples)
            connections = int(
                database.server.server.sql("SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL")
            )
            trial(
                "soak with random faults", f"{MINUTES:g} minutes", seed=seed, **found.figures,
                faults=sum(faults.counted.values()), memory_grew=f"{grown:.0%}", connections=connections,
            )  # fmt: skip
            assert connections <= 80
            assert grown < 0.15, samples[-1]
    finally:
        await between.down()
        redis.stop()
        database.stop(signal.SIGQUIT)


class Faults:
    """One fault after another, by the dice."""

    def __init__(
        self, ground: harness.Ground, redis: servers.Redis, database: servers.Postgres, between: line.Line,
        chance: random.Random,
    ) -> None:  # fmt: skip
        self.ground, self.redis, self.database, self.between, self.chance = ground, redis, database, between, chance
        self.counted: dict[str, int] = {}
        self._all: list[Callable[[], Awaitable[None]]] = [
            self.kill, self.kill, self.term, self.sleep, self.flush, self.redis_away, self.database_killed,
            self.database_slow, self.database_deaf, self.replies_lost, self.storm, self.system_dead,
        ]  # fmt: skip

    async def one(self) -> None:
        fault = self.chance.choice(self._all)
        self.counted[fault.__name__] = self.counted.get(fault.__name__, 0) + 1
        await fault()

    async def kill(self) -> None:
        self.ground.hub.kill(self.chance.choice(("api-1", "worker-1", "worker-2")))

    async def term(self) -> None:
        self.ground.hub.kill(self.chance.choice(("api-1", "worker-1", "worker-2")), signal.SIGTERM)

    async def sleep(self) -> None:
        name = self.chance.choice(("worker-1", "worker-2"))
        pid = self.ground.hub.kill(name, signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(1.0, 15.0))
        if pid and self.ground.hub.pids().get(name) == pid:
            self.ground.hub.kill(name, signal.SIGCONT)

    async def flush(self) -> None:
        self.redis.ask("FLUSHALL")

    async def redis_away(self) -> None:
        self.redis.stop()
        await asyncio.sleep(self.chance.uniform(0.1, 5.0))
        self.redis.start()

    async def database_killed(self) -> None:
        await asyncio.to_thread(self.database.kill)
        await asyncio.sleep(self.chance.uniform(0.1, 3.0))
        await asyncio.to_thread(self.database.start)

    async def database_slow(self) -> None:
        self.between.delay = self.chance.uniform(0.05, 1.0)
        await asyncio.sleep(self.chance.uniform(1.0, 5.0))
        self.between.delay = 0.0

    async def database_deaf(self) -> None:
        self.between.hold()
        await asyncio.sleep(self.chance.uniform(1.0, 10.0))
        self.between.free()
        if self.chance.random() < 0.5:
            self.between.cut()

    async def replies_lost(self) -> None:
        self.ground.sink.mood = lambda _kind, _body: sink.Mood(cut=0) if self.chance.random() < 0.3 else None
        await asyncio.sleep(self.chance.uniform(1.0, 5.0))
        self.ground.sink.mood = lambda _kind, _body: None

    async def storm(self) -> None:
        no = sink.Mood(done=False, status=429, headers={"Retry-After": "1"}, body=b'{"message":"slow down"}')
        self.ground.sink.mood = lambda _kind, _body: no if self.chance.random() < 0.9 else None
        await asyncio.sleep(self.chance.uniform(1.0, 5.0))
        self.ground.sink.mood = lambda _kind, _body: None

    async def system_dead(self) -> None:
        await self.ground.sink.down()
        await asyncio.sleep(self.chance.uniform(0.5, 8.0))
        await self.ground.sink.up()


def growth(samples: list[tuple[float, dict[str, float]]]) -> float:
    """How much more the largest process holds in the last third than in the second, as a share."""
    peaks = [max(memory.values()) for _, memory in samples if memory]
    third = len(peaks) // 3
    middle, last = sorted(peaks[third : 2 * third]), sorted(peaks[2 * third :])
    return last[len(last) // 2] / middle[len(middle) // 2] - 1.0 if middle and last else 0.0

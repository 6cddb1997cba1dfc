"""Every kind of process is killed again and again while events come in: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import harness, sink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
KINDS = ("api-1", "worker-1", "worker-2", "valkey")


async def test_processes_are_killed(folder: Path, full: bool, seed: int, trial: Callable[..., None]) -> None:
    """kill -9 of each process under load, then between a system's commit and our settle, then of all at once."""
    async with harness.ground(folder, seed, records=200) as ground:
        kills = 100 if full else 1
        struck = await _each(ground, random.Random(seed), kills)
        found = await ground.held(seconds=180.0, metrics=full)
        trial(
            "kill -9 of API, both workers, Valkey under load", f"{kills} kills each", seed=seed, **found.figures,
            ingress_back_s=round(max(ground.sender.away, default=0.0), 1),
        )  # fmt: skip
        assert min(struck.values()) == kills
        assert found.figures["slowest_s"] < 60.0, found.figures

        cuts = await _between(ground, 50 if full else 1)
        found = await ground.held(seconds=180.0, metrics=full)
        trial("kill -9 between a system's commit and our settle", f"{cuts} kills", seed=seed, **found.figures)

        backlog = 1_000
        first = await _all_at_once(ground, backlog)
        found = await ground.held(seconds=120.0)
        trial(
            "kill -9 of everything with a backlog, cold start", f"{backlog:,} events", seed=seed, **found.figures,
            first_effect_s=round(first, 1),
        )  # fmt: skip


async def _each(ground: harness.Ground, chance: random.Random, kills: int) -> dict[str, int]:
    struck = dict.fromkeys(KINDS, 0)

    async def strike(name: str) -> None:
        while struck[name] < kills:
            await asyncio.sleep(chance.uniform(0.0, 2.0 if name == "api-1" else 5.0))
            if old := ground.hub.kill(name):
                struck[name] += 1
                await ground.hub.back(name, old)
                if name == "api-1":  # else nobody would ever be served
                    await ground.hub.ready()

    async with ground.load(50.0):
        await asyncio.gather(*(strike(name) for name in KINDS))
        await ground.hub.ready()
    return struck


async def _between(ground: harness.Ground, times: int) -> int:
    """The answer of a call that was done goes out only when the workers are dead."""
    left = times
    busy = False

    async def committed(effect: sink.Effect) -> None:
        nonlocal left, busy
        if busy or not left or effect.kind != sink.KINDS[left % 3]:
            return
        busy, left = True, left - 1
        old = {name: ground.hub.kill(name) for name in ("worker-1", "worker-2")}
        for name, pid in old.items():
            await ground.hub.back(name, pid)
        # What was cut off is taken up first: killed again at once, the same few would be, until they count as poison.
        seen, until = len(ground.sink.effects), time.monotonic() + 10.0
        while len(ground.sink.effects) < seen + 100 and time.monotonic() < until:
            await asyncio.sleep(0.1)
        busy = False

    ground.sink.committed = committed
    async with ground.load(20.0):
        end = time.monotonic() + 20.0 + 20.0 * times
        while left or busy:
            assert time.monotonic() < end, ground.hub.tail()
            await asyncio.sleep(0.1)
    ground.sink.committed = lambda _effect: None
    return times


async def _all_at_once(ground: harness.Ground, size: int, patience: float = 120.0) -> float:
    """A backlog while the systems are away; then nothing of the hub is left, and it starts again."""
    await ground.sink.down()
    await ground.sender.send(size, patience=patience)
    await ground.hub.down(signal.SIGKILL)
    await ground.sink.up()
    before = len(ground.sink.effects)
    begun = time.monotonic()
    await ground.hub.up()
    while len(ground.sink.effects) == before:
        await asyncio.sleep(0.05)
        assert time.monotonic() - begun < 60.0, ground.hub.tail()
    return time.monotonic() - begun


@pytest.mark.skipif(os.environ.get("FAULTS") != "full", reason="only in the full run")
async def test_everything_is_killed_with_a_large_backlog(
    folder: Path, postgres_url: str, seed: int, trial: Callable[..., None]
) -> None:
    size = 100_000
    async with harness.ground(folder, seed, records=5_000, database_url=postgres_url) as ground:
        begun = time.monotonic()
        first = await _all_at_once(ground, size, 300.0)
        found = await ground.held(seconds=1200.0)
        memory = max(ground.hub.memory().values())
        trial(
            "kill -9 of everything with a large backlog, cold start", f"{size:,} events", seed=seed, **found.figures,
            first_effect_s=round(first, 1), all_s=round(time.monotonic() - begun), memory_mib=round(memory),
        )  # fmt: skip
        assert first < 20.0

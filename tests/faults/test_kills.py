"""Every kind of process is killed again and again while events come in: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import harness

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
KINDS = ("api-1", "worker-1", "worker-2", "valkey")


async def test_each_process_is_killed_under_load(
    folder: Path, full: bool, seed: int, trial: Callable[..., None]
) -> None:
    """kill -9 of the API, the workers and Valkey at random moments; the supervisor puts them back."""
    chance = random.Random(seed)
    kills = 100 if full else 2
    async with harness.ground(folder, seed, records=200) as ground:
        ended = False

        async def strike() -> None:
            nonlocal ended
            for round_ in range(kills):
                names = list(KINDS)
                chance.shuffle(names)
                for name in names:
                    await asyncio.sleep(chance.uniform(0.0, 0.6))
                    if old := ground.hub.kill(name):
                        struck[name] += 1
                        await ground.hub.back(name, old)
                if round_ % 10 == 9:
                    resumed.append(max(ground.sender.away[-50:], default=0.0))
            ended = True

        struck = dict.fromkeys(KINDS, 0)
        resumed: list[float] = []
        striking = asyncio.create_task(strike())
        begun = time.monotonic()
        while not ended and not striking.done():
            await ground.sender.send(60, rate=60.0)
        await striking
        found = await ground.held(seconds=180.0)
        trial(
            "kill -9 of API, workers, Valkey under load", f"{min(struck.values())} kills each", seed=seed,
            **found.figures, ingress_back_s=round(max(ground.sender.away, default=0.0), 1),
            events_per_s=round(len(ground.sender.accepted) / (time.monotonic() - begun)),
        )  # fmt: skip
        assert min(struck.values()) == kills
        assert max(ground.sender.away, default=0.0) < 15.0, "ingress came back too late"
        assert found.figures["slowest_s"] < 30.0, found.figures


async def test_everything_is_killed_with_a_backlog(
    folder: Path, full: bool, seed: int, trial: Callable[..., None]
) -> None:
    """The supervisor and all its children at once, while the systems were away; then a cold start."""
    size = 100_000 if full else 1_000
    async with harness.ground(folder, seed, records=2_000 if full else 100) as ground:
        await ground.sink.down()
        await ground.sender.send(size, patience=120.0)
        await ground.hub.down(signal.SIGKILL)
        await ground.sink.up()
        cold = await ground.hub.up()
        begun = time.monotonic()
        while not ground.sink.effects:
            await asyncio.sleep(0.05)
            assert time.monotonic() - begun < 60.0, ground.hub.tail()
        first = cold + time.monotonic() - begun
        found = await ground.held(seconds=900.0 if full else 60.0)
        trial(
            "kill -9 of everything with a backlog, cold start", f"{size:,} events", seed=seed, **found.figures,
            first_effect_s=round(first, 1),
        )  # fmt: skip
        assert first < 30.0

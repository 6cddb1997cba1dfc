"""The systems misbehave: they throttle, ban, die, crawl, lose answers, send garbage; nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults import harness, sink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
HTML = "<html><body><h1>访问过于频繁</h1>您的 IP 已被暂时限制访问</body></html>".encode()
FASTER = 0.001
"""The retry schedule runs a thousand times as fast: six hours are twenty-two seconds."""


async def test_systems_misbehave(
    folder: Path, postgres_url: str, full: bool, seed: int, trial: Callable[..., None]
) -> None:
    chance = random.Random(seed)
    inject = {"schedule": FASTER}
    async with harness.ground(
        folder, seed, records=4_000, workers=1, database_url=postgres_url, inject=inject
    ) as ground:

        @asynccontextmanager
        async def told(name: str, size: str = "", seconds: float = 60.0) -> AsyncIterator[dict[str, Any]]:
            """Load while the block runs; afterwards the systems are well again."""
            first, calls = len(ground.sender.accepted), sum(ground.sink.calls.values())
            more: dict[str, Any] = {}
            async with ground.load(40.0):
                yield more
                ground.sink.mood = lambda _kind, _body: None
            found = await ground.held(seconds=seconds, metrics=full)
            trial(
                name, size, seed=seed, accepted=len(ground.sender.accepted) - first, lost=len(found.lost),
                double=len(found.double), out_of_order=len(found.disorder),
                calls=sum(ground.sink.calls.values()) - calls, waiting_in_all=found.figures["waiting"], **more,
            )  # fmt: skip
            assert "credential" not in found.figures["waiting"]

        def always(mood: sink.Mood, share: float = 1.0) -> Callable[[str, Any], sink.Mood | None]:
            return lambda _kind, _body: mood if chance.random() < share else None

        brief, long = (0.5, 1.0) if not full else (20.0, 60.0)

        async with told("replies lost after the commit", "30 % of calls"):
            ground.sink.mood = always(sink.Mood(cut=0), 0.3)
            await asyncio.sleep(long)

        async with told("429 storm", "90 % of calls"):
            storm = sink.Mood(done=False, status=429, body=b'{"message":"slow down"}', headers={"Retry-After": "1"})
            ground.sink.mood = always(storm, 0.9)
            await asyncio.sleep(long)

        async with told("ban of our address with an HTML body"):
            html = {"Content-Type": "text/html; charset=utf-8"}
            ground.sink.mood = always(sink.Mood(done=False, status=200, body=HTML, headers=html))
            await asyncio.sleep(brief)

        hours = 6.0 if full else 0.5
        async with told("system dead", f"{hours:g} h, a thousand times as fast", 120.0):
            await ground.sink.down()
            await asyncio.sleep(hours * 3600 * FASTER)
            await ground.sink.up()

        async with told("200 with garbage, cut in the middle, broken JSON"):
            bad = [
                sink.Mood(body=bytes(range(256))), sink.Mood(cut=60), sink.Mood(body=b'{"ok":tr'),
                sink.Mood(body=b"", status=200), sink.Mood(headers={"Content-Encoding": "gzip"}),
            ]  # fmt: skip
            ground.sink.mood = lambda _kind, _body: chance.choice([*bad, None])
            await asyncio.sleep(long)

        memory = ground.hub.memory()["worker-1"]
        async with told("gzip bomb", "200 MiB in 200 KiB") as more:
            bomb = sink.Mood(body=_bomb(200), headers={"Content-Encoding": "gzip"})
            ground.sink.mood = always(bomb)
            await asyncio.sleep(brief)
            more["memory_grew_mib"] = round(ground.hub.memory()["worker-1"] - memory)
        assert more["memory_grew_mib"] < 100, more

        async with told("slow-loris: an answer byte by byte, and 30 s of silence"):
            slow = [sink.Mood(trickle=0.2), sink.Mood(delay=30.0 if full else 5.0)]
            ground.sink.mood = lambda kind, _body: chance.choice(slow) if kind != "keyed" else None
            await asyncio.sleep(brief)

        if full:
            await ground.held(seconds=60.0)


def _bomb(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    piece = bytes(2**20)
    return b"".join(packer.compress(piece) for _ in range(mebibytes)) + packer.flush()

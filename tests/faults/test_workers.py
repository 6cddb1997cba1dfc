"""Workers sleep longer than their lease, are restarted in turn, have a wrong clock, or a ledger that lies."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.faults import harness

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
WRONG = {"worker-1": 3600.0, "worker-2": -3600.0, "api-1": 300.0}
"""Seconds by which the clocks of the processes are wrong; the ledger's own is the only one that counts."""


@pytest.mark.skipif(os.environ.get("FAULTS") != "full", reason="only in the full run")
async def test_workers_sleep_restart_and_have_the_wrong_time(
    folder: Path, postgres_url: str, full: bool, seed: int, trial: Callable[..., None]
) -> None:
    inject = {"clock": WRONG}
    async with harness.ground(folder, seed, records=400, database_url=postgres_url, inject=inject) as ground:
        for turn in range(3 if full else 1):
            seconds = 120.0 if full and turn == 0 else 0.0
            late = await _asleep(ground, seconds)
        found = await ground.held(seconds=90.0, metrics=full)
        trial(
            "SIGSTOP of a worker past its lease, then SIGCONT", "120 s" if full else "until it counts as dead",
            seed=seed, **found.figures, late_results_refused=late,
        )  # fmt: skip
        assert late > 0, "nobody was refused: the sleeper had nothing under way"

        times = 20 if full else 1
        first, cut = len(ground.sender.away), Counter(ground.sender.answers)
        async with ground.load(50.0):
            for _ in range(times):
                for name in ("worker-1", "worker-2", "api-1"):
                    begun = time.monotonic()
                    old = ground.hub.kill(name, signal.SIGTERM)
                    await ground.hub.back(name, old)
                    assert time.monotonic() - begun < 35.0, ground.hub.tail()
                await ground.hub.ready()
        parked = found.figures["waiting"]
        found = await ground.held(seconds=90.0, metrics=full)
        trial(
            "rolling restart under load", f"{times} × all", seed=seed, **found.figures,
            ingress_away_s=round(max(ground.sender.away[first:], default=0.0), 1),
            cut_pushes=ground.sender.answers[0] - cut[0],
        )  # fmt: skip
        assert found.figures["waiting"] == parked, "a gentle stop leaves nothing in doubt"


async def _asleep(ground: harness.Ground, seconds: float) -> int:
    """Stops a worker in the middle of its calls until others have its work; returns how many results were late."""
    before = await _refused(ground)
    ground.sink.gate.clear()
    await ground.sender.send(60)
    end = time.monotonic() + 20.0
    held = f"SELECT 1 FROM lanes l JOIN workers w ON w.owner = l.owner WHERE w.pid = {ground.hub.pids()['worker-1']}"
    while len(await ground.rows(held)) < 8 or ground.sink.under_way < 8:
        await asyncio.sleep(0.02)
        assert time.monotonic() < end, await ground.story()
    pid = ground.hub.kill("worker-1", signal.SIGSTOP)
    try:
        begun = time.monotonic()
        while await ground.rows(f"SELECT 1 FROM workers WHERE pid = {pid}"):
            await asyncio.sleep(0.1)
            assert time.monotonic() - begun < 40.0, "a silent worker was not taken for dead"
        await asyncio.sleep(1.0)
        ground.sink.gate.set()
        await ground.quiet(60.0)
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - begun)))
    finally:
        ground.sink.gate.set()
        ground.hub.kill("worker-1", signal.SIGCONT)
    end = time.monotonic() + 20.0
    while await _refused(ground) == before and time.monotonic() < end:
        await asyncio.sleep(0.1)
    return await _refused(ground) - before


async def _refused(ground: harness.Ground) -> int:
    async with httpx.AsyncClient(base_url=ground.hub.url, timeout=10.0) as client:
        text = (await client.get("/metrics")).text
    return sum(int(float(one)) for one in re.findall(r"^shuniu_fenced_results_total\S* (\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def test_the_ledger_lies(
    folder: Path, database: str, full: bool, seed: int, trial: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    """One per cent of all statements and commits fail: before, or after they were done."""
    if database == "sqlite" and not full:
        pytest.skip("the small run has one database")
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    flag = folder / "lying"
    size, rate, commits = (10_000, 0.01, 0.01) if full else (300, 0.02, 0.1)  # 300 events are few commits
    inject = {"store": {"rate": rate, "flag": str(flag), "seed": seed, "commits": commits}}
    async with harness.ground(folder, seed, records=1_000, database_url=url, inject=inject) as ground:
        flag.touch()
        await ground.sender.send(size, rate=150.0 if full else 100.0, patience=60.0)
        flag.unlink()
        found = await ground.held(seconds=200.0 if full else 60.0)
        struck = Counter(
            line for noted in folder.glob("lying.*") for line in noted.read_text(encoding="utf-8").splitlines()
        )
        trial(
            f"{rate:.0%} of statements and commits fail, {database}", f"{size:,} events", seed=seed, **found.figures,
            struck=sum(struck.values()), done_but_timeout=struck["timeout after the commit"],
            told_503=ground.sender.answers[503],
        )  # fmt: skip
        assert struck["timeout after the commit"] > 0

"""The ledger fails: killed, restarted, slow, deaf, full, read-only. Then pushes get a 503, never a false 2xx."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.faults import harness, line, servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
DISK = 192
"""Mebibytes of the disk that PostgreSQL gets: room for its log segments, and soon full."""


def refused(ground: harness.Ground) -> int:
    """Pushes that were told to come again."""
    return ground.sender.answers[503]


@pytest.mark.postgres
async def test_postgres_fails_in_every_way(folder: Path, full: bool, seed: int, trial: Callable[..., None]) -> None:
    with servers.small_disk(folder / "disk", DISK) as small:
        database = servers.Postgres(folder / "disk", "max_connections=60", "max_wal_size=64MB", "wal_keep_size=0")
        database.start()
        (folder / "way").mkdir()
        between = line.Line(folder / "way" / ".s.PGSQL.5432", database.socket)
        await between.up()
        url = f"postgresql+asyncpg://postgres@/postgres?host={folder / 'way'}"
        try:
            async with harness.ground(folder, seed, records=4_000, database_url=url) as ground:

                @asynccontextmanager
                async def told(name: str, size: str, within: float) -> AsyncIterator[None]:
                    """Load before, during and after; what was taken is kept, and work goes on by itself."""
                    first, no, gone = len(ground.sender.accepted), refused(ground), len(ground.sender.away)
                    ground.sender.refusals.clear()
                    async with ground.load(40.0, patience=120.0), _lag(ground) as lags:
                        await asyncio.sleep(0.5)
                        yield
                        ended = time.monotonic()
                        before = len(ground.sender.accepted)
                        while len(ground.sender.accepted) <= before + 5:
                            await asyncio.sleep(0.05)
                            assert time.monotonic() < ended + within, ground.hub.tail()
                        back = time.monotonic() - ended
                    found = await ground.held(seconds=90.0, metrics=full)
                    worst = max(ground.sender.refusals, default=0.0)
                    trial(
                        name, size, seed=seed, accepted=len(ground.sender.accepted) - first, lost=len(found.lost),
                        double=len(found.double), out_of_order=len(found.disorder), told_503=refused(ground) - no,
                        slowest_503_s=round(worst, 1), ingress_back_s=round(back, 1),
                        away_s=round(max(ground.sender.away[gone:], default=0.0), 1),
                    )  # fmt: skip
                    lag = max(lags)
                    assert worst < 6.0 + lag, f"a sender waited too long for its 503; /livez took {lag:.1f} s"

                times = 20 if full else 1
                async with told("PostgreSQL kill -9 of every backend, restart", f"{times} ×", 10.0):
                    for _ in range(times):
                        await asyncio.to_thread(database.kill)
                        await asyncio.sleep(0.5)
                        await asyncio.to_thread(database.start)
                        await asyncio.sleep(1.0)

                if full:
                    times = 10
                    async with told("PostgreSQL fast restart", f"{times} ×", 10.0):
                        for _ in range(times):
                            await asyncio.to_thread(database.stop, signal.SIGINT)
                            await asyncio.to_thread(database.start)
                            await asyncio.sleep(1.0)

                    seconds = 30.0
                    async with told("PostgreSQL slow: 1 s per answer", f"{seconds:.0f} s", 15.0):
                        between.delay = 1.0
                        await asyncio.sleep(seconds)
                        between.delay = 0.0

                seconds = 45.0 if full else 5.0
                async with told("PostgreSQL deaf: connected, no answers", f"{seconds:.0f} s", 15.0):
                    before = refused(ground)
                    between.hold()
                    await asyncio.sleep(seconds)
                    between.free()
                    assert refused(ground) > before, "nobody was told"

                seconds = 20.0 if full else 1.0
                async with told("PostgreSQL out of connections", f"{seconds:.0f} s", 15.0), _crowd(database):
                    await asyncio.sleep(seconds)

                seconds = 20.0 if full else 1.0
                async with told("PostgreSQL read-only", f"{seconds:.0f} s", 10.0):
                    run = database.server.server.sql
                    run("ALTER SYSTEM SET default_transaction_read_only = on")
                    run("SELECT pg_reload_conf()")
                    await asyncio.sleep(seconds)
                    run("ALTER SYSTEM RESET default_transaction_read_only")
                    run("SELECT pg_reload_conf()")

                if small:
                    seconds = 20.0 if full else 1.0
                    async with told("PostgreSQL disk full", f"{seconds:.0f} s", 30.0):
                        filler = servers.fill(folder / "disk")
                        await _until_refused(ground, 30.0)
                        await asyncio.sleep(seconds)
                        filler.unlink()
                        if database.server.child is not None and database.server.child.poll() is not None:
                            database.server.child = None  # it gives up when its log cannot grow
                            await asyncio.to_thread(database.start)
                if full:
                    await ground.held(seconds=60.0)
        finally:
            await between.down()
            database.stop(signal.SIGQUIT)


@asynccontextmanager
async def _lag(ground: harness.Ground) -> AsyncIterator[list[float]]:
    """Seconds that an answer took which asks no database: what the machine was busy with, or stood still for."""
    lags = [0.0]

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=ground.hub.url, timeout=60.0) as client:
            while True:
                begun = time.monotonic()
                assert (await client.get("/livez")).status_code == 200
                lags.append(time.monotonic() - begun)
                await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    try:
        yield lags
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


@asynccontextmanager
async def _crowd(database: servers.Postgres) -> AsyncIterator[None]:
    """Takes every connection there is, the hub's as well: each time one is free, it is taken."""
    host = str(database.folder / "pg")
    taken: list[asyncpg.Connection] = []
    stop = asyncio.Event()

    async def take() -> None:
        while not stop.is_set():
            try:
                taken.append(await asyncpg.connect(host=host, user="postgres", database="postgres", timeout=5.0))
                await taken[-1].execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> ''"
                    " AND pid <> pg_backend_pid()"
                )
            except (asyncpg.PostgresError, OSError, TimeoutError):
                await asyncio.sleep(0.02)

    taking = asyncio.create_task(take())
    try:
        while len(taken) < 30:
            await asyncio.sleep(0.02)
        yield
    finally:
        stop.set()
        await taking
        for one in taken:
            with contextlib.suppress(Exception):
                await one.close(timeout=5.0)


async def _until_refused(ground: harness.Ground, seconds: float) -> None:
    no, end = refused(ground), time.monotonic() + seconds
    while refused(ground) == no:
        await asyncio.sleep(0.05)
        assert time.monotonic() < end, "the disk is full and pushes are taken"


@pytest.mark.skipif(os.environ.get("FAULTS") != "full", reason="only in the full run; PostgreSQL's is in the small one")
async def test_sqlite_disk_full(folder: Path, full: bool, seed: int, trial: Callable[..., None]) -> None:
    """The embedded default on a disk that has no room left, and gets it back."""
    with servers.small_disk(folder / "data", 64) as small:
        if not small:
            pytest.skip("a small disk needs root")
        async with harness.ground(folder, seed, records=4_000) as ground:
            async with ground.load(40.0, patience=120.0):
                await asyncio.sleep(0.5)
                filler = servers.fill(folder / "data")
                await _until_refused(ground, 60.0)
                taken = len(ground.sender.accepted)
                async with httpx.AsyncClient(base_url=ground.hub.url, timeout=10.0) as api:
                    assert (await api.get("/livez")).status_code == 200
                await asyncio.sleep(20.0 if full else 1.0)
                filler.unlink()
                begun = time.monotonic()
                while len(ground.sender.accepted) <= taken + 20:
                    await asyncio.sleep(0.05)
                    assert time.monotonic() - begun < 30.0, ground.hub.tail()
                back = time.monotonic() - begun
            found = await ground.held(seconds=90.0)
            trial(
                "SQLite disk full", "64 MiB", seed=seed, **found.figures, told_503=refused(ground),
                ingress_back_s=round(back, 1),
            )  # fmt: skip

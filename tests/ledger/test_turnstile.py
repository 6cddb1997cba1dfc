"""The turnstile: one writer at a time, live ones first, also between processes, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from retry_queue.ledger import session, turnstile
from tests.ledger import making


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


async def write(stile: turnstile.Turnstile, told: list[str], name: str, *, patient: bool, seconds: float = 0.0) -> None:
    await stile.come(patient=patient)
    await stile.take()
    told.append(name)
    await asyncio.sleep(seconds)
    stile.leave(wrote=True, patient=patient)


async def test_live_goes_first_also_in_another_process(file: Path) -> None:
    """Descriptors of their own exclude each other as those of two processes do."""
    ours, theirs = turnstile.Turnstile(file), turnstile.Turnstile(file)
    told: list[str] = []
    first = asyncio.create_task(write(ours, told, "first", patient=True, seconds=0.1))
    await making.until(lambda: told)
    others = [
        asyncio.create_task(write(ours, told, "past", patient=True)),
        asyncio.create_task(write(theirs, told, "their past", patient=True)),
        asyncio.create_task(write(ours, told, "live", patient=False)),
        asyncio.create_task(write(theirs, told, "their live", patient=False)),
    ]
    await asyncio.wait_for(asyncio.gather(first, *others), 10.0)
    assert set(told[1:3]) == {"live", "their live"}
    assert set(told[3:]) == {"past", "their past"}
    ours.close()
    theirs.close()


async def test_history_has_its_turn_beside_endless_live_writes(file: Path) -> None:
    ours, theirs = turnstile.Turnstile(file), turnstile.Turnstile(file)
    told: list[str] = []
    done = asyncio.Event()

    async def live(stile: turnstile.Turnstile) -> None:
        while not done.is_set():
            await write(stile, told, "live", patient=False, seconds=0.005)

    busy = [asyncio.create_task(live(one)) for one in (ours, ours, theirs)]
    begun = asyncio.get_running_loop().time()
    for _ in range(3):
        await asyncio.wait_for(write(ours, told, "past", patient=True), 10.0)
    took = asyncio.get_running_loop().time() - begun
    done.set()
    await asyncio.gather(*busy)
    assert took >= turnstile.PATIENCE, "it let them go first"
    assert told.count("live") > 30


async def test_two_processes_take_turns(file: Path) -> None:
    """Who writes one transaction after the other lets the other process in between."""
    ours, theirs = turnstile.Turnstile(file), turnstile.Turnstile(file)
    told: list[str] = []

    async def many(stile: turnstile.Turnstile, name: str) -> None:
        for _ in range(20):
            await write(stile, told, name, patient=False, seconds=0.004)

    await asyncio.wait_for(asyncio.gather(many(ours, "a"), many(theirs, "b")), 30.0)
    changes = sum(one != other for one, other in itertools.pairwise(told))
    assert changes >= 20, told


async def test_who_gives_up_leaves_the_turn_to_others(file: Path) -> None:
    stile = turnstile.Turnstile(file)
    told: list[str] = []
    first = asyncio.create_task(write(stile, told, "first", patient=False, seconds=0.05))
    await making.until(lambda: told)
    gone = asyncio.create_task(write(stile, told, "gone", patient=False))
    last = asyncio.create_task(write(stile, told, "last", patient=True))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(asyncio.gather(first, last), 10.0)
    assert told == ["first", "last"]


async def test_where_no_file_can_be_had_sqlite_decides_alone(tmp_path: Path) -> None:
    stile = turnstile.Turnstile(tmp_path / "nowhere" / "hub.db")
    told: list[str] = []
    await asyncio.wait_for(write(stile, told, "done", patient=True), 10.0)
    assert told == ["done"]


async def test_an_error_inside_a_write_leaves_the_turn(tmp_path: Path) -> None:
    ledger = session.open_ledger(f"sqlite+aiosqlite:///{tmp_path / 'hub.db'}", owner="t")
    with pytest.raises(RuntimeError):
        async with ledger.write():
            raise RuntimeError
    async with asyncio.timeout(5.0), ledger.write(patient=True) as connection:
        await connection.exec_driver_sql("CREATE TABLE x (a INTEGER)")
    other = session.open_ledger(f"sqlite+aiosqlite:///{tmp_path / 'hub.db'}", owner="u")
    async with asyncio.timeout(5.0), other.write() as connection:
        await connection.exec_driver_sql("INSERT INTO x VALUES (1)")
    await ledger.close()
    await other.close()

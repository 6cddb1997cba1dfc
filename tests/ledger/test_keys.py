"""Keys change while everything runs: nothing is ever unreadable, whoever dies when, and the old key goes in the end."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time

import pytest

from retry_queue import keeping
from retry_queue.ledger import audit, connections, keyring, secrets, session, tokens
from retry_queue.ledger.states import ConnectionState
from tests.ledger import making

OLD, NEW = "the first master key of the hub", "the second master key of the hub"
SECRET = "canary-secret-of-{}"


async def _fill(ledger: session.Ledger, sealer: secrets.Sealer, many: int) -> None:
    async with ledger.write() as connection:
        for number in range(many):
            key, clear = f"c{number:04d}", {"app_secret": SECRET.format(number), "token": "t"}
            await connections.put(connection, sealer, key, "http", {}, clear, ConnectionState.DISABLED, time.time())
            await tokens.lock(connection, key, 0, 10)
            await tokens.put(connection, sealer, key, 0, f"token-of-{number}", {"cookie": "x"}, time.time() + 999)


async def _read(ledger: session.Ledger, *masters: str) -> int:
    """How many connections and tokens read as they were written, for a process that starts now."""
    sealer, fits = secrets.Sealer(*masters), 0
    await keyring.load(ledger, sealer)
    async with ledger.read() as connection:
        for row in await connections.all_rows(connection):
            number = int(row.key[1:])
            fits += row.opened(sealer) == {"app_secret": SECRET.format(number), "token": "t"}
            found = await tokens.get(connection, sealer, row.key)
            fits += found is not None and found.value == f"token-of-{number}"
    return fits


async def _through(ledger: session.Ledger, sealer: secrets.Sealer, grace: float = 0.0) -> None:
    at = await ledger.now()
    async with ledger.write() as connection:
        await keyring.begin(connection, sealer, at, "test")
    for _ in range(200):
        if (await keyring.step(ledger, sealer, await ledger.now(), grace)).phase == "idle":
            return
    raise AssertionError("the rotation does not end")


async def test_a_rotation_leaves_nothing_of_the_old_key(ledger: session.Ledger) -> None:
    sealer = secrets.Sealer(OLD)
    await _fill(ledger, sealer, 300)
    before, digest = sealer.current, sealer.digest("phone", "13800138000")
    elsewhere = secrets.Sealer(OLD)  # a process that runs meanwhile and has not looked at the ring
    await _through(ledger, sealer)
    assert sealer.current != before
    rows = repr(await making.rows(ledger, "SELECT secrets FROM connections UNION ALL SELECT value FROM tokens"))
    assert rows.count(f"s1.{sealer.current}.") == 900
    assert before not in rows
    assert await _read(ledger, OLD) == 600
    assert sealer.digest("phone", "13800138000") == digest == elsewhere.digest("phone", "13800138000")
    await _through(ledger, sealer)
    assert await _read(ledger, OLD) == 600
    async with ledger.read() as connection:
        assert [one.state for one in await keyring.listed(connection, sealer)] == ["current"]
        assert await audit.verify(connection, sealer) == []
        said = [one.action for one in await audit.search(connection, limit=10)]
        assert said == ["keys.retire", "keys.rotate"] * 2


async def test_the_master_changes_and_the_old_one_becomes_needless(ledger: session.Ledger) -> None:
    await _fill(ledger, secrets.Sealer(OLD), 20)
    both = secrets.Sealer(NEW, OLD)
    await keyring.load(ledger, both)
    digest = both.digest("phone", "1")
    await _through(ledger, both)
    assert await _read(ledger, NEW) == 40
    alone = secrets.Sealer(NEW)
    await keyring.load(ledger, alone)
    assert alone.digest("phone", "1") == digest, "people are recognised as before"
    with pytest.raises(secrets.SecretUnreadable, match="SHUNIU_OLD_SECRET_KEYS"):
        await keyring.load(ledger, secrets.Sealer(OLD))
    async with ledger.read() as connection:
        assert await keyring.masters_needed(connection, both) == {both.master}
        assert await audit.verify(connection, alone) == []


async def test_everybody_hears_of_the_key_before_it_is_used(ledger: session.Ledger) -> None:
    """What one process seals another one that looks each second can open at any moment of a rotation."""
    mine, other = secrets.Sealer(OLD), secrets.Sealer(OLD)
    await _fill(ledger, mine, 3)
    async with ledger.write() as connection:
        fresh = await keyring.begin(connection, mine, 1000.0, "test")
    assert (await keyring.step(ledger, mine, 1010.0)).phase == "announced"
    assert mine.current != fresh
    assert other.open(mine.seal("x", "p"), "p") == "x"
    await keyring.load(ledger, other)  # its look of that second
    assert (await keyring.step(ledger, mine, 1016.0)).phase == "sealing"
    assert mine.current == fresh != other.current
    assert other.open(mine.seal("x", "p"), "p") == "x"
    assert mine.open(other.seal("y", "p"), "p") == "y", "and one that still writes with the old key is understood"
    late = await keyring.step(ledger, mine, 1017.0)
    while late.phase == "sealing" and not late.wait:
        late = await keyring.step(ledger, mine, 1017.0)
    async with ledger.write() as connection:
        await connections.put(connection, other, "c0001", "http", {}, {"token": "t"}, ConnectionState.DISABLED, 1.0)
    assert (await keyring.step(ledger, mine, 1032.0)).phase == "sealing", "the late text is sealed anew"
    assert (await keyring.step(ledger, mine, 1033.0)).phase == "idle"
    assert await _read(ledger, OLD) == 6


async def test_what_nobody_can_open_keeps_the_old_key(ledger: session.Ledger) -> None:
    sealer = secrets.Sealer(OLD)
    await _fill(ledger, sealer, 2)
    lost = json.dumps({"token": "s1.00000000.AAAA"})
    await making.change(ledger, "UPDATE connections SET secrets = :lost WHERE key = 'c0001'", lost=lost)
    async with ledger.write() as connection:
        await keyring.begin(connection, sealer, 0.0, "test")
    found = [await keyring.step(ledger, sealer, 100.0 + n) for n in range(4)]
    assert found[-1] == keyring.Standing("stuck", 1)
    async with ledger.read() as connection:
        assert {one.state for one in await keyring.listed(connection, sealer)} == {"current", "leaving"}


KILLED = """
import asyncio, sys, time
from retry_queue.ledger import keyring, secrets, session
keyring.BATCH = 5
async def run():
    ledger = session.open_ledger(sys.argv[1], owner="rotation", pool=1)
    sealer = secrets.Sealer(*sys.argv[2:])
    await keyring.load(ledger, sealer)
    at = await ledger.now()
    async with ledger.write() as connection:
        await keyring.begin(connection, sealer, at, "test")
    print("begun", flush=True)
    while (await keyring.step(ledger, sealer, await ledger.now(), 0.0)).phase != "idle":
        pass
    print("done", flush=True)
asyncio.run(run())
"""


async def test_killed_in_the_middle_ten_times(ledger: session.Ledger) -> None:
    """S-20: after every kill everything reads, and the next run goes on where the dead one was."""
    await _fill(ledger, secrets.Sealer(OLD), 300)
    url = ledger.engine.url.render_as_string(hide_password=False)
    dice, kills = random.Random(11), 0
    wanted = 10 if ledger.dialect == "postgresql" else 3
    for _ in range(40):
        running = subprocess.Popen(
            [sys.executable, "-c", KILLED, url, NEW, OLD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert running.stdout is not None
        said = await asyncio.to_thread(running.stdout.readline)
        assert said == "begun\n", running.communicate()[1]
        if kills < wanted:
            await asyncio.sleep(dice.uniform(0.0, 0.05))
            running.kill()
            rest, _ = await asyncio.to_thread(running.communicate, None, 20)
            kills += "done" not in rest
        else:
            rest, wrong = await asyncio.to_thread(running.communicate, None, 60)
            assert "done" in rest, wrong
        assert await _read(ledger, NEW, OLD) == 600
        (setting,) = await making.rows(ledger, "SELECT value FROM settings WHERE key = 'keyring'")
        if kills >= wanted and "done" in rest:
            break
    assert kills >= wanted
    assert await _read(ledger, NEW) == 600, "the old master is needless"
    assert len(json.loads(setting[0])) == 2, "one key and that of the digests"


async def test_a_worker_finishes_what_somebody_began(ledger: session.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    await _fill(ledger, secrets.Sealer(OLD), 30)
    at = await ledger.now()
    async with ledger.write() as connection:
        fresh = await keyring.begin(connection, secrets.Sealer(OLD), at - 100, "test")
    sealer = secrets.Sealer(OLD)
    keeper = keeping.Keeper(ledger, sealer)
    monkeypatch.setattr(keyring.step, "__defaults__", (0.0,))
    for _ in range(3):
        await keeper.step()
    async with ledger.read() as connection:
        (key,) = await keyring.listed(connection, sealer)
    assert (key.id, key.state, key.rows) == (fresh, "current", 60)
    assert await _read(ledger, OLD) == 60

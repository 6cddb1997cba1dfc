"""Processes of a trial run: started, waited for, measured in CPU seconds and memory, and ended by pid."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway import children, settings

_TICK = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(
    command: list[str], env: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs ``python -m …`` for the length of a block and ends it with everything it started."""
    with (log or Path(os.devnull)).open("ab") as errors:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            env={**settings.surroundings(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if command[0].endswith("sink") else errors,
            stderr=errors,
            start_new_session=True,
            preexec_fn=children.dies_with_parent(),  # noqa: PLW1509 - see children
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(35)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        if child.stdout is not None:
            child.stdout.close()


def free_port() -> int:
    """A port nobody listens on right now, below those that the system gives to outgoing calls.

    One of those would be taken by somebody's call before its listener has started, on a machine with many of them.
    """
    for port in random.sample(range(15_000, 32_768), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port among a hundred")


async def reachable(port: int, seconds: float = 60.0, child: subprocess.Popen[bytes] | None = None) -> None:
    """Returns when something listens on the port; raises TimeoutError, or ChildProcessError when ``child`` ended."""
    end = time.monotonic() + seconds
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            if child is not None and child.poll() is not None:
                raise ChildProcessError(f"ended with exit code {child.returncode} before port {port}") from None
            if time.monotonic() > end:
                raise TimeoutError(f"nothing listens on port {port}") from None
            await asyncio.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """A process and everything below it, by /proc."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue += parents.get(one, [])
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU seconds of processes and their descendants, ended children included."""
    total = 0.0
    for pid in {one for root in roots for one in descendants(root)}:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(fields[place]) for place in (11, 12)) / _TICK
    return total


def pss_mib(roots: Iterable[int]) -> float:
    """Proportional memory of processes and their descendants, MiB."""
    total = 0
    for pid in {one for root in roots for one in descendants(root)}:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


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


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time; released also when the holder dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

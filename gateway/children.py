"""Child processes that cannot outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def dies_with_parent() -> Callable[[], None] | None:
    """A ``preexec_fn``: the kernel kills the child when the thread that started it ends, however it ends.

    Call it in the parent: it remembers the parent's pid to catch a parent that died before the child
    could ask. Only touches what was loaded beforehand, since it runs between fork and exec. None where
    the kernel offers no such signal (macOS); there a killed supervisor leaves its children to the user.
    """
    libc = _libc
    if libc is None:
        return None
    parent = os.getpid()

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def trim() -> None:
    """Gives back to the system what this process has freed and keeps for later; where the C library can."""
    if _libc is not None and hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def kill_group(pid: int, sign: int) -> bool:
    """Send a signal to a child started with ``start_new_session`` and to all it started itself."""
    try:
        os.killpg(pid, sign)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def port_is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


GATE = "--gate="
"""The last argument of a child that is to wait begins with this: which of its files is the pipe."""


class Gate:
    """Lets children in that have loaded meanwhile: a pipe that nobody writes to, and whose end is the word."""

    def __init__(self) -> None:
        self._ends: tuple[int, ...] = os.pipe()

    def told(self) -> tuple[list[str], tuple[int, ...]]:
        """Arguments and file descriptors for a child that is to wait; none once it is open."""
        return [f"{GATE}{end}" for end in self._ends[:1]], self._ends[:1]

    def open(self) -> None:
        """For all of them, and for good."""
        for end in self._ends:
            os.close(end)
        self._ends = ()


def admitted() -> None:
    """In a child: returns when the gate is open; at once where there is none."""
    if sys.argv[-1].startswith(GATE):
        end = int(sys.argv.pop().removeprefix(GATE))
        os.read(end, 1)
        os.close(end)

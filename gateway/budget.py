"""The disk under DATA_DIR: how much room is left, told before it is gone, and logs that stay small.

The hub itself logs to stderr, which its surroundings keep and turn over; the embedded Valkey writes a file.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FULL, NEARLY = 200 * 1024**2, 2 * 1024**3
"""Bytes left: below the first the database may fail at any moment, below the second somebody should make room."""
AGAIN = 3600.0
"""Seconds until the same is said again."""
LONGEST_LOG = 8 * 1024**2
KEPT_LOGS = 2

Level = Literal["fine", "low", "full"]


def free(folder: Path) -> int:
    """Bytes left for us under a folder."""
    return shutil.disk_usage(folder).free


def level(left: int) -> Level:
    """What so many bytes mean."""
    return "full" if left < FULL else "low" if left < NEARLY else "fine"


@dataclass(slots=True)
class Warner:
    """Says when it got worse, and again every hour while it stays so."""

    said: Level = "fine"
    at: float = -AGAIN

    def due(self, now: Level, at: float | None = None) -> bool:
        """Whether to say it now; remembers that it was said. ``at``: seconds of a clock that only goes on."""
        at = time.monotonic() if at is None else at
        order = ("fine", "low", "full")
        worse = order.index(now) > order.index(self.said)
        again = now != "fine" and at - self.at >= AGAIN
        if worse or again:
            self.at = at
        self.said = now
        return worse or again


def turn_over(log: Path, longest: int = LONGEST_LOG) -> bool:
    """Puts a log that grew too long aside and drops the oldest; its writer opens the file anew for every line."""
    try:
        if log.stat().st_size <= longest:
            return False
    except FileNotFoundError:
        return False
    for number in range(KEPT_LOGS, 0, -1):
        source = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        with contextlib.suppress(FileNotFoundError):
            source.replace(log.with_name(f"{log.name}.{number}"))
    return True

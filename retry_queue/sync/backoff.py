"""When to try again. Pure: the same input gives the same answer but for the jitter that is passed in."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULE = (2.0, 10.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0, 86400.0)
"""Seconds after each failure in a row; together about a little over two days."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait, or None when the schedule is used up."""

    delay: float | None


def after(failures: int, jitter: float, *, at_least: float = 0.0, schedule: tuple[float, ...] = SCHEDULE) -> Backoff:
    """The wait after the ``failures``-th failure in a row (1 is the first).

    ``jitter`` is in [0, 1) and moves the wait by ±20 %, so that a recovered vendor is not met by all
    at once. ``at_least`` is what the vendor asked for and is never undercut.
    """
    if failures > len(schedule):
        return Backoff(None)
    planned = schedule[max(failures, 1) - 1]
    return Backoff(max(planned * (0.8 + 0.4 * jitter), at_least))

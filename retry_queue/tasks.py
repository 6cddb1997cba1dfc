"""The arq functions: ids and wake-ups only, never an event's content."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


def wake(woken: Callable[[], None]) -> Callable[[dict[str, Any]], Awaitable[None]]:
    """The one job there is: somebody appended events, look at the ledger."""

    async def run(_context: dict[str, Any]) -> None:
        woken()

    return run

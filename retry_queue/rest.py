"""Resting between two turns of a loop, never past its stop."""

from __future__ import annotations

import asyncio


async def until(stop: asyncio.Event, seconds: float) -> bool:
    """Sleeps ``seconds`` or until ``stop``; True when it is set.

    Loops rest here and end by themselves: one that is cancelled inside a transaction leaves it open for a while.
    """
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return stop.is_set()
    return True

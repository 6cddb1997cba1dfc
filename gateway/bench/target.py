"""The bench's target as the bench asks it: what arrived, when, and in which order."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterable
from typing import Any

HOST = "127.0.0.1"


class Target:
    """A running sink."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str) -> Any:
        """What the sink answers."""
        with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def stats(self) -> dict[str, int]:
        """``seen`` orders, ``calls``, orders seen ``twice``, states that came ``disordered``."""
        found: dict[str, int] = self.ask("/stats")
        return found

    async def seen(self, count: int, seconds: float = 240.0) -> None:
        """Returns when so many different orders have arrived; raises TimeoutError."""
        end = time.monotonic() + seconds
        while (have := (await asyncio.to_thread(self.stats))["seen"]) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"only {have} of {count} arrived")
            await asyncio.sleep(0.05)

    async def after(self, at: float, seconds: float = 60.0) -> float:
        """When something came next after ``at`` (Unix seconds); waits for it."""
        end = time.monotonic() + seconds
        while (found := await asyncio.to_thread(self.ask, f"/after/{at:.6f}")) is None:
            if time.monotonic() > end:
                raise TimeoutError("nothing arrived any more")
            await asyncio.sleep(0.02)
        return float(found)

    def waits(self, keys: Iterable[str], sent_at: Iterable[float]) -> list[float]:
        """Milliseconds from sending to arrival of each order that arrived, in rising order."""
        arrived: dict[str, float] = self.ask("/times")
        both = zip(keys, sent_at, strict=True)
        return sorted(1000 * (arrived[key] - at) for key, at in both if key in arrived)


def quantile(ordered: list[float], q: float) -> float:
    """Of numbers in rising order; 0 of none."""
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)] if ordered else 0.0

"""The load of a rehearsal: orders at a rate that was promised, whatever the answers do, and sent again when refused.

Every answer is timed from the moment the order was due, not from when a connection was free for it, so that a hub which
falls behind shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.bench import load

LINES = 256
"""Senders at once: the platforms have many, and the hub writes what comes together in one go."""
TICK = 0.01
AGAIN = 2.0
"""Seconds until a sender sends again what was refused; as most platforms do."""
TRIES = 5
HOST = "127.0.0.1"


@dataclass(slots=True)
class Wave:
    """A time of one rate, per second, and what came of it. ``waits`` are seconds until the acknowledgement."""

    name: str
    rate: float
    seconds: float
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    given_up: int = 0
    waits: list[float] = field(default_factory=list)

    def quantile(self, q: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.waits)
        return 1000 * ordered[min(int(len(ordered) * q), len(ordered) - 1)] if ordered else 0.0


@dataclass(slots=True)
class _Owed:
    wave: Wave
    due: float
    request: bytes
    tries: int = 1


class Surge:
    """Sends waves one after the other; ``make`` gives the complete HTTP request of the n-th order."""

    def __init__(self, port: int, make: Callable[[int], bytes]) -> None:
        self._port, self._make = port, make
        self._queue: asyncio.Queue[_Owed] = asyncio.Queue()
        self._open = 0
        self._numbers = itertools.count(1)
        self.accepted = 0
        self.offered = 0

    async def run(self, waves: Sequence[Wave]) -> None:
        """Everything, until each order was acknowledged or given up."""
        senders = [asyncio.create_task(self._sender(), name=f"surge-{place}") for place in range(LINES)]
        try:
            for wave in waves:
                await self._offer(wave)
            while self._open:
                await asyncio.sleep(TICK)
        finally:
            for task in senders:
                task.cancel()
            await asyncio.gather(*senders, return_exceptions=True)

    async def _offer(self, wave: Wave) -> None:
        begun = time.perf_counter()
        total = int(wave.rate * wave.seconds)
        while wave.sent < total:
            due = min(total, int((time.perf_counter() - begun) * wave.rate) + 1)
            for place in range(wave.sent, due):
                self._open += 1
                self.offered += 1
                at = begun + place / wave.rate
                self._queue.put_nowait(_Owed(wave, at, self._make(next(self._numbers))))
            wave.sent = due
            await asyncio.sleep(TICK)
        await asyncio.sleep(max(0.0, begun + wave.seconds - time.perf_counter()))

    async def _sender(self) -> None:
        line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                owed = await self._queue.get()
                status = 0
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                    async with asyncio.timeout(30.0):
                        line = line or await asyncio.open_connection(HOST, self._port)
                        line[1].write(owed.request)
                        status = await load.answer(line[0])
                if not status and line is not None:
                    line[1].close()
                    line = None
                self._told(owed, status)
        finally:
            if line is not None:
                line[1].close()

    def _told(self, owed: _Owed, status: int) -> None:
        wave = owed.wave
        if 200 <= status < 300:
            self._open -= 1
            self.accepted += 1
            wave.accepted += 1
            wave.waits.append(time.perf_counter() - owed.due)
            return
        wave.refused += 1
        if owed.tries >= TRIES:
            self._open -= 1
            wave.given_up += 1
            return
        owed.tries += 1
        asyncio.get_running_loop().call_later(AGAIN, self._queue.put_nowait, owed)

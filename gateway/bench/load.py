"""The load of the bench: kept connections that send prepared requests, saturated or at a steady rate."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Load:
    """What a run of requests came to; times in seconds."""

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.accepted / self.seconds if self.seconds else 0.0

    def quantile(self, q: float) -> float:
        """A latency quantile in milliseconds."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(len(ordered) * q), len(ordered) - 1)]

    def mean_ms(self) -> float:
        return 1000 * statistics.fmean(self.latencies) if self.latencies else 0.0


async def answer(reader: asyncio.StreamReader) -> int:
    """The status of one answer, read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at >= 0:
        size = int(lower[at + 15 : lower.find(b"\r\n", at)])
        if size:
            await reader.readexactly(size)
    return int(head[9:12])


async def saturate(host: str, port: int, requests: Iterator[bytes], connections: int) -> Load:
    """Sends everything as fast as answers come, over so many connections."""
    load = Load()
    started = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for request in requests:
            begun = time.perf_counter()
            writer.write(request)
            status = await answer(reader)
            load.sent += 1
            load.latencies.append(time.perf_counter() - begun)
            if status < 300:
                load.accepted += 1
            else:
                load.refused += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    load.seconds = time.perf_counter() - started
    return load


async def steady(
    host: str, port: int, requests: Iterable[bytes], per_second: float, lines: int = 16
) -> tuple[Load, list[float]]:
    """Sends at a steady rate on a few connections, whatever the answers do; also gives each request's Unix time.

    A request counts from the moment at which it was to go out: one that had to wait for a free connection waited.
    """
    load = Load()
    sent_at: list[float] = []
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(lines):
        free.put_nowait(await asyncio.open_connection(host, port))
    started = time.perf_counter()
    tasks: set[asyncio.Task[None]] = set()

    async def one(request: bytes) -> None:
        begun = time.perf_counter()
        sent_at.append(time.time())
        line = await free.get()
        line[1].write(request)
        status = await answer(line[0])
        load.sent += 1
        load.latencies.append(time.perf_counter() - begun)
        load.accepted += status < 300
        load.refused += status >= 300
        free.put_nowait(line)

    for place, request in enumerate(requests):
        wait = started + place / per_second - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(request))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    load.seconds = time.perf_counter() - started
    while not free.empty():
        free.get_nowait()[1].close()
    return load, sent_at

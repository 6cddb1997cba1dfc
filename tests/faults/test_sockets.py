"""S-09: very many lines that say nothing, or say it very slowly: honest senders notice nothing, and none stays open."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.faults import harness

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL, FULL = 300, 10_000
HOOK = b"POST /hooks/shop HTTP/1.1\r\nhost: x\r\n"
KINDS: dict[str, tuple[bytes, bytes]] = {
    "silent": (b"", b""),
    "half a head": (HOOK + b"x-slow: ", b"a"),
    "blank lines": (b"\r\n", b"\r\n"),
    "half a body": (HOOK + b"content-length: 500000\r\n\r\n{", b" "),
    "chunks": (HOOK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "answered, and goes on": (b"POST /hooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n{", b" "),
    "a second head": (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /liv", b"e"),
}
"""What a line says at once, and then again and again."""


class Crowd:
    """The lines, and what became of them."""

    def __init__(self, port: int, size: int) -> None:
        self._place = ("127.0.0.1", port)
        self._size = size
        self.open: dict[socket.socket, str] = {}
        self.refused = 0
        self.ended: Counter[str] = Counter()

    async def come(self) -> None:
        """Opens every line and says its first words; several at a time, as the backlog allows."""
        kinds = itertools.islice(itertools.cycle(KINDS), self._size)
        loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(200)

        async def one(kind: str) -> None:
            line = socket.socket()
            line.setblocking(False)
            async with gate:
                try:
                    await asyncio.wait_for(loop.sock_connect(line, self._place), 20.0)
                    if KINDS[kind][0]:
                        await loop.sock_sendall(line, KINDS[kind][0])
                except (OSError, TimeoutError):
                    self.refused += 1
                    line.close()
                    return
            self.open[line] = kind

        await asyncio.gather(*(one(kind) for kind in kinds))

    def drip(self) -> None:
        """Each line says its next word; one that the hub has ended is put away."""
        for line, kind in list(self.open.items()):
            try:
                if KINDS[kind][1]:
                    line.send(KINDS[kind][1])
                while (told := line.recv(65_536)) != b"":
                    assert told
                raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                self.ended[kind] += 1
                del self.open[line]
                line.close()

    def close(self) -> None:
        for line in self.open:
            line.close()


@contextlib.asynccontextmanager
async def crowd(port: int, size: int) -> AsyncIterator[Crowd]:
    made = Crowd(port, size)
    try:
        yield made
    finally:
        made.close()


def room(size: int) -> int:
    """How many lines this process can hold beside what it needs itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < size + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, size + 500), hard))
    return min(size, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)


async def test_silent_and_slow_lines(folder: Path, full: bool, seed: int, trial: Callable[..., None]) -> None:
    size = room(FULL if full else SMALL)
    patience = 10.0 if full else 2.0
    async with harness.ground(folder, seed, inject={"patience": patience}) as ground:
        await ground.sender.send(200 if full else 40, 50.0)  # as it is without them
        alone, before = ground.sender.p99(), ground.hub.memory()["api-1"]
        ground.sender.latencies.clear()
        async with crowd(ground.hub.config.port, size) as lines:
            begun = time.monotonic()
            await lines.come()
            stood = len(lines.open)
            sending = asyncio.create_task(ground.sender.send(600 if full else 60, 50.0))
            most = 0.0
            while lines.open and time.monotonic() - begun < 60.0 + patience:
                lines.drip()
                most = max(most, ground.hub.memory()["api-1"])
                await asyncio.sleep(0.25)
            gone = time.monotonic() - begun
            await sending
            left = Counter(lines.open.values())
        beside = ground.sender.p99()
        found = await ground.held(metrics=full)
        trial(
            "silent and slow lines", f"{size:,} lines", seed=seed, stood=stood, refused=lines.refused,
            gone_after_s=round(gone, 1), p99_alone_ms=round(alone), p99_beside_ms=round(beside),
            memory_grew_mib=round(most - before), **found.figures,
        )  # fmt: skip
        assert left == {}, "lines that nobody ended"
        assert lines.refused == 0
        assert set(lines.ended) == set(KINDS)
        assert set(ground.sender.answers) == {200}, "an honest sender was turned away"
        assert beside < max(20 * alone, 1500.0), "generous: what is measured is the machine as well"
        assert most - before < (250.0 if full else 60.0)

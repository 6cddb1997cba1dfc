"""The sender of a trial: pushes events as a vendor does, and notes an id only when the hub said 2xx."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests import hooks

SECRET = "push secret of a fault trial"
BEGAN = datetime(2024, 11, 11, tzinfo=UTC).timestamp()


class Producer:
    """Sends numbered changes of ``records`` records; those of one record strictly one after another.

    What was not taken is sent again until it is, like a patient vendor would. ``accepted`` is number -> Unix seconds
    of the 2xx; ``sent`` is everything that may have arrived, number -> (record, seq).
    """

    def __init__(self, hook: str, folder: Path, seed: int, records: int = 40, lines: int = 8) -> None:
        self.hook = hook
        self.records = records
        self.accepted: dict[str, float] = {}
        self.sent: dict[str, tuple[str, int]] = {}
        self.answers: Counter[int] = Counter()
        """Status -> how often; 0 is a line that was cut or could not be had."""
        self.latencies: list[float] = []
        self.ordered = True
        """Whether no push of a record was ever sent before the one ahead of it was taken."""
        self.twice = 0.0
        """The share of pushes that come two to five times, at once."""
        self._lines = lines
        self._next = 0
        self._random = random.Random(seed)
        self._file = os.open(folder / "accepted.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.away: list[float] = []
        """Seconds between a refusal or a cut and the next 2xx of anybody."""
        self.refusals: list[float] = []
        """Seconds until a 503 was told."""
        self._since: float | None = None

    def _body(self, index: int) -> tuple[str, bytes]:
        seq, place = divmod(index, self.records)
        number, record = f"E{index:07d}", f"r{place:05d}"
        self.sent[number] = (record, seq)
        at = datetime.fromtimestamp(BEGAN + index * 0.25, UTC).isoformat(timespec="milliseconds")
        return number, orjson.dumps({"id": record, "number": number, "title": str(seq), "updated_at": at})

    async def send(self, count: int, rate: float = 0.0, patience: float = 60.0) -> None:
        """Sends ``count`` more events, ``rate`` a second (0: as fast as they are taken); raises when it takes too long.

        ``patience``: seconds in which one event must be taken.
        """
        first, self._next = self._next, self._next + count
        begun = time.monotonic()
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        timeout = aiohttp.ClientTimeout(total=40.0, sock_connect=5.0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def line(mine: int) -> None:
                for index in range(first, first + count):
                    if index % self.records % self._lines != mine:
                        continue
                    if rate:
                        await asyncio.sleep(max(0.0, begun + (index - first) / rate - time.monotonic()))
                    await self._deliver(session, index, patience)

            await asyncio.gather(*(line(mine) for mine in range(self._lines)))
        os.fsync(self._file)

    async def scatter(self, count: int, late: float) -> None:
        """Sends ``count`` more, each up to ``late`` seconds later than its turn, also those of one record at once."""
        self.ordered = False
        first, self._next = self._next, self._next + count
        gate = asyncio.Semaphore(48)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40.0)) as session:

            async def one(index: int) -> None:
                await asyncio.sleep(index % 97 / 97 * late + self._random.uniform(0.0, late))
                async with gate:
                    await self._deliver(session, index, 60.0)

            await asyncio.gather(*(one(index) for index in range(first, first + count)))

    async def _deliver(self, session: aiohttp.ClientSession, index: int, patience: float) -> None:
        number, body = self._body(index)
        copies = self._random.randint(2, 5) if self._random.random() < self.twice else 1
        end = time.monotonic() + patience
        while True:
            answers = await asyncio.gather(*(self._post(session, body) for _ in range(copies)))
            if any(200 <= one < 300 for one in answers):
                self.accepted[number] = time.time()
                os.write(self._file, f"{number}\n".encode())
                return
            if time.monotonic() > end:
                raise TimeoutError(f"{number} was not taken within {patience:.0f} s: {dict(self.answers)}")
            await asyncio.sleep(self._random.uniform(0.05, 0.2))

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> int:
        begun = time.monotonic()
        headers = {"X-Signature": proof(body), "Content-Type": "application/json"}
        try:
            async with session.post(self.hook, data=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        now = time.monotonic()
        self.answers[status] += 1
        if status == 503:
            self.refusals.append(now - begun)
        if 200 <= status < 300:
            self.latencies.append(now - begun)
            if self._since is not None:
                self.away.append(now - self._since)
                self._since = None
        elif self._since is None:
            self._since = now
        return status

    def p99(self) -> float:
        """The 99th percentile of taken pushes, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] if ordered else 0.0


def proof(body: bytes) -> str:
    """The signature that the hook of a trial wants."""
    return hooks.proof(body, SECRET)


def newest(sent: dict[str, tuple[str, int]], numbers: Any) -> dict[str, int]:
    """Record -> highest sequence number among ``numbers``."""
    found: dict[str, int] = {}
    for number in numbers:
        record, seq = sent[number]
        found[record] = max(found.get(record, -1), seq)
    return found

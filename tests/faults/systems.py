"""A system that people edit and the hub writes to, on a real socket: it keeps records and announces every change.

Pushes come as its faults say: several times, shuffled, late, repeated until taken. It can cut the line after a
write, and stay silent about what was written through its interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from tests import hooks
from tests.ledger import target

SECRET = "push secret of a test system"
OURS = frozenset({"idempotency_key", "created_at", "updated_at", "number"})


@dataclass
class Push:
    """How changes are announced: up to ``copies`` times each, each up to ``late`` seconds later."""

    copies: int = 1
    late: float = 0.0
    callback: bool = True
    """Whether writes through the interface are announced as well."""


@dataclass
class Edit:
    """What a person did, and when."""

    system: str
    record: str
    field: str
    value: str
    at: float


class System(target.Target):
    """Records by id; ``edits`` is what people did, ``writes`` how often the hub wrote each record."""

    _clock = 0.0

    def __init__(self, key: str, seed: int, push: Push | None = None) -> None:
        super().__init__()
        self.key = key
        self.push = push or Push()
        self.edits: list[Edit] = []
        self.writes = 0
        self.stale = 0
        """Writes that brought a record back to an older state than it had."""
        self.hook = ""
        self.pending = 0
        self._random = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(timeout=30.0, limits=httpx.Limits(max_connections=16))
        self._gate = asyncio.Semaphore(16)

    def now(self) -> float:
        """Strictly later than every time told before by any system, to the millisecond: nobody is a tie."""
        System._clock = max(round(time.time(), 3), round(System._clock + 0.001, 3))
        return System._clock

    def edit(self, record: str, **fields: str) -> None:
        """A person changes a record."""
        at = self.now()
        known = self.records.setdefault(record, {"id": record})
        for name, value in fields.items():
            known[name] = value
            self.edits.append(Edit(self.key, record, name, value, at))
        self._told(record, at)

    def _done(self, key: str, body: Any) -> None:
        if self.effects[key] == 0 and body is not None:
            record = str(body["id"])
            known = self.records.setdefault(record, {"id": record})
            changed = {name: value for name, value in body.items() if name not in OURS and known.get(name) != value}
            self.writes += 1
            if changed:
                known.update(changed)
                if self.push.callback:
                    self._told(record, self.now())
                else:
                    known["updated_at"] = _stamp(self.now())
        self.effects[key] += 1

    def _told(self, record: str, at: float) -> None:
        known = self.records[record]
        known["updated_at"] = _stamp(at)
        raw = orjson.dumps(known)
        for _ in range(self._random.randint(1, self.push.copies)):
            self.send(raw, self._random.uniform(0, self.push.late))

    def send(self, raw: bytes, delay: float) -> None:
        """Pushes a body after ``delay`` seconds, again and again until it is taken."""
        self.pending += 1
        task = asyncio.create_task(self._send(raw, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, raw: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        proof = hooks.proof(raw, SECRET)
        try:
            while True:
                with contextlib.suppress(httpx.HTTPError):  # the hub is away: again, as a vendor would
                    async with self._gate:
                        answer = await self._client.post(self.hook, content=raw, headers={"X-Signature": proof})
                    if answer.is_success:
                        return
                await asyncio.sleep(0.2)
        finally:
            self.pending -= 1

    async def down(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()
        await super().down()


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def newest(systems: list[System]) -> dict[tuple[str, str], Edit]:
    """(record, field) -> the last edit anybody made."""
    found: dict[tuple[str, str], Edit] = {}
    for one in sorted((edit for system in systems for edit in system.edits), key=lambda edit: edit.at):
        found[one.record, one.field] = one
    return found


@dataclass
class Line:
    """One row of the result table: what was tried, how much of it, what came of it."""

    name: str
    size: str
    outcome: dict[str, Any] = field(default_factory=dict)

"""The systems that the hub writes to in a trial, on a real socket, with a journal of every effect on disk.

Three ways to take a record, because they decide what can be promised after an unknown outcome:

    PUT  /keyed/{id}      recognises an Idempotency-Key: a repeat is answered and not done again
    POST /asked           does it again when told again, but can be asked (GET /asked/{number}) whether it has it
    POST /blind           does it again when told again, and cannot be asked
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

KINDS = ("keyed", "asked", "blind")
OK = b'{"ok":true}'


@dataclass
class Mood:
    """How one call is answered. ``done``: whether the effect happens; the rest is what the caller gets to see."""

    done: bool = True
    status: int = 200
    body: bytes = OK
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer, after the effect."""
    cut: int | None = None
    """Bytes of the answer that are sent before the line is cut; 0: no answer at all."""
    trickle: float = 0.0
    """Seconds between two bytes of the answer."""


@dataclass
class Effect:
    """Something that happened, once."""

    kind: str
    number: str
    record: str
    seq: int
    at: float


class Sink:
    """What happened, in order. ``mood(kind, body)`` decides about each call that writes; None is a good answer."""

    def __init__(self, folder: Path) -> None:
        self.effects: list[Effect] = []
        self.calls: Counter[str] = Counter()
        self.calls_at: list[tuple[str, float]] = []
        self.mood: Callable[[str, Any], Mood | None] = lambda _kind, _body: None
        self.committed: Callable[[Effect], Awaitable[None] | None] = lambda _effect: None
        """Told right after each effect and before its answer goes out."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0
        self.most = 0
        self._keys: set[str] = set()
        self._there: set[str] = set()
        self._file = os.open(folder / "effects.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listens; after ``down`` on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Gone: connections are refused, those that are open are cut."""
        if self._server is not None:
            self._server.close()
            for line in list(self._lines):
                line.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def sync(self) -> None:
        """What was noted is on the disk."""
        os.fsync(self._file)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._lines.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        kind = path.split("/")[1]
        if method == "GET":
            number = path.rpartition("/")[2]
            note = {"number": number} if number in self._there else None
            return await self._answer(writer, Mood(body=orjson.dumps({"note": note})))
        read = orjson.loads(body)
        self.calls[kind] += 1
        self.calls_at.append((kind, time.time()))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            said = self.mood(kind, read) or Mood()
            if said.done:
                effect = self._done(kind, headers.get("idempotency-key", ""), read)
                if effect is not None and (told := self.committed(effect)) is not None:
                    await told
            await self.gate.wait()
            await asyncio.sleep(said.delay)
        finally:
            self.under_way -= 1
        return await self._answer(writer, said)

    def _done(self, kind: str, key: str, body: Any) -> Effect | None:
        number = str(body.get("number"))
        if kind == "keyed":
            if key in self._keys:
                return None
            self._keys.add(key)
        if kind == "asked":
            self._there.add(number)
        seq = str(body.get("title") or body.get("seq"))
        made = Effect(kind, number, str(body["id"]), int(seq) if seq.isdecimal() else 0, time.time())
        self.effects.append(made)
        os.write(self._file, orjson.dumps(made) + b"\n")
        return made

    async def _answer(self, writer: asyncio.StreamWriter, said: Mood) -> bool:
        kind = "" if "Content-Type" in said.headers else "Content-Type: application/json\r\n"
        extra = "".join(f"{name}: {value}\r\n" for name, value in said.headers.items())
        head = f"HTTP/1.1 {said.status} X\r\n{kind}{extra}Content-Length: {len(said.body)}\r\n\r\n"
        whole = head.encode() + said.body
        if said.trickle:
            for place in range(len(whole)):
                writer.write(whole[place : place + 1])
                await writer.drain()
                await asyncio.sleep(said.trickle)
        else:
            writer.write(whole if said.cut is None else whole[: said.cut])
            await writer.drain()
        if said.cut is not None:
            writer.transport.abort()
            return False
        return True

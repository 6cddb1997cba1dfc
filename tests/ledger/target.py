"""A target system on a real socket: takes PUT and POST, and fails in every way a test asks for."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

DROP = "drop"
"""The write is done, then the connection is cut before any answer."""


@dataclass
class Answer:
    """What the target says next, instead of doing what it is asked."""

    status: int
    body: bytes = b'{"message":"no"}'
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    key: str
    body: Any
    at: float
    parent: str = ""
    """``traceparent``, if any."""


class Target:
    """Keeps records by id, as a system that knows idempotency keys; ``calls`` is every request it saw."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.effects: Counter[str] = Counter()
        """Idempotency key -> how often it was done; a repeated key is answered and not done again."""
        self.order: list[Any] = []
        """The bodies of what was done, in order."""
        self.records: dict[str, Any] = {}
        self.next: deque[Answer | str] = deque()
        self.judge: Callable[[Any], Answer | str | None] = lambda _body: None
        self.lists: Callable[[str], Any] | None = None
        """What a GET of this path and query answers."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.most = 0
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listens; after ``down`` on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Gone: connections are refused, those that are open are cut."""
        if self._server is not None:
            self._server.close()
            for line in list(self._lines):
                line.transport.abort()
            await self._server.wait_closed()
            self._server = None

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
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = first.split(" ")
        read = orjson.loads(body) if body else None
        self.calls.append(
            Call(
                method,
                path,
                headers.get("idempotency-key", ""),
                read,
                asyncio.get_running_loop().time(),
                headers.get("traceparent", ""),
            )
        )
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        said = self.judge(read) or (self.next.popleft() if self.next else None)
        if said is None or said == DROP:
            self._done(headers.get("idempotency-key", ""), read)
        if said == DROP:
            writer.transport.abort()
            return False
        if said is None and method == "GET" and self.lists is not None:
            said = Answer(200, orjson.dumps(self.lists(path)))
        answer = said if isinstance(said, Answer) else Answer(200, b'{"ok":true}')
        extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        kind = "" if "Content-Type" in answer.headers else "Content-Type: application/json\r\n"
        top = f"HTTP/1.1 {answer.status} X\r\n{kind}{extra}Content-Length: {len(answer.body)}\r\n\r\n"
        writer.write(top.encode() + answer.body)
        await writer.drain()
        return True

    def _done(self, key: str, body: Any) -> None:
        if self.effects[key] == 0 and body is not None:
            self.order.append(body)
            self.records[str(body.get("id"))] = body
        self.effects[key] += 1

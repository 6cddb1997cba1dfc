"""The target of the bench: takes POST and PUT, remembers when it first saw each id, answers at once.

A bare asyncio protocol, so that the target is never what is measured. ``GET /stats`` tells how many
ids came, how many came twice, and how many came after a newer state of their record (``seller_note`` holds the
number of the state, where one is given); ``GET /times`` gives id -> Unix seconds of its first arrival, ``/newest``
id -> number of its last state, ``/after/1700000000.5`` when something next came after that moment (null: nothing).
"""

from __future__ import annotations

import asyncio
import bisect
import socket
import sys
import time
from typing import cast

import orjson

_OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'


_ID, _NUMBER = b'"id":"', b'"seller_note":"'


class Sink:
    """What came in."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.newest: dict[str, int] = {}
        self.arrivals: list[float] = []
        self.twice = self.disordered = 0

    def take(self, body: bytes) -> None:
        """Notes one effect by the record's id, and whether its states keep their order."""
        key = _member(body, _ID)
        if not key:
            return
        now = time.time()
        self.arrivals.append(now)
        number = _member(body, _NUMBER)
        if number:
            before = self.newest.get(key, -1)
            self.disordered += int(number) < before
            self.newest[key] = max(int(number), before)
        elif key in self.times:
            self.twice += 1
        self.times.setdefault(key, now)

    def told(self, path: bytes) -> object:
        """What a question of the bench is answered with."""
        if path.startswith(b"/times"):
            return self.times
        if path.startswith(b"/newest"):
            return self.newest
        if path.startswith(b"/after/"):
            place = bisect.bisect_right(self.arrivals, float(path.rpartition(b"/")[2]))
            return self.arrivals[place] if place < len(self.arrivals) else None
        return {
            "seen": len(self.times), "calls": len(self.arrivals), "twice": self.twice, "disordered": self.disordered,
        }  # fmt: skip


def _member(body: bytes, name: bytes) -> str:
    start = body.find(name)
    return body[start + len(name) : body.find(b'"', start + len(name))].decode() if start >= 0 else ""


class _Protocol(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        # Sockets that asyncio accepts here keep Nagle's wait of 40 ms unless told.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head = self._data.find(b"\r\n\r\n")
            if head < 0:
                return
            headers = self._data[:head].lower()
            at = headers.find(b"content-length:")
            size = int(headers[at + 15 : (headers + b"\r\n").find(b"\r\n", at)]) if at >= 0 else 0
            end = head + 4 + size
            if len(self._data) < end:
                return
            body, line = self._data[head + 4 : end], self._data[: self._data.find(b"\r\n")]
            self._data = self._data[end:]
            self._answer(line, body)

    def _answer(self, line: bytes, body: bytes) -> None:
        if self._transport is None:
            return
        if not line.startswith(b"GET"):
            self._sink.take(body)
            self._transport.write(_OK)
            return
        told = orjson.dumps(self._sink.told(line.split(b" ")[1]))
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n\r\n"
        self._transport.write(head.encode() + told)


async def serve(port: int) -> None:
    """Listens on loopback until cancelled."""
    sink = Sink()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(sink), "127.0.0.1", port, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(0))

"""The message service of the simulator: text frames over WebSockets, given again until they are acknowledged.

A message goes to one of the open sockets. Without an ``Ack`` it is given again by the vendor's schedule (ten minutes
three times, an hour three times, then every twelve hours), and is thrown away after seven days or fourteen tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.pdd import pmc

SCHEDULE = (600.0,) * 3 + (3600.0,) * 3 + (43200.0,) * 8
"""Vendor seconds until the next try."""
KEPT = 7 * 86400.0
CLOCK = 600.0
"""Seconds the time in the address may be off."""


@dataclass(slots=True)
class Message:
    """One message; ``at`` and ``due`` are Unix seconds of the real clock, ``copies`` how often each giving repeats."""

    id: int
    topic: str
    mall: int
    content: str
    at: float
    copies: int = 1
    due: float = 0.0
    tries: int = 0
    answers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the channel is told about its surroundings, read anew whenever it is asked."""

    client_id: Callable[[], str]
    secret: Callable[[], str]
    scale: Callable[[], float]
    """Real seconds per vendor second, for the schedule."""
    session: Callable[[], float]
    """Real seconds without a heartbeat after which a socket is closed."""


class Channel:
    """Messages that wait for an acknowledgement, and the sockets that read them."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.waiting: dict[int, Message] = {}
        self.open: list[WebSocket] = []
        self.beats = 0
        self._bell = asyncio.Event()
        self._count = 0

    def message(self, topic: str, mall: int, content: dict[str, Any], copies: int) -> Message:
        """A new message, not yet sent."""
        self._count += 1
        at = time.time()
        return Message(int(at * 1000) % 10**10 * 10**5 + self._count, topic, mall, json.dumps(content), at, copies)

    def append(self, message: Message) -> None:
        self.waiting[message.id] = message
        self._bell.set()

    async def connected(self, socket: WebSocket) -> None:
        """One client. A wrong digest is refused before the socket opens (HTTP 403)."""
        given = socket.path_params
        client_id, millis, digest = str(given["client_id"]), str(given["millis"]), str(given["digest"])
        proof = pmc.digest(self.terms.client_id(), self.terms.secret(), millis)
        fresh = millis.isdecimal() and abs(int(millis) / 1000 - time.time()) <= CLOCK
        if (client_id, digest) != (self.terms.client_id(), proof) or not fresh:
            await socket.close()
            return
        await socket.accept()
        self.open.append(socket)
        self._bell.set()
        sending = asyncio.create_task(self._send(socket))
        try:
            await self._listen(socket)
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            if socket in self.open:
                self.open.remove(socket)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def close(self) -> int:
        """End every socket; how many there were."""
        sockets, self.open = list(self.open), []
        for socket in sockets:
            await asyncio.gather(socket.close(1012), return_exceptions=True)
        return len(sockets)

    async def _listen(self, socket: WebSocket) -> None:
        while True:
            try:
                async with asyncio.timeout(self.terms.session()):
                    frame = pmc.read(await socket.receive_text())
            except (TimeoutError, pmc.FrameError, KeyError):
                await socket.close(1002)
                return
            kind, number = frame.get("commandType"), frame.get("id")
            if kind == pmc.HEARTBEAT:
                self.beats += 1
            elif kind in (pmc.ACK, pmc.FAIL) and number in self.waiting:
                one = self.waiting[number]
                one.answers.append(str(kind))
                if kind == pmc.ACK and frame.get("type") == one.topic and frame.get("mallID") == one.mall:
                    del self.waiting[number]

    async def _send(self, socket: WebSocket) -> None:
        """Give what is due. Sockets compete; the one that comes first has the message."""
        while True:
            self._bell.clear()
            now = time.time()
            for one in [one for one in self.waiting.values() if one.due <= now]:
                if one.tries >= len(SCHEDULE) or now - one.at > KEPT * self.terms.scale():
                    self.waiting.pop(one.id, None)
                    continue
                one.due = now + SCHEDULE[one.tries] * self.terms.scale()
                one.tries += 1
                for _ in range(one.copies):
                    await socket.send_text(_frame(one))
            next_due = min((one.due for one in self.waiting.values()), default=None)
            with contextlib.suppress(TimeoutError):
                wait = None if next_due is None else max(0.01, next_due - time.time())
                await asyncio.wait_for(self._bell.wait(), wait)


def _frame(one: Message) -> str:
    message = {"type": one.topic, "mallID": one.mall, "content": one.content}
    said = {
        "id": one.id,
        "commandType": pmc.COMMON,
        "time": int(one.at * 1000),
        "sendTime": int(time.time() * 1000),
        "message": message,
    }
    return json.dumps(said)

"""The TMC side of the simulator: one queue per group, read by sockets and by HTTP calls alike.

A message stays in its queue until it is confirmed. Giving it to a client leases it; when the lease ends
without a confirmation it is given again. Sockets of one group compete for its messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import heapq
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.taobao import tmc

WINDOW = 200
"""Most messages a socket may hold unconfirmed."""


@dataclass(slots=True)
class Message:
    """One message; ``at`` is a Unix time, ``copies`` how often each giving repeats it, ``seller`` whose it is."""

    id: int
    topic: str
    content: str
    at: float
    copies: int = 1
    given: int = 0
    seller: int = 0
    failed: int = 0


class Queue:
    """The unconfirmed messages of one group, in order of arrival."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.put = self.got = 0
        self.sockets: set[asyncio.Event] = set()
        self._fresh: deque[int] = deque()
        self._leased: list[tuple[float, int]] = []

    def append(self, message: Message) -> None:
        self.messages[message.id] = message
        self._fresh.append(message.id)
        self.put += 1
        for bell in self.sockets:
            bell.set()

    def take(self, most: int, now: float, lease: float, keep: float) -> list[Message]:
        """Lease up to ``most`` messages that are due; drops what is older than ``keep`` seconds."""
        chosen: list[Message] = []
        while len(chosen) < most and (number := self._next(now)) is not None:
            one = self.messages.get(number)
            if one is None:
                continue
            if one.at + keep <= now:
                del self.messages[number]
                continue
            one.given += 1
            heapq.heappush(self._leased, (now + lease, number))
            chosen.append(one)
        self.got += len(chosen)
        return chosen

    def confirm(self, number: int) -> bool:
        return self.messages.pop(number, None) is not None

    def fail(self, number: int) -> None:
        """Given back: it comes again when its lease is over."""
        if (one := self.messages.get(number)) is not None:
            one.failed += 1

    def due(self) -> float | None:
        """When the next message may be given (Unix time; 0 is at once), or None."""
        if self._fresh:
            return 0.0
        while self._leased and self._leased[0][1] not in self.messages:
            heapq.heappop(self._leased)
        return self._leased[0][0] if self._leased else None

    def _next(self, now: float) -> int | None:
        if self._leased and self._leased[0][0] <= now:
            return heapq.heappop(self._leased)[1]
        return self._fresh.popleft() if self._fresh else None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the channel is told about its surroundings, read anew whenever it is asked."""

    app_key: Callable[[], str]
    secret: Callable[[], str]
    now: Callable[[], float]
    lease: Callable[[], float]
    """Seconds until an unconfirmed message comes again."""
    keep: Callable[[], float]
    """Seconds until an unconfirmed message is thrown away."""
    zipped: Callable[[], bool]


class Channel:
    """Queues by group name, and the sockets that read them."""

    def __init__(self, terms: Terms, seller: str, seller_id: int) -> None:
        self.terms, self.seller, self.seller_id = terms, seller, seller_id
        self.queues: dict[str, Queue] = {}
        self.open: dict[str, WebSocket] = {}
        self._count = 0

    def queue(self, group: str) -> Queue:
        return self.queues.setdefault(group, Queue())

    def message(self, topic: str, content: str, copies: int) -> Message:
        """A new message, not yet in a queue; ids are 19 digits as the vendor's are."""
        self._count += 1
        at = self.terms.now()
        number = 4 * 10**18 + int(at * 1000) % 10**12 * 10**6 + self._count
        return Message(number, topic, content, at, copies, seller=self.seller_id)

    async def connected(self, socket: WebSocket) -> None:
        """One client, from its CONNECT to its end."""
        await socket.accept()
        token = str(uuid.uuid4())
        try:
            group = await self._greeted(socket, token)
            if group is None:
                return
            self.open[token] = socket
            bell = asyncio.Event()
            bell.set()
            queue = self.queue(group)
            queue.sockets.add(bell)
            sending = asyncio.create_task(self._send(socket, queue, bell))
            try:
                await self._listen(socket, queue, bell, token)
            finally:
                queue.sockets.discard(bell)
                self.open.pop(token, None)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        except (WebSocketDisconnect, RuntimeError):
            return

    async def close(self) -> int:
        """End every socket; how many there were."""
        sockets, self.open = list(self.open.values()), {}
        for socket in sockets:
            await asyncio.gather(socket.close(1012), return_exceptions=True)
        return len(sockets)

    async def _greeted(self, socket: WebSocket, token: str) -> str | None:
        try:
            frame = tmc.decode(await socket.receive_bytes())
            timestamp = int(frame.get("timestamp", "0"))
        except (ValueError, KeyError):
            await socket.close(1002)
            return None
        said = {name: str(frame.get(name, "")) for name in ("app_key", "group_name", "sign")}
        proof = tmc.sign(said["app_key"], said["group_name"], timestamp, self.terms.secret())
        problem = None
        if frame.message != tmc.Message.CONNECT:
            problem = "not a connect message"
        elif said["app_key"] != self.terms.app_key():
            problem = "invalid app_key"
        elif said["sign"] != proof:
            problem = "invalid sign"
        elif abs(timestamp / 1000 - self.terms.now()) > 600:
            problem = "invalid timestamp"
        if problem:
            await socket.send_bytes(tmc.encode(tmc.Frame(tmc.Message.CONNECTACK, status=401, phrase=problem)))
            await socket.close(1000)
            return None
        await socket.send_bytes(tmc.encode(tmc.Frame(tmc.Message.CONNECTACK, flag=1, token=token)))
        return said["group_name"] or "default"

    async def _listen(self, socket: WebSocket, queue: Queue, bell: asyncio.Event, token: str) -> None:
        while True:
            try:
                frame = tmc.decode(await socket.receive_bytes())
            except (ValueError, KeyError):
                await socket.close(1002)
                return
            if frame.token != token:
                await socket.close(1008)
                return
            kind = frame.get("__kind")
            if kind == tmc.Kind.CONFIRM:
                queue.confirm(int(frame.get("id", 0)))
            elif kind == tmc.Kind.FAILED:
                queue.fail(int(frame.get("id", 0)))
            # A pull asks for what is due; a confirmation makes room for more.
            bell.set()

    async def _send(self, socket: WebSocket, queue: Queue, bell: asyncio.Event) -> None:
        held: set[int] = set()
        while True:
            held = {number for number in held & queue.messages.keys() if not queue.messages[number].failed}
            due = None if len(held) >= WINDOW else queue.due()
            if due is None or due > self.terms.now():
                await _rung(bell, None if due is None else due - self.terms.now())
                continue
            for one in queue.take(WINDOW - len(held), self.terms.now(), self.terms.lease(), self.terms.keep()):
                held.add(one.id)
                for _ in range(one.copies):
                    await socket.send_bytes(tmc.encode(self._data(one)))

    def _data(self, one: Message) -> tmc.Frame:
        packed = gzip.compress(one.content.encode()) if self.terms.zipped() else None
        values: dict[str, tuple[tmc.Format, Any]] = {
            "__kind": (tmc.Format.BYTE, tmc.Kind.DATA),
            "id": (tmc.Format.INT64, one.id),
            "topic": (tmc.Format.TEXT, one.topic),
            "content": (tmc.Format.BYTES, packed) if packed else (tmc.Format.TEXT, one.content),
            "time": (tmc.Format.DATE, int(one.at * 1000)),
            "nick": (tmc.Format.TEXT, self.seller),
            "userid": (tmc.Format.TEXT, str(one.seller)),
            "publisher": (tmc.Format.TEXT, "12497914"),
        }
        return tmc.Frame(tmc.Message.SEND, {name: tmc.Value(*value) for name, value in values.items()})


async def _rung(bell: asyncio.Event, most: float | None) -> None:
    """Wait until the bell rings, at most so many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(bell.wait(), most)
    bell.clear()

"""The simulated long connection: where to connect, sockets that compete for events, parts, acknowledgements."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.core import jsontext
from connectors.feishu import frames

MOST = 50
"""Connections of one application."""
SERVICE = 33554678


@dataclass(slots=True)
class Event:
    """One event on its way: ``tries`` so far, ``state`` waiting, acknowledged or given_up."""

    id: str
    payload: bytes
    state: str = "waiting"
    tries: int = 0
    codes: list[int] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the channel is told about its surroundings."""

    spawn: Callable[[Coroutine[Any, Any, None]], Any]
    pause: Callable[[float], Coroutine[Any, Any, None]]
    """Sleeps in vendor time."""
    chosen: Callable[[list[WebSocket]], WebSocket]
    part: Callable[[], int]
    """Bytes of one frame's payload; more come in several frames. 0: never split."""
    copies: Callable[[], int]
    ping: Callable[[], int]


class Channel:
    """Tickets, sockets and events."""

    def __init__(self, terms: Terms, deadline: float, retries: tuple[float, ...]) -> None:
        self.terms, self.deadline, self.retries = terms, deadline, retries
        self.tickets: dict[str, str] = {}
        self.open: dict[str, WebSocket] = {}
        self.events: list[Event] = []
        self.pings = 0
        self._arrived = asyncio.Event()
        self._by_message: dict[str, Event] = {}

    def endpoint(self, base: str) -> dict[str, Any]:
        """The answer's ``data``: an address with a ticket that opens one socket, and the client's settings."""
        device, ticket = str(secrets.randbelow(10**18)), secrets.token_hex(16)
        self.tickets[ticket] = device
        query = f"fpid=493&aid=552564&device_id={device}&access_key={secrets.token_hex(8)}"
        url = f"{base}/ws/v2?{query}&service_id={SERVICE}&ticket={ticket}"
        return {"URL": url, "ClientConfig": self._settings()}

    def _settings(self) -> dict[str, int]:
        return {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": self.terms.ping()}

    def tell(self, id: str, payload: bytes) -> None:
        """Owe one event to some connection: at once, then again after each delay until it is acknowledged."""
        event = Event(id, payload)
        self.events.append(event)
        self.terms.spawn(self._deliver(event))

    async def connected(self, socket: WebSocket) -> None:
        device = self.tickets.pop(socket.query_params.get("ticket", ""), None)
        if device is None or device != socket.query_params.get("device_id"):
            await _denied(socket, "514", "auth failed", "1000040346")
            return
        if len(self.open) >= MOST:
            await _denied(socket, "514", "exceed conn limit", "1000040350")
            return
        await socket.accept()
        self.open[device] = socket
        self._arrived.set()
        try:
            while True:
                await self._heard(socket, frames.decode(await socket.receive_bytes()))
        except (WebSocketDisconnect, RuntimeError, frames.FrameError, KeyError):
            with contextlib.suppress(RuntimeError):
                await socket.close(1002)
        finally:
            self.open.pop(device, None)

    async def _heard(self, socket: WebSocket, frame: frames.Frame) -> None:
        if frame.method == frames.CONTROL and frame.get("type") == "ping":
            self.pings += 1
            payload = jsontext.dumps(self._settings())
            pong = frames.Frame(frames.CONTROL, (("type", "pong"),), payload, service=frame.service)
            await socket.send_bytes(frames.encode(pong))
            return
        event = self._by_message.get(frame.get("message_id"))
        code = jsontext.loads(frame.payload).get("code") if frame.payload else None
        if frame.method == frames.DATA and event is not None and isinstance(code, int):
            event.codes.append(code)
            if code == 200:
                event.state = "acknowledged"
                event.answered.set()

    async def _deliver(self, event: Event) -> None:
        for delay in (*self.retries, None):
            while not self.open:
                self._arrived.clear()
                await self._arrived.wait()
            event.tries += 1
            socket = self.terms.chosen(list(self.open.values()))
            for _ in range(self.terms.copies()):
                await self._send(socket, event)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.answered.wait(), self.deadline)
            if event.answered.is_set():
                return
            if delay is not None:
                await self.terms.pause(delay)
                if event.answered.is_set():
                    return
        event.state = "given_up"

    async def _send(self, socket: WebSocket, event: Event) -> None:
        """The event in one frame or several; each sending has its own message id."""
        message, size = secrets.token_hex(16), self.terms.part()
        parts = (
            [event.payload[at : at + size] for at in range(0, len(event.payload), size)] if size else [event.payload]
        )
        self._by_message[message] = event
        for number, part in enumerate(parts):
            headers = {
                "type": "event",
                "message_id": message,
                "sum": str(len(parts)),
                "seq": str(number),
                "trace_id": secrets.token_hex(16),
            }
            frame = frames.Frame(frames.DATA, tuple(headers.items()), part, SERVICE, 1, 1, log_id_new="0")
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_bytes(frames.encode(frame))

    async def close(self) -> int:
        """End every socket; how many there were."""
        sockets, self.open = list(self.open.values()), {}
        for socket in sockets:
            await asyncio.gather(socket.close(1001), return_exceptions=True)
        return len(sockets)


async def _denied(socket: WebSocket, status: str, words: str, reason: str) -> None:
    """A handshake refused the platform's way: the reason is in headers."""
    headers = {"handshake-status": status, "handshake-msg": words, "handshake-autherrcode": reason}
    await socket.send_denial_response(Response(status_code=401, headers=headers))

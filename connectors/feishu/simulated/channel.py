"""The simulated long connection: where to connect, binary frames, events in one part or several, pings."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket

from connectors.core import jsontext
from connectors.feishu import frames
from connectors.simulator import sockets

MOST = 50
"""Connections of one application."""
SERVICE = 33554678


class Channel(sockets.Sockets):
    """Tickets, sockets and events; ``setting(name)`` reads the simulator's settings."""

    def __init__(
        self, owner: sockets.Owner, deadline: float, retries: Sequence[float], setting: Callable[[str], Any]
    ) -> None:
        super().__init__(owner, deadline, retries)
        self.setting = setting
        self.tickets: dict[str, str] = {}
        self.pings = 0
        self._by_message: dict[str, sockets.Event] = {}

    def endpoint(self, base: str) -> dict[str, Any]:
        """The answer's ``data``: an address with a ticket that opens one socket, and the client's settings."""
        device, ticket = str(secrets.randbelow(10**18)), secrets.token_hex(16)
        self.tickets[ticket] = device
        query = f"fpid=493&aid=552564&device_id={device}&access_key={secrets.token_hex(8)}"
        url = f"{base}/ws/v2?{query}&service_id={SERVICE}&ticket={ticket}"
        return {"URL": url, "ClientConfig": self._settings()}

    def _settings(self) -> dict[str, int]:
        every = int(self.setting("ping_interval"))
        return {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": every}

    async def connected(self, socket: WebSocket) -> None:
        """One client, from its handshake to its end."""
        device = self.tickets.pop(socket.query_params.get("ticket", ""), None)
        if device is None or device != socket.query_params.get("device_id"):
            await _denied(socket, "514", "auth failed", "1000040346")
            return
        if len(self.open) >= MOST:
            await _denied(socket, "514", "exceed conn limit", "1000040350")
            return
        await socket.accept()
        self.arrived(device, socket)
        try:
            while True:
                await self._heard(socket, frames.decode(await socket.receive_bytes()))
        except (*sockets.Lost, frames.FrameError, KeyError):
            with contextlib.suppress(RuntimeError):
                await socket.close(1002)
        finally:
            self.left(device)

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
            event.answers.append(code)
            if code == 200:
                self.confirm(event)

    async def send(self, socket: WebSocket, event: sockets.Event) -> None:
        """The event in one frame or several (setting ``part_size``, bytes); each sending has its own message id."""
        message, size, payload = secrets.token_hex(16), int(self.setting("part_size")), event.payload
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] if size else [payload]
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
            await socket.send_bytes(frames.encode(frame))


async def _denied(socket: WebSocket, status: str, words: str, reason: str) -> None:
    """A handshake refused the platform's way: the reason is in headers."""
    headers = {"handshake-status": status, "handshake-msg": words, "handshake-autherrcode": reason}
    await socket.send_denial_response(Response(status_code=401, headers=headers))

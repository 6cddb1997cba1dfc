"""Keeps the events of one application coming over the platform's long connection.

A call tells where to connect; from there on binary frames (frames.py) go both ways. An event may come in several
frames. It is confirmed with its own frame and code 200 only after ``accept`` returned, and with 500 when it was not
taken, so that the platform sends it again. Each event goes to one connection of the application only.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import structlog
import websockets
from websockets.asyncio import client as websocket

from connectors.core import channel, client, jsontext, model, scope
from connectors.feishu import frames, signer

PARTS_WITHIN = 5.0
"""Seconds in which all frames of one event must have come."""
MOST_PARTS = 64
PING_EVERY = 120.0
"""Seconds, until the platform names its own."""

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    async with client.alone() as calls:
        await channel.keep(lambda: _session(calls, connection, accept, stopped), stopped, connection.key)


async def _session(
    calls: client.Client, connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event
) -> None:
    """One socket, from the call that names it to its end."""
    told = (await calls.call(connection, "stream.open", {})).data
    url = str(told.get("URL") or "") if isinstance(told, dict) else ""
    service = parse_qs(urlsplit(url).query).get("service_id", ["0"])[0]
    talk = Talk(connection.key, int(service) if service.isdecimal() else 0, accept)
    talk.configure(told.get("ClientConfig"))
    try:
        async with channel.opened(url, str(scope.settings(connection)["base_url"])) as socket:
            log.info("channel_open", connection=connection.key)
            await channel.together(stopped, talk.receive(socket), talk.ping(socket))
    except websockets.InvalidStatus as error:
        status = error.response.headers.get("handshake-status")
        if status is None:
            raise
        words = error.response.headers.get("handshake-msg", "")
        raise channel.Refused(f"{status} {words}"[:200]) from None


class Talk:
    """What is said on one socket."""

    def __init__(self, key: str, service: int, accept: channel.Accept) -> None:
        self._key, self._service, self._accept = key, service, accept
        self._every = PING_EVERY
        self._parts: dict[str, tuple[float, dict[int, bytes]]] = {}

    def configure(self, settings: Any) -> None:
        """Take over what the platform says about pings."""
        every = settings.get("PingInterval") if isinstance(settings, dict) else None
        if isinstance(every, int) and every > 0:
            self._every = min(float(every), PING_EVERY)

    async def ping(self, socket: websocket.ClientConnection) -> None:
        while True:
            await socket.send(frames.encode(frames.Frame(frames.CONTROL, (("type", "ping"),), service=self._service)))
            await asyncio.sleep(self._every)

    async def receive(self, socket: websocket.ClientConnection) -> None:
        async with channel.Hands() as hands:
            async for data in socket:
                try:
                    frame = frames.decode(data if isinstance(data, bytes) else data.encode())
                except frames.FrameError as error:
                    log.warning("channel_unreadable", connection=self._key, reason=str(error))
                    continue
                if frame.method == frames.CONTROL:
                    self._told(frame)
                elif frame.get("type") in ("event", "card") and (payload := self.whole(frame)) is not None:
                    await hands.take(self._take(socket, frame, payload))

    def _told(self, frame: frames.Frame) -> None:
        if frame.get("type") == "pong" and frame.payload:
            with contextlib.suppress(jsontext.JsonError):
                self.configure(jsontext.loads(frame.payload))

    def whole(self, frame: frames.Frame) -> bytes | None:
        """The event's bytes once every part of it is here; None until then."""
        total, number = (_count(frame.get(name, default)) for name, default in (("sum", "1"), ("seq", "0")))
        if not 0 < total <= MOST_PARTS or not 0 <= number < total:
            log.warning("channel_unreadable", connection=self._key, reason="an impossible count of parts")
            return None
        if total == 1:
            return frame.payload
        now = time.monotonic()
        self._parts = {name: one for name, one in self._parts.items() if now - one[0] < PARTS_WITHIN}
        _, parts = self._parts.setdefault(frame.get("message_id"), (now, {}))
        parts[number] = frame.payload
        if len(parts) < total:
            return None
        del self._parts[frame.get("message_id")]
        return b"".join(parts[place] for place in range(total))

    async def _take(self, socket: websocket.ClientConnection, frame: frames.Frame, payload: bytes) -> None:
        """Accept one event, then confirm it. Without a confirmation it comes again."""
        begun = time.monotonic()
        try:
            event = jsontext.loads(payload)
        except jsontext.JsonError as error:
            log.warning("channel_unreadable", connection=self._key, reason=str(error))
            return
        message = jsontext.dumps(signer.bare(event)) if isinstance(event, dict) else payload
        taken = await channel.kept(message, self._accept, self._key)
        spent = ("biz_rt", str(int((time.monotonic() - begun) * 1000)))
        answer = frame.answered(jsontext.dumps({"code": 200 if taken else 500}), spent)
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(frames.encode(answer))


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else -1

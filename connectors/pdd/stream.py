"""Keeps the messages coming over the vendor's WebSocket (PMC), one connection per application.

A message is acknowledged only after ``accept`` returned, which means that it is durable; what could not be kept is
answered ``Fail`` and comes again by the vendor's schedule. Faults of the network never leave this module: it
connects again, ever more slowly, and never gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

import structlog
import websockets
from websockets.asyncio import client as websocket

from connectors.core import channel, model, scope
from connectors.pdd import pmc

BEAT_EVERY = 5.0
"""Seconds between two heartbeats."""
PING_EVERY = 45.0
LARGEST = 1024 * 1024
"""Bytes of a frame."""

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    await channel.keep(lambda: _session(connection, accept, stopped), stopped, connection.key)


async def _session(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """One socket, from its opening to its end."""
    config = scope.settings(connection)
    secret = connection.secrets.get("client_secret", "")
    address = pmc.path(str(config.get("client_id", "")), secret, str(_millis()))
    url = str(config["pmc_url"]).rstrip("/") + address
    mall = str(config.get("mall_id", ""))
    try:
        async with channel.reached(url, ping_every=PING_EVERY, largest=LARGEST) as socket:
            log.info("channel_open", connection=connection.key)
            await channel.together(stopped, _receive(socket, accept, connection.key, mall), _beat(socket))
    except websockets.InvalidStatus as error:
        raise channel.Refused(str(error.response.status_code)) from None


async def _beat(socket: websocket.ClientConnection) -> None:
    while True:
        await socket.send(pmc.heartbeat(_millis()))
        await asyncio.sleep(BEAT_EVERY)


async def _receive(socket: websocket.ClientConnection, accept: channel.Accept, key: str, mall: str) -> None:
    async with channel.Hands() as hands:
        async for data in socket:
            try:
                frame = pmc.read(data)
                push = pmc.is_push(frame)
            except pmc.FrameError as error:
                log.warning("channel_unreadable", connection=key, reason=str(error))
                continue
            if push:
                await hands.take(_take(socket, frame, str(data).encode(), accept, key, mall))


async def _take(
    socket: websocket.ClientConnection,
    frame: Mapping[str, Any],
    text: bytes,
    accept: channel.Accept,
    key: str,
    mall: str,
) -> None:
    """Accept one message, then acknowledge it; another shop's goes back."""
    ours = not mall or str(frame["message"].get("mallID")) == mall
    taken = ours and await channel.kept(text, accept, key)
    with contextlib.suppress(websockets.ConnectionClosed):
        await socket.send(pmc.answer(pmc.ACK if taken else pmc.FAIL, frame, _millis()))


def _millis() -> int:
    return int(time.time() * 1000)

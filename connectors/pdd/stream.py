"""Keeps the messages coming over the vendor's WebSocket (PMC), one connection per application.

A message is acknowledged only after ``accept`` returned, which means that it is durable; what could not be kept is
answered ``Fail`` and comes again by the vendor's schedule. Faults of the network never leave this module: it
connects again, ever more slowly, and never gives up.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
import websockets
from websockets.asyncio import client as websocket

from connectors.core import channel, model, scope
from connectors.pdd import pmc

Accept = Callable[[bytes], Awaitable[None]]

BEAT_EVERY = 5.0
"""Seconds between two heartbeats."""
PING_EVERY = 45.0
ANSWER_WITHIN = 15.0
"""Seconds for the socket to open and for the answer to a ping."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before connecting again, doubled after every failure."""
IN_HAND = 64
"""Messages being accepted at the same time."""
FAREWELL = 5.0
"""Seconds that messages in hand get when we are told to stop."""
LARGEST = 1024 * 1024
"""Bytes of a frame."""

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    delay = FIRST_DELAY
    while not stopped.is_set():
        begun = time.monotonic()
        try:
            await _session(connection, accept, stopped)
        except websockets.InvalidStatus as error:
            delay = LONGEST_DELAY
            log.warning("pmc_refused", connection=connection.key, status=error.response.status_code)
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            log.info("pmc_lost", connection=connection.key, reason=type(error).__name__)
        if time.monotonic() - begun > LONGEST_DELAY:
            delay = FIRST_DELAY
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay * random.uniform(0.5, 1.0)):
                await stopped.wait()
        delay = min(LONGEST_DELAY, delay * 2)


async def _session(connection: model.Connection, accept: Accept, stopped: asyncio.Event) -> None:
    """One socket, from its opening to its end."""
    config = scope.settings(connection)
    secret = connection.secrets.get("client_secret", "")
    address = pmc.path(str(config.get("client_id", "")), secret, str(_millis()))
    url = str(config["pmc_url"]).rstrip("/") + address
    async with channel.reached(url, ping_every=PING_EVERY, largest=LARGEST) as socket:
        log.info("pmc_open", connection=connection.key)
        receiving = asyncio.create_task(_receive(socket, accept, connection.key, str(config.get("mall_id", ""))))
        beating = asyncio.create_task(_beat(socket))
        stopping = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait((receiving, beating, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (receiving, beating, stopping):
                task.cancel()
            ended = await asyncio.gather(receiving, beating, stopping, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error


async def _beat(socket: websocket.ClientConnection) -> None:
    while True:
        await socket.send(pmc.heartbeat(_millis()))
        await asyncio.sleep(BEAT_EVERY)


async def _receive(socket: websocket.ClientConnection, accept: Accept, key: str, mall: str) -> None:
    """Take pushes; several are accepted at once, because the vendor promises no order anyway."""
    room = asyncio.Semaphore(IN_HAND)
    in_hand: set[asyncio.Task[None]] = set()
    try:
        async for data in socket:
            try:
                frame = pmc.read(data)
                if not pmc.is_push(frame):
                    continue
            except pmc.FrameError as error:
                log.warning("pmc_unreadable", connection=key, reason=str(error))
                continue
            await room.acquire()
            task = asyncio.create_task(_take(socket, frame, str(data).encode(), accept, key, mall))
            in_hand.add(task)
            task.add_done_callback(in_hand.discard)
            task.add_done_callback(lambda _task: room.release())
    finally:
        if in_hand:
            # What is half accepted is finished and acknowledged, so that it need not come again.
            _, late = await asyncio.wait(in_hand, timeout=FAREWELL)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _take(
    socket: websocket.ClientConnection, frame: Mapping[str, Any], text: bytes, accept: Accept, key: str, mall: str
) -> None:
    """Accept one message, then acknowledge it; another shop's goes back."""
    kept = (not mall or str(frame["message"].get("mallID")) == mall) and await _kept(text, accept, key)
    with contextlib.suppress(websockets.ConnectionClosed):
        await socket.send(pmc.answer(pmc.ACK if kept else pmc.FAIL, frame, _millis()))


async def _kept(text: bytes, accept: Accept, key: str) -> bool:
    try:
        await accept(text)
    except Exception as error:  # noqa: BLE001 - whatever fails on our side, the channel must go on
        log.warning("pmc_not_accepted", connection=key, reason=type(error).__name__)
        return False
    return True


def _millis() -> int:
    return int(time.time() * 1000)

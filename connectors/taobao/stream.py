"""Keeps the shop's messages coming: TMC's WebSocket, or the same queue by HTTP calls (``receive: consume``).

Both doors give ``accept`` the same JSON, shaped as a row of ``taobao.tmc.messages.consume``, and confirm a
message to the vendor only after ``accept`` returned, which means that it is durable. What is not confirmed
comes again. Faults of the network never leave this module: it connects again, ever more slowly.
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

from connectors.core import channel, jsontext, model, scope
from connectors.taobao import consume, signer, tmc

Accept = Callable[[bytes], Awaitable[None]]

PULL_EVERY = 5.0
"""Seconds between two requests for what waits in the queue; the server also sends unasked."""
PING_EVERY = 45.0
ANSWER_WITHIN = 15.0
"""Seconds for the socket to open, for CONNECTACK, and for the answer to a ping."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before connecting again, doubled after every failure."""
IN_HAND = 64
"""Messages being accepted at the same time."""
FAREWELL = 5.0
"""Seconds that messages in hand get when we are told to stop."""

log = structlog.get_logger(__name__)


class Refused(Exception):
    """The server did not take our CONNECT."""


async def run(connection: model.Connection, accept: Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    if scope.settings(connection).get("receive") == "consume":
        await consume.run(connection, accept, stopped)
        return
    delay = FIRST_DELAY
    while not stopped.is_set():
        begun = time.monotonic()
        try:
            await _session(connection, accept, stopped)
        except Refused as error:
            delay = LONGEST_DELAY
            log.warning("tmc_refused", connection=connection.key, reason=str(error))
        except (OSError, TimeoutError, tmc.FrameError, websockets.WebSocketException) as error:
            log.info("tmc_lost", connection=connection.key, reason=f"{type(error).__name__}: {error}")
        if time.monotonic() - begun > LONGEST_DELAY:
            delay = FIRST_DELAY
        await consume.pause(stopped, delay * random.uniform(0.5, 1.0))
        delay = min(LONGEST_DELAY, delay * 2)


async def _session(connection: model.Connection, accept: Accept, stopped: asyncio.Event) -> None:
    """One socket, from CONNECT to its end."""
    config = scope.settings(connection)
    async with channel.reached(str(config["tmc_url"]), ping_every=PING_EVERY, largest=tmc.LARGEST) as socket:
        token = await _greet(socket, config, connection.secrets.get("app_secret", ""))
        log.info("tmc_open", connection=connection.key)
        receiving = asyncio.create_task(_receive(socket, token, accept, connection.key))
        pulling = asyncio.create_task(_pull(socket, token))
        stopping = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait((receiving, pulling, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (receiving, pulling, stopping):
                task.cancel()
            ended = await asyncio.gather(receiving, pulling, stopping, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error


async def _greet(socket: websocket.ClientConnection, config: Mapping[str, Any], secret: str) -> str:
    """CONNECT; the token that every later frame carries. Raises Refused."""
    hello = tmc.connect(str(config.get("app_key", "")), str(config["group_name"]), int(time.time() * 1000), secret)
    await socket.send(tmc.encode(hello))
    async with asyncio.timeout(ANSWER_WITHIN):
        frame = _frame(await socket.recv())
    if frame.message != tmc.Message.CONNECTACK or not frame.token:
        raise Refused(f"{frame.status} {frame.phrase}")
    return frame.token


async def _pull(socket: websocket.ClientConnection, token: str) -> None:
    request = tmc.encode(tmc.pull(token))
    while True:
        await socket.send(request)
        await asyncio.sleep(PULL_EVERY)


async def _receive(socket: websocket.ClientConnection, token: str, accept: Accept, key: str) -> None:
    """Take data frames; several are accepted at once, because the vendor promises no order anyway."""
    room = asyncio.Semaphore(IN_HAND)
    in_hand: set[asyncio.Task[None]] = set()
    try:
        async for data in socket:
            frame = _frame(data)
            if frame.message != tmc.Message.SEND or frame.get("__kind") != tmc.Kind.DATA:
                continue
            await room.acquire()
            task = asyncio.create_task(_take(socket, token, frame, accept, key))
            in_hand.add(task)
            task.add_done_callback(in_hand.discard)
            task.add_done_callback(lambda _task: room.release())
    finally:
        if in_hand:
            # What is half accepted is finished and confirmed, so that it need not come again.
            _, late = await asyncio.wait(in_hand, timeout=FAREWELL)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _take(socket: websocket.ClientConnection, token: str, frame: tmc.Frame, accept: Accept, key: str) -> None:
    """Accept one message, then confirm it. Without a confirmation it comes again."""
    try:
        message = row(frame)
    except tmc.FrameError as error:
        log.warning("tmc_unreadable", connection=key, reason=str(error))
        return
    if await consume.kept(message, accept, key):
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(tmc.encode(tmc.confirm(token, int(frame.get("id")))))


def row(frame: tmc.Frame) -> bytes:
    """A data frame as JSON, in the shape of a row of ``taobao.tmc.messages.consume``. Raises FrameError."""
    number, user = frame.get("id"), str(frame.get("userid") or "")
    if not isinstance(number, int):
        raise tmc.FrameError("a message without id")
    message: dict[str, Any] = {
        "id": number,
        "topic": frame.get("topic"),
        "content": tmc.content(frame),
        "user_id": int(user) if user.isdecimal() else user,
        "user_nick": frame.get("nick"),
        "pub_app_key": frame.get("publisher"),
        "pub_time": signer.local(int(frame.get("time") or 0) / 1000),
    }
    return jsontext.dumps(message)


def _frame(data: str | bytes) -> tmc.Frame:
    if isinstance(data, str):
        raise tmc.FrameError("a text frame")
    return tmc.decode(data)

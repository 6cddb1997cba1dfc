"""Keeps the shop's messages coming: TMC's WebSocket, or the same queue by HTTP calls (``receive: consume``).

Both doors give ``accept`` the same JSON, shaped as a row of ``taobao.tmc.messages.consume``, and confirm a
message to the vendor only after ``accept`` returned, which means that it is durable. What is not confirmed
comes again. Shops of one application that share a group share its queue: another seller's message is given back,
where the connection says whose it is. Faults of the network never leave this module: it connects again, ever more
slowly.
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

from connectors.core import channel, jsontext, model, scope
from connectors.taobao import consume, signer, tmc

PULL_EVERY = 5.0
"""Seconds between two requests for what waits in the queue; the server also sends unasked."""
PING_EVERY = 45.0

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    if scope.settings(connection).get("receive") == "consume":
        await consume.run(connection, accept, stopped)
        return
    await channel.keep(lambda: _session(connection, accept, stopped), stopped, connection.key, lost=(tmc.FrameError,))


async def _session(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """One socket, from CONNECT to its end."""
    config = scope.settings(connection)
    async with channel.reached(str(config["tmc_url"]), ping_every=PING_EVERY, largest=tmc.LARGEST) as socket:
        token = await _greet(socket, config, connection.secrets.get("app_secret", ""))
        log.info("channel_open", connection=connection.key)
        seller = str(config.get("seller_id") or "")
        await channel.together(stopped, _receive(socket, token, accept, connection.key, seller), _pull(socket, token))


async def _greet(socket: websocket.ClientConnection, config: Mapping[str, Any], secret: str) -> str:
    """CONNECT; the token that every later frame carries. Raises channel.Refused."""
    hello = tmc.connect(str(config.get("app_key", "")), str(config["group_name"]), int(time.time() * 1000), secret)
    await socket.send(tmc.encode(hello))
    async with asyncio.timeout(channel.ANSWER_WITHIN):
        frame = _frame(await socket.recv())
    if frame.message != tmc.Message.CONNECTACK or not frame.token:
        raise channel.Refused(f"{frame.status} {frame.phrase}")
    return frame.token


async def _pull(socket: websocket.ClientConnection, token: str) -> None:
    request = tmc.encode(tmc.pull(token))
    while True:
        await socket.send(request)
        await asyncio.sleep(PULL_EVERY)


async def _receive(
    socket: websocket.ClientConnection, token: str, accept: channel.Accept, key: str, seller: str
) -> None:
    async with channel.Hands() as hands:
        async for data in socket:
            frame = _frame(data)
            if frame.message == tmc.Message.SEND and frame.get("__kind") == tmc.Kind.DATA:
                await hands.take(_take(socket, token, frame, accept, key, seller))


async def _take(
    socket: websocket.ClientConnection, token: str, frame: tmc.Frame, accept: channel.Accept, key: str, seller: str
) -> None:
    """Accept one message, then confirm it; another seller's goes back. Without a confirmation it comes again."""
    try:
        message = row(frame)
    except tmc.FrameError as error:
        log.warning("channel_unreadable", connection=key, reason=str(error))
        return
    if not consume.ours(frame.get("userid"), seller):
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(tmc.encode(tmc.failed(token, int(frame.get("id")), "another seller")))
        return
    if await channel.kept(message, accept, key):
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

"""Keeps the events of one application coming over DingTalk's Stream: JSON text frames on a WebSocket.

A call gives an endpoint and a ticket for one socket. Every frame is answered on the same socket: an event with
``SUCCESS`` only after ``accept`` returned, else with ``LATER``, so that it comes again. What is given to ``accept``
has the shape of the HTTP push, so that both doors share their messages; where a message to the robot may be answered
is sealed before. The platform says ``disconnect`` some seconds before it closes a socket: what is in hand is finished,
then another socket is opened.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import structlog
import websockets
from websockets.asyncio import client as websocket

from connectors.core import channel, client, jsontext, model, scope
from connectors.dingtalk import session

ROBOT = "/v1.0/im/bot/messages/get"
MOST_KEPT = 20_000
"""Characters that are kept of an event that cannot be read."""

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
    url = f"{told.get('endpoint')}?ticket={quote_plus(str(told.get('ticket')))}"
    async with channel.opened(url, str(scope.settings(connection)["base_url"])) as socket:
        log.info("channel_open", connection=connection.key)
        await channel.together(stopped, _receive(socket, accept, connection))


async def _receive(socket: websocket.ClientConnection, accept: channel.Accept, owner: model.Connection) -> None:
    """Take frames until the platform wants to close."""
    key = owner.key
    async with channel.Hands() as hands:
        async for data in socket:
            try:
                frame = jsontext.loads(data)
                kind, headers = str(frame["type"]), dict(frame["headers"])
            except (jsontext.JsonError, KeyError, TypeError, ValueError) as error:
                log.warning("channel_unreadable", connection=key, reason=type(error).__name__)
                continue
            if kind in ("EVENT", "CALLBACK"):
                await hands.take(_take(socket, kind, headers, frame.get("data"), accept, owner))
                continue
            known = kind == "SYSTEM"
            await _say(socket, headers, 200 if known else 404, "OK" if known else "unknown type", frame.get("data"))
            if known and headers.get("topic") == "disconnect":
                return


async def _take(
    socket: websocket.ClientConnection,
    kind: str,
    headers: Mapping[str, Any],
    data: Any,
    accept: channel.Accept,
    owner: model.Connection,
) -> None:
    """Accept one frame, then answer it."""
    key = owner.key
    try:
        message = payload(kind, headers, data, owner.secrets.get("app_secret", ""))
    except ValueError as error:
        # It will never be readable, and refused it would come again for ever: it is kept as what nobody knows.
        log.warning("channel_unreadable", connection=key, reason=str(error))
        message = unreadable(kind, headers, data)
    taken = await channel.kept(message, accept, key)
    if kind == "EVENT":
        said = {"status": "SUCCESS" if taken else "LATER", "message": "ok" if taken else "not stored"}
        await _say(socket, headers, 200, "OK", said)
    else:
        await _say(socket, headers, 200 if taken else 500, "OK" if taken else "not stored", {"response": {}})


def payload(kind: str, headers: Mapping[str, Any], data: Any, secret: str = "") -> bytes:
    """A frame in the shape of an HTTP push: the business members, and beside them what the headers say.

    ``secret`` seals where a message to the robot may be answered; without it that is dropped.
    Raises ValueError when ``data`` is no JSON object.
    """
    found = jsontext.loads(data) if isinstance(data, str) else data
    if not isinstance(found, dict):
        raise ValueError("the frame's data is no object")
    if kind == "CALLBACK":
        return jsontext.dumps(session.kept(found, secret))
    born = str(headers.get("eventBornTime") or headers.get("time") or "")
    head = {
        "EventType": headers.get("eventType"),
        "EventTime": int(born) if born.isdecimal() else None,
        "CorpId": headers.get("eventCorpId"),
        "eventId": headers.get("eventId"),
    }
    return jsontext.dumps({**{name: value for name, value in head.items() if value is not None}, **found})


def unreadable(kind: str, headers: Mapping[str, Any], data: Any) -> bytes:
    """A frame nobody can read, for the record: no message matches it, so it ends as unknown.

    Only an event's text is kept. A message to the robot may hold where anybody could answer it.
    """
    kept = {name: headers[name] for name in ("topic", "eventType", "eventId") if headers.get(name) is not None}
    if kind == "EVENT":
        kept["data"] = (data if isinstance(data, str) else jsontext.dumps(data).decode())[:MOST_KEPT]
    return jsontext.dumps({"unreadable": kind, **kept})


async def _say(
    socket: websocket.ClientConnection, headers: Mapping[str, Any], code: int, words: str, data: Any
) -> None:
    """Answer a frame; ``data`` travels as JSON text."""
    text = data if isinstance(data, str) else jsontext.dumps({} if data is None else data).decode()
    head = {"contentType": "application/json", "messageId": headers.get("messageId")}
    with contextlib.suppress(websockets.ConnectionClosed):
        await socket.send(jsontext.dumps({"code": code, "headers": head, "message": words, "data": text}).decode())

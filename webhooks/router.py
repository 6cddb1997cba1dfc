"""The hook routes as a plain ASGI app: the raw body, no framework work per call.

``GET|POST /hooks/{connection_key}``. 404 unknown connection, 413 too large, 408 too slow, 401 no
proof, 400 unreadable, 503 not durable (try again). Errors are problem+json; successes are whatever the
vendor waits for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog

from connectors.core import decode, errors, model
from retry_queue import metrics
from retry_queue.ledger import session
from webhooks import receive

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_SECONDS = 20.0

log = structlog.get_logger()

_TITLES = {
    400: ("bad_body", "报文无法读取", "The body cannot be read"),
    401: ("proof_refused", "验签失败", "The proof was refused"),
    404: ("unknown_connection", "没有这个连接", "No such connection"),
    405: ("method_not_allowed", "只接受 GET 与 POST", "Only GET and POST"),
    408: ("body_too_slow", "报文接收超时", "The body came too slowly"),
    413: ("body_too_large", "报文过大", "The body is too large"),
    500: ("internal", "内部错误", "Internal error"),
    503: ("ledger_unavailable", "暂时无法写入，请稍后重试", "Cannot be stored now; try again"),
}


class TooLarge(Exception):
    """The body is over the limit."""


class Hooks:
    """The ASGI app to mount at ``/hooks``."""

    def __init__(self, receiver: receive.Receiver, max_body: int) -> None:
        self._receiver = receiver
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive_: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        connector = "unknown"
        outcome = "accepted"
        try:
            if scope["method"] not in ("GET", "POST"):
                outcome = "method"
                await _problem(scope, send, 405)
                return
            key = scope["path"].rsplit("/hooks/", 1)[-1].strip("/")
            door = await self._receiver.fresh_door(key)
            connector = door.connector
            body = await self._body(scope, receive_)
            answer = await self._receiver.accept(door, _raw(scope, body))
            await _respond(send, answer.status, answer.body, answer.content_type)
        except receive.UnknownDoor:
            outcome = "unknown"
            await _problem(scope, send, 404)
        except receive.ShutDoor as shut:
            outcome = "shut"
            log.error("hook.shut", connection=str(shut))
            await _problem(scope, send, 503)
        except TooLarge:
            outcome = "too_large"
            await _problem(scope, send, 413)
        except TimeoutError:
            outcome = "too_slow"
            await _problem(scope, send, 408)
        except errors.HookRefused as refused:
            outcome = refused.reason
            told = self._receiver.refusal(door)
            if told is None:
                await _problem(scope, send, 401)
            else:
                await _respond(send, told.status, told.body, told.content_type)
        except decode.Malformed as error:
            outcome = "malformed"
            await _problem(scope, send, 400, str(error))
        except session.LedgerUnavailable as error:
            outcome = "unavailable"
            log.error("hook.not_stored", connector=connector, error=str(error))
            await _problem(scope, send, 503)
        except ConnectionResetError:
            outcome = "gone"
        except Exception:
            outcome = "internal"
            log.exception("hook.internal", connector=connector)
            await _problem(scope, send, 500)
        finally:
            metrics.HOOKS.labels(connector, outcome).inc()
            if outcome == "accepted":
                metrics.ACKS.labels(connector).observe(time.perf_counter() - started)

    async def _body(self, scope: Scope, receive_: Receive) -> bytes:
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body:
                raise TooLarge
        parts, size = [], 0
        async with asyncio.timeout(BODY_SECONDS):
            message = await receive_()
            while True:
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > self._max_body:
                    raise TooLarge
                if not message.get("more_body", False):
                    return b"".join(parts)
                message = await receive_()


def _raw(scope: Scope, body: bytes) -> model.RawHook:
    """The call as ingress sees it. A header given twice is joined, so it can never pass as one."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    try:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise decode.Malformed(str(error)) from None
    return model.RawHook(scope["method"], query, headers, body)


async def _problem(scope: Scope, send: Send, status: int, detail: str | None = None) -> None:
    code, zh, en = _TITLES[status]
    accepted = next((value for name, value in scope["headers"] if name == b"accept-language"), b"")
    body = {
        "type": "about:blank",
        "title": en if accepted.lower().startswith(b"en") else zh,
        "status": status,
        "code": code,
    }
    if detail:
        body["detail"] = detail[:300]
    extra = [(b"retry-after", b"2")] if status == 503 else []
    await _respond(send, status, orjson.dumps(body), "application/problem+json", extra)


async def _respond(
    send: Send, status: int, body: bytes, content_type: str, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        *(extra or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Faults on demand, as ASGI middleware around one simulator, so that no vendor code knows about them.

Order per call: ban, latency, throttle, error; then the vendor's own code runs; then its reply may be
dropped (only if a write was committed), replaced by garbage, truncated or dribbled slowly.
"""

from __future__ import annotations

import asyncio
import contextvars
import fnmatch
import random
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Dose = int | float
"""An int is *the next n calls*; a float between 0 and 1 is *this share of calls*."""

GARBAGE = "<!DOCTYPE html><html><head><title>系统维护中</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Faults(BaseModel):
    """The switches of one simulator; all off by default. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    only: list[str] = Field(default_factory=list)
    """Shell-style patterns over ``"POST /path?query"`` (path below the simulator); empty: every call."""
    latency: float = Field(default=0, ge=0, le=300)
    """Seconds before each call."""
    jitter: float = Field(default=0, ge=0, le=300)
    """At most so many random seconds more."""
    error_rate: Dose = 0
    """HTTP 500 before anything happened."""
    throttle: Dose = 0
    """The vendor's own words for "too many calls"."""
    calls_per_second: float | None = Field(default=None, gt=0)
    """A real limit: calls above it are throttled."""
    ban_until: float = 0
    """Unix time of the simulator's clock; every call before it is refused in the vendor's words."""
    drop_reply: Dose = 0
    """WRITES whose connection is cut after the change is committed and journalled."""
    drop_kinds: list[str] = Field(default_factory=list)
    """Shell-style patterns: only drop replies of these kinds of effect; empty: all kinds."""
    garbage: Dose = 0
    """HTTP 200 with an HTML page instead of the answer; the call did happen."""
    truncate: Dose = 0
    """Half of the answer, then the connection is cut; the call did happen."""
    slow: float = Field(default=0, ge=0, le=300)
    """Seconds over which the answer dribbles out."""
    duplicate_push: int = Field(default=1, ge=1, le=20)
    """How many times each chosen push is delivered."""
    duplicate_rate: float = Field(default=1, ge=0, le=1)
    """The share of pushes that ``duplicate_push`` is meant for."""
    reorder_push: float = Field(default=0, ge=0, le=600)
    """Seconds (times ``time_scale``) during which pushes are gathered, then sent in another order."""
    delay_push: float = Field(default=0, ge=0, le=86400)
    """Seconds (times ``time_scale``) by which every push comes late."""

    def take(self, name: str, dice: random.Random) -> bool:
        """Whether fault ``name`` strikes now; counts down when the dose is a number of calls."""
        dose: Dose = getattr(self, name)
        if isinstance(dose, float):
            return dose > 0 and dice.random() < dose
        if dose > 0:
            setattr(self, name, dose - 1)
            return True
        return False


@dataclass(slots=True)
class Exchange:
    """The call under way; ``commit`` arms its fault here."""

    line: str
    faulty: bool
    cut: bool = False


current: contextvars.ContextVar[Exchange | None] = contextvars.ContextVar("simulator_exchange", default=None)


class Subject(Protocol):
    """What the middleware needs of a simulator."""

    faults: Faults
    dice: random.Random
    recent: deque[float]

    def now(self) -> float: ...
    def throttled(self, request: Request) -> Response: ...
    def banned(self, request: Request) -> Response: ...
    def broken(self, request: Request) -> Response: ...


def arm(subject: Subject, kind: str) -> None:
    """A write was committed: if a drop is due, mark the call under way so that its reply is cut."""
    exchange, faults = current.get(), subject.faults
    if exchange is None or exchange.cut or not exchange.faulty:
        return
    if faults.drop_kinds and not any(fnmatch.fnmatchcase(kind, pattern) for pattern in faults.drop_kinds):
        return
    exchange.cut = faults.take("drop_reply", subject.dice)


class Middleware:
    """Wraps the routes of one simulator."""

    def __init__(self, app: ASGIApp, subject: Subject) -> None:
        self.app = app
        self.subject = subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        line = _line(scope)
        faults = self.subject.faults
        faulty = not faults.only or any(fnmatch.fnmatchcase(line, pattern) for pattern in faults.only)
        if not faulty:
            await self.app(scope, receive, send)
            return
        refusal = await self._before(Request(scope, receive))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        exchange = Exchange(line, faulty)
        mark = current.set(exchange)
        reply: list[Message] = []
        try:
            await self.app(scope, receive, _recorder(reply))
        finally:
            current.reset(mark)
        await self._after(exchange, reply, scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.subject.faults.ban_until > self.subject.now():
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "banned"})
            return
        await self.app(scope, receive, send)

    async def _before(self, request: Request) -> Response | None:
        subject, faults = self.subject, self.subject.faults
        if faults.ban_until > subject.now():
            return subject.banned(request)
        wait = faults.latency + (subject.dice.random() * faults.jitter if faults.jitter else 0)
        if wait:
            await asyncio.sleep(wait)
        if _too_many(subject) or faults.take("throttle", subject.dice):
            return subject.throttled(request)
        if faults.take("error_rate", subject.dice):
            return subject.broken(request)
        return None

    async def _after(
        self, exchange: Exchange, reply: list[Message], scope: Scope, receive: Receive, send: Send
    ) -> None:
        subject, faults = self.subject, self.subject.faults
        if exchange.cut:
            await _cut(scope, receive)
        elif faults.take("garbage", subject.dice):
            await Response(GARBAGE, media_type="text/html")(scope, receive, send)
        elif faults.take("truncate", subject.dice):
            start, body = _joined(reply)
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            # Let the half reach the wire before the connection goes.
            await asyncio.sleep(0.02)
            await _cut(scope, receive)
        elif faults.slow:
            start, body = _joined(reply)
            await send(start)
            size = max(1, -(-len(body) // 10))
            for at in range(0, len(body), size):
                await asyncio.sleep(faults.slow / 10)
                await send({"type": "http.response.body", "body": body[at : at + size], "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            for message in reply:
                await send(message)


def _line(scope: Scope) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    path = path[len(root) :] if root and path.startswith(root) else path
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope['method']} {path}" + (f"?{query}" if query else "")


def _recorder(reply: list[Message]) -> Send:
    async def keep(message: Message) -> None:
        reply.append(message)

    return keep


def _joined(reply: list[Message]) -> tuple[Message, bytes]:
    """The start message with an exact content-length, and the whole body."""
    body = b"".join(message.get("body", b"") for message in reply if message["type"] == "http.response.body")
    start: Message = {**reply[0]}
    headers: list[Any] = [(name, value) for name, value in start.get("headers", []) if name != b"content-length"]
    start["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
    return start, body


def _too_many(subject: Subject) -> bool:
    limit = subject.faults.calls_per_second
    if limit is None:
        return False
    now, recent = subject.now(), subject.recent
    span = max(1.0, 1 / limit)
    while recent and recent[0] <= now - span:
        recent.popleft()
    if len(recent) >= limit * span:
        return True
    recent.append(now)
    return False


async def _cut(scope: Scope, receive: Receive) -> None:
    """Abort the TCP connection of this call and wait until the server has noticed."""
    scope["extensions"]["simulator.cut"]()
    while (await receive())["type"] != "http.disconnect":
        continue

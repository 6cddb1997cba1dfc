"""A callback address that keeps what a simulator really pushes, and answers as Shuniu does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.core import decode, errors, model, reply, verify
from connectors.simulator import server
from tests.conformance import rehearsal


@dataclass(frozen=True, slots=True)
class Genuine:
    """One push as it came over the wire, with what our door made of it. ``at`` is the Unix time of its arrival."""

    hook: model.RawHook
    at: float
    verified: model.VerifiedHook
    events: tuple[model.SourceEvent, ...]
    reply: model.HookReply


@dataclass(slots=True)
class Door:
    """Pushes taken in, and the refusals of those that were not."""

    connection: model.Connection
    source: str
    address: str = ""
    taken: list[Genuine] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def receive(self, request: Request) -> Response:
        hook = model.RawHook(request.method, dict(request.query_params), dict(request.headers), await request.body())
        now, spec = time.time(), self.connection.declaration
        source = spec.events[self.source]
        assert source.verify is not None
        try:
            verified = verify.verify(hook, self.connection, source.verify, now)
        except errors.HookRefused as refusal:
            self.refused.append(str(refusal))
            return Response(refusal.reason, 401)
        found: list[model.SourceEvent] = []
        if verified.handshake is None:
            found = decode.events(spec, self.source, verified.plaintext, self.connection, verified)
        answer = reply.reply(self.connection, source, verified, now)
        self.taken.append(Genuine(hook, now, verified, tuple(found), answer))
        return Response(answer.body, answer.status, media_type=answer.content_type)


@contextlib.asynccontextmanager
async def pushed(id: str, push: rehearsal.Push) -> AsyncIterator[tuple[rehearsal.Stage, Door]]:
    """The door after everything that one push of the rehearsal makes the simulator send."""
    async with rehearsal.stage(id) as stage:
        door = Door(stage.connection(push.connection), push.source)
        route = Route("/hook", door.receive, methods=["GET", "POST", "PUT"])
        async with server.running(Starlette(routes=[route])) as base:
            door.address = f"{base}/hook"
            stage.simulator.configure({"push_url": door.address})
            await stage.do(push.do)
            await stage.simulator.settle()
            yield stage, door

"""Live updates: server-sent events that say *that* something changed; the page asks again for what it shows.

One loop per process asks the ledger for a handful of growing numbers, however many browsers listen, and only
while one does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict

import orjson
from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from gateway import problems
from gateway.api import services
from retry_queue.ledger import pulse, session, tallies

routes = APIRouter(prefix="/live", tags=["live"])
EVERY = 1.0
QUIET = 15.0
"""Seconds without news after which a comment keeps proxies from hanging up."""
LONGEST = 900.0
"""A stream ends after this long and the browser comes again: so a session that ended does not listen on."""
MOST = 200


class Feed:
    """What one process tells its listeners. ``latest`` is replaced, never changed."""

    def __init__(self, hub: services.Services) -> None:
        self._hub = hub
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.listeners = 0
        self.turn = 0
        self.latest: dict[str, object] = {}

    @contextlib.asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        """Keeps the loop running while somebody is inside."""
        self.listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="live")
        try:
            yield
        finally:
            self.listeners -= 1

    async def _run(self) -> None:
        while self.listeners and not self._hub.stopping():
            try:
                async with self._hub.ledger.read() as db:
                    balance = await tallies.balance(db)
                    found: dict[str, object] = {"marks": await pulse.marks(db), "balance": asdict(balance)}
            except session.LedgerUnavailable:
                found = {"marks": {}, "balance": None}
            if found != self.latest:
                self.latest, self.turn = dict(found), self.turn + 1
                self._wake()
            await asyncio.sleep(EVERY)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def news(self, seen: int, seconds: float) -> bool:
        """Waits for a turn after ``seen``; False when nothing changed in this time."""
        changed = self._changed
        if self.turn == seen:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await changed.wait()
        return self.turn != seen


def feed(request: Request, hub: services.Services) -> Feed:
    """The feed of this process, made by whoever listens first."""
    kept = getattr(request.app.state, "live", None)
    if not isinstance(kept, Feed):
        kept = request.app.state.live = Feed(hub)
    return kept


@routes.get("", operation_id="live_listen", summary="实时更新 Live updates", response_class=StreamingResponse,
            responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}})  # fmt: skip
async def listen(request: Request) -> StreamingResponse:
    """A stream of server-sent events, each ``{marks, balance}``; the first one comes at once."""
    hub = services.of(request)
    source = feed(request, hub)
    if source.listeners >= MOST:
        raise problems.Problem("too_many_requests", headers={"Retry-After": "10"})
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(told(hub, source), media_type="text/event-stream", headers=headers)


async def told(hub: services.Services, source: Feed) -> AsyncIterator[bytes]:
    """The bytes of one stream, until the server stops or the stream is old enough."""
    loop = asyncio.get_running_loop()
    began = said = loop.time()
    seen = 0  # the feed's first news is turn 1
    async with source.joined():
        yield b"retry: 2000\n\n"
        while not hub.stopping() and loop.time() - began < LONGEST:
            # Short waits, so that a stopping server is not held up by its listeners.
            if seen != source.turn:
                seen, said = source.turn, loop.time()
                yield b"data: " + orjson.dumps(source.latest) + b"\n\n"
            elif loop.time() - said > QUIET:
                said = loop.time()
                yield b": still here\n\n"
            await source.news(seen, EVERY)

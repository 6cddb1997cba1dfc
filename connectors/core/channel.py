"""A long connection kept up: one session after the other, the messages in hand, and an orderly end.

What every ``stream.py`` over a WebSocket needs beside its own protocol. A session is one socket from its opening to
its end; faults of the network end a session and nothing else. The next one follows after a pause that grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import structlog
import websockets
from websockets.asyncio import client as websocket

from connectors.core import egress, errors

Accept = Callable[[bytes], Awaitable[None]]
"""Returns when the message is durable; only then it may be confirmed."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before the next session, doubled after every failure."""
ANSWER_WITHIN = 15.0
"""Seconds for a socket to open and for the answer to a ping."""
PING_EVERY = 20.0
LARGEST = 16 * 1024 * 1024
"""Bytes of one frame, at most."""
IN_HAND = 64
"""Messages being accepted at the same time."""
FAREWELL = 5.0
"""Seconds that messages in hand get when a session ends."""

log = structlog.get_logger(__name__)


class Refused(Exception):
    """The other side does not let us in, or speaks something else: tried again slowly."""


async def keep(
    session: Callable[[], Awaitable[None]],
    stopped: asyncio.Event,
    key: str,
    *,
    lost: tuple[type[Exception], ...] = (),
) -> None:
    """Run ``session`` again and again until ``stopped`` is set; ``key`` names the connection in the log.

    A session opens its socket, talks, and returns or fails; what fails by the network, by a refused call or by
    ``Refused`` is logged and tried again; ``lost`` names what else ends a session as the network does. Raises
    CredentialRefused: asking often does not mend a wrong secret.
    """
    delay = FIRST_DELAY
    passing: tuple[type[Exception], ...] = (OSError, TimeoutError, websockets.WebSocketException, *lost)
    while not stopped.is_set():
        begun = time.monotonic()
        wait: float | None = None
        try:
            await session()
            delay = FIRST_DELAY
        except Refused as error:
            wait = LONGEST_DELAY
            log.warning("channel_refused", connection=key, reason=str(error))
        except errors.CredentialRefused:
            raise
        except errors.ConnectorError as error:
            patient = isinstance(error, errors.Misdeclared | errors.Rejected)
            wait = LONGEST_DELAY if patient else getattr(error, "retry_after", None)
            log.warning("channel_refused", connection=key, kind=error.kind, code=error.code)
        except passing as error:
            log.info("channel_lost", connection=key, reason=f"{type(error).__name__}: {error}")
        if time.monotonic() - begun > LONGEST_DELAY:
            delay = FIRST_DELAY
        await pause(stopped, (delay if wait is None else wait) * random.uniform(0.5, 1.0))
        delay = min(LONGEST_DELAY, delay * 2)


async def drain(batch: Callable[[], Awaitable[bool]], stopped: asyncio.Event, key: str, idle: float) -> None:
    """Take one batch of a vendor's queue after the other until ``stopped`` is set.

    ``batch`` tells whether another may follow at once, else ``idle`` seconds pass; a call of it that fails is logged
    and made again, ever more slowly. ``key`` names the connection in the log.
    """
    delay = FIRST_DELAY
    while not stopped.is_set():
        try:
            wait = 0.0 if await batch() else idle
            delay = FIRST_DELAY
        except errors.ConnectorError as error:
            log.warning("channel_call_failed", connection=key, kind=error.kind, code=error.code)
            asked = error.retry_after if isinstance(error, errors.Throttled) else None
            wait, delay = asked or delay, min(LONGEST_DELAY, delay * 2)
        await pause(stopped, wait)


async def pause(stopped: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake up at once when ``stopped`` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()


@contextlib.asynccontextmanager
async def opened(url: str, over: str) -> AsyncIterator[websocket.ClientConnection]:
    """A socket to ``url``, which a call over the address ``over`` has told us; for ``async with``.

    Raises Refused for anything but a WebSocket address, for an open one told over a closed line, and for one that
    ``egress`` does not let us connect to; else as ``reached``.
    """
    allowed = ("wss://",) if over.startswith("https://") else ("ws://", "wss://")
    if not url.startswith(allowed):
        raise Refused("the address of the long connection is none, or not encrypted")
    try:
        async with reached(url) as made:
            yield made
    except egress.Blocked as error:
        raise Refused(f"{error.hint['zh']} / {error.hint['en']}") from None


@contextlib.asynccontextmanager
async def reached(
    url: str, *, ping_every: float = PING_EVERY, largest: int = LARGEST
) -> AsyncIterator[websocket.ClientConnection]:
    """A WebSocket to an address from the settings.

    Raises OSError (egress.Blocked among them), TimeoutError and what ``websockets`` raises.
    """
    parts = urlsplit(url)
    way = await egress.connected(
        parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80), ANSWER_WITHIN
    )
    # A socket that is given is not replaced: the library follows no redirect with it.
    async with websocket.connect(
        url,
        sock=way,
        compression=None,
        max_size=largest,
        open_timeout=ANSWER_WITHIN,
        ping_interval=ping_every,
        ping_timeout=ANSWER_WITHIN,
        close_timeout=1,
        proxy=None,
    ) as made:
        yield made


async def together(stopped: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    """Run the works of one session until the first of them ends or ``stopped`` is set; the rest are cancelled.

    Raises what a work raised.
    """
    tasks = [asyncio.create_task(work) for work in works]
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*tasks, stopping):
            task.cancel()
        ended = await asyncio.gather(*tasks, stopping, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


class Hands:
    """Messages being accepted side by side: no vendor promises an order anyway. Use with ``async with``."""

    def __init__(self, most: int = IN_HAND) -> None:
        self._room = asyncio.Semaphore(most)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Hands:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """What is half accepted is finished and confirmed, so that it need not come again."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=FAREWELL)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def take(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin ``work`` as soon as there is room."""
        try:
            await self._room.acquire()
        except BaseException:
            work.close()
            raise
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: self._room.release())


async def kept(message: bytes, accept: Accept, key: str) -> bool:
    """Whether ``accept`` took the message; what it did not take is not confirmed and comes again."""
    try:
        await accept(message)
    except Exception as error:  # noqa: BLE001 - whatever fails on our side, the channel must go on
        log.warning("channel_not_accepted", connection=key, reason=type(error).__name__)
        return False
    return True

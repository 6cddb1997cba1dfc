"""Pushes from a simulator to the hub, with the vendor's own retry list and with faults.

A *push* is one message owed to one URL. It is tried at once and then after each delay of the retry list
(seconds, times ``time_scale``) until the receiver acknowledges it in the vendor's own terms. Duplicates,
late and reordered pushes come from the simulator's faults.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
import httpx
import httpx_aiohttp

from connectors.simulator import faults


@dataclass(frozen=True, slots=True)
class Post:
    """One HTTP request of a push."""

    url: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(slots=True)
class Try:
    """One attempt. ``at`` is Unix time, ``seconds`` the time until the answer."""

    at: float
    seconds: float
    status: int | None
    reply: str
    acknowledged: bool


@dataclass(slots=True)
class Push:
    """The life of one message: ``waiting``, then ``acknowledged`` or ``given_up``."""

    seq: int
    label: str
    url: str
    state: str = "waiting"
    tries: list[Try] = field(default_factory=list)
    acknowledged_at: float | None = None

    def shown(self) -> dict[str, Any]:
        return asdict(self)


KEPT = 20_000
"""Pushes remembered; of more, the oldest are forgotten."""

Compose = Callable[[int], Post]
"""Makes the request of try 0, 1, 2 …: vendors sign each try anew."""


class Pusher:
    """Sends pushes of one simulator in background tasks. ``spawn`` starts a task the owner can stop."""

    def __init__(
        self,
        switches: Callable[[], faults.Faults],
        dice: random.Random,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        acknowledged: Callable[[httpx.Response], bool],
    ) -> None:
        self.switches = switches
        self.dice = dice
        self.spawn = spawn
        self.acknowledged = acknowledged
        self.pushes: list[Push] = []
        self.time_scale = 1.0
        self.idle = asyncio.Event()
        """Set while no push is waiting."""
        self.idle.set()
        self._waiting = 0
        self._seq = 0
        self._gathered: list[tuple[Push, Compose, Sequence[float], float]] = []
        self._client: httpx.AsyncClient | None = None

    def push(self, url: str, compose: Compose, *, label: str, retries: Sequence[float], timeout: float) -> list[Push]:
        """Owe one message (or several copies, when duplicates are on); returns at once."""
        switches = self.switches()
        if len(self.pushes) >= KEPT:
            del self.pushes[: KEPT // 2]
        copies = switches.duplicate_push if self.dice.random() < switches.duplicate_rate else 1
        owed: list[Push] = []
        for _ in range(copies):
            self._seq += 1
            push = Push(self._seq, label, url)
            self.pushes.append(push)
            owed.append(push)
            self._waiting += 1
            self.idle.clear()
            if switches.reorder_push:
                self._gathered.append((push, compose, retries, timeout))
                if len(self._gathered) == 1:
                    self.spawn(self._release(switches.reorder_push))
            else:
                self.spawn(self._deliver(push, compose, retries, timeout))
        return owed

    async def _release(self, seconds: float) -> None:
        """After the window, send what was gathered in an order that is not the order it happened in."""
        await asyncio.sleep(seconds * self.time_scale)
        gathered, self._gathered = self._gathered, []
        shuffled = gathered[:]
        self.dice.shuffle(shuffled)
        if shuffled == gathered:
            shuffled.reverse()
        for push, compose, retries, timeout in shuffled:
            answered = await self._try(push, compose, 0, timeout)
            if not answered:
                self.spawn(self._deliver(push, compose, retries, timeout, first=1))

    async def _deliver(
        self, push: Push, compose: Compose, retries: Sequence[float], seconds: float, first: int = 0
    ) -> None:
        delay = self.switches().delay_push
        if delay and first == 0:
            await asyncio.sleep(delay * self.time_scale)
        for number in range(first, len(retries) + 1):
            if number:
                await asyncio.sleep(retries[number - 1] * self.time_scale)
            if await self._try(push, compose, number, seconds):
                return
        self._end(push, "given_up")

    async def _try(self, push: Push, compose: Compose, number: int, limit: float) -> bool:
        post = compose(number)
        at, begun = time.time(), time.monotonic()
        try:
            response = await self._opened().request(
                post.method,
                post.url,
                content=post.content,
                headers=post.headers,
                params=post.params or None,
                timeout=limit,
            )
        except httpx.HTTPError as error:
            reply = f"{type(error).__name__}: {error}"
            push.tries.append(Try(at, time.monotonic() - begun, None, reply, False))
            return False
        good = self.acknowledged(response)
        seconds = time.monotonic() - begun
        push.tries.append(Try(at, seconds, response.status_code, response.text[:500], good))
        if good:
            push.acknowledged_at = at + seconds
            self._end(push, "acknowledged")
        return good

    def _end(self, push: Push, state: str) -> None:
        push.state = state
        self._waiting -= 1
        if self._waiting == 0:
            self.idle.set()

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            transport = httpx_aiohttp.AiohttpTransport(
                trust_env=False,
                client=lambda: aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=64), cookie_jar=aiohttp.DummyCookieJar()
                ),
            )
            self._client = httpx.AsyncClient(transport=transport, follow_redirects=False)
        return self._client

    def clear(self) -> None:
        """Forget every push; the owner has stopped the tasks."""
        self.pushes.clear()
        self._gathered.clear()
        self._waiting = 0
        self.idle.set()

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()


def counts(pushes: Sequence[Push]) -> dict[str, int]:
    """How many pushes are waiting, acknowledged, given up, and how many tries they took."""
    found = {"waiting": 0, "acknowledged": 0, "given_up": 0, "tries": 0}
    for push in pushes:
        found[push.state] += 1
        found["tries"] += len(push.tries)
    return found

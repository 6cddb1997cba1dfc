"""Long connections of a simulated platform: sockets that compete for events, and events that come until confirmed.

An event goes to one open socket, chosen by chance. Not confirmed within ``deadline`` seconds it comes again after each
delay of ``retries`` (vendor seconds, compressed by ``time_scale``), to whichever socket is there then. A subclass says
how an event is written (``send``) and calls ``confirm`` when an answer counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.simulator import faults

Lost = (WebSocketDisconnect, RuntimeError)
"""What a socket that is gone raises."""


class Owner(Protocol):
    """What is needed of the simulator."""

    dice: random.Random
    faults: faults.Faults

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    async def pause(self, seconds: float) -> None: ...


@dataclass(slots=True)
class Event:
    """One event on its way: ``waiting``, ``acknowledged`` or ``given_up``. ``answers`` are what clients said."""

    label: str
    payload: Any
    state: str = "waiting"
    tries: int = 0
    answers: list[Any] = field(default_factory=list)
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Sockets:
    """Open sockets by id, and the events owed to any of them."""

    def __init__(self, owner: Owner, deadline: float, retries: Sequence[float]) -> None:
        self.owner, self.deadline, self.retries = owner, deadline, tuple(retries)
        self.open: dict[str, WebSocket] = {}
        self.events: list[Event] = []
        self._arrived = asyncio.Event()

    async def send(self, socket: WebSocket, event: Event) -> None:
        """Write one event to one socket; the subclass knows how."""
        raise TypeError(f"{type(self).__name__} does not say how an event is written")

    def tell(self, label: str, payload: Any) -> None:
        """Owe one event; returns at once. Without any socket it waits for the first."""
        event = Event(label, payload)
        self.events.append(event)
        self.owner.spawn(self._deliver(event))

    def arrived(self, id: str, socket: WebSocket) -> None:
        """A client is connected."""
        self.open[id] = socket
        self._arrived.set()

    def left(self, id: str) -> None:
        self.open.pop(id, None)

    def confirm(self, event: Event) -> None:
        """A client took the event; it does not come again."""
        event.state = "acknowledged"
        event.confirmed.set()

    async def _deliver(self, event: Event) -> None:
        if self.owner.faults.delay_push:
            await self.owner.pause(self.owner.faults.delay_push)
        for delay in (*self.retries, None):
            while not self.open:
                self._arrived.clear()
                await self._arrived.wait()
            event.tries += 1
            socket = self.owner.dice.choice(list(self.open.values()))
            twice = self.owner.dice.random() < self.owner.faults.duplicate_rate
            for _ in range(self.owner.faults.duplicate_push if twice else 1):
                with contextlib.suppress(*Lost):
                    await self.send(socket, event)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.confirmed.wait(), self.deadline)
            if delay is not None and not event.confirmed.is_set():
                await self.owner.pause(delay)
            if event.confirmed.is_set():
                return
        event.state = "given_up"

    async def close(self, code: int = 1001) -> int:
        """End every socket; how many there were."""
        sockets, self.open = list(self.open.values()), {}
        for socket in sockets:
            await asyncio.gather(socket.close(code), return_exceptions=True)
        return len(sockets)

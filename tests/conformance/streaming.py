"""What tests of long connections share: a stream at work, a wire that breaks, and waiting for what comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from connectors.core import model

Run = Callable[[model.Connection, Any, asyncio.Event], Awaitable[None]]
"""``run`` of a connector's ``stream.py``."""


@contextlib.asynccontextmanager
async def receiving(run: Run, connection: model.Connection, accept: Any) -> AsyncIterator[asyncio.Task[None]]:
    """The stream at work; stopping it must be quick and must raise nothing."""
    stopped = asyncio.Event()
    task = asyncio.ensure_future(run(connection, accept, stopped))
    try:
        yield task
    finally:
        stopped.set()
        await asyncio.wait_for(task, 5)


async def nothing(message: bytes) -> None:
    raise AssertionError("nothing may come")


class Wire:
    """A TCP relay whose connections break without a goodbye."""

    def __init__(self) -> None:
        self.url = ""
        self.made = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def relay(self, near: tuple[asyncio.StreamReader, asyncio.StreamWriter], host: str, port: int) -> None:
        far = await asyncio.open_connection(host, port)
        self.made += 1
        self._writers |= {near[1], far[1]}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(near[0], far[1]))
                both.create_task(_pump(far[0], near[1]))
        finally:
            self._writers -= {near[1], far[1]}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def wire(url: str) -> AsyncIterator[Wire]:
    """A relay in front of the simulator at ``url``."""
    target, made = urlsplit(url), Wire()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await made.relay((reader, writer), str(target.hostname), int(target.port or 80))

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await server.wait_closed()


async def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until ``condition()`` holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)

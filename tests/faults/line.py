"""A line on unix sockets between the hub and a server it needs, which a trial slows down, makes deaf or cuts."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path


class Line:
    """Listens on ``here`` and passes everything on to ``there``; both are sockets' paths."""

    def __init__(self, here: Path, there: Path) -> None:
        self.here, self.there = here, there
        self.delay = 0.0
        """Seconds by which every piece of an answer comes later."""
        self._through = asyncio.Event()
        """Cleared: what is connected stays so, new lines are taken, and nothing goes through."""
        self._through.set()
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def up(self) -> None:
        """Listens; the socket may be used by every user of this machine."""
        self.here.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.here))
        self.here.chmod(0o777)

    async def down(self) -> None:
        """Nobody listens any more, and what was open is cut."""
        if self._server is not None:
            self._server.close()
            self.cut()
            self._through.set()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None
            self.here.unlink(missing_ok=True)

    def cut(self) -> None:
        """Every open line breaks."""
        for one in list(self._ends):
            one.transport.abort()

    def hold(self) -> None:
        """Deaf from now on."""
        self._through.clear()

    def free(self) -> None:
        """What waited goes through."""
        self._through.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._through.wait()
            far_reader, far_writer = await asyncio.open_unix_connection(str(self.there))
        except OSError:
            writer.transport.abort()
            return
        self._ends |= {writer, far_writer}
        try:
            ways = [self._pass(reader, far_writer, 0.0), self._pass(far_reader, writer, 1.0)]
            _, rest = await asyncio.wait(map(asyncio.ensure_future, ways), return_when=asyncio.FIRST_COMPLETED)
            for way in rest:
                way.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
        finally:
            self._ends -= {writer, far_writer}
            for one in (writer, far_writer):
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, share: float) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                await self._through.wait()
                if self.delay and share:
                    await asyncio.sleep(self.delay * share)
                writer.write(piece)
                await writer.drain()

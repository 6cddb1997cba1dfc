"""Long connections (streams): one supervised task per connection, led by one process at a time.

The connector's ``stream.py`` speaks the protocol; what it takes in goes through the same appender as a
hook, and it acknowledges a frame only after ``accept`` returned, that is after the commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from connectors.core import decode, errors, model, registry, scope
from retry_queue import append, rest
from retry_queue.ledger import connections, cursors, session
from retry_queue.ledger.states import ConnectionState
from webhooks import receive

LEASE = 15.0
BEAT = 5.0
RESTART = 2.0

log = structlog.get_logger()


class Streams:
    """Keeps every declared stream of every enabled connection running."""

    def __init__(
        self,
        ledger: session.Ledger,
        doors: Callable[[], Iterable[receive.Door]],
        appender: append.Appender,
    ) -> None:
        self._ledger = ledger
        self._doors = doors
        self._appender = appender
        self._running: dict[tuple[str, str], tuple[asyncio.Task[None], asyncio.Event, model.Connection]] = {}

    async def run(self, stopped: asyncio.Event) -> None:
        """Starts and stops streams as the configuration says, until ``stopped``."""
        while not stopped.is_set():
            wanted = dict(self._wanted())
            for place, (task, halt, connection) in list(self._running.items()):
                if task.done():
                    self._running.pop(place)
                elif wanted.get(place) != connection:
                    halt.set()
            for place, connection in wanted.items():
                if place not in self._running:
                    halt = asyncio.Event()
                    task = asyncio.create_task(self._lead(connection, place[1], halt), name=f"stream {place[0]}")
                    self._running[place] = (task, halt, connection)
            await rest.until(stopped, 1.0)
        for _, halt, _ in self._running.values():
            halt.set()
        tasks = [task for task, _, _ in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=5.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _wanted(self) -> Iterable[tuple[tuple[str, str], model.Connection]]:
        for door in self._doors():
            if door.state is not ConnectionState.ENABLED or door.opened is None:
                continue
            for name, source in scope.open_sources(door.opened).items():
                if source.door == "stream":
                    yield (door.key, name), door.opened

    async def _lead(self, connection: model.Connection, name: str, halt: asyncio.Event) -> None:
        """Runs the stream while this process holds its lease."""
        place = f"stream:{name}"
        try:
            async with self._ledger.write() as db:
                held = await cursors.claim(db, connection.key, place, self._ledger.owner, LEASE)
            if held is None:
                await rest.until(halt, BEAT)
                return
            beat = asyncio.create_task(self._beat(connection.key, place, held.fence, halt))
            try:
                await self._speak(connection, name, halt)
            finally:
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
                async with self._ledger.write() as db:
                    await cursors.move(db, connection.key, place, held.fence, None, 0.0, 0)
        except session.LedgerUnavailable as error:
            log.warning("stream.waiting", connection=connection.key, error=str(error))
            await rest.until(halt, RESTART)

    async def _beat(self, key: str, place: str, fence: int, halt: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(BEAT)
            try:
                async with self._ledger.write() as db:
                    if not await cursors.keep(db, key, place, fence, None, LEASE):
                        halt.set()
            except session.LedgerUnavailable:
                halt.set()

    async def _speak(self, connection: model.Connection, name: str, halt: asyncio.Event) -> None:
        module = registry.stream(connection.declaration.id)
        if module is None:
            log.error("stream.undeclared", connection=connection.key)
            await rest.until(halt, 60.0)
            return

        async def accept(payload: bytes) -> None:
            found = decode.events(connection.declaration, name, payload, connection)
            await self._appender.append([append.new_event(connection, name, one) for one in found])

        try:
            await module.run(connection, accept, halt)
        except errors.CredentialRefused as error:
            await self._refused(connection, error)
        except Exception:
            log.exception("stream.failed", connection=connection.key)
            await rest.until(halt, RESTART)

    async def _refused(self, connection: model.Connection, error: errors.CredentialRefused) -> None:
        """The connection waits for a person, as it does when a call is refused."""
        words = {
            "code": "credential",
            "zh": error.hint.get("zh") or "长连接被拒绝，请在连接页重新授权",
            "en": error.hint.get("en") or "the long connection was refused; authorise the connection again",
        }
        async with self._ledger.write() as db:
            if await connections.refuse(db, connection.key, words, connection.proof):
                log.warning("connection.needs_auth", connection=connection.key, code=error.code)

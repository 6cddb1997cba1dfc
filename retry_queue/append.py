"""The appender: many concurrent hand-ins, one commit (group commit).

Everything that waits while a commit is under way goes into the next one. A caller returns only when
its events are durable, so an acknowledgement is never false.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import model
from retry_queue import tracing
from retry_queue.ledger import inbox, quarantine, session, tallies

MAX_BATCH = 500
MAX_WAITING = 5000
"""Hand-ins waiting for a commit before new ones are refused (503): memory stays bounded."""

log = structlog.get_logger()

Waiting = tuple[Sequence[inbox.NewEvent], asyncio.Future[list[int | None]]]
"""A hand-in and what its caller waits for."""

Refusal = tuple[str, str, str, str]
"""(connection, reason, detail, excerpt)."""


class Overloaded(session.LedgerUnavailable):
    """More is waiting to be written than the ledger can take right now."""


class Switched(session.LedgerUnavailable):
    """The connection went over to a simulator, or came back, since this was read: it belongs to the other one."""


class Appender:
    """Writes hand-ins in groups. One per process; ``woken`` is called after each commit with new events."""

    def __init__(self, ledger: session.Ledger, woken: Callable[[], None]) -> None:
        self._ledger = ledger
        self._woken = woken
        self._waiting: deque[Waiting] = deque()
        self._committing = False
        self._refused: list[Refusal] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._heard = 0.0

    @property
    def calm(self) -> float:
        """Seconds since somebody handed something in; 0 while that is not written."""
        return 0.0 if self._waiting or self._committing else asyncio.get_running_loop().time() - self._heard

    async def append(self, events: Sequence[inbox.NewEvent], caller: str = "") -> list[int | None]:
        """Makes events durable; returns new ids, None for each that was there already.

        ``caller``: the W3C ``traceparent`` of whoever handed them in. Raises LedgerUnavailable when they are not
        durable: the caller must not acknowledge.
        """
        if not events:
            return []
        begun = time.time()
        made = await self._join(events)
        if tracing.on():
            for event, number in zip(events, made, strict=True):
                if number is not None:
                    tracing.tell(_span(event, begun, caller))
        return made

    async def _join(self, events: Sequence[inbox.NewEvent]) -> list[int | None]:
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded("too many hand-ins are waiting for the ledger")
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        future: asyncio.Future[list[int | None]] = loop.create_future()
        self._waiting.append((events, future))
        self._start()
        self._bell.set()
        return await future

    def refuse(self, connection_key: str, reason: str, detail: str, excerpt: str) -> None:
        """Notes a refused call; written with the next commit, dropped when the ledger is away."""
        self._counts[(connection_key, f"rejected.{reason}")] += 1
        if len(self._refused) < 200:
            self._refused.append((connection_key, reason, detail.replace("\x00", "\ufffd"), excerpt))
        self._start()
        self._bell.set()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="appender")

    async def _run(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            while self._waiting or self._refused:
                self._committing = True
                try:
                    await self._commit()
                finally:
                    self._committing = False

    async def _commit(self) -> None:
        group: list[Waiting] = []
        size = 0
        while self._waiting and size < MAX_BATCH:
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        refused, self._refused = self._refused, []
        counts, self._counts = self._counts, Counter()
        try:
            await self._write(group, refused, counts)
        except session.LedgerUnavailable as error:
            _refuse(group, error)
        except Exception:
            log.exception("append.refused", handins=len(group), refusals=len(refused))
            for one in group:  # alone, so that what the database refuses spoils nobody else's
                if one[1].done():
                    continue
                try:
                    await self._write([one], [], Counter())
                except Exception as error:  # noqa: BLE001 - its sender is told, whatever it is
                    _refuse([one], error)

    async def _write(self, group: list[Waiting], refused: list[Refusal], counts: Counter[tuple[str, str]]) -> None:
        """One transaction where only one can write at a time; else one for what is new, and one for what is not."""
        flat = [event for events, _ in group for event in events]
        past = bool(flat) and all(event.priority >= inbox.BACKFILL for event in flat)
        slot = self._ledger.slot
        if self._ledger.single:
            async with self._ledger.write(patient=past) as connection:
                ids = await inbox.append(connection, flat, slot)
                gone = await self._known(connection, flat, ids, refused, counts)
            self._ring(ids)
        else:
            gone = set()
            ids = []
            if flat:
                async with self._ledger.loose() as connection:
                    ids = await inbox.append(connection, flat, slot)
                self._ring(ids)
            if None in ids or refused or counts:
                _answer([(one, own) for one, own in _shares(group, ids) if None not in own], gone)
                async with self._ledger.write() as connection:
                    gone = await self._known(connection, flat, ids, refused, counts)
        _answer(_shares(group, ids), gone)

    def _ring(self, ids: Sequence[int | None]) -> None:
        if any(made is not None for made in ids):
            self._woken()

    async def _known(
        self,
        connection: AsyncConnection,
        flat: Sequence[inbox.NewEvent],
        ids: Sequence[int | None],
        refused: list[Refusal],
        counts: Counter[tuple[str, str]],
    ) -> set[str]:
        """Counts what was there already and keeps what was refused; returns the connections that were switched."""
        here = [event for event, made in zip(flat, ids, strict=True) if made is None]
        told = [event for event in here if not event.reread]
        gone = await inbox.switched(connection, told) if told else set()
        for event in here:
            if event.connection_key in gone:
                continue
            counts[(event.connection_key, "reread" if event.reread else "duplicate")] += 1
            if not event.reread:
                counts[(event.connection_key, "received")] += 1
        await tallies.add(connection, self._ledger.slot, counts)
        await quarantine.add(connection, refused)
        return gone

    async def close(self) -> None:
        """Writes what waits, then stops."""
        while self._waiting or self._refused or self._committing:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _span(event: inbox.NewEvent, begun: float, caller: str) -> tracing.Span:
    above = tracing.told(caller)
    told = {"shuniu.connection": event.connection_key, "shuniu.source": event.source, "shuniu.message": event.message}
    return tracing.Span(
        "event", "server", event.trace, tracing.root(event.trace), begun, time.time() - begun,
        attributes=told, links=(above,) if above else (),
    )  # fmt: skip


def _shares(group: list[Waiting], ids: Sequence[int | None]) -> Iterator[tuple[Waiting, Sequence[int | None]]]:
    """Each hand-in with the ids that are its own."""
    at = 0
    for one in group:
        begin, at = at, at + len(one[0])
        yield one, ids[begin:at]


def _answer(shares: Iterable[tuple[Waiting, Sequence[int | None]]], gone: set[str]) -> None:
    """Tells whoever still waits what became of the hand-in."""
    for (events, future), own in shares:
        if future.done():
            continue
        if lost := {event.connection_key for event in events} & gone:
            future.set_exception(Switched(f"{min(lost)} went over to another system"))
        else:
            future.set_result(list(own))


def _refuse(group: list[Waiting], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)


def new_event(
    connection: model.Connection, source: str, found: model.SourceEvent, *, reread: bool = False
) -> inbox.NewEvent:
    """A source event, read with this connection, as the inbox takes it.

    Its trace follows from what it is: told again to a ledger that was put back or made anew, it leads to the same
    idempotency keys.
    """
    key, dedupe = connection.key, _fit(found.dedupe, 120)
    return inbox.NewEvent(
        connection_key=key,
        source=source,
        message=found.message,
        entity=found.entity,
        record=_fit(found.record, 200) if found.record else None,
        dedupe=dedupe,
        payload=found.payload.decode(),
        occurred_at=found.occurred_at.timestamp() if found.occurred_at else None,
        trace=hashlib.sha256(f"{key}\x00{dedupe}".encode()).hexdigest()[:32],
        priority=inbox.FAST if found.fast else inbox.LIVE,
        reread=reread,
        switches=connection.switches,
    )


def _fit(text: str, limit: int) -> str:
    """``text`` as a column of ``limit`` characters takes it, still telling it from others."""
    if len(text) <= limit and "\x00" not in text:
        return text
    return f"{text[: limit - 65]}~{hashlib.sha256(text.encode()).hexdigest()}".replace("\x00", "\ufffd")

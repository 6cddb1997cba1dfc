"""Accepting a call: verify > decrypt > dedupe key > durable > reply. Fails closed at every step.

``accept`` returns only after the commit, so an acknowledgement is never false; it never waits for
Redis, a vendor or a mapping.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from connectors.core import declaration, decode, errors, model, reply, scope, tracing, verify
from retry_queue import append
from retry_queue.ledger import inbox, session
from retry_queue.ledger.states import ConnectionState

EXCERPT = 2000
REFRESH = 0.2
ANSWER_SECONDS = 4.0
"""How long a sender waits for the ledger. The impatient ones hang up after five seconds and know nothing then; told
in time that it was not stored they come again, and if it was all the same they bring a duplicate."""
_LONG_DIGITS = re.compile(r"\d{7,}")


class Door(Protocol):
    """What ingress needs to know of a connection."""

    @property
    def key(self) -> str: ...
    @property
    def connector(self) -> str: ...
    @property
    def state(self) -> ConnectionState: ...
    @property
    def opened(self) -> model.Connection | None: ...


class UnknownDoor(Exception):
    """No connection of that key takes hooks."""


class ShutDoor(Exception):
    """A connection that takes hooks, but cannot be opened here and now: the sender is asked to come again."""


class Receiver:
    """Accepts hooks. ``door`` looks a connection up by its key, in memory."""

    def __init__(
        self,
        door: Callable[[str], Door | None],
        appender: append.Appender,
        clock: Callable[[], float] = time.time,
        refresh: Callable[[], Awaitable[None]] | None = None,
        formers: Callable[[str], Sequence[tuple[float, model.Connection]]] = lambda _key: (),
    ) -> None:
        """``refresh`` looks for a newer configuration; asked at most every ``REFRESH`` seconds.

        ``formers`` gives a connection with the secrets it had before, and until when they are taken too.
        """
        self._door = door
        self._appender = appender
        self._clock = clock
        self._refresh = refresh
        self._refreshed = 0.0
        self._formers = formers

    def door(self, key: str) -> Door:
        """The connection behind a hook address; raises UnknownDoor or ShutDoor."""
        found = self._door(key)
        if found is None or found.state is ConnectionState.DISABLED:
            raise UnknownDoor(key)
        if found.opened is None:
            raise ShutDoor(key)
        if not self._hooks(found.opened):
            raise UnknownDoor(key)
        return found

    async def fresh_door(self, key: str) -> Door:
        """Like ``door``, but a connection made a moment ago by another process is found too."""
        try:
            return self.door(key)
        except UnknownDoor:
            now = self._clock()
            if self._refresh is None or now - self._refreshed < REFRESH:
                raise
            self._refreshed = now
            await self._refresh()
            return self.door(key)

    def _hooks(self, connection: model.Connection) -> dict[str, declaration.EventSource]:
        return {name: one for name, one in scope.open_sources(connection).items() if one.door == "hook"}

    async def accept(self, door: Door, hook: model.RawHook) -> model.HookReply:
        """Takes one call in and gives the exact reply.

        Raises HookRefused (kept in quarantine), decode.Malformed (likewise) or LedgerUnavailable (nothing
        was written: the sender must try again).
        """
        connection = door.opened
        if connection is None:
            raise UnknownDoor(door.key)
        now = self._clock()
        try:
            connection, name, source, verified = self._proven(connection, hook, now)
            if verified.handshake is None:
                found = decode.events(connection.declaration, name, verified.plaintext, connection, verified)
                made = [append.new_event(connection, name, one) for one in found]
                await self._stored(made, hook.headers.get(tracing.HEADER, ""))
            return reply.reply(connection, source, verified, now)
        except errors.HookRefused as error:
            self._appender.refuse(door.key, error.reason, error.detail, excerpt(hook.body))
            raise
        except decode.Malformed as error:
            self._appender.refuse(door.key, "malformed", str(error), excerpt(hook.body))
            raise

    async def _stored(self, events: Sequence[inbox.NewEvent], caller: str) -> None:
        """Returns when the events are durable; raises LedgerUnavailable when that takes too long to be waited for."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._appender.append(events, caller)
        except TimeoutError:
            raise session.LedgerUnavailable(f"not stored within {ANSWER_SECONDS:g} s") from None

    def refusal(self, door: Door) -> model.HookReply | None:
        """How this system wants to hear that its call was refused; None: in our own words."""
        sources = self._hooks(door.opened).values() if door.opened is not None else ()
        return next((found for one in sources if (found := reply.refusal(one)) is not None), None)

    def _proven(
        self, connection: model.Connection, hook: model.RawHook, now: float
    ) -> tuple[model.Connection, str, declaration.EventSource, model.VerifiedHook]:
        """The call as proven, and the connection with the secrets it was proven with: the answer uses them too."""
        try:
            return connection, *self._verified(connection, hook, now)
        except errors.HookRefused:
            for until, before in self._formers(connection.key):
                if until > now:
                    try:
                        return before, *self._verified(before, hook, now)
                    except errors.HookRefused:
                        continue
            raise

    def _verified(
        self, connection: model.Connection, hook: model.RawHook, now: float
    ) -> tuple[str, declaration.EventSource, model.VerifiedHook]:
        """The first open hook whose proof holds; the refusal of the last one otherwise."""
        refusal = errors.HookRefused("misconfigured", "no open hook")
        for name, source in self._hooks(connection).items():
            if source.verify is None:
                continue
            try:
                return name, source, verify.verify(hook, connection, source.verify, now)
            except errors.HookRefused as error:
                refusal = error
        raise refusal


def excerpt(body: bytes) -> str:
    """The head of a refused body for people, long digit runs (phones, cards, ids) masked."""
    text = body[:EXCERPT].decode("utf-8", "replace").replace("\x00", "�")
    return _LONG_DIGITS.sub(lambda found: "*" * (len(found.group()) - 3) + found.group()[-3:], text)

"""Staying under the limits a system declares."""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Protocol

from connectors.core import declaration, errors, model, paths, scope, template

MOST = 100
"""Receivers of one call that are counted; who writes to more at once writes to everybody."""
PATIENCE = 10.0
"""Seconds a call may wait for its turn before it is given back as Throttled."""


class Pacer(Protocol):
    """Decides when a call may go out; one instance may stand for all workers."""

    async def acquire(
        self, connection: model.Connection, operation: str, given: Mapping[str, Any] | None = None
    ) -> None:
        """Wait for the turn of this call with this input, or raise errors.Throttled with the seconds to wait."""

    def banned(self, connection: model.Connection, seconds: float, scope: str = "shop") -> Awaitable[None] | None:
        """The system sent us away: nothing goes out on this connection (its app, this address) for ``seconds``."""

    def throttled(self, connection: model.Connection, operation: str, seconds: float) -> Awaitable[None] | None:
        """The system asked us to slow down: no call like this one should start within ``seconds``."""


class LocalPacer:
    """A Pacer for one process: in any stretch of ``per`` seconds at most ``limit`` calls start."""

    def __init__(
        self,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._patience, self._clock, self._sleep = patience, clock, sleep
        self._starts: dict[str, list[float]] = {}
        self._bans: dict[str, float] = {}

    async def acquire(
        self, connection: model.Connection, operation: str, given: Mapping[str, Any] | None = None
    ) -> None:
        now = self._clock()
        self._refuse_banned(connection, now)
        limits = limits_of(connection, operation, given)
        start = now
        for key, limit in limits:
            start = max(start, self._earliest(key, limit, now))
        if start - now > self._patience:
            raise used_up(operation, start - now)
        for key, _ in limits:
            bisect.insort(self._starts[key], start)
        if start > now:
            await self._sleep(start - now)
            self._refuse_banned(connection, self._clock())

    def _earliest(self, key: str, limit: declaration.PacingScope, now: float) -> float:
        starts = self._starts.setdefault(key, [])
        old = bisect.bisect_right(starts, now - limit.per)
        if old:
            del starts[:old]
        return max(now, starts[-limit.limit] + limit.per) if len(starts) >= limit.limit else now

    def _refuse_banned(self, connection: model.Connection, now: float) -> None:
        until = max(self._bans.get(key, 0.0) for key in ban_keys(connection))
        if until > now:
            raise refused(until - now)

    def banned(self, connection: model.Connection, seconds: float, scope: str = "shop") -> None:
        """Nothing goes out for ``seconds``; a longer ban already known stays."""
        key = ban_key(connection, scope)
        self._bans[key] = max(self._clock() + seconds, self._bans.get(key, 0.0))

    def throttled(self, connection: model.Connection, operation: str, seconds: float) -> None:
        """Each caller was told how long to wait; a process that works alone has nobody else to tell."""


def limits_of(
    connection: model.Connection, operation: str, given: Mapping[str, Any] | None = None
) -> list[tuple[str, declaration.PacingScope]]:
    """The declared limits that a call of this operation, with this input, counts for, each with its key."""
    found = []
    for limit in connection.declaration.pacing.scopes:
        if limit.operations and not any(fnmatchcase(operation, pattern) for pattern in limit.operations):
            continue
        key = key_of(connection, limit, operation)
        if limit.scope == "receiver":
            named = {one for path in limit.receivers for one in template.names_in(paths.get(given or {}, path))}
            found += [(f"{key}>{one}", limit) for one in sorted(named)[:MOST]]
        else:
            found.append((key, limit))
    return found


def refused(seconds: float) -> errors.Throttled:
    """The error of a call that a ban keeps back."""
    return errors.Throttled(
        "banned by the system",
        retry_after=seconds,
        banned=True,
        hint={"zh": "对方系统暂时禁止调用，到时自动恢复", "en": "The system banned us; goes on when it is over"},
    )


def used_up(operation: str, seconds: float) -> errors.Throttled:
    """The error of a call whose turn is too far away to wait for."""
    return errors.Throttled(
        f"{operation}: the declared limit is used up",
        retry_after=seconds,
        operation=operation,
        hint={
            "zh": "已达到该系统声明的调用上限，稍后自动继续",
            "en": "The declared call limit is used up; goes on by itself",
        },
    )


def ban_key(connection: model.Connection, scope: str) -> str:
    """What one ban is for: the same key, the same ban."""
    for limit in connection.declaration.pacing.scopes:
        if scope in ("app", "ip") and limit.scope == scope:
            return f"{scope}:{key_of(connection, limit, '')}"
    return f"ip:{connection.declaration.id}" if scope == "ip" else f"shop:{connection.key}"


def ban_keys(connection: model.Connection) -> tuple[str, ...]:
    """Every ban that would concern a connection."""
    kept: tuple[str, ...] | None = connection.memo.get("bans")
    if kept is None:
        kept = connection.memo["bans"] = tuple(ban_key(connection, scope) for scope in ("shop", "app", "ip"))
    return kept


def key_of(connection: model.Connection, limit: declaration.PacingScope, operation: str) -> str:
    """What shares one limit: the same key, the same bucket."""
    spec = connection.declaration
    index = spec.pacing.scopes.index(limit)
    if limit.by is not None:
        whose = f"={scope.settings(connection).get(limit.by, connection.key)}"
    else:
        whose = "" if limit.scope == "ip" else f"@{connection.key}"
    what = operation if limit.scope == "method" else ""
    return f"{spec.id}{whose}/{limit.scope}{index}/{what}"

"""Breakers 熔断 as stored: which target, or which operation of it, must not be called for now, and since when.

A row is there only while there is something to remember: failures that are being counted, an open breaker, a ban,
a recovery under way. ``operation`` is empty for the whole connection. Every change holds the row, so all processes
count into one state; ``token`` gives the right to one probe to one process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

CLOSED, OPEN, HALF_OPEN, RAMPING = "closed", "open", "half_open", "ramping"
SHUT = (OPEN, HALF_OPEN)
"""States in which only a probe may go out."""
NEVER = 1e11
"""In place of a time: no probe by itself, a person closes it."""
LOST = 90.0
"""Seconds after which a probe that nobody settled is given up; longer than any call."""

Place = tuple[str, str]
"""(connection, operation); the operation is empty for all of them."""

_COLUMNS = "connection_key, operation, state, since, streak, streak_at, good, bad, window_at, next_probe_at, reason, by"
_HOLD = sql.Statement(
    f"""
    INSERT INTO breakers (connection_key, operation, state, since, streak, streak_at, good, bad, window_at,
                          next_probe_at)
    SELECT connection_key, operation, 'closed', {{now}}, 0, {{now}}, 0, 0, {{now}}, 0 FROM {{src}} {{more}}
    ON CONFLICT (connection_key, operation) DO UPDATE SET state = breakers.state
    RETURNING {_COLUMNS}, {{now}} AS now
    """,
    "connection_key text, operation text",
)
_WRITE = sql.Statement(
    """
    UPDATE breakers SET state = src.state, since = src.since, streak = src.streak, streak_at = src.streak_at,
        good = src.good, bad = src.bad, window_at = src.window_at, next_probe_at = src.next_probe_at,
        reason = src.reason, by = src.person, prober = NULL
    FROM {src} WHERE breakers.connection_key = src.connection_key AND breakers.operation = src.operation
    """,
    "connection_key text, operation text, state text, since float, streak int, streak_at float, good int, bad int,"
    " window_at float, next_probe_at float, reason text, person text",
)
_DROP = sql.Statement(
    """
    DELETE FROM breakers WHERE EXISTS (SELECT 1 FROM {src} WHERE src.connection_key = breakers.connection_key
        AND src.operation = breakers.operation)
    """,
    "connection_key text, operation text",
)
_TOKEN = sql.Statement(
    f"""
    UPDATE breakers SET state = 'half_open', prober = {{3}}, next_probe_at = {{now}} + {{4}}
    WHERE connection_key = {{1}} AND operation = {{2}}
      AND (state = 'open' AND next_probe_at <= {{now}} OR state = 'half_open' AND next_probe_at <= {{now}} - {LOST})
    RETURNING connection_key
    """
)
_RETURN = sql.Statement(
    """
    UPDATE breakers SET state = 'open', prober = NULL, next_probe_at = {now}
    WHERE connection_key = {1} AND operation = {2} AND state = 'half_open' AND prober = {3}
    """
)
_RELEASE = sql.Statement(
    """
    UPDATE breakers SET state = 'open', prober = NULL FROM {src}
    WHERE breakers.state = 'half_open' AND breakers.prober = src.owner
    """,
    "owner text",
)
_TIDY = sql.Statement(
    "DELETE FROM breakers WHERE state = 'closed' AND window_at < {now} - {1} AND streak_at < {now} - {2}"
    " OR state = 'ramping' AND since < {now} - {1}"
)
_FORGET = sql.Statement("DELETE FROM breakers WHERE connection_key = {1}")
_ALL = sql.Statement(f"SELECT {_COLUMNS}, {{now}} AS now FROM breakers ORDER BY connection_key, operation")


@dataclass(frozen=True, slots=True)
class Row:
    """One breaker. Times are Unix seconds by the database's clock; ``reason`` is {zh, en, code} or None."""

    connection_key: str
    operation: str
    state: str
    since: float
    streak: int = 0
    """Failures in a row, the first of them at ``streak_at``."""
    streak_at: float = 0.0
    good: int = 0
    bad: int = 0
    """Calls since ``window_at``."""
    window_at: float = 0.0
    next_probe_at: float = 0.0
    reason: dict[str, str] | None = None
    by: str | None = None
    """The person who opened it."""

    @property
    def place(self) -> Place:
        return self.connection_key, self.operation

    @property
    def shut(self) -> bool:
        """Nothing but a probe may go out."""
        return self.state in SHUT


def _row(found: Any) -> Row:
    values = list(found[:12])
    values[10] = json.loads(values[10]) if values[10] else None
    return Row(*values)


async def every(connection: AsyncConnection) -> tuple[dict[Place, Row], float | None]:
    """All of them (few, because a healthy system has none) and the database's time, which is None without any."""
    found = await _ALL.run(connection)
    return {row.place: row for row in map(_row, found)}, float(found[0].now) if found else None


async def hold(connection: AsyncConnection, places: Iterable[Place]) -> tuple[dict[Place, Row], float]:
    """Locks these (made as closed where they are not there); returns them and the database's time."""
    found = await _HOLD.run(connection, sorted(set(places)))
    return {row.place: row for row in map(_row, found)}, float(found[0].now) if found else 0.0


async def write(connection: AsyncConnection, rows: Sequence[Row], gone: Sequence[Place]) -> None:
    """Writes what was decided about rows that are held; ``gone`` have nothing to remember any more."""
    await _WRITE.run(
        connection,
        [
            (
                r.connection_key, r.operation, r.state, r.since, r.streak, r.streak_at, r.good, r.bad, r.window_at,
                r.next_probe_at, json.dumps(r.reason, ensure_ascii=False) if r.reason else None, r.by,
            )
            for r in rows
        ],
    )  # fmt: skip
    await _DROP.run(connection, list(gone))


async def token(connection: AsyncConnection, place: Place, owner: str, period: float) -> bool:
    """Takes the right to one probe; the next one is due ``period`` seconds from now. False: not due, or taken."""
    return bool(await _TOKEN.run(connection, (), *place, owner, period))


async def untoken(connection: AsyncConnection, place: Place, owner: str) -> None:
    """Gives the right back: there was nothing to probe with."""
    await _RETURN.run(connection, (), *place, owner)


async def release(connection: AsyncConnection, owners: Sequence[str]) -> None:
    """Ends the probes of dead processes; the next one comes at its time."""
    await _RELEASE.run(connection, [(owner,) for owner in owners])


async def tidy(connection: AsyncConnection, seconds: float, streak: float) -> None:
    """Forgets counts and recoveries that are over for so long, and failures in a row begun ``streak`` ago."""
    await _TIDY.run(connection, (), seconds, streak)


async def forget(connection: AsyncConnection, connection_key: str) -> None:
    """Forgets everything about a connection that is gone."""
    await _FORGET.run(connection, (), connection_key)

"""Turns and bans kept in the ledger: the limits that all workers share while Redis is away, and every ban.

A turn is the moment at which the next call of a limit may start; calls are spaced evenly, so that no stretch of
time holds more than the limit. A ban holds until it is over, whatever becomes of Redis.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

_TAKE = sql.Statement(
    """
    INSERT INTO paces (key, next_at, kind) SELECT key, {now} + step, 'turn' FROM {src} {more}
    ON CONFLICT (key) DO UPDATE SET next_at = excluded.next_at
        + CASE WHEN paces.next_at > {now} THEN paces.next_at - {now} ELSE 0 END
    WHERE paces.next_at <= {now} + {1}
    RETURNING key, next_at - {now} AS last
    """,
    "key text, step float",
)
_BAN = sql.Statement(
    """
    INSERT INTO paces (key, next_at, kind, connection_key) VALUES ({1}, {now} + {2}, 'ban', {3})
    ON CONFLICT (key) DO UPDATE SET
        next_at = CASE WHEN excluded.next_at > paces.next_at THEN excluded.next_at ELSE paces.next_at END
    """
)
_BANS = sql.Statement("SELECT key, next_at - {now} AS left_over FROM paces WHERE kind = 'ban' AND next_at > {now}")
_TIDY = sql.Statement("DELETE FROM paces WHERE next_at < {now} - 60 AND kind = 'ban'")
_FORGET = sql.Statement("DELETE FROM paces WHERE next_at < {now} - 3600 AND kind = 'turn'")


async def take(
    connection: AsyncConnection, wanted: Sequence[tuple[str, int, float]], patience: float
) -> dict[str, float]:
    """Takes turns: (key, how many, seconds between two) -> key -> seconds until the first of them.

    A key whose next turn is further away than ``patience`` seconds is left as it is and not in the answer.
    """
    rows = await _TAKE.run(connection, [(key, n * apart) for key, n, apart in sorted(wanted)], patience)
    length = {key: n * apart for key, n, apart in wanted}
    return {row.key: max(float(row.last) - length[row.key], 0.0) for row in rows}


async def ban(connection: AsyncConnection, key: str, seconds: float, connection_key: str) -> None:
    """Keeps a ban; a longer one already known stays."""
    await _TIDY.run(connection)
    await _BAN.run(connection, (), key, seconds, connection_key)


async def forget(connection: AsyncConnection) -> None:
    """Turns long past say nothing any more; a limit per receiver leaves many."""
    await _FORGET.run(connection)


async def bans(connection: AsyncConnection) -> dict[str, float]:
    """Every ban that is not over -> seconds it still lasts."""
    return {row.key: float(row.left_over) for row in await _BANS.run(connection)}

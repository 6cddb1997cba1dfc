"""Shared tokens: sealed, and renewed by one process at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import secrets, sql

_GET = sql.Statement("SELECT value, expires_at, epoch FROM tokens WHERE key = {1}")
_LOCK = sql.Statement(
    """
    INSERT INTO tokens (key, expires_at, renewing_until, epoch) VALUES ({1}, 0, {now} + {3}, 0)
    ON CONFLICT (key) DO UPDATE SET renewing_until = excluded.renewing_until
    WHERE tokens.renewing_until < {now} AND tokens.epoch = {2}
    RETURNING epoch
    """
)
_PUT = sql.Statement(
    """
    UPDATE tokens SET value = {3}, expires_at = {4}, renewing_until = 0, epoch = epoch + 1
    WHERE key = {1} AND epoch = {2} RETURNING epoch
    """
)
_CARRY = sql.Statement(
    "UPDATE tokens SET value = {2} WHERE key = {1} AND expires_at = 0 AND renewing_until = 0 RETURNING epoch"
)
_UNLOCK = sql.Statement("UPDATE tokens SET renewing_until = 0 WHERE key = {1} AND epoch = {2}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A token as kept; ``value`` is in clear, ``expires_at`` Unix seconds, ``epoch`` grows per renewal."""

    value: str
    extra: dict[str, str]
    expires_at: float
    epoch: int


def place(key: str) -> str:
    """Where a token stands, for sealing."""
    return f"tokens/{key}/value"


async def get(connection: AsyncConnection, sealer: secrets.Sealer, key: str) -> Stored | None:
    """The token in force, if any."""
    rows = await _GET.run(connection, (), key)
    if not rows or not rows[0].value:
        return None
    data = json.loads(sealer.open(rows[0].value, place(key)))
    return Stored(data["value"], data["extra"], float(rows[0].expires_at), rows[0].epoch)


async def lock(connection: AsyncConnection, key: str, epoch: int, seconds: float) -> bool:
    """Takes the right to renew for so long; False when somebody else has it or did it already."""
    return bool(await _LOCK.run(connection, (), key, epoch, seconds))


async def put(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    key: str,
    epoch: int,
    value: str,
    extra: dict[str, str],
    expires_at: float,
) -> bool:
    """Stores a renewed token."""
    text = sealer.seal(json.dumps({"value": value, "extra": extra}), place(key))
    return bool(await _PUT.run(connection, (), key, epoch, text, expires_at))


async def carry(
    connection: AsyncConnection, sealer: secrets.Sealer, key: str, value: str, extra: dict[str, str]
) -> bool:
    """Keeps what a login brought that an edit of the connection overtook: ended, for what it carries.

    Nothing happens when somebody renewed or renews since.
    """
    text = sealer.seal(json.dumps({"value": value, "extra": extra}), place(key))
    return bool(await _CARRY.run(connection, (), key, text))


async def unlock(connection: AsyncConnection, key: str, epoch: int) -> None:
    """Gives the right to renew back after a failure."""
    await _UNLOCK.run(connection, (), key, epoch)

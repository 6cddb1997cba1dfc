"""The message queue by HTTP calls: take a batch, accept each message, confirm what was accepted.

For sites where a WebSocket cannot leave the network. What is not confirmed comes again; another seller's message
is left in the queue.
"""

from __future__ import annotations

import asyncio
from typing import Any

from connectors.core import channel, client, jsontext, model, scope

IDLE = 1.0
"""Seconds between two calls when the queue was empty; the vendor asks for 0.1 at least."""


def ours(user: Any, seller: str) -> bool:
    """Whether a message is for this connection's seller; without either id nobody can tell, and it is."""
    told = str(user or "")
    return not seller or not told or told == seller


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    async with client.alone() as calls:
        await channel.drain(lambda: _batch(calls, connection, accept), stopped, connection.key, IDLE)


async def _batch(calls: client.Client, connection: model.Connection, accept: channel.Accept) -> bool:
    """One batch; whether there was anything to confirm."""
    outcome = await calls.call(connection, "tmc.consume", {})
    seller = str(scope.settings(connection).get("seller_id") or "")
    rows: list[dict[str, Any]] = [row for row in outcome.data or [] if ours(row.get("user_id"), seller)]
    good = await asyncio.gather(*(channel.kept(jsontext.dumps(row), accept, connection.key) for row in rows))
    numbers = [str(row["id"]) for row, taken in zip(rows, good, strict=True) if taken]
    if not numbers:
        return False
    await calls.call(connection, "tmc.confirm", {"ids": ",".join(dict.fromkeys(numbers))})
    return True

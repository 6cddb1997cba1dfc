"""The message queue by HTTP calls: take a batch, accept each message, confirm what was accepted.

For sites where a WebSocket cannot leave the network. What is not confirmed comes again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from connectors.core import auth, channel, client, errors, jsontext, model, pacing

IDLE = 1.0
"""Seconds between two calls when the queue was empty; the vendor asks for 0.1 at least."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before calling again after an error, doubled each time."""

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
    delay = FIRST_DELAY
    try:
        while not stopped.is_set():
            try:
                wait = 0.0 if await _batch(calls, connection, accept) else IDLE
                delay = FIRST_DELAY
            except errors.ConnectorError as error:
                log.warning("tmc_call_failed", connection=connection.key, kind=error.kind, code=error.code)
                asked = error.retry_after if isinstance(error, errors.Throttled) else None
                wait, delay = asked or delay, min(LONGEST_DELAY, delay * 2)
            await channel.pause(stopped, wait)
    finally:
        await calls.aclose()


async def _batch(calls: client.Client, connection: model.Connection, accept: channel.Accept) -> bool:
    """One batch; whether there was anything to confirm."""
    outcome = await calls.call(connection, "tmc.consume", {})
    rows: list[dict[str, Any]] = outcome.data or []
    good = await asyncio.gather(*(channel.kept(jsontext.dumps(row), accept, connection.key) for row in rows))
    numbers = [str(row["id"]) for row, taken in zip(rows, good, strict=True) if taken]
    if not numbers:
        return False
    await calls.call(connection, "tmc.confirm", {"ids": ",".join(dict.fromkeys(numbers))})
    return True

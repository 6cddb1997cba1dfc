"""Keeps messages coming from the vendor's queue (JCQ) by HTTP: take a batch, accept each message, confirm the batch.

A batch is confirmed as a whole, and only after every message of it is durable; what is not confirmed comes again.
Faults of the network never leave this module.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import structlog

from connectors.core import auth, channel, client, errors, jsontext, model, pacing, scope

IDLE = 1.0
"""Seconds between two rounds when every queue was empty."""
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds before a topic is asked again after an error, doubled each time."""

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
    named = [name for name in re.split(r"[\s,]+", str(scope.settings(connection).get("jcq_topics") or "")) if name]
    try:
        readers = [asyncio.create_task(_read(calls, connection, topic, accept, stopped)) for topic in named]
        if not readers:
            log.warning("jcq_without_topics", connection=connection.key)
        await stopped.wait()
        await asyncio.gather(*readers)
    finally:
        await calls.aclose()


async def _read(
    calls: client.Client, connection: model.Connection, topic: str, accept: channel.Accept, stopped: asyncio.Event
) -> None:
    """One topic, batch by batch: a slow or forbidden one holds up no other."""
    delay = FIRST_DELAY
    while not stopped.is_set():
        try:
            wait = 0.0 if await _batch(calls, connection, topic, accept) else IDLE
            delay = FIRST_DELAY
        except errors.ConnectorError as error:
            log.warning("jcq_call_failed", connection=connection.key, kind=error.kind, code=error.code)
            asked = error.retry_after if isinstance(error, errors.Throttled) else None
            wait, delay = asked or delay, min(LONGEST_DELAY, delay * 2)
        await channel.pause(stopped, wait)


async def _batch(calls: client.Client, connection: model.Connection, topic: str, accept: channel.Accept) -> bool:
    """One batch; whether another may follow at once."""
    outcome = await calls.call(connection, "jcq.consume", {"topic": topic})
    (result,) = outcome.data or [{}]
    messages = result.get("messages") or []
    if not messages or not result.get("ackIndex"):
        return False
    taken = await asyncio.gather(*(channel.kept(row(topic, one), accept, connection.key) for one in messages))
    if not all(taken):
        # The batch comes again as a whole; what was kept of it is recognised by its messageId.
        return False
    await calls.call(connection, "jcq.ack", {"topic": topic, "ackIndex": result["ackIndex"]})
    return True


def row(topic: str, message: Any) -> bytes:
    """A message of a batch as JSON that names its topic."""
    return jsontext.dumps({"topic": topic, **(message if isinstance(message, dict) else {"messageBody": message})})

"""Keeps messages coming from the vendor's queue (JCQ) by HTTP: take a batch, accept each message, confirm the batch.

A batch is confirmed as a whole, and only after every message of it is durable; what is not confirmed comes again.
Faults of the network never leave this module.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

import structlog

from connectors.core import channel, client, jsontext, model, scope

IDLE = 1.0
"""Seconds between two rounds when every queue was empty."""

log = structlog.get_logger(__name__)


async def run(connection: model.Connection, accept: channel.Accept, stopped: asyncio.Event) -> None:
    """Receive until ``stopped`` is set. ``accept`` must return only when the message is durable."""
    topics = [name for name in re.split(r"[\s,]+", str(scope.settings(connection).get("jcq_topics") or "")) if name]
    if not topics:
        log.warning("jcq_without_topics", connection=connection.key)
    async with client.alone() as calls:
        # Each by itself: a slow or forbidden topic holds up no other.
        batches = [partial(_batch, calls, connection, topic, accept) for topic in topics]
        drains = [asyncio.create_task(channel.drain(one, stopped, connection.key, IDLE)) for one in batches]
        await stopped.wait()
        await asyncio.gather(*drains)


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

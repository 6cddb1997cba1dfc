"""Sending one message of an alert through a connection: any operation that takes messages, by its mapping."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import structlog

from connectors.core import client, declaration, errors
from mappings import errors as mapping_errors
from retry_queue.sync import alarm, alarm_words, flows, route, verdict
from retry_queue.sync import site as sites

DEADLINE = 50.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message did not get there. ``final``: another try would end the same; ``counts``: as a failure."""

    words: dict[str, str]
    final: bool = False
    counts: bool = True
    delay: float = 0.0


async def send(
    site: sites.Site, calls: client.Client, channel: alarm.Channel, body: dict[str, str], key: str, failures: int = 0
) -> Undelivered | None:
    """Sends one message; None when it was taken. Never raises for what a system or a mapping does."""
    live, operation = site.live.get(channel.connection), site.operation(channel.connection, channel.operation)
    if live is None or operation is None or not live.used:
        said = {"zh": f"连接 {channel.connection} 或它的接口操作已不可用", "en": "the channel is gone"}
        return Undelivered(said, final=True)
    if live.opened is None or not live.delivers:
        said = {"zh": f"连接 {channel.connection} 已暂停或等待授权", "en": "the connection is paused"}
        return Undelivered(live.problem or said)
    target = route.Target(connection=channel.connection, operation=channel.operation)
    meaning = site.meaning(live.connector, flows.mapping_name(target, operation, "message"))
    if meaning is None:
        said = {"zh": "没有把消息写入该系统的字段映射", "en": "there is no mapping of messages for this system"}
        return Undelivered(said, final=True)
    message = alarm_words.canonical(body, key, channel.recipients)
    try:
        native = meaning.mapping.to_native(message, {"config": dict(live.opened.config), "link": {}, "event": {}})
        async with asyncio.timeout(DEADLINE):
            await calls.call(live.opened, channel.operation, native)
    except (TimeoutError, errors.ConnectorError, mapping_errors.MappingError) as error:
        given = errors.OutcomeUnknown("no answer in time") if isinstance(error, TimeoutError) else error
        kind = declaration.Idempotency.KEY  # a message that comes twice is better than none
        ruling = verdict.of_error(given, failures=failures, idempotent=kind, jitter=random.random())
        final = isinstance(error, errors.Rejected | errors.Misdeclared | mapping_errors.MappingError)
        counts = not isinstance(error, errors.Throttled)
        return Undelivered(ruling.words, final=final, counts=counts, delay=0.0 if counts else ruling.delay)
    except Exception as error:
        log.exception("alerts.internal", connection=channel.connection)
        name = type(error).__name__
        return Undelivered({"zh": f"内部错误 {name}", "en": f"internal error {name}"}, final=True)
    return None

"""Alerts: who is told of what, through which channels. A channel is any connection with an operation for messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field

from gateway import alerting, current, problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import alarms, audit, configuration
from retry_queue.sync import alarm, alarm_words, telling

routes = APIRouter(prefix="/alerts", tags=["alerts"])
MOST = 100
Key = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


class AlertDetail(paging.Part):
    """An alert, and how many alarms of it fire now."""

    alert: alarm.Alert
    firing: int = 0


class Alerts(paging.Page):
    items: list[AlertDetail]


class AlertChannel(paging.Part):
    """An operation that takes messages. ``recipients``: it must be told whom to send to."""

    connection: Annotated[str, Field(examples=["duty-group"])]
    connector: str
    operation: Annotated[str, Field(examples=["robot.send"])]
    label: paging.Words
    recipients: bool
    state: Annotated[str, Field(examples=["enabled"])]


class AlertChannels(paging.Page):
    items: list[AlertChannel]


class RuleKind(paging.Part):
    """What can be told of, and what holds where a rule says nothing; times in seconds."""

    kind: alarm.Kind
    name: paging.Words
    at_least: int
    within: float
    lasting: Annotated[float, Field(description="How long it must last; for timed kinds: how long is too long")]
    timed: bool
    growing: Annotated[bool, Field(description="Whether growth within a time may be meant")]
    whole: Annotated[bool, Field(description="About the hub as a whole, not about connections")]


class RuleKinds(paging.Page):
    items: list[RuleKind]


class Tried(paging.Part):
    """How the test message to one channel went."""

    connection: str
    operation: str
    ok: bool
    words: paging.Words | None = None


class AlertTrial(paging.Part):
    """How it went, per channel."""

    results: list[Tried]


async def _all(hub: services.Services) -> dict[str, alarm.Alert]:
    async with hub.ledger.read() as db:
        found = await configuration.setting(db, current.ALERTS) or []
    return {one["key"]: alarm.Alert.model_validate(one) for one in found}


@routes.get("", operation_id="alert_list", summary="告警列表 Alerts")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Alerts:
    """Every alert, by key."""
    hub = services.of(request)
    found = await _all(hub)
    async with hub.ledger.read() as db:
        firing = Counter(row.alert_key for row in await alarms.firing(db))
    page, more = paging.sliced(list(found.values()), limit, cursor, lambda one: one.key)
    return Alerts(items=[AlertDetail(alert=one, firing=firing[one.key]) for one in page], next_cursor=more)


@routes.get("/channels", operation_id="alert_channels", summary="可用渠道 Channels")
async def channels(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> AlertChannels:
    """Everything that can carry a message: operations of the connections there are."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        now = await current.load(db)
    found = list(alerting.ways(now.world()))
    page, more = paging.sliced(found, limit, cursor, lambda one: f"{one.connection}/{one.operation}")
    return AlertChannels(
        items=[
            AlertChannel(
                connection=one.connection, connector=one.connector, operation=one.operation,
                label=paging.Words(**one.label.model_dump()), recipients=one.recipients,
                state=str(now.connections[one.connection].state),
            )
            for one in page
        ],
        next_cursor=more,
    )  # fmt: skip


@routes.get("/kinds", operation_id="alert_kinds", summary="可告警的情况 What can be told of")
async def kinds(_request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> RuleKinds:
    """Every kind of trouble a rule may name."""
    page, more = paging.sliced(list(alarm.KINDS.items()), limit, cursor, lambda one: one[0])
    return RuleKinds(
        items=[
            RuleKind(
                kind=kind,
                name=paging.Words(zh=alarm_words.NAMES[kind][0], en=alarm_words.NAMES[kind][1]),
                at_least=one.at_least, within=one.within, lasting=one.lasting, timed=one.timed,
                growing=kind in alarm.GROWING, whole=one.whole,
            )
            for kind, one in page
        ],
        next_cursor=more,
    )  # fmt: skip


@routes.post("/trial", operation_id="alert_trial", summary="发送测试消息 Send a test")
async def trial(request: Request, body: alarm.Alert) -> AlertTrial:
    """Sends a test message to every channel of an alert, stored or not. A failure is an answer, not a problem."""
    hub = services.of(request)
    await _check(hub, body)
    message = alarm_words.trial(body, f"{hub.settings.public_url}/alerts")
    at = hub.clock()
    site = hub.site()
    said = await asyncio.gather(
        *(telling.send(site, hub.calls, one, message, f"alert-test-{body.key}-{int(at * 1000)}") for one in body.to)
    )
    async with hub.ledger.write() as db:
        for channel, failed in zip(body.to, said, strict=True):
            given = alarms.Telling(body.key, channel.connection, channel.operation, channel.recipients, message)
            state, words = ("sent", None) if failed is None else ("failed", failed.words)
            await alarms.record(db, given, state, words, at)
    return AlertTrial(
        results=[
            Tried(
                connection=channel.connection, operation=channel.operation, ok=failed is None,
                words=None if failed is None else paging.Words.model_validate(failed.words),
            )
            for channel, failed in zip(body.to, said, strict=True)
        ]
    )  # fmt: skip


async def _check(hub: services.Services, body: alarm.Alert) -> None:
    async with hub.ledger.read() as db:
        found = alerting.faults(body, (await current.load(db)).world())
    if found:
        raise problems.Problem("invalid", faults=found)


@routes.get("/{key}", operation_id="alert_get", summary="告警详情 Alert", responses=schema.responses(404))
async def one(request: Request, key: Key) -> AlertDetail:
    """One alert."""
    hub = services.of(request)
    found = (await _all(hub)).get(key)
    if found is None:
        raise problems.Problem("not_found", f"没有告警 {key}", f"no alert {key}")
    async with hub.ledger.read() as db:
        firing = sum(row.alert_key == key for row in await alarms.firing(db))
    return AlertDetail(alert=found, firing=firing)


@routes.put("/{key}", operation_id="alert_put", summary="保存告警 Save", responses=schema.responses(409))
async def put(request: Request, key: Key, body: alarm.Alert) -> alarm.Alert:
    """Makes or replaces an alert."""
    if body.key != key:
        wrong = problems.Fault("key", "与地址中的 key 不一致", "not the key of the address", ("key",))
        raise problems.Problem("invalid", faults=[wrong])
    await _check(services.of(request), body)
    await _change(request, key, body)
    return body


@routes.delete("/{key}", operation_id="alert_delete", summary="删除告警 Remove", status_code=204,
               responses=schema.responses(404))  # fmt: skip
async def remove(request: Request, key: Key) -> None:
    """Removes an alert; what fires by it is over without a word."""
    await _change(request, key, None)


async def _change(request: Request, key: str, body: alarm.Alert | None) -> None:
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as db:
        found = {one["key"]: one for one in await configuration.setting(db, current.ALERTS) or []}
        if body is None:
            if found.pop(key, None) is None:
                raise problems.Problem("not_found", f"没有告警 {key}", f"no alert {key}")
        else:
            if key not in found and len(found) >= MOST:
                raise problems.Problem("conflict", f"最多 {MOST} 个告警", f"at most {MOST} alerts")
            found[key] = body.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        await configuration.put_setting(db, current.ALERTS, [found[one] for one in sorted(found)])
        action = "alert.delete" if body is None else "alert.put"
        await audit.append(db, hub.sealer, hub.clock(), who.name, action, f"alert/{key}")

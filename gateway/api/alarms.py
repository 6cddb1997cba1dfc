"""Alarms: what fires and what has fired, and the messages that told people of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import Field

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import alarms, audit
from retry_queue.sync import alarm

routes = APIRouter(prefix="/alarms", tags=["alerts"])


class Alarm(paging.Part):
    """One trouble under one alert. ``subject`` is a connection, what two compare, or empty: the hub as a whole."""

    id: Annotated[str, Field(examples=["7"])]
    alert: str
    kind: alarm.Kind
    subject: str
    state: Annotated[str, Field(examples=["firing"], description="firing or ended")]
    words: paging.Words
    fired_at: datetime
    told_at: datetime | None = None
    acknowledged_by: str | None = None
    ended_at: datetime | None = None


class Alarms(paging.Page):
    items: list[Alarm]


class Notice(paging.Part):
    """One message to one channel."""

    id: Annotated[str, Field(examples=["12"])]
    alert: str
    connection: str
    operation: str
    recipients: list[str]
    title: str
    text: str
    state: Annotated[str, Field(examples=["sent"], description="waiting, sent or failed")]
    words: Annotated[paging.Words | None, Field(description="Why it was not taken")] = None
    created_at: datetime
    ended_at: datetime | None = None


class Notices(paging.Page):
    items: list[Notice]


@routes.get("", operation_id="alarm_list", summary="触发的告警 Alarms")
async def every(
    request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None,
    state: Annotated[Literal["firing", "ended"] | None, Query(description="Only these")] = None,
    alert: Annotated[str | None, Query(max_length=60, description="Of this alert")] = None,
) -> Alarms:  # fmt: skip
    """What fires and what has fired, the newest first."""
    async with services.of(request).ledger.read() as db:
        rows = await alarms.search(
            db, limit=limit + 1, before=paging.before(cursor), state=state, alert_key=alert
        )  # fmt: skip
    page, more = paging.newest(rows, limit, lambda row: int(row.id))
    return Alarms(items=[_alarm(row) for row in page], next_cursor=more)


@routes.get("/notices", operation_id="notice_list", summary="告警消息 Messages of alerts")
async def notices(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Notices:
    """The messages that alerts sent, the newest first."""
    async with services.of(request).ledger.read() as db:
        rows = await alarms.sent(db, limit=limit + 1, before=paging.before(cursor))
    page, more = paging.newest(rows, limit, lambda row: int(row.id))
    return Notices(items=[_notice(row) for row in page], next_cursor=more)


@routes.post("/{number}/acknowledge", operation_id="alarm_acknowledge", summary="我来处理 Acknowledge",
             responses=schema.responses(404))  # fmt: skip
async def acknowledge(request: Request, number: str) -> Alarm:
    """Somebody takes care of it: it is not repeated, and its end is still told."""
    hub, who = services.of(request), security.principal(request)
    async with hub.change(touch=False) as db:
        found = await alarms.acknowledge(db, paging.row_id(number, "告警", "alarm"), who.name)
        if found is None:
            raise problems.Problem("not_found", f"没有正在触发的告警 {number}", f"no alarm {number} fires")
        await audit.append(db, hub.sealer, hub.clock(), who.name, "alarm.acknowledge", f"alarm/{number}")
    return _alarm(found)


def _words(text: str | None) -> paging.Words | None:
    return paging.Words.model_validate(orjson.loads(text)) if text else None


def _alarm(row: Any) -> Alarm:
    return Alarm(
        id=str(row.id), alert=row.alert_key, kind=row.kind, subject=row.subject,
        state=row.state, words=_words(row.detail) or paging.Words(), fired_at=paging.instant(row.fired_at),
        told_at=paging.moment(row.told_at), acknowledged_by=row.acknowledged_by, ended_at=paging.moment(row.ended_at),
    )  # fmt: skip


def _notice(row: Any) -> Notice:
    body = orjson.loads(row.body)
    return Notice(
        id=str(row.id), alert=row.alert_key, connection=row.connection_key, operation=row.operation,
        recipients=orjson.loads(row.recipients), title=body["title"], text=body["text"], state=row.state,
        words=_words(row.detail), created_at=paging.instant(row.created_at), ended_at=paging.moment(row.ended_at),
    )  # fmt: skip

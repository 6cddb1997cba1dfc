"""Timers: deliveries that wait for their hour; whom they are about; cancelling one, or sending it now."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit, lane, tallies
from retry_queue.ledger import timers as held

routes = APIRouter(prefix="/timers", tags=["timers"])
State = Literal["waiting", "fired", "cancelled"]


class Timer(paging.Part):
    """A delivery that waits, waited, or was cancelled; its id is the delivery's."""

    id: Annotated[str, Field(examples=["77"])]
    event_id: str
    route: str
    connection: Annotated[str, Field(description="The target")]
    operation: str
    state: State
    delivery_state: str
    reason: Annotated[str | None, Field(description="cancelled, by_person, quiet_hours, quota, …")] = None
    cancelled_by: Annotated[str | None, Field(description="The event that made it pointless")] = None
    due_at: Annotated[datetime | None, Field(description="Null while earlier steps of the route come first")]
    created_at: datetime
    ended_at: datetime | None = None
    source: str
    entity: str
    record: str
    number: str | None = None
    link: Annotated[str, Field(description="The customer or thing it is about: see links and customers")]


class Timers(paging.Page):
    items: list[Timer]


def shown(found: held.Found) -> Timer:
    """A timer as the API shows it."""
    return Timer(
        id=str(found.delivery_id), event_id=str(found.event_id), route=found.route_key,
        connection=found.connection_key, operation=found.operation, state=found.state,
        delivery_state=found.delivery_state, reason=found.reason,
        cancelled_by=None if found.cancelled_by is None else str(found.cancelled_by),
        due_at=None if found.due_at >= lane.BLOCKED else paging.instant(found.due_at),
        created_at=paging.instant(found.created_at),
        ended_at=paging.moment(found.ended_at), source=found.source_key, entity=found.entity, record=found.record,
        number=found.number, link=str(found.link_id),
    )  # fmt: skip


@routes.get("", operation_id="timer_list", summary="定时列表 Timers", responses=schema.responses(400))
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    state: State | None = None,
    route: Annotated[str | None, Query(max_length=80)] = None,
    connection: Annotated[str | None, Query(max_length=80)] = None,
) -> Timers:
    """Timers, the newest first."""
    async with services.of(request).ledger.read() as db:
        rows = await held.search(
            db, limit=limit + 1, before=paging.before(cursor), state=state, route_key=route, connection_key=connection
        )
    page, more = paging.newest(rows, limit, lambda one: one.delivery_id)
    return Timers(items=[shown(one) for one in page], next_cursor=more)


async def _get(db: AsyncConnection, id: str) -> held.Found:
    found = await held.get(db, paging.row_id(id, "定时", "timer"))
    if found is None:
        raise problems.Problem("not_found", f"没有定时 {id}", f"no timer {id}")
    return found


@routes.get("/{id}", operation_id="timer_get", summary="定时详情 Timer", responses=schema.responses(404))
async def one(request: Request, id: str) -> Timer:
    """One timer, by the id of its delivery."""
    async with services.of(request).ledger.read() as db:
        return shown(await _get(db, id))


def _over(found: held.Found) -> problems.Problem:
    zh, en = f"状态为 {found.state} 的定时不能再改", f"a timer that is {found.state} cannot be changed"
    return problems.Problem("conflict", zh, en)


@routes.post(
    "/{id}/cancel", operation_id="timer_cancel", summary="取消定时 Cancel", responses=schema.responses(404, 409)
)
async def cancel(request: Request, id: str) -> Timer:
    """Cancels a waiting delivery: it ends as skipped and is not sent."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        found = await _get(db, id)
        if found.state != "waiting":
            raise _over(found)
        ended = await held.cancel(db, [(found.delivery_id, None)], held.BY_PERSON)
        if (now := await _get(db, id)).state == "fired":  # while its lock was waited for
            raise _over(now)
        await tallies.add(db, hub.ledger.slot, Counter((key, "delivery.skipped") for key in ended.values()))
        await audit.append(db, hub.sealer, hub.clock(), who.name, "timer.cancel", f"delivery/{id}")
        found = await _get(db, id)
    hub.ring()
    return shown(found)


@routes.post("/{id}/fire", operation_id="timer_fire", summary="立即发送 Fire now", responses=schema.responses(404, 409))
async def fire(request: Request, id: str) -> Timer:
    """Makes a waiting delivery due at once, also in quiet hours; its quotas still count."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        found = await _get(db, id)
        if not await held.fire(db, found.delivery_id):
            raise _over(found)
        await audit.append(db, hub.sealer, hub.clock(), who.name, "timer.fire", f"delivery/{id}")
        found = await _get(db, id)
    hub.ring()
    return shown(found)

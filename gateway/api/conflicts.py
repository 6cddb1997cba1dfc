"""Conflicts: fields that two systems changed at once. What was decided, and what waits for a person."""

from __future__ import annotations

import json
import secrets as tokens
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import privacy, problems, schema, security
from gateway.api import events as event_api
from gateway.api import paging, services
from retry_queue.ledger import audit, merged
from retry_queue.sync import resolution

routes = APIRouter(prefix="/conflicts", tags=["conflicts"])

POLICIES = {
    "owner": ("字段归属：以归属系统为准", "the field has an owner, whose value holds"),
    "rank": ("按来源次序决定", "decided by the rank of the systems"),
    "newest": ("以较晚的修改为准", "the later change holds"),
    "manual": ("需要人工决定，双方暂各自保留", "a person decides; until then both keep their own"),
}


class ConflictSide(paging.Part):
    """What one system says."""

    connection: str
    record: str
    value: Any
    changed_at: datetime


class Conflict(paging.Part):
    """One field of one linked thing with two values. ``winner`` is a connection, or ``person``."""

    id: Annotated[str, Field(examples=["12"])]
    link: str
    entity: Annotated[str, Field(examples=["customer"])]
    field: Annotated[str, Field(examples=["phone"])]
    policy: Annotated[str, Field(examples=["newest"])]
    state: Literal["open", "settled"]
    sides: list[ConflictSide]
    winner: str | None
    words: paging.Words
    event: Annotated[str, Field(description="The event that brought it up")]
    created_at: datetime
    settled_at: datetime | None
    settled_by: str | None


class Conflicts(paging.Page):
    items: list[Conflict]


class Decision(paging.Part):
    """Whose value holds: name a connection of ``sides``, or give another value."""

    connection: Annotated[str | None, Field(max_length=80, examples=["crm"])] = None
    value: Annotated[Any, Field(description="Only without ``connection``")] = None


class Decided(paging.Part):
    """What was set going: how many systems are written to."""

    conflict: Conflict
    written: int


def _shown(row: Any, *, reveal: bool) -> Conflict:
    sides = [
        ConflictSide(
            connection=str(one["from"]), record=str(one.get("record") or ""),
            value=one["value"] if reveal else _masked(row, one["value"]), changed_at=paging.instant(float(one["at"])),
        )
        for one in json.loads(row.sides)
    ]  # fmt: skip
    zh, en = POLICIES.get(row.policy, (row.policy, row.policy))
    if row.state == merged.SETTLED and row.settled_by == "agreed":
        zh, en = "双方已一致", "the systems agree by now"
    return Conflict(
        id=str(row.id), link=str(row.link_id), entity=row.entity, field=row.field, policy=row.policy, state=row.state,
        sides=sides, winner=row.winner, words=paging.Words(zh=zh, en=en), event=str(row.event_id),
        created_at=paging.instant(row.created_at), settled_at=paging.moment(row.settled_at), settled_by=row.settled_by,
    )  # fmt: skip


def _masked(row: Any, value: Any) -> Any:
    *above, last = row.field.split(".")
    return privacy.masked(value, last, (row.entity, *above))


async def _row(db: AsyncConnection, text: str) -> Any:
    row = await merged.conflict(db, paging.row_id(text, "冲突", "conflict"))
    if row is None:
        raise problems.Problem("not_found", f"没有冲突 {text[:40]}", f"no conflict {text[:40]}")
    return row


@routes.get("", operation_id="conflict_list", summary="冲突列表 Conflicts")
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    state: Annotated[str | None, Query(pattern="^(open|settled)$")] = None,
    entity: Annotated[str | None, Query(max_length=40)] = None,
    link: Annotated[str | None, Query(max_length=18, pattern="^[0-9]+$")] = None,
) -> Conflicts:
    """The newest first, with both values."""
    async with services.of(request).ledger.read() as db:
        before, number = paging.before(cursor), int(link) if link else None
        rows = await merged.conflicts(db, state, entity, number, before, limit + 1)
    page, more = paging.newest(rows, limit, lambda row: int(row.id))
    return Conflicts(items=[_shown(row, reveal=False) for row in page], next_cursor=more)


@routes.get("/{id}", operation_id="conflict_get", summary="冲突 Conflict", responses=schema.responses(404))
async def one(request: Request, id: str, reveal: event_api.Reveal = False) -> Conflict:
    """One conflict; personal data masked unless revealed."""
    async with services.of(request).ledger.read() as db:
        row = await _row(db, id)
    await event_api.allow(request, f"conflict/{row.id}", reveal)
    return _shown(row, reveal=reveal)


@routes.post("/{id}/settle", operation_id="conflict_settle", summary="裁决冲突 Settle",
             responses=schema.responses(404, 409))  # fmt: skip
async def settle(request: Request, id: str, body: Decision) -> Decided:
    """Makes a value hold and brings every linked system to it by ordinary deliveries."""
    hub, who = services.of(request), security.principal(request)
    given = "value" in body.model_fields_set
    if (body.connection is None) is not given:
        zh, en = "请在 connection 与 value 中恰好给出一个", "give exactly one of connection and value"
        raise problems.Problem("invalid", faults=[problems.Fault("choice", zh, en, ("connection",))])
    async with hub.change(touch=False) as db:
        row = await _row(db, id)
        value = body.value if given else _side(row, body.connection or "")
        trace = tokens.token_hex(16)
        try:
            written = await resolution.settle(db, hub.site(), hub.ledger.slot, row, value, who.name, hub.clock(), trace)
        except resolution.NothingToSettle:
            zh, en = "这个冲突已经解决", "this conflict is settled already"
            raise problems.Problem("conflict", zh, en) from None
        detail = {"field": row.field, "connection": body.connection, "written": written}
        await audit.append(db, hub.sealer, hub.clock(), who.name, "conflict.settle", f"conflict/{row.id}", detail)
        row = await _row(db, id)
    hub.ring()
    return Decided(conflict=_shown(row, reveal=False), written=written)


def _side(row: Any, connection: str) -> Any:
    for one in json.loads(row.sides):
        if one["from"] == connection:
            return one["value"]
    zh, en = f"{connection[:80]} 不是这个冲突的一方", f"{connection[:80]} is no side of this conflict"
    raise problems.Problem("invalid", faults=[problems.Fault("side", zh, en, ("connection",))])

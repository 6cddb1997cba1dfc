"""The audit log: who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from gateway.api import paging, services
from retry_queue.ledger import audit

routes = APIRouter(prefix="/audit", tags=["audit"])


class Entry(paging.Part):
    """One change."""

    id: str
    at: datetime
    actor: str
    action: str
    object: str
    detail: dict[str, Any]


class Entries(paging.Page):
    items: list[Entry]


class Chain(paging.Part):
    """Whether the log is whole."""

    ok: bool
    problems: list[str]


@routes.get("", operation_id="audit_list", summary="审计日志 Audit log")
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    actor: Annotated[str | None, Query(max_length=80)] = None,
    action: Annotated[str | None, Query(max_length=60)] = None,
    object: Annotated[str | None, Query(max_length=200)] = None,
) -> Entries:
    """Changes, the newest first."""
    async with services.of(request).ledger.read() as db:
        rows = await audit.search(
            db, limit=limit + 1, before=paging.before(cursor), actor=actor, action=action, what=object
        )
    page, more = paging.newest(rows, limit, lambda one: one.id)
    items = [
        Entry(
            id=str(one.id), at=paging.instant(one.at), actor=one.actor, action=one.action, object=one.object,
            detail=one.detail,
        )
        for one in page
    ]  # fmt: skip
    return Entries(items=items, next_cursor=more)


@routes.post("/verify", operation_id="audit_verify", summary="校验审计链 Verify")
async def verify(request: Request) -> Chain:
    """Reads the whole chain: edited, removed or cut-off entries are named."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        wrong = await audit.verify(db, hub.sealer)
    return Chain(ok=not wrong, problems=wrong)

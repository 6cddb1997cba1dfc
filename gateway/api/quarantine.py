"""Quarantine: calls refused at the door, with the reason."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request

from gateway import privacy
from gateway.api import paging, services
from retry_queue.ledger import quarantine

routes = APIRouter(prefix="/quarantine", tags=["quarantine"])


class Refusal(paging.Part):
    """One refused call; ``excerpt`` is the head of its body."""

    id: str
    connection: str
    reason: str
    detail: str
    excerpt: str
    at: datetime


class Refusals(paging.Page):
    items: list[Refusal]


@routes.get("", operation_id="quarantine_list", summary="拒收记录 Refused calls")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Refusals:
    """The newest first; a bounded number is kept."""
    async with services.of(request).ledger.read() as db:
        rows = await quarantine.newest(db, quarantine.KEPT)
    last = paging.before(cursor)
    rest = [row for row in rows if last is None or row.id < last]
    page, more = paging.newest(rest, limit, lambda row: int(row.id))
    return Refusals(
        items=[
            Refusal(
                id=str(row.id), connection=row.connection_key, reason=row.reason, detail=row.detail,
                excerpt=privacy.excerpt(row.excerpt), at=paging.instant(row.at),
            )
            for row in page
        ],
        next_cursor=more,
    )  # fmt: skip

"""Failures: everything parked or dead, grouped by cause, so that one fix answers a hundred rows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from gateway.api import paging, services
from retry_queue.ledger import pulse
from retry_queue.sync import plan

routes = APIRouter(prefix="/failures", tags=["failures"])


class Failure(paging.Part):
    """One cause. The members that are not null are the filter with which its rows are listed and replayed."""

    what: Literal["event", "delivery"]
    state: Literal["parked", "dead"]
    connection: Annotated[str, Field(description="The target of a delivery, the source of an event")]
    connector: str | None
    route: str | None
    operation: str | None
    reason: str | None
    count: int
    oldest: datetime
    newest: datetime
    example: Annotated[str, Field(description="Id of the newest of them")]
    words: paging.Words | None = None
    code: str | None = None


class Failures(paging.Page):
    items: list[Failure]


def words(cause: pulse.Cause) -> paging.Words | None:
    """Why, for people: what was said of the newest one, else what the reason means."""
    said = cause.words or plan.SKIPS.get(cause.reason or "")
    return paging.Words.model_validate(said) if said else None


@routes.get("", operation_id="failure_list", summary="失败原因 Failures by cause")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Failures:
    """Causes, the largest first."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        found = await pulse.causes(db)
    live = hub.site().live
    rows = [
        (
            f"{10**12 - one.n:013d}.{number:06d}",
            Failure.model_validate(
                {
                    "what": one.what, "state": one.state, "connection": one.connection,
                    "connector": live[one.connection].connector if one.connection in live else None,
                    "route": one.route, "operation": one.operation, "reason": one.reason, "count": one.n,
                    "oldest": paging.instant(one.oldest), "newest": paging.instant(one.newest),
                    "example": str(one.example), "words": words(one), "code": (one.words or {}).get("code"),
                }
            ),
        )
        for number, one in enumerate(found)
    ]  # fmt: skip
    page, more = paging.sliced(rows, limit, cursor, lambda row: row[0])
    return Failures(items=[row[1] for row in page], next_cursor=more)

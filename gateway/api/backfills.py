"""Backfills: importing the history of a source in its own lane, so that nothing live waits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import scope
from gateway import problems, schema, security, soundness
from gateway.api import paging, services
from retry_queue import backfill
from retry_queue.ledger import audit
from retry_queue.ledger import backfills as rows
from retry_queue.sync import site as sites

routes = APIRouter(prefix="/backfills", tags=["backfills"])
State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
EXAMPLE = {"connection": "tmall-main", "source": "modified", "since": "2026-01-01T00:00:00+08:00", "budget": 20}


class Backfill(paging.Part):
    """History being read. ``counts``: rows read, new ones among them, windows done."""

    id: Annotated[str, Field(examples=["3"])]
    connection: str
    source: Annotated[str, Field(description="The poll that reads it")]
    cause: Annotated[str, Field(description="person, first (import when a connection is new) or gap (after an outage)")]
    since: datetime
    until: datetime
    read_to: datetime
    state: State
    progress: Annotated[float, Field(description="0 to 1")]
    counts: dict[str, int]
    budget: Annotated[float, Field(description="Records a second at most; 0: no bound")]
    words: paging.Words | None = None
    requested_by: str
    created_at: datetime
    ended_at: datetime | None


class Backfills(paging.Page):
    items: list[Backfill]


class BackfillStart(paging.Part):
    """What to import. Without ``until`` it ends where the poll itself began."""

    connection: Annotated[str, Field(max_length=60)]
    source: Annotated[str | None, Field(max_length=40, description="Needed where there are several")] = None
    since: AwareDatetime
    until: AwareDatetime | None = None
    budget: Annotated[float, Field(gt=0, le=1000, description="Records a second at most")] = backfill.BUDGET
    first: Annotated[bool, Field(description="The first import of a new connection")] = False


class BackfillOffer(paging.Part):
    """A source whose history nobody has asked for yet."""

    connection: str
    source: str
    entity: str | None
    label: paging.Words
    covered_since: Annotated[datetime, Field(description="From here on the poll reads by itself")]


class Offers(paging.Page):
    items: list[BackfillOffer]


def _shown(row: rows.Row) -> Backfill:
    return Backfill(
        id=str(row.id), connection=row.connection_key, source=row.source, cause=row.cause,
        since=paging.instant(row.window_start), until=paging.instant(row.window_end),
        read_to=paging.instant(float(row.cursor.get("at", row.window_start))),
        state=row.state,
        progress=round(row.share, 4), counts=row.counts, budget=row.budget,
        words=paging.Words.model_validate(row.detail) if row.detail else None, requested_by=row.requested_by,
        created_at=paging.instant(row.created_at), ended_at=paging.moment(row.ended_at),
    )  # fmt: skip


async def _get(db: AsyncConnection, id: str) -> rows.Row:
    row = await rows.get(db, paging.row_id(id, "导入", "backfill"))
    if row is None:
        raise problems.Problem("not_found", f"没有导入 {id}", f"no backfill {id}")
    return row


@routes.get("", operation_id="backfill_list", summary="历史导入列表 Backfills", responses=schema.responses(400))
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    state: State | None = None,
    connection: Annotated[str | None, Query(max_length=60)] = None,
) -> Backfills:
    """Backfills, the newest first; gaps that were read again are among them."""
    async with services.of(request).ledger.read() as db:
        found = await rows.search(
            db, limit=limit + 1, before=paging.before(cursor), state=state, connection_key=connection
        )
    page, more = paging.newest(found, limit, lambda row: row.id)
    return Backfills(items=[_shown(row) for row in page], next_cursor=more)


@routes.get("/offers", operation_id="backfill_offers", summary="可导入的历史 Offers")
async def offered(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    connection: Annotated[str | None, Query(max_length=60)] = None,
) -> Offers:
    """What could be imported first, for connections that are enabled."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        done = await rows.imported(db)
    found = [one for one in backfill.offers(hub.site(), done, hub.clock()) if connection in (None, one.connection_key)]
    page, more = paging.sliced(found, limit, cursor, lambda one: f"{one.connection_key}/{one.source}")
    items = [
        BackfillOffer(
            connection=one.connection_key, source=one.source, entity=one.entity,
            label=paging.Words.model_validate(one.label), covered_since=paging.instant(one.since),
        )
        for one in page
    ]  # fmt: skip
    return Offers(items=items, next_cursor=more)


@routes.post("", operation_id="backfill_start", summary="导入历史 Start", status_code=201,
             responses=schema.responses(), openapi_extra={"requestBody": {"content": {"application/json": {
                 "example": EXAMPLE}}}})  # fmt: skip
async def start(request: Request, body: BackfillStart) -> Backfill:
    """Reads the history of a source; it only brings records up to date and sends nobody a message."""
    hub, who = services.of(request), security.principal(request)
    wanted = asked(hub.site(), hub.clock(), body, who.name)
    async with hub.ledger.write() as db:
        number = await rows.create(db, wanted, hub.clock())
        detail = {"connection": wanted.connection_key, "source": wanted.source}
        await audit.append(db, hub.sealer, hub.clock(), who.name, "backfill.start", f"backfill/{number}", detail)
        return _shown(await _get(db, str(number)))


def asked(site: sites.Site, now: float, body: BackfillStart, who: str) -> rows.New:
    """A checked request. Raises the problem ``invalid``."""
    live = site.live.get(body.connection)
    if live is None or live.opened is None:
        what = ("连接", "connection")
        wrong = soundness.unknown("unknown_connection", what, body.connection, site.live, "connection")
        raise problems.Problem("invalid", faults=[wrong])
    known = backfill.readable(live.opened)
    name = body.source if body.source is not None else next(iter(known), "") if len(known) == 1 else ""
    if name not in known:
        wrong = soundness.unknown("unknown_source", ("可读取的来源", "source"), name, known, "source")
        raise problems.Problem("invalid", faults=[wrong])
    open_ = name in scope.open_sources(live.opened)
    until = body.until.timestamp() if body.until else None
    window = backfill.window(known[name], open_, now, body.since.timestamp(), until)
    if window[0] >= window[1]:
        zh, en = (
            "这段时间已由轮询覆盖，或开始晚于结束",
            "the poll covers that time already, or it ends before it begins",
        )
        raise problems.Problem("invalid", faults=[problems.Fault("window", zh, en, ("since",))])
    return rows.New(body.connection, name, "first" if body.first else "person", window, body.budget, by=who)


@routes.get("/{id}", operation_id="backfill_get", summary="历史导入详情 Backfill", responses=schema.responses(404))
async def one(request: Request, id: str) -> Backfill:
    """One backfill and how far it is."""
    async with services.of(request).ledger.read() as db:
        return _shown(await _get(db, id))


async def _turn(request: Request, id: str, what: str) -> Backfill:
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        row = await _get(db, id)
        if not await rows.turn(db, row.id, what):
            raise problems.Problem("conflict", f"导入的状态是 {row.state}", f"it is {row.state}")
        await audit.append(db, hub.sealer, hub.clock(), who.name, f"backfill.{what}", f"backfill/{id}")
        return _shown(await _get(db, id))


@routes.post("/{id}/pause", operation_id="backfill_pause", summary="暂停导入 Pause",
             responses=schema.responses(404, 409))  # fmt: skip
async def pause(request: Request, id: str) -> Backfill:
    """Stops reading; it goes on from there when resumed."""
    return await _turn(request, id, "pause")


@routes.post("/{id}/resume", operation_id="backfill_resume", summary="继续导入 Resume",
             responses=schema.responses(404, 409))  # fmt: skip
async def resume(request: Request, id: str) -> Backfill:
    """Goes on with one that was paused or failed."""
    return await _turn(request, id, "resume")


@routes.post("/{id}/cancel", operation_id="backfill_cancel", summary="取消导入 Cancel",
             responses=schema.responses(404, 409))  # fmt: skip
async def cancel(request: Request, id: str) -> Backfill:
    """Ends it; what was read stays."""
    return await _turn(request, id, "cancel")

"""Replays of very many deliveries: started by a filter, throttled, paused, cancelled, watched."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit, deliveries
from retry_queue.ledger import replays as rows

routes = APIRouter(prefix="/replays", tags=["replays"])
BUDGET = 100.0
"""Deliveries a second, when nobody says otherwise."""
State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
Mapping = Annotated[
    Literal["planned", "newest"],
    Field(description="planned: each with the mapping version it was planned with; newest: with the one in force"),
]


class ReplayChoice(paging.Part):
    """Which deliveries: those of one state that fit everything else that is given."""

    state: Literal["dead", "parked", "skipped"] = "dead"
    connection: Annotated[str | None, Field(max_length=80, description="The target")] = None
    route: Annotated[str | None, Field(max_length=80)] = None
    reason: Annotated[str | None, Field(max_length=60)] = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class ReplayStart(ReplayChoice):
    """A replay to begin."""

    mapping: Mapping = "planned"
    budget: Annotated[float, Field(ge=0, le=10_000, description="Deliveries a second at most; 0: no bound")] = BUDGET


class ReplayCount(paging.Part):
    """How many deliveries a replay would go through."""

    matched: int


class ReplayCounts(paging.Part):
    """``matched`` at the start; ``superseded`` were overtaken by a newer state; ``taken_back`` by a cancel."""

    matched: int = 0
    looked_at: int = 0
    replayed: int = 0
    superseded: int = 0
    taken_back: int = 0


class Replay(paging.Part):
    """A replay and how far it is."""

    id: Annotated[str, Field(examples=["3"])]
    chosen: ReplayChoice
    mapping: Mapping
    budget: float
    state: State
    progress: Annotated[float, Field(description="0 to 1")]
    counts: ReplayCounts
    words: paging.Words | None = None
    requested_by: str
    created_at: datetime
    ended_at: datetime | None


class Replays(paging.Page):
    items: list[Replay]


def chosen(body: ReplayChoice) -> deliveries.Filter:
    """The filter that a body means."""
    return deliveries.Filter(
        state=body.state,
        connection_key=body.connection,
        route_key=body.route,
        reason=body.reason,
        since=body.since.timestamp() if body.since else None,
        until=body.until.timestamp() if body.until else None,
    )


def shown(row: rows.Row) -> Replay:
    """A replay as the API shows it."""
    wanted = row.wanted
    said = {
        "state": wanted.state, "connection": wanted.connection_key, "route": wanted.route_key, "reason": wanted.reason,
        "since": paging.moment(wanted.since), "until": paging.moment(wanted.until),
    }  # fmt: skip
    return Replay.model_validate(
        {
            "id": str(row.id), "chosen": ReplayChoice.model_validate(said), "mapping": row.mapping,
            "budget": row.budget, "state": row.state, "progress": round(row.share, 4),
            "counts": ReplayCounts.model_validate(row.counts),
            "words": row.detail, "requested_by": row.requested_by, "created_at": paging.instant(row.created_at),
            "ended_at": paging.moment(row.ended_at),
        }
    )  # fmt: skip


async def _get(db: AsyncConnection, id: str) -> rows.Row:
    row = await rows.get(db, paging.row_id(id, "重放", "replay"))
    if row is None:
        raise problems.Problem("not_found", f"没有重放 {id}", f"no replay {id}")
    return row


@routes.get("", operation_id="replay_list", summary="批量重放列表 Replays", responses=schema.responses(400))
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Replays:
    """Replays, the newest first."""
    async with services.of(request).ledger.read() as db:
        found = await rows.search(db, limit=limit + 1, before=paging.before(cursor))
    page, more = paging.newest(found, limit, lambda row: row.id)
    return Replays(items=[shown(row) for row in page], next_cursor=more)


@routes.post("/count", operation_id="replay_count", summary="试算 Count")
async def count(request: Request, body: ReplayChoice) -> ReplayCount:
    """How many would be replayed; nothing is."""
    async with services.of(request).ledger.read() as db:
        return ReplayCount(matched=await deliveries.count(db, chosen(body)))


@routes.post("", operation_id="replay_start", summary="批量重放 Start", status_code=201)
async def start(request: Request, body: ReplayStart) -> Replay:
    """Replays everything that fits by now, oldest first; what was delivered is never sent again."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        number = await rows.create(db, chosen(body), body.mapping, body.budget, who.name, hub.clock())
        detail = body.model_dump(mode="json", exclude_none=True)
        await audit.append(db, hub.sealer, hub.clock(), who.name, "replay.start", f"replay/{number}", detail)
        return shown(await _get(db, str(number)))


@routes.get("/{id}", operation_id="replay_get", summary="批量重放详情 Replay", responses=schema.responses(404))
async def one(request: Request, id: str) -> Replay:
    """One replay and how far it is."""
    async with services.of(request).ledger.read() as db:
        return shown(await _get(db, id))


async def _turn(request: Request, id: str, what: Literal["pause", "resume", "cancel"]) -> Replay:
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        row = await _get(db, id)
        now = await (rows.cancel(db, row.id) if what == "cancel" else rows.JOBS.turn(db, row.id, what))
        if now is None:
            raise problems.Problem("conflict", f"重放的状态是 {row.state}", f"it is {row.state}")
        await audit.append(db, hub.sealer, hub.clock(), who.name, f"replay.{what}", f"replay/{id}")
        return shown(now)


@routes.post("/{id}/pause", operation_id="replay_pause", summary="暂停 Pause", responses=schema.responses(404, 409))
async def pause(request: Request, id: str) -> Replay:
    """Stops; what was set going is delivered. It goes on from there when resumed."""
    return await _turn(request, id, "pause")


@routes.post("/{id}/resume", operation_id="replay_resume", summary="继续 Resume", responses=schema.responses(404, 409))
async def resume(request: Request, id: str) -> Replay:
    """Goes on with one that was paused or failed."""
    return await _turn(request, id, "resume")


@routes.post("/{id}/cancel", operation_id="replay_cancel", summary="取消 Cancel", responses=schema.responses(404, 409))
async def cancel(request: Request, id: str) -> Replay:
    """Ends it at once. What was set going and not tried yet is as it was before; what is under way comes to its end."""
    return await _turn(request, id, "cancel")

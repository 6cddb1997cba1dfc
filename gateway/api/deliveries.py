"""Deliveries: what is owed, what became of it, replaying and skipping."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import privacy, problems, schema, security
from gateway.api import paging, services
from retry_queue import replay
from retry_queue.ledger import audit
from retry_queue.ledger import deliveries as owed

routes = APIRouter(prefix="/deliveries", tags=["deliveries"])
State = Literal["pending", "in_flight", "retrying", "delivered", "parked", "dead", "skipped", "superseded"]


class Delivery(paging.Part):
    """One event owed to one target of a route."""

    id: Annotated[str, Field(examples=["77"])]
    event_id: str
    route: str
    connection: Annotated[str, Field(description="The target")]
    operation: str
    kind: Annotated[str, Field(description="state (newest wins) or act (each exactly once)")]
    state: State
    reason: str | None = None
    words: paging.Words | None = None
    code: Annotated[str | None, Field(description="The target system's own code")] = None
    attempts: int
    failures: int
    next_at: Annotated[datetime | None, Field(description="When it is due, while it is open")] = None
    source: str | None = None
    entity: str | None = None
    record: str | None = None
    number: str | None = None
    target_record: str | None = None
    created_at: datetime
    settled_at: datetime | None = None


class Deliveries(paging.Page):
    items: list[Delivery]


class Attempt(paging.Part):
    """One try with its HTTP exchanges, secrets masked, personal data too unless revealed."""

    attempt: int
    outcome: str
    code: str | None
    words: paging.Words | None
    duration: Annotated[float, Field(description="Seconds")]
    worker: str
    at: datetime
    exchanges: list[dict[str, Any]]


class DeliveryDetail(Delivery):
    tries: list[Attempt]


class DeliverySelection(paging.Part):
    """Which deliveries to replay. Without ``dry_run`` the oldest ``limit`` of them go."""

    state: Literal["dead", "parked", "skipped"]
    connection: str | None = None
    route: str | None = None
    reason: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=replay.BULK)] = 1000
    dry_run: bool = False
    mapping: Annotated[
        Literal["planned", "newest"], Field(description="newest: with the mapping in force, not the one planned with")
    ] = "planned"


class BulkResult(paging.Part):
    """``matched`` fitted, ``replayed`` were set going."""

    matched: int
    replayed: int
    dry_run: bool


def words_of(found: owed.Found) -> paging.Words | None:
    """Why a delivery is where it is."""
    return _words(found.detail)


def _words(said: dict[str, Any] | None) -> paging.Words | None:
    return paging.Words.model_validate(said) if said else None


def _fields(found: owed.Found) -> dict[str, Any]:
    open_ = found.state in ("pending", "in_flight", "retrying")
    return {
        "id": str(found.id),
        "event_id": str(found.event_id),
        "route": found.route_key,
        "connection": found.connection_key,
        "operation": found.operation,
        "kind": found.kind,
        "state": found.state,
        "reason": found.reason,
        "words": words_of(found),
        "code": (found.detail or {}).get("code"),
        "attempts": found.attempt,
        "failures": found.failures,
        "next_at": paging.moment(found.next_at) if open_ else None,
        "source": found.source_key,
        "entity": found.entity,
        "record": found.record,
        "number": found.number,
        "target_record": found.target_record,
        "created_at": paging.instant(found.created_at),
        "settled_at": paging.moment(found.settled_at),
    }


def shown(found: owed.Found) -> Delivery:
    """A delivery as the API shows it in lists."""
    return Delivery(**_fields(found))


def plain(value: Any) -> Any:
    """Parsed JSON as an answer may carry it: exact decimals as text."""
    return orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))


def _exchange(given: dict[str, Any], *, reveal: bool) -> dict[str, Any]:
    return given if reveal else {key: privacy.said(value) for key, value in given.items()}


def detailed(found: owed.Found, tries: list[owed.Attempt], *, reveal: bool) -> DeliveryDetail:
    """A delivery with its attempts."""
    return DeliveryDetail(
        **_fields(found),
        tries=[
            Attempt(
                attempt=one.attempt,
                outcome=one.outcome,
                code=one.code,
                words=_words(one.words),
                duration=one.duration,
                worker=one.worker,
                at=paging.instant(one.at),
                exchanges=[_exchange(exchange, reveal=reveal) for exchange in one.exchanges],
            )
            for one in tries
        ],
    )


def _filter(
    state: str | None,
    connection: str | None,
    route: str | None,
    reason: str | None,
    since: datetime | None,
    until: datetime | None,
    event: str | None = None,
) -> owed.Filter:
    return owed.Filter(
        state=state,
        connection_key=connection,
        route_key=route,
        reason=reason,
        event_id=int(event) if event else None,
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
    )


@routes.get("", operation_id="delivery_list", summary="投递列表 Deliveries", responses=schema.responses(400))
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    state: State | None = None,
    connection: Annotated[str | None, Query(max_length=80)] = None,
    route: Annotated[str | None, Query(max_length=80)] = None,
    reason: Annotated[str | None, Query(max_length=60)] = None,
    event: Annotated[str | None, Query(pattern="^[0-9]{1,18}$")] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Deliveries:
    """Deliveries, the newest first."""
    wanted = _filter(state, connection, route, reason, since, until, event)
    async with services.of(request).ledger.read() as db:
        rows = await owed.search(db, wanted, limit=limit + 1, before=paging.before(cursor))
    page, more = paging.newest(rows, limit, lambda one: one.id)
    return Deliveries(items=[Delivery(**_fields(one)) for one in page], next_cursor=more)


async def _get(db: AsyncConnection, id: str) -> owed.Found:
    found = await owed.get(db, paging.row_id(id, "投递", "delivery"))
    if found is None:
        raise problems.Problem("not_found", f"没有投递 {id}", f"no delivery {id}")
    return found


@routes.get("/{id}", operation_id="delivery_get", summary="投递详情 Delivery", responses=schema.responses(404))
async def one(request: Request, id: str) -> DeliveryDetail:
    """One delivery with its attempts; personal data masked (the event's timeline can reveal it)."""
    async with services.of(request).ledger.read() as db:
        found = await _get(db, id)
        tries = await owed.attempts(db, [found.id])
    return detailed(found, tries[found.id], reveal=False)


@routes.post("/{id}/replay", operation_id="delivery_replay", summary="重放投递 Replay",
             responses=schema.responses(404, 409))  # fmt: skip
async def again(
    request: Request,
    id: str,
    mapping: Annotated[Literal["planned", "newest"], Query(description="Which version of the mapping")] = "planned",
) -> Delivery:
    """Delivers a parked, dead or skipped one again, in its lane's order."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        found = await _get(db, id)
        done = await replay.some(db, [found.id], newest=mapping == "newest")
        if not done.deliveries:
            zh, en = f"状态为 {found.state} 的投递不能重放", f"a delivery that is {found.state} cannot be replayed"
            raise problems.Problem("conflict", zh, en)
        await audit.append(
            db, hub.sealer, hub.clock(), who.name, "delivery.replay", f"delivery/{id}", {"mapping": mapping}
        )
        found = await _get(db, id)
    hub.ring()
    return Delivery(**_fields(found))


@routes.post("/replay", operation_id="delivery_replay_many", summary="批量重放 Replay by filter")
async def many(request: Request, body: DeliverySelection) -> BulkResult:
    """Replays the oldest deliveries that fit; ``dry_run`` only counts them."""
    hub, who = services.of(request), security.principal(request)
    wanted = _filter(body.state, body.connection, body.route, body.reason, body.since, body.until)
    newest = body.mapping == "newest"
    matched, done = await replay.matching(hub.ledger, wanted, body.limit, dry_run=body.dry_run, newest=newest)
    if not body.dry_run:
        detail = {**body.model_dump(mode="json", exclude_none=True), "replayed": len(done.deliveries)}
        async with hub.ledger.write() as db:
            await audit.append(db, hub.sealer, hub.clock(), who.name, "delivery.replay_many", "deliveries", detail)
        hub.ring()
    return BulkResult(matched=matched, replayed=len(done.deliveries), dry_run=body.dry_run)


@routes.post("/{id}/skip", operation_id="delivery_skip", summary="跳过投递 Skip", responses=schema.responses(404, 409))
async def skip(request: Request, id: str) -> Delivery:
    """Ends a parked or dead delivery without sending it; what waited behind it goes on."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        found = await _get(db, id)
        if not await owed.skip(db, [found.id], replay.BY_PERSON):
            zh, en = f"状态为 {found.state} 的投递不能跳过", f"a delivery that is {found.state} cannot be skipped"
            raise problems.Problem("conflict", zh, en)
        await audit.append(db, hub.sealer, hub.clock(), who.name, "delivery.skip", f"delivery/{id}")
        found = await _get(db, id)
    hub.ring()
    return Delivery(**_fields(found))

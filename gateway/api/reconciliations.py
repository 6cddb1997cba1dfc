"""Reconciliations 对账: comparing two connections, what was found, and mending it."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.background import BackgroundTask

from gateway import current, problems, report, schedules, schema, security, sheet
from gateway.api import events as event_api
from gateway.api import paging, services
from retry_queue.ledger import audit, findings
from retry_queue.ledger import reconciliations as runs
from retry_queue.sync import agreement
from retry_queue.sync import schedule as plans

routes = APIRouter(prefix="/reconciliations", tags=["reconciliations"])
Kind = Literal["missing", "extra", "different"]
FindingState = Literal["open", "repairing", "repaired", "ignored", "failed"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
EXAMPLE = {"left": "tmall-main", "right": "k3", "entity": "order", "hours": 24}


class Reconciliation(paging.Part):
    """One comparison. ``found``: kind -> state -> how many."""

    id: Annotated[str, Field(examples=["12"])]
    schedule: Annotated[str | None, Field(description="The schedule it belongs to; null when a person asked")]
    left: str
    right: str
    entity: str
    window_start: datetime
    window_end: datetime
    state: State
    progress: Annotated[float, Field(description="0 to 1", examples=[0.42])]
    counts: Annotated[
        dict[str, int],
        Field(description="left, right, matched, missing, extra, different, under_way, filtered, unreadable, gone"),
    ]
    found: dict[str, dict[str, int]]
    words: Annotated[paging.Words | None, Field(description="Why it waits or failed")] = None
    spec: Annotated[dict[str, Any], Field(description="What was compared, and how")]
    requested_by: str
    created_at: datetime
    ended_at: datetime | None


class Reconciliations(paging.Page):
    items: list[Reconciliation]


class ReconciliationStart(paging.Part):
    """What to compare: a schedule by its key, or the parts of one. The window: ``hours`` back, or from-to."""

    schedule: Annotated[str | None, Field(max_length=60, description="Compare what this schedule compares")] = None
    left: plans.Sided | None = None
    right: plans.Sided | None = None
    entity: str | None = None
    hours: Annotated[float | None, Field(gt=0, le=24 * 366)] = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    when: Annotated[str | None, Field(max_length=1000)] = None
    when_right: Annotated[str | None, Field(max_length=1000)] = None
    fields: Annotated[list[str], Field(max_length=200)] = Field(default_factory=list)
    ignore: Annotated[list[str], Field(max_length=200)] = Field(default_factory=list)
    tolerance: dict[str, plans.Tolerance] = Field(default_factory=dict)
    grace: Annotated[float, Field(ge=0, le=86400, description="Seconds")] = 60.0


class FieldDifference(paging.Part):
    """One field that differs."""

    path: str
    left: Any = None
    right: Any = None


class Finding(paging.Part):
    """One record that is missing (漏单), too many (多单) or different (字段不一致)."""

    id: str
    kind: Kind
    number: str | None
    left_record: str | None
    right_record: str | None
    link: str | None
    fields: list[FieldDifference]
    state: FindingState
    event_id: Annotated[str | None, Field(description="The event that repairs it")] = None
    words: paging.Words | None = None
    created_at: datetime
    ended_at: datetime | None


class Findings(paging.Page):
    items: list[Finding]


class FindingSelection(paging.Part):
    """Which findings: these ids, or all of a kind; neither means all. Only open and failed ones are touched."""

    ids: Annotated[list[str] | None, Field(max_length=1000)] = None
    kind: Kind | None = None


class Touched(paging.Part):
    """How many findings were set going or ended."""

    touched: int


class ScheduleDetail(plans.Schedule):
    """A schedule of hub.yaml. Durations are seconds."""

    next_at: Annotated[datetime | None, Field(description="When its next turn is due")] = None


class Schedules(paging.Page):
    items: list[ScheduleDetail]


def _shown(row: runs.Row, found: dict[str, dict[str, int]]) -> Reconciliation:
    return Reconciliation(
        id=str(row.id), schedule=row.plan_key, left=row.left_key, right=row.right_key, entity=row.entity,
        window_start=paging.instant(row.window_start), window_end=paging.instant(row.window_end),
        state=row.state,
        progress=1.0 if row.state == "done" else agreement.share(row.progress), counts=row.counts, found=found,
        words=paging.Words.model_validate(row.detail) if row.detail else None, spec=row.spec,
        requested_by=row.requested_by, created_at=paging.instant(row.created_at),
        ended_at=paging.moment(row.ended_at),
    )  # fmt: skip


async def _get(db: AsyncConnection, id: str) -> runs.Row:
    row = await runs.get(db, paging.row_id(id, "对账", "reconciliation"))
    if row is None:
        raise problems.Problem("not_found", f"没有对账 {id}", f"no reconciliation {id}")
    return row


async def _detailed(db: AsyncConnection, row: runs.Row) -> Reconciliation:
    return _shown(row, (await findings.counts(db, [row.id])).get(row.id, {}))


@routes.get("", operation_id="reconciliation_list", summary="对账列表 Reconciliations",
            responses=schema.responses(400))  # fmt: skip
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    state: State | None = None,
    schedule: Annotated[str | None, Query(max_length=60)] = None,
    entity: Annotated[str | None, Query(max_length=40)] = None,
) -> Reconciliations:
    """Comparisons, the newest first."""
    async with services.of(request).ledger.read() as db:
        rows = await runs.search(
            db, limit=limit + 1, before=paging.before(cursor), state=state, plan_key=schedule, entity=entity
        )
        page, more = paging.newest(rows, limit, lambda row: row.id)
        found = await findings.counts(db, [row.id for row in page])
    return Reconciliations(items=[_shown(row, found.get(row.id, {})) for row in page], next_cursor=more)


@routes.get("/schedules", operation_id="reconciliation_schedules", summary="对账计划 Schedules")
async def planned(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Schedules:
    """The schedules of hub.yaml."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        now = await current.load(db)
    made = [plans.Schedule.model_validate(one) for one in now.reconciliations.values()]
    page, more = paging.sliced(made, limit, cursor, lambda one: one.key)
    items = [
        ScheduleDetail.model_validate({**one.model_dump(), "next_at": paging.moment(one.next(hub.clock()))})
        for one in page
    ]
    return Schedules(items=items, next_cursor=more)


@routes.post("", operation_id="reconciliation_start", summary="开始对账 Start", status_code=201,
             responses=schema.responses(404), openapi_extra={"requestBody": {"content": {"application/json": {
                 "example": EXAMPLE}}}})  # fmt: skip
async def start(request: Request, body: ReconciliationStart) -> Reconciliation:
    """Asks for a comparison; a worker makes it, and ``progress`` says how far it is."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        now = await current.load(db)
        at = hub.clock()
        wanted = asked(body, now, at, who.name)
        number = await runs.create(db, wanted, at)
        detail = {"left": wanted.left_key, "right": wanted.right_key, "entity": wanted.entity}
        await audit.append(db, hub.sealer, at, who.name, "reconciliation.start", f"reconciliation/{number}", detail)
        return await _detailed(db, await _get(db, str(number)))


def asked(body: ReconciliationStart, now: current.Current, at: float, who: str) -> runs.New:
    """A checked request. Raises the problems ``invalid`` and ``not_found``."""
    window = 86400.0
    key = None
    if body.schedule is not None:
        stored = now.reconciliations.get(body.schedule)
        if stored is None:
            zh, en = f"没有对账计划 {body.schedule}", f"no schedule {body.schedule}"
            raise problems.Problem("not_found", zh, en)
        turn = plans.Schedule.model_validate(stored)
        given: plans.Comparison = turn
        window, key = turn.window, turn.key
    elif body.left is None or body.right is None or body.entity is None:
        wrong = problems.Fault(
            "missing", "请给出 schedule，或 left、right、entity", "give schedule, or left, right, entity"
        )
        raise problems.Problem("invalid", faults=[wrong])
    else:
        names = ("left", "right", "entity", "when", "when_right", "fields", "ignore", "tolerance", "grace")
        given = plans.Comparison.model_validate({name: getattr(body, name) for name in names})
    found = schedules.faults(given, now.world())
    until = body.until.timestamp() if body.until else at - given.grace
    since = body.since.timestamp() if body.since else until - (body.hours * 3600.0 if body.hours else window)
    if since >= until:
        found.append(problems.Fault("window", "开始时间应早于结束时间", "the window ends before it begins", ("since",)))
    if found:
        raise problems.Problem("invalid", faults=found)
    return runs.New(
        given.left.connection, given.right.connection, given.entity, (since, until), given.spec(), key, who
    )  # fmt: skip


@routes.get("/{id}", operation_id="reconciliation_get", summary="对账详情 Reconciliation",
            responses=schema.responses(404))  # fmt: skip
async def one(request: Request, id: str) -> Reconciliation:
    """One comparison: how far it is, what it counted, what became of the findings."""
    async with services.of(request).ledger.read() as db:
        return await _detailed(db, await _get(db, id))


@routes.post("/{id}/cancel", operation_id="reconciliation_cancel", summary="取消对账 Cancel",
             responses=schema.responses(404, 409))  # fmt: skip
async def cancel(request: Request, id: str) -> Reconciliation:
    """Ends a comparison that waits or runs; what it found so far stays."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        row = await _get(db, id)
        if not await runs.cancel(db, row.id):
            raise problems.Problem("conflict", f"对账已是 {row.state}", f"it is {row.state} already")
        await audit.append(db, hub.sealer, hub.clock(), who.name, "reconciliation.cancel", f"reconciliation/{id}")
        return await _detailed(db, await _get(db, id))


@routes.get("/{id}/findings", operation_id="reconciliation_findings", summary="对账差异 Findings",
            responses=schema.responses(400, 404))  # fmt: skip
async def listed(
    request: Request,
    id: str,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    kind: Kind | None = None,
    state: FindingState | None = None,
    reveal: event_api.Reveal = False,
) -> Findings:
    """What was found, in the order it was found; values masked unless an operator asks to see them in full."""
    async with services.of(request).ledger.read() as db:
        row = await _get(db, id)
    await event_api.allow(request, f"reconciliation/{row.id}", reveal)
    wanted = findings.Filter(row.id, kind, state)
    async with services.of(request).ledger.read() as db:
        found = await findings.search(db, wanted, limit=limit + 1, after=paging.before(cursor) or 0)
    page, more = paging.newest(found, limit, lambda one: one.id)
    return Findings(items=[_finding(one, reveal=reveal) for one in page], next_cursor=more)


def _finding(found: findings.Found, *, reveal: bool) -> Finding:
    return Finding(
        id=str(found.id), kind=found.kind, number=found.number,
        left_record=found.left_record, right_record=found.right_record,
        link=str(found.link_id) if found.link_id is not None else None,
        fields=[FieldDifference.model_validate(each) for each in report.fields(found, reveal=reveal)],
        state=found.state,
        event_id=str(found.event_id) if found.event_id is not None else None,
        words=paging.Words.model_validate(found.detail) if found.detail else None,
        created_at=paging.instant(found.created_at), ended_at=paging.moment(found.ended_at),
    )  # fmt: skip


@routes.get("/{id}/export", operation_id="reconciliation_export", summary="导出差异 Export",
            responses={**schema.responses(404), 200: {"content": {sheet.CSV: {}, sheet.XLSX: {}}}},
            response_class=Response)  # fmt: skip
async def export(
    request: Request,
    id: str,
    format: Literal["csv", "xlsx"] = "csv",
    kind: Kind | None = None,
    state: FindingState | None = None,
    reveal: event_api.Reveal = False,
) -> Response:
    """The findings as a table; nothing in it can act as a formula."""
    ledger = services.of(request).ledger
    async with ledger.read() as db:
        row = await _get(db, id)
    await event_api.allow(request, f"reconciliation/{row.id}", reveal)
    wanted = findings.Filter(row.id, kind, state)
    name = f"reconciliation-{row.id}.{format}"
    if format == "csv":
        head = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(report.csv_pieces(ledger, wanted, reveal=reveal), media_type=sheet.CSV, headers=head)
    with tempfile.NamedTemporaryFile(suffix=".xlsx", delete=False) as made:
        path = Path(made.name)
    await report.workbook(ledger, wanted, path, reveal=reveal)
    return FileResponse(path, media_type=sheet.XLSX, filename=name, background=BackgroundTask(path.unlink))


def _selected(row: runs.Row, body: FindingSelection) -> findings.Filter:
    ids = None
    if body.ids is not None:
        ids = tuple(paging.row_id(one, "差异", "finding") for one in body.ids)
    return findings.Filter(row.id, body.kind, None, ids)


@routes.post("/{id}/repair", operation_id="reconciliation_repair", summary="修复差异 Repair",
             responses=schema.responses(404))  # fmt: skip
async def repair(request: Request, id: str, body: FindingSelection) -> Touched:
    """Mends one, some or all findings through the normal delivery path; each then follows its event."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        row = await _get(db, id)
        touched = await findings.ask(db, _selected(row, body))
        detail = {"touched": touched, **body.model_dump(exclude_none=True)}
        await audit.append(
            db, hub.sealer, hub.clock(), who.name, "reconciliation.repair", f"reconciliation/{id}", detail
        )
    return Touched(touched=touched)


@routes.post("/{id}/ignore", operation_id="reconciliation_ignore", summary="忽略差异 Ignore",
             responses=schema.responses(404))  # fmt: skip
async def ignore(request: Request, id: str, body: FindingSelection) -> Touched:
    """Leaves findings as they are."""
    hub, who = services.of(request), security.principal(request)
    words = {"zh": f"由 {who.name} 忽略", "en": f"ignored by {who.name}"}
    async with hub.ledger.write() as db:
        row = await _get(db, id)
        touched = await findings.ignore(db, _selected(row, body), words)
        detail = {"touched": touched, **body.model_dump(exclude_none=True)}
        await audit.append(
            db, hub.sealer, hub.clock(), who.name, "reconciliation.ignore", f"reconciliation/{id}", detail
        )
    return Touched(touched=touched)

"""Events: finding one by what people have in hand, and telling its whole story."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import jsontext
from gateway import privacy, problems, schema, security
from gateway.api import deliveries as delivery_api
from gateway.api import links as link_api
from gateway.api import paging, services
from mappings import canonical
from retry_queue import replay
from retry_queue.ledger import audit, connections, deliveries, events, records
from retry_queue.ledger import customers as people
from retry_queue.sync import identity, plan

routes = APIRouter(prefix="/events", tags=["events"])
Reveal = Annotated[bool, Query(description="Show personal data in full; operators and above, and it is audited")]


class Event(paging.Part):
    """One fact from a source."""

    id: Annotated[str, Field(examples=["42"])]
    connection: str
    source: Annotated[str, Field(description="Which door it came through")]
    message: str
    entity: str | None
    record: Annotated[str | None, Field(description="The record's id in the source")]
    number: Annotated[str | None, Field(description="What people read on paper")]
    state: Annotated[str, Field(examples=["planned"], description="received, planned, skipped or parked")]
    reason: str | None = None
    words: paging.Words | None = None
    occurred_at: datetime | None = None
    received_at: datetime
    trace: str
    hop: int


class Events(paging.Page):
    items: list[Event]


class EventDetail(Event):
    """One event with its bodies; personal data masked unless revealed."""

    failures: int
    mapping: str | None
    payload: Any
    canonical: Any = None
    revealed: bool = False


class EventStep(paging.Part):
    """One step of an event's way, in words."""

    at: datetime
    kind: Annotated[str, Field(examples=["received"])]
    words: paging.Words


class Timeline(paging.Part):
    """The whole story: what came in, what was decided and why, every delivery with its attempts, the links."""

    event: Event
    steps: list[EventStep]
    deliveries: list[delivery_api.DeliveryDetail]
    links: list[link_api.Record]


class ReplayResult(paging.Part):
    """What was set going again."""

    events: list[str]
    deliveries: list[str]


def _words(reason: str | None, detail: dict[str, Any] | None) -> paging.Words | None:
    said = detail or plan.SKIPS.get(reason or "")
    return paging.Words.model_validate(said) if said else None


def _fields(found: events.Found) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "connection": found.connection_key,
        "source": found.source,
        "message": found.message,
        "entity": found.entity,
        "record": found.record,
        "number": found.number,
        "state": found.state,
        "reason": found.reason,
        "words": _words(found.reason, found.detail),
        "occurred_at": paging.moment(found.occurred_at),
        "received_at": paging.instant(found.received_at),
        "trace": found.trace,
        "hop": found.hop,
    }


@routes.get("", operation_id="event_list", summary="查询事件 Search", responses=schema.responses(400))
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Order number, record id, a customer's phone or mail; exact")
    ] = None,
    connection: Annotated[str | None, Query(max_length=80)] = None,
    entity: Annotated[str | None, Query(max_length=40)] = None,
    message: Annotated[str | None, Query(max_length=80)] = None,
    state: Annotated[str | None, Query(pattern="^(received|planned|skipped|parked)$")] = None,
    reason: Annotated[str | None, Query(max_length=60)] = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Events:
    """Events, the newest first. ``q`` finds everything about a record or a customer, in every linked system."""
    hub = services.of(request)
    text = q.strip() if q else None
    async with hub.ledger.read() as db:
        named = []
        if text:
            keys = [row.key for row in await connections.all_rows(db)]
            named = await events.refs(db, text, keys, canonical.MODELS) + await _about(db, hub, text)
        rows = await events.search(
            db,
            limit=limit + 1,
            before=paging.before(cursor),
            text=text or None,
            named=named,
            connection_key=connection,
            entity=entity,
            message=message,
            state=state,
            reason=reason,
            since=since.timestamp() if since else None,
            until=until.timestamp() if until else None,
        )
    page, more = paging.newest(rows, limit, lambda one: one.id)
    return Events(items=[Event(**_fields(one)) for one in page], next_cursor=more)


async def _about(db: AsyncConnection, hub: services.Services, text: str) -> list[records.Known]:
    """Records of the customers whom a phone, a mail or an id names, and what names them; compared by keyed digests."""
    marks = identity.asked(hub.sealer, text, await people.kinds(db))
    groups = await people.mentioning(db, marks)
    groups |= await records.groups(db, await people.named(db, marks, text))
    return [one for link in sorted(groups) for one in groups[link]]


async def found(db: AsyncConnection, id: str) -> events.Story:
    """One event's story by the id of the path; raises the problem not_found."""
    story = await events.get(db, paging.row_id(id, "事件", "event"))
    if story is None:
        raise problems.Problem("not_found", f"没有事件 {id}", f"no event {id}")
    return story


def _parsed(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return jsontext.loads(text)
    except jsontext.JsonError:
        return text


@routes.get("/{id}", operation_id="event_get", summary="事件详情 Event", responses=schema.responses(404))
async def one(request: Request, id: str, reveal: Reveal = False) -> EventDetail:
    """One event with payload and canonical form, masked unless an operator asks to see it in full."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        story = await found(db, id)
    await allow(request, f"event/{story.id}", reveal)
    payload, mapped = _parsed(story.payload), _parsed(story.canonical)
    if not reveal:
        payload, mapped = privacy.masked(payload), privacy.masked(mapped)
    return EventDetail(
        **_fields(story), failures=story.failures, mapping=story.mapping, payload=delivery_api.plain(payload),
        canonical=delivery_api.plain(mapped), revealed=reveal,
    )  # fmt: skip


async def allow(request: Request, what: str, reveal: bool) -> None:
    """Lets operators see personal data, and writes down who did."""
    if not reveal:
        return
    hub, who = services.of(request), security.principal(request)
    if who.role < security.REVEAL:
        raise problems.Problem("forbidden", "查看完整个人信息需要 operator 角色", "seeing personal data needs operator")
    async with hub.ledger.write() as db:
        await audit.append(db, hub.sealer, hub.clock(), who.name, "personal_data.reveal", what)


@routes.get("/{id}/timeline", operation_id="event_timeline", summary="事件轨迹 Timeline",
            responses=schema.responses(404))  # fmt: skip
async def timeline(request: Request, id: str, reveal: Reveal = False) -> Timeline:
    """Received, planned or skipped and why, every delivery with every attempt, and the linked records."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        story = await found(db, id)
        owed = await deliveries.of_event(db, story.id)
        tries = await deliveries.attempts(db, [one.id for one in owed])
        group = await events.group_of(db, story.connection_key, story.entity, story.record)
    await allow(request, f"event/{story.id}", reveal)
    return Timeline(
        event=Event(**_fields(story)),
        steps=_steps(story, owed, tries),
        deliveries=[delivery_api.detailed(one, tries[one.id], reveal=reveal) for one in owed],
        links=[link_api.shown(one) for one in group],
    )


def _steps(
    story: events.Story, owed: list[deliveries.Found], tries: dict[int, list[deliveries.Attempt]]
) -> list[EventStep]:
    came = f"（{story.source} / {story.message}）"
    steps = [
        _step(story.received_at, "received", f"收到来自 {story.connection_key} 的消息{came}",
              f"received from {story.connection_key} ({story.source} / {story.message})")
    ]  # fmt: skip
    reason = _words(story.reason, story.detail)
    if story.state in ("skipped", "parked") and reason is not None:
        zh = "无需处理" if story.state == "skipped" else "挂起"
        steps.append(_step(story.received_at, story.state, f"{zh}：{reason.zh}", f"{story.state}: {reason.en}"))
    if owed:
        names = ", ".join(f"{one.connection_key} {one.operation}" for one in owed)
        first = min(one.created_at for one in owed)
        steps.append(_step(first, "planned", f"计划投递 {len(owed)} 项：{names}", f"{len(owed)} to deliver: {names}"))
    for one in owed:
        where = f"{one.connection_key} {one.operation}"
        for attempt in tries[one.id]:
            came_to = _OUTCOMES.get(attempt.outcome, attempt.outcome)
            said = attempt.words or {}
            zh = "：".join(filter(None, (f"{where} 第 {attempt.attempt} 次尝试", came_to, said.get("zh"))))
            en = ": ".join(filter(None, (f"{where}, attempt {attempt.attempt}", attempt.outcome, said.get("en"))))
            steps.append(_step(attempt.at, "attempt", zh, en))
        if one.settled_at is not None:
            why = delivery_api.words_of(one)
            # Written in one transaction; the attempt's own clock reading comes a moment later.
            ended = max([one.settled_at, *(attempt.at for attempt in tries[one.id])])
            steps.append(
                _step(
                    ended,
                    one.state,
                    f"{where}：{_STATES.get(one.state, one.state)} {why.zh if why else ''}",
                    f"{where}: {one.state} {why.en if why else ''}",
                )
            )
    return sorted(steps, key=lambda step: step.at)


_OUTCOMES = {
    "delivered": "成功",
    "retry": "失败，稍后自动重试",
    "wait": "稍后再试",
    "park": "挂起，等待人工",
    "pause": "授权失效，连接已暂停",
    "dead": "失败，不再重试",
    "skip": "跳过",
}
_STATES = {"delivered": "已送达", "dead": "死信", "skipped": "跳过", "superseded": "被更新的状态取代"}


def _step(at: float, kind: str, zh: str, en: str) -> EventStep:
    return EventStep(at=paging.instant(at), kind=kind, words=paging.Words(zh=zh.strip(), en=en.strip()))


@routes.post("/{id}/replay", operation_id="event_replay", summary="重放事件 Replay",
             responses=schema.responses(404, 409))  # fmt: skip
async def again(request: Request, id: str) -> ReplayResult:
    """Plans a parked or skipped event anew; of a planned one, delivers again what is dead or parked."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        story = await found(db, id)
        done = await replay.event(db, hub.ledger.slot, story.id)
        if not done.events and not done.deliveries:
            raise problems.Problem(
                "conflict", "没有可重放的内容：已送达或正在处理", "nothing to replay: delivered or under way"
            )
        await audit.append(db, hub.sealer, hub.clock(), who.name, "event.replay", f"event/{id}")
    hub.ring()
    return ReplayResult(events=[str(i) for i in done.events], deliveries=[str(i) for i in done.deliveries])

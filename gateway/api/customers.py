"""Customers: one person over all systems, what belongs to them, and who may be the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import erasing, privacy, problems, schema, security
from gateway.api import deliveries as delivery_api
from gateway.api import events as event_api
from gateway.api import links as link_api
from gateway.api import paging, services
from gateway.api import timers as timer_api
from retry_queue.ledger import audit, erasure, events, links, matches, records, timers
from retry_queue.ledger import connections as connection_rows
from retry_queue.ledger import customers as people
from retry_queue.sync import about, identity
from retry_queue.sync import site as sites

routes = APIRouter(prefix="/customers", tags=["customers"])
MOST = 100
"""Deliveries and timers of one customer that are shown."""
PROFILE = ("name", "short_name", "kind", "gender", "phone", "email", "company", "level", "owner", "channel", "tags")


class Identity(paging.Part):
    """One way the person is known somewhere; the value is masked unless revealed."""

    kind: str
    value: str


class Customer(paging.Part):
    """One person or company. ``profile`` takes each field from the system that told it first."""

    link: str
    profile: dict[str, Any]
    connections: list[str]
    identities: list[Identity]
    records: int


class Customers(paging.Page):
    items: list[Customer]


class State(link_api.Record):
    """A record with its newest known state, masked unless revealed."""

    state: Any = None


class Thing(paging.Part):
    """An order, shipment or after-sale in all the systems that know it."""

    link: str
    records: list[State]


class SuggestedMatch(paging.Part):
    """Two customers that may be one."""

    id: str
    left: str
    right: str
    confidence: Annotated[float, Field(description="0 to 1")]
    reasons: list[dict[str, Any]]
    state: Literal["open", "accepted", "refused"]
    created_at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = None


class Matches(paging.Page):
    items: list[SuggestedMatch]


class Everything(Customer):
    """Everything about one customer over all channels."""

    known_as: list[State]
    things: Annotated[dict[str, list[Thing]], Field(description="Per entity: order, after_sale, shipment, …")]
    messages: list[delivery_api.Delivery]
    deliveries: list[delivery_api.Delivery]
    timers: list[timer_api.Timer]
    pieces: list[link_api.Piece]
    history: list[link_api.Joined]
    matches: list[SuggestedMatch]
    revealed: bool = False


class Erasure(paging.Part):
    """Why a customer is erased, for the audit log; no personal data in it."""

    reason: Annotated[str, Field(min_length=1, max_length=200, examples=["request 2026-117"])]


class Erased(paging.Part):
    """How much was emptied or removed."""

    link: str
    records: int
    events: int
    deliveries: int
    attempts: int
    identities: int


class MergeWith(paging.Part):
    """Who else this customer is."""

    others: Annotated[list[link_api.LinkId], Field(min_length=1, max_length=20)]
    reason: link_api.Reason = ""


def _read(one: records.Known) -> dict[str, Any]:
    found = orjson.loads(one.canonical) if one.canonical else {}
    return found if isinstance(found, dict) else {}


def _summary(link: int, group: Sequence[records.Known], *, reveal: bool) -> dict[str, Any]:
    told = [_read(one) for one in group]
    profile: dict[str, Any] = {}
    for field in PROFILE:
        profile[field] = next((state[field] for state in told if state.get(field) not in (None, "", [])), None)
    marks = [(str(one["kind"]), str(one["value"])) for state in told for one in state.get("identities") or ()]
    marks += [(kind, str(state[kind])) for kind in ("phone", "email") for state in told if state.get(kind)]
    known = [
        Identity(kind=kind, value=value if reveal else _hidden(kind, value)) for kind, value in dict.fromkeys(marks)
    ]
    return {
        "link": str(link),
        "profile": profile if reveal else privacy.masked(profile, "customer"),
        "connections": sorted({one.connection_key for one in group}),
        "identities": known,
        "records": len(group),
    }


def _hidden(kind: str, value: str) -> str:
    return str(privacy.masked(value, kind if kind in ("phone", "email") else "value", {"identities"}))


def _state(one: records.Known, *, reveal: bool) -> State:
    told = _read(one)
    return State(
        **link_api.shown(one).model_dump(),
        state=delivery_api.plain(told if reveal else privacy.masked(told, one.entity)) or None,
    )


def _match(one: matches.Match, names: dict[int, int]) -> SuggestedMatch:
    left, right = (str(names.get(name, name)) for name in (one.left_link, one.right_link))
    return SuggestedMatch(
        id=str(one.id), left=left, right=right, confidence=one.confidence, reasons=one.reasons,
        state=one.state, created_at=paging.instant(one.created_at), settled_at=paging.moment(one.settled_at),
        settled_by=one.settled_by,
    )  # fmt: skip


async def _matches(db: AsyncConnection, found: Sequence[matches.Match]) -> list[SuggestedMatch]:
    names = await links.current(db, {name for one in found for name in (one.left_link, one.right_link)})
    return [_match(one, names) for one in found]


@routes.get("", operation_id="customer_list", summary="客户 Customers", responses=schema.responses(400))
async def every(
    request: Request,
    q: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="A phone (masked ones too), mail, any id or number"),
    ] = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> Customers:
    """Customers, the newest first; with ``q`` those whom it names. Identifiers are compared by keyed digests."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        if q is None:
            rows = await people.newest(db, limit + 1, paging.before(cursor))
            page, more = paging.newest(rows, limit, lambda link: link)
        else:
            found = await _named(db, hub, q.strip())
            page, more = paging.sliced(sorted(found), limit, cursor, lambda link: f"{link:018d}")
        groups = await records.groups(db, page)
    shown = [Customer(**_summary(link, groups[link], reveal=False)) for link in page if link in groups]
    return Customers(items=shown, next_cursor=more)


async def _named(db: AsyncConnection, hub: services.Services, text: str) -> set[int]:
    found = await people.named(db, identity.asked(hub.sealer, text, await people.kinds(db)), text)
    keys = [row.key for row in await connection_rows.all_rows(db)]
    return found | {one.link_id for one in await events.refs(db, text, keys, [about.PEOPLE])
                    if one.entity == about.PEOPLE}  # fmt: skip


@routes.get("/matches", operation_id="match_list", summary="疑似同一客户 Suggestions", responses=schema.responses(400))
async def suggestions(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    state: Literal["open", "accepted", "refused"] | None = "open",
) -> Matches:
    """Customers that may be one person, the newest first, each with its reasons."""
    async with services.of(request).ledger.read() as db:
        rows = await matches.search(db, limit=limit + 1, before=paging.before(cursor), state=state)
        page, more = paging.newest(rows, limit, lambda one: one.id)
        return Matches(items=await _matches(db, page), next_cursor=more)


async def _open(db: AsyncConnection, id: str) -> matches.Match:
    found = await matches.get(db, paging.row_id(id, "建议", "suggestion"))
    if found is None:
        raise problems.Problem("not_found", f"没有建议 {id}", f"no suggestion {id}")
    if found.state != matches.OPEN:
        raise problems.Problem("conflict", "该建议已处理", f"this suggestion is {found.state}")
    return found


@routes.post("/matches/{id}/accept", operation_id="match_accept", summary="确认为同一客户 Accept",
             responses=schema.responses(404, 409))  # fmt: skip
async def accept(request: Request, id: str) -> link_api.Link:
    """They are one: joins the two customers."""
    async with services.of(request).ledger.read() as db:
        found = await _open(db, id)
    return await link_api.join(request, [str(found.left_link), str(found.right_link)], f"match {id}", about.PEOPLE)


@routes.post("/matches/{id}/refuse", operation_id="match_refuse", summary="不是同一客户 Refuse",
             responses=schema.responses(404, 409))  # fmt: skip
async def refuse(request: Request, id: str) -> SuggestedMatch:
    """They are not: they stay apart, also when the same evidence comes again."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        found = await _open(db, id)
        try:
            await links.keep_apart(db, found.left_link, found.right_link, who.name)
        except links.Refused as refused:
            raise problems.Problem("conflict", refused.zh, refused.en) from None
        await matches.settle(db, found.id, matches.REFUSED, who.name)
        await audit.append(db, hub.sealer, hub.clock(), who.name, "match.refuse", f"match/{id}")
        (shown,) = await _matches(db, [one for one in [await matches.get(db, found.id)] if one is not None])
    return shown


@routes.get("/{link}", operation_id="customer_get", summary="客户全景 Customer 360°", responses=schema.responses(404))
async def one(request: Request, link: str, reveal: event_api.Reveal = False) -> Everything:
    """Records per system, identities, orders, after-sales, shipments, messages, timers, how it was joined."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        name, group = await _customer(db, link)
        known = await erasing.belonging(db, hub.sealer, group)
        rows = {one.id for one in group} | {one.id for those in known.values() for one in those}
        owed = await people.owed(db, rows, MOST)
        waiting = await timers.search(db, limit=MOST, record_ids=rows)
        past = await links.steps(db, [one.id for one in group])
        names = {name, *(step.was for step in past), *(step.became for step in past)}
        offered = await _matches(db, await matches.search(db, limit=50, state=matches.OPEN, links_=names))
    await event_api.allow(request, f"customer/{name}", reveal)
    things: dict[str, list[Thing]] = {}
    for other, those in sorted(known.items(), reverse=True):
        thing = Thing(link=str(other), records=[_state(one, reveal=reveal) for one in those])
        things.setdefault(those[0].entity, []).append(thing)
    joined = link_api.whole(name, group, past)
    sent = [delivery_api.shown(one) for one in owed]
    told = _messages(hub.site(), sent)
    return Everything(
        **_summary(name, group, reveal=reveal),
        known_as=[_state(one, reveal=reveal) for one in group],
        things=things,
        messages=[one for one in sent if one.id in told],
        deliveries=[one for one in sent if one.id not in told],
        timers=[timer_api.shown(one) for one in waiting],
        pieces=joined.pieces,
        history=joined.history,
        matches=offered,
        revealed=reveal,
    )


async def _customer(db: AsyncConnection, id: str) -> tuple[int, list[records.Known]]:
    name, group = await link_api.group_of(db, id)
    if not group or group[0].entity != about.PEOPLE:
        raise problems.Problem("not_found", f"没有客户 {id}", f"no customer {id}")
    return name, group


def _messages(site: sites.Site, sent: Iterable[delivery_api.Delivery]) -> set[str]:
    """Deliveries that told somebody something."""
    found = set()
    for one in sent:
        operation = site.operation(one.connection, one.operation)
        route = site.routes.get(one.route)
        templated = route is not None and any(
            each.target.template and each.target.operation == one.operation for each in route.targets
        )
        if templated or (operation is not None and operation.entity == "message"):
            found.add(one.id)
    return found


@routes.post("/{link}/merge", operation_id="customer_merge", summary="合并客户 Merge",
             responses=schema.responses(404, 409))  # fmt: skip
async def merge(request: Request, link: str, body: MergeWith) -> link_api.Link:
    """These are one customer, whatever was thought before."""
    return await link_api.join(request, [link, *body.others], body.reason, about.PEOPLE)


@routes.post("/{link}/split", operation_id="customer_split", summary="拆分客户 Un-merge",
             responses=schema.responses(404, 409))  # fmt: skip
async def split(request: Request, link: str, body: link_api.Split) -> link_api.Parted:
    """They were joined wrongly: restores an earlier group (``piece``) or parts some records, and remembers it."""
    async with services.of(request).ledger.read() as db:
        await _customer(db, link)
    return await link_api.part(request, link, body)


@routes.post("/{link}/erase", operation_id="customer_erase", summary="删除客户个人信息 Erase",
             responses=schema.responses(404, 409))  # fmt: skip
async def erase(request: Request, link: str, body: Erasure) -> Erased:
    """Removes a person from bodies, attempts, merged records and identities; the ledger stays balanced.

    It cannot be undone, and does not reach other systems: what they send again comes in again.
    """
    hub, who = services.of(request), security.principal(request)
    number = paging.row_id(link, "客户", "customer")
    try:
        async with hub.ledger.write() as db:
            done = await erasing.customer(
                db, hub.sealer, hub.ledger.slot, number, who.name, body.reason, hub.clock()
            )  # fmt: skip
    except erasure.UnderWay as busy:
        zh = f"有 {busy.events} 个事件、{busy.deliveries} 个投递正在处理，请在它们结束后重试"
        raise problems.Problem("conflict", zh, f"{busy}; try again when they have ended") from None
    if done is None:
        raise problems.Problem("not_found", f"没有客户 {link[:40]}", f"no customer {link[:40]}")
    return Erased(
        link=link, records=done.records, events=done.events, deliveries=done.deliveries, attempts=done.attempts,
        identities=done.identities,
    )  # fmt: skip

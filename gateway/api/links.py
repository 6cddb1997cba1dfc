"""Links: which record here is which record there, how that came about, and joining or parting them by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, schema, security
from gateway.api import paging, services
from mappings import canonical
from retry_queue.ledger import audit, connections, events, matches, records
from retry_queue.ledger import links as joining
from retry_queue.sync import claiming

routes = APIRouter(prefix="/links", tags=["links"])
LinkId = Annotated[str, Field(pattern="^[0-9]{1,18}$", examples=["42"])]
Reason = Annotated[str, Field(max_length=200, description="Why, for the history")]


class Record(paging.Part):
    """One record in one system."""

    connection: str
    entity: str
    record: Annotated[str, Field(description="Its id there")]
    number: str | None
    link: Annotated[str, Field(description="Records with one link are one thing")]
    version_at: datetime | None = None
    wrote_at: Annotated[datetime | None, Field(description="When we last wrote to it")] = None


class Joined(paging.Part):
    """One step in how a record came to be linked, or was parted again."""

    record: str
    was: str
    became: str
    cause: str
    by: Annotated[str | None, Field(description="The person; absent when the hub did it itself")] = None
    at: datetime


class Piece(paging.Part):
    """A group of which the link was joined last; parting its records restores it."""

    link: str
    records: list[str]


class Link(paging.Part):
    """One thing in all the systems that know it; a system may know it as several records."""

    link: str
    entity: str
    shape: Annotated[str, Field(description="How many records per connection", examples=["shop:1, wms:2"])]
    records: list[Record]
    pieces: list[Piece] = Field(default_factory=list)
    history: list[Joined]


class Links(paging.Page):
    items: list[Link]


class Ref(paging.Part):
    """A record in one system."""

    connection: Annotated[str, Field(max_length=80)]
    record: Annotated[str, Field(max_length=200)]


class Merge(paging.Part):
    """Which links are one. The oldest gives its name."""

    links: Annotated[list[LinkId], Field(min_length=2, max_length=20)]
    reason: Reason = ""


class Split(paging.Part):
    """What is parted from a link: some records, or an earlier group by the name it had (``piece``)."""

    records: Annotated[list[Ref], Field(max_length=200)] = Field(default_factory=list)
    piece: LinkId | None = None
    reason: Reason = ""


class Parted(paging.Part):
    """The two links there are now."""

    rest: Link
    parted: Link


def shown(known: records.Known) -> Record:
    """A record as the API shows it."""
    return Record(
        connection=known.connection_key, entity=known.entity, record=known.record, number=known.number,
        link=str(known.link_id), version_at=paging.moment(known.version), wrote_at=paging.moment(known.wrote_at),
    )  # fmt: skip


def name(known: records.Known) -> str:
    return f"{known.connection_key}/{known.entity}/{known.record}"


def whole(link: int, group: Sequence[records.Known], past: Iterable[joining.Step]) -> Link:
    """A link as the API shows it."""
    names = {one.id: name(one) for one in group}
    steps = [one for one in past if one.record_id in names]
    counts = Counter(one.connection_key for one in group)
    pieces = joining.earlier(link, group, steps)
    return Link(
        link=str(link),
        entity=group[0].entity if group else "",
        shape=", ".join(f"{key}:{n}" for key, n in sorted(counts.items())),
        records=[shown(one) for one in group],
        pieces=[Piece(link=str(was), records=[names[i] for i in ids]) for was, ids in sorted(pieces.items())]
        if len(pieces) > 1
        else [],
        history=[
            Joined(record=names[one.record_id], was=str(one.was), became=str(one.became), cause=one.cause, by=one.by,
                   at=paging.instant(one.at))
            for one in steps
        ],
    )  # fmt: skip


@routes.get("", operation_id="link_find", summary="主键对照 Find links")
async def find(
    request: Request,
    q: Annotated[
        str, Query(min_length=1, max_length=200, description="An id in any system, or a number", examples=["SO1"])
    ],
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> Links:
    """Everything linked with records of this id or number."""
    async with services.of(request).ledger.read() as db:
        keys = [row.key for row in await connections.all_rows(db)]
        found = await events.refs(db, q.strip(), keys, canonical.MODELS)
        past = await joining.steps(db, [one.id for one in found])
    groups: dict[int, list[records.Known]] = {}
    for one in found:
        groups.setdefault(one.link_id, []).append(one)
    page, more = paging.sliced(list(groups), limit, cursor, lambda link: f"{link:018d}")
    return Links(items=[whole(link, groups[link], past) for link in page], next_cursor=more)


async def group_of(db: AsyncConnection, id: str) -> tuple[int, list[records.Known]]:
    """A link by any name it ever had, and its records. Raises the problem ``not_found``."""
    asked = paging.row_id(id, "关联", "link")
    link = (await joining.current(db, [asked])).get(asked)
    if link is None:
        raise problems.Problem("not_found", f"没有关联 {id}", f"no link {id}")
    return link, (await records.groups(db, [link]))[link]


async def _one(db: AsyncConnection, link: int) -> Link:
    group = (await records.groups(db, [link]))[link]
    return whole(link, group, await joining.steps(db, [one.id for one in group]))


@routes.get("/{id}", operation_id="link_get", summary="一组关联 Link", responses=schema.responses(404))
async def one(request: Request, id: str) -> Link:
    """One link with its history, by any name it ever had."""
    async with services.of(request).ledger.read() as db:
        link, _ = await group_of(db, id)
        return await _one(db, link)


@routes.post("/merge", operation_id="link_merge", summary="合并关联 Merge", responses=schema.responses(404, 409))
async def merge(request: Request, body: Merge) -> Link:
    """Joins links into one: a parent order with its parts, or a customer who was there twice.

    What waits to be written goes on in one order; what a person parted before is together again.
    """
    return await join(request, body.links, body.reason, None)


async def join(request: Request, ids: Iterable[str], reason: str, entity: str | None) -> Link:
    """Joins links by a person's word, audited; only of one ``entity`` where that is given."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        wanted = {}
        for id in dict.fromkeys(ids):
            link, group = await group_of(db, id)
            wanted[link] = group
        if entity is not None and any(one.entity != entity for group in wanted.values() for one in group):
            raise problems.Problem("not_found", "其中有的不是客户", "not all of these are customers")
        try:
            became = await joining.merge(db, wanted, reason or joining.PERSON, who.name)
        except joining.Refused as refused:
            raise problems.Problem("conflict", refused.zh, refused.en) from None
        if not became:
            raise problems.Problem("conflict", "它们已经是同一组", "they are one link already")
        keeper = next(iter(became.values()))
        await claiming.join(db, wanted[keeper][0].entity, sorted(became.items()))
        await matches.settle_joined(db, [*became, *became.values()], who.name)
        detail = {"joined": sorted(str(one) for one in became), "reason": reason}
        await audit.append(db, hub.sealer, hub.clock(), who.name, "link.merge", f"link/{keeper}", detail)
        found = await _one(db, keeper)
    hub.ring()
    return found


@routes.post("/{id}/split", operation_id="link_split", summary="拆分关联 Split", responses=schema.responses(404, 409))
async def split(request: Request, id: str, body: Split) -> Parted:
    """Parts records from a link, or restores an earlier group; nothing joins them again but a person."""
    return await part(request, id, body)


async def part(request: Request, id: str, body: Split) -> Parted:
    """Parts a link by a person's word, audited."""
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        link, group = await group_of(db, id)
        wanted = {(one.connection, one.record) for one in body.records}
        ids = {one.id for one in group if (one.connection_key, one.record) in wanted}
        if len(ids) < len(wanted):
            raise problems.Problem("conflict", "有的记录不在该关联中", "some of these records are not in the link")
        if body.piece is not None:
            past = await joining.steps(db, [one.id for one in group])
            ids |= set(joining.earlier(link, group, past).get(int(body.piece), ()))
        try:
            rest, gone = await joining.split(db, link, ids, who.name, body.reason or joining.SPLIT)
        except joining.Refused as refused:
            raise problems.Problem("conflict", refused.zh, refused.en) from None
        detail = {"parted": sorted(name(one) for one in group if one.id in ids), "reason": body.reason}
        await audit.append(db, hub.sealer, hub.clock(), who.name, "link.split", f"link/{link}", detail)
        found = Parted(rest=await _one(db, rest), parted=await _one(db, gone))
    hub.ring()
    return found

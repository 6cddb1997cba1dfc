"""Links: which record here is which record there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from gateway.api import paging, services
from mappings import canonical
from retry_queue.ledger import connections, events, records

routes = APIRouter(prefix="/links", tags=["links"])


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
    """One step in how records came together."""

    record: str
    was: str
    became: str
    cause: str
    at: datetime


class Link(paging.Part):
    """One thing in all the systems that know it."""

    link: str
    records: list[Record]
    history: list[Joined]


class Links(paging.Page):
    items: list[Link]


def shown(known: records.Known) -> Record:
    """A record as the API shows it."""
    return Record(
        connection=known.connection_key, entity=known.entity, record=known.record, number=known.number,
        link=str(known.link_id), version_at=paging.moment(known.version), wrote_at=paging.moment(known.wrote_at),
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
        past = await events.history(db, [one.id for one in found])
    groups: dict[int, list[records.Known]] = {}
    for one in found:
        groups.setdefault(one.link_id, []).append(one)
    page, more = paging.sliced(list(groups), limit, cursor, lambda link: f"{link:018d}")
    items = []
    for link in page:
        names = {one.id: f"{one.connection_key}/{one.entity}/{one.record}" for one in groups[link]}
        steps = [
            Joined(
                record=names[one.record_id], was=str(one.was), became=str(one.became), cause=one.cause,
                at=paging.instant(one.at),
            )
            for one in past
            if one.record_id in names
        ]  # fmt: skip
        items.append(Link(link=str(link), records=[shown(one) for one in groups[link]], history=steps))
    return Links(items=items, next_cursor=more)

"""Versions of mappings: what was published when, what differs, and going back."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, schema, security
from gateway.api import mappings as mapping_api
from gateway.api import paging, services
from mappings import library
from retry_queue.ledger import audit, configuration

routes = APIRouter(prefix="/mappings", tags=["mappings"])
Version = Annotated[int, Field(ge=0, description="0 is the shipped text")]


class VersionSummary(paging.Part):
    """One published text."""

    version: Version
    published: Annotated[bool, Field(description="Whether it is in force")]
    created_by: str | None = None
    created_at: datetime | None = None


class Versions(paging.Page):
    items: list[VersionSummary]


class VersionText(VersionSummary):
    body: str


class VersionLine(paging.Part):
    """A unified diff, line by line: ``kind`` is same, added, removed or place."""

    kind: Annotated[str, Field(examples=["added"])]
    text: str


class Differences(paging.Part):
    before: Version
    after: Version
    lines: list[VersionLine]


class Rollback(paging.Part):
    """Which version holds again; its text is published anew, so that history only grows."""

    version: Version


async def _rows(db: AsyncConnection, place: tuple[str, str]) -> list[configuration.MappingRow]:
    every = await configuration.mappings(db, published=False)
    return [row for row in every if (row.connector, row.name) == place]


def _text(place: tuple[str, str], rows: list[configuration.MappingRow], version: int) -> str:
    if version == 0 and place in library.names():
        return library.text(*place)
    for row in rows:
        if row.version == version:
            return row.body
    shown = "/".join(place)[:100]
    raise problems.Problem("not_found", f"字段映射 {shown} 没有版本 {version}", f"{shown} has no version {version}")


def _known(place: tuple[str, str], rows: list[configuration.MappingRow]) -> None:
    if not rows and place not in library.names():
        raise mapping_api.missing(place)


@routes.get(
    "/{connector}/{name}/versions",
    operation_id="mapping_versions",
    summary="版本列表 Versions",
    responses=schema.responses(404),
)
async def every(
    request: Request, connector: str, name: str, limit: paging.Limit = 50, cursor: paging.Cursor = None
) -> Versions:
    """The site's versions, the newest first, and the shipped text as version 0."""
    place = (connector, name)
    async with services.of(request).ledger.read() as db:
        rows = await _rows(db, place)
    _known(place, rows)
    items = [
        VersionSummary(version=row.version, published=row.published, created_by=row.created_by,
                       created_at=paging.moment(row.created_at))
        for row in reversed(rows)
    ]  # fmt: skip
    if place in library.names():
        items.append(VersionSummary(version=0, published=not any(row.published for row in rows)))
    last = paging.before(cursor)
    rest = [one for one in items if last is None or one.version < last]
    page, more = paging.newest(rest, limit, lambda one: one.version)
    return Versions(items=list(page), next_cursor=more)


@routes.get("/{connector}/{name}/versions/{version}", operation_id="mapping_version", summary="版本内容 Version",
            responses=schema.responses(404))  # fmt: skip
async def one(request: Request, connector: str, name: str, version: int) -> VersionText:
    """The text of one version; it never changes."""
    place = (connector, name)
    async with services.of(request).ledger.read() as db:
        rows = await _rows(db, place)
    body = _text(place, rows, version)
    row = next((row for row in rows if row.version == version), None)
    published = row.published if row else not any(other.published for other in rows)
    return VersionText(version=version, published=published, body=body, created_by=row.created_by if row else None,
                       created_at=paging.moment(row.created_at) if row else None)  # fmt: skip


@routes.get(
    "/{connector}/{name}/diff", operation_id="mapping_diff", summary="版本对比 Diff", responses=schema.responses(404)
)
async def diff(
    request: Request,
    connector: str,
    name: str,
    before: Annotated[int, Query(ge=0, le=2**31 - 1)],
    after: Annotated[int, Query(ge=0, le=2**31 - 1)],
) -> Differences:
    """What changed between two versions, with three lines around each change."""
    place = (connector, name)
    async with services.of(request).ledger.read() as db:
        rows = await _rows(db, place)
    old, new = (_text(place, rows, version).splitlines() for version in (before, after))
    kinds = {"+": "added", "-": "removed", "@": "place"}
    found = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
    lines = [
        VersionLine(kind=kinds.get(line[:1], "same"), text=line if line[:1] == "@" else line[1:]) for line in found
    ]
    return Differences(before=before, after=after, lines=lines)


@routes.post("/{connector}/{name}/rollback", operation_id="mapping_rollback", summary="回滚 Roll back",
             responses=schema.responses(404, 412, 428))  # fmt: skip
async def rollback(
    request: Request, connector: str, name: str, body: Rollback, if_match: mapping_api.IfMatch = None
) -> VersionSummary:
    """An earlier text holds again. What is under way keeps the version it was planned with."""
    hub, who = services.of(request), security.principal(request)
    place = (connector, name)
    async with hub.change() as db:
        rows = await _rows(db, place)
        _known(place, rows)
        text = _text(place, rows, body.version)
        now = next((row for row in rows if row.published), None)
        paging.check_match(
            if_match, mapping_api.etag(now.version if now else 0, now.body if now else _text(place, rows, 0))
        )
        if body.version == 0:
            await configuration.withdraw_mapping(db, connector, name)
            version = 0
        else:
            version = await configuration.publish_mapping(db, connector, name, text, who.name, hub.clock())
        detail = {"to": body.version, "version": version}
        await audit.append(
            db, hub.sealer, hub.clock(), who.name, "mapping.rollback", f"mapping/{connector}/{name}", detail
        )
    return VersionSummary(version=version, published=True, created_by=who.name, created_at=paging.moment(hub.clock()))

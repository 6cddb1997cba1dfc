"""Field mappings: shipped ones, the site's own versions over them, and trying one out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Header, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, schema, security
from gateway.api import paging, services
from mappings import check, engine, errors, library, linter
from retry_queue.ledger import audit, configuration

routes = APIRouter(prefix="/mappings", tags=["mappings"])
IfMatch = Annotated[str | None, Header(description="The ETag you read")]
LONGEST = 512 * 1024


class MappingSummary(paging.Part):
    """A mapping in a list. ``version`` 0 is the shipped one."""

    connector: Annotated[str, Field(examples=["crm"])]
    name: Annotated[str, Field(examples=["customer"])]
    entity: str | None = None
    shipped: Annotated[bool, Field(description="Whether the product brings one of this name")]
    version: int
    reads: bool = False
    writes: bool = False
    created_by: str | None = None
    created_at: datetime | None = None


class Mappings(paging.Page):
    items: list[MappingSummary]


class Mapping(MappingSummary):
    """One mapping with its text."""

    body: Annotated[str, Field(description="YAML")]
    etag: str


class NewVersion(paging.Part):
    """The text to publish."""

    body: Annotated[str, Field(min_length=1, max_length=LONGEST, description="YAML")]


class Remark(paging.Part):
    """What the linter or a test says about a line."""

    level: Annotated[str, Field(examples=["error"])]
    line: int
    rule: str
    zh: str
    en: str


class Published(Mapping):
    """A published version with the remarks that are no errors."""

    remarks: list[Remark]


class Trial(paging.Part):
    """A record to map. Without ``body`` the mapping in force is tried; ``context`` is what ``@…`` reads."""

    connector: str
    name: str
    body: Annotated[str | None, Field(max_length=LONGEST)] = None
    way: Literal["from", "to"]
    record: Annotated[Any, Field(examples=[{"id": "C100007", "name": "孙明哲"}])]
    context: dict[str, Any] = Field(default_factory=dict)


class MappingFault(paging.Part):
    """Why it could not be mapped: file, rule and both paths."""

    file: str
    rule: str
    native: str
    canonical: str
    line: int | None = None
    zh: str
    en: str


class TrialResult(paging.Part):
    """The mapped record, or what is wrong."""

    ok: bool
    result: Any = None
    errors: list[MappingFault] = Field(default_factory=list)
    remarks: list[Remark] = Field(default_factory=list)


def etag(version: int, body: str) -> str:
    """The ETag of a mapping in force."""
    return f'"{version}.{security.digest(body)[:16]}"'


def _compiled(make: Callable[[], engine.Mapping]) -> engine.Mapping | None:
    try:
        return make()
    except errors.MappingError:
        return None


def _summary(place: tuple[str, str], row: configuration.MappingRow | None) -> dict[str, Any]:
    connector, name = place
    if row is None:
        made = _compiled(lambda: library.shipped(connector, name))
    else:
        made = _compiled(lambda: library.parse(row.body, f"{connector}/{name}"))
    return {
        "connector": connector,
        "name": name,
        "entity": made.spec.entity if made else None,
        "shipped": place in library.names(),
        "version": row.version if row else 0,
        "reads": bool(made and made.reads),
        "writes": bool(made and made.writes),
        "created_by": row.created_by if row else None,
        "created_at": paging.moment(row.created_at) if row else None,
    }


async def _published(connection: AsyncConnection) -> dict[tuple[str, str], configuration.MappingRow]:
    return {(row.connector, row.name): row for row in await configuration.mappings(connection)}


def _body(place: tuple[str, str], row: configuration.MappingRow | None) -> str | None:
    if row is not None:
        return row.body
    return library.text(*place) if place in library.names() else None


@routes.get("", operation_id="mapping_list", summary="字段映射列表 Mappings")
async def every(
    request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None, connector: str | None = None
) -> Mappings:
    """Shipped mappings and the site's own, by connector and name."""
    async with services.of(request).ledger.read() as connection:
        own = await _published(connection)
    places = sorted({*library.names(), *own})
    wanted = [place for place in places if connector is None or place[0] == connector]
    page, more = paging.sliced(wanted, limit, cursor, "/".join)
    items = await asyncio.to_thread(lambda: [MappingSummary(**_summary(place, own.get(place))) for place in page])
    return Mappings(items=items, next_cursor=more)


@routes.get("/{connector}/{name}", operation_id="mapping_get", summary="字段映射 Mapping",
            responses=schema.responses(404))  # fmt: skip
async def one(request: Request, response: Response, connector: str, name: str) -> Mapping:
    """The mapping in force with its text and ETag."""
    place = (connector, name)
    async with services.of(request).ledger.read() as connection:
        row = (await _published(connection)).get(place)
    body = _body(place, row)
    if body is None:
        raise missing(place)
    found = Mapping(**_summary(place, row), body=body, etag=etag(row.version if row else 0, body))
    response.headers["ETag"] = found.etag
    return found


def missing(place: tuple[str, str]) -> problems.Problem:
    """The problem not_found, for a mapping."""
    shown = "/".join(place)[:100]
    return problems.Problem("not_found", f"没有字段映射 {shown}", f"no mapping {shown}")


def examined(text: str, connector: str, file: str) -> tuple[list[problems.Fault], list[Remark]]:
    """Lints a text and runs its tests: what forbids publishing it, and what is only worth a look."""
    faults: list[problems.Fault] = []
    remarks: list[Remark] = []
    for one in linter.lint(text, file):
        if one.level == "error":
            place_zh = f"第 {one.line} 行" + (f"（规则 {one.rule}）" if one.rule else "")
            place_en = f"line {one.line}" + (f" (rule {one.rule})" if one.rule else "")
            faults.append(problems.Fault("mapping", f"{place_zh}：{one.zh}", f"{place_en}: {one.en}", ("body",)))
        else:
            remarks.append(Remark(level=one.level, line=one.line, rule=one.rule, zh=one.zh, en=one.en))
    if faults:
        return faults, remarks
    made = library.parse(text, file)
    if made.spec.connector != connector:
        zh = f"文件里写的 connector 是 {made.spec.connector}，应为 {connector}"
        faults.append(problems.Fault("connector", zh, f"the file says connector {made.spec.connector}", ("body",)))
    for result in check.run(made):
        if not result.passed:
            zh = f"测试「{result.name}」未通过：{result.problem}"
            faults.append(problems.Fault("test", zh, f"test '{result.name}' fails: {result.problem}", ("body",)))
    return faults, remarks


@routes.put("/{connector}/{name}", operation_id="mapping_publish", summary="发布字段映射 Publish",
            responses=schema.responses(404, 412, 428))  # fmt: skip
async def publish(
    request: Request, response: Response, connector: str, name: str, body: NewVersion, if_match: IfMatch = None
) -> Published:
    """Publishes a new version after lint and its own tests; earlier versions stay for what was planned with them."""
    hub, who = services.of(request), security.principal(request)
    place = (connector, name)
    if connector not in hub.site().connectors.ids():
        raise problems.Problem("not_found", f"没有连接器 {connector[:40]}", f"no connector {connector[:40]}")
    if not name.replace("_", "").isalnum() or not name.isascii() or len(name) > 60:
        zh, en = "名称只能用小写字母、数字和下划线", "a name has lower-case letters, digits and underscores"
        raise problems.Problem("invalid", faults=[problems.Fault("name", zh, en, (), "name")])
    faults, remarks = await asyncio.to_thread(examined, body.body, connector, f"{connector}/{name}")
    if faults:
        raise problems.Problem("invalid", faults=faults)
    async with hub.change() as connection:
        row = (await _published(connection)).get(place)
        present = _body(place, row)
        if present is not None:
            paging.check_match(if_match, etag(row.version if row else 0, present))
        version = await configuration.publish_mapping(connection, connector, name, body.body, who.name, hub.clock())
        detail = {"version": version, "checksum": security.digest(body.body)}
        what = f"mapping/{connector}/{name}"
        await audit.append(connection, hub.sealer, hub.clock(), who.name, "mapping.publish", what, detail)
        row = (await _published(connection))[place]
    found = Published(**_summary(place, row), body=row.body, etag=etag(row.version, row.body), remarks=remarks)
    response.headers["ETag"] = found.etag
    return found


@routes.delete("/{connector}/{name}", operation_id="mapping_withdraw", summary="恢复内置映射 Withdraw", status_code=204,
               responses=schema.responses(404, 412, 428))  # fmt: skip
async def withdraw(request: Request, connector: str, name: str, if_match: IfMatch = None) -> None:
    """Takes the site's version out of force: the shipped one, if any, is back."""
    hub, who = services.of(request), security.principal(request)
    place = (connector, name)
    async with hub.change() as connection:
        row = (await _published(connection)).get(place)
        if row is None:
            raise missing(place)
        paging.check_match(if_match, etag(row.version, row.body))
        await configuration.withdraw_mapping(connection, connector, name)
        what = f"mapping/{connector}/{name}"
        await audit.append(
            connection, hub.sealer, hub.clock(), who.name, "mapping.withdraw", what, {"version": row.version}
        )


@routes.post(
    "/preview", operation_id="mapping_preview", summary="试运行字段映射 Preview", responses=schema.responses(404)
)
async def preview(request: Request, body: Trial) -> TrialResult:
    """Maps one record and stores nothing. What does not map is an answer, not a problem."""
    hub = services.of(request)
    exact = json.loads(await request.body(), parse_float=Decimal)  # an amount must not become a float on the way
    file = f"{body.connector}/{body.name}"
    remarks: list[Remark] = []
    try:
        if body.body is not None:
            made = await asyncio.to_thread(library.parse, body.body, file)
            _, remarks = await asyncio.to_thread(examined, body.body, made.spec.connector, file)
        else:
            meaning = hub.site().meaning(body.connector, body.name)
            if meaning is None:
                raise missing((body.connector, body.name))
            made = meaning.mapping
        apply = made.from_native if body.way == "from" else made.to_native
        result = await asyncio.to_thread(apply, exact["record"], exact.get("context") or {})
    except errors.SpecError as error:
        return TrialResult(ok=False, errors=[_line(error, one) for one in error.problems], remarks=remarks)
    except errors.MappingError as error:
        return TrialResult(ok=False, errors=[fault(error)], remarks=remarks)
    except RecursionError:
        raise problems.Problem("invalid", "记录嵌套过深", "the record is nested too deep") from None
    return TrialResult(ok=True, result=orjson.loads(orjson.dumps(result, default=str)), remarks=remarks)


def fault(error: errors.MappingError) -> MappingFault:
    """Why a record does not map, as the API says it."""
    return MappingFault(
        file=error.file, rule=error.rule, native=error.native, canonical=error.canonical, zh=error.zh, en=error.en
    )


def _line(error: errors.SpecError, one: errors.Problem) -> MappingFault:
    return MappingFault(file=error.file, rule=one.rule, native="", canonical="", line=one.line, zh=one.zh, en=one.en)

"""Connectors that the site declares itself: their texts, and drafts of them from what other systems publish."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import declaration
from connectors.core.own import curl, openapi, source
from gateway import current, declarations, problems, schema, security
from gateway.api import connectors, paging, services
from retry_queue.ledger import audit, configuration

routes = APIRouter(prefix="/declarations", tags=["declarations"])
IfMatch = Annotated[str | None, Header(description="The ETag you read")]
EXAMPLE: dict[str, Any] = {
    "body": "apiVersion: shuniu/api/v1\nid: office\nlabel: 前台系统\nauth: [{style: bearer}]\n"
    "operations:\n  order.save: {kind: write, entity: order, method: PUT, path: '/orders/${input.id}', id: id}\n"
}


class DeclarationSummary(paging.Part):
    """A declaration in a list. ``connections`` are those made with it."""

    id: Annotated[str, Field(examples=["office"])]
    label: paging.Words | None = None
    usable: bool
    connections: list[str]


class Declarations(paging.Page):
    items: list[DeclarationSummary]


class Declaration(DeclarationSummary):
    """One declaration with its text, and what was made of it."""

    body: Annotated[str, Field(description="YAML or JSON")]
    connector: connectors.Connector | None = None
    etag: str


class NewText(paging.Part):
    """The text to store."""

    body: Annotated[str, Field(min_length=1, max_length=source.LONGEST, description="YAML or JSON")]


class DocumentSource(paging.Part):
    """What to draft from: an OpenAPI document, or a curl command. ``operations``: keys, operationIds or paths."""

    format: Literal["openapi", "curl"]
    text: Annotated[str, Field(min_length=1, max_length=openapi.LONGEST)]
    id: Annotated[str | None, Field(max_length=40, pattern=r"^[a-z][a-z0-9_]*$")] = None
    operations: Annotated[list[str], Field(max_length=400)] = Field(default_factory=list)


class OperationOffer(paging.Part):
    """An operation that a document has."""

    key: str
    method: str
    path: str
    summary: str
    taken: bool


class Advice(paging.Part):
    """What a person should look at before storing a draft."""

    zh: str
    en: str


class Draft(paging.Part):
    """A draft; nothing is stored. The values of ``secrets`` are to be entered on the connection."""

    body: str
    offers: list[OperationOffer] = Field(default_factory=list)
    remarks: list[Advice] = Field(default_factory=list)
    secrets: list[str] = Field(default_factory=list, description="Fields whose values the command held")


def _etag(text: str) -> str:
    return f'"{security.digest(text)[:24]}"'


def _summary(now: current.Current, key: str, made: declaration.Declaration | None) -> dict[str, Any]:
    label = paging.Words(**made.label.model_dump()) if made else None
    return {"id": key, "label": label, "usable": made is not None, "connections": declarations.users(now, key)}


def _shown(now: current.Current, key: str) -> Declaration:
    text = _get(now, key)
    made, _ = declarations.read(text)
    detail = connectors.detail(made, "") if made else None
    return Declaration(**_summary(now, key, made), body=text, connector=detail, etag=_etag(text))


def _get(now: current.Current, key: str) -> str:
    text = now.declarations.get(key)
    if text is None:
        raise problems.Problem("not_found", f"没有声明 {key[:40]}", f"no declaration {key[:40]}")
    return text


async def _read(text: str) -> declaration.Declaration:
    made, faults = await asyncio.to_thread(declarations.read, text)
    if made is None:
        raise problems.Problem(
            "invalid", faults=[problems.Fault(one.code, one.zh, one.en, ("body",)) for one in faults]
        )
    return made


@routes.get("", operation_id="declaration_list", summary="自定义连接器列表 Declarations")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Declarations:
    """The site's own connectors, by id."""
    async with services.of(request).ledger.read() as connection:
        now = await current.load(connection)
    page, more = paging.sliced(sorted(now.declarations), limit, cursor, str)
    items = [DeclarationSummary(**_summary(now, key, declarations.read(now.declarations[key])[0])) for key in page]
    return Declarations(items=items, next_cursor=more)


@routes.get(
    "/{id}", operation_id="declaration_get", summary="自定义连接器 Declaration", responses=schema.responses(404)
)
async def one(request: Request, response: Response, id: str) -> Declaration:
    """One declaration with its text and ETag."""
    async with services.of(request).ledger.read() as connection:
        now = await current.load(connection)
    found = _shown(now, id)
    response.headers["ETag"] = found.etag
    return found


async def _store(request: Request, connection: AsyncConnection, now: current.Current, key: str, text: str) -> None:
    hub, who = services.of(request), security.principal(request)
    broken = declarations.breaks(now, key, text) if key in now.declarations else []
    if broken:
        raise problems.Problem("conflict", "；".join(one.zh for one in broken), "; ".join(one.en for one in broken))
    await configuration.put_setting(connection, configuration.DECLARATIONS, {**now.declarations, key: text})
    action = "declaration.change" if key in now.declarations else "declaration.create"
    detail = {"checksum": security.digest(text)}
    await audit.append(connection, hub.sealer, hub.clock(), who.name, action, f"declaration/{key}", detail)


@routes.post("", operation_id="declaration_create", summary="新建自定义连接器 Create", status_code=201,
             responses=schema.responses(409), openapi_extra={"requestBody": {"content": {"application/json": {
                 "example": EXAMPLE}}}})  # fmt: skip
async def create(request: Request, response: Response, body: NewText) -> Declaration:
    """Stores a new declaration; connections can be made with it at once."""
    made = await _read(body.body)
    async with services.of(request).change() as connection:
        now = await current.load(connection)
        if made.id in now.declarations:
            raise problems.Problem("exists", f"已有声明 {made.id}", f"there is a declaration {made.id}")
        await _store(request, connection, now, made.id, body.body)
        now = await current.load(connection)
    found = _shown(now, made.id)
    response.headers["ETag"] = found.etag
    return found


@routes.put("/{id}", operation_id="declaration_update", summary="修改自定义连接器 Change",
            responses=schema.responses(404, 409, 412, 428))  # fmt: skip
async def update(request: Request, response: Response, id: str, body: NewText, if_match: IfMatch = None) -> Declaration:
    """Replaces a declaration; refused where a route that works now would not work any more."""
    made = await _read(body.body)
    if made.id != id:
        wrong = problems.Fault("id", "与地址中的 id 不一致", "not the id of the address", ("body",))
        raise problems.Problem("invalid", faults=[wrong])
    async with services.of(request).change() as connection:
        now = await current.load(connection)
        paging.check_match(if_match, _etag(_get(now, id)))
        await _store(request, connection, now, id, body.body)
        now = await current.load(connection)
    found = _shown(now, id)
    response.headers["ETag"] = found.etag
    return found


@routes.delete("/{id}", operation_id="declaration_delete", summary="删除自定义连接器 Remove", status_code=204,
               responses=schema.responses(404, 409, 412, 428))  # fmt: skip
async def remove(request: Request, id: str, if_match: IfMatch = None) -> None:
    """Removes a declaration that no connection uses."""
    hub, who = services.of(request), security.principal(request)
    async with hub.change() as connection:
        now = await current.load(connection)
        text = _get(now, id)
        paging.check_match(if_match, _etag(text))
        used = declarations.users(now, id)
        if used:
            shown = ", ".join(used[:10])
            raise problems.Problem("in_use", f"连接仍在使用：{shown}", f"connections use it: {shown}")
        kept = {key: value for key, value in now.declarations.items() if key != id}
        await configuration.put_setting(connection, configuration.DECLARATIONS, kept)
        await audit.append(
            connection, hub.sealer, hub.clock(), who.name, "declaration.delete", f"declaration/{id}",
            {"checksum": security.digest(text)},
        )  # fmt: skip


@routes.post("/draft", operation_id="declaration_draft", summary="由 OpenAPI 或 curl 起草 Draft")
async def draft(request: Request, body: DocumentSource) -> Draft:
    """Drafts a declaration and stores nothing; what is sent is not kept."""
    try:
        if body.format == "curl":
            made = await asyncio.to_thread(curl.drafted, body.text, body.id)
        else:
            made = await asyncio.to_thread(openapi.drafted, body.text, body.id, body.operations)
    except source.Broken as error:
        faults = [problems.Fault("source", one.zh, one.en, ("text",)) for one in error.wrong]
        raise problems.Problem("invalid", faults=faults) from None
    return Draft(
        body=source.written(made.spec),
        offers=[OperationOffer(**dataclasses.asdict(one)) for one in made.offers],
        remarks=[Advice(zh=zh, en=en) for zh, en in made.remarks],
        secrets=sorted(made.secrets),
    )

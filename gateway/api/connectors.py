"""What kinds of systems there are, as their declarations say."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from connectors.core import catalogue, declaration, registry
from gateway import problems, route_soundness, sandbox, schema, soundness
from gateway.api import paging, services

routes = APIRouter(prefix="/connectors", tags=["connectors"])


class ConnectorSummary(paging.Part):
    """A connector in a list."""

    id: Annotated[str, Field(examples=["crm"])]
    label: paging.Words
    category: str
    version: str
    aliases: list[str]
    docs_url: str


class Connectors(paging.Page):
    items: list[ConnectorSummary]


class FormField(paging.Part):
    """One field of the connection form. ``when``: shown and needed only while another field has that value."""

    key: str
    label: paging.Words
    type: str
    secret: bool
    required: bool
    default: Any = None
    pattern: str | None = None
    choices: list[declaration.Choice] = Field(default_factory=list)
    help: paging.Words | None = None
    when: dict[str, str | list[str]] = Field(default_factory=dict)


class OperationSummary(paging.Part):
    """Something a connector can be asked to do."""

    name: str
    label: paging.Words
    kind: str
    entity: str | None
    idempotent: str
    mapping: str | None
    target: Annotated[bool, Field(description="Whether a route may end in it")]
    when: Annotated[dict[str, str | list[str]], Field(description="Only for connections with these settings")]


class Door(paging.Part):
    """A way for events to come in."""

    name: str
    label: paging.Words
    door: str
    entities: list[str]
    when: dict[str, str | list[str]]


class Authorisation(paging.Part):
    """Authorised in the browser: ``fills`` are the fields that need not be typed then."""

    fills: list[str]
    when: dict[str, str | list[str]]
    redirect: Annotated[str, Field(description="What to enter at the platform as the application's callback")]


class Connector(ConnectorSummary):
    """A connector with everything a form and a route editor need, and its README for the admin."""

    fields: list[FormField]
    operations: list[OperationSummary]
    doors: list[Door]
    authorise: Authorisation | None = None
    sandbox: Annotated[bool, Field(description="A simulator can stand in for it")] = False
    readme: str
    unconfirmed: list[str]


def _summary(spec: declaration.Declaration) -> dict[str, Any]:
    return {
        "id": spec.id,
        "label": spec.label.model_dump(),
        "category": spec.category,
        "version": spec.version,
        "aliases": spec.aliases,
        "docs_url": spec.docs_url,
    }


def _every(connectors: catalogue.Catalogue) -> list[declaration.Declaration]:
    found = []
    for name in connectors.ids():
        try:
            found.append(connectors.get(name))
        except registry.DeclarationError:
            continue  # ``check`` names it; one broken folder must not hide the others
    return found


def detail(spec: declaration.Declaration, readme: str, public_url: str = "") -> Connector:
    """The whole of a declaration that people see."""
    way = spec.authorise
    redirect = f"{public_url}/api/v1/authorisations/callback"
    return Connector(
        **_summary(spec),
        fields=[FormField.model_validate(one.model_dump()) for one in spec.fields],
        operations=[
            OperationSummary(
                name=name,
                label=paging.Words(**one.label.model_dump()),
                kind=one.kind,
                entity=one.entity,
                idempotent=str(one.idempotent),
                mapping=one.mapping,
                target=one.kind in route_soundness.SENDS,
                when=one.when,
            )
            for name, one in spec.operations.items()
        ],
        doors=[
            Door(
                name=name,
                label=paging.Words(**one.label.model_dump()),
                door=one.door,
                entities=sorted({e for key in one.messages or spec.messages if (e := spec.messages[key].entity)}),
                when=one.when,
            )
            for name, one in spec.events.items()
        ],
        authorise=Authorisation(fills=sorted(way.fills), when=way.when, redirect=redirect) if way else None,
        readme=readme,
        unconfirmed=spec.unconfirmed,
    )


@routes.get("", operation_id="connector_list", summary="连接器列表 Connectors")
async def every(
    request: Request,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
    q: Annotated[str | None, Query(max_length=80, description="Part of a name, alias or pinyin")] = None,
) -> Connectors:
    """Every connector that is installed."""
    wanted = (q or "").strip().lower()
    found = [
        spec
        for spec in await asyncio.to_thread(_every, services.of(request).site().connectors)
        if not wanted or any(wanted in text.lower() for text in (spec.id, spec.label.zh, spec.label.en, *spec.aliases))
    ]
    page, more = paging.sliced(found, limit, cursor, lambda one: one.id)
    return Connectors(items=[ConnectorSummary(**_summary(one)) for one in page], next_cursor=more)


@routes.get("/{id}", operation_id="connector_get", summary="连接器详情 Connector", responses=schema.responses(404))
async def one(request: Request, id: str) -> Connector:
    """One connector: form fields, operations, doors, and how to get the keys."""
    connectors = services.of(request).site().connectors
    spec = await asyncio.to_thread(soundness.declared, id, connectors)
    if isinstance(spec, problems.Fault):
        raise problems.Problem("not_found", spec.zh, spec.en)
    if connectors.own(id):
        return detail(spec, "")
    file = registry.folder(id).joinpath("README.md")
    readme = await asyncio.to_thread(lambda: file.read_text(encoding="utf-8") if file.is_file() else "")
    config = services.of(request).settings
    found = detail(spec, readme, config.public_url)
    found.sandbox = sandbox.offered(config, connectors, id)
    return found

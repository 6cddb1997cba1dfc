"""Trying things before they count: a connection's settings, a route on an event. Nothing is stored or sent."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field

from connectors.core import client, jsontext, model
from gateway import current, privacy, problems, route_soundness, schema, soundness
from gateway.api import connections as connection_api
from gateway.api import deliveries as delivery_api
from gateway.api import mappings as mapping_api
from gateway.api import paging, probing, services
from mappings import errors as mapping_errors
from mappings import expression, kinds
from retry_queue.ledger import connections, events
from retry_queue.sync import route as sync_route
from retry_queue.sync import site as sites
from retry_queue.sync import words

routes = APIRouter(prefix="/trials", tags=["trials"])


class Draft(paging.Part):
    """Settings as they stand in a form. ``key`` names a stored connection whose secrets fill what is left out."""

    connector: str
    config: connection_api.Config = Field(default_factory=dict)
    secrets: connection_api.Secrets = Field(default_factory=dict)
    key: Annotated[str | None, Field(max_length=60)] = None


@routes.post("/connection", operation_id="trial_connection", summary="试连 Try a connection",
             responses=schema.responses(404))  # fmt: skip
async def connection(request: Request, body: Draft) -> probing.TestResult:
    """Makes the probe call with these settings and keeps nothing of it, no token either."""
    hub = services.of(request)
    spec = soundness.declared(body.connector, hub.site().connectors)
    if isinstance(spec, problems.Fault):
        raise problems.Problem("invalid", faults=[spec])
    entered = {name: text for name, text in body.secrets.items() if text}
    secrets = await connection_api.resolved(hub, entered)
    if body.key is not None:
        secrets = {**await _stored(hub, body.key, body.connector), **secrets}
    config = soundness.settled(spec, body.config)
    found = soundness.values(spec, config, secrets)
    if found:
        raise problems.Problem("invalid", faults=found)
    opened = model.Connection(body.key or "trial", spec, sites.with_defaults(spec, config), secrets)
    async with client.alone() as calls:
        return await probing.probed(calls, opened)


async def _stored(hub: services.Services, key: str, connector: str) -> dict[str, str]:
    async with hub.ledger.read() as db:
        row = await connections.get(db, key)
    if row is None or row.connector != connector:
        raise problems.Problem("not_found", f"没有连接 {key}", f"no connection {key}")
    return dict(row.opened(hub.sealer))


class RouteDraft(paging.Part):
    """A route as it stands in a form, and the id of an event that came."""

    route: sync_route.Route
    event: Annotated[str, Field(examples=["42"])]


class TargetTrial(paging.Part):
    """What one target would be sent. Ids of linked records are only known when it is really delivered."""

    connection: str
    operation: str
    ok: bool
    result: Any = None
    errors: list[mapping_api.MappingFault] = Field(default_factory=list)


class RouteTrial(paging.Part):
    """Whether the event would take this route, and what would be sent; personal data masked."""

    holds: bool
    words: paging.Words | None = None
    canonical: Any
    targets: list[TargetTrial]


@routes.post("/route", operation_id="trial_route", summary="试路由 Try a route", responses=schema.responses(404, 409))
async def route(request: Request, body: RouteDraft) -> RouteTrial:
    """Evaluates the condition on an event that was mapped, and maps it for every target."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        found = route_soundness.route(body.route, (await current.load(db)).world())
        story = await events.get(db, paging.row_id(body.event, "事件", "event"))
    if found:
        raise problems.Problem("invalid", faults=[one.under("route") for one in found])
    if story is None:
        raise problems.Problem("not_found", f"没有事件 {body.event}", f"no event {body.event}")
    if story.canonical is None or story.entity is None:
        raise problems.Problem("conflict", "这条事件没有标准模型，不能试", "this event was not mapped: not to be tried")
    if story.entity != body.route.source.entity:
        raise problems.Problem("conflict", "这条事件是另一种业务对象", "this event is of another entity")
    record = kinds.revive(story.entity, jsontext.loads(story.canonical))
    about = {"connection": story.connection_key, "entity": story.entity, "record": story.record, "hop": story.hop}
    holds, said = True, None
    try:
        if body.route.when:
            holds = expression.condition(body.route.when)({story.entity: record, "event": about})
    except mapping_errors.MappingError as error:
        holds, said = False, paging.Words(zh=error.zh, en=error.en)
    scope = {story.entity: record, "event": {"key": str(uuid.UUID(story.trace)), "trace": story.trace, **about}}
    site = hub.site()
    made = [await asyncio.to_thread(_sent, site, one, story.entity, record, scope) for one in body.route.to]
    return RouteTrial(holds=holds, words=said, canonical=_shown(record), targets=made)


def _shown(value: Any) -> Any:
    return delivery_api.plain(privacy.masked(orjson.loads(orjson.dumps(value, default=str))))


def _sent(
    site: sites.Site, target: sync_route.Target, entity: str, record: dict[str, Any], scope: dict[str, Any]
) -> TargetTrial:
    made = TargetTrial(connection=target.connection, operation=target.operation, ok=False)
    live, operation = site.live.get(target.connection), site.operation(target.connection, target.operation)
    if live is None or live.opened is None or operation is None:
        return made
    template = site.templates.get(target.template) if target.template else None
    carried = words.message(template, scope, "trial") if template is not None else record
    name = target.mapping or operation.mapping or operation.entity or entity
    meaning = site.meaning(live.connector, name)
    if meaning is None:
        return made
    try:
        native = meaning.mapping.to_native(carried, {**scope, "config": dict(live.opened.config), "link": {}})
    except mapping_errors.MappingError as error:
        return made.model_copy(update={"errors": [mapping_api.fault(error)]})
    return made.model_copy(update={"ok": True, "result": _shown(native)})

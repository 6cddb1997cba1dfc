"""Entities that several systems change: whose word counts per field, and when two customers are one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import Field

from gateway import consistency, current, entity_soundness, problems, schema, security
from gateway.api import paging, services
from mappings import canonical
from retry_queue.ledger import audit, configuration
from retry_queue.sync import route as sync_route

routes = APIRouter(prefix="/entities", tags=["entities"])
IfMatch = Annotated[str | None, Header(description="The ETag you read")]


class EntityDetail(paging.Part):
    """The rule of one entity, and what it is about right now."""

    entity: Annotated[str, Field(examples=["customer"])]
    rule: sync_route.EntityRule
    systems: Annotated[list[str], Field(description="Connections that both give and take it")]
    fields: Annotated[list[str], Field(description="Canonical paths that travel both ways, so that a rule counts")]
    warnings: Annotated[list[paging.Words], Field(description="What the rule leaves unsaid")]
    etag: str


class Entities(paging.Page):
    items: list[EntityDetail]


def _etag(rule: sync_route.EntityRule) -> str:
    text = json.dumps(_stored(rule), sort_keys=True, ensure_ascii=False)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def _stored(rule: sync_route.EntityRule) -> dict[str, object]:
    return rule.model_dump(mode="json", exclude_defaults=True)


def _known(entity: str) -> str:
    if entity not in canonical.MODELS:
        raise problems.Problem("not_found", f"没有业务对象 {entity[:40]}", f"no entity {entity[:40]}")
    return entity


def _shown(hub: services.Services, now: current.Current, entities: Sequence[str]) -> list[EntityDetail]:
    rules = now.rules()
    site = hub.site()
    unsaid = consistency.faults(now.parsed_routes(), rules, now.world())
    return [
        EntityDetail(
            entity=entity,
            rule=(rule := rules.get(entity, sync_route.EntityRule())),
            systems=sorted(site.sharing(entity)),
            fields=list(site.merging(entity)),
            warnings=[paging.Words(zh=one.zh, en=one.en) for one in unsaid if one.path == ("entities", entity)],
            etag=_etag(rule),
        )
        for entity in entities
    ]


@routes.get("", operation_id="entity_list", summary="业务对象规则 Entity rules")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Entities:
    """Every entity with its rule."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        now = await current.load(db)
    page, more = paging.sliced(sorted(canonical.MODELS), limit, cursor, str)
    return Entities(items=_shown(hub, now, page), next_cursor=more)


@routes.get("/{entity}", operation_id="entity_get", summary="业务对象规则详情 Entity rule",
            responses=schema.responses(404))  # fmt: skip
async def one(request: Request, response: Response, entity: str) -> EntityDetail:
    """One entity's rule with its ETag."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        (found,) = _shown(hub, await current.load(db), [_known(entity)])
    response.headers["ETag"] = found.etag
    return found


@routes.put("/{entity}", operation_id="entity_put", summary="保存业务对象规则 Save",
            responses=schema.responses(404, 412, 428))  # fmt: skip
async def put(
    request: Request, response: Response, entity: str, body: sync_route.EntityRule, if_match: IfMatch = None
) -> EntityDetail:
    """Replaces the rule of an entity; what was decided before stays as it is."""
    hub, who = services.of(request), security.principal(request)
    _known(entity)
    async with hub.change() as db:
        now = await current.load(db)
        paging.check_match(if_match, _etag(now.rules().get(entity, sync_route.EntityRule())))
        found = entity_soundness.faults(entity, body, now.connections)
        if found:
            raise problems.Problem("invalid", faults=found)
        kept = dict(now.entities)
        kept.pop(entity, None)
        if spec := _stored(body):
            kept[entity] = spec
        await configuration.put_setting(db, current.ENTITIES, kept)
        await audit.append(db, hub.sealer, hub.clock(), who.name, "entity.put", f"entity/{entity}", {"rule": spec})
    async with hub.ledger.read() as db:
        (made,) = _shown(hub, await current.load(db), [entity])
    response.headers["ETag"] = made.etag
    return made

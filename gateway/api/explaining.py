"""Explaining an event: source value → rule and version → target value, for every field and every target."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field

from connectors.core import decode
from gateway import privacy, schema
from gateway.api import deliveries as delivery_api
from gateway.api import events as event_api
from gateway.api import paging, services
from mappings import errors, explain
from retry_queue.ledger import deliveries, events, outbox
from retry_queue.sync import deliver, meaning
from retry_queue.sync import site as sites

routes = APIRouter(prefix="/events", tags=["events"])


class Worked(paging.Part):
    """One rule at work. Paths are in the words of each side."""

    rule: Annotated[str, Field(description="Its number in the mapping file", examples=["7.2"])]
    source: Annotated[str, Field(description="Where the value came from", examples=["payment"])]
    value: Any
    target: Annotated[str, Field(examples=["total"])]
    result: Any
    how: Annotated[str, Field(description="Codec, constant or expression", examples=["money, unit yuan"])]
    both_ways: bool


class ExplainedSide(paging.Part):
    """One translation: of the source into the standard model, or of that into a target."""

    connection: str
    mapping: Annotated[str, Field(description="connector/name@version", examples=["crm/customer@shipped"])]
    delivery: str | None = None
    fields: list[Worked]
    words: paging.Words | None = None


class Explanation(paging.Part):
    """What became of every field. A target shows what would be sent now."""

    event: str
    source: ExplainedSide | None
    targets: list[ExplainedSide]


@routes.get("/{id}/explain", operation_id="event_explain", summary="字段解释 Explain", responses=schema.responses(404))
async def explained(request: Request, id: str, reveal: event_api.Reveal = False) -> Explanation:
    """Which rule of which version made each field, from which value; personal data masked unless revealed."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        story = await event_api.found(db, id)
        owed = await deliveries.of_event(db, story.id)
        loaded = await outbox.load(db, [one.id for one in owed])
    await event_api.allow(request, f"event/{story.id}", reveal)
    site = hub.site()
    source = await asyncio.to_thread(_source, site, story, reveal) if story.canonical else None
    courier = deliver.Courier(hub.ledger, hub.site, hub.calls, hub.sealer)
    targets = []
    for one in loaded:
        try:
            made = await courier.rendered(one)
        except errors.MappingError as error:
            words = paging.Words(zh=error.text("zh"), en=error.text("en"))
            targets.append(ExplainedSide(connection=one.connection_key, mapping=one.mapping or "", delivery=str(one.id),
                                fields=[], words=words))  # fmt: skip
            continue
        if made is None or made[1] is None or made[0].meaning is None:
            continue
        job, native = made
        assert job.meaning is not None
        fields = _fields(job.meaning, "to", job.canonical, native, reveal)
        targets.append(ExplainedSide(connection=one.connection_key, mapping=job.meaning.name, delivery=str(one.id),
                            fields=fields))  # fmt: skip
    return Explanation(event=str(story.id), source=source, targets=targets)


def _source(site: sites.Site, story: events.Story, reveal: bool) -> ExplainedSide | None:
    found = site.planned_meaning(story.mapping)
    if found is None:
        return None
    spec = site.message(story.connection_key, story.message)
    native, words = None, None
    if spec is not None and spec.hydrate is None:
        native = decode.native(story.payload.encode(), spec)
    else:
        words = paging.Words(
            zh="推送只带编号，完整记录在处理时向来源系统读取，未保存原文",
            en="the push was only a hint; the record was read from its system and is not kept in its words",
        )
    fields = _fields(found, "from", native, orjson.loads(story.canonical or "{}"), reveal)
    return ExplainedSide(connection=story.connection_key, mapping=found.name, fields=fields, words=words)


def _fields(found: meaning.Meaning, way: Any, source: Any, result: Any, reveal: bool) -> list[Worked]:
    return [
        Worked(
            rule=one.rule, source=one.source_path, value=_shown(one.source, one.source_path, reveal),
            target=one.target_path, result=_shown(one.result, one.target_path, reveal), how=one.how,
            both_ways=one.both,
        )
        for one in explain.traces(found.mapping.spec.rules, way, source, result)
    ]  # fmt: skip


def _shown(value: Any, path: str, reveal: bool) -> Any:
    plain = delivery_api.plain(value)
    if reveal:
        return plain
    parts = [part.split("[")[0] for part in path.split(".")]
    return privacy.masked(plain, parts[-1] if parts else "", parts[:-1])

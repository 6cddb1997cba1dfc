"""Explaining an event: source value → rule and version → target value, for every field and every target."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from pydantic import Field

from connectors.core import decode, jsontext, scope
from gateway import privacy, schema
from gateway.api import deliveries as delivery_api
from gateway.api import events as event_api
from gateway.api import paging, services
from mappings import errors, explain
from retry_queue.ledger import deliveries, erasure, events, outbox
from retry_queue.sync import deliver, draft, meaning
from retry_queue.sync import site as sites

routes = APIRouter(prefix="/events", tags=["events"])

WHOLE = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exactly; longer ids are told as text."""


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
        owed = await deliveries.of_event(db, story.id) if story.payload != erasure.GONE else []
        loaded = await outbox.load(db, [one.id for one in owed])
    await event_api.allow(request, f"event/{story.id}", reveal)
    site = hub.site()
    gone = story.payload == erasure.GONE
    read = None if gone else await asyncio.to_thread(lambda: source(site, story, reveal=reveal))
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
    return Explanation(event=str(story.id), source=read, targets=targets)


def source(site: sites.Site, story: events.Story, *, reveal: bool) -> ExplainedSide | None:
    """How the source was read; what was never planned is read by today's mapping."""
    live, spec = site.live.get(story.connection_key), site.message(story.connection_key, story.message)
    entity = story.entity or (spec.entity if spec else None)
    today = site.meaning(live.connector, (spec.mapping if spec else None) or entity) if live and entity else None
    found = site.planned_meaning(story.mapping) or today
    if found is None or spec is None:
        return None
    fields, words = [], None
    if story.native is not None or spec.hydrate is None:
        try:
            native = jsontext.loads(story.native) if story.native else decode.native(story.payload.encode(), spec)
            fields = _fields(found, "from", native, _canonical(site, story, found, native), reveal)
        except errors.MappingError as error:
            words = paging.Words(zh=error.text("zh"), en=error.text("en"))
        except (jsontext.JsonError, decode.Malformed) as error:
            words = paging.Words(zh=f"报文无法解析：{error}", en=f"the payload cannot be read: {error}")
    else:
        words = paging.Words(
            zh="推送只带编号，此事件未曾计划，没有保存回查到的记录",
            en="the push was only a hint and was never planned; what was read for it is not kept",
        )
    return ExplainedSide(connection=story.connection_key, mapping=found.name, fields=fields, words=words)


def _canonical(site: sites.Site, story: events.Story, found: meaning.Meaning, native: Any) -> Any:
    if story.canonical:
        return orjson.loads(story.canonical)
    opened = site.live[story.connection_key].opened
    context = {
        "config": scope.settings(opened) if opened else {},
        "event": {"record": story.record, "message": story.message},
    }
    return orjson.loads(draft.encode(found.mapping.from_native(native, context)))


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
    if isinstance(plain, int) and abs(plain) > WHOLE:
        plain = str(plain)
    if reveal:
        return plain
    parts = [part.split("[")[0] for part in path.split(".")]
    return privacy.masked(plain, parts[-1] if parts else "", parts[:-1])

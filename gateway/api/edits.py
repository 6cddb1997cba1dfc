"""Edit and replay: an event that cannot be planned or delivered as it is, mended by a person; what changed is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import editing, schema, security
from gateway.api import deliveries as delivery_api
from gateway.api import events as event_api
from gateway.api import paging, services
from retry_queue.ledger import edits

routes = APIRouter(prefix="/events", tags=["events"])


class EventDraft(paging.Part):
    """What of an event can be edited: what came in, as long as it is parked or skipped; once planned, what it means."""

    what: Annotated[editing.What | None, Field(description="null: nothing can be edited")]
    text: Annotated[str, Field(description="Indented JSON, personal data masked unless revealed", repr=False)]


class EventEdit(paging.Part):
    """What to put in its place, and why. Without ``dry_run`` it is replayed at once."""

    what: Annotated[
        editing.What,
        Field(description="payload: what came in, of an event that is parked or skipped; canonical: what it means, "
                          "of a planned one with dead or parked deliveries"),
    ]  # fmt: skip
    text: Annotated[
        str,
        Field(max_length=1_000_000, description="JSON. Values that are still masked stay as they were", repr=False),
    ]
    note: Annotated[str, Field(min_length=1, max_length=500, description="Why; kept with the edit")]
    dry_run: bool = False


class ValueChange(paging.Part):
    """One value that differs; personal data masked."""

    path: Annotated[str, Field(examples=["receiver.phone"])]
    before: Any = None
    after: Any = None


class EventEdited(paging.Part):
    """What an edit changes, and what was set going."""

    changes: list[ValueChange]
    replayed: event_api.ReplayResult
    dry_run: bool


class KeptEdit(paging.Part):
    """One edit of the past."""

    id: str
    what: editing.What
    changes: list[ValueChange]
    note: str
    by: str
    at: datetime


class EventEdits(paging.Page):
    items: list[KeptEdit]


def _shown(changes: list[dict[str, Any]]) -> list[ValueChange]:
    return [ValueChange.model_validate(delivery_api.plain(editing.masked(one))) for one in changes]


@routes.get("/{id}/edit", operation_id="event_editable", summary="可修改的内容 What can be edited",
            responses=schema.responses(404))  # fmt: skip
async def editable(request: Request, id: str, reveal: event_api.Reveal = False) -> EventDraft:
    """The text to edit, with every number as it came."""
    async with services.of(request).ledger.read() as db:
        story = await event_api.found(db, id)
    await event_api.allow(request, f"event/{story.id}", reveal)
    what = editing.part(story)
    return EventDraft(what=what, text=editing.text(story, what, reveal=reveal) if what else "")


@routes.post("/{id}/edit", operation_id="event_edit", summary="修改并重放 Edit and replay",
             responses=schema.responses(404, 409))  # fmt: skip
async def edit(request: Request, id: str, body: EventEdit) -> EventEdited:
    """Mends an event and tries again what was not delivered; what was delivered is never sent again.

    ``dry_run`` only tells what would change. What was there before, what changed, who did it and why are kept.
    """
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        story = await event_api.found(db, id)
        made = editing.draft(story, body.what, body.text)
        changes = _shown(made.changes)
        if body.dry_run or not changes:
            nothing = event_api.ReplayResult(events=[], deliveries=[])
            return EventEdited(changes=changes, replayed=nothing, dry_run=True)
        by = editing.Who(who.name, body.note, hub.clock())
        done = await editing.put(db, hub.sealer, hub.ledger.slot, story.id, made, by)
    hub.ring()
    result = event_api.ReplayResult(events=[str(i) for i in done.events], deliveries=[str(i) for i in done.deliveries])
    return EventEdited(changes=changes, replayed=result, dry_run=False)


@routes.get("/{id}/edits", operation_id="event_edits", summary="修改记录 Edits", responses=schema.responses(404))
async def past(request: Request, id: str) -> EventEdits:
    """Every edit of an event, the oldest first; personal data masked."""
    async with services.of(request).ledger.read() as db:
        story = await event_api.found(db, id)
        kept = await edits.of_event(db, story.id)
    items = [
        KeptEdit.model_validate(
            {"id": str(one.id), "what": one.what, "changes": _shown(one.changes), "note": one.note, "by": one.by,
             "at": paging.instant(one.at)}
        )
        for one in kept
    ]  # fmt: skip
    return EventEdits(items=items, next_cursor=None)

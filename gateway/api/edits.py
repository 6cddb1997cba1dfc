"""Edit and replay: an event that cannot be planned or delivered as it is, mended by a person; what changed is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pydantic
from fastapi import APIRouter, Request
from pydantic import Field

from connectors.core import jsontext
from gateway import privacy, problems, schema, security
from gateway.api import deliveries as delivery_api
from gateway.api import events as event_api
from gateway.api import paging, services
from mappings import canonical
from retry_queue import replay
from retry_queue.ledger import audit, edits, events

routes = APIRouter(prefix="/events", tags=["events"])
What = Literal["payload", "canonical"]


class EventEdit(paging.Part):
    """What to put in its place, and why. Without ``dry_run`` it is replayed at once."""

    what: Annotated[
        What,
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
    what: What
    changes: list[ValueChange]
    note: str
    by: str
    at: datetime


class EventEdits(paging.Page):
    items: list[KeptEdit]


def differences(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """Every leaf that differs: {path, before, after}; what is absent on one side is None there."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            one
            for key in sorted({*before, *after}, key=str)
            for one in differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [one for place, (old, new) in pairs for one in differences(old, new, f"{path}[{place}]")]
    return [] if before == after else [{"path": path, "before": before, "after": after}]


def restored(edited: Any, before: Any, shown: Any) -> Any:
    """The edited value with what was left masked as it was."""
    if isinstance(edited, dict) and isinstance(before, dict) and isinstance(shown, dict):
        return {
            key: restored(value, before[key], shown[key]) if key in before and key in shown else value
            for key, value in edited.items()
        }
    if isinstance(edited, list) and isinstance(before, list) and len(edited) == len(before) == len(shown):
        return [restored(*three) for three in zip(edited, before, shown, strict=True)]
    return before if edited == shown else edited


def _masked(changes: list[dict[str, Any]]) -> list[ValueChange]:
    shown = []
    for one in changes:
        key = one["path"].rpartition(".")[2]
        inside = one["path"].split(".")[:-1]
        sides = {side: delivery_api.plain(privacy.masked(one[side], key, inside)) for side in ("before", "after")}
        shown.append(ValueChange(path=one["path"], **sides))
    return shown


def _before(story: events.Story, what: What) -> str:
    """The text that would be replaced. Raises the problem ``conflict`` where there is nothing to mend that way."""
    if what == "payload" and story.state in ("parked", "skipped"):
        return story.payload
    if what == "canonical" and story.state == "planned" and story.canonical is not None:
        return story.canonical
    raise problems.Problem(
        "conflict",
        "只能修改挂起或未处理事件的原始内容，或已计划事件的标准内容",
        "only the payload of a parked or skipped event can be edited, or the canonical form of a planned one",
    )


def _parsed(body: EventEdit, story: events.Story, before: str) -> tuple[Any, Any]:
    """(before, after), checked. Raises the problem ``invalid``."""
    old = jsontext.loads(before)
    try:
        new = restored(jsontext.loads(body.text), old, privacy.masked(old))
    except jsontext.JsonError as error:
        fault = problems.Fault("json", f"不是 JSON：{error}", f"not JSON: {error}", ("text",))
        raise problems.Problem("invalid", faults=[fault]) from None
    model = canonical.MODELS.get(story.entity or "")
    if body.what == "canonical" and model is not None:
        try:
            model.model_validate(new)
        except pydantic.ValidationError as error:
            faults = [
                problems.Fault("canonical", f"{place}：{one['msg']}", f"{place}: {one['msg']}", ("text",))
                for one in error.errors(include_input=False, include_url=False)
                for place in [".".join(map(str, one["loc"]))]
            ]
            raise problems.Problem("invalid", faults=faults) from None
        if str(new.get("id")) != str(old.get("id")):
            fault = problems.Fault(
                "identity", "不能改 id：那是另一条记录", "id names the record; it must stay", ("text",)
            )
            raise problems.Problem("invalid", faults=[fault])
    return old, new


@routes.post("/{id}/edit", operation_id="event_edit", summary="修改并重放 Edit and replay",
             responses=schema.responses(404, 409))  # fmt: skip
async def edit(request: Request, id: str, body: EventEdit) -> EventEdited:
    """Mends an event and tries again what was not delivered; what was delivered is never sent again.

    ``dry_run`` only tells what would change. What was there before, what changed, who did it and why are kept.
    """
    hub, who = services.of(request), security.principal(request)
    async with hub.ledger.write() as db:
        story = await event_api.found(db, id)
        before = _before(story, body.what)
        old, new = _parsed(body, story, before)
        changes = differences(old, new)
        if body.dry_run or not changes:
            return EventEdited(changes=_masked(changes), replayed=_nothing(), dry_run=True)
        after = jsontext.dumps(new).decode()
        done = await replay.event(db, hub.ledger.slot, story.id)
        if not done.events and not done.deliveries:
            zh, en = "没有可重放的内容：已送达或正在处理", "nothing to replay: delivered or under way"
            raise problems.Problem("conflict", zh, en)
        await edits.put(db, story.id, body.what, (before, after), changes, body.note, who.name, hub.clock())
        detail = {"what": body.what, "paths": [one["path"] for one in changes][:50], "note": body.note}
        await audit.append(db, hub.sealer, hub.clock(), who.name, "event.edit", f"event/{id}", detail)
    hub.ring()
    result = event_api.ReplayResult(events=[str(i) for i in done.events], deliveries=[str(i) for i in done.deliveries])
    return EventEdited(changes=_masked(changes), replayed=result, dry_run=False)


def _nothing() -> event_api.ReplayResult:
    return event_api.ReplayResult(events=[], deliveries=[])


@routes.get("/{id}/edits", operation_id="event_edits", summary="修改记录 Edits", responses=schema.responses(404))
async def past(request: Request, id: str) -> EventEdits:
    """Every edit of an event, the oldest first; personal data masked."""
    async with services.of(request).ledger.read() as db:
        story = await event_api.found(db, id)
        kept = await edits.of_event(db, story.id)
    items = [
        KeptEdit.model_validate(
            {"id": str(one.id), "what": one.what, "changes": _masked(one.changes), "note": one.note, "by": one.by,
             "at": paging.instant(one.at)}
        )
        for one in kept
    ]  # fmt: skip
    return EventEdits(items=items, next_cursor=None)

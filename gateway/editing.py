"""Edit and replay: an event that cannot be planned or delivered as it is, mended by a person.

The text to edit has personal data masked, and every number with the digits it came with; what is still masked when
it comes back stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import jsontext
from gateway import privacy, problems
from mappings import canonical
from retry_queue import replay
from retry_queue.ledger import audit, edits, events, secrets

What = Literal["payload", "canonical"]
ERASED = "null"
"""What is left of a body whose customer was erased."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An edit that was checked. ``texts`` are before and after; ``changes`` are {path, before, after}, unmasked."""

    what: What
    texts: tuple[str, str]
    changes: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Who:
    """Who edits, why, and when (Unix seconds)."""

    name: str
    note: str
    at: float


def part(story: events.Story) -> What | None:
    """What of an event can be edited now: what came in, or what it means; None: neither.

    A planned event is edited as long as it owes something; that is seen when it is replayed.
    """
    if story.state in ("parked", "skipped"):
        return "payload" if story.payload != ERASED else None
    return "canonical" if story.state == "planned" and story.canonical not in (None, ERASED) else None


def text(story: events.Story, what: What, *, reveal: bool = False) -> str:
    """The JSON text to edit, indented."""
    value = _value(_before(story, what))
    return jsontext.dumps(value if reveal else privacy.masked(value), indent=True).decode()


def draft(story: events.Story, what: What, edited: str) -> Draft:
    """The edit that this text means. Raises the problems ``conflict`` and ``invalid``."""
    before = _before(story, what)
    old = _value(before)
    shown = privacy.masked(old)
    try:
        new = restored(jsontext.loads(edited), old, shown)
    except jsontext.JsonError as error:
        raise _invalid("json", f"不是 JSON：{error}", f"not JSON: {error}") from None
    hidden = {one for one in _leaves(shown) if isinstance(one, str) and "*" in one} - set(_texts(old))
    if hidden & set(_texts(new)):
        zh = "有打码的值不在原来的位置，请填写完整的值"
        raise _invalid("masked", zh, "a masked value is not where it was; write it in full")
    model = canonical.MODELS.get(story.entity or "")
    if what == "canonical" and model is not None:
        _check(model, new)
        if str(new.get("id")) != str(old.get("id")):
            raise _invalid("identity", "不能改 id：那是另一条记录", "id names the record; it must stay")
    return Draft(what, (before, jsontext.dumps(new).decode()), differences(old, new))


async def put(
    db: AsyncConnection, sealer: secrets.Sealer, slot: int, number: int, made: Draft, who: Who
) -> replay.Replayed:
    """Replays the event with the edit in its place, and notes it. Raises the problem ``conflict``."""
    done = await replay.event(db, slot, number)
    if not done.events and not done.deliveries:
        zh, en = "没有可重放的内容：已送达或正在处理", "nothing to replay: delivered or under way"
        raise problems.Problem("conflict", zh, en)
    await edits.put(db, number, made.what, made.texts, made.changes, who.note, who.name, who.at)
    detail = {"what": made.what, "paths": [one["path"] for one in made.changes][:50], "note": who.note}
    await audit.append(db, sealer, who.at, who.name, "event.edit", f"event/{number}", detail)
    return done


def masked(change: dict[str, Any]) -> dict[str, Any]:
    """A change as it may be shown."""
    key = change["path"].rpartition(".")[2]
    inside = change["path"].split(".")[:-1]
    return change | {side: privacy.masked(change[side], key, inside) for side in ("before", "after")}


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


def _value(found: str) -> Any:
    try:
        return jsontext.loads(found)
    except jsontext.JsonError:
        return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


def _texts(value: Any) -> Iterator[str]:
    return (one for one in _leaves(value) if isinstance(one, str))


def _before(story: events.Story, what: What) -> str:
    found = story.payload if what == "payload" else story.canonical
    if what != part(story) or found is None:
        raise problems.Problem(
            "conflict",
            "只能修改挂起或未处理事件的原始内容，或已计划事件的标准内容",
            "only the payload of a parked or skipped event can be edited, or the canonical form of a planned one",
        )
    return found


def _check(model: type[pydantic.BaseModel], value: Any) -> None:
    try:
        model.model_validate(value)
    except pydantic.ValidationError as error:
        faults = [
            problems.Fault("canonical", f"{place}：{one['msg']}", f"{place}: {one['msg']}", ("text",))
            for one in error.errors(include_input=False, include_url=False)
            for place in [".".join(map(str, one["loc"]))]
        ]
        raise problems.Problem("invalid", faults=faults) from None


def _invalid(code: str, zh: str, en: str) -> problems.Problem:
    return problems.Problem("invalid", faults=[problems.Fault(code, zh, en, ("text",))])

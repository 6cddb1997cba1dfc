"""Planning, decided: one event in its canonical form -> what to keep, what to deliver, or why nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from retry_queue.ledger import records
from retry_queue.ledger.lane import HALF_DONE
from retry_queue.ledger.states import EventState
from retry_queue.sync import echo
from retry_queue.sync import route as routes

RESTORE = 100
"""Added to the position of a target when a record's own system is written back what counts."""
HOP_LIMIT = 5
HOP_FAR = 100
"""The limit for changes that bring something nobody said before: two people at work are no loop."""
UNKNOWN_WAITS = 60.0
HOP_MEMORY = 600.0
"""Seconds after our own write during which a change of that record counts as caused by it."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One target of one matching route. ``kind`` is state or act, ``priority`` as in the inbox."""

    route: routes.Route
    position: int
    target: routes.Target
    kind: str
    stage: int = 0
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route of the event's (connection, entity) with its condition compiled."""

    route: routes.Route
    holds: Callable[[Mapping[str, Any]], bool] | None
    kinds: tuple[str, ...]
    """state or act, per target."""
    open: tuple[bool, ...]
    """Whether each target's connection is in use at all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an event comes to. ``state`` None means: nothing newer to keep."""

    ruling: EventState
    reason: str | None = None
    words: dict[str, str] = field(default_factory=dict)
    state: records.State | None = None
    legs: tuple[Leg, ...] = ()
    hop: int = 0


SKIPS: dict[str, dict[str, str]] = {
    "no_entity": {"zh": "此类消息无需同步", "en": "nothing to sync for this kind of message"},
    "unknown_message": {"zh": "未识别的消息类型，已记录", "en": "a kind of message we do not know; recorded"},
    "unmapped": {"zh": "没有对应的字段映射", "en": "no mapping for this connector and entity"},
    "absent": {"zh": "回查时对方已无此记录", "en": "the record is gone on their side"},
    "echo": {"zh": "这是我们自己写入引起的变更（回环）", "en": "our own write coming back"},
    "stale": {"zh": "已有更新的版本，旧消息不覆盖", "en": "a newer state is known; the older one is not taken"},
    "unchanged": {"zh": "内容与上次相同", "en": "nothing changed since last time"},
    "no_route": {"zh": "没有路由关注此业务对象", "en": "no route asks for this entity"},
    "filtered": {"zh": "不满足任何路由的条件", "en": "no route's condition holds"},
    "hop_limit": {
        "zh": "变更在系统间转发次数过多，已停止（可能存在环路）",
        "en": "forwarded too often between systems; stopped",
    },
    "connection_off": {"zh": "连接已停用", "en": "the connection is not in use"},
}


def skip(reason: str, state: records.State | None = None) -> Plan:
    """An event for which there is nothing to deliver."""
    return Plan(EventState.SKIPPED, reason, SKIPS[reason], state)


def decide(
    ref: records.Ref,
    canonical: Mapping[str, Any],
    text: str,
    version: float | None,
    known: records.Known | None,
    wrote: Mapping[str, Any] | None,
    candidates: Sequence[Candidate],
    now: float,
    *,
    replay: bool = False,
    event_id: int | None = None,
    message: str = "",
    occasion: bool = False,
    merging: bool = False,
) -> Plan:
    """Decides one event.

    ``text`` is ``canonical`` as JSON, ``wrote`` the digests of our own last write,
    ``event_id`` the event when its arrival tells the age of what it says (not when that was read later),
    ``message`` the kind of message it came as. An ``occasion`` has happened also where the record reads as before:
    acts follow it, states do not.
    With ``merging`` an overtaken event keeps its legs: some field of it may still be the newest word, and whether
    it goes round is for the claims to say.

    Raises whatever a route's condition raises (the caller parks the event and names the route).
    """
    mark = echo.fingerprint(canonical)
    hop = _hop(known, now)
    seen = known.revision if known is not None else 0
    state = records.State(ref, _text(canonical.get("number")), version, mark, text, hop, event_id, seen)
    stale = known is not None and not replay and records.older(version, known.version)
    if stale and not merging:
        return skip("stale")
    known_already = ""
    if known is not None and not replay and not stale and mark == known.fingerprint:
        known_already = "unchanged"  # kept all the same: it was still so at this later time
    before = orjson.loads(known.canonical) if wrote and known is not None and known.canonical else None
    overtaken = known is not None and echo.late(version, known.wrote_at)
    settled = merging and known is not None and echo.heard_since(known.version, known.wrote_at)
    if (
        wrote
        and not replay
        and not stale
        and not settled
        and echo.is_echo(canonical, wrote, before, overtaken=overtaken)
    ):
        known_already = known_already or "echo"
    if known_already and not occasion:
        return skip(known_already, state)
    if hop > HOP_LIMIT and not merging:
        return skip("hop_limit", state)
    if not candidates:
        return skip("stale") if stale else skip("no_route", state)
    said = {"connection": ref[0], "entity": ref[1], "record": ref[2], "hop": hop, "message": message}
    scope = {ref[1]: canonical, "event": said}
    legs = tuple(
        Leg(one.route, place, placed.target, one.kinds[place], placed.stage, placed.after)
        for one in candidates
        if one.holds is None or one.holds(scope)
        for place, placed in enumerate(one.route.targets)
        if one.open[place] and not (known_already and one.kinds[place] == "state")
    )
    if stale:
        return Plan(EventState.SKIPPED, "stale", SKIPS["stale"], None, legs, hop)
    if not legs:
        return skip(known_already or "filtered", state)
    return Plan(EventState.PLANNED, None, {}, state, legs, hop)


def _hop(known: records.Known | None, now: float) -> int:
    if known is None or known.wrote_at is None or now - known.wrote_at > HOP_MEMORY:
        return 0
    return known.hop


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:200]


def under_way(ref: records.Ref, known: records.Known | None, busy: Mapping[str, float], at: float) -> bool:
    """Whether a write of ours that may have caused this event has not been settled yet. Pure.

    Until it is, nobody can tell our own write from somebody's change. A record we know waits for its own
    lane; one we have never seen may be what any running write there is just creating.
    """
    if known is not None and known.link_id:
        return busy.get(lane(ref[0], ref[1], known.link_id), at + 1.0) <= at
    prefix = f"{ref[0]}/{ref[1]}/"
    return any(name.startswith(prefix) and claimed <= at for name, claimed in busy.items())


def seen_at(known: records.Known | None, received_at: float, read_at: float | None) -> float:
    """Until when our writes may show in what an event says. Pure.

    A record that was read later than its hint came shows also what we have begun to write since. One of which nothing
    was known when the hint came was made by then.
    """
    return received_at if known is None or read_at is None else max(received_at, read_at)


def patience(known: records.Known | None) -> float:
    """Seconds an event waits at most for a write of ours. Pure.

    One of an unknown record waits for every write that may have made it; a known one for its own lane alone, as long
    as a write between two tries counts as half done.
    """
    return UNKNOWN_WAITS if known is None else HALF_DONE


def read_too_early(known: records.Known | None, read_at: float | None) -> bool:
    """Whether a record was read before our own last write to it was settled. Pure.

    What was read may then be a state half-way through our write (saved, not yet submitted), which is
    neither what we wrote nor what anybody meant: it must be read again.
    """
    return known is not None and known.wrote_at is not None and read_at is not None and read_at <= known.wrote_at + 0.25


def fast_lane(connection_key: str, event_id: int) -> str:
    """The lane of what one fast event has done over there: nothing else is in it that could hold it up."""
    return f"{connection_key}/!fast/{event_id}"


def lane(connection_key: str, entity: str, link_id: int) -> str:
    """The name of a lane: one target, one entity, one linked record."""
    return f"{connection_key}/{entity}/{link_id}"

"""Merging: several systems change one thing, and one value per field counts. Pure.

Each link of an entity that travels both ways has one merged record: per field the value, the moment its
system gave it, and that system. An event's changed fields are *claims*; the field's policy decides whether a
claim takes. Deliveries carry the merged values, so whatever order they run in, every system ends up with them;
a system whose claim lost is written back.

Two claims are *concurrent* when the later one was made without knowledge of the value that holds: we had not
written that value to its system, or our write crossed with the edit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retry_queue.sync import echo, route

Field = dict[str, Any]
"""One merged field: value, at (Unix seconds), from (connection key), record, ``seen`` (digests of what was said
before, newest first), ``lost`` (the newest claim that was made at the same time and did not take), and ``other``
while it is disputed."""
Fields = dict[str, Field]

PERSON = "person"
"""Stands where a connection key stands, when a person decided."""
NORMALISED = 120.0
"""Seconds after our write within which the same value in another spelling is the vendor's doing."""
SEEN = 100
"""Values of one field that are remembered; only fields that change all the time come near it."""
_CUT = 20
"""Characters that must agree before a shorter value counts as ours, cut off."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose claims are judged, and what its system had from us. ``at`` is when the change was made."""

    connection: str
    record: str
    at: float
    before: Mapping[str, Any] | None = None
    """The record as it was known until now."""
    before_at: float | None = None
    """When it was so, by its system."""
    wrote: Mapping[str, Any] = field(default_factory=dict)
    """Digests as ``echo`` keeps them: what we wrote there last, and before that."""
    wrote_at: float | None = None
    reread: bool = False
    """The record was read after our last write had been settled: nothing can have crossed."""
    stale: bool = False
    """A newer state of the record is known already; ``before`` is that one."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """Two systems gave one field different values. ``winner`` None: a person must decide."""

    path: str
    policy: str
    sides: tuple[Field, Field]
    winner: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What the claims of one event came to."""

    fields: Fields
    changed: bool
    restore: bool
    """The source's own record does not hold, or may not hold, what counts now."""
    disputes: tuple[Dispute, ...] = ()
    settled: tuple[str, ...] = ()
    """Disputed fields on which the systems agree by now."""
    fresh: bool = False
    """Something was said that nobody had said before: no echo of ours in another spelling."""
    news: bool = False
    """The systems must hear of it; false when only a time was corrected."""


def atoms(canonical: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """Path -> value of every field that is there; a list of records is one field."""
    found: dict[str, Any] = {}
    for path in paths:
        node: Any = canonical
        parts = path.split(".")
        for place, part in enumerate(parts):
            if isinstance(node, list):
                parts = parts[:place]
                break
            if not isinstance(node, Mapping) or part not in node:
                break
            node = node[part]
        else:
            found[path] = node
            continue
        if isinstance(node, list):
            found[".".join(parts)] = node
    return found


def claims(now: Mapping[str, Any], paths: Sequence[str], source: Source, held: Fields) -> dict[str, Any]:
    """What an event says anew: fields that differ from the last known state and are not our own write."""
    said = atoms(now, paths)
    known = atoms(source.before, paths) if source.before is not None else {}
    late = source.stale or echo.late(source.at, source.wrote_at)
    heard = not source.stale and echo.heard_since(source.before_at, source.wrote_at)
    found = {}
    for path, value in said.items():
        if _earlier(held.get(path), value, source):
            found[path] = value
            continue
        if path in known and echo.digest(known[path]) == echo.digest(value):
            continue
        if path not in known and value in (None, "", [], {}):
            continue
        if not heard and _wrote(path, value, source.wrote):
            continue
        if _spelt(path, value, source, held):
            continue
        if late and _seen(held.get(path), value):
            continue  # from before our last write, and known already
        found[path] = value
    return found


def _earlier(there: Field | None, value: Any, source: Source) -> bool:
    """Whether an overtaken event tells that a value which holds, or lost, was given earlier than was thought."""
    return (
        source.stale
        and there is not None
        and any(
            one is not None
            and one["from"] == source.connection
            and source.at < one["at"]
            and echo.digest(one["value"]) == echo.digest(value)
            for one in (there, there.get("lost"))
        )
    )


def _seen(there: Field | None, value: Any) -> bool:
    return there is not None and echo.digest(value) in (echo.digest(there["value"]), *there.get("seen", ()))


def _wrote(path: str, value: Any, wrote: Mapping[str, Any]) -> bool:
    """Whether our last write to that system gave the field this value."""
    leaves = [leaf for leaf in wrote if leaf == path or leaf.startswith(f"{path}.")]
    return bool(leaves) and all(echo.digest(echo.pick(value, leaf[len(path) + 1 :])) == wrote[leaf] for leaf in leaves)


def _spelt(path: str, value: Any, source: Source, held: Fields) -> bool:
    """Whether a value is what we wrote, in the vendor's own spelling or cut to its length; or masked."""
    there = held.get(path)
    if there is None:
        return False
    if masked(value) and not masked(there["value"]):
        return True  # stars say nothing about what is behind them
    if source.wrote_at is None or source.at - source.wrote_at > NORMALISED:
        return False
    if not _wrote(path, there["value"], source.wrote):
        return False
    ours, theirs = loose(there["value"]), loose(value)
    return ours == theirs or (len(theirs) >= _CUT and ours.startswith(theirs))


def masked(value: Any) -> bool:
    """Whether a text has stars where characters were."""
    return isinstance(value, str) and "*" in value


def loose(value: Any) -> str:
    """A text without what vendors change on their own: width, case, spaces, punctuation, +86."""
    text = unicodedata.normalize("NFKC", str(value)).casefold().removeprefix("+86")
    return "".join(one for one in text if one.isalnum())


def judge(held: Fields, made: Mapping[str, Any], source: Source, rule: route.EntityRule) -> Judged:
    """Applies claims to the merged record; ``held`` itself stays as it is."""
    fields = {path: dict(one) for path, one in held.items()}
    disputes: list[Dispute] = []
    settled: list[str] = []
    changed = restore = fresh = news = False
    for path, value in made.items():
        claim: Field = {"value": value, "at": source.at, "from": source.connection, "record": source.record}
        there = fields.get(path)
        if there is None:
            fields[path], changed, fresh, news = claim, True, True, True
            continue
        if _earlier(there, value, source):
            fields[path], changed = _corrected(there, value, source), True
            if fields[path]["from"] != there["from"]:
                news = restore = True
                sides = (_bare(fields[path]["lost"]), _bare(fields[path]))
                disputes.append(Dispute(path, "newest", sides, fields[path]["from"]))
            continue
        crossed = _crossed(path, source)
        same = echo.digest(there["value"]) == echo.digest(value)
        fresh = fresh or not _seen(there, value)
        claim["seen"] = _remember(there, value)
        if same:
            restore = restore or crossed
            if there.get("other", {}).get("from") == source.connection:
                there.pop("other")
                settled.append(path)
                changed = news = True
            continue
        changed = news = True
        if "other" in there and echo.digest(there["other"]["value"]) == echo.digest(value):
            if there["from"] == source.connection:
                fields[path] = claim
                settled.append(path)
            continue
        policy, owner = rule.policy(path)
        if there["from"] == source.connection and "other" not in there:
            if source.at >= there["at"]:
                fields[path] = claim
                restore = restore or crossed
            else:
                there["seen"] = claim["seen"]
            continue
        knew = _knew(path, there, source, crossed)
        verdict = _verdict(policy, owner, there, claim, knew, rule.rank)
        if verdict is None:
            disputes.append(Dispute(path, policy, (_bare(there), _bare(claim)), None))
            if there["from"] == source.connection:
                fields[path] = {**claim, "other": there["other"]}
            else:
                fields[path] = {**there, "other": claim}
            continue
        if not knew or not verdict:
            winner = source.connection if verdict else there["from"]
            disputes.append(Dispute(path, policy, (_bare(there), _bare(claim)), winner))
        if verdict:
            fields[path] = claim if knew or policy != "newest" else _with_lost(claim, there)
            restore = restore or crossed
        else:
            kept = {**there, "seen": claim["seen"]}
            fields[path] = _with_lost(kept, claim) if policy == "newest" else kept
            restore = True
    return Judged(fields, changed, restore, tuple(disputes), tuple(settled), fresh, news)


def _with_lost(winner: Field, loser: Field) -> Field:
    known = loser.get("lost"), winner.get("lost"), loser
    newest = max((one for one in known if one is not None), key=lambda one: one["at"])
    return {**winner, "lost": _bare(newest)}


def _bare(one: Field) -> Field:
    """Who says what since when, without what is remembered beside it."""
    return {name: one[name] for name in ("value", "at", "from", "record")}


def _corrected(there: Field, value: Any, source: Source) -> Field:
    """The field with an earlier time for a value; another may be the newest now."""
    lost = there.get("lost")
    if lost is not None and lost["from"] == source.connection and echo.digest(lost["value"]) == echo.digest(value):
        return {**there, "lost": {**lost, "at": min(lost["at"], source.at)}}
    if lost is None or lost["at"] <= source.at:
        return {**there, "at": source.at}
    return {**lost, "seen": there.get("seen", []), "lost": {**_bare(there), "at": source.at}}


def _remember(there: Field, value: Any) -> list[str]:
    marks = [echo.digest(value), echo.digest(there["value"]), *there.get("seen", ())]
    return list(dict.fromkeys(marks))[:SEEN]


def _crossed(path: str, source: Source) -> bool:
    """Whether our last write to that system may have come after the edit, and so over it."""
    if source.stale:
        return True
    leaf = any(one == path or one.startswith(f"{path}.") for one in source.wrote)
    return leaf and not source.reread and echo.late(source.at, source.wrote_at)


def _knew(path: str, there: Field, source: Source, crossed: bool) -> bool:
    """Whether that system had the value that holds when it was changed there.

    What it had said since that was given it had, even if we have written the same again after the change.
    """
    before = atoms(source.before, (path,)).get(path) if source.before is not None else None
    had = before is not None and echo.digest(before) == echo.digest(there["value"])
    if had and not source.stale and source.before_at is not None and there["at"] <= source.before_at <= source.at:
        return True
    return (had or _wrote(path, there["value"], source.wrote)) and not (
        crossed and echo.overtook(source.at, source.wrote_at)
    )


def _verdict(
    policy: str, owner: str | None, there: Field, claim: Field, knew: bool, rank: Sequence[str]
) -> bool | None:
    """Whether the claim takes; None when a person must say."""
    if owner is not None:
        if claim["from"] == owner:
            return True
        if there["from"] in (owner, PERSON):
            return False
    if "other" in there or (policy == "manual" and not knew):
        return None
    if knew:
        return True
    if policy == "rank" and claim["from"] != there["from"]:
        place = {key: number for number, key in enumerate(rank)}
        last = len(place)
        mine, theirs = place.get(claim["from"], last), place.get(there["from"], last)
        if mine != theirs:
            return mine < theirs
    return bool(claim["at"] >= there["at"])


def combined(one: Fields, other: Fields) -> Fields:
    """Two merged records of what turned out to be one thing: the newer value of each field."""
    fields = dict(one)
    for path, theirs in other.items():
        mine = fields.get(path)
        if mine is None or theirs["at"] > mine["at"]:
            fields[path] = theirs
    return fields


def applied(
    canonical: Mapping[str, Any],
    fields: Fields,
    *,
    exists: bool,
    own: Mapping[str, Any] | None = None,
    target: str = "",
) -> dict[str, Any]:
    """A record as it is to be written to ``target``: with the merged values; disputed fields stay what they are there.

    ``own``: the record as its system told it last, when it ``exists`` and has told anything. What ``target`` itself
    claims in a dispute counts before it: that may be newer, and what was told last may be a write of ours gone over it.
    """
    record: dict[str, Any] = dict(canonical)
    for path, one in fields.items():
        if "other" in one:
            claim = next((each for each in (one, one["other"]) if each["from"] == target), None)
            if claim is not None:
                record = _put(record, path.split("."), claim["value"])
            elif exists:
                there = atoms(own, (path,)) if own is not None else {}
                record = _put(record, path.split("."), there[path]) if path in there else without(record, path)
            continue
        if masked(one["value"]) and not masked(echo.pick(record, path)):
            continue
        record = _put(record, path.split("."), one["value"])
    return record


def without(record: dict[str, Any], path: str) -> dict[str, Any]:
    """A record without one (dotted) member; the record itself stays as it is."""
    key, _, rest = path.partition(".")
    if key not in record:
        return record
    if not rest:
        return {name: value for name, value in record.items() if name != key}
    inner = record[key]
    return {**record, key: without(inner, rest)} if isinstance(inner, dict) else record


def _put(record: dict[str, Any], parts: Sequence[str], value: Any) -> dict[str, Any]:
    key, *rest = parts
    if not rest:
        return {**record, key: value}
    inner = record.get(key)
    return {**record, key: _put(inner if isinstance(inner, dict) else {}, rest, value)}

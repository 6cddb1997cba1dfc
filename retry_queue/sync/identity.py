"""Identity 身份: which customers of different systems are one person, and how sure that is.

Rules (``entities.customer.match``) say what evidence is worth. What reaches ``merge_at`` joins by itself; what only
reaches ``suggest_at`` becomes a suggestion that a person accepts or refuses. A masked value or a name identifies
nobody: no rule without something stronger may join by itself. What a person parted stays apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import links, matches, mentions, records, secrets
from retry_queue.sync import about, claiming, draft, route

_SHOWN = ("masked_phone", "masked_email")
COMMON = 20
"""A weak mark that more records than this share says nothing: a family name, a switchboard."""
MANY = 50
"""Combinations of what one record says that are looked at, at most, per rule."""
_MASKED_PHONE = re.compile(r"^(?:\+?86)?(\d{3})[*xX•]{2,8}(\d{4})$")
_MASKED_MAIL = re.compile(r"^(\S)\S*\*+\S*@(\S+)$")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One mark of one rule that a record has."""

    rule: route.MatchRule
    kind: str
    digest: str

    @property
    def mark(self) -> mentions.Mark:
        return self.kind, self.digest


def values(canonical: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a customer can be known by: identity kinds, phone, email, and what is left of masked ones. Pure."""
    found: dict[str, list[str]] = {}
    given = [(str(one["kind"]), str(one["value"])) for one in canonical.get("identities") or () if one.get("value")]
    given += [(kind, str(canonical[kind])) for kind in ("phone", "email", "tax_number") if canonical.get(kind)]
    for kind, value in given:
        if "*" not in value:
            found.setdefault(kind, []).append(draft.normal(kind, value))
        if kind == "phone" and (shown := masked_phone(value)):
            found.setdefault("masked_phone", []).append(shown)
        if kind == "email" and (shown := masked_mail(value)):
            found.setdefault("masked_email", []).append(shown)
    for kind in ("name", "company"):
        text = str(canonical.get(kind) or "").strip()
        if text and "*" not in text:
            found[kind] = [text]
    return {kind: list(dict.fromkeys(told)) for kind, told in found.items()}


def masked_phone(value: str) -> str | None:
    """``138****8000`` of a phone, masked already or not; None when that cannot be said."""
    text = re.sub(r"[\s-]", "", value)
    found = _MASKED_PHONE.match(text)
    if found:
        return f"{found[1]}****{found[2]}"
    digits = draft.normal("phone", value)
    return f"{digits[:3]}****{digits[-4:]}" if digits.isdigit() and len(digits) == 11 else None


def masked_mail(value: str) -> str | None:
    """``a***@example.com`` of an address, masked already or not."""
    text = value.strip().lower()
    found = _MASKED_MAIL.match(text)
    if found:
        return f"{found[1]}***@{found[2]}"
    name, at, host = text.partition("@")
    return f"{name[:1]}***@{host}" if at and name and host else None


def evidence(sealer: secrets.Sealer, match: route.Match, canonical: Mapping[str, Any]) -> list[Evidence]:
    """Everything by which this record can be told to be somebody, by the rules. Pure."""
    told = values(canonical)
    alone = {rule.by[0] for rule in match.rules if len(rule.by) == 1}
    kinds = {str(one["kind"]) for one in canonical.get("identities") or ()}
    found: list[Evidence] = []
    for rule in match.rules:
        if rule.by == [route.ANY_IDENTITY]:
            for kind in sorted(kinds - alone):
                found += [Evidence(rule, kind, sealer.digest(kind, value)) for value in told.get(kind, ())]
        elif len(rule.by) == 1 and rule.by[0] not in route.WEAK:
            kind = rule.by[0]
            found += [Evidence(rule, kind, sealer.digest(kind, value)) for value in told.get(kind, ())]
        else:
            name = "~" + "+".join(rule.by)
            some = itertools.product(*(told.get(kind, ()) for kind in rule.by))
            for combined in itertools.islice(some, MANY):
                found.append(Evidence(rule, name[:60], sealer.digest(name, "\x1f".join(combined))))
    return found


def shown_marks(sealer: secrets.Sealer, canonical: Mapping[str, Any]) -> list[mentions.Mark]:
    """Marks by which a customer is found from a masked phone or address; they identify nobody."""
    told = values(canonical)
    return [(f"~{kind}", sealer.digest(f"~{kind}", value)) for kind in _SHOWN for value in told.get(kind, ())]


def asked(sealer: secrets.Sealer, text: str, kinds: Iterable[str]) -> list[mentions.Mark]:
    """What a person looks for may be any identifier: its marks, for every kind there is."""
    found = [(kind, sealer.digest(kind, draft.normal(kind, text))) for kind in sorted({*kinds, "phone", "email"})]
    shown = {"masked_phone": masked_phone(text), "masked_email": masked_mail(text)} if "*" in text else {}
    return found + [(f"~{kind}", sealer.digest(f"~{kind}", value)) for kind, value in shown.items() if value]


async def join(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    match: route.Match,
    drafts: Sequence[draft.Draft],
    kept: dict[records.Ref, tuple[int, int]],
) -> dict[records.Ref, tuple[int, int]]:
    """Joins the customers among these records with those they are the same as; returns ``kept`` with the new links."""
    people: dict[records.Ref, list[Evidence]] = {}
    shown: list[tuple[str, str, int]] = []
    for one in drafts:
        if one.entity == about.PEOPLE and one.ref in kept and one.canonical is not None:
            people[one.ref] = evidence(sealer, match, one.canonical)
            shown += [(*mark, kept[one.ref][0]) for mark in shown_marks(sealer, one.canonical)]
    if not people:
        return kept
    await _remember(connection, people, kept)
    await mentions.keep(connection, shown)
    # Read after writing: whoever wrote the same mark at the same time was waited for and is seen now.
    strong = await records.by_identity(connection, {e.mark for told in people.values() for e in told if _strong(e)})
    weak = await _sharing(connection, {e.mark for told in people.values() for e in told if not _strong(e)})
    pairs = sorted(_pairs(people, kept, strong, weak), key=lambda pair: (pair.low, pair.high))
    became: dict[int, int] = {}
    for pair in pairs:
        if pair.confidence >= match.merge_at:
            ends = {_root(became, pair.low), _root(became, pair.high)}
            joined = await links.merge(connection, ends, links.IDENTITY) if len(ends) > 1 else {}
            await claiming.join(connection, about.PEOPLE, sorted(joined.items()))
            became |= joined
    open_ = [pair for pair in pairs if match.suggest_at <= pair.confidence < match.merge_at]
    if open_:
        await _suggest(connection, open_, became)
    return {ref: (row, _root(became, link)) for ref, (row, link) in kept.items()}


def _strong(one: Evidence) -> bool:
    return not one.kind.startswith("~")


async def _remember(
    connection: AsyncConnection,
    people: Mapping[records.Ref, Sequence[Evidence]],
    kept: Mapping[records.Ref, tuple[int, int]],
) -> None:
    told = [(one, kept[ref][0]) for ref, found in people.items() for one in found]
    await records.identify(connection, [(one.kind, one.digest, row) for one, row in told if _strong(one)])
    await mentions.keep(connection, [(one.kind, one.digest, row) for one, row in told if not _strong(one)])


async def _sharing(connection: AsyncConnection, marks: Iterable[mentions.Mark]) -> dict[mentions.Mark, set[int]]:
    """Mark -> links of the records that have it, where it is no common one."""
    found = {mark: rows for mark, rows in (await mentions.by(connection, marks)).items() if 1 < len(rows) <= COMMON}
    names = await links.current(connection, {row for rows in found.values() for row in rows})
    return {mark: {names[row] for row in rows if row in names} for mark, rows in found.items()}


def _pairs(
    people: Mapping[records.Ref, Sequence[Evidence]],
    kept: Mapping[records.Ref, tuple[int, int]],
    strong: Mapping[mentions.Mark, records.Known],
    weak: Mapping[mentions.Mark, set[int]],
) -> Iterator[matches.Pair]:
    """Two links and why they may be one; the surest rule counts."""
    found: dict[tuple[int, int], dict[str, Evidence]] = {}
    for ref, told in people.items():
        own = kept[ref][1]
        for one in told:
            others = {strong[one.mark].link_id} if one.mark in strong else weak.get(one.mark, set())
            for other in others - {own}:
                found.setdefault((min(own, other), max(own, other)), {})["+".join(one.rule.by)] = one
    for (low, high), reasons in found.items():
        rules = sorted((one.rule for one in reasons.values()), key=lambda rule: -rule.confidence)
        yield matches.Pair(low, high, rules[0].confidence, tuple(_reason(rule) for rule in rules))


def _reason(rule: route.MatchRule) -> dict[str, Any]:
    named = [route.EVIDENCE.get(kind, (kind, kind)) for kind in rule.by]
    zh, en = "、".join(one[0] for one in named), " and ".join(one[1] for one in named)
    return {"rule": "+".join(rule.by), "zh": f"{zh}相同", "en": f"the same {en}", "weight": rule.confidence}


def _root(became: Mapping[int, int], link: int) -> int:
    while link in became:
        link = became[link]
    return link


async def _suggest(connection: AsyncConnection, pairs: Sequence[matches.Pair], became: Mapping[int, int]) -> None:
    """Leaves to a person what is not sure, unless a person said no before."""
    groups = await records.groups(
        connection, {_root(became, name) for pair in pairs for name in (pair.low, pair.high)}
    )  # fmt: skip
    apart = await links.apart(connection, {one.id for group in groups.values() for one in group})
    wanted = []
    for pair in pairs:
        low, high = sorted((_root(became, pair.low), _root(became, pair.high)))
        if low != high and not links.parted(groups.get(low, []), groups.get(high, []), apart):
            wanted.append(matches.Pair(low, high, pair.confidence, pair.reasons))
    await matches.suggest(connection, wanted)

"""About: whom and what a record is about, so that an order and the contact who placed it find each other.

A record names people (a customer itself, a buyer with identities, phone and mail) and other records (its ``REFS``).
Both are kept as keyed digests beside the record (``ledger.mentions``), whether the other side is known yet or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from mappings import canonical as models
from retry_queue.ledger import mentions, records, secrets
from retry_queue.sync import draft, listing

PEOPLE = "customer"
REF = "ref"


def people(sealer: secrets.Sealer, entity: str, canonical: Mapping[str, Any]) -> list[mentions.Mark]:
    """Marks of the person a record is about. A receiver is not taken for the buyer."""
    told = canonical if entity == PEOPLE else canonical.get("buyer") or {}
    return list(draft.marks(sealer, told))


def refs(entity: str, canonical: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(entity, id there) of every record that a record refers to."""
    model = models.MODELS.get(entity)
    pairs = ((other, canonical.get(name)) for name, other in (model.REFS if model else {}).items())
    return [(other, str(value)) for other, value in pairs if value]


def own(sealer: secrets.Sealer, ref: records.Ref) -> mentions.Mark:
    """The mark by which others refer to a record."""
    return REF, sealer.digest(REF, "/".join(ref))


def marks(sealer: secrets.Sealer, ref: records.Ref, canonical: Mapping[str, Any]) -> list[mentions.Mark]:
    """Everything a record names."""
    named = [own(sealer, (ref[0], entity, value)) for entity, value in refs(ref[1], canonical)]
    listed = listing.marks(sealer, ref[0], canonical) if ref[1] == listing.PRODUCT else ()
    return [*people(sealer, ref[1], canonical), *named, *listed]


async def note(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    drafts: Sequence[draft.Draft],
    kept: Mapping[records.Ref, tuple[int, int]],
) -> None:
    """Remembers what the records of these events name."""
    told: list[tuple[str, str, int]] = []
    passed: list[tuple[int, str, str, str]] = []
    for one in drafts:
        if one.canonical is None or one.ref not in kept:
            continue
        row = kept[one.ref][0]
        told += [(*mark, row) for mark in marks(sealer, one.ref, one.canonical)]
        passed += [(row, one.ref[0], entity, value) for entity, value in refs(one.entity, one.canonical)]
    await mentions.keep(connection, told)
    await mentions.inherit(connection, passed)


async def behind(
    connection: AsyncConnection, sealer: secrets.Sealer, refs_: Iterable[tuple[records.Ref, Mapping[str, Any]]]
) -> dict[records.Ref, set[int]]:
    """Links that a record (given with its canonical form) is about beside its own: referred records and people."""
    given = list(refs_)
    named = {ref: [(ref[0], entity, value) for entity, value in refs(ref[1], told)] for ref, told in given}
    known = await records.find(connection, {one for those in named.values() for one in those})
    passed = await mentions.of(connection, {one.id for one in known.values()})
    persons = {}
    for ref, told in given:
        marked = set(people(sealer, ref[1], told))
        for one in named[ref]:
            if one in known:
                marked |= {mark for mark in passed.get(known[one].id, set()) if _identifies(mark)}
        persons[ref] = marked
    found = await records.by_identity(connection, {mark for marked in persons.values() for mark in marked})
    return {
        ref: {known[one].link_id for one in named[ref] if one in known}
        | {found[mark].link_id for mark in persons[ref] if mark in found}
        for ref, _ in given
    }


def _identifies(mark: mentions.Mark) -> bool:
    return mark[0] != REF and not mark[0].startswith("~")

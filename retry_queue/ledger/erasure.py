"""Forgetting a person: what the ledger holds about some records is emptied; rows and counts stay, so it balances.

Bodies become the JSON text ``null`` (``GONE``), attempts lose what was said, records lose their state, keyed digests
that would recognise the person again are removed. What has no body any more cannot be replayed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import deliveries, records, tables, tallies, timers, upkeep
from retry_queue.ledger.states import OPEN_DELIVERY, DeliveryState, EventState

GONE = "null"
"""What stands where a body was."""
REASON = "erased"
WORDS = {"zh": "应要求已删除该客户的个人信息", "en": "the customer's personal data was erased on request"}
E, B, C, R, D, A = (
    tables.events, tables.inbox, tables.canonicals, tables.records, tables.deliveries, tables.attempts,
)  # fmt: skip
_CHUNK = 400

Scrub = Callable[[Any], Any]
"""A parsed record without what is personal in it."""


class UnderWay(Exception):
    """Something about this person is being worked on right now; try again when it has ended."""

    def __init__(self, events: int, owed: int) -> None:
        super().__init__(f"{events} events and {owed} deliveries are under way")
        self.events, self.deliveries = events, owed


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of each kind were emptied or removed."""

    records: int
    events: int
    deliveries: int
    attempts: int
    identities: int


def _pieces(ids: Iterable[int]) -> Iterable[list[int]]:
    ordered = sorted(set(ids))
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


async def erase(
    connection: AsyncConnection,
    slot: int,
    people: Sequence[records.Known],
    things: Sequence[records.Known],
    scrub: Scrub,
) -> Erased:
    """Erases people (all of it) and what names them, orders and the like (``scrub`` says what stays of those).

    Call it with the links' rows locked by this transaction. Raises UnderWay, and then nothing was done.
    """
    known = {one.id: one for one in (*people, *things)}
    event_ids = await _events(connection, known.values())
    owed = await _owed(connection, known, event_ids)
    await _end(connection, slot, event_ids, owed)
    tries = 0
    for some in _pieces(event_ids):
        await connection.execute(update(E).where(E.c.id.in_(some)).values(payload=GONE))
        await connection.execute(update(C).where(C.c.event_id.in_(some)).values(body=GONE, native=None))
        await connection.execute(delete(upkeep.edits).where(upkeep.edits.c.event_id.in_(some)))
        await connection.execute(update(B).where(B.c.id.in_(some), B.c.detail.is_not(None)).values(detail=None))
    for some in _pieces(owed):
        done = await connection.execute(update(A).where(A.c.delivery_id.in_(some)).values(exchanges=None, message=None))
        tries += done.rowcount
        words = json.dumps(WORDS, ensure_ascii=False)
        await connection.execute(update(D).where(D.c.id.in_(some), D.c.detail.is_not(None)).values(detail=words))
    await _records(connection, people, things, scrub)
    marks = await _marks(connection, known)
    await _around(connection, people, things, scrub)
    return Erased(len(known), len(event_ids), len(owed), tries, marks)


async def _events(connection: AsyncConnection, known: Iterable[records.Known]) -> set[int]:
    """Every event that said something about one of these records."""
    found: set[int] = set()
    for one in known:
        about = (E.c.record == one.record) & (E.c.connection_key == one.connection_key)
        found.update((await connection.execute(select(E.c.id).where(about))).scalars())
    return found


async def _owed(connection: AsyncConnection, rows: Iterable[int], event_ids: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for some in _pieces(rows):
        found.update((await connection.execute(select(D.c.id).where(D.c.record_id.in_(some)))).scalars())
    for some in _pieces(event_ids):
        found.update((await connection.execute(select(D.c.id).where(D.c.event_id.in_(some)))).scalars())
    return found


async def _end(connection: AsyncConnection, slot: int, event_ids: set[int], owed: set[int]) -> None:
    """Ends what waits for a person or an hour; refuses while something is under way."""
    waiting = [
        row.delivery_id
        for some in _pieces(owed)
        for row in await connection.execute(
            select(upkeep.timers.c.delivery_id).where(
                upkeep.timers.c.delivery_id.in_(some), upkeep.timers.c.state == "waiting"
            )
        )
    ]
    ended = await timers.cancel(connection, [(i, None) for i in waiting], timers.BY_PERSON)
    await tallies.add(connection, slot, Counter((key, "delivery.skipped") for key in ended.values()))
    busy = stopped = 0
    parked: list[Any] = []
    for some in _pieces(event_ids):
        states = (await connection.execute(select(B.c.id, B.c.state).where(B.c.id.in_(some)))).all()
        busy += sum(row.state == EventState.RECEIVED for row in states)
        parked += [row.id for row in states if row.state == EventState.PARKED]
    closing: list[int] = []
    for some in _pieces(owed):
        rows = (await connection.execute(select(D.c.id, D.c.state).where(D.c.id.in_(some)))).all()
        stopped += sum(row.state in OPEN_DELIVERY for row in rows)
        closing += [row.id for row in rows if row.state in (DeliveryState.PARKED, DeliveryState.DEAD)]
    if busy or stopped:
        raise UnderWay(busy, stopped)
    await deliveries.skip(connection, closing, WORDS)
    for some in _pieces(parked):
        done = await connection.execute(
            update(B)
            .where(B.c.id.in_(some), B.c.state == EventState.PARKED)
            .values(state=str(EventState.SKIPPED), reason=REASON, detail=None)
            .returning(B.c.connection_key)
        )
        keys = list(done.scalars())
        counts = Counter((key, "filtered") for key in keys) + Counter((key, f"skipped.{REASON}") for key in keys)
        await tallies.add(connection, slot, counts)


async def _records(
    connection: AsyncConnection, people: Sequence[records.Known], things: Sequence[records.Known], scrub: Scrub
) -> None:
    for some in _pieces(one.id for one in people):
        blank = {"canonical": None, "number": None, "fingerprint": None, "wrote": None}
        await connection.execute(update(R).where(R.c.id.in_(some)).values(blank))
    for one in things:
        kept = json.dumps(scrub(json.loads(one.canonical)), ensure_ascii=False) if one.canonical else None
        await connection.execute(update(R).where(R.c.id == one.id).values(canonical=kept, fingerprint=None, wrote=None))


async def _marks(connection: AsyncConnection, rows: Iterable[int]) -> int:
    removed = 0
    for some in _pieces(rows):
        for table in (tables.identities, upkeep.mentions):
            removed += (await connection.execute(delete(table).where(table.c.record_id.in_(some)))).rowcount
    return removed


async def _around(
    connection: AsyncConnection, people: Sequence[records.Known], things: Sequence[records.Known], scrub: Scrub
) -> None:
    """Merged records, disputes, suggestions, findings and sightings."""
    persons, others = {one.link_id for one in people}, {one.link_id for one in things}
    merged, conflicts, findings = upkeep.merged, upkeep.conflicts, upkeep.findings
    for some in _pieces(persons):
        await connection.execute(delete(merged).where(merged.c.link_id.in_(some)))
        match = upkeep.matches
        await connection.execute(delete(match).where(or_(match.c.left_link.in_(some), match.c.right_link.in_(some))))
    for row in [
        row
        for some in _pieces(others)
        for row in (await connection.execute(select(merged).where(merged.c.link_id.in_(some)))).all()
    ]:
        kept = _fields(json.loads(row.fields), scrub)
        await connection.execute(
            update(merged).where(merged.c.link_id == row.link_id).values(fields=json.dumps(kept, ensure_ascii=False))
        )
    for some in _pieces(persons | others):
        settled = {"state": "settled", "settled_by": REASON}
        await connection.execute(
            update(conflicts).where(conflicts.c.link_id.in_(some), conflicts.c.state == "open").values(settled)
        )
        await connection.execute(update(conflicts).where(conflicts.c.link_id.in_(some)).values(sides="[]"))
        await connection.execute(update(findings).where(findings.c.link_id.in_(some)).values(fields=None))
        await connection.execute(delete(upkeep.sightings).where(upkeep.sightings.c.link_id.in_(some)))


def _fields(fields: Mapping[str, Any], scrub: Scrub) -> dict[str, Any]:
    """Merged fields by path, without the personal ones."""
    kept = {}
    for path, told in fields.items():
        nested: Any = told.get("value") if isinstance(told, dict) else told
        for part in reversed(path.split(".")):
            nested = {part: nested}
        if scrub(nested) == nested:
            kept[path] = told
    return kept

"""Links 主键对照 as they come and go: joining groups, parting them again, and what must never be joined by itself.

A link is named by the row id of one of its records, and that record is always in it: so the row that names a link
is also its lock. Who joins or parts groups locks those rows first and reads again what they name by then; two who
join crosswise wait for each other and nothing is torn. Every step is kept in ``link_history``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import detours, merged, records, sql

IDENTITY, DELIVERY, PERSON, SPLIT = "identity", "delivery", "person", "split"
"""Causes in the history."""

_NAMES = sql.Statement(
    "SELECT id, coalesce(link_id, id) AS link FROM records WHERE id IN (SELECT id FROM {src}) ORDER BY id", "id int"
)
_NAMES_LOCKED = sql.Statement(
    "SELECT id, coalesce(link_id, id) AS link FROM records WHERE id IN (SELECT id FROM {src}) ORDER BY id FOR UPDATE",
    "id int",
)
_MOVE = sql.Statement(
    "UPDATE records SET link_id = src.became FROM {src} WHERE records.id = src.record_id", "record_id int, became int"
)
_HISTORY = sql.Statement(
    """
    INSERT INTO link_history (record_id, was, became, cause, by, at)
    SELECT record_id, was, became, cause, by, {now} FROM {src} ORDER BY was, record_id
    """,
    "record_id int, was int, became int, cause text, by text",
)
_APART = sql.Statement(
    """
    SELECT a.low, a.high FROM {src} JOIN apart a ON a.low = src.id
    UNION SELECT a.low, a.high FROM {src} JOIN apart a ON a.high = src.id
    """,
    "id int",
)
_PART = sql.Statement(
    "INSERT INTO apart (low, high, by, at) SELECT low, high, by, {now} FROM {src} {more}"
    " ON CONFLICT (low, high) DO NOTHING",
    "low int, high int, by text",
)
_UNPART = sql.Statement(
    "DELETE FROM apart WHERE (low, high) IN (SELECT low, high FROM {src})",
    "low int, high int",
)
_STEPS = sql.Statement(
    """
    SELECT h.id, h.record_id, h.was, h.became, h.cause, h.by, h.at FROM {src}
    JOIN link_history h ON h.record_id = src.record_id ORDER BY h.id
    """,
    "record_id int",
)
# A delivery that was settled while its link was being joined to another may have bound to the old name.
_STRAYED = sql.Statement(
    """
    SELECT r.id, coalesce(r.link_id, r.id) AS link, n.link_id AS became
    FROM (SELECT DISTINCT was FROM link_history WHERE at > {now} - {1}) h
    CROSS JOIN records n CROSS JOIN records r
    WHERE n.id = h.was AND n.link_id <> n.id AND coalesce(r.link_id, r.id) = +h.was
    """
)


Joined = list[tuple[str, dict[int, int]]]
"""(entity, old name -> new name) of links that turned out to be one."""


class Refused(Exception):
    """What was asked of a link cannot be done; words for people in ``zh`` and ``en``."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one record in the history of links."""

    id: int
    record_id: int
    was: int
    became: int
    cause: str
    by: str | None
    at: float


async def current(connection: AsyncConnection, names: Iterable[int], *, lock: bool = False) -> dict[int, int]:
    """Name of a link at any time -> what it is called now. With ``lock`` nobody else changes these until the end."""
    wanted = set(names)
    leads = await _followed(connection, _NAMES, wanted)
    if lock and connection.dialect.name == "postgresql":
        # All that the way there leads over is locked in one order, and what has moved meanwhile after it: whoever locks
        # step by step waits for somebody who waits for him, and PostgreSQL takes a second to find that out.
        leads = await _followed(connection, _NAMES_LOCKED, {*leads, *leads.values()})
    return {name: _root(leads, name) for name in wanted if name in leads}


async def _followed(connection: AsyncConnection, statement: sql.Statement, asked: set[int]) -> dict[int, int]:
    """Where each name leads, and where those lead, to the end."""
    leads: dict[int, int] = {}
    while asked:
        rows = await statement.run(connection, [(i,) for i in sorted(asked)])
        found = {row.id: int(row.link) for row in rows}
        leads |= found
        asked = {link for link in found.values() if link not in leads}
    return leads


def _root(leads: Mapping[int, int], name: int) -> int:
    seen = set()
    while leads.get(name, name) != name and name not in seen:
        seen.add(name)
        name = leads[name]
    return name


async def apart(connection: AsyncConnection, record_ids: Iterable[int]) -> set[tuple[int, int]]:
    """Pairs (low, high) of records that a person parted, of which one is among these."""
    return {(row.low, row.high) for row in await _APART.run(connection, [(i,) for i in sorted(set(record_ids))])}


def parted(one: Sequence[records.Known], other: Sequence[records.Known], pairs: set[tuple[int, int]]) -> bool:
    """Whether two groups hold records that a person parted. Pure."""
    return any((min(a.id, b.id), max(a.id, b.id)) in pairs for a in one for b in other)


async def merge(connection: AsyncConnection, links: Iterable[int], cause: str, by: str | None = None) -> dict[int, int]:
    """Joins groups into the oldest of them; returns old name -> new name of those that changed theirs.

    Without a person (``by``) groups that a person parted stay apart; a person's word undoes that. Raises Refused for
    records of different kinds.
    """
    names = set((await current(connection, links, lock=True)).values())
    if len(names) < 2:
        return {}
    groups = await records.groups(connection, names)
    if len({one.entity for group in groups.values() for one in group}) > 1:
        raise Refused("不同业务对象的记录不能合并", "records of different entities cannot be linked")
    pairs = await apart(connection, [one.id for group in groups.values() for one in group])
    keeper = min(names)
    joined, became = list(groups[keeper]), {}
    for name in sorted(names - {keeper}):
        if by is None and parted(joined, groups[name], pairs):
            continue
        joined += groups[name]
        became[name] = keeper
    if by is not None:
        inside = {one.id for one in joined}
        await _UNPART.run(connection, sorted(pair for pair in pairs if pair[0] in inside and pair[1] in inside))
    moved = [(one, name) for name in became for one in groups[name]]
    await _HISTORY.run(connection, [(one.id, name, keeper, cause[:80], by) for one, name in moved])
    await _MOVE.run(connection, [(one.id, keeper) for one, _ in moved])
    for name in sorted(became):
        await detours.move(connection, name, keeper, [one.id for one in groups[name]])
    return became


async def split(
    connection: AsyncConnection, link: int, record_ids: Iterable[int], by: str, cause: str = SPLIT
) -> tuple[int, int]:
    """Parts records from their link; returns the names of (the rest, what was parted).

    They are not joined again unless a person does it. Raises Refused when there is nothing to part.
    """
    if (await current(connection, [link], lock=True)).get(link) != link:
        raise Refused("该关联已变更，请刷新后重试", "this link has changed; look again")
    group = (await records.groups(connection, [link]))[link]
    wanted = set(record_ids)
    part = [one for one in group if one.id in wanted]
    rest = [one for one in group if one.id not in wanted]
    if len(part) != len(wanted) or not part or not rest:
        raise Refused("请选择该关联中的一部分记录", "name some of the link's records, and not all of them")
    # The record that gave the link its name keeps it; the others get a name of their own.
    moved = rest if any(one.id == link for one in part) else part
    name = min(one.id for one in moved)
    await _HISTORY.run(connection, [(one.id, link, name, cause[:80], by) for one in moved])
    await _MOVE.run(connection, [(one.id, name) for one in moved])
    pairs = [(min(a.id, b.id), max(a.id, b.id), by[:80]) for a in part for b in rest]
    await _PART.run(connection, sorted(set(pairs)))
    await merged.forget(connection, [link, name])
    await detours.move(connection, link, name, [one.id for one in moved], only=True)
    return (name, link) if moved is rest else (link, name)


async def keep_apart(connection: AsyncConnection, one: int, other: int, by: str) -> None:
    """A person says that two links are not the same thing."""
    now = await current(connection, [one, other], lock=True)
    groups = await records.groups(connection, now.values())
    left, right = groups.get(now.get(one, one), []), groups.get(now.get(other, other), [])
    if left and right and left[0].link_id == right[0].link_id:
        raise Refused("它们已合并，请先拆分", "they are joined; part them first")
    pairs = [(min(a.id, b.id), max(a.id, b.id), by[:80]) for a in left for b in right]
    await _PART.run(connection, sorted(set(pairs)))


async def steps(connection: AsyncConnection, record_ids: Iterable[int]) -> list[Step]:
    """How these records came to be linked and parted, oldest first."""
    return [Step(*row) for row in await _STEPS.run(connection, [(i,) for i in sorted(set(record_ids))])]


def earlier(link: int, members: Iterable[records.Known], history: Iterable[Step]) -> dict[int, list[int]]:
    """Groups of which a link was joined last: name -> record row ids. Pure.

    What is there that was never joined from elsewhere stands under the link's own name.
    """
    last: dict[int, int] = {}
    for step in history:
        if step.became == link:
            last[step.record_id] = step.was
        elif step.was == link:
            last.pop(step.record_id, None)
    found: dict[int, list[int]] = {}
    for one in members:
        found.setdefault(last.get(one.id, link), []).append(one.id)
    return found


async def bind(connection: AsyncConnection, bindings: Sequence[records.Binding]) -> Joined:
    """Binds target records to the link of their source, whatever that is called by now.

    A target record that is known under another link brings its whole group along; returns (entity, old name -> new
    name) of the groups that were joined so.
    """
    newest = {one.ref: one for one in bindings}
    names = await current(connection, {one.link_id for one in newest.values() if one.link_id is not None})
    known = await records.find(connection, newest)
    rows, joins = [], []
    for ref, one in sorted(newest.items()):
        link = names.get(one.link_id, one.link_id) if one.link_id is not None else None
        if link is not None and ref in known and known[ref].link_id != link:
            joins.append((ref[1], {known[ref].link_id, link}))
            link = None
        rows.append(records.Binding(ref, link, one.wrote, one.hop))
    await records.bind(connection, rows)
    return [(entity, await merge(connection, pair, DELIVERY)) for entity, pair in joins]


async def gather(connection: AsyncConnection, seconds: float) -> int:
    """Brings home records that bound to a name which was given up in the last ``seconds``; returns how many."""
    rows = await _STRAYED.run(connection, (), seconds)
    names = await current(connection, {row.became for row in rows})
    moved = [(row.id, row.link, names.get(row.became, row.became)) for row in rows]
    await _HISTORY.run(connection, [(record, was, became, DELIVERY, None) for record, was, became in moved])
    await _MOVE.run(connection, [(record, became) for record, _, became in moved])
    return len(moved)

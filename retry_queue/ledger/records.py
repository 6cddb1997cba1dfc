"""Records and links 主键对照: what we know of each record in each system, and which are the same thing.

A record row is (connection, entity, id there) with the newest state taken from it and the digests of
what we wrote to it. Records with one ``link_id`` are one thing in several systems; a row without one
is a group of its own, named by its row id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

Ref = tuple[str, str, str]
"""(connection key, entity, record id there)."""
VERSION_SLACK = 0.0005
"""Seconds by which two versions may differ and still be the same moment."""


def older(one: float | None, than: float | None) -> bool:
    """Whether a source version is known to be older than another; what is not known is not older."""
    return one is not None and than is not None and one < than - VERSION_SLACK


@dataclass(frozen=True, slots=True)
class Known:
    """A record as the ledger knows it."""

    id: int
    connection_key: str
    entity: str
    record: str
    link_id: int
    number: str | None
    version: float | None
    fingerprint: str | None
    canonical: str | None
    wrote: str | None
    wrote_at: float | None
    hop: int
    revision: int = 0
    """Grows with every state kept and every write noted: whoever decided by another one decides again."""


class Moved(Exception):
    """A record is not any more as it was when its new state was decided: nothing may be kept of that."""


@dataclass(frozen=True, slots=True)
class State:
    """A newer state of a record, to be kept. ``canonical`` is JSON text.

    ``event_id`` is the event that carried it: of states with one version the later to arrive is the newer,
    whoever plans them. None when arrival says nothing, because the state was read at another time.
    """

    ref: Ref
    number: str | None
    version: float | None
    fingerprint: str
    canonical: str
    hop: int
    event_id: int | None = None
    revision: int | None = None
    """The record's revision by which this was decided, 0 for a new one; None: it is kept whatever was there."""


_COLUMNS = (
    "r.id, r.connection_key, r.entity, r.record, coalesce(r.link_id, r.id) AS link_id, r.number, r.version,"
    " r.fingerprint, r.canonical, r.wrote, r.wrote_at, r.hop, r.revision"
)
_FIND = sql.Statement(
    f"""
    SELECT {_COLUMNS} FROM {{src}} JOIN records r
    ON r.connection_key = src.connection_key AND r.entity = src.entity AND r.record = src.record
    """,
    "connection_key text, entity text, record text",
)
_LOCK = sql.Statement(
    """
    SELECT r.id FROM records r JOIN {src}
    ON r.connection_key = src.connection_key AND r.entity = src.entity AND r.record = src.record
    ORDER BY r.connection_key COLLATE "C", r.entity COLLATE "C", r.record COLLATE "C" FOR UPDATE OF r
    """,
    "connection_key text, entity text, record text",
)
_GROUP = sql.Statement(
    f"SELECT {_COLUMNS} FROM {{src}} JOIN records r ON coalesce(r.link_id, r.id) = src.link_id ORDER BY r.id",
    "link_id int",
)
_NUMBERED = sql.Statement(
    f"""
    SELECT {_COLUMNS} FROM {{src}} CROSS JOIN records r WHERE r.number = src.number ORDER BY r.id
    """,
    "number text",
)
# As if we had never written there: what we know of the target has turned out wrong.
_FORGET = sql.Statement(
    """
    UPDATE records SET wrote = NULL, revision = records.revision + 1 FROM {src}
    WHERE records.connection_key = src.connection_key
    AND records.entity = src.entity AND records.record = src.record
    """,
    "connection_key text, entity text, record text",
)
_KEEP = sql.Statement(
    """
    INSERT INTO records (connection_key, entity, record, number, version, event_id, fingerprint, canonical, hop,
                         updated_at, revision)
    SELECT connection_key, entity, record, number, version, event_id, fingerprint, canonical, hop, {now}, 1
    FROM {src} {more}
    ON CONFLICT (connection_key, entity, record) DO UPDATE SET number = coalesce(excluded.number, records.number),
        version = coalesce(excluded.version, records.version), event_id = excluded.event_id,
        fingerprint = excluded.fingerprint,
        canonical = excluded.canonical, hop = excluded.hop, updated_at = excluded.updated_at,
        revision = records.revision + 1
    WHERE excluded.version > records.version + 0.0005
       OR ((records.version IS NULL OR excluded.version IS NULL OR excluded.version >= records.version - 0.0005)
           AND (records.event_id IS NULL OR excluded.event_id IS NULL OR excluded.event_id >= records.event_id))
    RETURNING id, connection_key, entity, record, coalesce(link_id, id) AS link_id, revision
    """,
    "connection_key text, entity text, record text, number text, version float, event_id int, fingerprint text,"
    " canonical text, hop small",
)
_BIND = sql.Statement(
    """
    INSERT INTO records (connection_key, entity, record, link_id, wrote, wrote_at, hop, updated_at, revision)
    SELECT connection_key, entity, record, link_id, wrote, {now}, hop, {now}, 1 FROM {src} {more}
    ON CONFLICT (connection_key, entity, record) DO UPDATE SET
        link_id = coalesce(excluded.link_id, records.link_id),
        wrote = {patch records.wrote excluded.wrote},
        wrote_at = CASE WHEN excluded.wrote IS NULL THEN records.wrote_at ELSE excluded.wrote_at END,
        hop = excluded.hop, updated_at = excluded.updated_at, revision = records.revision + 1
    RETURNING id
    """,
    "connection_key text, entity text, record text, link_id int, wrote text, hop small",
)
_IDENTITY_FIND = sql.Statement(
    f"""
    SELECT src.kind, src.digest, {_COLUMNS} FROM {{src}}
    JOIN identities i ON i.kind = src.kind AND i.digest = src.digest JOIN records r ON r.id = i.record_id
    """,
    "kind text, digest text",
)
_IDENTITY_KEEP = sql.Statement(
    """
    INSERT INTO identities (kind, digest, record_id) SELECT kind, digest, record_id FROM {src} {more}
    ON CONFLICT (kind, digest) DO NOTHING
    """,
    "kind text, digest text, record_id int",
)

_ALONE = sql.Statement("SELECT pg_advisory_xact_lock(7051923)")
"""One fixed number, ours alone in the ledger's database."""


async def find(connection: AsyncConnection, refs: Iterable[Ref]) -> dict[Ref, Known]:
    """Known records by their reference."""
    rows = await _FIND.run(connection, sorted(set(refs)))
    return {(row.connection_key, row.entity, row.record): Known(*row) for row in rows}


async def groups(connection: AsyncConnection, link_ids: Iterable[int]) -> dict[int, list[Known]]:
    """Link id -> all its records, oldest first."""
    found: dict[int, list[Known]] = {}
    for row in await _GROUP.run(connection, [(i,) for i in sorted(set(link_ids))]):
        found.setdefault(row.link_id, []).append(Known(*row))
    return found


async def numbered(
    connection: AsyncConnection, entity: str, keys: Iterable[str], numbers: Iterable[str]
) -> dict[str, list[Known]]:
    """Number -> the records of these connections that have it."""
    wanted = set(keys)
    found: dict[str, list[Known]] = {}
    for row in await _NUMBERED.run(connection, [(number,) for number in sorted(set(numbers))]):
        if row.entity == entity and row.connection_key in wanted:
            found.setdefault(row.number, []).append(Known(*row))
    return found


async def forget_written(connection: AsyncConnection, refs: Iterable[Ref]) -> None:
    """Forgets what we wrote to these records, so that the same is written again."""
    await _FORGET.run(connection, sorted(set(refs)))


async def keep(connection: AsyncConnection, states: Sequence[State]) -> dict[Ref, tuple[int, int]]:
    """Keeps newer states; returns reference -> (row id, link id).

    A reference that is missing in the
    answer was stale: a newer state is there already. Rows are locked in order, so planners of the
    same records wait for each other and never in a circle. Raises Moved, and then nothing may be committed.
    """
    rows = [
        (*s.ref, s.number, s.version, s.event_id, s.fingerprint, s.canonical, s.hop)
        for s in sorted(states, key=lambda state: state.ref)
    ]
    made = await _KEEP.run(connection, rows)
    seen = {s.ref: s.revision for s in states if s.revision is not None}
    for row in made:
        if row.revision != seen.get((row.connection_key, row.entity, row.record), row.revision - 1) + 1:
            raise Moved
    return {(row.connection_key, row.entity, row.record): (row.id, row.link_id) for row in made}


@dataclass(frozen=True, slots=True)
class Binding:
    """What a delivery leaves behind on the target's record.

    ``link_id`` None changes no link;
    ``wrote`` is JSON field -> digest.
    """

    ref: Ref
    link_id: int | None
    wrote: str | None
    hop: int


async def bind(connection: AsyncConnection, bindings: Sequence[Binding]) -> None:
    """Binds target records to the link of their source and remembers what was written there."""
    newest = {one.ref: one for one in bindings}
    rows = [(*one.ref, one.link_id, one.wrote, one.hop) for _, one in sorted(newest.items())]
    await _BIND.run(connection, rows)


async def hold(connection: AsyncConnection, refs: Iterable[Ref]) -> None:
    """Locks records that are there, in order, as planners do: who takes lanes afterwards meets nobody crosswise."""
    if connection.dialect.name == "postgresql":
        await _LOCK.run(connection, sorted(set(refs)))


async def alone(connection: AsyncConnection) -> None:
    """Waits until nobody else is joining identities, until the end of this transaction.

    Two transactions that do not see each other's identities would leave one person two people. SQLite has one
    writer anyway. To be called first, before any row is locked.
    """
    if connection.dialect.name == "postgresql":
        await _ALONE.run(connection, ())


async def by_identity(
    connection: AsyncConnection, identities: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Known]:
    """(kind, digest) -> the record it was first seen on."""
    rows = await _IDENTITY_FIND.run(connection, sorted(set(identities)))
    return {(row.kind, row.digest): Known(*row[2:]) for row in rows}


async def identify(connection: AsyncConnection, known: Sequence[tuple[str, str, int]]) -> None:
    """Remembers identities (kind, digest, record row id); the first to claim one keeps it."""
    await _IDENTITY_KEEP.run(connection, sorted(set(known)))

"""Mentions: which people and records a record names, as keyed digests; how an order is found from its buyer.

``kind`` is an identity's kind (``phone``, ``unionid``, …), ``ref`` for another record, or ``~`` and a rule's name
for evidence that identifies nobody by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

Mark = tuple[str, str]
"""(kind, digest)."""
MOST = 1000
"""Records of one mark that are looked at, at most."""

_KEEP = sql.Statement(
    """
    INSERT INTO mentions (kind, digest, record_id) SELECT kind, digest, record_id FROM {src} {more}
    ON CONFLICT (kind, digest, record_id) DO NOTHING
    """,
    "kind text, digest text, record_id int",
)
# What an order says of its buyer holds for its shipments too.
_INHERIT = sql.Statement(
    """
    INSERT INTO mentions (kind, digest, record_id)
    SELECT DISTINCT m.kind, m.digest, src.record_id FROM {src}
    JOIN records r ON r.connection_key = src.connection_key AND r.entity = src.entity AND r.record = src.record
    JOIN records o ON coalesce(o.link_id, o.id) = coalesce(r.link_id, r.id)
    JOIN mentions m ON m.record_id = o.id
    WHERE m.kind <> 'ref' AND m.kind NOT LIKE '~%'
    ORDER BY 1, 2, 3
    ON CONFLICT (kind, digest, record_id) DO NOTHING
    """,
    "record_id int, connection_key text, entity text, record text",
)
_OF = sql.Statement(
    "SELECT m.kind, m.digest, m.record_id FROM {src} JOIN mentions m ON m.record_id = src.record_id", "record_id int"
)
_BY = sql.Statement(
    """
    SELECT DISTINCT m.kind, m.digest, m.record_id FROM {src}
    JOIN mentions m ON m.kind = src.kind AND m.digest = src.digest
    WHERE m.record_id IN (SELECT n.record_id FROM mentions n WHERE n.kind = src.kind AND n.digest = src.digest
                          ORDER BY n.record_id DESC LIMIT {1})
    """,
    "kind text, digest text",
)


async def keep(connection: AsyncConnection, told: Iterable[tuple[str, str, int]]) -> None:
    """Remembers (kind, digest, record row id); what is known already stays."""
    await _KEEP.run(connection, sorted(set(told)))


async def inherit(connection: AsyncConnection, refs: Iterable[tuple[int, str, str, str]]) -> None:
    """A record (row id) is about the people whom the record it refers to (connection, entity, id) names."""
    await _INHERIT.run(connection, sorted(set(refs)))


async def of(connection: AsyncConnection, record_ids: Iterable[int]) -> dict[int, set[Mark]]:
    """Record row id -> everything it names."""
    found: dict[int, set[Mark]] = {}
    for row in await _OF.run(connection, [(i,) for i in sorted(set(record_ids))]):
        found.setdefault(row.record_id, set()).add((row.kind, row.digest))
    return found


async def by(connection: AsyncConnection, marks: Iterable[Mark]) -> dict[Mark, set[int]]:
    """Mark -> row ids of the records that name it; the ``MOST`` newest, where it is a customer for everybody."""
    found: dict[Mark, set[int]] = {}
    for row in await _BY.run(connection, sorted(set(marks)), MOST):
        found.setdefault((row.kind, row.digest), set()).add(row.record_id)
    return found

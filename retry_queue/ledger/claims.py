"""Which events are planned next: claims of the inbox, as a whole, of those that crowd, and of all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql
from retry_queue.ledger.inbox import BACKFILL, FAST, ClaimedEvent

_TAKE = """
    UPDATE inbox SET owner = {2}, fence = fence + 1, next_at = {now} + {3} FROM due WHERE inbox.id = due.id
    RETURNING inbox.id, fence, failures, priority, dedupe,
        CASE WHEN reason = 'replay' OR dedupe LIKE '#repair:%' THEN 1 ELSE 0 END AS replay, {soon} AS soon
"""
"""A lease that a power cut takes back was one that its holder cannot use any more: nobody waits for the disk."""
_ANY = sql.Statement(
    """
    WITH due AS MATERIALIZED (
        SELECT id FROM inbox WHERE state = 'received' AND next_at <= {now} AND priority BETWEEN {4} AND {5}
          AND (priority = 0 OR connection_key NOT IN (SELECT connection_key FROM {src}))
        ORDER BY priority, next_at, id LIMIT {1} {lock}
    )"""
    + _TAKE,
    "connection_key text",
)
_OLDEST = """
    SELECT n.id FROM inbox n WHERE n.state = 'received' AND n.priority = 1 AND n.connection_key = turn.key
      AND n.next_at <= {now} ORDER BY n.next_at, n.id LIMIT {1} {lock}
"""
_OF_EACH = {
    "postgresql": f"SELECT o.id FROM turn CROSS JOIN LATERAL ({_OLDEST}) o WHERE turn.key IS NOT NULL",
    "sqlite": f"SELECT i.id FROM turn JOIN inbox i ON i.id IN ({_OLDEST}) WHERE turn.key IS NOT NULL",
}
# The connections that have something due but those of ``src``, found one after the other by the index and not by
# reading what is due, which SQLite has to be told. A connection of ``src`` is never touched: what was planned of a
# crowd stays in the index until a vacuum, and each look would walk over it.
_NEXT = """
    SELECT min(i.connection_key) FROM inbox i {by}
    WHERE i.state = 'received' AND i.priority = 1 AND i.connection_key > walk.key
"""
_TURNS = f"""
    gap(low, high) AS (
        SELECT COALESCE(lag(connection_key) OVER (ORDER BY connection_key), ''), connection_key FROM {{src}}
        UNION ALL SELECT max(connection_key), CAST(NULL AS text) FROM {{src}}),
    walk(key, high, found) AS (
        SELECT low, high, 0 FROM gap
        UNION ALL
        SELECT CASE WHEN walk.high IS NULL THEN ({_NEXT}) ELSE ({_NEXT} AND i.connection_key < walk.high) END,
               walk.high, 1
        FROM walk WHERE walk.key IS NOT NULL),
    turn(key) AS (SELECT key FROM walk WHERE found = 1)
"""
_OF = {
    name: sql.Statement(
        f"WITH turn(key) AS (SELECT connection_key FROM {{src}}), due AS MATERIALIZED ({each}) {_TAKE}",
        "connection_key text",
    )
    for name, each in _OF_EACH.items()
}
_BY = {"postgresql": "", "sqlite": "INDEXED BY ix_inbox_turn"}
_APART = {
    name: sql.Statement(
        f"WITH RECURSIVE {_TURNS.replace('{by}', _BY[name])}, due AS MATERIALIZED ({each}) {_TAKE}",
        "connection_key text",
    )
    for name, each in _OF_EACH.items()
}
_WAITING = {
    name: sql.Statement(
        f"""
        WITH RECURSIVE {_TURNS.replace("{by}", by)}
        SELECT 1 FROM turn WHERE turn.key IS NOT NULL
          AND (SELECT min(n.next_at) FROM inbox n {by} WHERE n.state = 'received' AND n.priority = 1
               AND n.connection_key = turn.key) <= {{now}}
        UNION ALL
        SELECT 1 FROM inbox WHERE state = 'received' AND priority = 0 AND next_at <= {{now}} LIMIT 1
        """,
        "connection_key text",
    )
    for name, by in _BY.items()
}
_LOAD = sql.Statement(
    """
    SELECT e.id, src.fence, src.failures, e.connection_key, e.source, e.message, e.entity, e.record, e.payload,
           e.occurred_at, e.received_at, e.trace, e.hop, src.replay, src.priority, src.dedupe
    FROM {src} JOIN events e ON e.id = src.id WHERE e.id BETWEEN {1} AND {2} ORDER BY e.id
    """,
    "id int, fence int, failures int, replay int, priority small, dedupe text",
)


async def claim(
    connection: AsyncConnection,
    limit: int,
    owner: str,
    lease: float,
    busy: Sequence[str] = (),
    priorities: tuple[int, int] = (FAST, BACKFILL),
) -> list[ClaimedEvent]:
    """Leases up to ``limit`` due events for ``lease`` seconds, fast ones first; of ``busy`` connections only those."""
    given = (limit, owner, lease, *priorities)
    return await _loaded(connection, await _ANY.run(connection, [(key,) for key in busy] or [("",)], *given))


async def claim_of(
    connection: AsyncConnection, each: int, owner: str, lease: float, crowd: Sequence[str]
) -> list[ClaimedEvent]:
    """Leases the oldest ``each`` live events of each of those connections."""
    of = _OF[connection.dialect.name]
    return await _loaded(connection, await of.run(connection, [(key,) for key in crowd], each, owner, lease))


async def waits_apart(connection: AsyncConnection, apart: Sequence[str]) -> bool:
    """Whether ``claim_apart`` would find anything now; it is one read, and the claim a transaction that writes."""
    waiting = _WAITING[connection.dialect.name]
    return bool(await waiting.run(connection, [(key,) for key in apart] or [("",)]))


async def claim_apart(
    connection: AsyncConnection, each: int, owner: str, lease: float, apart: Sequence[str]
) -> list[ClaimedEvent]:
    """Leases what is fast, and the oldest ``each`` live events of every connection but those (one at least)."""
    fast = await _ANY.run(connection, [("",)], each, owner, lease, FAST, FAST)
    others = _APART[connection.dialect.name]
    found = await others.run(connection, [(key,) for key in apart], each, owner, lease)
    return await _loaded(connection, [*fast, *found])


async def _loaded(connection: AsyncConnection, leased: Sequence[Any]) -> list[ClaimedEvent]:
    if not leased:
        return []
    loaded = await _LOAD.run(
        connection,
        [(row.id, row.fence, row.failures, row.replay, row.priority, row.dedupe) for row in leased],
        min(row.id for row in leased),  # which partitions may have them
        max(row.id for row in leased),
    )
    return [ClaimedEvent(*row) for row in loaded]

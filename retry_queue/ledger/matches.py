"""Matches: customers that may be one person; a person accepts (they are joined) or refuses (they stay apart)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import links, sql, upkeep

M = upkeep.matches
OPEN, ACCEPTED, REFUSED = "open", "accepted", "refused"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two links that may be one; ``reasons`` are {rule, zh, en, weight}, the surest first."""

    low: int
    high: int
    confidence: float
    reasons: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A suggestion. The links are those of the time it was made: ask ``links.current`` what they are called now."""

    id: int
    left_link: int
    right_link: int
    confidence: float
    reasons: list[dict[str, Any]]
    state: str
    created_at: float
    settled_at: float | None
    settled_by: str | None


_SUGGEST = sql.Statement(
    """
    INSERT INTO matches (left_link, right_link, confidence, reasons, state, created_at)
    SELECT left_link, right_link, confidence, reasons, 'open', {now} FROM {src}
    WHERE NOT EXISTS (SELECT 1 FROM matches m WHERE m.left_link = src.left_link AND m.right_link = src.right_link
                      AND (m.state <> 'accepted'))
    ORDER BY left_link, right_link
    """,
    "left_link int, right_link int, confidence float, reasons text",
)
_SETTLE = sql.Statement(
    """
    UPDATE matches SET state = src.state, settled_at = {now}, settled_by = src.by FROM {src}
    WHERE matches.id = src.id AND matches.state = 'open' RETURNING matches.id
    """,
    "id int, state text, by text",
)
_OPEN_OF = sql.Statement(
    """
    SELECT DISTINCT m.id, m.left_link, m.right_link FROM {src}
    JOIN matches m ON m.left_link = src.link OR m.right_link = src.link
    WHERE m.state = 'open'
    """,
    "link int",
)


async def suggest(connection: AsyncConnection, pairs: Sequence[Pair]) -> None:
    """Makes suggestions; a pair that is there already, open or refused, stays as it is."""
    best: dict[tuple[int, int], Pair] = {}
    for pair in pairs:
        known = best.get((pair.low, pair.high))
        if known is None or pair.confidence > known.confidence:
            best[(pair.low, pair.high)] = pair
    await _SUGGEST.run(connection, [
        (p.low, p.high, p.confidence, json.dumps(p.reasons, ensure_ascii=False)) for _, p in sorted(best.items())
    ])  # fmt: skip


async def settle(connection: AsyncConnection, match_id: int, state: str, by: str) -> bool:
    """Closes an open suggestion; False when it is not open (any more)."""
    return bool(await _SETTLE.run(connection, [(match_id, state, by[:80])]))


async def settle_joined(connection: AsyncConnection, names: Iterable[int], by: str) -> None:
    """Closes open suggestions whose two sides are one link by now; ``names`` are links that were touched."""
    rows = await _OPEN_OF.run(connection, [(i,) for i in sorted(set(names))])
    now = await links.current(connection, {name for row in rows for name in (row.left_link, row.right_link)})
    joined = [row.id for row in rows if now.get(row.left_link, -1) == now.get(row.right_link, -2)]
    await _SETTLE.run(connection, [(i, ACCEPTED, by[:80]) for i in sorted(joined)])


def _match(row: Any) -> Match:
    values = list(row)
    values[4] = json.loads(values[4])
    return Match(*values)


async def search(
    connection: AsyncConnection, *, limit: int, before: int | None = None, state: str | None = None,
    links_: Iterable[int] | None = None,
) -> list[Match]:  # fmt: skip
    """Suggestions, the newest first; with ``links_`` those that name one of these."""
    query = select(M).order_by(M.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(M.c.id < before)
    if state is not None:
        query = query.where(M.c.state == state)
    if links_ is not None:
        names = sorted(set(links_))
        query = query.where(M.c.left_link.in_(names) | M.c.right_link.in_(names))
    return [_match(row) for row in await connection.execute(query)]


async def get(connection: AsyncConnection, match_id: int) -> Match | None:
    row = (await connection.execute(select(M).where(M.c.id == match_id))).first()
    return None if row is None else _match(row)

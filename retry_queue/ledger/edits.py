"""Edits of events by people: what came in, or what it means, mended by hand before it is tried again.

An event's body is what came, and stays so but for this: the edited text takes its place, and what was there is kept
here for good, with what changed, who did it and why.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import tables, upkeep

T = upkeep.edits


@dataclass(frozen=True, slots=True)
class Row:
    """One edit. ``what`` is payload or canonical; ``changes`` are {path, before, after}; ``at`` in Unix seconds."""

    id: int
    what: str
    changes: list[dict[str, Any]]
    note: str
    by: str
    at: float


async def put(
    connection: AsyncConnection,
    event_id: int,
    what: str,
    texts: tuple[str, str],
    changes: Sequence[dict[str, Any]],
    note: str,
    by: str,
    now: float,
) -> int:
    """Puts the second text (JSON) in the place of the first and keeps the first; returns the edit's id."""
    before, after = texts
    if what == "payload":
        place = update(tables.events).where(tables.events.c.id == event_id).values(payload=after)
    else:
        place = update(tables.canonicals).where(tables.canonicals.c.event_id == event_id).values(body=after)
    await connection.execute(place)
    values = {
        "event_id": event_id, "what": what, "before": before, "note": note, "by": by, "at": now,
        "changes": json.dumps(list(changes), ensure_ascii=False, default=str),
    }  # fmt: skip
    return int((await connection.execute(insert(T).values(**values).returning(T.c.id))).scalar_one())


async def of_event(connection: AsyncConnection, event_id: int) -> list[Row]:
    """Every edit of an event, the oldest first."""
    rows = await connection.execute(select(T).where(T.c.event_id == event_id).order_by(T.c.id))
    return [Row(row.id, row.what, json.loads(row.changes), row.note, row.by, row.at) for row in rows]

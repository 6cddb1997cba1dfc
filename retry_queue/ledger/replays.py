"""Replays of very many deliveries: jobs that go through what fits a filter, oldest first.

``cursor`` is {at, recent}: everything up to the id ``at`` was looked at; ``recent`` are those set going that were
not ended when last looked at. What comes back dead is behind the cursor and is not replayed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import deliveries, jobs, revival, sql, tables, upkeep

T = upkeep.replays
OPEN = jobs.OPEN

_COLUMNS = (
    "id, wanted, mapping, upto, state, cursor, counts, budget, detail, fence, failures, requested_by, created_at,"
    " ended_at"
)
_OWED = sql.Statement(
    """
    SELECT d.id, CASE WHEN d.state = 'pending' THEN 1 ELSE 0 END AS untried FROM {src}
    JOIN deliveries d ON d.id = src.id WHERE d.state IN ('pending', 'in_flight', 'retrying') ORDER BY d.id
    """,
    "id int",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One replay. ``budget``: deliveries a second at most, 0 for no bound. Times are Unix seconds."""

    id: int
    wanted: deliveries.Filter
    mapping: str
    """``planned``: each with the mapping it was planned with; ``newest``: with the one in force."""
    upto: int
    state: str
    cursor: dict[str, Any]
    counts: dict[str, int]
    budget: float
    detail: dict[str, str] | None
    fence: int
    failures: int
    requested_by: str
    created_at: float
    ended_at: float | None

    @property
    def at(self) -> int:
        """Everything up to this id was looked at."""
        return int(self.cursor.get("at", 0))

    @property
    def recent(self) -> list[int]:
        """Those set going that were not ended when last looked at."""
        return list(self.cursor.get("recent", ()))

    @property
    def share(self) -> float:
        """How much of what fitted was looked at, 0 to 1."""
        if self.state == "done":
            return 1.0
        return min(self.counts.get("looked_at", 0) / max(self.counts.get("matched", 1), 1), 1.0)


def _row(found: Any) -> Row:
    values = list(found)
    for place, empty in ((5, {}), (6, {}), (8, None)):
        values[place] = json.loads(values[place]) if values[place] else empty
    values[1] = deliveries.Filter(**json.loads(values[1]))
    return Row(*values)


JOBS = jobs.Jobs("replays", _COLUMNS, "next_at, id", _row)


async def create(
    connection: AsyncConnection, wanted: deliveries.Filter, mapping: str, budget: float, by: str, now: float
) -> int:
    """Asks for a replay of everything that fits by now; returns its id."""
    upto = (await connection.execute(select(func.coalesce(func.max(tables.deliveries.c.id), 0)))).scalar_one()
    matched = await deliveries.count(connection, wanted)
    values = {
        "wanted": jobs.text(asdict(wanted)), "mapping": mapping, "upto": upto, "state": "waiting",
        "counts": jobs.text({"matched": matched}), "budget": budget, "next_at": 0.0, "requested_by": by,
        "created_at": now,
    }  # fmt: skip
    return int((await connection.execute(insert(T).values(**values).returning(T.c.id))).scalar_one())


async def owed(connection: AsyncConnection, ids: Sequence[int]) -> tuple[list[int], bool]:
    """Which of these have not ended, and whether nobody has tried some of them yet."""
    rows = await _OWED.run(connection, [(i,) for i in ids])
    return [row.id for row in rows], any(row.untried for row in rows)


async def cancel(connection: AsyncConnection, number: int) -> Row | None:
    """Ends a replay at once: what it set going and nobody has tried yet is as it was. None: it is over already."""
    row = await JOBS.turn(connection, number, "cancel")
    if row is None:
        return None
    back = await revival.take_back(connection, row.recent, row.wanted.state or "dead")
    counts: Mapping[str, int] = {**row.counts, "taken_back": back, "replayed": row.counts.get("replayed", 0) - back}
    await connection.execute(T.update().where(T.c.id == number).values(counts=jobs.text(counts)))
    return await get(connection, number)


async def get(connection: AsyncConnection, number: int) -> Row | None:
    found = (await connection.execute(_select().where(T.c.id == number))).first()
    return None if found is None else _row(found)


async def search(connection: AsyncConnection, *, limit: int, before: int | None = None) -> list[Row]:
    """Replays, the newest first, with ids below ``before``."""
    query = _select().order_by(T.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(T.c.id < before)
    return [_row(found) for found in await connection.execute(query)]


def _select() -> Any:
    return select(*[T.c[name.strip()] for name in _COLUMNS.split(",")])

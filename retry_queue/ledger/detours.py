"""Detours: the order of deliveries when the link that names their lane is joined to another or parted.

What is owed moves to the lane of the new name, in the order it was planned. What is under way stays where it was
claimed; until it has ended the two lanes exclude each other, because both lead to one record.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql

_OPEN = "state IN ('pending', 'in_flight', 'retrying', 'parked')"
_LANES = sql.Statement(
    f"SELECT DISTINCT lane, connection_key FROM deliveries WHERE record_id IN (SELECT id FROM {{src}}) AND {_OPEN}",
    "id int",
)
# As everywhere, lanes are locked in the order of their names.
_HOLD = sql.Statement(
    "SELECT lane FROM lanes WHERE lane IN (SELECT lane FROM {src}) ORDER BY lane FOR UPDATE", "lane text"
)
_ALL = sql.Statement(
    """
    UPDATE deliveries SET lane = src.became FROM {src}
    WHERE deliveries.lane = src.was AND deliveries.state IN ('pending', 'in_flight', 'retrying', 'parked')
      AND deliveries.state || '' <> 'in_flight'
    """,
    "was text, became text",
)
_SOME = sql.Statement(
    """
    UPDATE deliveries SET lane = src.became FROM {src}
    WHERE deliveries.lane = src.was AND deliveries.record_id = src.record_id
      AND deliveries.state IN ('pending', 'in_flight', 'retrying', 'parked') AND deliveries.state || '' <> 'in_flight'
    """,
    "was text, became text, record_id int",
)
_DUE = sql.Statement(
    """
    INSERT INTO lanes (lane, connection_key, priority, next_at, fence, seq)
    SELECT d.lane, min(d.connection_key), 1, {now}, 0, 1 FROM {src} JOIN deliveries d ON d.lane = src.lane
    WHERE d.state IN ('pending', 'in_flight', 'retrying', 'parked') AND d.state || '' <> 'parked'
    GROUP BY d.lane ORDER BY d.lane
    ON CONFLICT (lane) DO UPDATE SET seq = lanes.seq + 1,
        next_at = CASE WHEN lanes.owner IS NULL AND excluded.next_at < lanes.next_at
                  THEN excluded.next_at ELSE lanes.next_at END
    """,
    "lane text",
)
_BEHIND = sql.Statement(
    """
    INSERT INTO detours (lane, behind)
    SELECT DISTINCT src.became, src.was FROM {src} JOIN deliveries d ON d.lane = src.was
    WHERE d.state IN ('pending', 'in_flight', 'retrying', 'parked') AND d.state || '' = 'in_flight'
    UNION SELECT src.became, x.behind FROM {src} JOIN detours x ON x.lane = src.was WHERE x.behind <> src.became
    ORDER BY 1, 2
    ON CONFLICT (lane, behind) DO NOTHING
    """,
    "was text, became text",
)
_TIDY = sql.Statement(
    """
    DELETE FROM detours WHERE NOT EXISTS (SELECT 1 FROM lanes WHERE lanes.lane = detours.behind)
      AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.lane = detours.behind
                      AND d.state IN ('pending', 'in_flight', 'retrying', 'parked'))
    """
)


async def move(
    connection: AsyncConnection, was: int, became: int, record_ids: Iterable[int], *, only: bool = False
) -> None:
    """Moves what is owed for these records from the lanes of link ``was`` to those of ``became``.

    Everything in those lanes, or ``only`` what comes from these records.
    """
    ids = sorted(set(record_ids))
    suffix = f"/{was}"
    rows = await _LANES.run(connection, [(i,) for i in ids])
    pairs = sorted((row.lane, f"{row.lane.removesuffix(suffix)}/{became}") for row in rows if row.lane.endswith(suffix))
    if not pairs:
        return
    if connection.dialect.name == "postgresql":
        await _HOLD.run(connection, [(name,) for name in sorted({name for pair in pairs for name in pair})])
    if only:
        await _SOME.run(connection, [(*pair, i) for pair in pairs for i in ids])
    else:
        await _ALL.run(connection, pairs)
    await _DUE.run(connection, [(new,) for _, new in pairs])
    await _BEHIND.run(connection, pairs)


async def tidy(connection: AsyncConnection) -> None:
    """Forgets detours that are over."""
    await _TIDY.run(connection)

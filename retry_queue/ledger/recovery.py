"""After the ledger was put back to an older point: what may have happened since is asked, not done again.

A ledger that comes from a backup does not know what was sent after the backup was taken. Whatever was due by then is
claimed as if an attempt had been cut off (see ``outbox.claim``), and an event that happened before the restore is
delivered as if it had been sent already: looked up first where the target can be asked, parked for a person where it
cannot (``sync.site.Site.doubts``).
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import configuration, sql, tables, workers

SETTING = "restored"
"""The key in ``settings``: ``{"at": Unix seconds of the restore, "taken_at": of the backup}``."""

UNTOLD = 3600.0
"""Seconds after a restore during which an event without a time of its own counts as one from before it."""

_DOUBT = sql.Statement(
    """
    UPDATE deliveries SET state = 'in_flight'
    WHERE state IN ('pending', 'retrying') AND next_at <= {now} RETURNING id
    """
)
_DUE = sql.Statement(
    """
    UPDATE lanes SET owner = NULL, next_at = {now}
    WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.lane = lanes.lane AND d.state = 'in_flight')
    """
)


async def mark(connection: AsyncConnection, taken_at: float, now: float) -> int:
    """Writes down that this ledger was put back; returns how many deliveries are in doubt.

    Nothing may run on the ledger meanwhile. Processes that were registered are forgotten, browsers are signed out:
    a session that was ended after the backup must not come back.
    """
    doubtful = await _DOUBT.run(connection)
    await _DUE.run(connection)
    there = (await connection.execute(select(tables.workers.c.owner))).scalars()
    await workers.bury(connection, list(there))
    await connection.execute(delete(tables.sessions))
    await configuration.put_setting(connection, SETTING, {"at": now, "taken_at": taken_at})
    await configuration.touch(connection)
    return len(doubtful)


def before(restored_at: float | None, occurred_at: float | None, received_at: float) -> bool:
    """Whether an event may have been dealt with before the restore, by a hub that this ledger knows nothing of."""
    if restored_at is None:
        return False
    return (occurred_at if occurred_at is not None else received_at - UNTOLD) <= restored_at

"""Alarms 告警: what troubles there are by the alerts configured, and the notices that tell people of them.

One process decides at a time (it holds the cursor ``~alerts``); alarms and the notices they make are written in one
transaction. Notices are leased to whoever sends them: ``next_at`` says when one is due, ``fence`` whose result counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, upkeep

A, N = upkeep.alarms, upkeep.notices
KEPT = 2000
"""Alarms that ended, and notices, that are kept for people to look back at."""

_OPEN = sql.Statement("SELECT * FROM alarms WHERE state <> 'ended' OR end_told = 0 ORDER BY id")
_KEEP = sql.Statement(
    """
    UPDATE alarms SET state = src.state, n = src.n, detail = src.detail, always = src.always,
        fired_at = src.fired_at, told_at = src.told_at, ended_at = src.ended_at, end_told = src.end_told
    FROM {src} WHERE alarms.id = src.id
    """,
    "id int, state text, n float, detail text, always int, fired_at float, told_at float, ended_at float, end_told int",
)
_ADD = sql.Statement(
    """
    INSERT INTO alarms (alert_key, kind, subject, state, n, detail, always, since, fired_at, told_at, end_told)
    SELECT alert_key, kind, subject, state, n, detail, always, since, fired_at, told_at, 0 FROM {src}
    """,
    "alert_key text, kind text, subject text, state text, n float, detail text, always int, since float,"
    " fired_at float, told_at float",
)
_DROP = sql.Statement("DELETE FROM alarms WHERE id IN (SELECT id FROM {src})", "id int")
_ABANDON = sql.Statement(
    """
    UPDATE alarms SET state = 'ended', ended_at = coalesce(ended_at, {now}), end_told = 1
    FROM {src} WHERE alarms.alert_key = src.alert_key AND (alarms.state <> 'ended' OR alarms.end_told = 0)
    """,
    "alert_key text",
)
_TRIM = (
    sql.Statement(
        "DELETE FROM alarms WHERE state = 'ended' AND end_told = 1"
        " AND id <= (SELECT id FROM alarms ORDER BY id DESC LIMIT 1 OFFSET {1})"
    ),
    sql.Statement(
        "DELETE FROM notices WHERE state <> 'waiting'"
        " AND id <= (SELECT id FROM notices ORDER BY id DESC LIMIT 1 OFFSET {1})"
    ),
)
_TELL = sql.Statement(
    """
    INSERT INTO notices (alert_key, connection_key, operation, recipients, body, state, next_at, created_at)
    SELECT alert_key, connection_key, operation, recipients, body, 'waiting', {now}, {now} FROM {src}
    """,
    "alert_key text, connection_key text, operation text, recipients text, body text",
)
_DUE = sql.Statement("SELECT count(*) AS n FROM notices WHERE state = 'waiting' AND next_at <= {now}")
_CLAIM = sql.Statement(
    """
    UPDATE notices SET fence = fence + 1, next_at = {now} + {2}
    WHERE id IN (SELECT id FROM notices WHERE state = 'waiting' AND next_at <= {now}
                 ORDER BY next_at, id LIMIT {1} {lock})
    RETURNING id, alert_key, connection_key, operation, recipients, body, fence, failures, created_at
    """
)
_END = sql.Statement(
    """
    UPDATE notices SET state = {3}, detail = {4}, ended_at = {now}
    WHERE id = {1} AND fence = {2} AND state = 'waiting' RETURNING id
    """
)
_LATER = sql.Statement(
    """
    UPDATE notices SET failures = failures + {4}, next_at = {now} + {3}, detail = {5}
    WHERE id = {1} AND fence = {2} AND state = 'waiting' RETURNING id
    """
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to one channel; ``body`` is {title, text, url}."""

    id: int
    alert_key: str
    connection_key: str
    operation: str
    recipients: list[str]
    body: dict[str, str]
    fence: int
    failures: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Telling:
    """A notice to be made."""

    alert_key: str
    connection_key: str
    operation: str
    recipients: Sequence[str]
    body: Mapping[str, str]


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


async def unfinished(connection: AsyncConnection) -> Sequence[Any]:
    """Every alarm that has not ended, or whose end has not been told."""
    return await _OPEN.run(connection)


async def add(connection: AsyncConnection, rows: Iterable[Sequence[Any]]) -> None:
    """New alarms: (alert_key, kind, subject, state, n, words, always, since, fired_at, told_at)."""
    await _ADD.run(connection, [(*one[:5], _text(one[5]), int(one[6]), *one[7:]) for one in rows])


async def keep(connection: AsyncConnection, rows: Iterable[Sequence[Any]]) -> None:
    """How alarms stand: (id, state, n, words, always, fired_at, told_at, ended_at, end_told)."""
    made = [(*one[:3], _text(one[3]), int(one[4]), *one[5:8], int(one[8])) for one in rows]
    await _KEEP.run(connection, made)


async def drop(connection: AsyncConnection, ids: Iterable[int]) -> None:
    """Takes away what never fired."""
    await _DROP.run(connection, [(one,) for one in ids])


async def abandon(connection: AsyncConnection, alert_keys: Iterable[str]) -> None:
    """Ends, without a word, the alarms of alerts that are no more."""
    await _ABANDON.run(connection, [(one,) for one in alert_keys])


async def trim(connection: AsyncConnection) -> None:
    """Drops the oldest of what is over, beyond the cap."""
    for statement in _TRIM:
        await statement.run(connection, (), KEPT)


async def tell(connection: AsyncConnection, given: Iterable[Telling]) -> None:
    """Owes messages."""
    rows = [(one.alert_key, one.connection_key, one.operation, _text(list(one.recipients)), _text(dict(one.body)))
            for one in given]  # fmt: skip
    await _TELL.run(connection, rows)


async def due(connection: AsyncConnection) -> int:
    """How many notices are due."""
    return int((await _DUE.run(connection))[0].n)


async def claim(connection: AsyncConnection, limit: int, lease: float) -> list[Notice]:
    """Leases due notices for ``lease`` seconds, the longest due first."""
    rows = await _CLAIM.run(connection, (), limit, lease)
    made = [
        Notice(r.id, r.alert_key, r.connection_key, r.operation, json.loads(r.recipients), json.loads(r.body), r.fence,
               r.failures, r.created_at)
        for r in rows
    ]  # fmt: skip
    return sorted(made, key=lambda one: one.id)


async def end(connection: AsyncConnection, notice: Notice, state: str, words: Mapping[str, str] | None = None) -> bool:
    """``sent`` or ``failed``; False when somebody else has it by now."""
    return bool(await _END.run(connection, (), notice.id, notice.fence, state, _text(words)))


async def later(
    connection: AsyncConnection, notice: Notice, delay: float, words: Mapping[str, str] | None, *, failed: bool
) -> bool:
    """Due again after ``delay`` seconds."""
    return bool(await _LATER.run(connection, (), notice.id, notice.fence, delay, int(failed), _text(words)))


# --- for people -----------------------------------------------------------------------------------


async def search(
    connection: AsyncConnection, *, limit: int, before: int | None = None, state: str | None = None,
    alert_key: str | None = None,
) -> list[Any]:  # fmt: skip
    """Alarms that fire or have fired, the newest first, with ids below ``before``; ``state``: firing or ended."""
    query = select(A).where(A.c.fired_at.is_not(None)).order_by(A.c.id.desc()).limit(limit)
    for column, value in ((A.c.state, state), (A.c.alert_key, alert_key)):
        if value is not None:
            query = query.where(column == value)
    return list(await connection.execute(query.where(A.c.id < before) if before is not None else query))


async def acknowledge(connection: AsyncConnection, number: int, by: str) -> Any | None:
    """Notes that somebody takes care of an alarm that fires: it is not repeated. None when there is none."""
    firing = (A.c.id == number) & (A.c.state == "firing")
    done = (await connection.execute(update(A).where(firing).values(acknowledged_by=by).returning(A.c.id))).first()
    return None if done is None else (await connection.execute(select(A).where(A.c.id == number))).first()


async def sent(connection: AsyncConnection, *, limit: int, before: int | None = None) -> list[Any]:
    """Notices, the newest first, with ids below ``before``."""
    query = select(N).order_by(N.c.id.desc()).limit(limit)
    return list(await connection.execute(query.where(N.c.id < before) if before is not None else query))


async def firing(connection: AsyncConnection) -> list[Any]:
    """(alert_key, kind, n) of what fires now."""
    query = select(A.c.alert_key, A.c.kind, A.c.id).where(A.c.state == "firing")
    return list(await connection.execute(query))


async def undelivered(connection: AsyncConnection, since: float) -> list[Any]:
    """(connection_key, n, detail) of channels whose newest message since then could not be delivered."""
    newest = select(N).where(N.c.created_at >= since).order_by(N.c.id)
    last = {row.connection_key: row for row in await connection.execute(newest)}
    return [row for row in last.values() if row.state == "failed"]


async def record(connection: AsyncConnection, telling: Telling, state: str, words: Mapping[str, str] | None,
                 now: float) -> None:  # fmt: skip
    """A message that was sent at once (the test button), for the list."""
    await connection.execute(
        insert(N).values(
            alert_key=telling.alert_key, connection_key=telling.connection_key, operation=telling.operation,
            recipients=_text(list(telling.recipients)), body=_text(dict(telling.body)), state=state, next_at=now,
            detail=_text(words), created_at=now, ended_at=now,
        )
    )  # fmt: skip

"""The audit log: who changed what, each entry chained to the one before by a keyed digest.

Editing, removing or reordering entries breaks the chain; cutting off its end contradicts the head kept in
the settings. Without SECRET_KEY neither can be made to fit again. ``lock`` also makes every change of the
configuration wait for the one before, so that an ``If-Match`` which was checked stays true until the commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import configuration, secrets, tables

T = tables.audit
HEAD, BASE = "audit_head", "audit_base"
_LOCK = 0x41554449  # "AUDI"
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. ``detail`` never holds a secret; ``at`` is Unix seconds."""

    id: int
    at: float
    actor: str
    action: str
    object: str
    detail: dict[str, Any]


async def lock(connection: AsyncConnection) -> None:
    """One change of the configuration at a time, until this transaction ends."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _digest(sealer: secrets.Sealer, previous: str, at: float, actor: str, action: str, what: str, detail: str) -> str:
    text = json.dumps([previous, repr(at), actor, action, what, detail], ensure_ascii=False, separators=(",", ":"))
    return sealer.digest("audit", hashlib.sha256(text.encode()).hexdigest())


async def append(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    now: float,
    actor: str,
    action: str,
    what: str,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Writes one entry in the transaction of the change itself; returns its id."""
    await lock(connection)
    head = await configuration.setting(connection, HEAD) or {"digest": "", "count": 0}
    text = json.dumps(detail or {}, ensure_ascii=False, sort_keys=True, default=str)
    actor, action, what = actor[:80], action[:60], what[:200]
    digest = _digest(sealer, head["digest"], now, actor, action, what, text)
    made = await connection.execute(
        insert(T)
        .values(at=now, actor=actor, action=action, object=what, detail=text, previous=head["digest"], digest=digest)
        .returning(T.c.id)
    )
    number = int(made.scalar_one())
    await configuration.put_setting(connection, HEAD, {"id": number, "digest": digest, "count": int(head["count"]) + 1})
    return number


async def search(
    connection: AsyncConnection,
    *,
    limit: int,
    before: int | None = None,
    actor: str | None = None,
    action: str | None = None,
    what: str | None = None,
) -> list[Entry]:
    """Entries, the newest first, with ids below ``before``."""
    query = select(T).order_by(T.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(T.c.id < before)
    if actor:
        query = query.where(T.c.actor == actor)
    if action:
        query = query.where(T.c.action == action)
    if what:
        query = query.where(T.c.object == what)
    rows = await connection.execute(query)
    return [Entry(r.id, r.at, r.actor, r.action, r.object, json.loads(r.detail)) for r in rows]


async def verify(connection: AsyncConnection, sealer: secrets.Sealer) -> list[str]:
    """Reads the whole chain; returns what is wrong with it, in English for logs and scripts."""
    head = await configuration.setting(connection, HEAD)
    base = await configuration.setting(connection, BASE) or {"id": 0, "digest": "", "count": 0}
    wrong: list[str] = []
    previous, last, count = str(base["digest"]), int(base["id"]), int(base["count"])
    if count and base.get("mark") != _anchor(sealer, last, previous, count):
        wrong.append("the anchor of the chain was altered; its beginning may have been cut off")
    early = select(func.count()).select_from(T).where(T.c.id <= last)
    if (await connection.execute(early)).scalar_one():
        wrong.append("there are entries before the anchor of the chain")
    while True:
        rows = (await connection.execute(select(T).where(T.c.id > last).order_by(T.c.id).limit(_CHUNK))).all()
        if not rows:
            break
        for row in rows:
            if row.previous != previous:
                wrong.append(f"entry {row.id}: does not follow the one before; something was removed or moved")
            made = _digest(sealer, row.previous, row.at, row.actor, row.action, row.object, row.detail)
            if made != row.digest:
                wrong.append(f"entry {row.id}: was altered")
            previous, last, count = row.digest, row.id, count + 1
    if count and head is None:
        wrong.append("the head of the chain is missing")
    elif head is not None and (head["digest"] != previous or head["count"] != count):
        said = f"{head['count']} entries up to {head['id']}"
        wrong.append(f"the chain has {count} entries up to {last}, its head says {said}; the end was cut off")
    return wrong


async def prune(connection: AsyncConnection, sealer: secrets.Sealer, before: float, now: float, most: int) -> int:
    """Removes up to ``most`` of the oldest entries made before a moment, and anchors the chain behind them.

    The anchor carries a keyed mark, so that nobody else can pretend that entries were removed in this way.
    """
    await lock(connection)
    oldest = (await connection.execute(select(T.c.id, T.c.at, T.c.digest).order_by(T.c.id).limit(most + 1))).all()
    going = []
    for row in oldest[:-1]:  # the newest entry always stays
        if row.at >= before:
            break
        going.append(row)
    if not going:
        return 0
    base = await configuration.setting(connection, BASE) or {"count": 0}
    number, digest, count = int(going[-1].id), str(going[-1].digest), int(base["count"]) + len(going)
    anchor = {"id": number, "digest": digest, "count": count, "mark": _anchor(sealer, number, digest, count)}
    await configuration.put_setting(connection, BASE, anchor)
    await connection.execute(delete(T).where(T.c.id <= number))
    await append(connection, sealer, now, "hub", "audit.prune", f"audit/{number}", {"entries": len(going)})
    return len(going)


def _anchor(sealer: secrets.Sealer, number: int, digest: str, count: int) -> str:
    return sealer.digest("audit anchor", f"{number}/{digest}/{count}")

"""How long what is kept, by class of data, and the removal of what is over: in small batches, again and again.

``raw`` bodies of events as they came and as they were mapped; ``attempts`` of deliveries with their exchanges;
``dead_letters``: both of these while something was given up and may still be replayed; ``quarantine``: refused calls;
``comparisons``: finished reconciliations with their findings; ``audit``: its oldest entries, the chain being
anchored anew. What is owed, waits for a person or is under way is never touched, and neither are counts, links and
the newest state of records.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import audit, configuration, erasure, secrets, session, tables, upkeep
from retry_queue.ledger.states import WAITING_DELIVERY, DeliveryState, EventState

SETTING, PLACE = "retention", "retention_place"
DAY = 86400.0
BATCH = 500
E, B, C, D, A = tables.events, tables.inbox, tables.canonicals, tables.deliveries, tables.attempts
Q, N, F = tables.quarantine, upkeep.reconciliations, upkeep.findings


@dataclass(frozen=True, slots=True)
class Policy:
    """Days that each class is kept; None: for ever."""

    raw: int | None = 180
    attempts: int | None = 90
    dead_letters: int | None = 365
    quarantine: int | None = 30
    comparisons: int | None = 180
    audit: int | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows of each class went; ``more``: another batch may find something."""

    raw: int = 0
    attempts: int = 0
    quarantine: int = 0
    comparisons: int = 0
    audit: int = 0
    more: bool = False

    @property
    def total(self) -> int:
        return sum(int(getattr(self, name)) for name in CLASSES)


CLASSES = ("raw", "attempts", "quarantine", "comparisons", "audit")


async def read(connection: AsyncConnection) -> Policy:
    """The policy in force."""
    told = await configuration.setting(connection, SETTING) or {}
    known = {field.name for field in fields(Policy)}
    return Policy(**{name: days for name, days in told.items() if name in known})


async def put(connection: AsyncConnection, policy: Policy) -> None:
    """Sets the policy. What it removes is gone with the next sweep."""
    await configuration.put_setting(connection, SETTING, asdict(policy))
    await configuration.put_setting(connection, PLACE, {})  # a shorter time concerns what was passed by already


async def sweep(ledger: session.Ledger, sealer: secrets.Sealer, now: float) -> Swept:
    """One batch of each class. Each class is its own transaction."""
    async with ledger.read() as connection:
        policy = await read(connection)
    dead = _before(policy.dead_letters, now)
    raw, more_raw = await _passed(ledger, "raw", _raw, _before(policy.raw, now), dead)
    tries, more_tries = await _passed(ledger, "attempts", _attempts, _before(policy.attempts, now), dead)
    others = {
        "quarantine": await _quarantine(ledger, _before(policy.quarantine, now)),
        "comparisons": await _comparisons(ledger, _before(policy.comparisons, now)),
        "audit": await _audit(ledger, sealer, _before(policy.audit, now), now),
    }
    return Swept(raw=raw, attempts=tries, **others, more=more_raw or more_tries or any(others.values()))


def _before(days: int | None, now: float) -> float | None:
    return None if days is None else now - days * DAY


async def restart(connection: AsyncConnection) -> None:
    """Begins at the oldest rows again: what was still owed at the last passing may have ended since."""
    await configuration.put_setting(connection, PLACE, {})


async def _passed(
    ledger: session.Ledger, name: str, step: Any, cut: float | None, dead: float | None
) -> tuple[int, bool]:
    """Walks a big table by its ids, a batch at a time; where it is, is kept, so that nothing is read twice.

    Returns how many rows went and whether there are more to look at.
    """
    if cut is None:
        return 0, False
    async with ledger.write() as connection:
        places = await configuration.setting(connection, PLACE) or {}
        last, gone = await step(connection, int(places.get(name, 0)), cut, dead)
        if last is not None:
            await configuration.put_setting(connection, PLACE, {**places, name: last})
    return gone, last is not None


def _dead(of: Any) -> Any:
    return exists().where(D.c.event_id == of, D.c.state == DeliveryState.DEAD)


async def _raw(connection: AsyncConnection, after: int, cut: float, dead: float | None) -> tuple[int | None, int]:
    query = select(E.c.id, E.c.received_at).where(E.c.id > after).order_by(E.c.id).limit(BATCH)
    rows = [row for row in await connection.execute(query) if row.received_at < cut]
    if not rows:
        return None, 0
    owed = exists().where(D.c.event_id == E.c.id, D.c.state.in_(WAITING_DELIVERY))
    ended = exists().where(B.c.id == E.c.id, B.c.state.in_((EventState.PLANNED, EventState.SKIPPED)))
    over = ~_dead(E.c.id) if dead is None else or_(~_dead(E.c.id), E.c.received_at < dead)
    ids = [row.id for row in rows]
    wanted = select(E.c.id).where(E.c.id.in_(ids), E.c.payload != erasure.GONE, ended, ~owed, over)
    going = list((await connection.execute(wanted)).scalars())
    await connection.execute(update(E).where(E.c.id.in_(going)).values(payload=erasure.GONE))
    await connection.execute(update(C).where(C.c.event_id.in_(going)).values(body=erasure.GONE))
    return ids[-1], len(going)


async def _attempts(connection: AsyncConnection, after: int, cut: float, dead: float | None) -> tuple[int | None, int]:
    query = select(A.c.id, A.c.at).where(A.c.id > after).order_by(A.c.id).limit(BATCH)
    rows = [row for row in await connection.execute(query) if row.at < cut]
    if not rows:
        return None, 0
    here = D.c.id == A.c.delivery_id
    kept = exists().where(here, D.c.state.in_(WAITING_DELIVERY))
    given_up = exists().where(here, D.c.state == DeliveryState.DEAD)
    over = ~given_up if dead is None else or_(~given_up, A.c.at < dead)
    ids = [row.id for row in rows]
    wanted = select(A.c.id).where(A.c.id.in_(ids), ~kept, over)
    going = list((await connection.execute(wanted)).scalars())
    await connection.execute(delete(A).where(A.c.id.in_(going)))
    return ids[-1], len(going)


async def _quarantine(ledger: session.Ledger, cut: float | None) -> int:
    if cut is None:
        return 0
    async with ledger.write() as connection:
        ids = select(Q.c.id).where(Q.c.at < cut).order_by(Q.c.id).limit(BATCH)
        return int((await connection.execute(delete(Q).where(Q.c.id.in_(ids)))).rowcount)


async def _comparisons(ledger: session.Ledger, cut: float | None) -> int:
    if cut is None:
        return 0
    async with ledger.write() as connection:
        busy = exists().where(F.c.reconciliation_id == N.c.id, F.c.state == "repairing")
        query = select(N.c.id).where(N.c.ended_at < cut, ~busy).order_by(N.c.id).limit(20)
        ids = list((await connection.execute(query)).scalars())
        if not ids:
            return 0
        some = select(F.c.id).where(F.c.reconciliation_id.in_(ids)).limit(BATCH)
        gone = int((await connection.execute(delete(F).where(F.c.id.in_(some)))).rowcount)
        left = select(func.count()).select_from(F).where(F.c.reconciliation_id.in_(ids))
        if not (await connection.execute(left)).scalar_one():
            gone += int((await connection.execute(delete(N).where(N.c.id.in_(ids)))).rowcount)
    return gone


async def _audit(ledger: session.Ledger, sealer: secrets.Sealer, cut: float | None, now: float) -> int:
    if cut is None:
        return 0
    async with ledger.write() as connection:
        return await audit.prune(connection, sealer, cut, now, BATCH)

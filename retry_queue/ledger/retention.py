"""How long what is kept, by class of data, and the removal of what is over: in small batches, again and again.

``raw`` bodies of events as they came, with edits of them; ``canonicals``: as they were mapped; ``attempts`` of
deliveries, and ``exchanges``: what was said in them, if it goes sooner; ``dead_letters``: all of these while something
was given up and may still be replayed; ``quarantine``: refused calls; ``comparisons``: finished reconciliations with
their findings; ``audit``: its oldest entries, the chain being anchored anew. What is owed, waits for a person or is
under way is never touched, and neither are counts, links and the newest state of records.

On PostgreSQL whole partitions go at once (``partitions``); rows one by one only where a partition is not over for a
while yet, or too much in it stays.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import audit, configuration, erasure, partitions, secrets, session, tables, upkeep
from retry_queue.ledger.states import WAITING_DELIVERY, DeliveryState, EventState

SETTING, PLACE = "retention", "retention_place"
DAY = 86400.0
BATCH = 500
E, B, C, D, A = tables.events, tables.inbox, tables.canonicals, tables.deliveries, tables.attempts
Q, N, F, T = tables.quarantine, upkeep.reconciliations, upkeep.findings, upkeep.edits


@dataclass(frozen=True, slots=True)
class Policy:
    """Days that each class is kept; None: for ever."""

    raw: int | None = 180
    canonicals: int | None = 180
    attempts: int | None = 90
    exchanges: int | None = None
    dead_letters: int | None = 365
    quarantine: int | None = 30
    comparisons: int | None = 180
    audit: int | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows of each class went; ``more``: another batch may find something."""

    raw: int = 0
    canonicals: int = 0
    attempts: int = 0
    exchanges: int = 0
    quarantine: int = 0
    comparisons: int = 0
    audit: int = 0
    more: bool = False

    @property
    def total(self) -> int:
        return sum(int(getattr(self, name)) for name in CLASSES)


CLASSES = ("raw", "canonicals", "attempts", "exchanges", "quarantine", "comparisons", "audit")


async def read(connection: AsyncConnection) -> Policy:
    """The policy in force."""
    told = await configuration.setting(connection, SETTING) or {}
    known = {field.name for field in fields(Policy)}
    if told and "canonicals" not in told:  # set before both had a time of their own
        told = {**told, "canonicals": told.get("raw")}
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
    raw, canonicals = _before(policy.raw, now), _before(policy.canonicals, now)
    attempts, exchanges = _before(policy.attempts, now), _before(policy.exchanges, now)
    both = None if raw is None or canonicals is None else min(raw, canonicals)
    whole = {
        "raw": await _whole(ledger, partitions.EVENTS, both, dead, _EVENTS_KEPT, _EVENTS_DEAD),
        "attempts": await _whole(ledger, partitions.ATTEMPTS, attempts, dead, _ATTEMPTS_KEPT, _ATTEMPTS_DEAD),
    }
    soon_events = await _soon(ledger, partitions.EVENTS, both)
    soon_attempts = await _soon(ledger, partitions.ATTEMPTS, attempts)
    gone: dict[str, int] = {}
    more = False
    for name, step, cut, soon in (
        ("raw", _raw, raw, soon_events if raw == both else []),
        ("canonicals", _canonicals, canonicals, soon_events if canonicals == both else []),
        ("attempts", _attempts, attempts, soon_attempts),
        ("exchanges", _exchanges, exchanges, []),
    ):
        n, again = await _passed(ledger, name, step, cut, dead, soon)
        gone[name] = n + whole.get(name, 0)
        more = more or again
    others = {
        "quarantine": await _quarantine(ledger, _before(policy.quarantine, now)),
        "comparisons": await _comparisons(ledger, _before(policy.comparisons, now)),
        "audit": await _audit(ledger, sealer, _before(policy.audit, now), now),
    }
    edited = await _edits(ledger, raw)
    return Swept(**gone, **others, more=more or edited or any(others.values()))


_OPEN = ", ".join(f"'{state}'" for state in sorted(WAITING_DELIVERY))
_EVENTS_KEPT = f"""
    SELECT id FROM inbox WHERE state = 'received' AND id < :high
    UNION ALL SELECT id FROM inbox WHERE state = 'parked' AND id < :high
    UNION ALL SELECT event_id FROM deliveries WHERE state IN ({_OPEN}) AND event_id < :high
    UNION ALL SELECT event_id FROM deliveries d WHERE state = 'dead' AND event_id < :high
"""
_EVENTS_DEAD = " AND (SELECT received_at FROM events e WHERE e.id = d.event_id) >= :dead"
_ATTEMPTS_KEPT = f"""
    SELECT a.id FROM deliveries d JOIN attempts a ON a.delivery_id = d.id WHERE d.state IN ({_OPEN}) AND a.id < :high
    UNION ALL SELECT a.id FROM deliveries d JOIN attempts a ON a.delivery_id = d.id
    WHERE d.state = 'dead' AND a.id < :high
"""
_ATTEMPTS_DEAD = " AND a.at >= :dead"


async def _whole(
    ledger: session.Ledger, family: partitions.Family, cut: float | None, dead: float | None, keep: str, limit: str
) -> int:
    """Drops the partitions that are over; returns about how many rows went."""
    if cut is None or ledger.dialect != "postgresql":
        return 0
    given = {} if dead is None else {"dead": dead}
    done = await partitions.drop(ledger, family, cut, keep if dead is None else keep + limit, given)
    return done.rows


async def _soon(ledger: session.Ledger, family: partitions.Family, cut: float | None) -> list[partitions.Part]:
    if cut is None or ledger.dialect != "postgresql":
        return []
    async with ledger.read() as connection:
        return await partitions.soon(connection, family, cut)


def _before(days: int | None, now: float) -> float | None:
    return None if days is None else now - days * DAY


async def restart(connection: AsyncConnection) -> None:
    """Begins at the oldest rows again: what was still owed at the last passing may have ended since."""
    await configuration.put_setting(connection, PLACE, {})


async def _passed(
    ledger: session.Ledger, name: str, step: Any, cut: float | None, dead: float | None, soon: list[partitions.Part]
) -> tuple[int, bool]:
    """Walks a big table by its ids, a batch at a time; where it is, is kept, so that nothing is read twice.

    What is in a partition that is over ``soon`` is passed by: it goes with it. Returns how many rows went and whether
    there are more to look at.
    """
    if cut is None:
        return 0, False
    async with ledger.write() as connection:
        places = await configuration.setting(connection, PLACE) or {}
        last, gone = await step(connection, _past(int(places.get(name, 0)), soon), cut, dead)
        if last is not None:
            await configuration.put_setting(connection, PLACE, {**places, name: last})
    return gone, last is not None


def _past(after: int, soon: list[partitions.Part]) -> int:
    for part in soon:
        if part.high is not None and part.low <= after + 1 < part.high:
            after = part.high - 1
    return after


def _dead(of: Any) -> Any:
    return exists().where(D.c.event_id == of, D.c.state == DeliveryState.DEAD)


async def _old_events(connection: AsyncConnection, after: int, cut: float, dead: float | None) -> tuple[list[int], Any]:
    """The next ids that came before ``cut``, and what says which of them are over."""
    query = select(E.c.id, E.c.received_at).where(E.c.id > after).order_by(E.c.id).limit(BATCH)
    ids = [row.id for row in await connection.execute(query) if row.received_at < cut]
    owed = exists().where(D.c.event_id == E.c.id, D.c.state.in_(WAITING_DELIVERY))
    ended = exists().where(B.c.id == E.c.id, B.c.state.in_((EventState.PLANNED, EventState.SKIPPED)))
    over = ~_dead(E.c.id) if dead is None else or_(~_dead(E.c.id), E.c.received_at < dead)
    return ids, select(E.c.id).where(E.c.id.in_(ids), ended, ~owed, over)


async def _raw(connection: AsyncConnection, after: int, cut: float, dead: float | None) -> tuple[int | None, int]:
    ids, wanted = await _old_events(connection, after, cut, dead)
    if not ids:
        return None, 0
    going = list((await connection.execute(wanted.where(E.c.payload != erasure.GONE))).scalars())
    await connection.execute(update(E).where(E.c.id.in_(going)).values(payload=erasure.GONE))
    return ids[-1], len(going)


async def _canonicals(
    connection: AsyncConnection, after: int, cut: float, dead: float | None
) -> tuple[int | None, int]:
    ids, wanted = await _old_events(connection, after, cut, dead)
    if not ids:
        return None, 0
    told = or_(C.c.body != erasure.GONE, C.c.native.is_not(None))
    emptied = update(C).where(C.c.event_id.in_(ids), C.c.event_id.in_(wanted), told)
    done = await connection.execute(emptied.values(body=erasure.GONE, native=None))
    return ids[-1], int(done.rowcount)


async def _old_attempts(
    connection: AsyncConnection, after: int, cut: float, dead: float | None
) -> tuple[list[int], Any]:
    query = select(A.c.id, A.c.at).where(A.c.id > after).order_by(A.c.id).limit(BATCH)
    ids = [row.id for row in await connection.execute(query) if row.at < cut]
    here = D.c.id == A.c.delivery_id
    kept = exists().where(here, D.c.state.in_(WAITING_DELIVERY))
    given_up = exists().where(here, D.c.state == DeliveryState.DEAD)
    over = ~given_up if dead is None else or_(~given_up, A.c.at < dead)
    return ids, select(A.c.id).where(A.c.id.in_(ids), ~kept, over)


async def _attempts(connection: AsyncConnection, after: int, cut: float, dead: float | None) -> tuple[int | None, int]:
    ids, wanted = await _old_attempts(connection, after, cut, dead)
    if not ids:
        return None, 0
    going = list((await connection.execute(wanted)).scalars())
    await connection.execute(delete(A).where(A.c.id.in_(going)))
    return ids[-1], len(going)


async def _exchanges(connection: AsyncConnection, after: int, cut: float, dead: float | None) -> tuple[int | None, int]:
    ids, wanted = await _old_attempts(connection, after, cut, dead)
    if not ids:
        return None, 0
    going = list((await connection.execute(wanted.where(A.c.exchanges.is_not(None)))).scalars())
    await connection.execute(update(A).where(A.c.id.in_(going)).values(exchanges=None))
    return ids[-1], len(going)


async def _edits(ledger: session.Ledger, cut: float | None) -> bool:
    """Removes what stood there before an edit, once the event itself has no body any more."""
    if cut is None:
        return False
    there = exists().where(E.c.id == T.c.event_id, E.c.payload != erasure.GONE)
    async with ledger.write() as connection:
        ids = list((await connection.execute(select(T.c.id).where(T.c.at < cut, ~there).limit(BATCH))).scalars())
        await connection.execute(delete(T).where(T.c.id.in_(ids)))
    return bool(ids)


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

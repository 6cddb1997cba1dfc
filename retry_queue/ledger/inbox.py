"""The inbox 收件箱: events taken in, exactly once per (connection, dedupe key), and their planning.

``append`` takes a group of hand-ins in; ``claim`` leases due events to a planner;
``settle`` writes what planning decided, and only for the fence it was claimed with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import sql, tallies
from retry_queue.ledger.states import EventState

FAST, LIVE, BACKFILL = 0, 1, 2
_AIM = "#repair:"
TURN = 0.05
"""Seconds until an event is looked at again that came before its turn."""
LOOK_BACK = 16
"""Earlier events of a record that are looked at; those between are in the same batch, or planned."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. ``payload`` is JSON text, ``occurred_at`` Unix seconds."""

    connection_key: str
    source: str
    message: str
    entity: str | None
    record: str | None
    dedupe: str
    payload: str
    occurred_at: float | None
    trace: str
    priority: int = LIVE
    hop: int = 0
    reread: bool = False
    """From a poll, whose windows overlap on purpose: seeing it twice is no duplicate delivery."""
    switches: int | None = None
    """Of the connection it was read with; None: it is of our own making."""


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event leased for planning."""

    id: int
    fence: int
    failures: int
    connection_key: str
    source: str
    message: str
    entity: str | None
    record: str | None
    payload: str
    occurred_at: float | None
    received_at: float
    trace: str
    hop: int
    replay: bool
    """A person asked for it: planned even when nothing seems to have changed."""
    priority: int = LIVE
    dedupe: str = ""

    @property
    def aim(self) -> str | None:
        """The one connection that a repair is meant for; None for every other event."""
        return self.dedupe[len(_AIM) :].partition(":")[0] if self.dedupe.startswith(_AIM) else None

    @property
    def fast(self) -> bool:
        """It has a business deadline of seconds and waits for nothing else."""
        return self.priority == FAST


@dataclass(frozen=True, slots=True)
class Ruling:
    """What planning decided for one event. ``next_at`` (seconds from now) only when it stays received."""

    id: int
    fence: int
    state: EventState
    reason: str | None = None
    detail: str | None = None
    delay: float = 0.0
    failed: bool = False


# On PostgreSQL the whole of it, a transaction of its own where it runs outside of one: begun, written table by table
# and committed it would be five times on the way, while somebody waits for the acknowledgement. The test of ``made`` is
# one that the planner leaves as it is, a look into a hash; a join would compare each with each (``session._BY_KEYS``).
_TAKE = sql.Statement(
    f"""
    WITH given AS MATERIALIZED (
        SELECT nextval('inbox_id_seq') AS id, src.* FROM {{src}}
        WHERE coalesce(src.switches = (SELECT c.switches FROM connections c WHERE c.key = src.connection_key), true)
    ), made AS (
        INSERT INTO inbox (id, connection_key, dedupe, state, priority, next_at, received_at)
        SELECT id, connection_key, dedupe, 'received', priority, {{now}}, {{now}} FROM given
        ON CONFLICT (connection_key, dedupe) DO NOTHING RETURNING id, connection_key, dedupe
    ), body AS (
        INSERT INTO events (id, connection_key, source, message, entity, record, payload, occurred_at,
                            received_at, trace, hop)
        SELECT id, connection_key, source, message, entity, record, payload, occurred_at, {{now}}, trace, hop
        FROM given WHERE (id IN (SELECT id FROM made)) IS TRUE
    ), counted AS (
        INSERT INTO tallies (day, connection_key, kind, slot, n)
        SELECT {tallies.TODAY}, connection_key, 'received', CAST({{1}} AS INTEGER), count(*) FROM made
        WHERE CAST({{1}} AS INTEGER) IS NOT NULL GROUP BY connection_key {tallies.MORE}
    )
    SELECT id, connection_key, dedupe FROM made
    """,
    "connection_key text, dedupe text, priority small, switches int, source text, message text, entity text,"
    " record text, payload text, occurred_at float, trace text, hop small",
)
# Asked row by row: a join would number the events in an order of its own.
_APPEND = sql.Statement(
    """
    INSERT INTO inbox (connection_key, dedupe, state, priority, next_at, received_at)
    SELECT connection_key, dedupe, 'received', priority, {now}, {now} FROM {src}
    WHERE coalesce(src.switches = (SELECT c.switches FROM connections c WHERE c.key = src.connection_key), true)
    ON CONFLICT (connection_key, dedupe) DO NOTHING
    RETURNING id, connection_key, dedupe, received_at
    """,
    "connection_key text, dedupe text, priority small, switches int",
)
_SWITCHED = sql.Statement(
    "SELECT DISTINCT c.key FROM {src} JOIN connections c ON c.key = src.connection_key AND c.switches <> src.switches",
    "connection_key text, switches int",
)
_BODY = sql.Statement(
    """
    INSERT INTO events (id, connection_key, source, message, entity, record, payload, occurred_at,
                        received_at, trace, hop)
    SELECT id, connection_key, source, message, entity, record, payload, occurred_at, received_at, trace, hop
    FROM {src}
    """,
    "id int, connection_key text, source text, message text, entity text, record text, payload text,"
    " occurred_at float, received_at float, trace text, hop small",
)
# Connection and state are compared as expressions: an index that begins with one of them would be read from end to end
# for every event of a burst. Nothing before the oldest event to be planned is looked at, nor its partitions.
_BEHIND = sql.Statement(
    """
    SELECT src.id FROM {src} JOIN events e ON e.id = src.id
    WHERE e.record IS NOT NULL AND e.id BETWEEN {2} AND {3} AND EXISTS (
        SELECT 1 FROM (
            SELECT o.id FROM events o WHERE o.record = e.record AND o.connection_key || '' = e.connection_key
              AND o.id < e.id AND o.id >= (SELECT min(f.id) FROM inbox f WHERE f.state = 'received')
            ORDER BY o.id DESC LIMIT {1}
        ) o JOIN inbox i ON i.id = o.id
        WHERE i.state || '' = 'received' AND i.id NOT IN (SELECT id FROM {src})
          AND (i.owner IS NOT NULL OR (i.priority <= src.priority AND i.next_at <= {now} + 1)))
    """,
    "id int, priority small",
)
_GIVE_BACK = sql.Statement(
    "UPDATE inbox SET owner = NULL, next_at = {now} + {1} FROM {src} WHERE inbox.id = src.id", "id int"
)
# The empty text keeps the planner off the index of what is due, all of which it would read for each batch.
_SETTLE = sql.Statement(
    """
    UPDATE inbox SET state = src.state, reason = src.reason, detail = src.detail, owner = NULL,
        next_at = {now} + src.delay, failures = inbox.failures + src.failed
    FROM {src} WHERE inbox.id = src.id AND inbox.fence = src.fence AND inbox.state || '' = 'received'
    RETURNING inbox.id
    """,
    "id int, fence int, state text, reason text, detail text, delay float, failed int",
)
_RELEASE = sql.Statement(
    "UPDATE inbox SET next_at = {now}, owner = NULL WHERE state = 'received' AND owner IN (SELECT owner FROM {src})",
    "owner text",
)
_ABANDON = sql.Statement(
    "UPDATE inbox SET next_at = {now}, owner = NULL WHERE state = 'received' AND owner = {1}"
    " AND id NOT IN (SELECT id FROM {src})",
    "id int",
)
_REVIVE = sql.Statement(
    """
    UPDATE inbox SET state = 'received', reason = 'replay', detail = NULL, owner = NULL, failures = 0,
        fence = fence + 1, next_at = {now}
    FROM {src} WHERE inbox.id = src.id AND inbox.state IN ('parked', 'skipped')
        AND EXISTS (SELECT 1 FROM events e WHERE e.id = inbox.id AND e.payload <> 'null')
    RETURNING inbox.id
    """,
    "id int",
)
_NUMBER = sql.Statement("SELECT id FROM inbox WHERE connection_key = {1} AND dedupe = {2}")
_BACKLOG = sql.Statement("SELECT count(*) AS n FROM inbox WHERE state = 'received' AND priority = {1}")
_CANONICAL = sql.Statement(
    """
    INSERT INTO canonicals (event_id, entity, mapping, body, native)
    SELECT event_id, entity, mapping, body, native FROM {src} {more}
    ON CONFLICT (event_id) DO UPDATE SET entity = excluded.entity, mapping = excluded.mapping, body = excluded.body,
        native = excluded.native
    """,
    "event_id int, entity text, mapping text, body text, native text",
)
_PLANNED = sql.Statement(
    "UPDATE inbox SET state = 'planned' FROM {src} WHERE inbox.id = src.id AND inbox.state = 'received'", "id int"
)
_ANY = sql.Statement(
    "SELECT id FROM inbox WHERE state = 'received' AND priority BETWEEN {1} AND {2} AND next_at <= {now} LIMIT 1"
)
# Asked priority by priority, each of which has its first one at the beginning of the index.
_DUE = sql.Statement(
    "SELECT min(src.first) - {now} AS wait FROM (SELECT (SELECT min(next_at) FROM inbox WHERE state = 'received'"
    f" AND priority = p.n) AS first FROM (SELECT {FAST} AS n UNION SELECT {LIVE} UNION SELECT {BACKFILL}) p) src"
)


async def append(connection: AsyncConnection, events: Sequence[NewEvent], slot: int | None = None) -> list[int | None]:
    """Appends a batch; returns the new id per event, or None where it was there already, or is ``switched``.

    With ``slot`` what is new is counted as received there.
    """
    first: dict[tuple[str, str], int] = {}
    for place, event in enumerate(events):
        first.setdefault((event.connection_key, event.dedupe), place)
    keyed = [events[place] for place in first.values()]
    ids: list[int | None] = [None] * len(events)
    if connection.dialect.name == "postgresql":
        rows = [(e.connection_key, e.dedupe, e.priority, e.switches, *_said(e), e.trace, e.hop) for e in keyed]
        for row in await _TAKE.run(connection, rows, slot):
            ids[first[(row.connection_key, row.dedupe)]] = row.id
        return ids
    made = await _APPEND.run(connection, [(e.connection_key, e.dedupe, e.priority, e.switches) for e in keyed])
    bodies = []
    counts: Counter[tuple[str, str]] = Counter()
    for row in made:
        place = first[(row.connection_key, row.dedupe)]
        ids[place] = row.id
        e = events[place]
        bodies.append((row.id, e.connection_key, *_said(e), row.received_at, e.trace, e.hop))
        counts[(e.connection_key, "received")] += 1
    await _BODY.run(connection, bodies)
    if slot is not None:
        await tallies.add(connection, slot, counts)
    return ids


def _said(event: NewEvent) -> tuple[str, str, str | None, str | None, str, float | None]:
    return event.source, event.message, event.entity, event.record, event.payload, event.occurred_at


async def switched(connection: AsyncConnection, events: Sequence[NewEvent]) -> set[str]:
    """Connections that speak to another system now, a simulator or the real one, than when these were read."""
    return {row.key for row in await _SWITCHED.run(connection, list({(e.connection_key, e.switches) for e in events}))}


async def behind(connection: AsyncConnection, claimed: Sequence[ClaimedEvent]) -> set[int]:
    """Gives back, for ``TURN`` seconds, what an earlier event of its record is still ahead of; returns their ids.

    Two processes that plan one record at once would turn its events round. What waits for its own time (a detail call
    that failed, a write under way) holds up nobody.
    """
    if not claimed:
        return set()
    ids = [one.id for one in claimed]
    batch = [(one.id, one.priority) for one in claimed]
    rows = await _BEHIND.run(connection, batch, LOOK_BACK, min(ids), max(ids))
    found = {row.id for row in rows}
    if not found:
        return found
    first: dict[tuple[str, str | None], int] = {}
    for one in claimed:
        if one.id in found:
            first.setdefault((one.connection_key, one.record), one.id)
    found |= {one.id for one in claimed if first.get((one.connection_key, one.record), one.id) < one.id}
    await _GIVE_BACK.run(connection, [(i,) for i in sorted(found)], TURN)
    return found


async def settle(connection: AsyncConnection, rulings: Sequence[Ruling]) -> set[int]:
    """Writes what planning decided; returns the ids that were still ours."""
    rows = [(r.id, r.fence, str(r.state), r.reason, r.detail, r.delay, int(r.failed)) for r in rulings]
    return {row.id for row in await _SETTLE.run(connection, rows)}


async def carry(connection: AsyncConnection, bodies: Sequence[tuple[int, str, str, str, str | None]]) -> None:
    """Keeps what events say in canonical form: (event id, entity, connector/name@version, JSON text, native).

    ``native`` is the record as it was read (JSON text), None where the event carried it itself.
    """
    await _CANONICAL.run(connection, bodies)


async def planned(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Says that events of our own making need no planning: their deliveries come with them."""
    await _PLANNED.run(connection, [(i,) for i in ids])


async def release(connection: AsyncConnection, owners: Sequence[str]) -> None:
    """Gives back what dead processes had leased."""
    await _RELEASE.run(connection, [(owner,) for owner in owners])


async def abandon(connection: AsyncConnection, owner: str, held: Iterable[int]) -> None:
    """Gives back what this process leased and does not know of: the answer to its claim was lost. ``held`` it knows."""
    await _ABANDON.run(connection, [(i,) for i in held] or [(0,)], owner)


async def revive(connection: AsyncConnection, ids: Sequence[int]) -> list[int]:
    """Replays parked or skipped events: they are planned anew."""
    return [row.id for row in await _REVIVE.run(connection, [(i,) for i in ids])]


async def wait(connection: AsyncConnection) -> float | None:
    """Seconds until the next event is due (negative: overdue), or None when there is none."""
    value = (await _DUE.run(connection))[0].wait
    return None if value is None else float(value)


async def due(connection: AsyncConnection, lowest: int, highest: int = FAST) -> bool:
    """Whether anything between these priorities waits for planning."""
    return bool(await _ANY.run(connection, (), highest, lowest))


async def number(connection: AsyncConnection, connection_key: str, dedupe: str) -> int | None:
    """The id of an event by its dedupe key."""
    rows = await _NUMBER.run(connection, (), connection_key, dedupe)
    return int(rows[0].id) if rows else None


async def backlog(connection: AsyncConnection, priority: int) -> int:
    """How many events of a priority wait for planning."""
    return int((await _BACKLOG.run(connection, (), priority))[0].n)


def aimed(target: str, name: str) -> str:
    """The dedupe key of an event that is meant for one connection only; no vendor's message is called so."""
    return f"{_AIM}{target}:{name}"

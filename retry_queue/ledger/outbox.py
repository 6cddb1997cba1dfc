"""The outbox 发件箱: deliveries owed, in lanes 通道, and the attempts made.

A lane is (target connection, entity, linked record). Only the head of a lane may be under way, so order per record
holds while lanes run in parallel. The lane row is the unit of claiming: its ``next_at`` says when it is due, or while
it is claimed when the lease ends, and its ``fence`` decides whose settle counts. ``seq`` grows with every plan; a
settle removes the lane or lets it wait only if no plan came in between, because PostgreSQL re-checks the row but not
a subquery when it waited for a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import breakers, inbox, lane, links, records, sql, stages
from retry_queue.ledger.states import TERMINAL_DELIVERY, DeliveryState

HELD = 60.0
"""Seconds that a lane behind an operation's shut breaker rests at most before it is looked at again."""

_LANES = sql.Statement(
    """
    INSERT INTO lanes (lane, connection_key, priority, next_at, fence, seq)
    SELECT lane, connection_key, priority, CASE WHEN delay >= 1e11 THEN delay ELSE {now} + delay END, 0, 1
    FROM {src} {more}
    ON CONFLICT (lane) DO UPDATE SET seq = lanes.seq + 1,
        priority = CASE WHEN excluded.priority < lanes.priority THEN excluded.priority ELSE lanes.priority END,
        next_at = CASE WHEN lanes.owner IS NULL AND excluded.next_at < lanes.next_at
                  THEN excluded.next_at ELSE lanes.next_at END
    """,
    "lane text, connection_key text, priority small, delay float",
)
_PLAN = sql.Statement(
    """
    INSERT INTO deliveries (event_id, route_key, connection_key, operation, position, kind, record_id, lane,
                            state, next_at, version, hop, created_at, stage, mapping)
    SELECT event_id, route_key, connection_key, operation, position, kind, record_id, lane, 'pending',
           CASE WHEN delay >= 1e11 THEN delay ELSE {now} + delay END, version, hop, {now}, stage, mapping
    FROM {src} {more}
    ON CONFLICT (event_id, route_key, position) DO NOTHING
    RETURNING id
    """,
    "event_id int, route_key text, connection_key text, operation text, position small, kind text,"
    " record_id int, lane text, version float, hop small, delay float, stage small, mapping text",
)
_CLAIM = sql.Statement(
    """
    WITH due AS MATERIALIZED (
        SELECT lane FROM lanes WHERE connection_key = {1} AND next_at <= {now} AND priority BETWEEN {5} AND {6}
          AND ({7} = 1 OR NOT EXISTS (SELECT 1 FROM breakers b WHERE b.connection_key = {1} AND b.operation = ''
                                      AND b.state IN ('open', 'half_open')))
          AND NOT EXISTS (SELECT 1 FROM detours x JOIN lanes o ON o.lane = x.behind WHERE x.lane = lanes.lane)
          AND NOT EXISTS (SELECT 1 FROM detours x JOIN lanes o ON o.lane = x.lane
                          WHERE x.behind = lanes.lane AND o.owner IS NOT NULL AND o.next_at > {now})
        ORDER BY priority, next_at, lane LIMIT {2} {lock}
    )
    UPDATE lanes SET owner = {3}, fence = fence + 1, next_at = {now} + {4}
    FROM due WHERE lanes.lane = due.lane
    RETURNING lanes.lane, lanes.fence, lanes.seq, lanes.priority
    """
)
_OPEN = """
    SELECT d.id, d.lane, d.route_key, d.position, d.kind, d.state, d.version, d.next_at - {now} AS wait, d.operation,
        d.record_id FROM %s d.lane = src.lane AND d.state IN ('pending', 'in_flight', 'retrying', 'parked') ORDER BY %s
"""
# Lane by lane: left to itself PostgreSQL reads every open delivery there is, in the order of the index, at each claim.
_QUEUE = {
    "postgresql": sql.Statement(
        "SELECT o.* FROM {src} CROSS JOIN LATERAL (" + _OPEN % ("deliveries d WHERE", "d.id") + ") o", "lane text"
    ),
    "sqlite": sql.Statement(_OPEN % ("{src} JOIN deliveries d ON", "d.lane, d.id"), "lane text"),
}
_TAKE = sql.Statement(
    """
    UPDATE deliveries SET state = 'in_flight', attempt = attempt + 1, crashes = crashes + src.crashed
    FROM {src} WHERE deliveries.id = src.id
    """,
    "id int, crashed int",
)
_LOAD = sql.Statement(
    """
    SELECT d.id, d.event_id, d.route_key, d.connection_key, d.operation, d.position, d.kind, d.record_id, d.lane,
           d.state, d.attempt, d.failures, d.crashes, d.version, d.hop, d.created_at, c.entity, e.connection_key,
           e.record, e.received_at, e.trace, c.body, coalesce(r.link_id, r.id), d.target_record,
           d.stage, d.mapping, e.occurred_at, d.detail
    FROM {src} JOIN deliveries d ON d.id = src.id JOIN events e ON e.id = d.event_id
    JOIN canonicals c ON c.event_id = d.event_id JOIN records r ON r.id = d.record_id
    """,
    "id int",
)
# Here and below the empty text keeps the planner off the index of what is open, all of which it would read each time.
_RESOLVE = sql.Statement(
    """
    UPDATE deliveries SET state = src.state, reason = src.reason, settled_at = {now} FROM {src}
    WHERE deliveries.id = src.id AND deliveries.state || '' IN ('pending', 'retrying', 'parked')
    RETURNING deliveries.event_id
    """,
    "id int, state text, reason text",
)
_PASSED = sql.Statement("UPDATE deliveries SET passed = passed + 1 FROM {src} WHERE deliveries.id = src.id", "id int")
_SETTLE = sql.Statement(
    """
    UPDATE deliveries SET state = src.state, reason = src.reason, detail = src.detail,
        next_at = {now} + src.delay, failures = deliveries.failures + src.failed,
        target_record = coalesce(src.target_record, deliveries.target_record),
        settled_at = CASE WHEN src.ended = 1 THEN {now} ELSE NULL END
    FROM {src} WHERE deliveries.id = src.id AND deliveries.attempt = src.attempt AND deliveries.state||'' = 'in_flight'
    RETURNING deliveries.id
    """,
    "id int, attempt int, state text, reason text, detail text, delay float, failed int, target_record text, ended int",
)
_ATTEMPT = sql.Statement(
    """
    INSERT INTO attempts (delivery_id, attempt, outcome, code, message, exchanges, duration, worker, at)
    SELECT delivery_id, attempt, outcome, code, message, exchanges, duration, worker, {now} FROM {src}
    """,
    "delivery_id int, attempt int, outcome text, code text, message text, exchanges text, duration float, worker text",
)
# Claims, plans and settles take lanes first, in name order, so that no two wait in a circle. SQLite has one writer.
_HOLD = sql.Statement(
    "SELECT lanes.lane FROM lanes JOIN {src} ON lanes.lane = src.lane ORDER BY lanes.lane FOR UPDATE OF lanes",
    "lane text",
)
_CLOSE = sql.Statement(
    "DELETE FROM lanes WHERE (lane, fence, seq) IN (SELECT lane, fence, seq FROM {src}) RETURNING lane",
    "lane text, fence int, seq int",
)
_FREE = sql.Statement(
    """
    UPDATE lanes SET owner = NULL, next_at = {now} + CASE WHEN lanes.seq = src.seq THEN src.delay ELSE 0 END
    FROM {src} WHERE lanes.lane = src.lane AND lanes.fence = src.fence
    """,
    "lane text, fence int, seq int, delay float",
)
_RELEASE = sql.Statement(
    "UPDATE lanes SET owner = NULL, next_at = {now} WHERE owner IN (SELECT owner FROM {src})", "owner text"
)
# Targets one after the other, and of each the first lane of every priority: both stand at the beginning of a piece of
# the index. In a burst there are hundreds of thousands of lanes, and every process asks each second.
_DUE = sql.Statement(
    f"""
    WITH RECURSIVE target(key) AS (
        SELECT min(connection_key) FROM lanes
        UNION ALL
        SELECT (SELECT min(l.connection_key) FROM lanes l WHERE l.connection_key > target.key) FROM target
        WHERE target.key IS NOT NULL
    ), head AS (
        SELECT t.key, p.n,
            (SELECT min(l.next_at) FROM lanes l WHERE l.connection_key = t.key AND l.priority = p.n) AS next_at
        FROM target t CROSS JOIN (SELECT {inbox.FAST} AS n UNION SELECT {inbox.LIVE} UNION SELECT {inbox.BACKFILL}) p
    )
    SELECT key, min(next_at) - {{now}} AS wait,
        max(CASE WHEN n = {inbox.BACKFILL} AND next_at <= {{now}} THEN 1 ELSE 0 END) AS past
    FROM head WHERE next_at IS NOT NULL GROUP BY key
    """
)
# What is behind a parked delivery has no lane on purpose: its route holds until a person decides.
_ORPHANS = sql.Statement(
    """
    INSERT INTO lanes (lane, connection_key, priority, next_at, fence, seq)
    SELECT lane, min(connection_key), 1, {now}, 0, 1 FROM deliveries d
    WHERE state IN ('pending', 'in_flight', 'retrying', 'parked') AND state || '' <> 'parked'
      AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.lane = d.lane)
      AND NOT EXISTS (SELECT 1 FROM deliveries p WHERE p.lane = d.lane AND p.id < d.id AND p.state || '' = 'parked'
                      AND p.state IN ('pending', 'in_flight', 'retrying', 'parked')
                      AND p.route_key NOT IN (SELECT route_key FROM {src}))
    GROUP BY lane ON CONFLICT (lane) DO NOTHING RETURNING lane
    """,
    "route_key text",
)
_DEPTH = sql.Statement(
    """
    SELECT d.connection_key, d.state, count(*) AS n, min(coalesce(t.due_at, d.created_at)) AS oldest
    FROM deliveries d LEFT JOIN timers t ON t.delivery_id = d.id
    WHERE d.state IN ('pending', 'in_flight', 'retrying', 'parked') GROUP BY d.connection_key, d.state
    """
)


async def plan(connection: AsyncConnection, owed: Sequence[lane.NewDelivery]) -> int:
    """Writes deliveries and makes their lanes due.

    Lanes are locked in name order, so two plans never wait in a circle; returns how many were new.
    """
    if not owed:
        return 0
    lanes: dict[str, lane.NewDelivery] = {}
    for delivery in owed:
        known = lanes.get(delivery.lane)
        if known is None or delivery.delay < known.delay:
            lanes[delivery.lane] = delivery
    await _LANES.run(connection, [(k, d.connection_key, d.priority, d.delay) for k, d in sorted(lanes.items())])
    made = await _PLAN.run(
        connection,
        [
            (d.event_id, d.route_key, d.connection_key, d.operation, d.position, d.kind, d.record_id, d.lane,
             d.version, d.hop, d.delay, d.stage, d.mapping)
            for d in owed
        ],
    )  # fmt: skip
    return len(made)


async def claim(
    connection: AsyncConnection,
    connection_key: str,
    limit: int,
    owner: str,
    lease: float,
    policies: Mapping[str, str],
    priorities: tuple[int, int] = (inbox.FAST, inbox.BACKFILL),
    *,
    probe: bool = False,
    held: Mapping[str, float] | None = None,
    period: float = 30.0,
) -> list[lane.ClaimedDelivery]:
    """Leases up to ``limit`` due lanes of one target, of these ``priorities``, and takes the head of each.

    ``policies``: what routes say about a head that is parked or failing. Superseded states are
    ended here; a lane whose head cannot be taken yet is given back with its proper due time.
    Behind a shut breaker nothing is due but a ``probe``, whose right the caller has. ``held`` are operations whose
    own breaker is shut, with the seconds until their next probe: one head goes as that probe, every ``period``.
    """
    leases = {
        row.lane: lane.Lease(*row)
        for row in await _CLAIM.run(connection, (), connection_key, limit, owner, lease, *priorities, int(probe))
    }
    if not leases:
        return []
    queues: dict[str, list[lane.Waiting]] = {name: [] for name in leases}
    waiting = await _QUEUE[connection.dialect.name].run(connection, [(name,) for name in leases])
    for row in sorted(waiting, key=lambda one: one.id):
        queues[row.lane].append(lane.Waiting(*row))
    heads: dict[int, tuple[lane.Lane, lane.Lease]] = {}
    resolved: list[tuple[int, str, str]] = []
    passed: list[tuple[int]] = []
    closing: list[tuple[str, int, int]] = []
    freeing: list[tuple[str, int, int, float]] = []
    probes: dict[int, breakers.Place] = {}
    for name, ours in leases.items():
        view = lane.order(queues[name], policies)
        resolved += [(i, str(DeliveryState.SUPERSEDED), "newer_state") for i in view.superseded]
        wait = (held or {}).get(view.head.operation) if view.head is not None else None
        if view.head is not None and wait is not None:
            place = (connection_key, view.head.operation)
            if wait <= 0 and place not in probes.values() and await breakers.token(connection, place, owner, period):
                probes[view.head.id] = place
            else:
                freeing.append((name, ours.fence, ours.seq, min(max(wait, 1.0), HELD)))
                continue
        passed += [(i,) for i in view.passed]
        if view.head is not None:
            heads[view.head.id] = (view, ours)
        elif view.next_wait is None:
            closing.append((name, ours.fence, ours.seq))
            freeing.append((name, ours.fence, ours.seq, 0.0))
        else:
            freeing.append((name, ours.fence, ours.seq, view.next_wait))
    gone = await _RESOLVE.run(connection, resolved)
    await advance(connection, {row.event_id for row in gone})
    await _PASSED.run(connection, passed)
    await _CLOSE.run(connection, closing)
    await _FREE.run(connection, freeing)
    before = {i: view.head.state for i, (view, _) in heads.items() if view.head is not None}
    crashed = {i: int(before[i] == DeliveryState.IN_FLIGHT) for i in heads}
    await _TAKE.run(connection, [(i, crashed[i]) for i in heads])
    claimed = []
    for row in await _LOAD.run(connection, [(i,) for i in heads]):
        delivery = lane.ClaimedDelivery(*row)
        view, delivery.lease = heads[delivery.id]
        delivery.more = view.next_wait is not None
        delivery.next_wait = view.next_wait
        delivery.before, delivery.interrupted = before[delivery.id], bool(crashed[delivery.id])
        delivery.probe = probes.get(delivery.id)
        claimed.append(delivery)
    return claimed


async def probe(
    connection: AsyncConnection, connection_key: str, owner: str, lease: float, policies: Mapping[str, str],
    period: float,
) -> list[lane.ClaimedDelivery]:  # fmt: skip
    """The one delivery that may try a target whose breaker is open; none while that is not due."""
    place = (connection_key, "")
    if not await breakers.token(connection, place, owner, period):
        return []
    claimed = await claim(connection, connection_key, 1, owner, lease, policies, probe=True)
    for one in claimed:
        one.probe = place
    if not claimed:
        await breakers.untoken(connection, place, owner)
    return claimed


async def settle(
    connection: AsyncConnection, results: Sequence[lane.Result], worker: str, joined: links.Joined | None = None
) -> set[int]:
    """Writes results and frees their lanes; returns the ids that were still ours, adds to ``joined`` what was."""
    rows = [
        (
            r.delivery.id, r.delivery.attempt, str(r.state), r.reason, r.kept, r.delay, int(r.failed),
            _cut(r.target_record, 200), int(r.state in TERMINAL_DELIVERY),
        )
        for r in results
    ]  # fmt: skip
    chained = [r for r in results if r.delivery.chained and r.state in TERMINAL_DELIVERY]
    if chained and connection.dialect.name == "postgresql":  # two steps ending at once must see each other
        await stages.guard(connection, {r.delivery.event_id for r in chained})
    await records.hold(connection, [r.binding.ref for r in results if r.binding is not None])
    if connection.dialect.name == "postgresql":
        await _HOLD.run(connection, [(name,) for name in sorted({r.delivery.lane for r in results})])
    ours = {row.id for row in await _SETTLE.run(connection, rows)}
    mine = [r for r in results if r.delivery.id in ours]
    await _ATTEMPT.run(
        connection,
        [
            (
                r.delivery.id, r.delivery.attempt, r.outcome, _cut(r.code, 120), _cut(r.detail, 4000), r.exchanges,
                r.duration, worker,
            )
            for r in mine
            if r.tried
        ],
    )  # fmt: skip
    (joined if joined is not None else []).extend(
        await links.bind(connection, [r.binding for r in mine if r.binding is not None])
    )
    closing: list[tuple[str, int, int]] = []
    freeing: list[tuple[str, int, int, float]] = []
    for r in mine:
        lease = r.delivery.lease
        if lease is None:
            continue
        wait = lane.lane_wait(r)
        if wait is None:
            closing.append((lease.lane, lease.fence, lease.seq))
        freeing.append((lease.lane, lease.fence, lease.seq, wait or 0.0))
    closed = {row.lane for row in await _CLOSE.run(connection, sorted(closing))}
    await _FREE.run(connection, sorted(one for one in freeing if one[0] not in closed))
    ends = [r for r in chained if r.delivery.id in ours]
    await stages.cut(connection, [r.delivery for r in ends if r.state is DeliveryState.DEAD])
    await advance(connection, {r.delivery.event_id for r in ends if r.state is not DeliveryState.DEAD})
    return ours


async def advance(connection: AsyncConnection, events: Iterable[int]) -> int:
    """Lets the next steps of routes go whose earlier ones have all ended well; returns how many deliveries."""
    lanes = await stages.due(connection, events)
    await rouse(connection, {name: (key, inbox.LIVE, delay) for name, (key, delay) in lanes.items()})
    return len(lanes)


async def rouse(connection: AsyncConnection, lanes: Mapping[str, tuple[str, int, float]]) -> None:
    """Makes lanes due: lane -> (target, priority, seconds until then)."""
    await _LANES.run(connection, [(name, *about) for name, about in sorted(lanes.items())])


def _cut(text: str | None, limit: int) -> str | None:
    """What somebody else said, as a column takes it: bounded, and without NUL, which PostgreSQL refuses."""
    return None if text is None else text[:limit].replace("\x00", "\ufffd")


async def load(connection: AsyncConnection, ids: Sequence[int]) -> list[lane.ClaimedDelivery]:
    """Deliveries with all that is needed to deliver them, whatever their state; nobody's lease."""
    return [lane.ClaimedDelivery(*row) for row in await _LOAD.run(connection, [(i,) for i in ids])]


async def release(connection: AsyncConnection, owners: Sequence[str]) -> None:
    """Gives back the lanes of dead processes; their heads stay in flight and are asked about first."""
    await _RELEASE.run(connection, [(owner,) for owner in owners])


async def due(connection: AsyncConnection) -> tuple[dict[str, float], set[str]]:
    """Target connection -> seconds until its next lane is due (negative: overdue), and those owed history now."""
    rows = await _DUE.run(connection)
    return {row.key: float(row.wait) for row in rows}, {row.key for row in rows if row.past}


async def depth(connection: AsyncConnection) -> Sequence[Any]:
    """(connection_key, state, n, oldest) of everything not ended; what waits for its hour is as old as that hour."""
    return await _DEPTH.run(connection)


async def heal(connection: AsyncConnection, policies: Mapping[str, str]) -> int:
    """Gives a lane to every open delivery that should have one, and lets go what waits for steps that have ended.

    Nothing is known to cause either; ``policies`` say what is behind a parked head.
    """
    skipping = [(key,) for key, policy in sorted(policies.items()) if policy == lane.SKIP]
    made = len(await _ORPHANS.run(connection, skipping or [("",)]))
    return made + await advance(connection, await stages.blocked(connection))

"""Timers 定时, in the steps of the queue: set when planned, cancelled by later events, looked at again when due.

``planned`` runs in the transaction that plans an event: it sets the timers of what that event owes, and cancels what
it makes pointless. ``due`` runs after a claim: a cancelled delivery ends, one that is due in quiet hours waits for
the next opening, one over a quota for the next period. In one statement a timer fires or is cancelled, never both.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import inbox, lane, mentions, records, secrets, session
from retry_queue.ledger import timers as ledger_timers
from retry_queue.ledger.states import DeliveryState, EventState
from retry_queue.sync import about, calendar, context, draft, watch, words
from retry_queue.sync import site as sites

NEWS = frozenset({"no_route", "filtered", "hop_limit"})
"""Reasons for which an event is skipped and yet says something new."""
PERIODS_KEPT = timedelta(days=62)


async def planned(
    connection: AsyncConnection,
    sealer: secrets.Sealer,
    site: sites.Site,
    drafts: Sequence[draft.Draft],
    kept: Mapping[records.Ref, tuple[int, int]],
    owed: Iterable[lane.NewDelivery],
) -> Counter[tuple[str, str]]:
    """Sets timers, and cancels what these events make pointless; returns what to count."""
    await ledger_timers.arm(
        connection, [(one.event_id, one.route_key, one.position) for one in owed if _timed(site, one)]
    )
    told = {one.ref: one for one in drafts if _news(one) and one.ref in kept}
    routes = {ref: site.watches.fitting(ref[0], ref[1], one.canonical or {}) for ref, one in told.items()}
    wanted = {ref: one for ref, one in told.items() if routes[ref]}
    if not wanted:
        return Counter()
    behind = await about.behind(connection, sealer, [(ref, one.canonical or {}) for ref, one in wanted.items()])
    links, marks = [], []
    for ref, one in wanted.items():
        named = [*about.marks(sealer, ref, one.canonical or {}), about.own(sealer, ref)]
        for route in routes[ref]:
            links += [(one.event.id, route, link) for link in {kept[ref][1], *behind[ref]}]
            marks += [(one.event.id, route, *mark) for mark in named]
    found = await ledger_timers.waiting_for(connection, links, marks)
    ended = await ledger_timers.cancel(connection, sorted(found.items()), ledger_timers.CANCELLED)
    return Counter((target, "delivery.skipped") for target in ended.values())


def _timed(site: sites.Site, owed: lane.NewDelivery) -> bool:
    return _due_later(site, owed.route_key, owed.position)


def _due_later(site: sites.Site, route_key: str, position: int) -> bool:
    route = site.routes.get(route_key)
    one = watch.placed(route, position)
    if route is None or one is None:
        return False
    return watch.timed(route, one, site.templates.get(one.target.template) if one.target.template else None)


def _news(one: draft.Draft) -> bool:
    """Whether the event says something new; history that is read later cancels nothing."""
    decided = one.plan
    if decided is None or decided.state is None or one.event.priority == inbox.BACKFILL:
        return False
    return decided.ruling is EventState.PLANNED or decided.reason in NEWS


# --- when they are due --------------------------------------------------------------------------


@dataclass(slots=True)
class _Due:
    """A claimed delivery with a timer, and what is decided for it."""

    job: context.Job
    timer: ledger_timers.Held
    hours: calendar.Hours | None
    quotas: list[calendar.Quota]
    result: lane.Result | None = None
    move: ledger_timers.Move | None = None
    spends: dict[str, list[tuple[ledger_timers.Spend, calendar.Quota]]] = field(default_factory=dict)
    """Recipient -> what a message to them takes."""


async def due(
    ledger: session.Ledger, sealer: secrets.Sealer, site: sites.Site, made: Sequence[context.Job | lane.Result]
) -> list[context.Job | lane.Result]:
    """Looks at timers once more before anything is sent; what may not go comes back as a result."""
    jobs = {one.delivery.id: one for one in made if isinstance(one, context.Job) and _has_timer(site, one)}
    if not jobs:
        return list(made)
    now = time.time()
    async with ledger.write() as connection:
        stands = await ledger_timers.held(connection, jobs)
        dues = [_Due(jobs[i], timer, *_terms(site, jobs[i])) for i, timer in sorted(stands.items())]
        later = await _later(connection, sealer, site, dues)
        for one in dues:
            _judge(one, later.get(one.timer.id), now)
        await _quotas(connection, sealer, dues, now)
        await ledger_timers.move(connection, [one.move for one in dues if one.move is not None])
    ends = {one.timer.id: one.result for one in dues if one.result is not None}
    return [one if isinstance(one, lane.Result) else ends.get(one.delivery.id, one) for one in made]


def _has_timer(site: sites.Site, job: context.Job) -> bool:
    # What was cut off may have been sent: that is found out first, whatever the hour.
    return not job.delivery.interrupted and _due_later(site, job.delivery.route_key, job.delivery.position)


def _terms(site: sites.Site, job: context.Job) -> tuple[calendar.Hours | None, list[calendar.Quota]]:
    return site.routes[job.delivery.route_key].hours, watch.quotas(job.target, job.template)


def _judge(one: _Due, later: int | None, now: float) -> None:
    """Cancelled, too early, or to be fired."""
    timer, delivery = one.timer, one.job.delivery
    if timer.said == "unknown":  # it may have been sent; whether it was comes first
        return
    cancelled = timer.state == "cancelled" and timer.ended_at is None
    if cancelled or later is not None:
        reason = (timer.reason if cancelled else None) or ledger_timers.CANCELLED
        said = ledger_timers.WORDS.get(reason, ledger_timers.WORDS[ledger_timers.CANCELLED])
        one.result = _result(delivery, DeliveryState.SKIPPED, reason, said)
        one.move = ledger_timers.Move(timer.id, "cancelled", reason=reason, event_id=later)
        return
    opens = now if timer.reason == ledger_timers.BY_PERSON else calendar.opening(now, one.hours)
    if opens > now:
        said = {"zh": "当前不在允许的时段，等到开放时再发送", "en": "quiet hours; it goes when they end"}
        _wait(one, opens - now, "quiet_hours", said)
        return
    one.move = ledger_timers.Move(timer.id, "fired", reason=timer.reason)


def _wait(one: _Due, delay: float, reason: str, said: dict[str, str]) -> None:
    one.result = _result(one.job.delivery, DeliveryState.PENDING, reason, said, delay)
    one.move = ledger_timers.Move(one.timer.id, "waiting", delay, reason)


def _result(
    delivery: lane.ClaimedDelivery, state: DeliveryState, reason: str, said: dict[str, str], delay: float = 0.0
) -> lane.Result:
    detail = orjson.dumps(said).decode()
    outcome = "postponed" if state is DeliveryState.PENDING else str(state)
    return lane.Result(delivery, state, outcome, 0.0, delay, False, reason, detail, hold=False, tried=False)


async def _later(
    connection: AsyncConnection, sealer: secrets.Sealer, site: sites.Site, dues: Sequence[_Due]
) -> dict[int, int]:
    """Deliveries whose ``unless`` has come true unseen -> the event.

    Two planners may have planned the event and the later one at once, or the person behind it became known later.
    """
    watched = [
        one
        for one in dues
        # One that is cancelled has ended already, or a person replays it and knows why.
        if site.watches.of(one.job.delivery.route_key)
        and one.timer.said != "unknown"
        and one.timer.state != ledger_timers.CANCELLED
    ]
    if not watched:
        return {}
    groups = await records.groups(connection, {one.job.delivery.link_id for one in watched})
    named = await mentions.of(connection, {known.id for group in groups.values() for known in group})
    marks = {}
    for one in watched:
        group = groups.get(one.job.delivery.link_id, [])
        own = {about.own(sealer, (known.connection_key, known.entity, known.record)) for known in group}
        told = {mark for known in group for mark in named.get(known.id, set()) if not mark[0].startswith("~")}
        marks[one.timer.id] = own | told
    sharing = await mentions.by(connection, {mark for those in marks.values() for mark in those})
    rows = {
        (one.timer.id, one.timer.event_id, record)
        for one in watched
        for record in {
            *(known.id for known in groups.get(one.job.delivery.link_id, [])),
            *(record for mark in marks[one.timer.id] for record in sharing.get(mark, ())),
        }
    }
    routes = {one.timer.id: one.job.delivery.route_key for one in watched}
    found: dict[int, int] = {}
    for row in await ledger_timers.news(connection, rows):
        canonical = orjson.loads(row.canonical)
        watches = site.watches.of(routes[row.delivery_id])
        if any(one.fits(row.connection_key, row.entity, canonical) for one in watches):
            found[row.delivery_id] = min(row.event_id, found.get(row.delivery_id, row.event_id))
    return found


# --- quotas -------------------------------------------------------------------------------------


async def _quotas(connection: AsyncConnection, sealer: secrets.Sealer, dues: Sequence[_Due], now: float) -> None:
    """Takes quotas for what is to go, in order; who is over waits or is left out."""
    going = [one for one in dues if one.move is not None and one.move.state == "fired" and one.quotas]
    for one in going:
        had = set((one.timer.spent or "").split())
        key = one.job.delivery.connection_key
        for name in _recipients(one.job):
            digest = sealer.digest("recipient", name)
            one.spends[name] = [
                ((key, digest, period), quota)
                for quota in one.quotas
                if (period := calendar.period(now, quota)[0]) not in had
            ]
    await ledger_timers.spend(
        connection, [spend for one in going for takes in one.spends.values() for spend, _ in takes], 0
    )
    for one in going:  # one after the other: of two to one person the second must see the first
        await _take(connection, one, now)


async def _take(connection: AsyncConnection, one: _Due, now: float) -> None:
    wanted = [spend for takes in one.spends.values() for spend, _ in takes]
    counts = await ledger_timers.spend(connection, wanted)
    over = {
        name: [quota for spend, quota in takes if counts[spend] > quota.limit] for name, takes in one.spends.items()
    }
    waits = [quota for quotas in over.values() for quota in quotas if quota.over == "wait"]
    left = [name for name, quotas in over.items() if not quotas]
    if waits or (not left and over):
        await ledger_timers.spend(connection, wanted, -1)
        if waits:
            end = max(calendar.period(now, quota)[1] for quota in waits)
            zh, en = (
                "已达该联系人的发送上限，顺延到下一周期",
                "the contact's quota is used up; it goes in the next period",
            )
            said = {"zh": zh, "en": en}
            _wait(one, calendar.opening(end, one.hours) - now, "quota", said)
        else:
            said = {"zh": "已达该联系人的发送上限，不再发送", "en": "the contact's quota is used up; it is not sent"}
            one.result = _result(one.job.delivery, DeliveryState.SKIPPED, "quota", said)
            one.move = ledger_timers.Move(one.timer.id, "cancelled", reason="quota")
        return
    gone = [name for name in over if over[name]]
    await ledger_timers.spend(connection, [spend for name in gone for spend, _ in one.spends[name]], -1)
    one.job.scope[words.LEFT_OUT] = frozenset(gone)
    periods = " ".join(dict.fromkeys([*(one.timer.spent or "").split(), *(spend[2] for spend in wanted)][-6:]))
    one.move = ledger_timers.Move(one.timer.id, "fired", reason=one.timer.reason, spent=periods)


def _recipients(job: context.Job) -> list[str]:
    """Whom it goes to: a message's recipients, else the thing the record is."""
    if job.template is None:
        return [f"{job.delivery.entity}/{job.delivery.link_id}"]
    return words.recipients(job.template, {**job.scope, job.delivery.entity: job.canonical})


async def tidy(connection: AsyncConnection) -> None:
    """Ends what is over; called now and then by a sweep."""
    await ledger_timers.tidy(connection, (datetime.now(UTC) - PERIODS_KEPT).date().isoformat())

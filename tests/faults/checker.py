"""The accounting of a trial: what the sender was told, what the systems did, what the ledger says, joined."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from retry_queue.ledger import session, tallies
from tests.faults import producer, sink

ROUTES = {"keep": "keyed", "ask": "asked", "tell": "blind"}
OVERDUE = 60.0
TRIES = 60
"""Attempts of one delivery that no trial comes near unless something goes round."""
_EVENTS = (
    "SELECT e.id, e.payload, i.state, i.reason FROM events e JOIN inbox i ON i.id = e.id"
    " WHERE e.connection_key = 'shop'"
)
_DELIVERIES = "SELECT event_id, route_key, state, reason, attempt FROM deliveries"
_CLOCK = {
    "postgresql": "extract(epoch from now())",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
}


@dataclass
class Account:
    """What came of a trial; every list is empty when the hub kept its promises."""

    lost: list[str] = field(default_factory=list)
    """I1: taken with a 2xx, and neither done nor standing in the ledger for a reason."""
    double: list[str] = field(default_factory=list)
    """I2: done twice where a key is recognised or the system can be asked."""
    blind_double: list[str] = field(default_factory=list)
    """I2: done twice where nothing can be known."""
    disorder: list[str] = field(default_factory=list)
    """I3: an older state after a newer one."""
    differing: list[str] = field(default_factory=list)
    """I4: records whose last effect is not the newest state that was taken."""
    unbalanced: list[str] = field(default_factory=list)
    """I5: tallies, rows, admin API and metrics that disagree."""
    overdue: list[str] = field(default_factory=list)
    """I5: something owed whose time has passed for more than a minute, or that nobody will look at."""
    unbounded: list[str] = field(default_factory=list)
    """I6: deliveries with too many attempts."""
    invented: list[str] = field(default_factory=list)
    """Effects of something that nobody sent."""
    stale_metrics: bool = False
    figures: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """Every broken promise in words."""
        found = {name: those for name, those in vars(self).items() if isinstance(those, list)}
        return [f"{name}: {len(those)}, such as {those[:5]}" for name, those in found.items() if those]


async def account(
    ledger: session.Ledger, sender: producer.Producer, systems: sink.Sink, told: dict[str, Any], metrics: str
) -> Account:
    """Joins the three sides. ``told`` is the admin API's ledger, ``metrics`` the text of ``/metrics``."""
    found = Account()
    done: dict[str, Counter[str]] = {kind: Counter() for kind in sink.KINDS}
    first: dict[str, float] = {}
    for one in systems.effects:
        done[one.kind][one.number] += 1
        first.setdefault(one.number, one.at)
    async with ledger.read() as connection:
        events = (await connection.exec_driver_sql(_EVENTS)).all()
        deliveries = (await connection.exec_driver_sql(_DELIVERIES)).all()
        balance = await tallies.balance(connection)
        found.unbalanced += await tallies.audit(connection)
        found.overdue += await _overdue(connection)
    numbers = {row.id: str(json.loads(row.payload)["number"]) for row in events}
    states = {numbers[row.id]: row for row in events}
    owed: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in deliveries:
        if row.event_id in numbers:
            owed[numbers[row.event_id]][row.route_key] = row
            if row.attempt > TRIES:
                found.unbounded.append(f"{numbers[row.event_id]} {row.route_key}: {row.attempt} attempts")
    waiting = Counter[str]()
    for number in sender.accepted:
        if number not in states:
            found.lost.append(f"{number}: not in the ledger")
            continue
        event = states[number]
        if event.state != "planned":
            waiting[f"{event.state}({event.reason})"] += 1
            if event.state == "received":
                found.lost.append(f"{number}: never planned")
            elif event.reason == "stale" and sender.ordered:
                found.lost.append(f"{number}: called stale, and nothing had overtaken it")
            continue
        for route, kind in ROUTES.items():
            delivery = owed[number].get(route)
            if delivery is None:
                found.lost.append(f"{number}: no delivery of route {route}")
            elif delivery.state == "delivered":
                if not done[kind][number] and delivery.reason != "unchanged":
                    found.lost.append(f"{number}: {route} is called delivered and was not done")
            elif delivery.state in ("parked", "dead"):
                waiting[f"{route} {delivery.state}({delivery.reason})"] += 1
            elif delivery.state == "superseded" and kind == "keyed":
                waiting["superseded"] += 1
            else:
                found.lost.append(f"{number}: {route} ended as {delivery.state} ({delivery.reason})")
    for kind, counted in done.items():
        twice = [f"{kind} {number} {n} times" for number, n in counted.items() if n > 1 and number.startswith("E")]
        (found.blind_double if kind == "blind" else found.double).extend(twice)
        found.invented += [f"{kind} {number}" for number in counted if number not in sender.sent]
    _order(found, sender, systems, states, owed)
    found.unbalanced += _told(balance, told, metrics)
    found.stale_metrics = any("metrics" in one for one in found.unbalanced)
    if balance.difference:
        found.unbalanced.append(balance.line())
    waits = sorted(first[number] - at for number, at in sender.accepted.items() if number in first)
    found.figures.update(
        accepted=len(sender.accepted),
        effects=len(systems.effects),
        lost=len(found.lost),
        double=len(found.double),
        out_of_order=len(found.disorder),
        waiting="; ".join(f"{n} {what}" for what, n in sorted(waiting.items())) or "none",
        slowest_s=round(waits[-1], 1) if waits else 0.0,
    )
    return found


def _order(
    found: Account,
    sender: producer.Producer,
    systems: sink.Sink,
    states: dict[str, Any],
    owed: dict[str, dict[str, Any]],
) -> None:
    last: dict[tuple[str, str], int] = {}
    for one in systems.effects:
        before = last.get((one.kind, one.record), -1)
        if one.kind != "blind" and one.seq < before:  # its route lets others pass what failed
            found.disorder.append(f"{one.kind} {one.record}: {one.seq} after {before}")
        last[one.kind, one.record] = max(before, one.seq) if one.kind == "blind" else one.seq
    dead = {number for number, those in owed.items() if "keep" in those and those["keep"].state in ("dead", "parked")}
    planned = [number for number in sender.accepted if number in states and states[number].state == "planned"]
    for record, seq in producer.newest(sender.sent, [one for one in planned if one not in dead]).items():
        if last.get(("keyed", record), -1) < seq:
            found.differing.append(f"{record}: {last.get(('keyed', record))} instead of {seq}")


async def _overdue(connection: Any) -> list[str]:
    now = _CLOCK[connection.dialect.name]
    late = {
        "event": f"SELECT id FROM inbox WHERE state = 'received' AND next_at < {now} - {OVERDUE} LIMIT 5",
        "lane": f"SELECT lane FROM lanes WHERE next_at < {now} - {OVERDUE} LIMIT 5",
        "delivery without a lane": (
            "SELECT id FROM deliveries d WHERE state IN ('pending', 'in_flight', 'retrying')"
            " AND NOT EXISTS (SELECT 1 FROM lanes l WHERE l.lane = d.lane) LIMIT 5"
        ),
    }
    return [f"{what} {row[0]}" for what, text in late.items() for row in (await connection.exec_driver_sql(text)).all()]


def _told(balance: tallies.Balance, told: dict[str, Any], metrics: str) -> list[str]:
    shown = {found[1]: float(found[2]) for found in re.finditer(r'shuniu_ledger_events\{kind="(\w+)"\} (\S+)', metrics)}
    wrong = []
    for kind in ("received", "delivered", "duplicate", "filtered", "dead", "in_flight", "parked"):
        real = getattr(balance, kind)
        if told.get(kind) != real:
            wrong.append(f"the admin API says {kind} {told.get(kind)}, the ledger {real}")
        if shown.get(kind) != real:
            wrong.append(f"metrics say {kind} {shown.get(kind)}, the ledger {real}")
    return wrong

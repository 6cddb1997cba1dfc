"""The breaker 熔断, decided: recent calls of a target -> may it be called, how wide, when to look again. Pure.

It opens after failures in a row that last a while, or when half of many calls fail; a ban opens it until the ban is
over. A system that loses some of its answers all the time is called on: what fails is repeated. While it is open one
probe goes out per period: an ordinary delivery, whose failure is not counted against it. A probe that is answered
begins a recovery, in which calls under way double every second, so that a system that is back is not met by
everything at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from retry_queue.ledger import breakers

FAILED = ("unavailable", "unknown", "outcome_unknown")
"""Reasons of attempts that say the system itself is in trouble. Any other answer shows that it is alive."""

WORDS = {
    "banned": {
        "zh": "对方系统暂时禁止调用，到时先试一条再恢复",
        "en": "the system banned us for a while; it is tried with one call when that is over",
    },
    "by_person": {
        "zh": "由人工断开，需要人工恢复",
        "en": "opened by a person; a person closes it",
    },
}


@dataclass(frozen=True, slots=True)
class Rule:
    """When to open and how to come back; times in seconds."""

    streak: int = 5
    span: float = 3.0
    """``streak`` failures in a row open it once they last so long: a restart of the other side is no outage."""
    window: float = 30.0
    """After so long what was counted before counts half."""
    least: int = 20
    chance: float = 1e-5
    """How likely such a row may be, going by how many failed before it."""
    share: float = 0.5
    """Or: of at least ``least`` calls within ``window`` this share failed."""
    probe: float = 30.0
    step: float = 1.0
    """Calls under way double this often during a recovery."""
    recovery: float = 8.0
    again: int = 3
    """Failures in a row that open it again during a recovery, where half of its calls failed."""


USUAL = Rule()


@dataclass(frozen=True, slots=True)
class Call:
    """What one call showed. ``ok``: the system answered, whatever it said. None: nothing was sent after all."""

    ok: bool | None
    words: dict[str, str] | None = None
    probe: bool = False
    banned: float | None = None
    """Seconds for which the system sent us away."""


def decide(rule: Rule, row: breakers.Row, calls: Sequence[Call], now: float) -> breakers.Row | None:
    """The breaker after these calls, in order; None when there is nothing to remember."""
    for call in calls:
        row = _after(rule, row, call, now)
    if row.state == breakers.RAMPING and now - row.since >= rule.recovery:
        row = _closed(row, now)
    if row.state == breakers.CLOSED and row.streak == 0 and (row.bad == 0 or now - row.window_at > rule.window):
        return None
    return row


def _after(rule: Rule, row: breakers.Row, call: Call, now: float) -> breakers.Row:
    if call.banned is not None:
        until = now + call.banned
        if row.shut and row.next_probe_at >= until:
            return row
        return _opened(row, now, until, {"code": "banned", **WORDS["banned"]})
    if row.shut:
        # What was under way before it opened says nothing new, and a person's word is not overruled.
        if not call.probe or row.next_probe_at >= breakers.NEVER:
            return row
        if call.ok is None:
            return replace(row, state=breakers.OPEN, next_probe_at=now)
        if call.ok:
            return replace(_closed(row, now), state=breakers.RAMPING, reason=row.reason)
        return replace(row, state=breakers.OPEN, reason=call.words or row.reason)
    if call.ok is None:
        return row
    if now - row.window_at > rule.window:
        row = replace(row, good=row.good // 2, bad=row.bad // 2, window_at=now)
    if call.ok:
        return replace(row, streak=0, good=row.good + 1)
    row = replace(row, streak=row.streak + 1, streak_at=row.streak_at if row.streak else now, bad=row.bad + 1)
    return _opened(row, now, now + rule.probe, call.words) if _trips(rule, row, now) else row


def _trips(rule: Rule, row: breakers.Row, now: float) -> bool:
    calls = row.good + row.bad
    half = row.bad >= calls * rule.share
    if row.state == breakers.RAMPING and row.streak >= rule.again and half:
        return True
    lasting = row.streak >= _streak(rule, row) and now - row.streak_at >= rule.span
    many = calls >= rule.least and half and now - row.window_at >= rule.span
    return lasting or many


def _streak(rule: Rule, row: breakers.Row) -> float:
    """Failures in a row that mean an outage: where some fail all the time, a row of them is chance for longer."""
    before, failed = row.good + row.bad - row.streak, row.bad - row.streak
    if before < rule.least or failed <= 0:
        return rule.streak
    share = failed / before
    return max(rule.streak, math.log(rule.chance) / math.log(share)) if share < 1 else math.inf


def _opened(row: breakers.Row, now: float, probe_at: float, words: dict[str, str] | None) -> breakers.Row:
    since = row.since if row.shut else now
    return replace(row, state=breakers.OPEN, since=since, next_probe_at=probe_at, reason=words, by=None)


def _closed(row: breakers.Row, now: float) -> breakers.Row:
    return breakers.Row(row.connection_key, row.operation, breakers.CLOSED, now, window_at=now, streak_at=now)


def opened_by(row: breakers.Row, now: float, who: str) -> breakers.Row:
    """A person opens it; nothing is probed until a person closes it."""
    made = _opened(row, now, breakers.NEVER, {"code": "by_person", **WORDS["by_person"]})
    return replace(made, by=who)


def closed_by(row: breakers.Row, now: float) -> breakers.Row:
    """A person closes it: a recovery, not everything at once."""
    return replace(_closed(row, now), state=breakers.RAMPING)


def width(rule: Rule, row: breakers.Row | None, now: float, window: int) -> int:
    """How many calls may be under way, of ``window`` in health. A shut breaker allows none; probes are extra."""
    if row is None or row.state == breakers.CLOSED:
        return window
    if row.shut:
        return 0
    since = max(now - row.since, 0.0)
    return window if since >= rule.recovery else min(window, int(2 ** min(since / rule.step, 16.0)))

"""What becomes of alarms: which begin, go on and end, and when people are told. Pure.

An alarm is one kind of trouble of one subject under one alert. It waits while its rule asks for more time, fires, and
ends when it is not found any more. Messages of an alert are gathered and repeated as it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from retry_queue.sync import alarm, calendar

Place = tuple[str, str]
"""Kind and subject."""
SERIES = 60
"""Points of a series that are kept: enough to know how much came in a window."""


@dataclass(frozen=True, slots=True)
class Held:
    """An alarm as the ledger has it. Times are Unix seconds."""

    id: int | None
    kind: str
    subject: str
    state: str
    """waiting, firing, ended"""
    n: float
    words: dict[str, str] | None
    since: float
    fired_at: float | None = None
    told_at: float | None = None
    acknowledged: bool = False
    always: bool = False
    ended_at: float | None = None
    end_told: bool = False

    @property
    def place(self) -> Place:
        return self.kind, self.subject


@dataclass(slots=True)
class Ruling:
    """What to write: ``kept`` replaces or adds alarms, ``dropped`` never fired. The three lists make the message."""

    kept: list[Held] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    fresh: list[Held] = field(default_factory=list)
    lasting: list[Held] = field(default_factory=list)
    over: list[Held] = field(default_factory=list)

    @property
    def tells(self) -> bool:
        return bool(self.fresh or self.lasting or self.over)


def grown(series: Sequence[Sequence[float]], now: float, within: float, n: float) -> float:
    """How much a count grew in the last ``within`` seconds; ``series`` are (time, count), the oldest first."""
    before = [one[1] for one in series if one[0] <= now - within]
    inside = [one[1] for one in series if one[0] > now - within]
    base = before[-1] if before else (inside[0] if inside else n)
    lowest = min([base, *inside])  # what was mended meanwhile does not hide what came after
    return n - lowest


def recorded(series: Sequence[Sequence[float]], now: float, within: float, n: float) -> list[list[float]]:
    """The series with a new count: only changes are kept, and of what is before the window the newest."""
    points = [[float(one[0]), float(one[1])] for one in series]
    if not points or points[-1][1] != n:
        points.append([now, n])
    older = [one for one in points if one[0] <= now - within]
    points = older[-1:] + [one for one in points if one[0] > now - within]
    while len(points) > SERIES:
        del points[1:-1:2]  # coarser; first and last stay
    return points


def fitting(
    alert: alarm.Alert, found: Iterable[alarm.Finding], growth: Mapping[tuple[str, str, float], float]
) -> dict[Place, tuple[alarm.Rule, alarm.Finding]]:
    """What holds now by the rules of an alert; ``growth`` by kind, subject and window. The first rule counts."""
    out: dict[Place, tuple[alarm.Rule, alarm.Finding]] = {}
    for one in found:
        for rule in alert.rules:
            number = alarm.matching(rule, one, growth.get((one.kind, one.subject, rule.window)))
            if number is not None:
                shown = replace(one, n=number)
                out.setdefault((one.kind, one.subject), (rule, shown))
                break
    return out


def decide(
    alert: alarm.Alert,
    now: float,
    held: Iterable[Held],
    holding: Mapping[Place, tuple[alarm.Rule, alarm.Finding]],
    last: float | None,
) -> Ruling:
    """What follows from what holds now; ``held`` are the alarms not ended, and those whose end is not told yet.

    ``last``: when people were last told something by this alert.
    """
    ruling = Ruling()
    now_held: list[Held] = []
    seen: set[Place] = set()
    for one in held:
        if one.state == "ended":
            now_held.append(one)
            continue
        seen.add(one.place)
        there = holding.get(one.place)
        if there is not None:
            now_held.append(_goes_on(one, *there, now))
        elif one.state == "firing":
            silent = one.told_at is None or not alert.resolved
            now_held.append(replace(one, state="ended", ended_at=now, end_told=silent))
        elif one.id is not None:
            ruling.dropped.append(one.id)
    for place, (rule, found) in holding.items():
        if place not in seen:
            fresh = Held(None, *place, "waiting", found.n, found.words, now, always=rule.always)
            now_held.append(_goes_on(fresh, rule, found, now))
    return _told(alert, now, now_held, last, ruling)


def _goes_on(one: Held, rule: alarm.Rule, found: alarm.Finding, now: float) -> Held:
    asks = 0.0 if alarm.KINDS[rule.kind].timed else rule.duration
    fires = one.state == "firing" or now - one.since >= asks
    return replace(
        one, n=found.n, words=found.words, always=rule.always, state="firing" if fires else "waiting",
        fired_at=(one.fired_at or now) if fires else None,
    )  # fmt: skip


def _told(alert: alarm.Alert, now: float, every: list[Held], last: float | None, ruling: Ruling) -> Ruling:
    """Sorts out what goes into a message now, and notes it as told."""
    open_now = calendar.opening(now, alert.hours) <= now
    calm = last is not None and now - last < alert.gather
    firing = [one for one in every if one.state == "firing" and (open_now or one.always)]
    fresh = [one for one in firing if one.told_at is None]
    over = [one for one in every if one.state == "ended" and not one.end_told and (open_now or one.always)]
    again = [
        one for one in firing
        if one.told_at is not None and alert.repeat and now - one.told_at >= alert.repeat and not one.acknowledged
    ]  # fmt: skip
    if (fresh or over or again) and not calm:
        places = {id(one) for one in [*fresh, *again]}
        ruling.fresh, ruling.over = fresh, over
        # A message tells how things stand: what goes on is in it too, and need not be repeated soon after.
        ruling.lasting = [one for one in firing if one.told_at is not None and not one.acknowledged]
        for one in every:
            if id(one) in places or one in ruling.lasting:
                ruling.kept.append(replace(one, told_at=now))
            elif one in over:
                ruling.kept.append(replace(one, end_told=True))
            else:
                ruling.kept.append(one)
    else:
        ruling.kept = every
    return ruling

"""Gates: what this process knows of the breakers, and how results of calls change them.

The ledger has the truth (``ledger/breakers.py``); this is a copy that every sweep renews and every settle of this
process corrects at once. A claim asks the ledger itself, so that an old copy never lets a delivery through.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue import metrics
from retry_queue.ledger import breakers, lane
from retry_queue.sync import breaker
from retry_queue.sync import site as sites

LONG, LONGEST = 3.0, 60.0
"""Seconds to slow down from which on more than the one delivery waits; and after which the system is asked again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Gate:
    """One target as of now: ``width`` calls at a time; while ``shut`` only a probe, once it is ``due``."""

    width: int
    shut: bool = False
    due: bool = False
    held: Mapping[str, float] = field(default_factory=dict)
    """Operations that must not be called -> seconds until their next probe."""


@dataclass(frozen=True, slots=True)
class Change:
    """A breaker before and after; ``after`` None: forgotten."""

    before: breakers.Row
    after: breakers.Row | None


class Gates:
    """The gates of one process."""

    def __init__(self, rule: breaker.Rule = breaker.USUAL) -> None:
        self.rule = rule
        self._rows: dict[breakers.Place, breakers.Row] = {}
        self.back: set[str] = set()
        """Targets that came back and whose late deliveries nobody has hurried yet."""
        self._pauses: dict[breakers.Place, float] = {}
        """What is asked to slow down for longer than a call waits -> until when, by our clock: not claimed before."""
        self._ahead = 0.0
        """The database's clock minus ours."""

    async def load(self, connection: AsyncConnection) -> None:
        """Renews the copy."""
        self._rows, now = await breakers.every(connection)
        if now is not None:
            self._ahead = now - time.time()

    def now(self) -> float:
        """The time by the database's clock."""
        return time.time() + self._ahead

    def of(self, target: str, window: int) -> Gate:
        """The gate of a target that has ``window`` calls at a time in health."""
        if not self._rows and not self._pauses:
            return Gate(window)
        now = self.now()
        pauses = self._paused(target)
        if "" in pauses:
            return Gate(0, shut=True)
        row = self._rows.get((target, ""))
        held = {
            operation: one.next_probe_at - now
            for (key, operation), one in self._rows.items()
            if key == target and operation and one.shut
        } | pauses
        due = row is not None and row.state == breakers.OPEN and row.next_probe_at <= now
        lost = row is not None and row.state == breakers.HALF_OPEN and row.next_probe_at + breakers.LOST <= now
        width = breaker.width(self.rule, row, now, window)
        return Gate(width, row is not None and row.shut, due or lost, held)

    def _paused(self, target: str) -> dict[str, float]:
        """Operation -> seconds for which it asked to slow down; empty for all of them."""
        now = time.monotonic()
        self._pauses = {place: until for place, until in self._pauses.items() if until > now}
        return {operation: until - now for (key, operation), until in self._pauses.items() if key == target}

    async def record(
        self, connection: AsyncConnection, results: Sequence[lane.Result], ours: set[int], site: sites.Site
    ) -> list[Change]:
        """Counts what calls showed, within the transaction that settles them; costs nothing while all is well."""
        calls: dict[breakers.Place, list[breaker.Call]] = {}
        for result in results:
            if result.reason == "throttled" and result.delay >= LONG and result.banned is None:
                self._pause(result, site)
            if result.delivery.id in ours:
                for place, call in self._calls(result, site):
                    calls.setdefault(place, []).append(call)
        if not calls:
            return []
        rows, now = await breakers.hold(connection, calls)
        made = [Change(row, breaker.decide(self.rule, row, calls[place], now)) for place, row in rows.items()]
        await breakers.write(
            connection,
            [one.after for one in made if one.after is not None],
            [one.before.place for one in made if one.after is None],
        )
        return made

    def _pause(self, result: lane.Result, site: sites.Site) -> None:
        target, operation = result.delivery.connection_key, result.delivery.operation
        place = (target, operation if method_limited(site, target, operation) else "")
        self._pauses[place] = max(self._pauses.get(place, 0.0), time.monotonic() + min(result.delay, LONGEST))

    def took(self, changes: Sequence[Change]) -> None:
        """They are committed: known from now on, logged and counted where the state is another one."""
        for change in changes:
            place = change.before.place
            if change.after is None:
                self._rows.pop(place, None)
            else:
                self._rows[place] = change.after
                if change.before.shut and not change.after.shut:
                    self.back.add(place[0])
            told(change)

    def _calls(self, result: lane.Result, site: sites.Site) -> list[tuple[breakers.Place, breaker.Call]]:
        target, operation = result.delivery.connection_key, result.delivery.operation
        own = (target, operation) if method_limited(site, target, operation) else (target, "")
        probed = result.delivery.probe
        if result.banned is not None:
            return [((target, ""), breaker.Call(True, banned=result.banned))]
        if result.tried and result.called and result.reason in breaker.FAILED:
            words = {"code": result.reason, **orjson.loads(result.detail or "{}")}
            failed, answers = breaker.Call(False, words), _answers(result)
            # It answered: this operation is in trouble. It did not: one call was lost, those before it were not.
            place, calls = (own, [failed]) if answers[-1:] == [True] else ((target, ""), [*_earlier(answers), failed])
            found = _placed(place, calls, place == probed)
            return found if probed in (None, place) else [*found, *_placed(probed, [failed], True)]
        if result.tried and result.exchanges is not None:
            some = [place for place in {own, (target, "")} if place in self._rows or place == probed]
            calls = [*_earlier(_answers(result)), breaker.Call(True)] if some else []
            return [one for place in some for one in _placed(place, calls, place == probed)]
        return [] if probed is None else [(probed, breaker.Call(None, probe=True))]


def method_limited(site: sites.Site, target: str, operation: str) -> bool:
    """Whether the declaration says that this system limits the operation by itself."""
    live = site.live.get(target)
    if live is None or live.opened is None:
        return False
    return any(
        scope.scope == "method"
        and (not scope.operations or any(fnmatchcase(operation, pattern) for pattern in scope.operations))
        for scope in live.opened.declaration.pacing.scopes
    )


def _placed(
    place: breakers.Place, calls: Sequence[breaker.Call], probe: bool
) -> list[tuple[breakers.Place, breaker.Call]]:
    """The calls of one attempt; the last of them is the probe, if it was one."""
    return [(place, one) for one in (*calls[:-1], replace(calls[-1], probe=probe))]


def _answers(result: lane.Result) -> list[bool]:
    """Of every call of the attempt whether the system said anything at all."""
    return [one.get("status") is not None for one in orjson.loads(result.exchanges or "[]")]


def _earlier(answers: Sequence[bool]) -> list[breaker.Call]:
    return [breaker.Call(answered) for answered in answers[:-1]]


def told(change: Change) -> None:
    """Logs and counts a change of state."""
    before, after = change.before.state, change.after.state if change.after is not None else breakers.CLOSED
    if before == after or (before in breakers.SHUT and after in breakers.SHUT):
        return
    place = change.before
    metrics.BREAKERS.labels(place.connection_key, after).inc()
    if after == breakers.OPEN:
        code = ((change.after.reason if change.after else None) or {}).get("code")
        log.warning("breaker.open", connection=place.connection_key, operation=place.operation, code=code)
    elif before in breakers.SHUT:
        log.info("breaker.recovering", connection=place.connection_key, operation=place.operation)

"""Alerts 告警: looks at the hub's vital signs, decides who must be told, and sends it through connections.

One process decides at a time: it holds the cursor ``~alerts`` (lease and fence), which also remembers how counts grew
and when each alert last told something. What it decides is committed with the notices owed. Notices are sent beside
the queue, so that a queue that stands still is told of too; one that cannot be delivered is tried again for some
hours. A process that dies in between may leave a message sent twice, never one untold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pydantic
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import client
from retry_queue import metrics, rest
from retry_queue.ledger import alarms, configuration, cursors, secrets, session
from retry_queue.sync import alarm, alarm_words, symptoms, telling, trouble
from retry_queue.sync import site as sites

SETTING = "alerts"
PLACE, LOOKS = "~alerts", "decide"
LOOK = 2.0
EVERY = 5.0
"""Seconds between two decisions."""
LEASE = 30.0
GRANTS = 60.0
"""Seconds between two looks at when authorisations end: each must be unsealed."""
TRIES = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
OLDEST = 6 * 3600.0
"""A message older than this tells nothing true any more."""
AT_ONCE = 8
SENDING = 90.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Lead:
    """What this process knows while it decides."""

    fence: int = -1
    until: float = 0.0
    next_at: float = 0.0
    epoch: int = -1
    alerts: list[alarm.Alert] = field(default_factory=list)
    series: dict[str, list[list[float]]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)
    """Whose growth is followed already: at the first look at a kind, what is there is no growth."""
    last: dict[str, float] = field(default_factory=dict)
    grants: dict[str, float] = field(default_factory=dict)
    grants_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a decision changes in the ledger."""

    alert: alarm.Alert
    ruling: trouble.Ruling
    changed: list[trouble.Held]

    @classmethod
    def of(cls, alert: alarm.Alert, held: list[trouble.Held], ruling: trouble.Ruling) -> _Changes:
        before = {one.id: _shown(one) for one in held}
        return cls(alert, ruling, [one for one in ruling.kept if one.id is None or _shown(one) != before[one.id]])

    def __bool__(self) -> bool:
        return bool(self.changed or self.ruling.dropped or self.ruling.tells)

    async def write(self, db: AsyncConnection) -> None:
        await alarms.keep(db, [(
            one.id, one.state, one.n, one.words, one.always, one.fired_at, one.told_at, one.ended_at, one.end_told,
        ) for one in self.changed if one.id is not None])  # fmt: skip
        await alarms.add(db, [(
            self.alert.key, one.kind, one.subject, one.state, one.n, one.words, one.always, one.since, one.fired_at,
            one.told_at,
        ) for one in self.changed if one.id is None])  # fmt: skip
        await alarms.drop(db, self.ruling.dropped)


class Watcher(rest.Crew):
    """Decides and sends. One per process that polls."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        sealer: secrets.Sealer,
        url: str = "",
    ) -> None:
        """``url``: where people reach the hub; messages lead there."""
        super().__init__("alerts", LOOK)
        self._ledger, self._site, self._calls, self._sealer, self._url = ledger, site, calls, sealer, url
        self._lead = _Lead()

    async def step(self) -> None:
        """Decides when it is time, and begins to send what is due."""
        await self.decide()
        async with self._ledger.read() as db:
            waiting = await alarms.due(db)
        room = AT_ONCE - len(self._running)
        if not waiting or room <= 0:
            return
        async with self._ledger.write() as db:
            claimed = await alarms.claim(db, room, SENDING)
        for notice in claimed:
            self._begin(self._one(notice), f"notice {notice.id}")

    # --- deciding ----------------------------------------------------------------------------------

    async def decide(self, *, at_once: bool = False) -> None:
        """Looks and decides, when it is time and nobody else leads; ``at_once``: now."""
        now = await self._ledger.now()
        lead = self._lead
        if now < lead.next_at and not at_once:
            return
        lead.next_at = now + EVERY
        await self._configured()
        if not lead.alerts:
            await self._nothing()
            return
        if now >= lead.until and not await self._leads(now):
            return
        if now - lead.grants_at > GRANTS:
            lead.grants_at, lead.grants = now, await symptoms.grants(self._ledger, self._sealer, self._site())
        asked = {
            key for each in lead.alerts for rule in each.rules if rule.kind == "silent" for key in rule.connections
        }
        found = await symptoms.read(self._ledger, self._site(), asked, lead.grants, now)
        growth, moved = self._growth(found, now)
        async with self._ledger.read() as db:
            rows = await alarms.unfinished(db)
        strangers = {row.alert_key for row in rows} - {one.key for one in lead.alerts}
        rulings = []
        for one in lead.alerts:
            held = [_held(row) for row in rows if row.alert_key == one.key]
            fits = trouble.fitting(one, found, growth)
            holding = {
                place: (rule, replace(each, words=alarm_words.line(each))) for place, (rule, each) in fits.items()
            }
            rulings.append((one, held, trouble.decide(one, now, held, holding, lead.last.get(one.key))))
        changes = [_Changes.of(*each) for each in rulings]
        if strangers or moved or any(changes) or now > lead.until - LEASE / 2:
            await self._write(now, changes, strangers)

    async def _write(self, now: float, changes: list[_Changes], strangers: set[str]) -> None:
        """Alarms, the notices they make, and the lead: together or not at all."""
        lead = self._lead
        last = {one.key: lead.last[one.key] for one in lead.alerts if one.key in lead.last}
        last |= {each.alert.key: now for each in changes if each.ruling.tells}
        async with self._ledger.write() as db:
            value = {"series": lead.series, "kinds": sorted(lead.kinds), "last": last}
            if not await cursors.keep(db, PLACE, LOOKS, lead.fence, value, LEASE):
                lead.until = 0.0
                log.info("alerts.lead_lost")
                return
            await alarms.abandon(db, strangers)
            for each in changes:
                await each.write(db)
                if each.ruling.tells:
                    body = alarm_words.message(each.alert, each.ruling, self._url)
                    log.warning("alert.told", alert=each.alert.key, title=body["title"])
                    await alarms.tell(db, [_telling(each.alert, to, body) for to in each.alert.to])
            if any(each.ruling.tells for each in changes):
                await alarms.trim(db)
        lead.last, lead.until = last, now + LEASE

    async def _configured(self) -> None:
        lead, epoch = self._lead, self._site().epoch
        if epoch == lead.epoch:
            return
        async with self._ledger.read() as db:
            given = await configuration.setting(db, SETTING) or []
        lead.grants_at = 0.0  # somebody may have authorised again
        lead.epoch, lead.alerts = epoch, [one for one in _alerts(given) if one.enabled]

    async def _nothing(self) -> None:
        """No alert is configured: what was open is over, without a word."""
        async with self._ledger.read() as db:
            left = {row.alert_key for row in await alarms.unfinished(db)}
        if left:
            async with self._ledger.write() as db:
                await alarms.abandon(db, left)

    async def _leads(self, now: float) -> bool:
        """Takes the lead when nobody has it, and goes on from what the last one knew."""
        async with self._ledger.write() as db:
            claim = await cursors.claim(db, PLACE, LOOKS, self._ledger.owner, LEASE)
        if claim is None:
            return False
        known = claim.value if isinstance(claim.value, dict) else {}
        lead = self._lead
        lead.fence, lead.until = claim.fence, now + LEASE
        lead.series = {str(key): list(points) for key, points in known.get("series", {}).items()}
        lead.kinds = set(known.get("kinds", ()))
        lead.last = {str(key): float(at) for key, at in known.get("last", {}).items()}
        return True

    def _growth(self, found: list[alarm.Finding], now: float) -> tuple[dict[tuple[str, str, float], float], bool]:
        """How much each count grew in the windows that rules ask for; whether anything moved."""
        lead = self._lead
        windows: dict[str, set[float]] = {}
        for one in lead.alerts:
            for rule in one.rules:
                if rule.kind in alarm.GROWING and rule.window:
                    windows.setdefault(rule.kind, set()).add(rule.window)
        out: dict[tuple[str, str, float], float] = {}
        before, lead.series = lead.series, {}
        for each in found:
            if each.kind not in windows:
                continue
            key = f"{each.kind}|{each.subject}"
            series = before.get(key, [[now, 0.0 if each.kind in lead.kinds else each.n]])
            lead.series[key] = trouble.recorded(series, now, max(windows[each.kind]), each.n)
            for window in windows[each.kind]:
                out[(each.kind, each.subject, window)] = trouble.grown(lead.series[key], now, window, each.n)
        for key, points in before.items():
            kind = key.partition("|")[0]
            if key not in lead.series and kind in windows:  # nothing is there any more: what comes now is new
                lead.series[key] = trouble.recorded(points, now, max(windows[kind]), 0.0)
        news = lead.series != before or lead.kinds != set(windows)
        lead.kinds = set(windows)
        return out, news

    # --- sending -----------------------------------------------------------------------------------

    async def _one(self, notice: alarms.Notice) -> None:
        """One try of one message."""
        try:
            now = await self._ledger.now()
            if now - notice.created_at > OLDEST:
                words = {"zh": "多次未送达，消息已过时", "en": "could not be delivered in time; it is out of date"}
                await self._end(notice, "failed", words)
                return
            channel = alarm.Channel(
                connection=notice.connection_key, operation=notice.operation, recipients=notice.recipients
            )
            said = await telling.send(
                self._site(), self._calls, channel, notice.body, f"alert-{notice.id}", notice.failures
            )
            if said is None:
                await self._end(notice, "sent", None)
            elif said.final or notice.failures + 1 >= len(TRIES):
                await self._end(notice, "failed", said.words)
            else:
                wait = max(TRIES[notice.failures], said.delay)
                async with self._ledger.write() as db:
                    await alarms.later(db, notice, wait, said.words, failed=said.counts)
        except session.LedgerUnavailable as error:
            log.warning("alerts.waiting", notice=notice.id, error=str(error))  # the lease ends, and somebody goes on

    async def _end(self, notice: alarms.Notice, state: str, words: dict[str, str] | None) -> None:
        async with self._ledger.write() as db:
            ours = await alarms.end(db, notice, state, words)
        if ours:
            metrics.ALERT_MESSAGES.labels(notice.connection_key, state).inc()
            if state == "failed":
                log.error("alert.undelivered", alert=notice.alert_key, connection=notice.connection_key)


def _telling(alert: alarm.Alert, to: alarm.Channel, body: dict[str, Any]) -> alarms.Telling:
    return alarms.Telling(alert.key, to.connection, to.operation, to.recipients, body)


def _held(row: Any) -> trouble.Held:
    return trouble.Held(
        id=row.id, kind=row.kind, subject=row.subject, state=row.state, n=row.n,
        words=orjson.loads(row.detail) if row.detail else None, since=row.since, fired_at=row.fired_at,
        told_at=row.told_at, acknowledged=row.acknowledged_by is not None, always=bool(row.always),
        ended_at=row.ended_at, end_told=bool(row.end_told),
    )  # fmt: skip


def _shown(one: trouble.Held) -> tuple[Any, ...]:
    """What is worth writing: seconds that pass alone are not, the words tell them in minutes."""
    return one.state, one.words, one.always, one.fired_at, one.told_at, one.ended_at, one.end_told


def _alerts(given: Any) -> Iterable[alarm.Alert]:
    """The stored alerts; one that cannot be read any more is left out, and ``check`` names it."""
    for one in given:
        with suppress(pydantic.ValidationError):
            yield alarm.Alert.model_validate(one)

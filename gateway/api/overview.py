"""The living picture: systems as nodes, routes as edges, the balance, and what needs a person now."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from gateway.api import failures, ledger, paging, services
from retry_queue.ledger import alarms, breakers, pulse, tallies, vitals
from retry_queue.sync import alarm_words, symptoms
from retry_queue.sync import route as sync_route
from retry_queue.sync import site as sites

routes = APIRouter(prefix="/overview", tags=["overview"])
RATE_MINUTES = 5
SOON = 14 * 86400.0
"""Seconds before the end of an authorisation from which a person should think of it."""
Minutes = Annotated[int, Query(ge=5, le=180, description="How far back the series go")]


class Node(paging.Part):
    """A connection in the picture. ``series`` are events taken in per minute, the oldest first."""

    key: str
    connector: str
    label: paging.Words
    category: str
    state: str
    reason: paging.Words | None = None
    sandbox: Annotated[bool, Field(description="A simulator stands in for it")] = False
    per_minute: float
    series: list[int]


class Edge(paging.Part):
    """One target of a route. ``health`` is good, busy (a backlog), bad (somebody must act) or off."""

    route: str
    label: str | None
    source: str
    entity: str
    target: str
    operation: str
    enabled: bool
    health: Annotated[str, Field(examples=["good"])]
    per_minute: float
    waiting: int
    parked: int
    dead: int
    last_at: datetime | None = None
    series: list[int]


class Todo(paging.Part):
    """Something a person must look at. ``kind`` says what sort, ``to`` names the thing."""

    kind: Annotated[str, Field(examples=["needs_auth"])]
    to: str
    count: int = 1
    words: paging.Words | None = None


class Overview(paging.Part):
    """Everything the first page shows, of one moment."""

    at: datetime
    minutes: int
    balance: ledger.Balance
    today: Annotated[ledger.Balance, Field(description="Of the events that came today, Beijing time")]
    nodes: list[Node]
    edges: list[Edge]
    todo: list[Todo]
    series: Annotated[list[int], Field(description="Events taken in per minute, the oldest first")]


@routes.get("", operation_id="overview_get", summary="总览 Overview")
async def overview(request: Request, minutes: Minutes = 60) -> Overview:
    """The hub right now."""
    hub = services.of(request)
    async with hub.ledger.read() as db:
        balance = await tallies.balance(db)
        today = await tallies.today(db, hub.clock())
        arrived = await pulse.arrived(db, minutes)
        moved = await pulse.moved(db, minutes)
        stuck = await pulse.stuck(db)
        causes = await pulse.causes(db)
        waiting = await vitals.conflicts(db)
        shut = [row for row in (await breakers.every(db))[0].values() if row.shut]
        mute = await alarms.undelivered(db, hub.clock() - 86400.0)
    now = hub.clock()
    site = hub.site()
    ends = {key: until for key, until in (await symptoms.grants(hub.ledger, hub.sealer, site)).items()
            if until - now < SOON}  # fmt: skip
    return Overview(
        at=paging.instant(now), minutes=minutes, balance=ledger.Balance(**asdict(balance)),
        today=ledger.Balance(**asdict(today)),
        nodes=[_node(live, arrived, minutes, now) for live in site.live.values()],
        edges=[edge for one in site.routes.values() for edge in _edges(one, moved, stuck, minutes, now)],
        todo=[*_todo(site, causes, balance), *_shut(shut), *_soon(ends, waiting, mute, now)],
        series=_series(arrived, minutes),
    )  # fmt: skip


def _series(found: list[pulse.Moved], minutes: int) -> list[int]:
    counted = [0] * minutes
    for one in found:
        if 0 <= one.minute < minutes:
            counted[minutes - 1 - one.minute] += one.n
    return counted


def _rate(found: list[pulse.Moved], now: float) -> float:
    """Per minute over the last minutes, or over the shorter time that the sample covers."""
    recent = [one for one in found if one.minute < RATE_MINUTES]
    total = sum(one.n for one in recent)
    if not total:
        return 0.0
    covered = RATE_MINUTES * 60.0
    if total >= pulse.SAMPLE // 2:
        covered = max(now - min(one.since for one in recent), 1.0)
    return round(total / covered * 60.0, 1)


def _node(live: sites.Live, arrived: list[pulse.Moved], minutes: int, now: float) -> Node:
    own = [one for one in arrived if one.connection == live.key]
    spec = live.opened.declaration if live.opened is not None else None
    label: dict[str, Any] = spec.label.model_dump() if spec is not None else {"zh": live.connector, "en": ""}
    return Node(
        key=live.key, connector=live.connector, label=paging.Words(**label),
        category=spec.category if spec is not None else "generic", state=str(live.state),
        reason=paging.Words.model_validate(live.problem) if live.problem else None,
        sandbox=live.sandbox, per_minute=_rate(own, now), series=_series(own, minutes),
    )  # fmt: skip


def _edges(
    one: sync_route.Route, moved: list[pulse.Moved], stuck: list[pulse.Stuck], minutes: int, now: float
) -> list[Edge]:
    made = []
    for target in one.to:
        own = [row for row in moved if row.route == one.key and row.connection == target.connection]
        states: dict[str, int] = defaultdict(int)
        for row in stuck:
            if row.route == one.key and row.connection == target.connection:
                states[row.state] += row.n
        waiting = states["pending"] + states["in_flight"] + states["retrying"]
        health = "off" if not one.enabled else "good"
        if one.enabled and (states["parked"] or states["dead"]):
            health = "bad"
        elif one.enabled and (states["retrying"] or waiting > 50):
            health = "busy"
        last = max((row.settled_at for row in own if row.settled_at is not None), default=None)
        made.append(
            Edge(
                route=one.key, label=one.label, source=one.source.connection, entity=one.source.entity,
                target=target.connection, operation=target.operation, enabled=one.enabled, health=health,
                per_minute=_rate(own, now), waiting=waiting, parked=states["parked"], dead=states["dead"],
                last_at=paging.moment(last), series=_series(own, minutes),
            )
        )  # fmt: skip
    return made


def _todo(site: sites.Site, causes: list[pulse.Cause], balance: tallies.Balance) -> list[Todo]:
    found = []
    if balance.difference:
        words = paging.Words(
            zh=f"台账差额 {balance.difference}，请立即核对",
            en=f"the ledger is off by {balance.difference}; check it now",
        )
        found.append(Todo(kind="difference", to="ledger", count=abs(balance.difference), words=words))
    for live in site.live.values():
        if str(live.state) == "needs_auth" or (live.used and live.opened is None):
            words = paging.Words.model_validate(live.problem) if live.problem else paging.Words()
            found.append(Todo(kind="needs_auth", to=live.key, words=words))
    found += [
        Todo(kind=one.state, to=one.route or one.connection, count=one.n, words=failures.words(one))
        for one in causes[:20]
    ]
    found += [Todo(kind="paused", to=live.key) for live in site.live.values() if str(live.state) == "paused"]
    return found


def _shut(rows: list[breakers.Row]) -> list[Todo]:
    """Systems that are not called for now; a breaker of one operation names it."""
    return [
        Todo(
            kind="breaker", to=row.connection_key, words=paging.Words.model_validate(row.reason) if row.reason else None
        )
        for row in rows
    ]


def _soon(ends: dict[str, float], conflicts: int, mute: list[Any], now: float) -> list[Todo]:
    """What is not broken yet, or not in the way of any event."""
    found = []
    for key, until in sorted(ends.items(), key=lambda one: one[1]):
        zh, en = alarm_words.lasting(max(until - now, 0.0))
        found.append(Todo(kind="expiring", to=key, words=paging.Words(zh=f"还有 {zh}到期", en=f"ends in {en}")))
    if conflicts:
        found.append(Todo(kind="conflicts", to="", count=conflicts))
    for row in mute:
        words = paging.Words.model_validate_json(row.detail) if row.detail else None
        found.append(Todo(kind="channel", to=row.connection_key, words=words))
    return found

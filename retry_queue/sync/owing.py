"""What a plan comes to: deliveries owed, what is known once it is kept, counts, and a span. Pure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from retry_queue import tracing
from retry_queue.ledger import inbox, lane, records
from retry_queue.ledger.states import EventState
from retry_queue.sync import draft, plan, watch
from retry_queue.sync import site as sites


def merged(found: Sequence[Mapping[str, bool]]) -> dict[str, bool]:
    """Targets with work; one is fast when any of its work is."""
    targets: dict[str, bool] = {}
    for target, fast in (pair for each in found for pair in each.items()):
        targets[target] = fast or targets.get(target, False)
    return targets


def after(before: records.Known | None, state: records.State) -> records.Known:
    """What the ledger will know once ``state`` is kept."""
    if before is not None:
        version = before.version if state.version is None else state.version
        return replace(before, version=version, fingerprint=state.fingerprint, canonical=state.canonical)
    connection_key, entity, record = state.ref
    return records.Known(
        0, connection_key, entity, record, 0, state.number, state.version, state.fingerprint, state.canonical,
        None, None, state.hop,
    )  # fmt: skip


def owed(
    one: draft.Draft, kept: tuple[int, int], back: Mapping[int, plan.Leg], site: sites.Site
) -> list[lane.NewDelivery]:
    """The deliveries of one event; ``kept``: its record's row and link."""
    decided = one.plan
    if decided is None:
        return []
    row, link = kept
    first: dict[str, int] = {}  # where the targets of a step are not in use, the next one begins
    for leg in decided.legs:
        first[leg.route.key] = min(leg.stage, first.get(leg.route.key, leg.stage))
    legs = (*decided.legs, back[one.event.id]) if one.event.id in back else decided.legs
    return [
        lane.NewDelivery(
            event_id=one.event.id,
            route_key=leg.route.key,
            connection_key=leg.target.connection,
            operation=leg.target.operation,
            position=leg.position,
            kind=leg.kind,
            record_id=row,
            lane=plan.fast_lane(leg.target.connection, one.event.id)
            if one.event.fast and leg.kind == "act"
            else plan.lane(leg.target.connection, one.entity, link),
            version=None if site.merging(one.entity) else one.version,  # merged values are the newest in any event
            hop=decided.hop,
            priority=inbox.FAST if one.event.fast and leg.kind == "act" else max(one.event.priority, inbox.LIVE),
            delay=watch.delay(leg.route, leg.after, time.time())
            if leg.stage <= first.get(leg.route.key, 0)
            else lane.BLOCKED + leg.after,
            stage=leg.stage,
            mapping=site.carried(leg.target, one.entity),
        )
        for leg in legs
    ]


def counts(drafts: Sequence[draft.Draft]) -> Counter[tuple[str, str]]:
    """What the balance counts of these events."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in drafts:
        decided = one.plan
        if decided is None or decided.ruling in (EventState.RECEIVED, EventState.PARKED):
            continue
        key = one.event.connection_key
        if decided.ruling is EventState.PLANNED:
            counts[(key, "planned")] += 1
        else:
            counts[(key, "filtered")] += 1
            counts[(key, f"skipped.{decided.reason}")] += 1
    return counts


def span(one: draft.Draft, deliveries: int) -> tracing.Span:
    """From taking an event in to having planned what it causes."""
    event, now = one.event, time.time()
    told: dict[str, str | int] = {
        "shuniu.connection": event.connection_key, "shuniu.entity": one.entity, "shuniu.deliveries": deliveries,
        "shuniu.reason": (one.plan.reason or "") if one.plan else "",
    }  # fmt: skip
    began = min(event.received_at, now)
    above = tracing.root(event.trace)
    return tracing.Span("plan", "internal", event.trace, tracing.fresh(), began, now - began, above, told)

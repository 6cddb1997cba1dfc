"""Lanes as values: what is owed, in which order, and when to look again. Pure decisions, no SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retry_queue.ledger import records
from retry_queue.ledger.states import DeliveryState

LEASE = 120.0
"""Seconds a claimed lane is its worker's; more than twice the longest call."""
HALF_DONE = 600.0
"""Seconds for which a write between two tries counts as one that may have been done in part."""


BLOCKED = 1e11
"""In place of a time: waits for the steps before it. What is added is how long it waits after them."""


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery owed to one target of one route."""

    event_id: int
    route_key: str
    connection_key: str
    operation: str
    position: int
    kind: str
    record_id: int
    lane: str
    version: float | None
    hop: int
    priority: int
    delay: float = 0.0
    """Seconds until it is due; ``BLOCKED`` plus seconds when earlier steps come first."""
    stage: int = 0
    mapping: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work a lane until the lease ends."""

    lane: str
    fence: int
    seq: int
    priority: int = 1


@dataclass(slots=True)
class ClaimedDelivery:
    """The head of a claimed lane, with all that is needed to deliver it."""

    id: int
    event_id: int
    route_key: str
    connection_key: str
    operation: str
    position: int
    kind: str
    record_id: int
    lane: str
    state: str
    attempt: int
    failures: int
    crashes: int
    version: float | None
    hop: int
    created_at: float
    entity: str
    source_key: str
    source_record: str | None
    received_at: float
    trace: str
    body: str
    link_id: int
    target_record: str | None
    stage: int
    mapping: str | None
    occurred_at: float | None = None
    said: str | None = None
    """What its last try came to, as it is kept: JSON {zh, en, code}, and ``rest`` where a part of it is done."""
    lease: Lease | None = None
    more: bool = False
    """More deliveries wait in this lane."""
    next_wait: float | None = None
    """Seconds until the next one of the lane is due, when ``more``."""
    chained: bool = False
    """Its route has later steps."""
    before: str = ""
    """Its state when it was claimed."""
    interrupted: bool = False
    """An earlier attempt was cut off: whether its call happened is not known."""
    probe: tuple[str, str] | None = None
    """The shut breaker (connection, operation) that it tries; its failure is not counted against it."""

    @property
    def rest(self) -> Any:
        """What the target wants back with the part that is still owed; None when all of it is."""
        return json.loads(self.said).get("rest") if self.said and '"rest"' in self.said else None

    @property
    def urgent(self) -> bool:
        """It has a deadline of seconds and goes out now, whatever else is under way."""
        return self.lease is not None and self.lease.priority == 0


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt came to; written only if the delivery still has this attempt number."""

    delivery: ClaimedDelivery
    state: DeliveryState
    outcome: str
    duration: float
    delay: float = 0.0
    failed: bool = False
    reason: str | None = None
    detail: str | None = None
    """Why, for people: JSON {zh, en}; the attempt keeps it too."""
    code: str | None = None
    exchanges: str | None = None
    target_record: str | None = None
    hold: bool = True
    """The lane waits for this delivery while it is not ended."""
    tried: bool = True
    """False when nothing was attempted (the connection is paused, a slot ran out): no attempt row."""
    called: bool = True
    """False when the attempt ended without asking the system anything, which then shows nothing of it."""
    binding: records.Binding | None = None
    """What the delivery leaves on the target's record row."""
    banned: float | None = None
    """Seconds for which the system sent us away."""
    rest: Any = None
    """A part of it is done; what the target wants back with the other part."""

    @property
    def kept(self) -> str | None:
        """``detail`` as the delivery keeps it: until all of it is done, whatever happens, with what is done already."""
        rest = self.delivery.rest if self.rest is None else self.rest
        if rest is None or self.state in (DeliveryState.DELIVERED, DeliveryState.SUPERSEDED):
            return self.detail
        return json.dumps({**json.loads(self.detail or "{}"), "rest": rest}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that waits in a lane, as the claim sees it."""

    id: int
    lane: str
    route_key: str
    position: int
    kind: str
    state: str
    version: float | None
    wait: float
    operation: str = ""
    record_id: int = 0


SUPERSEDE, SKIP = "supersede", "skip"
"""What a route may say about a failing head; a route that says nothing holds."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What may be done in a lane now: the head to take, what a newer state replaced, when to look again."""

    head: Waiting | None
    superseded: tuple[int, ...]
    next_wait: float | None
    passed: tuple[int, ...] = ()
    """Parked or failing deliveries that the head goes past."""


def order(queue: Sequence[Waiting], policies: Mapping[str, str]) -> Lane:
    """Decides the head of a lane; ``queue`` is in order of arrival. Pure.

    Of several waiting states of one record for one route target only the newest is sent (by source version, then by
    arrival); linked records share the lane and do not replace each other. An interrupted head comes first: what it
    did must be known before anything follows. What is parked or failing holds the lane, unless its route's policy
    says ``skip``: then the others go past it; or ``supersede``: then a newer state ends a parked one. What was told
    to wait (a route's ``after``) lets others pass.
    """
    newest: dict[tuple[str, int, int], Waiting] = {}
    for one in queue:
        if one.kind == "state" and one.state != DeliveryState.PARKED and one.wait < BLOCKED / 2:
            known = newest.get(_aim(one))
            if known is None or not records.older(one.version, known.version):
                newest[_aim(one)] = one
    superseded = tuple(
        one.id for one in queue if one.kind == "state" and _overtaken(one, newest.get(_aim(one)), policies)
    )
    gone = set(superseded)
    rest = [one for one in queue if one.id not in gone]
    head = next((one for one in rest if one.state == DeliveryState.IN_FLIGHT), None)
    waits: list[float] = []
    failing: list[int] = []
    for one in rest:
        if one is head:
            continue
        skips = policies.get(one.route_key) == SKIP
        if one.state == DeliveryState.PARKED:
            if not skips:
                break
            if head is None:
                failing.append(one.id)
            continue
        if head is None and one.wait <= 0:
            head = one
            continue
        waits.append(max(one.wait, 0.0))
        if head is None and one.state == DeliveryState.RETRYING:
            if not skips:
                break
            failing.append(one.id)
    return Lane(head, superseded, min(waits) if waits else None, tuple(failing) if head is not None else ())


def _aim(one: Waiting) -> tuple[str, int, int]:
    """Whose state goes where: two packages of one order share a lane, and each must arrive."""
    return one.route_key, one.position, one.record_id


def _overtaken(one: Waiting, newest: Waiting | None, policies: Mapping[str, str]) -> bool:
    if newest is None or newest is one:
        return False
    if one.state in (DeliveryState.PENDING, DeliveryState.RETRYING):
        return True
    parked = one.state == DeliveryState.PARKED and policies.get(one.route_key) == SUPERSEDE
    return parked and not records.older(newest.version, one.version) and newest.id > one.id


def lane_wait(result: Result) -> float | None:
    """Seconds until the lane may be claimed again, None when nothing is left in it; pure."""
    waits: list[float] = []
    if result.state in (DeliveryState.RETRYING, DeliveryState.PENDING):
        waits.append(result.delay)
        if result.hold:
            return result.delay
    if result.state == DeliveryState.PARKED and result.hold:
        return None
    if result.delivery.more:
        waits.append(result.delivery.next_wait or 0.0)
    return min(waits) if waits else None

"""Context: what a delivery's mapping may read beside the record itself, fetched for a whole batch at once.

``@link.id``    the record's id in the target, when they are linked already
``@order`` …    the record a reference points to (``Shipment.order_id``), its ``id`` in the target's words
``@customer``   the customer behind it, by reference or by the buyer's identities
``@contact``    that customer as the target itself knows it
``@step``       what the route's earlier steps came to, by connection: ``@step.crm.id``, ``@step.crm.state``
``@config``     the target connection's settings; ``@event`` where it came from, for templates with its ``payload``
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from connectors.core import jsontext, scope
from mappings import canonical as models
from retry_queue.ledger import events, lane, records, secrets, session, stages
from retry_queue.sync import draft, listing, meaning, plan, route, words
from retry_queue.sync import site as sites

PEOPLE, ORDER = "customer", "order"
_KEYS = uuid.UUID("5a0f2d0c-6f0e-5f0b-9d0e-2f6d1c3b4a59")
"""The namespace of idempotency keys; never change it."""


@dataclass(slots=True)
class Job:
    """A claimed delivery with everything it needs, or the words why it cannot go."""

    delivery: lane.ClaimedDelivery
    live: sites.Live
    target: route.Target
    operation: str
    meaning: meaning.Meaning | None
    template: route.Template | None
    canonical: dict[str, Any]
    scope: dict[str, Any] = field(default_factory=dict)
    member: records.Known | None = None
    """The linked record in the target."""
    digest: str = ""
    """Of the native record that is sent."""
    missing: list[str] = field(default_factory=list)
    """References that have no counterpart in the target yet, as ``entity id``."""
    awaited: list[str] = field(default_factory=list)
    """References that are linked to nothing yet and through which more could be known; worth a short wait."""
    adjusted: bool = False
    elsewhere: str = ""
    """A reason not to send it there: what it refers to belongs to other systems, or is not sold there."""

    def wants(self, root: str) -> bool:
        return self.template is not None or (self.meaning is not None and root in self.meaning.roots)

    def listed(self) -> tuple[str, str] | None:
        """(target, merchant's code) when the target wants its own ids of what is in stock."""
        if self.delivery.entity != listing.STOCK or self.meaning is None or not self.meaning.reads & listing.IDS:
            return None
        code = self.canonical.get("sku")
        return (self.delivery.connection_key, str(code)) if code and self.delivery.position < plan.RESTORE else None

    def bound(self) -> bool:
        """Whether it goes only where the order is that it refers to."""
        model = models.MODELS.get(self.delivery.entity)
        return self.target.linked and model is not None and ORDER in model.REFS.values()

    def refs(self) -> list[tuple[str, str, str]]:
        """(field, entity, id in the source) of every reference this delivery needs."""
        model = models.MODELS.get(self.delivery.entity)
        found, bound = [], self.bound()
        for name, entity in (model.REFS if model else {}).items():
            value = self.canonical.get(name)
            read = self.meaning is not None and name in self.meaning.reads and possible(self.live, entity)
            if value and (read or (bound and entity == ORDER) or self.wants(entity) or self.wants(PEOPLE)):
                found.append((name, entity, str(value)))
        return found


def possible(live: sites.Live, entity: str) -> bool:
    """Whether the target can have such records at all.

    An office has no orders: an order's id goes there as it is, and nobody waits for its counterpart.
    """
    if live.opened is None:
        return True
    named: set[str] | None = live.opened.memo.get("entities")
    if named is None:
        spec = live.opened.declaration
        named = {one.entity for one in spec.operations.values() if one.entity}
        named |= {one.entity for one in spec.messages.values() if one.entity}
        live.opened.memo["entities"] = named
    # A declaration that names none, or leaves it to the connection, may mean any.
    return not named or entity in named or any("${" in one for one in named)


async def resolve(ledger: session.Ledger, sealer: secrets.Sealer, jobs: Sequence[Job]) -> None:
    """Fills ``scope``, ``member`` and ``missing`` of every job, and translates references in place."""
    refs = {(job.delivery.source_key, entity, value) for job in jobs for _, entity, value in job.refs()}
    later = [job for job in jobs if job.delivery.stage]
    async with ledger.read() as connection:
        steps = await stages.earlier(connection, [job.delivery for job in later]) if later else {}
        known = await records.find(connection, refs)
        links = {one.link_id for one in known.values()} | {job.delivery.link_id for job in jobs if _linked(job)}
        groups = await records.groups(connection, links)
        people = {id(job): _people(sealer, job, known, groups) for job in jobs if job.wants(PEOPLE)}
        wanted = {mark for marks, _ in people.values() for mark in marks}
        named = await records.by_identity(connection, wanted) if wanted else {}
        more = {one.link_id for one in named.values()} | {link for _, links_ in people.values() for link in links_}
        if more - groups.keys():
            groups |= await records.groups(connection, more - groups.keys())
        wanted_goods = [one for job in jobs if (one := job.listed())]
        shelf = await listing.find(connection, sealer, wanted_goods) if wanted_goods else None
        told = {job.delivery.event_id for job in jobs if job.template and words.reads(job.template, "event.payload")}
        payloads = await events.payloads(connection, told) if told else {}
    for job in later:
        job.scope["step"] = {
            row.connection_key: {"id": row.target_record, "state": row.state}
            for row in steps.get((job.delivery.event_id, job.delivery.route_key), ())
            if row.stage < job.delivery.stage
        }
    for job in jobs:
        _fill(job, known, groups)
        if job.delivery.event_id in payloads:
            job.scope["event"]["payload"] = jsontext.loads(payloads[job.delivery.event_id])
        if job.wants(PEOPLE):
            marks, own = people[id(job)]
            found = [*own, *(named[mark].link_id for mark in marks if mark in named)]
            _customer(job, groups.get(found[0], []) if found else [])
        await_links(job, known, groups)
        if shelf is not None:
            _shelve(job, shelf)


def _shelve(job: Job, shelf: listing.Shelf) -> None:
    """Puts the target's own ids of a SKU in the place of the source's, which mean nothing there."""
    wanted = job.listed()
    if wanted is None:
        return
    if wanted in shelf.found:
        product, sku = shelf.found[wanted]
        job.canonical |= {"product_id": product, "sku_id": sku}
    elif wanted[0] in shelf.stocked and wanted[0] != job.delivery.source_key:
        job.elsewhere = "not_listed"


def _linked(job: Job) -> bool:
    return job.delivery.kind == "state" or job.target.linked or job.wants("link") or job.delivery.entity == PEOPLE


def _fill(job: Job, known: Mapping[records.Ref, records.Known], groups: Mapping[int, list[records.Known]]) -> None:
    delivery = job.delivery
    group = groups.get(delivery.link_id, [])
    own = delivery.position >= plan.RESTORE  # the very record that the event is about
    job.member = next((one for one in group if own and one.id == delivery.record_id), None) or member(
        group, delivery.connection_key, delivery.entity
    )
    job.scope |= {
        "config": scope.settings(job.live.opened) if job.live.opened else {},
        "link": {"id": job.member.record} if job.member else {},
        "event": {
            "connection": delivery.source_key,
            "record": delivery.source_record,
            "trace": delivery.trace,
            "key": key(delivery),
        },
    }
    away = delivery.source_key != delivery.connection_key
    if job.target.linked and not job.bound() and job.member is None and away:
        job.elsewhere = "elsewhere"
    for name, entity, value in job.refs():
        bound = job.bound() and entity == ORDER
        one = known.get((delivery.source_key, entity, value))
        group = groups.get(one.link_id, []) if one else []
        there = member(group, delivery.connection_key, entity)
        best = snapshot(group)
        if best is not None:
            best["id"] = there.record if there else value
            job.scope[entity] = best
        if not away:
            continue
        if there is not None:
            job.canonical[name] = there.record
        elif job.meaning is not None and name in job.meaning.reads:
            # A mapping that reads the joined record can do without the id, unless it must write the id itself: another
            # system's id means nothing to the target, or somebody else's record.
            if bound and len({other.connection_key for other in group}) > 1:
                job.elsewhere = "elsewhere"
            elif bound or name in job.meaning.needs or not (best and entity in job.meaning.roots):
                job.missing.append(f"{entity} {value}")


def key(delivery: lane.ClaimedDelivery) -> str:
    """An idempotency key: a UUID that belongs to one delivery, at every try and every replay of it.

    It does not follow from the ledger's own numbers, which begin anew with a new ledger.
    """
    return str(uuid.uuid5(_KEYS, f"{delivery.trace}/{delivery.route_key}/{delivery.position}"))


def _people(
    sealer: secrets.Sealer,
    job: Job,
    known: Mapping[records.Ref, records.Known],
    groups: Mapping[int, list[records.Known]],
) -> tuple[list[tuple[str, str]], list[int]]:
    """How to find the customer: marks of identities, and links that are known to be theirs."""
    if job.delivery.entity == PEOPLE:
        return [], [job.delivery.link_id]
    own = []
    for _, entity, value in job.refs():
        one = known.get((job.delivery.source_key, entity, value))
        if one is None:
            continue
        if entity == PEOPLE:
            own.append(one.link_id)
            continue
        joined = snapshot(groups.get(one.link_id, []))
        if joined is not None:
            return list(draft.marks(sealer, joined.get("buyer") or {})), own
    return list(draft.marks(sealer, job.canonical.get("buyer") or {})), own


def _customer(job: Job, group: list[records.Known]) -> None:
    best = snapshot(group)
    there = member(group, job.delivery.connection_key, PEOPLE)
    if best is not None:
        best.pop("id", None)
        if there is not None:
            best["id"] = there.record
        job.scope[PEOPLE] = best
    if there is not None:
        job.scope["contact"] = {**_read(there), "id": there.record}


def await_links(
    job: Job, known: Mapping[records.Ref, records.Known], groups: Mapping[int, list[records.Known]]
) -> None:
    """What is told about a record can overtake the link of that record, when our own write made it."""
    lonely = []
    for _, entity, value in job.refs():
        one = known.get((job.delivery.source_key, entity, value))
        systems = {other.connection_key for other in groups.get(one.link_id, [])} if one else set()
        if len(systems) < 2 and (job.wants(PEOPLE) or entity not in job.scope):
            lonely.append(f"{entity} {value}")
    if job.wants(PEOPLE) and "contact" in job.scope:
        return
    job.awaited = lonely


def member(group: Sequence[records.Known], connection_key: str, entity: str) -> records.Known | None:
    """The record of a link in one connection; the newest, when there are several."""
    found = [one for one in group if one.connection_key == connection_key and one.entity == entity]
    return found[-1] if found else None


def snapshot(group: Sequence[records.Known]) -> dict[str, Any] | None:
    """The state of a linked thing as its first reporter tells it: that one knows its lines and its buyer."""
    told = [one for one in group if one.canonical]
    return _read(told[0]) if told else None


def _read(one: records.Known) -> dict[str, Any]:
    return orjson.loads(one.canonical) if one.canonical else {}

"""A site's configuration, compiled: an immutable snapshot that every step reads and nobody changes."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pydantic

from connectors.core import catalogue, declaration, decode, model, registry
from mappings import errors as mapping_errors
from mappings import expression, library
from retry_queue.ledger import configuration, connections, keyring, lane, recovery, secrets, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import flows, meaning, plan, route, watch

SHIPPED = "shipped"
LINKING = frozenset({"customer", "product"})
"""Entities whose records are matched with those of other systems before any route asks for them."""


@dataclass(frozen=True, slots=True)
class Live:
    """A connection as the steps see it. ``opened`` is None when it cannot be used, and ``problem`` says why."""

    key: str
    connector: str
    state: ConnectionState
    opened: model.Connection | None
    problem: dict[str, str] | None
    formers: tuple[tuple[float, model.Connection], ...] = ()
    """The connection with secrets of before, and until when its door takes what is proven with them."""
    sandbox: bool = False
    """Whether a simulator stands in for the real system."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Secrets that live elsewhere: field -> where."""
    refused: str = ""
    """``proof`` of the secrets that the system refused, while it waits for others."""

    @property
    def delivers(self) -> bool:
        """Whether anything may be sent to it now."""
        return self.opened is not None and self.state is ConnectionState.ENABLED

    @property
    def hints(self) -> bool:
        """Whether some of what it pushes only points at a record."""
        return self.opened is not None and any(one.hydrate for one in self.opened.declaration.messages.values())

    @property
    def renewed(self) -> str:
        """``proof`` of its secrets where they are others than those that were refused; empty where they are not."""
        proof = self.opened.proof if self.opened is not None else ""
        waits = self.state is ConnectionState.NEEDS_AUTH and bool(self.refused)
        return proof if waits and not hmac.compare_digest(proof, self.refused) else ""

    @property
    def used(self) -> bool:
        """Whether it takes part at all (paused ones do: what they are owed waits)."""
        return self.state is not ConnectionState.DISABLED


class Site:
    """The whole configuration at one epoch."""

    def __init__(
        self,
        epoch: int,
        live: Mapping[str, Live],
        routes: Iterable[route.Route],
        overrides: Mapping[tuple[str, str], meaning.Meaning],
        templates: Mapping[str, route.Template],
        entities: Mapping[str, route.EntityRule],
        texts: Mapping[str, str] | None = None,
        connectors: catalogue.Catalogue = catalogue.SHIPPED,
        restored_at: float | None = None,
    ) -> None:
        """``texts``: connector/name@version -> every version of the site's own mappings, also those not in force.

        ``restored_at``: when the ledger was put back to an older point, if ever.
        """
        self._restored_at = restored_at
        self.connectors = connectors
        self.epoch = epoch
        self.live = dict(live)
        self.routes = {one.key: one for one in routes}
        self.templates = dict(templates)
        self.entities = dict(entities)
        self._meanings: dict[tuple[str, str], meaning.Meaning | None] = dict(overrides)
        self._texts = dict(texts or {})
        self._versions: dict[str, meaning.Meaning | None] = {}
        self._edges = flows.edges(self.routes.values(), self.operation)
        self._written = {one.target for one in self._edges if one.writes}
        self._merging: dict[str, tuple[str, ...]] = {}
        self._messages: dict[tuple[str, str], declaration.MessageSpec | None] = {}
        self._candidates: dict[tuple[str, str], tuple[plan.Candidate, ...]] = {}
        for one in self.routes.values():
            if one.enabled:
                place = (one.source.connection, one.source.entity)
                self._candidates[place] = (*self._candidates.get(place, ()), self._candidate(one))
        self.careful = frozenset(
            placed.target.connection
            for one in self.routes.values()
            for placed in one.targets
            if not self._repeatable(placed.target)
        )
        """Targets of operations that may not be sent again when it is not known whether they were."""
        both_ways = {key for entity in {one.source[1] for one in self._edges} for key in self.sharing(entity)}
        self.workers_own = tuple(key for key, one in self.live.items() if one.hints or key in both_ways)
        """Connections whose events only workers plan: those that are asked for details of what they push, and those
        whose records travel both ways, where each event is weighed against the writes that are under way."""
        people = self.entities.get("customer")
        self.match = people.match if people is not None and people.match is not None else route.Match()
        self.watches = watch.Watches(self.routes.values())
        self.policies = {one.key: str(one.order) for one in self.routes.values() if one.order is not route.Order.HOLD}
        """Route -> what becomes of its lanes when their head fails, where it is not to hold."""

    def _candidate(self, one: route.Route) -> plan.Candidate:
        holds = expression.condition(one.when) if one.when else None
        kinds, open_ = [], []
        for target in (placed.target for placed in one.targets):
            live = self.live.get(target.connection)
            operation = self.operation(target.connection, target.operation)
            kinds.append("state" if operation is not None and operation.kind == "write" else "act")
            open_.append(live is not None and live.used and operation is not None)
        return plan.Candidate(one, holds, tuple(kinds), tuple(open_))

    def doubts(self, delivery: lane.ClaimedDelivery) -> bool:
        """Whether this first attempt may be the second: see ``recovery``."""
        first = delivery.attempt == 1
        return first and recovery.before(self._restored_at, delivery.occurred_at, delivery.received_at)

    def _repeatable(self, target: route.Target) -> bool:
        operation = self.operation(target.connection, target.operation)
        never = declaration.Idempotency.NO
        return operation is None or operation.flow is not None or operation.idempotent is not never

    def candidates(self, connection_key: str, entity: str) -> tuple[plan.Candidate, ...]:
        """The enabled routes that ask for this entity of this connection."""
        return self._candidates.get((connection_key, entity), ())

    def asks(self, connection_key: str, entity: str) -> bool:
        """Whether an event of this entity can cause anything, now or by linking what it is about."""
        return (
            entity in LINKING
            or bool(self.candidates(connection_key, entity))
            or bool(self.merging(entity))
            or self.watches.about(entity)
        )

    def writes(self, connection_key: str, entity: str) -> bool:
        """Whether some route writes records of this entity there, so that its events may be our own."""
        return (connection_key, entity) in self._written

    def merging(self, entity: str) -> tuple[str, ...]:
        """The fields of an entity that travel both ways; none when nobody both gives and takes it."""
        if entity not in self._merging:
            paths: set[str] = set()
            if flows.members(self._edges, entity):
                for one in self._edges:
                    if one.keeps and one.source[1] == entity:
                        found = self.carrier(self.routes[one.route].targets[one.position].target, entity)
                        paths.update(found.shared if found else ())
            self._merging[entity] = tuple(sorted(paths))
        return self._merging[entity]

    def sharing(self, entity: str) -> set[str]:
        """The connections that both give and take an entity."""
        return flows.members(self._edges, entity)

    def writer(self, connection_key: str, entity: str) -> flows.Edge | None:
        """The way by which records of this entity are written there."""
        return next((one for one in self._edges if one.keeps and one.target == (connection_key, entity)), None)

    def carrier(self, target: route.Target, entity: str) -> meaning.Meaning | None:
        """The mapping that a route's target is written with."""
        live, operation = self.live.get(target.connection), self.operation(target.connection, target.operation)
        if live is None or operation is None:
            return None
        return self.meaning(live.connector, flows.mapping_name(target, operation, entity))

    def operation(self, connection_key: str, name: str) -> declaration.Operation | None:
        """An operation of a connection's connector."""
        live = self.live.get(connection_key)
        if live is None:
            return None
        try:
            return self.connectors.get(live.connector).operations.get(name)
        except (registry.UnknownConnector, registry.DeclarationError):
            return None

    def message(self, connection_key: str, name: str) -> declaration.MessageSpec | None:
        """A message kind as this connection means it (its own entity and paths filled in)."""
        place = (connection_key, name)
        if place not in self._messages:
            live = self.live.get(connection_key)
            opened = live.opened if live is not None else None
            spec = opened.declaration.messages.get(name) if opened is not None else None
            filled = decode.named(opened.declaration, spec, opened, None) if opened is not None and spec else None
            self._messages[place] = filled
        return self._messages[place]

    def planned_meaning(self, name: str | None) -> meaning.Meaning | None:
        """The mapping of a version as it was when a delivery was planned; None when nobody knows it any more."""
        if name is None:
            return None
        if name not in self._versions:
            self._versions[name] = self._version(name)
        return self._versions[name]

    def _version(self, name: str) -> meaning.Meaning | None:
        place, _, version = name.rpartition("@")
        connector, _, mapping = place.partition("/")
        if version == SHIPPED:
            return _shipped(connector, mapping)
        current = self.meaning(connector, mapping)
        if current is not None and current.name == name:
            return current
        if name not in self._texts:
            return None
        try:
            return meaning.of(library.parse(self._texts[name], name), name)
        except mapping_errors.MappingError:
            return None

    def meaning(self, connector: str, name: str) -> meaning.Meaning | None:
        """The mapping in force: the site's own, else the shipped one, else None."""
        place = (connector, name)
        if place not in self._meanings:
            self._meanings[place] = _shipped(connector, name)
        return self._meanings[place]

    def carried(self, target: route.Target, entity: str) -> str | None:
        """connector/name@version of the mapping that a target is written with now."""
        found = self.carrier(target, entity)
        return found.name if found else None


def _shipped(connector: str, name: str) -> meaning.Meaning | None:
    if (connector, name) not in library.names():
        return None
    return meaning.of(library.shipped(connector, name), f"{connector}/{name}@{SHIPPED}")


def open_connection(
    row: connections.Row, sealer: secrets.Sealer, connectors: catalogue.Catalogue = catalogue.SHIPPED
) -> Live:
    """A stored connection, opened; what stands in the way becomes ``problem``."""
    references: dict[str, str] = {}
    try:
        references = row.references(sealer)
        declared = connectors.get(row.connector)
        config = with_defaults(declared, row.config)
        clear = row.opened(sealer)
        opened = model.Connection(row.key, declared, config, clear, row.switches, row.proof(sealer, clear))
        former = row.formers(sealer, 0.0)
    except (registry.UnknownConnector, registry.DeclarationError, secrets.SecretUnreadable) as error:
        known = error if isinstance(error, secrets.SecretUnreadable) else None
        said = {"zh": known.zh, "en": known.en} if known else {"zh": str(error), "en": str(error)}
        return Live(row.key, row.connector, row.state, None, said, references=references)
    formers = tuple(
        (until, replace(opened, secrets={**opened.secrets, **_until(former, until)}))
        for until in sorted({until for _, until in former.values()})
    )
    held = row.real is not None
    return Live(row.key, row.connector, row.state, opened, row.reason, formers, held, references, row.refused)


def _until(former: Mapping[str, tuple[str, float]], until: float) -> dict[str, str]:
    return {name: value for name, (value, end) in former.items() if end >= until}


def with_defaults(declared: declaration.Declaration, config: Mapping[str, Any]) -> dict[str, Any]:
    """A connection's config with the declaration's defaults under it."""
    base = {field.key: field.default for field in declared.fields if not field.secret and field.default is not None}
    return {**base, **config}


def _references(rows: Iterable[connections.Row], sealer: secrets.Sealer) -> set[str]:
    found: set[str] = set()
    for row in rows:
        with contextlib.suppress(secrets.SecretUnreadable):  # opening the connection says so
            found.update(row.references(sealer).values())
    return found


async def load(ledger: session.Ledger, sealer: secrets.Sealer) -> Site:
    """Reads and compiles the configuration.

    A route or mapping that does not compile is left out: it was
    checked when it was stored, so this only happens after a downgrade, and ``check`` names it. ``sealer`` gets to know
    the ring of keys. Raises SecretUnreadable when it does not fit this ledger at all.
    """
    async with ledger.read() as connection:
        epoch = await configuration.epoch(connection)
        sealer.take(await keyring.read(connection))
        rows = await connections.all_rows(connection)
        route_rows = await configuration.routes(connection)
        mapping_rows = await configuration.mappings(connection, published=False)
        templates = await configuration.setting(connection, "templates") or []
        entities = await configuration.setting(connection, "entities") or {}
        connectors = catalogue.Catalogue(await configuration.declarations(connection))
        restored = await configuration.setting(connection, recovery.SETTING) or {}
    await sealer.outside.look(_references(rows, sealer))
    overrides, texts = {}, {}
    for row in mapping_rows:
        file = f"{row.connector}/{row.name}@{row.version}"
        texts[file] = row.body
        if not row.published:
            continue
        try:
            overrides[(row.connector, row.name)] = meaning.of(library.parse(row.body, file), file)
        except mapping_errors.MappingError:
            continue
    routes = []
    for stored in route_rows:
        try:
            routes.append(route.Route.model_validate({**stored.spec, "key": stored.key, "enabled": stored.enabled}))
        except pydantic.ValidationError:
            continue
    return Site(
        epoch,
        {row.key: open_connection(row, sealer, connectors) for row in rows},
        routes,
        overrides,
        {one["key"]: route.Template.model_validate(one) for one in templates},
        {name: route.EntityRule.model_validate(rule) for name, rule in entities.items()},
        texts,
        connectors,
        restored.get("at"),
    )

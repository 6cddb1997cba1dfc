"""The configuration as it is stored, read in one go: what changes are compared with and checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pydantic
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import catalogue
from gateway import route_soundness
from mappings import engine, library
from mappings import errors as mapping_errors
from retry_queue import alert, reconcile
from retry_queue.ledger import configuration, connections
from retry_queue.sync import route

TEMPLATES = "templates"
ENTITIES = "entities"
RECONCILIATIONS = reconcile.SETTING
ALERTS = alert.SETTING


@dataclass(frozen=True, slots=True)
class Current:
    """Everything configured. ``mappings`` holds the published site versions only."""

    connections: Mapping[str, connections.Row]
    routes: Mapping[str, configuration.RouteRow]
    mappings: Mapping[tuple[str, str], configuration.MappingRow]
    templates: Mapping[str, dict[str, Any]]
    entities: Mapping[str, dict[str, Any]]
    reconciliations: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    declarations: Mapping[str, str] = field(default_factory=dict)
    alerts: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def connectors(self) -> catalogue.Catalogue:
        """The connectors of this site."""
        return catalogue.Catalogue(self.declarations)

    def reach(self, drafted: Mapping[str, str], *, prune: bool) -> catalogue.Catalogue:
        """The connectors there will be once these declarations are applied."""
        return (catalogue.SHIPPED if prune else self.connectors).with_own(drafted)

    def world(self) -> route_soundness.World:
        """What routes may refer to."""
        return route_soundness.World(
            {key: (row.connector, row.config) for key, row in self.connections.items()},
            {place: made for place, row in self.mappings.items() if (made := compiled(row.body, place)) is not None},
            frozenset(self.templates),
            self.connectors,
            self.sandboxed,
        )

    @property
    def sandboxed(self) -> frozenset[str]:
        """Connections that a simulator stands in for."""
        return frozenset(key for key, row in self.connections.items() if row.real is not None)

    def parsed_routes(self) -> list[route.Route]:
        """The routes that still have the right shape."""
        found = []
        for key, row in self.routes.items():
            try:
                found.append(route.Route.model_validate({**row.spec, "key": key, "enabled": row.enabled}))
            except pydantic.ValidationError:
                continue
        return found

    def rules(self) -> dict[str, route.EntityRule]:
        """The rules per entity."""
        return {name: route.EntityRule.model_validate(rule) for name, rule in self.entities.items()}


def route_spec(given: route.Route) -> dict[str, Any]:
    """A route as the ledger keeps it; key and enabled have columns of their own."""
    return given.model_dump(mode="json", by_alias=True, exclude={"key", "enabled"}, exclude_defaults=True)


def compiled(text: str, place: tuple[str, str]) -> engine.Mapping | None:
    """A site mapping; None when it does not compile (any more)."""
    try:
        return library.parse(text, "/".join(place))
    except mapping_errors.MappingError:
        return None


async def load(connection: AsyncConnection) -> Current:
    """Reads it all in the transaction at hand."""
    rows = await connections.all_rows(connection)
    routes = await configuration.routes(connection)
    mappings = await configuration.mappings(connection)
    templates = await configuration.setting(connection, TEMPLATES) or []
    entities = await configuration.setting(connection, ENTITIES) or {}
    turns = await configuration.setting(connection, RECONCILIATIONS) or []
    alerts = await configuration.setting(connection, ALERTS) or []
    return Current(
        {row.key: row for row in rows},
        {row.key: row for row in routes},
        {(row.connector, row.name): row for row in mappings},
        {one["key"]: one for one in templates},
        entities,
        {one["key"]: one for one in turns},
        await configuration.declarations(connection),
        {one["key"]: one for one in alerts},
    )


def named(spec: dict[str, Any]) -> set[str]:
    """Every connection that a stored route names: its source, its targets and those of later steps, what cancels it."""
    source = spec.get("from") or spec.get("source") or {}
    steps = [spec, *spec.get("then", [])]
    ends = [one for step in steps for one in step.get("to", [])]
    return {one.get("connection") or "" for one in (source, *ends, *spec.get("unless", []))}

"""What a whole configuration must say to keep systems equal: whose word counts, and no change going round.

A route by itself can be sound and still make trouble together with others. ``shuniu check`` refuses both
findings; applying a file only warns of them, since without a rule the newest value holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.core import declaration, registry
from gateway import current, hub_file, route_soundness
from gateway.problems import Fault
from retry_queue.sync import flows, meaning
from retry_queue.sync import route as routes

SHOWN = 8
"""Fields named in one finding; the rest is counted."""


def faults(
    every: Iterable[routes.Route], rules: Mapping[str, routes.EntityRule], world: route_soundness.World
) -> list[Fault]:
    """Entities whose fields are written from several sides without a rule, and rings of routes."""
    known = {one.key: one for one in every if one.enabled}

    def operation(connection: str, name: str) -> declaration.Operation | None:
        there = world.connections.get(connection)
        try:
            return world.connectors.get(there[0]).operations.get(name) if there else None
        except (registry.UnknownConnector, registry.DeclarationError):
            return None

    found = flows.edges(known.values(), operation)
    out = []
    for entity in sorted({one.source[1] for one in found}):
        open_ = _unruled(entity, found, known, rules.get(entity, routes.EntityRule()), world, operation)
        if open_:
            out.append(_ownerless(entity, *open_))
    return out + [_ring(way) for way in flows.rings(found)]


def doubts(draft: hub_file.Draft, now: current.Current, *, prune: bool = False) -> list[hub_file.Problem]:
    """What the whole configuration leaves unsaid once the file is applied; meant for a file without problems."""
    stored = current.Current({}, {}, {}, {}, {}) if prune else now
    known = {key: (row.connector, row.config) for key, row in stored.connections.items()}
    known |= {key: (one.connector, one.config) for key, one in draft.connections.items()}
    own = dict(stored.world().mappings)
    own |= {place: made for place, text in draft.mappings.items() if (made := current.compiled(text, place))}
    every = {one.key: one for one in stored.parsed_routes()} | draft.routes
    rules = stored.rules() | draft.entities
    for fault in faults(
        every.values(), rules, route_soundness.World(known, own, connectors=now.reach(draft.declarations, prune=prune))
    ):
        section, key = (str(step) for step in fault.path)
        draft.say(replace(fault, path=()), *draft.place(section, key))
    return sorted(dict.fromkeys(draft.problems), key=lambda one: one.line)


def _unruled(
    entity: str,
    found: list[flows.Edge],
    known: Mapping[str, routes.Route],
    rule: routes.EntityRule,
    world: route_soundness.World,
    operation: flows.Lookup,
) -> tuple[list[str], list[str]] | None:
    """(fields, connections) that have no rule; None when all is said."""
    sides: dict[str, set[str]] = {}
    both = flows.members(found, entity)
    for one in found:
        if not one.keeps or one.target[1] != entity or one.target[0] not in both:
            continue
        target = known[one.route].targets[one.position].target
        spec = operation(target.connection, target.operation)
        assert spec is not None, "an edge has its operation"
        made = world.mapping(world.connections[target.connection][0], flows.mapping_name(target, spec, entity))
        if made is not None:
            for path in meaning.of(made, made.file).shared:
                sides.setdefault(path, set()).add(one.target[0])
    open_ = sorted(path for path, there in sides.items() if len(there) > 1 and not rule.says(path))
    return (open_, sorted(both)) if open_ else None


def _ownerless(entity: str, fields: list[str], sides: list[str]) -> Fault:
    shown = "、".join(fields[:SHOWN]) + (f" 等 {len(fields)} 个字段" if len(fields) > SHOWN else "")
    named = ", ".join(fields[:SHOWN]) + (f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else "")
    line = f"entities: {{{entity}: {{conflicts: newest}}}}"
    owner = f"entities: {{{entity}: {{owners: {{{fields[0]}: {sides[0]}}}}}}}"
    return Fault(
        "no_owner",
        f"{'、'.join(sides)} 都会修改 {entity} 的 {shown}，但没有写明以谁为准；"
        f"请加一行：{line}，或逐个字段指定归属：{owner}",
        f"{', '.join(sides)} all change {named} of '{entity}', and nothing says whose value holds; "
        f"add the line  {line}  or give single fields an owner:  {owner}",
        ("entities", entity),
    )


def _ring(way: list[flows.Edge]) -> Fault:
    places = [f"{one.source[0]}/{one.source[1]}" for one in way]
    shown = " → ".join([*places, places[0]])
    keys = ", ".join(dict.fromkeys(one.route for one in way))
    return Fault(
        "ring",
        f"路由形成环：{shown}（路由 {keys}）；同一变更会绕回起点。请停用其中一条，或改为两两互相同步",
        f"the routes go round: {shown} (routes {keys}); a change would come back to where it began. "
        "Disable one of them, or let each pair keep each other up to date",
        ("routes", way[0].route),
    )

"""Flows between systems, read from the routes: what travels both ways, and where it goes round. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from connectors.core import declaration
from retry_queue.sync import route as routes

Place = tuple[str, str]
"""(connection key, entity)."""
Lookup = Callable[[str, str], declaration.Operation | None]
"""(connection key, operation) -> the operation, where there is one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One target of a route: records or messages of ``source`` become what ``target`` names."""

    source: Place
    target: Place
    route: str
    position: int
    keeps: bool
    """Keeps a record of the same entity up to date (a state delivery)."""
    writes: bool = True
    """Writes records there, of whatever entity."""


def mapping_name(target: routes.Target, operation: declaration.Operation, carried: str) -> str:
    """The mapping that a target is written with; ``carried``: the entity of what goes there."""
    return target.mapping or operation.mapping or operation.entity or carried


def edges(every: Iterable[routes.Route], operation: Lookup) -> list[Edge]:
    """All edges of the enabled routes."""
    found = []
    for one in every:
        if not one.enabled:
            continue
        for place, placed in enumerate(one.targets):
            target = placed.target
            known = operation(target.connection, target.operation)
            if known is None:
                continue
            carried = "message" if target.template else one.source.entity
            entity = known.entity or carried
            writes = known.kind == "write" and not target.template
            keeps = writes and entity == one.source.entity
            source = (one.source.connection, one.source.entity)
            found.append(Edge(source, (target.connection, entity), one.key, place, keeps, writes))
    return found


def members(found: Iterable[Edge], entity: str) -> set[str]:
    """Connections that both give and take an entity; two or more of them change the same things."""
    keeping = [one for one in found if one.keeps and one.source[1] == entity and one.source[0] != one.target[0]]
    both = {one.source[0] for one in keeping} & {one.target[0] for one in keeping}
    return both if len(both) > 1 else set()


def rings(found: Iterable[Edge]) -> list[list[Edge]]:
    """Ways along which a change would come round to where it began, each once, by its edges.

    Two systems that keep each other's records up to date are no ring: their echoes are known. A longer way is
    one unless each of its steps also has its way back; and so is any way on which something is done rather than
    kept up to date, since what was done is no echo.
    """
    every = [one for one in found if one.source != one.target or not one.keeps]
    after: dict[Place, list[Edge]] = defaultdict(list)
    for one in every:
        after[one.source].append(one)
    keeping = {(one.source, one.target) for one in every if one.keeps}
    shown: dict[frozenset[Place], list[Edge]] = {}
    for one in every:
        if one.keeps and (one.target, one.source) in keeping:
            continue  # has its own way back; only its company can make a ring of it
        back = _way(after, one.target, one.source)
        if back is not None:
            shown.setdefault(frozenset(step.source for step in (one, *back)), [one, *back])
    return list(shown.values())


def _way(after: Mapping[Place, list[Edge]], start: Place, end: Place) -> list[Edge] | None:
    """A shortest way from one place to another; None when there is none."""
    if start == end:
        return []
    came: dict[Place, Edge] = {}
    queue = deque([start])
    while queue:
        for one in after.get(queue.popleft(), ()):
            if one.target in came or one.target == start:
                continue
            came[one.target] = one
            if one.target == end:
                way = [one]
                while way[0].source != start:
                    way.insert(0, came[way[0].source])
                return way
            queue.append(one.target)
    return None

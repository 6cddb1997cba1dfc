"""Watches: a route's timing, compiled: when a delivery is due, and which later events make it pointless. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mappings import errors as mapping_errors
from mappings import expression
from retry_queue.sync import calendar
from retry_queue.sync import route as routes

Holds = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Watch:
    """One ``unless`` of one route."""

    route_key: str
    connection: str | None
    entity: str
    holds: Holds | None

    def fits(self, connection_key: str, entity: str, canonical: Mapping[str, Any]) -> bool:
        """Whether this record is the event that makes the route's waiting deliveries pointless."""
        if entity != self.entity or self.connection not in (None, connection_key):
            return False
        if self.holds is None:
            return True
        try:
            return self.holds({entity: canonical, "event": {"connection": connection_key, "entity": entity}})
        except mapping_errors.ExpressionError:
            return False  # a condition that cannot be told does not hold; the event itself goes its way


class Watches:
    """All of a site's, by entity and by route."""

    def __init__(self, given: Iterable[routes.Route]) -> None:
        self._entities: dict[str, tuple[Watch, ...]] = {}
        self._routes: dict[str, tuple[Watch, ...]] = {}
        for route in given:
            for one in route.unless:
                holds = expression.condition(one.when) if one.when else None
                watch = Watch(route.key, one.connection, one.entity, holds)
                self._entities[one.entity] = (*self._entities.get(one.entity, ()), watch)
                self._routes[route.key] = (*self._routes.get(route.key, ()), watch)

    def fitting(self, connection_key: str, entity: str, canonical: Mapping[str, Any]) -> set[str]:
        """Routes whose waiting deliveries a record makes pointless, if they are about the same."""
        return {one.route_key for one in self._entities.get(entity, ()) if one.fits(connection_key, entity, canonical)}

    def about(self, entity: str) -> bool:
        """Whether records of this entity may make waiting deliveries pointless."""
        return entity in self._entities

    def of(self, route_key: str) -> tuple[Watch, ...]:
        return self._routes.get(route_key, ())


def quotas(target: routes.Target, template: routes.Template | None) -> list[calendar.Quota]:
    """What bounds a delivery: the target's own quotas and its template's."""
    return [*target.quota, *(template.quota if template is not None else ())]


def placed(route: routes.Route | None, position: int) -> routes.Placed | None:
    """The target at a delivery's position; None when the route has none there (any more)."""
    return route.targets[position] if route is not None and position < len(route.targets) else None


def timed(route: routes.Route, one: routes.Placed, template: routes.Template | None) -> bool:
    """Whether deliveries to this target have a timer."""
    return bool(one.after or route.unless or route.hours is not None or quotas(one.target, template))


def delay(route: routes.Route, after: float, now: float) -> float:
    """Seconds from now until a delivery of the route is due: ``after`` a while, and then the next opening."""
    return calendar.opening(now + after, route.hours) - now if route.hours is not None else after

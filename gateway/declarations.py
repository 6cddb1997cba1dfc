"""Connectors that a site declares itself: what is wrong with one, and what a change of one would break. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import pydantic

from connectors.core import catalogue, declaration, registry
from connectors.core.own import source
from gateway import current, route_soundness, soundness
from gateway.problems import Fault
from retry_queue.sync import route as routes


def read(text: str) -> tuple[declaration.Declaration | None, list[Fault]]:
    """A site's declaration, or everything that is wrong with it."""
    try:
        made = source.compiled(text)
    except source.Broken as error:
        if error.shape is not None:
            return None, [_aimed(one, error.shape) for one in soundness.shape(error.shape, error.model)]
        return None, [Fault("declaration", one.zh, one.en, one.path) for one in error.wrong]
    if made.id in registry.all_ids() or made.id in registry.ROOMS:
        zh, en = f"{made.id} 是内置连接器，请换一个 id", f"'{made.id}' is a connector of the product; choose another id"
        return None, [Fault("taken", zh, en, ("id",))]
    return made, []


def _aimed(fault: Fault, error: pydantic.ValidationError) -> Fault:
    """Words of a validator of ours say where it is; the path alone would not reach a person."""
    if not fault.path:
        said = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        return Fault(fault.code, f"声明不完整：{said}", said, ())
    place = ".".join(str(step) for step in fault.path)
    return Fault(fault.code, f"{place}：{fault.zh}", f"{place}: {fault.en}", fault.path)


def doubts(now: current.Current) -> Iterator[Fault]:
    """Stored declarations that cannot be used (any more), or that hide a connector which came with an upgrade."""
    for key, text in now.declarations.items():
        for fault in read(text)[1]:
            yield Fault(fault.code, fault.zh, fault.en, (key, *fault.path))


def users(now: current.Current, key: str) -> list[str]:
    """The connections made with a declaration."""
    return sorted(name for name, row in now.connections.items() if row.connector == key)


def breaks(now: current.Current, key: str, text: str) -> list[Fault]:
    """Routes that work now and would not after the change."""
    world = now.world()
    after = route_soundness.World(
        world.connections, world.mappings, world.templates, catalogue.Catalogue({**now.declarations, key: text})
    )
    touched = set(users(now, key))
    found = []
    for one in now.parsed_routes():
        if touched & _ends(one) and route_soundness.route(one, after) and not route_soundness.route(one, world):
            first = route_soundness.route(one, after)[0]
            zh, en = f"现有路由 {one.key} 将不可用：{first.zh}", f"the route '{one.key}' would break: {first.en}"
            found.append(Fault("breaks_route", zh, en))
    return found


def _ends(one: routes.Route) -> set[str]:
    return {one.source.connection, *(placed.target.connection for placed in one.targets)}

"""What makes a comparison sound: both sides can be read, and every field and condition exists. Pure.

The API, hub.yaml and ``check`` share it. Faults carry the path to what is wrong, in zh and en.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.core import model, registry
from gateway import route_soundness, soundness
from gateway.problems import Fault
from mappings import canonical, expression
from retry_queue.sync import schedule, sides


def faults(given: schedule.Comparison, world: route_soundness.World) -> list[Fault]:
    """Everything wrong with a comparison beyond its shape."""
    if given.entity not in canonical.MODELS:
        what = ("业务对象", "entity")
        return [soundness.unknown("unknown_entity", what, given.entity, canonical.MODELS, "entity")]
    found = [*_side("left", given.left, given.entity, world), *_side("right", given.right, given.entity, world)]
    if given.left.connection == given.right.connection:
        zh, en = "两侧是同一个连接", "both sides are the same connection"
        found.append(Fault("same_sides", zh, en, ("right",)))
    found += _fields(given)
    for name in ("when", "when_right"):
        found += _condition(getattr(given, name), given.entity, name)
    return found


def _side(name: str, given: schedule.Side, entity: str, world: route_soundness.World) -> Iterator[Fault]:
    there = world.connections.get(given.connection)
    if there is None:
        what = ("连接", "connection")
        yield soundness.unknown("unknown_connection", what, given.connection, world.connections, name)
        return
    connector, config = there
    try:
        spec = world.connectors.get(connector)
    except (registry.UnknownConnector, registry.DeclarationError):
        return  # said where the connection is
    for member, operation in (("list", given.list), ("get", given.get)):
        if operation is not None and operation not in spec.operations:
            known = [key for key, one in spec.operations.items() if one.kind == member]
            yield soundness.unknown("unknown_operation", ("接口操作", "operation"), operation, known, name, member)
    opened = model.Connection(given.connection, spec, config, {})
    listing = given.list or sides.list_operation(spec, entity, opened, given.input)
    if listing is None:
        wanting = {one: sides.wanted(spec, one) for one, each in spec.operations.items()
                   if each.kind == "list" and each.entity == entity}  # fmt: skip
        zh = "；".join(f"{one} 需要 input：{'、'.join(names)}" for one, names in wanting.items())
        en = "; ".join(f"{one} needs input: {', '.join(names)}" for one, names in wanting.items())
        yield Fault(
            "no_list",
            f"连接器 {connector} 没有可直接列出 {entity} 的接口操作，无法对账{f'（{zh}）' if zh else ''}",
            f"{connector} has no operation that lists {entity} without input; it cannot be compared"
            + (f" ({en})" if en else ""),
            (name,),
        )
    elif listing in spec.operations:
        known = sides.wanted(spec, listing)
        for at, one in enumerate(given.input):
            for stranger in sorted(set(one) - set(known)):
                yield soundness.unknown("unknown_input", ("参数", "input"), stranger, known, name, "input", at)
    made = world.mapping(connector, entity)
    if given.list is None and (made is None or not made.reads):
        yield Fault(
            "no_mapping",
            f"没有能读取 {entity} 的字段映射 {connector}/{entity}",
            f"there is no mapping {connector}/{entity} that reads",
            (name,),
        )


def _fields(given: schedule.Comparison) -> Iterator[Fault]:
    known = canonical.MODELS[given.entity].model_fields
    places = [("fields", at, path) for at, path in enumerate(given.fields)]
    places += [("ignore", at, path) for at, path in enumerate(given.ignore)]
    for section, at, path in places:
        if path.partition(".")[0] not in known:
            yield soundness.unknown("unknown_field", ("字段", "field"), path, known, section, at)
    for path in given.tolerance:
        if path.partition(".")[0] not in known:
            yield soundness.unknown("unknown_field", ("字段", "field"), path, known, "tolerance", path)


def _condition(text: str | None, entity: str, name: str) -> Iterator[Fault]:
    if text is None:
        return
    wrong = expression.problems(text)
    for one in wrong:
        yield Fault("condition", one.zh, one.en, (name,))
    if not wrong:
        for stranger in sorted({path.split(".")[0] for path in expression.names(text)} - {entity}):
            yield soundness.unknown("condition_name", ("可用的名称", "name"), stranger, {entity}, name)

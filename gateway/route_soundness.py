"""What makes a route sound: the systems, entities, operations, mappings and templates it names. Pure.

Each function returns faults with the path to what is wrong and how to mend it, in zh and en; none means fine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.core import catalogue, model, registry, scope, template
from gateway.problems import Fault
from gateway.soundness import nearest, unknown
from mappings import canonical, engine, expression, library
from mappings import errors as mapping_errors
from retry_queue.sync import flows
from retry_queue.sync import route as routes

SENDS = frozenset({"write", "act", "call"})


@dataclass(frozen=True, slots=True)
class World:
    """What routes may refer to. ``connections``: key -> (connector, config); ``mappings``: the site's own.

    ``sandboxed``: connections that a simulator stands in for.
    """

    connections: Mapping[str, tuple[str, Mapping[str, Any]]]
    mappings: Mapping[tuple[str, str], engine.Mapping] = field(default_factory=dict)
    templates: frozenset[str] = frozenset()
    connectors: catalogue.Catalogue = catalogue.SHIPPED
    sandboxed: frozenset[str] = frozenset()

    def mapping(self, connector: str, name: str) -> engine.Mapping | None:
        """The mapping in force; None when there is none that works."""
        own = self.mappings.get((connector, name))
        if own is not None:
            return own
        if (connector, name) not in library.names():
            return None
        try:
            return library.shipped(connector, name)
        except mapping_errors.MappingError:
            return None


def emitted(connector: str, config: Mapping[str, Any], connectors: catalogue.Catalogue) -> set[str] | None:
    """The entities a connection's events can carry; None when that cannot be said."""
    try:
        spec = connectors.get(connector)
    except (registry.UnknownConnector, registry.DeclarationError):
        return None
    opened = model.Connection("-", spec, config, {})
    found = set()
    for message in spec.messages.values():
        if message.entity is None:
            continue
        named = template.render(message.entity, scope.of(opened)) if "${" in message.entity else message.entity
        if named is None:
            return None
        found.add(str(named))
    return found


def route(given: routes.Route, world: World) -> list[Fault]:
    """What is wrong with a route beyond its shape."""
    found: list[Fault] = []
    entity = given.source.entity
    source = world.connections.get(given.source.connection)
    if source is None:
        found.append(_no_connection(given.source.connection, world, "from", "connection"))
    if entity not in canonical.MODELS:
        what = ("业务对象", "entity")
        found.append(unknown("unknown_entity", what, entity, canonical.MODELS, "from", "entity"))
    elif source is not None:
        known = emitted(*source, world.connectors)
        if known is not None and entity not in known:
            zh, en = nearest(entity, known)
            found.append(
                Fault(
                    "never_emitted",
                    f"连接 {given.source.connection} 不产生 {entity}；{zh}",
                    f"connection '{given.source.connection}' has no events of '{entity}'; {en}",
                    ("from", "entity"),
                )
            )
    found += _condition(given.when, entity)
    found += [one.under("unless", place) for place, part in enumerate(given.unless) for one in _unless(part, world)]
    for path, target in spots(given):
        found += [one.under(*path) for one in _target(target, entity, world)]
    seen: set[tuple[str, str, str | None]] = set()
    for path, target in spots(given):
        same = (target.connection, target.operation, target.template)
        if same in seen:
            found.append(Fault("twice", "与上面的目标重复", "the same target as above", path))
        seen.add(same)
    return found + _mixed(given, world)


def _mixed(given: routes.Route, world: World) -> list[Fault]:
    """Invented orders must not reach a real ERP, nor real ones a simulator."""
    named = {given.source.connection, *(target.connection for _, target in spots(given))}
    invented = sorted(named & world.sandboxed)
    if not given.enabled or not invented or named <= world.sandboxed:
        return []
    real = sorted(named - world.sandboxed)
    zh = f"这条路由把模拟器（{'、'.join(invented)}）和真实系统（{'、'.join(real)}）连在一起：请先统一，再启用"
    en = f"this route joins simulators ({', '.join(invented)}) and real systems ({', '.join(real)}); make them alike"
    return [Fault("mixed", zh, en, ("enabled",))]


def spots(given: routes.Route) -> list[tuple[tuple[str | int, ...], routes.Target]]:
    """Every target of a route with the path to it."""
    found: list[tuple[tuple[str | int, ...], routes.Target]] = [
        (("to", place), target) for place, target in enumerate(given.to)
    ]
    for number, step in enumerate(given.then):
        found += [(("then", number, "to", place), target) for place, target in enumerate(step.to)]
    return found


def _no_connection(key: str, world: World, *path: str | int) -> Fault:
    return unknown("unknown_connection", ("连接", "connection"), key, world.connections, *path)


def _condition(when: str | None, entity: str) -> list[Fault]:
    if when is None:
        return []
    wrong = expression.problems(when)
    if wrong:
        return [Fault("condition", one.zh, one.en, ("when",)) for one in wrong]
    known = {entity, "event"}
    strangers = sorted({name.split(".")[0] for name in expression.names(when)} - known)
    return [unknown("condition_name", ("可用的名称", "name"), name, known, "when") for name in strangers]


def _unless(part: routes.Unless, world: World) -> list[Fault]:
    if part.entity not in canonical.MODELS:
        return [unknown("unknown_entity", ("业务对象", "entity"), part.entity, canonical.MODELS, "entity")]
    found: list[Fault] = []
    there = world.connections.get(part.connection) if part.connection is not None else None
    if there is not None:
        known = emitted(*there, world.connectors)
        if known is not None and part.entity not in known:
            zh, en = nearest(part.entity, known)
            words_ = f"连接 {part.connection} 不产生 {part.entity}；{zh}", f"no events of '{part.entity}' there; {en}"
            found.append(Fault("never_emitted", *words_, ("entity",)))
    elif part.connection is not None:
        found.append(_no_connection(part.connection, world, "connection"))
    return found + _condition(part.when, part.entity)


def _target(target: routes.Target, entity: str, world: World) -> list[Fault]:
    there = world.connections.get(target.connection)
    if there is None:
        return [_no_connection(target.connection, world, "connection")]
    connector = there[0]
    try:
        spec = world.connectors.get(connector)
    except (registry.UnknownConnector, registry.DeclarationError):
        return []  # said where the connection is
    opened = scope.settings(model.Connection(target.connection, spec, there[1], {}))
    sends = [name for name, one in spec.operations.items() if one.kind in SENDS and scope.applies(one.when, opened)]
    operation = spec.operations.get(target.operation)
    if operation is None or target.operation not in sends:
        what = ("可写的接口操作", "operation that writes")
        return [unknown("unknown_operation", what, target.operation, sends, "operation")]
    found = []
    if target.quota and operation.kind == "write":
        zh, en = (
            "写入记录的接口操作不能设 quota，它只用于消息等动作",
            "a quota is for messages and other acts, not for writes",
        )
        found.append(Fault("quota_of_write", zh, en, ("quota",)))
    found += _adjust(target, entity)
    carried = entity
    if target.template is not None:
        carried = "message"
        if target.template not in world.templates:
            what = ("消息模板", "template")
            found.append(unknown("unknown_template", what, target.template, world.templates, "template"))
    name = flows.mapping_name(target, operation, entity)
    made = world.mapping(connector, name)
    path = ("mapping",) if target.mapping else ("operation",)
    if made is None:
        zh = f"没有字段映射 {connector}/{name}（或它有错误）；请添加映射"
        found.append(Fault("no_mapping", zh, f"there is no mapping {connector}/{name} that works; add one", path))
    elif not made.writes:
        zh, en = f"字段映射 {connector}/{name} 没有写出方向的规则", f"the mapping {connector}/{name} does not write"
        found.append(Fault("no_mapping", zh, en, path))
    elif made.spec.entity != carried:
        zh = f"字段映射 {connector}/{name} 用于 {made.spec.entity}，而这里是 {carried}"
        en = f"the mapping {connector}/{name} is for {made.spec.entity}, but this is {carried}"
        if made.spec.entity == "message" and target.template is None:
            zh, en = f"{zh}；发消息请写 template", f"{en}; to send a message, name a template"
        found.append(Fault("wrong_mapping", zh, en, path))
    return found


def _adjust(target: routes.Target, entity: str) -> list[Fault]:
    """What is wrong with the values a target is told instead: each needs a field of the entity and an expression."""
    if entity not in canonical.MODELS:
        return []
    fields, found = canonical.MODELS[entity].model_fields, []
    known = {entity, "event", "config", "link"}
    for name, text in target.adjust.items():
        place = ("adjust", name)
        if name not in fields or name == "id":
            options = fields.keys() - {"id"}
            found.append(unknown("unknown_field", ("字段", "field"), name, options, *place))
        wrong = expression.problems(text)
        found += [Fault("condition", one.zh, one.en, place) for one in wrong]
        strangers = set() if wrong else {one.split(".")[0].lstrip("@") for one in expression.names(text)} - known
        found += [unknown("condition_name", ("可用的名称", "name"), one, known, *place) for one in sorted(strangers)]
    return found


def doubtful(given: routes.Route, states: Mapping[str, str]) -> list[Fault]:
    """What is no error, but should be looked at: connections that are not enabled."""
    found = []
    keys = [(given.source.connection, ("from", "connection"))]
    keys += [(one.connection, (*path, "connection")) for path, one in spots(given)]  # type: ignore[misc]
    for key, path in keys:
        state = states.get(key)
        if state is not None and state != "enabled":
            zh, en = f"连接 {key} 当前状态为 {state}", f"the connection '{key}' is {state}"
            found.append(Fault("not_enabled", zh, en, path))
    return found

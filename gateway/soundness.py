"""What makes a configured thing sound: connections, routes, templates. Pure; the API, hub.yaml and ``check`` share it.

Each function returns faults with the path to what is wrong and how to mend it, in zh and en; none means fine.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import pydantic

from connectors.core import catalogue, declaration, errors, model, registry, scope, template, verify
from gateway.problems import Fault, words
from mappings import canonical, engine, expression, library
from mappings import errors as mapping_errors
from retry_queue.sync import flows
from retry_queue.sync import route as routes

ModelT = TypeVar("ModelT", bound=pydantic.BaseModel)
SENDS = frozenset({"write", "act", "call"})


def nearest(name: str, known: Iterable[str]) -> tuple[str, str]:
    """A suggestion for a misspelt name in (zh, en); without one, what there is."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, 1, 0.6)
    if close:
        return f"是否想写 {close[0]}？", f"did you mean {close[0]}?"
    shown = ", ".join(options[:30]) or "-"
    return f"可用：{shown}", f"there are: {shown}"


def unknown(code: str, what: tuple[str, str], name: str, known: Iterable[str], *path: str | int) -> Fault:
    """The fault of naming something that is not there."""
    zh, en = nearest(name, known)
    return Fault(code, f"没有{what[0]} {name}；{zh}", f"no {what[1]} '{name}'; {en}", path)


def shape(error: pydantic.ValidationError, model_type: type[pydantic.BaseModel]) -> list[Fault]:
    """A pydantic error of one of our own models as faults, unknown keys with the nearest known one."""
    found = []
    for detail in error.errors(include_url=False, include_input=False):
        path = tuple(step for step in detail["loc"] if not (isinstance(step, str) and "[" in step))
        if detail["type"] == "extra_forbidden" and path:
            known = _members(model_type, path[:-1])
            found.append(unknown("unknown_key", ("这个键", "key"), str(path[-1]), known, *path))
            continue
        zh, en = words(detail)
        if detail["type"] == "missing" and path:
            zh, en = f"缺少 {path[-1]}", f"'{path[-1]}' is missing"
        found.append(Fault(detail["type"], zh, en, path))
    return found


def _members(model_type: type[pydantic.BaseModel], path: tuple[str | int, ...]) -> list[str]:
    here: Any = model_type
    for step in path:
        if isinstance(step, int):
            continue
        fields = {one.alias or name: one for name, one in here.model_fields.items()}
        inner = fields.get(step)
        found = None if inner is None else _model_of(inner.annotation)
        if found is None:
            return []
        here = found
    return [one.alias or name for name, one in here.model_fields.items()]


def _model_of(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if found is not None:
            return found
    return None


# --- connections --------------------------------------------------------------------------------


def declared(connector: str, connectors: catalogue.Catalogue = catalogue.SHIPPED) -> declaration.Declaration | Fault:
    """A connector's declaration, or the fault of naming one that is not there."""
    try:
        return connectors.get(connector)
    except registry.UnknownConnector:
        return unknown("unknown_connector", ("连接器", "connector"), connector, connectors.ids(), "connector")
    except registry.DeclarationError as error:
        return Fault(
            "broken_connector", f"连接器声明有误：{error}", f"the declaration is broken: {error}", ("connector",)
        )


def settled(spec: declaration.Declaration, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as it is stored: numbers written where text is meant become text, empty ones go."""
    fields = {one.key: one for one in spec.fields}
    out: dict[str, Any] = {}
    for key, value in config.items():
        if value is None or value == "":
            continue
        one = fields.get(key)
        if one is not None and one.type in _TEXTS and isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = str(value)
        elif isinstance(value, Decimal):
            value = float(value)
        out[key] = value
    return out


_TEXTS = frozenset(
    {declaration.FieldType.STRING, declaration.FieldType.TEXT, declaration.FieldType.URL, declaration.FieldType.CHOICE}
)


def values(spec: declaration.Declaration, config: Mapping[str, Any], secrets: Mapping[str, str]) -> list[Fault]:
    """What is wrong with the values given; nothing about what is missing."""
    plain = {one.key: one for one in spec.fields if not one.secret}
    hidden = {one.key: one for one in spec.fields if one.secret}
    found: list[Fault] = []
    for key, value in config.items():
        if key in plain:
            found += _value(plain[key], value, ("config", key))
        elif key in hidden:
            zh, en = f"{key} 是密钥，请写在 secrets 里", f"'{key}' is a secret: write it under secrets"
            found.append(Fault("secret_in_config", zh, en, ("config", key)))
        else:
            found.append(unknown("unknown_field", ("设置项", "setting"), key, plain, "config", key))
    for key, secret in secrets.items():
        if key in hidden:
            found += _value(hidden[key], secret, ("secrets", key)) if secret else []
        elif key in plain:
            zh, en = f"{key} 不是密钥，请写在 config 里", f"'{key}' is no secret: write it under config"
            found.append(Fault("config_in_secrets", zh, en, ("secrets", key)))
        else:
            found.append(unknown("unknown_field", ("密钥项", "secret"), key, hidden, "secrets", key))
    return found


def _value(one: declaration.FieldSpec, value: Any, path: tuple[str, ...]) -> list[Fault]:
    kind = declaration.FieldType
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    label_zh, label_en = one.label.zh, one.label.en

    def fault(code: str, zh: str, en: str) -> list[Fault]:
        return [Fault(code, f"{label_zh}：{zh}", f"{label_en}: {en}", path)]

    if one.type is kind.JSON:
        return []
    if one.type is kind.BOOLEAN:
        return [] if isinstance(value, bool) else fault("type", "应为 true 或 false", "must be true or false")
    if one.type is kind.INTEGER:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return [] if whole else fault("type", "应为整数", "must be a whole number")
    if one.type is kind.NUMBER:
        return [] if number else fault("type", "应为数字", "must be a number")
    if not isinstance(value, str):
        return fault("type", "应为文本", "must be text")
    if one.type is kind.CHOICE:
        options = [choice.value for choice in one.choices]
        if value not in options:
            shown = ", ".join(options)
            return fault("choice", f"应为 {shown} 之一", f"must be one of {shown}")
    if one.type is kind.URL and not re.match(r"[a-z][a-z0-9+.-]*://[^\s/]", value):
        return fault("url", "应为完整的网址，如 https://host/path", "must be a whole address such as https://host/path")
    if one.pattern and not re.search(one.pattern, value):
        return fault("pattern", f"格式不正确（应符合 {one.pattern}）", f"not in the right format ({one.pattern})")
    return []


def gaps(spec: declaration.Declaration, key: str, config: Mapping[str, Any], secrets: Mapping[str, str]) -> list[Fault]:
    """What is missing before the connection may be enabled: required fields, and the secret of every open door."""
    opened = model.Connection(key, spec, config, secrets)
    full = scope.settings(opened)
    found = []
    for one in spec.fields:
        if not one.required or not scope.applies(one.when, full):
            continue
        value = secrets.get(one.key) if one.secret else full.get(one.key)
        if value is None or value == "":
            place = "secrets" if one.secret else "config"
            zh, en = f"必填：{one.label.zh}", f"required: {one.label.en}"
            found.append(Fault("missing", zh, en, (place, one.key)))
    if not found:
        found += _doors(opened)
    return found


def _doors(opened: model.Connection) -> list[Fault]:
    """Fail closed: an open hook door whose verification has nothing to verify with."""
    found = []
    for name, source in scope.open_sources(opened).items():
        if source.door != "hook" or source.verify is None:
            continue
        try:
            verify.verify(model.RawHook("POST", {}, {}, b""), opened, source.verify, time.time())
        except errors.HookRefused as error:
            if error.reason != "misconfigured":
                continue
            single = {name: value for name, value in source.verify.options.items() if not isinstance(value, list)}
            needed = [path.removeprefix("secret.") for path in template.names(single)]
            labels = [one for one in opened.declaration.fields if one.key in needed and one.secret]
            zh = "、".join(one.label.zh for one in labels if not opened.secrets.get(one.key)) or error.detail
            en = ", ".join(one.label.en for one in labels if not opened.secrets.get(one.key)) or error.detail
            first = next((one.key for one in labels if not opened.secrets.get(one.key)), None)
            path = ("secrets", first) if first else ("secrets",)
            found.append(
                Fault(
                    "open_door",
                    f"推送入口「{source.label.zh}」没有验签密钥，不能打开；请填写：{zh}",
                    f"the door '{source.label.en}' has no secret to verify with; fill in: {en}",
                    path,
                )
            )
        except (template.TemplateError, ValueError, KeyError, TypeError) as error:
            said = f"{type(error).__name__}"
            zh, en = f"推送入口「{source.label.zh}」无法验签（{said}）", f"the door '{name}' cannot verify ({said})"
            found.append(Fault("open_door", zh, en, ("secrets",)))
    return found


# --- routes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """What routes may refer to. ``connections``: key -> (connector, config); ``mappings``: the site's own."""

    connections: Mapping[str, tuple[str, Mapping[str, Any]]]
    mappings: Mapping[tuple[str, str], engine.Mapping] = field(default_factory=dict)
    templates: frozenset[str] = frozenset()
    connectors: catalogue.Catalogue = catalogue.SHIPPED

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
    return found


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
    sends = [name for name, one in spec.operations.items() if one.kind in SENDS]
    operation = spec.operations.get(target.operation)
    if operation is None or operation.kind not in SENDS:
        what = ("可写的接口操作", "operation that writes")
        return [unknown("unknown_operation", what, target.operation, sends, "operation")]
    found = []
    if target.quota and operation.kind == "write":
        zh, en = (
            "写入记录的接口操作不能设 quota，它只用于消息等动作",
            "a quota is for messages and other acts, not for writes",
        )
        found.append(Fault("quota_of_write", zh, en, ("quota",)))
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

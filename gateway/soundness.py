"""What makes a configured thing sound: shapes and connections. Pure; the API, hub.yaml and ``check`` share it.

Each function returns faults with the path to what is wrong and how to mend it, in zh and en; none means fine.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import pydantic

from connectors.core import catalogue, declaration, errors, model, registry, scope, template, verify
from gateway.problems import Fault, words

ModelT = TypeVar("ModelT", bound=pydantic.BaseModel)
UNREAD = "?" * 43
"""In place of a secret of which it counts that it is there, not what it is."""


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

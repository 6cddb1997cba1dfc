"""One rule of a file becomes one step: a closure that reads, converts and writes a field.

Everything a path or option says is decided here, once; a step only reads and writes. A step is called
with the record read, the record written and the frame for expressions. It raises BadValue; the block
that runs it adds the place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mappings import codecs, errors, expression, frames, kinds, paths, spec

Step = Callable[[Any, dict[str, Any], frames.Frame], None]
Convert = Callable[[Any], Any]

MISSING_ZH = "缺少必填的值"
MISSING_EN = "a required value is missing"


WHOLE = "\0whole"
"""Key under which a rule with path ``.`` leaves an element itself; the block takes it out again."""

Source = Callable[[Any, frames.Frame], Any]


def codec_of(rule: spec.Rule, owner: kinds.Kind, tables: dict[str, spec.Table]) -> codecs.Codec:
    """The codec of a field rule inside a canonical owner. Raises UnknownField, FormatError, KeyError."""
    kind = kinds.at(owner, paths.parse(rule.canonical)) if rule.canonical is not None else kinds.ANYTHING
    return codecs.build(rule, kind, tables)


def reading(rule: spec.Rule, owner: kinds.Kind, tables: dict[str, spec.Table]) -> Step:
    """The step of a field rule from native to canonical."""
    target = paths.parse(rule.canonical or ".")
    coerce = codecs.coerce(kinds.at(owner, target))
    convert = coerce if rule.fixed and rule.codec is None else codec_of(rule, owner, tables).decode
    if rule.absent:
        absent = frozenset(codecs.flat(value) for value in rule.absent)
        convert = _present_text(absent) if convert is codecs.text else _present(convert, absent)
    return _field(rule, rule.native, target, convert, coerce, null=False)


def writing(rule: spec.Rule, owner: kinds.Kind, tables: dict[str, spec.Table]) -> Step:
    """The step of a field rule from canonical to native."""
    plain = rule.fixed and rule.codec is None
    convert = _typed(rule.native_type) if plain else codec_of(rule, owner, tables).encode
    # a null constant is written on purpose; any other null is a missing value
    null = rule.null_when_absent or ("value" in rule.model_fields_set and rule.value is None)
    return _field(rule, rule.canonical, paths.parse(rule.native or "."), convert, convert, null=null)


def _typed(native_type: str | None) -> Convert:
    """How a constant, context value or expression result is written natively, without a codec."""
    return {"string": codecs.text, "integer": codecs.whole}.get(native_type or "", codecs.native)


def put_at(target: tuple[paths.Segment, ...]) -> paths.Setter:
    """A setter that also knows ``.``: the element itself."""
    return paths.setter(target or (WHOLE,))


def source_of(rule: spec.Rule, path: str | None, *, revived: bool = False) -> Source:
    """Where a rule's value comes from: expression, constant, context or path."""
    if rule.expr is not None:
        evaluate = expression.compile(rule.expr)
        return lambda record, frame: evaluate(frame)
    if "value" in rule.model_fields_set:
        return constant(rule.value, revived=revived)
    get = paths.getter(paths.parse(path or "."))
    return lambda record, frame: get(record)


def constant(value: Any, *, revived: bool = False) -> Source:
    """A constant; ``@path`` anywhere inside reads the context, ``@@`` is a plain ``@``.

    ``revived`` brings amounts and times of context records back from their stored text.
    """
    if isinstance(value, str) and value.startswith("@@"):
        plain = value[1:]
        return lambda record, frame: plain
    if isinstance(value, str) and value.startswith("@"):
        segments = paths.parse(value[1:])
        get = paths.getter(segments)
        if revived and isinstance(segments[0], str):
            root, rest = "@" + segments[0], paths.getter(segments[1:])
            return lambda record, frame: rest(frame.get(root))
        return lambda record, frame: get(frame.context)
    if isinstance(value, dict):
        members = {str(key): constant(item) for key, item in value.items()}

        def build(record: Any, frame: frames.Frame) -> dict[str, Any] | None:
            made = {key: item(record, frame) for key, item in members.items()}
            return {key: item for key, item in made.items() if item is not None} or None

        return build
    if isinstance(value, list):
        items = [constant(item) for item in value]
        return lambda record, frame: [made for item in items if (made := item(record, frame)) is not None]
    return lambda record, frame: value


def _field(
    rule: spec.Rule,
    path: str | None,
    target: tuple[paths.Segment, ...],
    convert: Convert,
    defaulted: Convert,
    *,
    null: bool,
) -> Step:
    """The general step, or a leaner one where the rule says nothing out of the ordinary."""
    ordinary = not (rule.when or rule.when_absent or rule.required or null or rule.fixed)
    if ordinary and rule.default is None:
        return _lean(paths.parse(path or "."), target, convert)
    source = source_of(rule, path)
    put, current = put_at(target), paths.getter(target or (WHOLE,))
    condition = expression.condition(rule.when) if rule.when is not None else None
    default = constant(rule.default) if rule.default is not None else None
    when_absent, required = rule.when_absent, rule.required

    def step(record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
        if condition is not None and not condition(frame):
            return
        if when_absent and current(out) is not None:
            return
        value = source(record, frame)
        if value is not None:
            value = convert(value)
        if value is None and default is not None:
            value = default(record, frame)
            if value is not None:
                value = defaulted(value)
        if value is None:
            if required:
                raise errors.BadValue(MISSING_ZH, MISSING_EN)
            if not null:
                return
        put(out, value)

    return step


def _present(convert: Convert, absent: frozenset[str]) -> Convert:
    """``convert``, but nothing for the values that mean nothing."""

    def present(value: Any) -> Any:
        key = value if type(value) is str else None if isinstance(value, dict | list) else codecs.flat(value)
        return None if key in absent else convert(value)

    return present


def _present_text(absent: frozenset[str]) -> Convert:
    def present(value: Any) -> str | None:
        text = value if type(value) is str else codecs.text(value)
        return None if text in absent else text

    return present


def _lean(source: tuple[paths.Segment, ...], target: tuple[paths.Segment, ...], convert: Convert) -> Step:
    """Read, convert, write. The commonest shapes are spelled out: they are most of a mapping's time."""
    get, put = paths.getter(source), put_at(target)
    if len(source) == 1 and len(target) == 1 and isinstance(source[0], str) and isinstance(target[0], str):
        here, there = source[0], target[0]
        if convert is codecs.text:

            def copy(record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
                value = record.get(here)
                if value is not None:
                    out[there] = value if type(value) is str else codecs.text(value)

            return copy

        def flat(record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
            value = record.get(here)
            if value is not None:
                value = convert(value)
                if value is not None:
                    out[there] = value

        return flat

    def step(record: Any, out: dict[str, Any], frame: frames.Frame) -> None:
        value = get(record)
        if value is not None:
            value = convert(value)
            if value is not None:
                put(out, value)

    return step


__all__ = [
    "MISSING_EN", "MISSING_ZH", "WHOLE", "Source", "Step",
    "codec_of", "constant", "put_at", "reading", "source_of", "writing",
]  # fmt: skip

"""What may stand together in one rule. Contradictions are found before anything is compiled."""

from __future__ import annotations

from collections.abc import Iterator

from mappings import errors, expression, paths, places, spec
from mappings.yaml_text import Lines, Location

Words = tuple[str, str]
"""The same thing said in zh and en."""

_OPTIONS: dict[str, set[str]] = {
    "text": {"native_type", "trim"},
    "number": {"native_type", "places", "rounding"},
    "money": {"native_type", "places", "rounding", "unit"},
    "datetime": {"native_type", "format", "zone"},
    "enum": {"native_type", "table"},
    "boolean": {"yes", "no"},
    "split": {"by", "trim"},
    "join": {"by", "trim"},
    "address": {"style", "separator", "parts"},
    "json": set(),
}
_EVERY: set[str] = set().union(*_OPTIONS.values())
_PLAIN_OPTIONS = {"native_type", "trim"}  # what a rule without a codec may say
_NEEDS = {"money": "unit", "datetime": "format", "enum": "table", "split": "by", "join": "by"}
_WRITTEN = {"native_type": "as", "yes": "true", "no": "false"}  # as people write them in the file
_INNER = {"default", "null_when_absent", "absent", "when_absent"}


def problems(rule: spec.Rule) -> Iterator[Words]:
    """Every contradiction inside one rule."""
    yield from _sides(rule)
    yield from _nesting(rule)
    yield from _codec(rule)
    yield from _texts(rule)


def _sides(rule: spec.Rule) -> Iterator[Words]:
    both = rule.way is spec.Way.BOTH
    if rule.expr is not None and "value" in rule.model_fields_set:
        yield "value 与 expr 不能同时写", "value and expr exclude each other"
    if rule.fixed and both:
        yield (
            "value 或 expr 不能反向；请写 way: from 或 way: to",
            "a value or expr cannot be inverted: say way: from or to",
        )
    if rule.when is not None and both:
        yield "when 只看一侧；请写 way: from 或 way: to", "'when' looks at one side only: say way: from or way: to"
    if rule.reads and rule.canonical is None and rule.inside is None:
        yield "读取方向要写 canonical", "way: from writes to canonical, which is missing"
    elif rule.writes and rule.native is None:
        yield "写出方向要写 native", "way: to writes to native, which is missing"
    elif not rule.fixed and (rule.native is None or rule.canonical is None) and rule.inside is None:
        yield (
            "没有 value 或 expr 的规则要同时写 native 和 canonical",
            "without value or expr a rule needs native and canonical",
        )


def _nesting(rule: spec.Rule) -> Iterator[Words]:
    if rule.only is not None and (rule.each is None or rule.way is spec.Way.BOTH):
        yield "only 用于 each，并且要写 way: from 或 way: to", "'only' belongs to an each with way: from or way: to"
    if rule.each is None and rule.inside is None:
        return
    if rule.each is not None and rule.inside is not None:
        yield "each 与 inside 不能同时写", "each and inside exclude each other"
    if rule.inside is not None and rule.fixed:
        yield "inside 不能与 value 或 expr 同时写", "inside works on the record itself, not on a value or expr"
    if rule.codec not in (None, "json"):
        yield "each 和 inside 只能配 codec: json", "each and inside go with codec: json or none"
    if rule.model_fields_set & _INNER:
        names = "default, absent, when_absent, null_when_absent"
        yield f"{names} 请写在里面的规则上", f"{names} belong to the rules inside"


def _codec(rule: spec.Rule) -> Iterator[Words]:
    name = rule.codec or "(none)"
    known = _OPTIONS[rule.codec] if rule.codec else _PLAIN_OPTIONS
    for option in sorted(rule.model_fields_set & _EVERY - known):
        option = _WRITTEN.get(option, option)
        yield f"codec {name} 没有选项 '{option}'", f"option '{option}' does not go with codec {name}"
    need = _NEEDS.get(name)
    if need is not None and getattr(rule, need) is None:
        yield f"codec {name} 需要 '{need}'", f"codec {name} needs '{need}'"


def _texts(rule: spec.Rule) -> Iterator[Words]:
    for path in (rule.native, rule.canonical):
        if path is not None:
            try:
                paths.parse(path)
            except paths.PathError as error:
                yield f"路径无法读取：{error}", str(error)
    for text in (rule.expr, rule.when, rule.only):
        if text is not None:
            for problem in expression.problems(text):
                shown = errors.shown(text)
                yield f"表达式 {shown} 有误：{problem.zh}", f"expression {shown}: {problem.en}"


def examine(given: list[spec.Rule], location: Location, lines: Lines) -> Iterator[errors.Problem]:
    """Every contradiction of some rules and the rules inside them, with line and number."""
    for index, rule in enumerate(given):
        place = (*location, index)
        for zh, en in problems(rule):
            yield places.problem(place, lines, zh, en)
        yield from examine(rule.each or [], (*place, "each"), lines)
        yield from examine(rule.inside or [], (*place, "inside"), lines)


__all__ = ["examine", "problems"]

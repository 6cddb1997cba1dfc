"""Explaining: for every field of a mapped record, which rule made it, from what. Pure.

Reads the two sides of a translation that has happened; nothing is mapped again, so what is shown is what was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mappings import errors, paths, places, spec

DEEPEST = 8
MOST = 2000
"""Lines of one explanation at most; an order of a thousand lines is not read line by line."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One rule at work: ``source`` became ``result``. ``how`` says by what: a codec, a constant, an expression."""

    rule: str
    source_path: str
    source: Any
    target_path: str
    result: Any
    how: str
    both: bool
    """Whether the rule works the other way too."""


def traces(rules: Sequence[spec.Rule], way: Literal["from", "to"], source: Any, result: Any) -> list[Trace]:
    """Every rule of a direction with what it read and what it made, in the order of the file."""
    found: list[Trace] = []
    for one in _walk(rules, way, source, result, "", "", ("rules",), 0):
        found.append(one)
        if len(found) >= MOST:
            break
    return found


def _walk(
    rules: Sequence[spec.Rule],
    way: str,
    source: Any,
    result: Any,
    above_source: str,
    above_target: str,
    location: tuple[str | int, ...],
    depth: int,
) -> Iterator[Trace]:
    for index, rule in enumerate(rules):
        if not (rule.reads if way == "from" else rule.writes):
            continue
        here = (*location, index)
        read, made = (rule.native, rule.canonical) if way == "from" else (rule.canonical, rule.native)
        given, got = _at(source, read), _at(result, made)
        source_path, target_path = _joined(above_source, read), _joined(above_target, made)
        if rule.each is not None and depth < DEEPEST:
            items = got if isinstance(got, list) else []
            inputs = given if isinstance(given, list) else []
            for place, item in enumerate(items):
                value = inputs[place] if len(inputs) == len(items) else None
                yield from _walk(
                    rule.each, way, value, item, f"{source_path}[{place}]", f"{target_path}[{place}]",
                    (*here, "each"), depth + 1,
                )  # fmt: skip
        elif rule.inside is not None and depth < DEEPEST:
            yield from _walk(rule.inside, way, given, got, source_path, target_path, (*here, "inside"), depth + 1)
        elif got is not None:
            number = places.rule_number(here)
            yield Trace(number, source_path, given, target_path, got, how(rule), rule.way is spec.Way.BOTH)


def how(rule: spec.Rule) -> str:
    """What a rule does to a value, in the words of the file."""
    if rule.expr is not None:
        return f"expr: {rule.expr}"
    if rule.value is not None:
        return f"value: {rule.value}"
    parts: list[str] = [rule.codec or "as it is"]
    for name in ("unit", "format", "zone", "table", "by", "style"):
        given = getattr(rule, name, None)
        if given is not None:
            parts.append(f"{name} {given}")
    return ", ".join(parts)


def _at(data: Any, path: str | None) -> Any:
    if path is None or data is None:
        return None
    try:
        return paths.getter(paths.parse(path))(data)
    except (errors.BadValue, paths.PathError):
        return None


def _joined(above: str, path: str | None) -> str:
    if path in (None, "."):
        return above
    return f"{above}.{path}" if above else str(path)

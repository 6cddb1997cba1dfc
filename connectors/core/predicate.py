"""Tests on parsed data, as declared by ``declaration.Condition``; compiled once per condition.

Vendors write the same value as 0, "0" or "false", so values are compared by what they say: a number equals the
text of that number, a boolean equals "true"/"false" in any case, and never 0 or 1. Values of a condition may
hold placeholders, filled from the same data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from connectors.core import declaration, paths, template

Test = Callable[[Any], bool]

_kept: dict[int, tuple[declaration.Condition, Test]] = {}


def same(left: Any, right: Any) -> bool:
    """Whether two values say the same."""
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return template.text(left).lower() == template.text(right).lower()
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, int | float | Decimal) and isinstance(right, int | float | Decimal):
        return _exact(left) == _exact(right)
    if isinstance(left, str | int | float | Decimal) and isinstance(right, str | int | float | Decimal):
        try:
            return _exact(left) == _exact(right)
        except InvalidOperation:
            return False
    return bool(left == right)


def _exact(value: Any) -> Decimal:
    return Decimal(str(value) if isinstance(value, float) else value)


def truth(value: Any) -> bool:
    """Whether a vendor's flag says yes: true, 1, "1", "true", "y", "yes"."""
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "y", "yes")
    return value is not paths.ABSENT and bool(value)


def _holder(value: Any) -> Callable[[Any], Any]:
    write = template.compiled(value)
    if write is None:
        return lambda data: value
    return lambda data: write(data if isinstance(data, dict) else {})


def _contains(value: Any, part: Any) -> bool:
    if part is paths.ABSENT:
        return False
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        # A list of records holds what one of its records has somewhere (a waybill on one of the lines).
        return any(same(item, part) or (isinstance(item, dict | list) and _contains(item, part)) for item in value)
    return value is not paths.ABSENT and value is not None and template.text(part) in template.text(value)


def _one_of(read: Callable[[Any], Any], choices: Sequence[Any]) -> Test:
    fixed = [choice for choice in choices if template.compiled(choice) is None]
    texts = frozenset(choice for choice in fixed if isinstance(choice, str))
    others = [choice for choice in fixed if not isinstance(choice, str)]
    moving = [_holder(choice) for choice in choices if template.compiled(choice) is not None]

    def test(data: Any) -> bool:
        value = read(data)
        if value is paths.ABSENT:
            return False
        if isinstance(value, str):
            if value in texts:
                return True
        elif any(same(value, text) for text in texts):
            return True
        # A placeholder that names nothing equals nothing, not even another absent value.
        return any(same(value, other) for other in others) or any(
            (given := choice(data)) is not paths.ABSENT and same(value, given) for choice in moving
        )

    return test


def _each(read: Callable[[Any], Any], tests: Sequence[Test], every: bool) -> Test:
    """Whether all hold (``every``), or any does."""

    def test(data: Any) -> bool:
        value = read(data)
        for one in tests:
            if bool(one(value)) is not every:
                return not every
        return every

    return test


def _build(condition: declaration.Condition) -> Test:
    tests: list[Test] = []
    read = paths.getter(condition.path) if condition.path is not None else (lambda data: data)
    given = condition.model_fields_set
    if "equals" in given:
        tests.append(_one_of(read, [condition.equals]))
    if condition.one_of is not None:
        tests.append(_one_of(read, condition.one_of))
    if condition.matches is not None:
        pattern = condition.matches
        tests.append(lambda data: _text_like(read(data)) and fnmatchcase(template.text(read(data)), pattern))
    if condition.contains is not None:
        part = _holder(condition.contains)
        tests.append(lambda data: _contains(read(data), part(data)))
    if condition.present is not None:
        wanted_there = condition.present
        tests.append(lambda data: ((value := read(data)) is not paths.ABSENT and value is not None) is wanted_there)
    nested_all = [compiled(child) for child in condition.all]
    nested_any = [compiled(child) for child in condition.any]
    if nested_all:
        tests.append(_each(read, nested_all, True))
    if nested_any:
        tests.append(_each(read, nested_any, False))
    if not tests and condition.path is not None:
        tests.append(lambda data: truth(read(data)))
    negate = condition.negate
    if len(tests) == 1:
        only = tests[0]
        return (lambda data: not only(data)) if negate else only
    return lambda data: all(test(data) for test in tests) is not negate


def _text_like(value: Any) -> bool:
    return isinstance(value, str | int | Decimal)


def compiled(condition: declaration.Condition) -> Test:
    """A closure for one condition, kept for the life of that condition."""
    kept = _kept.get(id(condition))
    if kept is None:
        if len(_kept) > 8192:
            _kept.clear()
        kept = _kept[id(condition)] = (condition, _build(condition))
    return kept[1]


def holds(condition: declaration.Condition, data: Any) -> bool:
    """Whether every given part of ``condition`` holds over ``data``. A condition with nothing in it holds."""
    return compiled(condition)(data)


def mentions(condition: declaration.Condition, root: str) -> bool:
    """Whether the condition reads anything under ``root`` (a first path step)."""
    if condition.path is not None:
        steps = paths.split(condition.path)
        return not steps or steps[0] == root
    return any(mentions(child, root) for child in (*condition.all, *condition.any))

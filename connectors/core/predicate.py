"""Tests on parsed data, as declared by ``declaration.Condition``; compiled once per condition.

Vendors write the same value as 0, "0" or "false", so values are compared by what they say: a number equals the
text of that number, a boolean equals "true"/"false" in any case, and never 0 or 1. Values of a condition may
hold placeholders, filled from the same data.
"""

from __future__ import annotations

from collections.abc import Callable
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


def _build(condition: declaration.Condition) -> Test:
    tests: list[Test] = []
    read = paths.getter(condition.path) if condition.path is not None else (lambda data: data)
    given = condition.model_fields_set
    if "equals" in given:
        wanted = _holder(condition.equals)
        # A placeholder that names nothing equals nothing, not even another absent value.
        tests.append(lambda data: (value := wanted(data)) is not paths.ABSENT and _equal(read(data), value))
    if condition.one_of is not None:
        choices = [_holder(choice) for choice in condition.one_of]
        tests.append(lambda data: any(_equal(read(data), choice(data)) for choice in choices))
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
        tests.append(lambda data: all(test(read(data)) for test in nested_all))
    if nested_any:
        tests.append(lambda data: any(test(read(data)) for test in nested_any))
    if not tests and condition.path is not None:
        tests.append(lambda data: truth(read(data)))
    negate = condition.negate
    if len(tests) == 1:
        only = tests[0]
        return (lambda data: not only(data)) if negate else only
    return lambda data: all(test(data) for test in tests) is not negate


def _equal(value: Any, wanted: Any) -> bool:
    return value is not paths.ABSENT and same(value, wanted)


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

"""Expressions end in bounded time and size, with a value or an error, whatever the text and the data."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mappings import errors, expression, syntax

BOMBS = [
    "l.map(a, l.map(b, l.map(c, l.map(d, 1))))",
    "l.map(a, l.map(b, l)).map(x, x.map(y, size(y)))",
    "l.filter(a, l.exists(b, l.all(c, l.exists(d, d == -1))))",
    "l.map(a, t + t + t + t)",
    "l.map(a, t.replace('a', t))",
    "l.map(a, t.split(''))",
    "l.map(a, t.matches('(a*)*(a|aa)+b'))",
    "l.map(a, l.map(b, t.contains('ab')))",
    "[[[[[[l, l].map(a, [l, a, a])].map(b, [b, b, b])].map(c, [c, c])].map(d, [d, d])].map(e, [e, e])] == 1",
    "[t].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a)",
    "[[1, 1]]" + ".map(a, [a, a, a, a])" * 40,
    "[l]" + ".map(a, a + a)" * 30,
    "[9999999999999999999]" + ".map(a, a * a)" * 30,
    "[9999999999999999999.5]" + ".map(a, a * a)" * 30,
    "[0.1]" + ".map(a, a / 9999999999999999999)" * 20,
    "1" + " + 1" * 250,
    "a" + ".b" * 400,
    "!" * 1000 + "a",
    "true ? " + "1 : true ? " * 80 + "1 : 2",
    "((((((((((((((((((((1))))))))))))))))))))",
]


@pytest.mark.parametrize("text", BOMBS)
def test_bounded_in_time_and_size(text: str) -> None:
    began = time.perf_counter()
    try:
        found = expression.compile(text)({"l": list(range(300)), "t": "a" * 20_000})
    except errors.ExpressionError:
        found = None
    assert time.perf_counter() - began < 1.0
    assert len(str(found)) < 2_000_000


def test_a_result_that_is_too_large_is_refused() -> None:
    with pytest.raises(errors.ExpressionError, match=r"too large|too long"):
        expression.compile("[t, t]")({"t": "x" * 200_000})


def told(error: errors.ExpressionError) -> None:
    """An error says what is wrong in both languages."""
    assert error.zh
    assert error.en


PIECES = [
    "a",
    "b.c",
    "l",
    "l[0]",
    "'x'",
    '"y"',
    "1",
    "2.5",
    "true",
    "null",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "!",
    " in ",
    ".map(x, ",
    ".filter(x, ",
    "x",
    ".exists(x, ",
    "size(",
    "string(",
    "int(",
    ".contains(",
    ".matches(",
    "@config",
    ".split(",
    ".join(",
    "has(",
    "张",
    "0x1",
    "1e5",
    "'\\n'",
    "//",
    "\n",
    "timestamp(",
    "round(",
    "sum(",
    ".substring(",
    "formatTime(",
]
DATA = {"a": 1, "b": {"c": "2026-01-01T00:00:00Z"}, "l": [1, "x", None, {"c": Decimal("1.5")}], "@config": {"b": 2.5}}


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=40))
@settings(max_examples=1500, deadline=None)
@example("1e9999999999")
@example("'" + "\\U0011ffff" + "'")
def test_any_text_ends_in_a_value_or_an_expression_error(text: str) -> None:
    try:
        expression.compile(text)(DATA)
    except errors.ExpressionError as error:
        told(error)


@given(st.text("a(?:!-.[{'1", max_size=syntax.MAX_TEXT))
@settings(max_examples=200, deadline=None)
def test_deep_text_is_refused_not_overflown(text: str) -> None:
    assert isinstance(expression.problems(text), list)


@given(
    st.sampled_from(
        [
            "a + b",
            "a == b",
            "a < b",
            "a in b",
            "a[b]",
            "a.contains(b)",
            "a ? b : a",
            "size(a)",
            "string(a)",
            "int(a)",
            "decimal(a)",
            "timestamp(a)",
            "a * b",
            "a / b",
            "a % b",
            "-a",
            "!a",
            "round(a, b)",
            "sum(a)",
            "min(a)",
            "a.join(b)",
            "a.map(x, x + b)",
            "a.c.d",
            "a.substring(b)",
            "formatTime(a, b, 'UTC')",
            "{'k': a}",
            "[a, b]",
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=5) | st.datetimes(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=5),
)
@settings(max_examples=1500, deadline=None)
def test_any_value_ends_in_a_value_or_an_expression_error(text: str, a: Any, b: Any) -> None:
    compiled = expression.compile(text)
    try:
        compiled({"a": a, "b": b})
    except errors.ExpressionError:
        return

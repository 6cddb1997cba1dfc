"""cel-python agrees with our expressions, on what both mean the same."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import expression

_NUMBERS = st.integers(-999, 999).map(lambda n: str(n) if n >= 0 else f"({n})") | st.sampled_from(
    ["n", "o.m", "l[0]", "size(s)"]
)
_TEXTS = st.sampled_from(["s", "'a'", "'张'", "o.t"])
_STRINGS = _TEXTS | st.sampled_from(["(s + 'x')", "string(n)"])  # on these cel-python knows no methods
_LISTS = st.sampled_from(["l", "[1, 2, 3]", "[n]", "l.filter(x, x > 2)", "l.map(x, x * 2)"])


def _conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.builds("({} && {})".format, inner, inner)
        | st.builds("({} || {})".format, inner, inner)
        | st.builds("!({})".format, inner)
        | st.builds("({} ? {} : {})".format, inner, inner, inner)
    )


def _arithmetic(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner) | st.builds("(-{})".format, inner)


_MATHS = st.recursive(_NUMBERS, _arithmetic, max_leaves=6)
_TESTS = st.recursive(
    st.builds("{} {} {}".format, _MATHS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), _MATHS)
    | st.builds("{} {} {}".format, _STRINGS, st.sampled_from(["==", "!=", "<", ">="]), _STRINGS)
    | st.builds("{}.{}({})".format, _TEXTS, st.sampled_from(["contains", "startsWith", "endsWith"]), _STRINGS)
    | st.builds("{} in {}".format, _NUMBERS, _LISTS)
    | st.builds("{}.{}(x, x > {})".format, _LISTS, st.sampled_from(["all", "exists", "exists_one"]), _NUMBERS)
    | st.sampled_from(["true", "false", "has(o.m)", "has(o.q)", "'m' in o", "s.matches('^a+$')"]),
    _conditions,
    max_leaves=5,
)
_SHARED = _MATHS | _TESTS | _LISTS | _STRINGS | st.builds("size({})".format, _LISTS | _STRINGS)


def cel(text: str, data: dict[str, Any]) -> Any:
    """What cel-python makes of it. It raises the recursion limit of the whole process; we take that back."""
    limit = sys.getrecursionlimit()
    try:
        import celpy

        environment = celpy.Environment()
        program = environment.program(environment.compile(text))
        return program.evaluate({name: celpy.json_to_cel(item) for name, item in data.items()})
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.peers("celpy")
@given(_SHARED, st.integers(-5, 5), st.text("ab张", max_size=3), st.lists(st.integers(-3, 5), min_size=1, max_size=4))
@settings(max_examples=250, deadline=None)
def test_cel_python_agrees(text: str, n: int, s: str, l: list[int]) -> None:  # noqa: E741
    data = {"n": n, "s": s, "l": l, "o": {"m": n + 1, "t": s + "t"}}
    theirs = cel(text, data)
    ours = expression.compile(text)(data)
    assert ours == _plain(theirs), text


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value).__name__ == "BoolType":
        return bool(value)
    return int(value) if isinstance(value, int) else str(value)

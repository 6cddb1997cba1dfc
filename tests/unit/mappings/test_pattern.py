"""The bounded matcher: agrees with RE2, and cannot be made slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import errors, pattern


@pytest.mark.parametrize(
    ("shape", "text", "found"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("^SF\\d{4,}$", "SF123", False),
        ("^SF\\d{4,}$", "SF12345", True),
        ("^(京|沪)[A-Z]-?\\w+$", "京A-12345", True),
        ("a{2}", "a", False),
        ("a{0,2}b", "b", True),
        ("[^0-9]", "123", False),
        ("[\\]a-]", "-", True),
        ("(?:ab)+?c", "ababc", True),
        (".", "\n", False),
        ("", "", True),
        ("x*", "", True),
    ],
)
def test_meaning(shape: str, text: str, found: bool) -> None:
    assert pattern.compile(shape).found(text) is found


@pytest.mark.parametrize(
    "shape",
    [
        "(",
        ")",
        "[",
        "a{",
        "a{2",
        "a{3,2}",
        "a{1000}",
        "*a",
        "a**",
        "\\1",
        "\\b",
        "(?=a)",
        "(?i)a",
        "[b-a]",
        "[[:alpha:]]",
        "a" * 501,
        "(" * 25 + "a" + ")" * 25,
        "((a{100}){100}){100}",
        "\\",
        "[\\",
        "a{x}",
    ],
)
def test_what_it_does_not_know_is_refused(shape: str) -> None:
    with pytest.raises(errors.ExpressionError):
        pattern.compile(shape)


@pytest.mark.parametrize("shape", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){20}", "a?" * 60 + "a" * 60])
def test_patterns_that_break_backtracking_engines_stay_quick(shape: str) -> None:
    began = time.perf_counter()
    pattern.compile(shape).found("a" * 1000 + "!")
    assert time.perf_counter() - began < 3.0


@pytest.mark.peers("re2")
@given(st.text("ab.*+?|()[]^$\\d-{}1,2w", max_size=9), st.lists(st.text("ab1\n-.", max_size=5), min_size=3, max_size=6))
@settings(max_examples=2500, deadline=None)
def test_re2_agrees(shape: str, texts: list[str]) -> None:
    import re2

    try:
        ours = pattern.compile.__wrapped__(shape)
    except errors.ExpressionError:
        return
    theirs = re2.compile(shape)
    for text in texts:
        assert ours.found(text) is bool(theirs.search(text)), (shape, text)

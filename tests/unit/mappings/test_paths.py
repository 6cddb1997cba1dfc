"""Paths: read, written, and refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import errors, paths

DATA: dict[str, Any] = {
    "a": {
        "b": {"c": 1},
        "list": [{"k": "x", "v": 10}, {"k": 7, "v": 20}],
        "x.y": 5,
        "empty": "",
        "none": None,
        "php": [],
    },
    "rows": [[1, 2], [3, 4]],
    "中文": {"键": "值"},
}


def get(path: str, data: Any = DATA) -> Any:
    return paths.getter(paths.parse(path))(data)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("a.b.c", 1),
        ("a.b", {"c": 1}),
        ("a.list[0].v", 10),
        ("a.list[-1].v", 20),
        ("a.list[5].v", None),
        ("a.list[-5].v", None),
        ("a.list[k=x].v", 10),
        ("a.list[k=7].v", 20),
        ("a.list[k='7'].v", 20),
        ("a.list[k=nobody].v", None),
        ("a['x.y']", 5),
        ('a["x.y"]', 5),
        ("rows[1][0]", 3),
        ("中文.键", "值"),
        ("nothing", None),
        ("nothing.at.all", None),
        ("a.none.deeper", None),
        ("a.empty.deeper", None),
        ("a.php.deeper.still", None),
        (".", DATA),
    ],
)
def test_reads(path: str, wanted: Any) -> None:
    assert get(path) == wanted


@pytest.mark.parametrize("path", ["a.b.c.d", "a.list.k", "rows[0].k", "a[0]", "a.b[k=v].x", "a.b.c.d.e"])
def test_what_is_in_the_way_is_told(path: str) -> None:
    with pytest.raises(errors.BadValue) as caught:
        get(path)
    assert caught.value.zh


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".a",
        "a.",
        "a..b",
        "a[",
        "a]",
        "a[]",
        "a[b",
        "a'b'",
        "a[=x]",
        "a[k=]",
        "[x]",
        "a.[0]b",
        "x" * 201,
        "a b.[",
        "a[0]b",
    ],
)
def test_unreadable_paths_are_refused(path: str) -> None:
    with pytest.raises(paths.PathError):
        paths.parse(path)


@given(st.text("ab.[]=0-'\"", max_size=12))
def test_any_text_is_a_path_or_a_path_error(text: str) -> None:
    try:
        segments = paths.parse(text)
        get = paths.getter(segments)
        put = paths.setter(segments)
    except paths.PathError:
        return
    made: dict[str, Any] = {}
    try:
        put(made, 1)
    except errors.BadValue:
        return
    if not any(isinstance(segment, int) and segment < 0 for segment in segments):
        assert get(made) == 1


def test_writes_and_makes_what_is_missing() -> None:
    out: dict[str, Any] = {}
    for path, value in [
        ("id", 1),
        ("a.b", 2),
        ("a.c.d", 3),
        ("list[0].x", 4),
        ("list[0].y", 5),
        ("list[1].x", 6),
        ("plain[0]", "p"),
        ("plain[1]", "q"),
        ("ids[kind=phone].value", "138"),
        ("ids[kind=unionid].value", "U"),
        ("ids[kind=phone].value", "139"),
        ("made[Key=2052].v", 1),
        ("made[Key='1033'].v", 2),
        ("a['x.y']", 7),
    ]:
        paths.setter(paths.parse(path))(out, value)
    assert out == {
        "id": 1,
        "a": {"b": 2, "c": {"d": 3}, "x.y": 7},
        "list": [{"x": 4, "y": 5}, {"x": 6}],
        "plain": ["p", "q"],
        "ids": [{"kind": "phone", "value": "139"}, {"kind": "unionid", "value": "U"}],
        "made": [{"Key": 2052, "v": 1}, {"Key": "1033", "v": 2}],
    }
    assert list(out) == ["id", "a", "list", "plain", "ids", "made"]


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("a.b", {"a": "text"}),
        ("a.b.c", {"a": {"b": 1}}),
        ("a[0].b", {"a": {}}),
        ("a[2].b", {"a": [{}]}),
        ("a[3]", {"a": []}),
        ("a[-1].b", {"a": [{}]}),
        ("a[k=v].b", {"a": {"k": "v"}}),
        ("a[0].b", {"a": ["x"]}),
    ],
)
def test_what_cannot_be_written_is_told(path: str, there: dict[str, Any]) -> None:
    with pytest.raises(errors.BadValue):
        paths.setter(paths.parse(path))(there, 1)


@pytest.mark.parametrize("path", [".", "a[k=v]"])
def test_paths_that_name_no_member_cannot_be_written(path: str) -> None:
    with pytest.raises(paths.PathError):
        paths.setter(paths.parse(path))

import pytest

from connectors.core import paths

DATA = {"a": {"b": [{"c": 1}, {"c": 2}, {}]}, "x.y": {"z": None}, "list": [[1, 2], [3]]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b[0].c", 1),
        ("a.b[-2].c", 2),
        (".", DATA),
        ("a.b[9].c", "none"),
        ("a.b.c", "none"),
        ("a[0]", "none"),
        ('["x.y"].z', None),
        ("list[0][1]", 2),
        ("a.b[*].c", [1, 2]),
        ("list[*][0]", [1, 3]),
        ("a[*]", "none"),
    ],
)
def test_get(path, value):
    assert paths.get(DATA, path, "none") == value


def test_getter_tells_absent_from_null():
    assert paths.getter('["x.y"].z')(DATA) is None
    assert paths.getter("nope")(DATA) is paths.ABSENT
    assert paths.getter("nope")(None) is paths.ABSENT


@pytest.mark.parametrize("path", ["a..b", "a[x]", "a[", "[0", ".a", "a."])
def test_unreadable_paths_are_named(path):
    with pytest.raises(paths.PathError, match="path '"):
        paths.split(path)


def test_put_builds_what_is_missing():
    assert paths.put({}, "a.b[0].c", 5) == {"a": {"b": [{"c": 5}]}}
    data = {"a": {"b": [1]}}
    paths.put(data, "a.b[1]", 2)
    paths.put(data, "a.b[0]", 9)
    assert data == {"a": {"b": [9, 2]}}
    assert paths.put({"old": 1}, ".", [1]) == [1]


@pytest.mark.parametrize("path", ["a[0]", "b.c[5]", "b[*]"])
def test_put_refuses_what_is_in_the_way(path):
    with pytest.raises(paths.PathError):
        paths.put({"a": {}, "b": {"c": []}}, path, 1)

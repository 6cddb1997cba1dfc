from decimal import Decimal

import pytest

from connectors.core import declaration, predicate


def holds(data, **condition):
    return predicate.holds(declaration.Condition(**condition), data)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (0, "0", True),
        (0, False, False),
        (1, True, False),
        (True, "True", True),
        ("true", True, True),
        ("false", True, False),
        (Decimal("1.0"), 1, True),
        ("1.0", 1, True),
        ("1.0", "1", False),
        ("x", 1, False),
        (None, None, True),
        (None, 0, False),
        (None, "", False),
        (12345678901234567890, "12345678901234567890", True),
        ([1], [1], True),
        ({"a": 1}, 1, False),
    ],
)
def test_values_are_compared_by_what_they_say(left, right, expected):
    assert predicate.same(left, right) is expected


def test_parts():
    body = {"code": "0", "list": ["a", 2], "rows": [{"no": "SF1"}], "text": "ban for 30 seconds", "null": None}
    assert holds(body, path="code", equals=0)
    assert not holds(body, path="nope", equals=None)
    assert holds(body, path="null", equals=None)
    assert holds(body, path="code", one_of=[1, 0])
    assert holds(body, path="text", matches="ban*")
    assert not holds(body, path="text", matches="BAN*")
    assert holds(body, path="text", contains="30")
    assert holds(body, path="list", contains="2")
    assert holds(body, path="rows", contains="SF1")
    assert not holds(body, path="rows", contains="SF")
    assert holds(body, path="code", present=True)
    assert holds(body, path="null", present=False)
    assert holds(body, path="nope", present=False)
    assert holds(body, path="code", equals=1, negate=True)
    assert not holds(body, path="code", equals=0, contains="9")


def test_nested():
    body = {"a": 1, "b": 2}
    one, two = {"path": "a", "equals": 1}, {"path": "b", "equals": 3}
    assert holds(body, any=[one, two])
    assert not holds(body, all=[one, two])
    assert holds(body, all=[one], any=[one, two])
    assert holds(body, all=[one, two], negate=True)


def test_placeholders_come_from_the_same_data():
    data = {"result": {"no": "A1"}, "input": {"no": "A1"}}
    assert holds(data, path="result.no", equals="${input.no}")
    assert not holds(data, path="result.no", equals="${input.nope}")
    assert not holds(data, path="result.nope", equals="${input.nope}")
    assert not holds(data, path="result", contains="${input.nope}")


def test_mentions():
    nested = declaration.Condition(
        any=[{"path": "body.x", "present": True}, {"all": [{"path": "status", "equals": 1}]}]
    )
    assert predicate.mentions(nested, "status")
    assert predicate.mentions(nested, "body")
    assert not predicate.mentions(nested, "headers")


@pytest.mark.parametrize("value", [True, 1, "1", "true", "Y", "yes", [0]])
def test_truth(value):
    assert predicate.truth(value)


@pytest.mark.parametrize("value", [False, 0, "0", "false", "", None, "no"])
def test_untruth(value):
    assert not predicate.truth(value)

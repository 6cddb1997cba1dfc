"""Expressions: what they mean, what is missing, and the mistakes and texts they refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mappings import errors, expression

SCOPE: dict[str, Any] = {
    "order": {
        "status": "paid",
        "total": Decimal("188.50"),
        "lines": [{"sku": "A", "q": 2}, {"sku": "B", "q": Decimal("1.5")}],
    },
    "name": "张伟",
    "count": 3,
    "big": 2067719225654838,
    "price": 0.1,
    "tags": ["vip", "新客"],
    "at": datetime(2026, 3, 1, 1, 0, tzinfo=UTC),
    "flag": True,
    "金额": 5,
    "@config": {"org": "100"},
}


def value(text: str, **more: Any) -> Any:
    return expression.compile(text)({**SCOPE, **more})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("18850 / 100", Decimal("188.5")),
        ("6 / 3", 2),
        ("-7 % 3", -1),
        ("price + 0.2", Decimal("0.3")),
        ("big + 1", 2067719225654839),
        ("0.1 + 0.2 == 0.3", True),
        ("1 == 1.0", True),
        ("1 == '1'", False),
        ("true == 1", False),
        ("[1, 'a', {'k': null}] == [1.0, 'a', {'k': null}]", True),
        ("order.total > 100 && order.status == 'paid'", True),
        ("order['status'] + '!'", "paid!"),
        ("order.lines[1].sku", "B"),
        ("order.lines[9].sku", None),
        ("order.lines.map(l, l.q * 2)", [4, Decimal("3.0")]),
        ("order.lines.filter(l, l.q > 1.5).map(l, l.sku)", ["A"]),
        ("order.lines.map(l, l.q > 1.5, l.sku)", ["A"]),
        ("order.lines.exists(l, l.sku == 'B')", True),
        ("order.lines.all(l, l.q > 1)", True),
        ("order.lines.exists_one(l, l.q > 1.5)", True),
        ("sum(order.lines.map(l, l.q))", Decimal("3.5")),
        ("[1, 2].map(x, [10, 20].map(y, x + y))", [[11, 21], [12, 22]]),
        ("[1, 2].map(x, [3].map(x, x))", [[3], [3]]),
        ("'vip' in tags && !('x' in tags) && 'status' in order", True),
        ("size(name) == 2 && size(tags) == 2 && tags.size() == 2 && size(order) == 3", True),
        ("name.contains('伟') && 'abc'.startsWith('ab') && 'abc'.endsWith('bc')", True),
        ("'SF1234'.matches('^SF[0-9]{4}$')", True),
        ("'a,b'.split(',').join('|')", "a|b"),
        ("[[1, 2], [], null, 3, [[4]]].flatten()", [1, 2, 3, [4]]),
        ("nothing.flatten()", None),
        (
            "['a=1', 'b=2', 'a=3'].map(x, [x.split('=')[0], {'v': x.split('=')[1]}]).object()",
            {"a": {"v": "3"}, "b": {"v": "2"}},
        ),
        ("nothing.object()", None),
        ("' Ab '.trim().lowerAscii() + 'x'.upperAscii()", "abX"),
        ("'abcdef'.substring(1, 3) + 'abcdef'.substring(4) + 'ab'.substring(0, 200)", "bcefab"),
        ("'a-b-c'.replace('-', '')", "abc"),
        ("string(12) + string(true) + string(1.50) + string(0.0000001)", "12true1.500.0000001"),
        ("int('12') + int(3.9) + int(-3.9)", 12),
        ("decimal('1.10') + double('2')", Decimal("3.10")),
        ("round(2.345, 2)", Decimal("2.35")),
        ("min([3, 1, 2]) + max([3, 1, 2])", 4),
        ("at > timestamp('2026-03-01T08:59:59+08:00')", True),
        ("timestamp(1772326800) == at", True),
        ("int(at)", 1772326800),
        ("string(at)", "2026-03-01T01:00:00Z"),
        ("formatTime(at, '%Y年%m月%d日 %H:%M', 'Asia/Shanghai')", "2026年03月01日 09:00"),
        ("flag ? 'y' : 'n'", "y"),
        ("count == 1 ? 'a' : count == 2 ? 'b' : 'c'", "c"),
        ("{'k': count, \"n\": [name]}", {"k": 3, "n": ["张伟"]}),
        ("has(order.status) && !has(order.nothing) && !has(nothing.at.all)", True),
        ("金额 * 2", 10),
        ("@config.org", "100"),
        ("@nothing.at.all", None),
        (r"'\u5f20\n\x41\\' + r'\d'", "张\nA\\\\d"),
        ("0x10 + 1u", 17),
        ("1e3 + .5", Decimal("1000.5")),
        ("!!flag && - -1 == 1", True),
        ("count // a comment\n + 1", 4),
    ],
)
def test_values(text: str, wanted: Any) -> None:
    found = value(text)
    assert found == wanted
    assert isinstance(found, bool) == isinstance(wanted, bool)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nothing", None),
        ("nothing.a.b[0]['c']", None),
        ("nothing + 1", None),
        ("'订单 ' + nothing", None),
        ("nothing > 1 || nothing <= 1", False),
        ("nothing == null", True),
        ("!nothing", True),
        ("nothing ? 1 : 2", 2),
        ("nothing.contains('a')", None),
        ("size(nothing) + nothing.size()", 0),
        ("nothing.exists(x, true)", False),
        ("nothing.all(x, false)", True),
        ("nothing.map(x, x)", []),
        ("sum(nothing)", None),
        ("string(nothing)", None),
        ("timestamp(nothing) > at", False),
        ("'a' in nothing", False),
        ("[1, null, 2] == [1, null, 2]", True),
        ("sum([1, null, 2])", 3),
    ],
)
def test_missing_is_null_and_spreads(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1 + 'a'", "string()"),
        ("name > 1", "text and number"),
        ("at > '2026-01-01'", "timestamp()"),
        ("1 / 0", "zero"),
        ("1.0 % 0", "zero"),
        ("name && true", "true or false"),
        ("1 ? 2 : 3", "true or false"),
        ("name.nothing", "no member"),
        ("count.contains('a')", "no method"),
        ("tags.contains('vip')", "no method"),
        ("count.map(x, x)", "needs a list"),
        ("int('1.5')", "whole number"),
        ("int('x')", "whole number"),
        ("decimal('1_0')", "not a number"),
        ("timestamp('2026-03-01T00:00:00') > at", "zone"),
        ("timestamp('yesterday at noon')", "time"),
        ("'a'.matches('(')", "pattern"),
        ("formatTime(at, '%c', 'UTC')", "format"),
        ("formatTime(at, '%Y', 'Moon/Base')", "zone"),
        ("'ab'.substring(2, 1)", "substring"),
        ("flag < true", "bool"),
        ("tags['a']", "indexed"),
    ],
)
def test_mistakes_in_values_are_told(text: str, word: str) -> None:
    with pytest.raises(errors.ExpressionError, match=word.replace("(", r"\(").replace(")", r"\)")):
        value(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 +",
        "+ 1",
        "(1",
        "1)",
        "a b",
        "'open",
        "[1, 2",
        "{'a': }",
        "{1: 2}",
        "{'a': 1, 'a': 2}",
        "a..b",
        "a.",
        "foo(1)",
        "a.foo()",
        "size()",
        "size(1, 2)",
        "a.map(x)",
        "a.map(1, x)",
        "a.map(x, 1, 2, 3)",
        "a ? b",
        "a = 1",
        "a & b",
        "x.y(",
        "'\\q'",
        "'\\ud800'",
        "0x",
        "@",
        "a.@b",
        "in",
        "1 in",
        "a.map(in, 1)",
        "has()",
        "has(a, b)",
        "__import__('os')",
        "a.__class__()",
        "lambda x: x",
        "'a' 'b'",
        "1" * 50,
        "a" * 1025,
        "(" * 30 + "1" + ")" * 30,
        "import os",
        "x := 1",
        "a; b",
        "`ls`",
        "$x",
        "\x00",
    ],
)
def test_unreadable_texts_are_refused(text: str) -> None:
    found = expression.problems(text)
    assert len(found) == 1
    assert found[0].zh
    assert found[0].en
    with pytest.raises(errors.ExpressionError):
        expression.compile(text)


def test_no_way_to_the_host() -> None:
    class Secret:
        password = "hunter2"

    for text in (
        "s.password",
        "s.__class__",
        "s['password']",
        "s.format()",
        "order.__class__",
        "name.__len__",
        "order.keys",
    ):
        try:
            found = expression.compile(text)({"s": Secret(), **SCOPE})
        except errors.ExpressionError:
            continue
        assert found is None


def test_conditions_take_null_for_false() -> None:
    assert expression.condition("nothing")({}) is False
    assert expression.condition("a == 1")({"a": 1}) is True
    with pytest.raises(errors.ExpressionError):
        expression.condition("1")({})


def test_names_are_what_is_looked_up() -> None:
    text = "a.b + lines.map(l, l.q + c)[0] + @config.x + size(d)"
    assert expression.names(text) == {"a", "lines", "c", "@config", "d"}

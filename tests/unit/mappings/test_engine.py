"""The engine: rules in both directions, order of keys, constants, context, conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mappings import engine, errors, kinds
from tests.unit.mappings import files


def test_what_is_missing_is_left_out() -> None:
    rules = "{native: a.b, canonical: buyer.nick}\n{native: n, canonical: number}"
    assert files.reads(rules, {"a": {"b": None}}) == {"id": "1", "status": "paid", "total": Decimal("1.00")}
    assert files.writes(rules, {"number": None, "buyer": {}}) == {}


def test_keys_are_written_in_the_order_of_the_rules() -> None:
    rules = """
{native: z, canonical: id}
{native: m.b, canonical: number}
{native: a, value: 1, way: to}
{native: m.a, canonical: shop}
"""
    out = files.writes(rules, {"shop": "s", "number": "n", "id": "i"})
    assert list(out) == ["z", "m", "a"]
    assert list(out["m"]) == ["b", "a"]


def test_constants_and_context() -> None:
    rules = """
{native: c, value: 7}
{native: n, value: null}
{native: at, value: "@@plain"}
{native: org.FNumber, value: "@config.org_number"}
native: deep
  value: {FNumber: "@config.org_number", list: [1, "@config.none", "@config.org_number"], none: "@config.none"}
{native: gone, value: "@config.none"}
{native: none_at_all, value: {x: "@config.none"}}
{native: link, value: "@link.id", default: new}
{native: when, value: "@order.paid_at", codec: datetime, format: unix_s}
{native: cents, value: "@order.total", codec: money, unit: fen}
{native: text, value: "@order.total", as: string}
"""
    context = {"config": {"org_number": "100"}, "order": {"paid_at": "2026-03-01T01:00:00+00:00", "total": "1.50"}}
    assert files.writes(rules, {"id": "1"}, context) == {
        "c": 7,
        "n": None,
        "at": "@plain",
        "org": {"FNumber": "100"},
        "deep": {"FNumber": "100", "list": [1, "100"]},
        "link": "new",
        "when": 1772326800,
        "cents": 150,
        "text": "1.50",
    }


def test_constants_take_the_canonical_type_when_read() -> None:
    rules = """
{canonical: number, value: 5}
{canonical: freight, value: "8.50"}
{canonical: hold, value: true}
{canonical: paid_at, value: "@event.at"}
{canonical: shop, value: "@config.shop"}
"""
    found = files.reads(rules, {}, {"event": {"at": "2026-03-01T01:00:00Z"}, "config": {"shop": 12}})
    assert found["number"] == "5"
    assert found["freight"] == Decimal("8.50")
    assert found["hold"] is True
    assert found["paid_at"] == datetime(2026, 3, 1, 1, tzinfo=UTC)
    assert found["shop"] == "12"


def test_default_required_and_when_absent() -> None:
    rules = """
{native: name, canonical: buyer.name, default: 无名}
{native: n1, canonical: number}
{native: n2, canonical: number, when_absent: true, way: from}
{native: n3, canonical: shop, required: true, way: from}
"""
    found = files.reads(rules, {"n2": "second", "n3": "s"})
    assert found["buyer"] == {"name": "无名"}
    assert found["number"] == "second"
    assert files.reads(rules, {"n1": "first", "n2": "second", "n3": "s"})["number"] == "first"
    with pytest.raises(errors.MappingError, match=r"rule 7 .*required"):
        files.reads(rules, {})
    assert files.writes(rules, {}) == {"name": "无名"}


def test_null_when_absent_only_writes() -> None:
    rules = "{native: flag, canonical: seller_flag, null_when_absent: true}"
    assert files.writes(rules, {}) == {"flag": None}
    assert "seller_flag" not in files.reads(rules, {})


def test_absent_values_are_nothing() -> None:
    rules = """
{native: a, canonical: number, absent: ["", "0", 0]}
{native: b, canonical: freight, codec: money, unit: yuan, absent: [0]}
{native: c, canonical: kind, absent: ["无"], default: d}
"""
    found = files.reads(rules, {"a": 0, "b": "0", "c": "无"})
    assert "number" not in found
    assert "freight" not in found
    assert found["kind"] == "d"
    assert files.writes(rules, {"number": "0", "freight": "0"}) == {"a": "0", "b": "0", "c": "d"}


def test_conditions_and_expressions() -> None:
    rules = """
{native: note, expr: '"订单 " + number', way: to}
{native: big, value: true, when: "total > 100", way: to}
{native: late, value: true, when: "paid_at > created_at", way: to}
{native: fen, expr: "total - discount_total", codec: money, unit: fen, way: to}
{native: whole, expr: "total / 2", as: integer, way: to}
{native: ratio, expr: "total / 8", way: to}
{native: from_order, expr: "@order.total + order.total", way: to}
"""
    record = {
        "number": "N",
        "total": "120",
        "discount_total": "0.50",
        "created_at": "2026-03-01T09:00:00+08:00",
        "paid_at": "2026-03-01T01:00:01Z",
    }
    assert files.writes(rules, record, {"order": {"total": "1.5"}}) == {
        "note": "订单 N",
        "big": True,
        "late": True,
        "fen": 11950,
        "whole": 60,
        "ratio": 15,
        "from_order": 3,
    }
    assert "note" not in files.writes(rules, {"total": "2"})
    assert (
        files.reads("{canonical: number, expr: 'a + \"-\" + this.b', way: from}", {"a": "x", "b": "y"})["number"]
        == "x-y"
    )
    assert files.reads("{canonical: freight, expr: 'f * 2', way: from}", {"f": 1.1})["freight"] == Decimal("2.2")


def test_a_record_s_own_field_hides_the_context_even_when_null() -> None:
    rules = """
{canonical: number, expr: 'config.x'}
{canonical: shop, expr: '@config.x'}
"""
    assert files.reads(rules, {"config": None}, {"config": {"x": "c"}})["shop"] == "c"
    assert "number" not in files.reads(rules, {"config": None}, {"config": {"x": "c"}})
    assert files.reads(rules, {}, {"config": {"x": "c"}})["number"] == "c"


def test_one_direction_only_says_so() -> None:
    with pytest.raises(errors.MappingError, match="no rules to native"):
        files.mapping(files.BASE.replace("}", ", way: from}")).to_native({})
    with pytest.raises(errors.MappingError, match="no rules from native"):
        files.mapping("{native: id, canonical: id, way: to}").from_native({})


def test_a_stored_record_comes_back_with_its_types() -> None:
    stored = {
        "total": "1.50",
        "paid_at": "2026-03-01T01:00:00Z",
        "lines": [{"quantity": "2"}],
        "extra": {"total": "x"},
        "number": "5",
    }
    revived = kinds.revive("order", stored)
    assert revived["total"] == Decimal("1.50")
    assert revived["paid_at"] == datetime(2026, 3, 1, 1, tzinfo=UTC)
    assert revived["lines"] == [{"quantity": Decimal(2)}]
    assert revived["extra"] == {"total": "x"}
    assert revived["number"] == "5"
    assert kinds.revive("order", {"total": "?", "paid_at": "?", "lines": "?"}) == {
        "total": "?",
        "paid_at": "?",
        "lines": "?",
    }


def test_compiling_tells_every_problem_at_once() -> None:
    rules = """
{native: a, canonical: nothing_here}
{native: b, canonical: status, codec: enum, table: none}
{native: c, canonical: created_at, codec: datetime, format: "%Y", zone: Moon/Base}
{native: d, canonical: created_at, codec: datetime, format: "%Y-%m-%d"}
{native: e, canonical: "lines[0].nope"}
{native: 'f[k=v]', canonical: number, way: to}
"""
    with pytest.raises(errors.SpecError) as caught:
        files.mapping(rules)
    problems = caught.value.problems
    assert [problem.rule for problem in problems] == ["1", "2", "3", "4", "5", "6"]
    assert [problem.line for problem in problems] == [5, 6, 7, 8, 9, 10]
    assert "(and 5 more)" in str(caught.value)
    assert isinstance(caught.value, errors.MappingError)
    assert repr(files.mapping(files.BASE)).count("\n") == 0
    assert isinstance(files.mapping(files.BASE), engine.Mapping)

"""The engine: rules in both directions, order of keys, context, nesting, and errors that name their place."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings import blocks, engine, errors, kinds
from tests.unit.mappings import files

BASE = """
{native: id, canonical: id}
{native: status, canonical: status}
{native: total, canonical: total, codec: money, unit: yuan}
"""
ORDER = {"id": "1", "status": "paid", "total": "1.00"}


def reads(rules: str, native: dict[str, Any], context: dict[str, Any] | None = None, more: str = "") -> dict[str, Any]:
    return files.mapping(BASE + rules, more).from_native({**ORDER, **native}, context)


def writes(rules: str, record: dict[str, Any], context: dict[str, Any] | None = None, more: str = "") -> dict[str, Any]:
    return files.mapping(rules, more).to_native(record, context)


def test_what_is_missing_is_left_out() -> None:
    rules = "{native: a.b, canonical: buyer.nick}\n{native: n, canonical: number}"
    assert reads(rules, {"a": {"b": None}}) == {"id": "1", "status": "paid", "total": Decimal("1.00")}
    assert writes(rules, {"number": None, "buyer": {}}) == {}


def test_keys_are_written_in_the_order_of_the_rules() -> None:
    rules = """
{native: z, canonical: id}
{native: m.b, canonical: number}
{native: a, value: 1, way: to}
{native: m.a, canonical: shop}
"""
    out = writes(rules, {"shop": "s", "number": "n", "id": "i"})
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
    assert writes(rules, {"id": "1"}, context) == {
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
    found = reads(rules, {}, {"event": {"at": "2026-03-01T01:00:00Z"}, "config": {"shop": 12}})
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
    found = reads(rules, {"n2": "second", "n3": "s"})
    assert found["buyer"] == {"name": "无名"}
    assert found["number"] == "second"
    assert reads(rules, {"n1": "first", "n2": "second", "n3": "s"})["number"] == "first"
    with pytest.raises(errors.MappingError, match=r"rule 7 .*required"):
        reads(rules, {})
    assert writes(rules, {}) == {"name": "无名"}


def test_null_when_absent_only_writes() -> None:
    rules = "{native: flag, canonical: seller_flag, null_when_absent: true}"
    assert writes(rules, {}) == {"flag": None}
    assert "seller_flag" not in reads(rules, {})


def test_absent_values_are_nothing() -> None:
    rules = """
{native: a, canonical: number, absent: ["", "0", 0]}
{native: b, canonical: freight, codec: money, unit: yuan, absent: [0]}
{native: c, canonical: kind, absent: ["无"], default: d}
"""
    found = reads(rules, {"a": 0, "b": "0", "c": "无"})
    assert "number" not in found
    assert "freight" not in found
    assert found["kind"] == "d"
    assert writes(rules, {"number": "0", "freight": "0"}) == {"a": "0", "b": "0", "c": "d"}


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
    assert writes(rules, record, {"order": {"total": "1.5"}}) == {
        "note": "订单 N",
        "big": True,
        "late": True,
        "fen": 11950,
        "whole": 60,
        "ratio": 15,
        "from_order": 3,
    }
    assert "note" not in writes(rules, {"total": "2"})
    assert reads("{canonical: number, expr: 'a + \"-\" + this.b', way: from}", {"a": "x", "b": "y"})["number"] == "x-y"
    assert reads("{canonical: freight, expr: 'f * 2', way: from}", {"f": 1.1})["freight"] == Decimal("2.2")


def test_lists_through_their_own_rules() -> None:
    rules = """
native: orders.order
  canonical: lines
  each:
    - {native: oid, canonical: id}
    - {native: num, canonical: quantity, codec: number, as: integer}
    - {native: label, expr: 'parent.number + "-" + id + "-" + @config.x', way: to}
"""
    found = reads(rules, {"orders": {"order": [{"oid": 1, "num": "2"}, {"oid": "b", "num": 3}]}})
    assert found["lines"] == [{"id": "1", "quantity": Decimal(2)}, {"id": "b", "quantity": Decimal(3)}]
    assert reads(rules, {"orders": {"order": {"oid": 1, "num": 2}}})["lines"] == [{"id": "1", "quantity": Decimal(2)}]
    assert "lines" not in reads(rules, {"orders": ""})
    assert reads(rules, {"orders": {"order": []}})["lines"] == []
    native = writes(rules, {"number": "N", "lines": [{"id": "1", "quantity": "2"}]}, {"config": {"x": "c"}})
    assert native == {"orders": {"order": [{"oid": "1", "num": 2, "label": "N-1-c"}]}}


def test_lists_of_plain_values_filters_and_context_lists() -> None:
    rules = """
native: phones
  canonical: buyer.identities
  way: from
  only: 'this != ""'
  each:
    - {native: ., canonical: value}
    - {canonical: kind, value: phone}
native: extra_phones
  canonical: buyer.identities
  way: from
  each:
    - {native: no, canonical: value}
    - {canonical: kind, value: mobile}
native: ids
  canonical: buyer.identities
  way: to
  only: 'kind == "phone"'
  each:
    - {native: ., canonical: value}
native: sub
  value: "@order.lines"
  way: to
  each:
    - {native: oid, canonical: id}
    - {native: double, expr: 'quantity * 2'}
"""
    found = reads(rules, {"phones": ["138", "", "139"], "extra_phones": [{"no": "137"}]})
    assert found["buyer"]["identities"] == [
        {"value": "138", "kind": "phone"},
        {"value": "139", "kind": "phone"},
        {"value": "137", "kind": "mobile"},
    ]
    context = {"order": {"lines": [{"id": "L1", "quantity": "1.5"}]}}
    assert writes(rules, found, context) == {"ids": ["138", "139"], "sub": [{"oid": "L1", "double": 3}]}


def test_errors_in_filtered_lists_count_both_sides() -> None:
    rules = """
native: rows
  canonical: lines
  way: from
  only: 'q != 0'
  each:
    - {native: id, canonical: id}
    - {native: q, canonical: quantity, codec: number}
"""
    with pytest.raises(errors.MappingError) as caught:
        reads(rules, {"rows": [{"id": "1", "q": 0}, {"id": "2", "q": 1}, {"id": "3", "q": "x"}]})
    assert (caught.value.native, caught.value.canonical) == ("rows[2].q", "lines[1].quantity")


def test_a_record_s_own_field_hides_the_context_even_when_null() -> None:
    rules = """
{canonical: number, expr: 'config.x'}
{canonical: shop, expr: '@config.x'}
"""
    assert reads(rules, {"config": None}, {"config": {"x": "c"}})["shop"] == "c"
    assert "number" not in reads(rules, {"config": None}, {"config": {"x": "c"}})
    assert reads(rules, {}, {"config": {"x": "c"}})["number"] == "c"


def test_objects_and_json_text() -> None:
    rules = """
native: content
  codec: json
  inside:
    - {native: text, canonical: buyer_note}
    - {native: n, canonical: freight, codec: money, unit: fen}
native: to
  canonical: receiver
  inside:
    - {native: n, canonical: name}
    - {native: p, canonical: phone}
"""
    native = writes(rules, {"buyer_note": "你好", "freight": "8", "receiver": {"name": "张", "phone": "1"}})
    assert native == {"content": '{"text":"你好","n":800}', "to": {"n": "张", "p": "1"}}
    found = reads(rules, native)
    assert found["buyer_note"] == "你好"
    assert found["freight"] == Decimal("8.00")
    assert found["receiver"] == {"name": "张", "phone": "1"}
    assert writes(rules, {}) == {}


def test_identities_by_key_both_ways() -> None:
    rules = """
{native: openid, canonical: 'buyer.identities[kind=wechat.openid].value'}
{native: unionid, canonical: 'buyer.identities[kind=unionid].value'}
"""
    found = reads(rules, {"openid": "O", "unionid": "U"})
    assert found["buyer"]["identities"] == [{"kind": "wechat.openid", "value": "O"}, {"kind": "unionid", "value": "U"}]
    assert writes(
        rules, {"buyer": {"identities": [{"kind": "unionid", "value": "U"}, {"kind": "x", "value": "y"}]}}
    ) == {"unionid": "U"}


def test_rows_of_a_table() -> None:
    rules = """
{native: '[0]', canonical: id, way: from}
{native: '[1]', canonical: sku, way: from}
{native: '[2]', canonical: available, codec: number, way: from}
"""
    mapping = files.mapping(rules, entity="inventory")
    assert mapping.from_native(["1", "S", 5]) == {"id": "1", "sku": "S", "available": Decimal(5)}


def test_one_direction_only_says_so() -> None:
    with pytest.raises(errors.MappingError, match="no rules to native"):
        files.mapping(BASE.replace("}", ", way: from}")).to_native({})
    with pytest.raises(errors.MappingError, match="no rules from native"):
        files.mapping("{native: id, canonical: id, way: to}").from_native({})


LINES = (
    BASE
    + """
native: rows
  canonical: lines
  each:
    - {native: id, canonical: id}
    - {native: q, canonical: quantity, codec: number}
    - {native: deep.p, canonical: unit_price, codec: money, unit: fen}
"""
)


@pytest.mark.parametrize(
    ("native", "rule", "paths", "word"),
    [
        (
            {"rows": [{"id": "1", "q": 1}, {"id": "2", "q": "x"}]},
            "4.2",
            ("rows[1].q", "lines[1].quantity"),
            "not a number",
        ),
        (
            {"rows": [{"id": "1", "q": 1, "deep": {"p": 0.5}}]},
            "4.3",
            ("rows[0].deep.p", "lines[0].unit_price"),
            "whole",
        ),
        ({"rows": [{"id": "1", "q": 1, "deep": [1]}]}, "4.3", ("rows[0].deep.p", "lines[0].unit_price"), "an object"),
        ({"rows": 5}, "4", ("rows", "lines"), "list"),
        ({"rows": [5]}, "4.1", ("rows[0].id", "lines[0].id"), "does not fit"),
        ({"rows": [None]}, "4.1", ("rows[0].id", "lines[0].id"), "does not fit"),
        ({"rows": [{"id": "1"}]}, "4.2", ("q", "lines[0].quantity"), "requires this field"),
        ({"rows": [{"id": "", "q": 1}]}, "4.1", ("id", "lines[0].id"), "at least 1"),
        ({"rows": [{}] * (blocks.MAX_ELEMENTS + 1)}, "4", ("rows", "lines"), "more than"),
        ({"total": "12345678901234567890.12345678901"}, "3", ("total", "total"), "24 digits|10 decimal"),
        ({"status": "unheard_of"}, "2", ("status", "status"), "Input should be"),
        ({"total": None}, "3", ("total", "total"), "requires this field"),
    ],
)
def test_errors_name_file_rule_and_paths(native: dict[str, Any], rule: str, paths: tuple[str, str], word: str) -> None:
    with pytest.raises(errors.MappingError, match=word) as caught:
        files.mapping(LINES).from_native({**ORDER, **native})
    error = caught.value
    assert error.file == "demo/test.yaml"
    assert error.rule == rule
    assert (error.native, error.canonical) == paths
    assert f"第 {rule} 条规则" in error.text("zh")
    assert f"rule {rule}" in error.text("en")
    assert "demo/test.yaml" in str(error)


def test_errors_do_not_repeat_long_or_nested_values() -> None:
    secret = "x" * 5000
    with pytest.raises(errors.MappingError) as caught:
        files.mapping(LINES).from_native({**ORDER, "total": secret})
    assert len(str(caught.value)) < 500
    with pytest.raises(errors.MappingError) as caught:
        files.mapping(LINES).from_native({**ORDER, "total": {"phone": "13800000001"}})
    assert "138" not in str(caught.value)


def told(error: errors.MappingError) -> None:
    """An error can be shown, in both languages."""
    assert len(str(error)) < 2000
    assert error.text("zh") != error.text("en")


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text(max_size=4)
    | st.builds(lambda: 10**5000),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "q", "deep", "p"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_RECORDS = st.dictionaries(
    st.sampled_from(
        ["id", "status", "total", "rows", "created", "kind", "content", "to", "ids", "addr", "tags", "hold"]
    ),
    _JUNK,
)
EVERYTHING = files.mapping(
    LINES
    + """
{native: created, canonical: created_at, codec: datetime, format: ["%Y-%m-%d %H:%M:%S", unix_ms], zone: Asia/Shanghai}
{native: kind, canonical: kind, codec: enum, table: kind}
{native: hold, canonical: hold, codec: boolean}
{native: content, canonical: extra, codec: json}
{native: addr, canonical: receiver.address, codec: address, style: joined, when_absent: true}
{native: 'ids[id=q].p', canonical: 'buyer.identities[kind=x].value'}
{native: tags, canonical: seller_note, codec: join, by: ","}
{native: x, expr: 'lines.map(l, l.quantity * total) + [kind]', way: to}
{canonical: number, expr: 'string(total) + kind', when: 'size(rows) > 0', way: from}
native: to
  canonical: receiver
  inside:
    - {native: p, canonical: phone}
""",
    "tables: {kind: {from: {a: b}}}",
)


@given(_RECORDS | _JUNK)
@settings(max_examples=600, deadline=None)
def test_any_native_record_ends_in_a_record_or_a_mapping_error(native: Any) -> None:
    try:
        found = EVERYTHING.from_native(native)
    except errors.MappingError as error:
        told(error)
        return
    EVERYTHING.model.model_validate(found)


@given(st.dictionaries(st.sampled_from(sorted(kinds.fields(EVERYTHING.model))), _JUNK) | _JUNK)
@settings(max_examples=600, deadline=None)
def test_any_canonical_record_ends_in_a_record_or_a_mapping_error(record: Any) -> None:
    try:
        EVERYTHING.to_native(record)
    except errors.MappingError as error:
        told(error)


def test_input_is_never_changed() -> None:
    native = {**ORDER, "rows": [{"id": "1", "q": 1}], "content": {"a": [1]}, "to": {"p": "1"}}
    before = repr(native)
    found = EVERYTHING.from_native(native)
    assert repr(native) == before
    found["extra"]["a"].append(2)
    assert repr(native) == before
    before = repr(found)
    EVERYTHING.to_native(found)
    assert repr(found) == before


def test_one_mapping_serves_many_threads() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for _ in range(200):
            found = EVERYTHING.from_native({**ORDER, "id": number, "rows": [{"id": number, "q": number}]})
            if found["id"] != str(number) or found["lines"][0]["quantity"] != number:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


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
    assert repr(files.mapping(BASE)).count("\n") == 0
    assert isinstance(files.mapping(BASE), engine.Mapping)

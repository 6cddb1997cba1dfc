"""Lists through rules of their own, objects, JSON inside a field, elements chosen by key."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mappings import errors
from tests.unit.mappings import files


def test_lists_through_their_own_rules() -> None:
    rules = """
native: orders.order
  canonical: lines
  each:
    - {native: oid, canonical: id}
    - {native: num, canonical: quantity, codec: number, as: integer}
    - {native: label, expr: 'parent.number + "-" + id + "-" + @config.x', way: to}
"""
    found = files.reads(rules, {"orders": {"order": [{"oid": 1, "num": "2"}, {"oid": "b", "num": 3}]}})
    assert found["lines"] == [{"id": "1", "quantity": Decimal(2)}, {"id": "b", "quantity": Decimal(3)}]
    assert files.reads(rules, {"orders": {"order": {"oid": 1, "num": 2}}})["lines"] == [
        {"id": "1", "quantity": Decimal(2)}
    ]
    assert "lines" not in files.reads(rules, {"orders": ""})
    assert files.reads(rules, {"orders": {"order": []}})["lines"] == []
    native = files.writes(rules, {"number": "N", "lines": [{"id": "1", "quantity": "2"}]}, {"config": {"x": "c"}})
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
    found = files.reads(rules, {"phones": ["138", "", "139"], "extra_phones": [{"no": "137"}]})
    assert found["buyer"]["identities"] == [
        {"value": "138", "kind": "phone"},
        {"value": "139", "kind": "phone"},
        {"value": "137", "kind": "mobile"},
    ]
    context = {"order": {"lines": [{"id": "L1", "quantity": "1.5"}]}}
    assert files.writes(rules, found, context) == {"ids": ["138", "139"], "sub": [{"oid": "L1", "double": 3}]}


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
        files.reads(rules, {"rows": [{"id": "1", "q": 0}, {"id": "2", "q": 1}, {"id": "3", "q": "x"}]})
    assert (caught.value.native, caught.value.canonical) == ("rows[2].q", "lines[1].quantity")


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
    native = files.writes(rules, {"buyer_note": "你好", "freight": "8", "receiver": {"name": "张", "phone": "1"}})
    assert native == {"content": '{"text":"你好","n":800}', "to": {"n": "张", "p": "1"}}
    found = files.reads(rules, native)
    assert found["buyer_note"] == "你好"
    assert found["freight"] == Decimal("8.00")
    assert found["receiver"] == {"name": "张", "phone": "1"}
    assert files.writes(rules, {}) == {}


def test_identities_by_key_both_ways() -> None:
    rules = """
{native: openid, canonical: 'buyer.identities[kind=wechat.openid].value'}
{native: unionid, canonical: 'buyer.identities[kind=unionid].value'}
"""
    found = files.reads(rules, {"openid": "O", "unionid": "U"})
    assert found["buyer"]["identities"] == [{"kind": "wechat.openid", "value": "O"}, {"kind": "unionid", "value": "U"}]
    assert files.writes(
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

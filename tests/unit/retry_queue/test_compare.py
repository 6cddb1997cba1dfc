"""Comparing two records: what differs is named, and what only looks different is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from mappings import library
from retry_queue.sync import carried, compare

ORDER = ("status", "total", "paid_at", "receiver.phone", "lines.sku", "lines.quantity", "lines.price", "tags")


def apart(left: dict[str, Any], right: dict[str, Any], **near: str) -> list[dict[str, Any]]:
    paths = ORDER
    terms = compare.Terms(paths, {path.replace("__", "."): Decimal(value) for path, value in near.items()})
    return compare.differences(compare.body(left, paths), compare.body(right, paths), terms)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"total": Decimal("188.00")}, {"total": "188"}),
        ({"total": "0188"}, {"total": "0188"}),
        ({"status": None}, {"status": ""}),
        ({}, {"tags": []}),
        ({"receiver": {}}, {"receiver": {"phone": None}}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}),
        (
            {"paid_at": datetime(2026, 1, 1, 8, 0, 0, tzinfo=timezone(timedelta(hours=8)))},
            {"paid_at": datetime(2026, 1, 1, 0, 0, 0, 900_000, tzinfo=UTC)},
        ),
        ({"receiver": {"phone": "138****0001"}}, {"receiver": {"phone": "13812340001"}}),
        (
            {"lines": [{"sku": "A", "quantity": "1"}, {"sku": "B", "quantity": 2}]},
            {"lines": [{"sku": "B", "quantity": "2.0"}, {"sku": "A", "quantity": 1, "title": "not compared"}]},
        ),
    ],
)
def test_what_only_looks_different(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert apart(left, right) == []
    assert apart(right, left) == []


@pytest.mark.parametrize(
    ("left", "right", "paths"),
    [
        ({"total": "188"}, {"total": "188.01"}, ["total"]),
        ({"total": "007"}, {"total": "7"}, ["total"]),
        ({"status": "paid"}, {}, ["status"]),
        ({"tags": ["a", "a"]}, {"tags": ["a"]}, ["tags"]),
        ({"receiver": {"phone": "138****0001"}}, {"receiver": {"phone": "13812340002"}}, ["receiver.phone"]),
        ({"receiver": {"phone": "***"}}, {"receiver": {"phone": "13812340002"}}, ["receiver.phone"]),
        (
            {"paid_at": datetime(2026, 1, 1, tzinfo=UTC)}, {"paid_at": datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)},
            ["paid_at"],
        ),
    ],
)  # fmt: skip
def test_what_differs(left: dict[str, Any], right: dict[str, Any], paths: list[str]) -> None:
    assert [one["path"] for one in apart(left, right)] == paths
    assert [one["path"] for one in apart(right, left)] == paths


def test_lines_are_told_apart_by_what_names_them() -> None:
    left = {"lines": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 2}, {"sku": "C", "quantity": 3}]}
    right = {"lines": [{"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 2}, {"sku": "D", "quantity": 3}]}
    assert apart(left, right) == [
        {"path": "lines[sku=A].quantity", "left": "1", "right": "2"},
        {"path": "lines[sku=B].quantity", "left": "2", "right": "1"},
        {"path": "lines[sku=C]", "left": {"quantity": "3", "sku": "C"}, "right": None},
        {"path": "lines[sku=D]", "left": None, "right": {"quantity": "3", "sku": "D"}},
    ]
    twice = {"lines": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 2}]}
    (whole,) = apart(twice, {"lines": [{"sku": "A", "quantity": 3}]})
    assert (whole["path"], len(whole["left"])) == ("lines", 2)


def test_tolerances_are_for_numbers_and_times() -> None:
    assert apart({"total": "188.00"}, {"total": "188.02"}, total="0.02") == []
    assert apart({"total": "188.00"}, {"total": "188.03"}, total="0.02")
    assert apart({"status": "a"}, {"status": "b"}, status="5")
    late = {"paid_at": datetime(2026, 1, 1, 0, 1, tzinfo=UTC)}
    assert apart({"paid_at": datetime(2026, 1, 1, tzinfo=UTC)}, late, paid_at="60") == []
    line, other = {"lines": [{"sku": "A", "price": "9.99"}]}, {"lines": [{"sku": "A", "price": "10"}]}
    assert apart(line, other)
    assert apart(line, other, lines__price="0.01") == []


def test_only_what_both_carry_is_compared() -> None:
    common = {"status", "customer_id", "lines.id", "lines.sku", "lines.sku_id", "id", "number"}
    left = carried.Carried(frozenset({*common, "total"}), frozenset({*common, "freight"}))
    right = carried.Carried(frozenset({*common, "total", "freight"}), frozenset(common))
    assert compare.paths("order", left, right) == ("lines.sku", "status")
    assert compare.paths("order", left, right, only=["lines"]) == ("lines.sku",)
    assert compare.paths("order", left, right, only=["lines", "lines.id"]) == ("lines.id", "lines.sku")
    assert compare.paths("order", left, right, ignore=["lines"]) == ("status",)
    assert compare.paths("order", left, right, only=["total", "freight"]) == ("total",)


def test_what_a_mapping_carries_both_ways() -> None:
    found = carried.of(library.shipped("kingdee", "order"))
    assert {"lines.sku", "lines.quantity", "receiver.phone"} <= found.both
    assert not {"total", "lines.unit_price", "lines.paid", "status"} & found.both
    assert {"total", "lines.unit_price", "lines.paid", "status"} <= found.reads


def test_an_address_is_compared_by_what_it_says() -> None:
    split = {"province": "上海市", "city": "上海市", "district": "徐汇区", "street": "漕溪北路 18号"}
    whole = {"street": "上海市 徐汇区 漕溪北路18号"}
    terms = compare.Terms(("address",))
    assert compare.differences({"address": split}, {"address": whole}, terms) == []
    assert compare.differences({"address": split}, {"address": {"street": "上海市徐汇区漕溪北路19号"}}, terms)
    assert compare.differences({"address": split}, {"address": {"zip": "1"}}, terms)


def test_what_names_a_thing_in_any_system() -> None:
    assert compare.natural("customer", {"phone": "13800138000", "email": "a@b.cn"}) == ("phone", "13800138000")
    assert compare.natural("customer", {"phone": "138****8000", "email": "a@b.cn"}) == ("email", "a@b.cn")
    assert compare.natural("order", {"phone": "13800138000"}) is None


def test_a_very_long_value_is_cut() -> None:
    (one,) = apart({"status": "x" * 9000}, {"status": "y"})
    assert len(one["left"]) < 2100

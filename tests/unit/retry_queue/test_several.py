"""What the parts of a split order say together, and what several customers that are one say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from retry_queue.sync import compare, several

TERMS = compare.Terms(())


def order(total: str, *lines: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    return {
        "total": total, "currency": "CNY", "status": "paid",
        "lines": [{"sku": sku, "quantity": quantity, "paid": paid} for sku, quantity, paid in lines],
    } | more  # fmt: skip


WHOLE = order("100.00", ("A", "3", "60.00"), ("B", "1", "40.00"), number="T1")


def paths(left: list[Any], right: list[Any], entity: str = "order") -> list[str]:
    return [one["path"] for one in several.differences(entity, left, right, TERMS)]


def test_the_parts_of_a_split_order_add_up_to_it() -> None:
    parts = [
        order("40.00", ("A", "2", "40.00"), number="T1-1", status="shipped"),
        order("60", ("A", "1", "20"), ("B", "1", "40"), number="T1-2"),
    ]
    assert paths([WHOLE], parts) == []
    assert paths(parts, [WHOLE]) == []
    assert paths([WHOLE, WHOLE], [*parts, *parts]) == []


def test_what_does_not_add_up_is_told_with_its_sum() -> None:
    parts = [order("40.00", ("A", "2", "40.00")), order("59.00", ("A", "1", "20.00"), ("B", "2", "39.00"))]
    found = {one["path"]: (one["left"], one["right"]) for one in several.differences("order", [WHOLE], parts, TERMS)}
    assert found == {
        "total": ("100", "99"), "lines[sku=B].quantity": ("1", "2"), "lines[sku=B].paid": ("40", "39"),
    }  # fmt: skip
    near = compare.Terms((), {"total": Decimal(1), "lines.paid": Decimal(1)})
    assert [one["path"] for one in several.differences("order", [WHOLE], parts, near)] == ["lines[sku=B].quantity"]


def test_a_part_that_is_gone_is_missed() -> None:
    assert paths([WHOLE], [order("40.00", ("A", "2", "40.00"))]) == [
        "lines[sku=A].paid", "lines[sku=A].quantity", "lines[sku=B]", "total",
    ]  # fmt: skip


def test_every_part_of_an_order_must_say_the_same_but_for_what_moves_part_by_part() -> None:
    parts = [order("40.00", currency="CNY", paid_at="2024-11-11T00:00:00+00:00"), order("60.00", currency="USD")]
    whole = order("100.00", paid_at="2024-11-11T00:00:00+00:00")
    assert paths([whole], parts) == ["currency"]


def test_a_person_is_whoever_one_of_the_joined_customers_is() -> None:
    left = [{"name": "林小满", "phone": "13800000001", "tags": ["a", "b"]}, {"name": "小满", "phone": "13800000002"}]
    assert paths(left, [{"name": "小满", "phone": "138****0001", "tags": ["b", "a"]}], "customer") == []
    assert paths(left, [{"name": "别人", "phone": "13800000001", "tags": ["a"]}], "customer") == ["name", "tags"]
    assert paths(left, [{"name": "小满", "tags": ["a", "b"]}], "customer") == ["phone"]

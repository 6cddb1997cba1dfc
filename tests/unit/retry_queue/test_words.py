"""Message templates."""

from __future__ import annotations

import pytest

from retry_queue.sync import route, words

SCOPE = {
    "order": {"number": "T1", "total": "188.00", "buyer": {"name": "林小满"}, "lines": [{"sku": "A"}]},
    "contact": {"id": "wm1"},
    "empty": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("订单 {order.number} 已发货", "订单 T1 已发货"),
        ("{order.buyer.name}{order.total}", "林小满188.00"),
        ("{order.nothing}{nobody.name}{empty}!", "!"),
        ("{order.buyer}{order.lines}", ""),
        ("{} {Order.number} {order number} {{order.number}}", "{} {Order.number} {order number} {T1}"),
    ],
)
def test_marks_read_the_records(text: str, expected: str) -> None:
    assert words.fill(text, SCOPE) == expected


def test_what_a_record_says_is_not_read_again() -> None:
    assert words.fill("{a.b}", {"a": {"b": "{a.c}", "c": "secret"}}) == "{a.c}"


def test_a_message_goes_to_each_recipient_once_and_to_nobody_unknown() -> None:
    template = route.Template(
        key="shipped", title="{order.number}", text="{order.number} 已发货",
        recipients=["{contact.id}", " {contact.id} ", "boss", "{nobody.id}", ""], url="https://x/{order.number}",
    )  # fmt: skip
    assert words.message(template, SCOPE, "9-1") == {
        "id": "9-1", "recipients": ["wm1", "boss"], "text": "T1 已发货", "format": "text", "title": "T1",
        "url": "https://x/T1",
    }  # fmt: skip


def test_nobody_to_tell_leaves_no_recipients() -> None:
    template = route.Template(key="shipped", text="x", recipients=["{nobody.id}"])
    assert words.message(template, SCOPE, "9-1")["recipients"] == []

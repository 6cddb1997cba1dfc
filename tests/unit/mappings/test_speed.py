"""The cost of a mapping beside one written by hand for the same order: 30 fields, 3 lines of 5 each.

Ratios of the fastest runs, measured in turn and in time of the processor: a run that is longer than a busy machine lets
anybody work at a stretch would hold the work of others as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from mappings import frames
from tests.unit.mappings import files

RULES = """
{native: tid_str, canonical: id}
{native: tid_str, canonical: number, way: from}
{native: status, canonical: status, codec: enum, table: status}
{native: payment, canonical: total, codec: money, unit: yuan, places: 2}
{native: post_fee, canonical: freight, codec: money, unit: yuan, places: 2}
{native: discount_fee, canonical: discount_total, codec: money, unit: yuan, places: 2}
{native: total_fee, canonical: goods_total, codec: money, unit: yuan, places: 2}
{native: created, canonical: created_at, codec: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
{native: modified, canonical: updated_at, codec: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
{native: pay_time, canonical: paid_at, codec: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
{native: buyer_nick, canonical: buyer.nick}
{native: receiver_name, canonical: receiver.name}
{native: receiver_mobile, canonical: receiver.phone}
{native: receiver_city, canonical: receiver.address.city}
{native: receiver_address, canonical: receiver.address.street}
native: orders.order
  canonical: lines
  each:
    - {native: oid_str, canonical: id}
    - {native: outer_sku_id, canonical: sku}
    - {native: title, canonical: title}
    - {native: num, canonical: quantity, codec: number, as: integer}
    - {native: price, canonical: unit_price, codec: money, unit: yuan, places: 2}
"""
TABLE = {"WAIT_BUYER_PAY": "created", "WAIT_SELLER_SEND_GOODS": "paid"}
MAPPING = files.mapping(RULES, "tables: {status: {from: {WAIT_BUYER_PAY: created, WAIT_SELLER_SEND_GOODS: paid}}}")
ZONE = ZoneInfo("Asia/Shanghai")
NATIVE: dict[str, Any] = {
    "tid_str": "2067719225654838",
    "status": "WAIT_SELLER_SEND_GOODS",
    "payment": "188.00",
    "post_fee": "8.00",
    "discount_fee": "10.00",
    "total_fee": "198.00",
    "created": "2026-03-01 09:00:00",
    "modified": "2026-03-01 09:00:31",
    "pay_time": "2026-03-01 09:00:30",
    "buyer_nick": "测**1",
    "receiver_name": "张**",
    "receiver_mobile": "*******0001",
    "receiver_city": "杭州市",
    "receiver_address": "文*路***号***",
    "orders": {
        "order": [
            {
                "oid_str": f"206771922565483{n}",
                "outer_sku_id": "SKU-A",
                "title": "短袖",
                "num": n + 1,
                "price": f"99.0{n}",
            }
            for n in range(3)
        ]
    },
}

Step = Callable[[dict[str, Any], dict[str, Any]], None]


def field(source: tuple[str, ...], target: str, convert: Callable[[Any], Any]) -> Step:
    def step(record: dict[str, Any], out: dict[str, Any]) -> None:
        value: Any = record
        for key in source:
            value = value.get(key)
            if value is None:
                return
        out[target] = convert(value)

    return step


def inner(target: str, steps: list[Step]) -> Step:
    def step(record: dict[str, Any], out: dict[str, Any]) -> None:
        made: dict[str, Any] = {}
        for one in steps:
            one(record, made)
        if made:
            out[target] = made

    return step


def rows(source: tuple[str, ...], target: str, steps: list[Step]) -> Step:
    def element(record: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for one in steps:
            one(record, made)
        return made

    return field(source, target, lambda found: [element(record) for record in found])


def same(value: Any) -> Any:
    return value


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def local(value: datetime) -> str:
    return value.astimezone(ZONE).replace(tzinfo=None).isoformat(" ", "seconds")


CENT = Decimal("0.01")


def money(value: Decimal) -> str:
    return format(value.quantize(CENT), "f")


AMOUNTS = {"payment": "total", "post_fee": "freight", "discount_fee": "discount_total", "total_fee": "goods_total"}
TIMES = {"created": "created_at", "modified": "updated_at", "pay_time": "paid_at"}
BY_HAND = [
    field(("tid_str",), "id", same),
    field(("tid_str",), "number", same),
    field(("status",), "status", TABLE.__getitem__),
    *[field((native,), canonical, Decimal) for native, canonical in AMOUNTS.items()],
    *[field((native,), canonical, moment) for native, canonical in TIMES.items()],
    inner("buyer", [field(("buyer_nick",), "nick", same)]),
    inner(
        "receiver",
        [
            field(("receiver_name",), "name", same),
            field(("receiver_mobile",), "phone", same),
            inner("address", [field(("receiver_city",), "city", same), field(("receiver_address",), "street", same)]),
        ],
    ),
    rows(
        ("orders", "order"),
        "lines",
        [
            field(("oid_str",), "id", same),
            field(("outer_sku_id",), "sku", same),
            field(("title",), "title", same),
            field(("num",), "quantity", Decimal),
            field(("price",), "unit_price", Decimal),
        ],
    ),
]
BACK_BY_HAND = [
    field(("id",), "tid_str", same),
    field(("status",), "status", {value: key for key, value in TABLE.items()}.__getitem__),
    *[field((canonical,), native, money) for native, canonical in AMOUNTS.items()],
    *[field((canonical,), native, local) for native, canonical in TIMES.items()],
    field(("buyer", "nick"), "buyer_nick", same),
    field(("receiver", "name"), "receiver_name", same),
    field(("receiver", "phone"), "receiver_mobile", same),
    field(("receiver", "address", "city"), "receiver_city", same),
    field(("receiver", "address", "street"), "receiver_address", same),
    inner(
        "orders",
        [
            rows(
                ("lines",),
                "order",
                [
                    field(("id",), "oid_str", same),
                    field(("sku",), "outer_sku_id", same),
                    field(("title",), "title", same),
                    field(("quantity",), "num", int),
                    field(("unit_price",), "price", money),
                ],
            )
        ],
    ),
]


def by_hand(steps: list[Step], record: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for step in steps:
        step(record, out)
    return out


def fastest(*works: Callable[[], object]) -> list[float]:
    """Microseconds of the fastest of many short runs of each, taken in turn."""
    best = [float("inf")] * len(works)
    for _ in range(200):
        for number, work in enumerate(works):
            began = time.thread_time()
            for _ in range(20):
                work()
            best[number] = min(best[number], (time.thread_time() - began) / 20 * 1e6)
    return best


def test_the_two_make_the_same() -> None:
    canonical = MAPPING.from_native(NATIVE)
    assert canonical == by_hand(BY_HAND, NATIVE)
    assert MAPPING.to_native(canonical) == by_hand(BACK_BY_HAND, canonical) == NATIVE


def test_reading_costs_little_more_than_by_hand() -> None:
    def mapped() -> dict[str, Any]:
        out: dict[str, Any] = {}
        MAPPING.reader.run(NATIVE, out, frames.Frame(NATIVE, {}))
        return out

    def checked_by_hand() -> object:
        return MAPPING.model.__pydantic_validator__.validate_python(by_hand(BY_HAND, NATIVE))

    hand, ours, hand_checked, whole = fastest(
        lambda: by_hand(BY_HAND, NATIVE), mapped, checked_by_hand, lambda: MAPPING.from_native(NATIVE)
    )
    figures = f"by hand {hand:.1f} µs, mapped {ours:.1f}; with the model's check {hand_checked:.1f} and {whole:.1f}"
    print(figures)
    assert ours / hand < 2.0, figures
    assert whole / hand_checked < 1.5, figures


def test_writing_costs_little_more_than_by_hand() -> None:
    canonical = MAPPING.from_native(NATIVE)
    hand, ours = fastest(lambda: by_hand(BACK_BY_HAND, canonical), lambda: MAPPING.to_native(canonical))
    figures = f"by hand {hand:.1f} µs, mapped {ours:.1f}"
    print(figures)
    assert ours / hand < 2.0, figures

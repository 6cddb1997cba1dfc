"""The order's mapping written by hand as closures, in both directions: what the mapping engine is measured beside.

No checks beyond what the types need, no messages, no model: the least that reads and writes the same thirty fields.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

Step = Callable[[dict[str, Any], dict[str, Any]], None]

_ZONE = ZoneInfo("Asia/Shanghai")
_PLAIN = (
    "id number status hold hold_reason kind shop currency customer_id buyer.id buyer.nick buyer.name buyer.phone "
    "buyer.email receiver.name receiver.phone receiver.cipher receiver.address.country receiver.address.province "
    "receiver.address.city receiver.address.district receiver.address.town receiver.address.street "
    "receiver.address.zip buyer_note seller_note seller_flag document_status"
)
_MONEY = "goods_total discount_total freight total"
_TIMES = "created_at updated_at paid_at shipped_at completed_at ship_before"
_LINE = "id sku sku_id product_id title spec unit status refund_status"
_LINE_NUMBERS = "quantity unit_price discount total paid tax_rate"


def _same(value: Any) -> Any:
    return value


def _moment(value: Any) -> Any:
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=_ZONE)


def _said(value: Any) -> Any:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.astimezone(_ZONE).isoformat()


def _digits(value: Any) -> str:
    return format(value if isinstance(value, Decimal) else Decimal(value), "f")


def _step(path: str, convert: Callable[[Any], Any]) -> Step:
    *way, last = path.split(".")

    def run(given: dict[str, Any], out: dict[str, Any]) -> None:
        node: Any = given
        for name in way:
            node = node.get(name)
            if node is None:
                return
        value = node.get(last)
        if value is None:
            return
        there = out
        for name in way:
            there = there.setdefault(name, {})
        there[last] = convert(value)

    return run


def _each(path: str, steps: list[Step]) -> Step:
    def run(given: dict[str, Any], out: dict[str, Any]) -> None:
        found: list[dict[str, Any]] = []
        for element in given.get(path) or ():
            made: dict[str, Any] = {}
            for step in steps:
                step(element, made)
            found.append(made)
        out[path] = found

    return run


def _identities(given: dict[str, Any], out: dict[str, Any]) -> None:
    known = (given.get("buyer") or {}).get("identities")
    if known:
        out.setdefault("buyer", {})["identities"] = [{"kind": one["kind"], "value": one["value"]} for one in known]


def _way(amount: Callable[[Any], Any], moment: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    steps = [_step(path, _same) for path in _PLAIN.split()]
    steps += [_step(path, amount) for path in _MONEY.split()] + [_step(path, moment) for path in _TIMES.split()]
    lines = [_step(path, _same) for path in _LINE.split()] + [_step(path, amount) for path in _LINE_NUMBERS.split()]
    payments = [_step("id", _same), _step("method", _same), _step("amount", amount), _step("paid_at", moment)]
    steps += [_identities, _each("lines", lines), _each("payments", payments)]

    def run(given: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for step in steps:
            step(given, out)
        return out

    return run


reading = _way(Decimal, _moment)
"""Native to canonical."""
writing = _way(_digits, _said)
"""Canonical (amounts and times may be text, as the ledger keeps them) to native."""

"""The books of one pretend company: customers, materials, sales orders; answers in the vendor's own envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]


class Refused(Exception):
    """A call that is refused: errcode, words, HTTP status."""

    def __init__(self, code: int, words: str, status: int = 200) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


class Books:
    """All records. ``clock`` gives local time as text, ``final`` hears of committed changes."""

    def __init__(self, clock: Callable[[], str], final: Callable[[str, str, Any], None]) -> None:
        self.clock, self.final = clock, final
        self.customers: dict[str, Row] = {}
        self.materials: dict[str, Row] = {}
        self.orders: dict[str, Row] = {}
        self._number = 1763000000000000000

    def next(self) -> str:
        self._number += 1
        return str(self._number)

    def save_order(self, given: Row) -> Row:
        """POST sal_order: a document in status Z; a number that is taken is refused."""
        number = str(given.get("bill_no") or f"XSDD{len(self.orders) + 1:06d}")
        rows = given.get("material_entity")
        if not given.get("bill_date") or not isinstance(rows, list) or not rows:
            raise Refused(1, "参数bill_date、material_entity不能为空")
        customer = self.customers.get(str(given.get("customer_number") or ""))
        if customer is None:
            raise Refused(1, f"参数customer_number[{given.get('customer_number')}]不存在")
        if number in self.orders:
            raise Refused(1, f"单据编号[{number}]组合值重复")
        made: Row = {
            **{key: value for key, value in given.items() if key != "material_entity"},
            "id": self.next(),
            "bill_no": number,
            "bill_status": "Z",
            "bill_close_state": "A",
            "customer_name": customer["name"],
            "create_time": self.clock(),
            "modify_time": self.clock(),
            "material_entity": [self._row(row) for row in rows],
        }
        self.orders[number] = made
        self.final("sales_order", number, given)
        return {"ids": [made["id"]], "id_number_map": {made["id"]: number}}

    def _row(self, row: Row) -> Row:
        goods = self.materials.get(str(row.get("material_number") or ""))
        if goods is None:
            raise Refused(1, f"参数material_number[{row.get('material_number')}]不存在")
        quantity, rate = float(row.get("qty") or 0), float(row.get("cess") or 0)
        if quantity <= 0:
            raise Refused(1, "参数qty必须大于0")
        price = float(row.get("tax_price") or float(row.get("price") or 0) * (1 + rate / 100))
        whole = round(price * quantity, 2)
        net = round(whole / (1 + rate / 100), 2)
        told = {"id": self.next(), "material_name": goods["name"], "unit_name": "件", "tax_price": price}
        return {**row, **told, "all_amount": whole, "amount": net}

    def save_customer(self, given: Row) -> Row:
        """POST customer: new ones only."""
        number, name = str(given.get("number") or ""), str(given.get("name") or "")
        if not number or not name:
            raise Refused(1, "参数number、name不能为空")
        if number in self.customers:
            raise Refused(1, f"编码[{number}]已存在")
        if any(one["name"] == name for one in self.customers.values()):
            raise Refused(1, f"名称[{name}]已存在")
        self.add_customer(number, name, given)
        self.final("customer", number, given)
        return {"ids": [self.customers[number]["id"]], "id_number_map": {self.customers[number]["id"]: number}}

    def add_customer(self, number: str, name: str, more: Row) -> None:
        times = {"create_time": self.clock(), "modify_time": self.clock()}
        self.customers[number] = {**more, "id": self.next(), "number": number, "name": name, "enable": "1", **times}

    def touch(self, row: Row, **changes: Any) -> None:
        row.update(changes, modify_time=self.clock())

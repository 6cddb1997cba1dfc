"""One company's U8 behind the gateway: sales orders, deliveries, returns, stock, materials, customers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
NEEDED = ("businesstype", "typecode", "custcode", "deptcode", "entry")
RETURNED = ("operation_type", "saletype", "custcode", "deptcode", "entry")


class Refused(Exception):
    """A call that is refused: errcode and words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Site:
    """All records. ``today`` gives the date as text, ``final`` hears of committed changes."""

    def __init__(self, today: Callable[[], str], final: Callable[[str, str, Any], object]) -> None:
        self.today, self.final = today, final
        self.orders: dict[str, Row] = {}
        self.deliveries: dict[str, Row] = {}
        self.returns: dict[str, Row] = {}
        self.stock: dict[str, Decimal] = {}
        self.batches: dict[tuple[str, str, str], Decimal] = {}
        self.goods: dict[str, Row] = {}
        self.customers: dict[str, Row] = {}
        self.results: dict[str, Row | Refused] = {}
        self.workflow = False

    def once(self, business: str, make: Callable[[], Row]) -> Row:
        """The result of a biz_id, worked out once; a refusal is a result as well."""
        if business not in self.results:
            try:
                self.results[business] = copy.deepcopy(make())
            except Refused as refused:
                self.results[business] = refused
        found = self.results[business]
        if isinstance(found, Refused):
            raise found
        return found

    def add_order(self, given: Row) -> Row:
        code = self._checked(given, NEEDED, self.orders, "XS")
        if sorted(row.get("rowno") for row in given["entry"]) != [*range(1, len(given["entry"]) + 1)]:
            raise Refused("20001", "表体rowno不正确")
        for row in given["entry"]:
            if row.get("inventorycode") not in self.goods:
                raise Refused("20003", f"存货编码{row.get('inventorycode')}错误")
            if row.get("bgift") not in (0, 1) or Decimal(str(row["quantity"])) <= 0:
                raise Refused("20001", "表体bgift、quantity不正确")
        self._kept(code, given, self.orders, "sales_order")
        return {"id": code}

    def _checked(self, given: Row, needed: tuple[str, ...], kept: dict[str, Row], prefix: str) -> str:
        """The number of a new document whose head will do. Raises Refused."""
        missing = [name for name in needed if given.get(name) in (None, "", [])]
        if missing:
            raise Refused("20001", f"{missing[0]}不能为空")
        code = str(given.get("code") or f"{prefix}{len(kept) + 1:08d}")
        if code in kept:
            raise Refused("20002", f"单据号{code}已存在")
        if given["custcode"] not in self.customers:
            raise Refused("20003", f"客户编码{given['custcode']}错误")
        return code

    def _kept(self, code: str, given: Row, kept: dict[str, Row], kind: str) -> None:
        kept[code] = {**copy.deepcopy(given), "code": code, "date": given.get("date") or self.today()}
        kept[code] |= {"state": "Opening", "verifier": "", "closer": ""}
        kept[code]["cusname"] = self.customers[given["custcode"]]["name"]
        self.final(kind, code, given)

    def add_return(self, given: Row) -> Row:
        """A return without a source document; its quantities are negative."""
        code = self._checked(given, RETURNED, self.returns, "TH")
        for row in given["entry"]:
            if row.get("inventory_code") not in self.goods:
                raise Refused("20003", f"存货编码{row.get('inventory_code')}错误")
            if Decimal(str(row.get("quantity") or 0)) >= 0 or Decimal(str(row.get("sum") or 0)) > 0:
                raise Refused("20001", "退货单表体quantity必须小于0")
        self._kept(code, given, self.returns, "return")
        return {"id": code}

    def returned(self, code: str) -> Row:
        if code not in self.returns:
            raise Refused("20010", f"单据{code}不存在")
        return self.returns[code]

    def order(self, code: str) -> Row:
        if code not in self.orders:
            raise Refused("20010", f"单据{code}不存在")
        return self.orders[code]

    def verify(self, code: str) -> Row:
        return self._verified(self.order(code), "sales_order.verify")

    def close(self, code: str) -> Row:
        """Closes a verified order of which nothing was delivered."""
        one = self.order(code)
        if one["state"] == "Closed":
            raise Refused("20004", f"单据{code}已关闭")
        if one["state"] != "Approved":
            raise Refused("20004", f"单据{code}未审核，不能关闭")
        if any(row["socode"] == code for note in self.deliveries.values() for row in note["entry"]):
            raise Refused("20004", f"单据{code}已发货，不能关闭")
        one.update(state="Closed", closer="demo")
        self.final("sales_order.close", code, None)
        return {"id": code}

    def verify_return(self, code: str) -> Row:
        """Goods that came back are in stock once their document is verified."""
        one = self.returned(code)
        told = self._verified(one, "return.verify")
        self.take_back(one)
        return told

    def take_back(self, one: Row) -> None:
        for row in one["entry"] if one["state"] == "Approved" else []:
            self.stock[row["inventory_code"]] -= Decimal(str(row["quantity"]))

    def _verified(self, one: Row, kind: str) -> Row:
        if one["state"] == "Approved":
            raise Refused("20004", f"单据{one['code']}已审核")
        if self.workflow:
            one["state"] = "审批中"
            return {"id": one["code"]}
        one.update(state="Approved", verifier="demo")
        self.final(kind, one["code"], None)
        return {"id": one["code"]}

    def add_customer(self, given: Row) -> Row:
        missing = [name for name in ("code", "name", "sort_code") if not given.get(name)]
        if missing:
            raise Refused("20001", f"{missing[0]}不能为空")
        if given["code"] in self.customers:
            raise Refused("20002", f"客户编码{given['code']}已存在")
        self.customers[given["code"]] = copy.deepcopy(given)
        self.final("customer", given["code"], given)
        return {"id": given["code"]}

    def edit_customer(self, given: Row) -> Row:
        """An edit; one that says what is already so changes nothing."""
        known = self.customer(str(given.get("code")))
        if {**known, **given} != known:
            known.update(given)
            self.final("customer.update", given["code"], given)
        return {"id": given["code"]}

    def customer(self, code: str) -> Row:
        if code not in self.customers:
            raise Refused("20010", f"客户{code}不存在")
        return self.customers[code]

    def ship(self, code: str, waybill: str, carrier: str) -> Row:
        """A person makes and verifies the delivery of a whole order; stock goes down."""
        order, number = self.order(code), f"FH{len(self.deliveries) + 1:08d}"
        rows = []
        for row in order["entry"]:
            self.stock[row["inventorycode"]] -= Decimal(str(row["quantity"]))
            told = {"inventory_code": row["inventorycode"], "warehouse_code": "01", "quantity": row["quantity"]}
            rows.append({**told, "socode": code, "rowno": row["rowno"]})
        self.deliveries[number] = {
            "code": number, "date": self.today(), "custcode": order["custcode"], "state": "Approved",
            "verifier": "demo", "define11": waybill, "define12": carrier, "entry": rows,
        }  # fmt: skip
        return self.deliveries[number]

    def levels(self, code: str) -> list[Row]:
        """What there is of a material: without a batch, then a row for each batch."""
        rows = {(code, "01", ""): self.stock[code]} | {key: one for key, one in self.batches.items() if key[0] == code}
        return [
            {"invcode": code, "whcode": house, "whname": "成品仓", "batch": batch, "qty": float(quantity)}
            for (code, house, batch), quantity in rows.items()
        ]


def heads(rows: list[Row], begin: str, end: str) -> list[Row]:
    """Documents of these days as lists show them: without their rows."""
    found = [one for one in rows if begin <= one["date"] <= (end or "9999")]
    return [{key: value for key, value in one.items() if key != "entry"} for one in found]

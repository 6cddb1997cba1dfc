"""The books of one pretend company: customers, goods, stock, sales documents; answers in the vendor's own envelope."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
STOCK = "CK001"
"""The number of the warehouse that sells."""
BINS = ("A-01", "A-02", "B-01")
"""Where goods lie that are kept in several bins; what is sold leaves the first."""


MUTABLE = (
    "account_open_addr", "bank", "c_level_id", "city_id", "country_id", "credit_limit", "custom_field", "deduct",
    "district_id", "group_id", "invoice_email", "invoice_name", "invoice_type", "province_id", "rate", "remark",
    "sale_dept_id", "saler_id", "setting_term_id", "taxpayer_no",
)  # fmt: skip
"""What a customer is saved with in plain; an update that leaves one of them out empties it here."""


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
        self.outbounds: dict[str, Row] = {}
        self.inbounds: dict[str, Row] = {}
        self.shelves: dict[tuple[str, str, str], Decimal] = {}
        self._number = 1763000000000000000

    def next(self) -> str:
        self._number += 1
        return str(self._number)

    def save_order(self, given: Row) -> Row:
        """POST sal_order: a document in status Z; a number that is taken is refused."""
        return self._saved(given, self.orders, "sales_order", "XSDD")

    def save_return(self, given: Row) -> Row:
        """POST sal_in_bound: goods that came back, in status Z; they are in stock once it is audited."""
        return self._saved(given, self.inbounds, "return", "XSTH")

    def _saved(self, given: Row, kept: dict[str, Row], kind: str, prefix: str) -> Row:
        number = str(given.get("bill_no") or f"{prefix}{len(kept) + 1:06d}")
        rows = given.get("material_entity")
        if not given.get("bill_date") or not isinstance(rows, list) or not rows:
            raise Refused(1, "参数bill_date、material_entity不能为空")
        customer = self.customers.get(str(given.get("customer_number") or ""))
        if customer is None:
            raise Refused(1, f"参数customer_number[{given.get('customer_number')}]不存在")
        if number in kept:
            raise Refused(1, f"单据编号[{number}]组合值重复")
        made: Row = {
            **{key: value for key, value in given.items() if key != "material_entity"},
            "id": self.next(),
            "bill_no": number,
            "bill_status": "Z",
            "customer_name": customer["name"],
            "create_time": self.clock(),
            "modify_time": self.clock(),
            "material_entity": [self._row(row) for row in rows],
        }
        kept[number] = made | ({"bill_close_state": "A"} if kept is self.orders else {})
        self.final(kind, number, given)
        return {"ids": [made["id"]], "id_number_map": {made["id"]: number}}

    def operate(self, given: Row) -> Row:
        """POST common_operate: audits, deletes or closes the documents named by their numbers."""
        kinds = {"sal_bill_order": (self.orders, "sales_order"), "sal_bill_inbound": (self.inbounds, "return")}
        acts = {"audit": self._audited, "delete": self._deleted, "close_donothing": self._closed}
        act = acts.get(str(given.get("operate_type")))
        if act is None or given.get("entity_number") not in kinds:
            raise Refused(1, "参数operate_type或entity_number错误")
        kept, kind = kinds[given["entity_number"]]
        found = [kept.get(str(number)) for number in given.get("numbers") or []]
        documents = [one for one in found if one is not None]
        if not documents or len(documents) != len(found):
            raise Refused(1, "单据不存在")
        act(kept, kind, documents)
        numbers = {one["id"]: one["bill_no"] for one in documents}
        return {"ids": list(numbers), "id_number_map": numbers}

    def _audited(self, _kept: dict[str, Row], kind: str, documents: list[Row]) -> None:
        done = [one["bill_no"] for one in documents if one["bill_status"] == "C"]
        if done:
            raise Refused(1, f"单据[{done[0]}]已审核，不能重复审核")
        for one in documents:
            self.audit(one)
            self.final(f"{kind}.audit", one["bill_no"], None)

    def _deleted(self, kept: dict[str, Row], kind: str, documents: list[Row]) -> None:
        audited = [one["bill_no"] for one in documents if one["bill_status"] == "C"]
        if audited:
            raise Refused(1, f"单据[{audited[0]}]已审核，不能删除")
        for one in documents:
            del kept[one["bill_no"]]
            self.final(f"{kind}.delete", one["bill_no"], None)

    def _closed(self, _kept: dict[str, Row], kind: str, documents: list[Row]) -> None:
        wrong = [one["bill_no"] for one in documents if (one["bill_status"], one.get("bill_close_state")) != ("C", "A")]
        if wrong:
            raise Refused(1, f"单据[{wrong[0]}]未审核或已关闭，不能关闭")
        for one in documents:
            self.touch(one, bill_close_state="H")
            self.final(f"{kind}.close", one["bill_no"], None)

    def audit(self, one: Row) -> None:
        """What an audit changes; goods of a return are in stock from now."""
        if self.inbounds.get(one["bill_no"]) is one:
            for row in one["material_entity"]:
                self.move(row["material_number"], Decimal(str(row["qty"])))
        self.touch(one, bill_status="C", auditor_name="张会计", audit_time=self.clock())

    def ship(self, order: Row, carrier: str, waybill: str) -> Row:
        """A person pushes a whole order to an outbound document and audits it; stock goes down."""
        number = f"XSCK-{self.clock()[:10].replace('-', '')}-{len(self.outbounds) + 1:05d}"
        source = {"src_bill_no": order["bill_no"], "src_bill_type_id": "sal_bill_order"}
        rows = []
        for row in order["material_entity"]:
            self.move(row["material_number"], -Decimal(str(row["qty"])))
            rows.append({**row, **source, "id": self.next(), "stock_number": STOCK})
        self.outbounds[number] = {
            "id": self.next(), "bill_no": number, "bill_date": self.clock()[:10], "bill_status": "Z",
            "customer_number": order["customer_number"], "customer_name": order["customer_name"],
            "contact_linkman": order.get("contact_linkman", ""), "create_time": self.clock(), "material_entity": rows,
            "express_entity": [{"seq": 1, "delivery_bill_no": waybill, "express_company_name": carrier}],
        }  # fmt: skip
        self.audit(self.outbounds[number])
        self.touch(order, bill_status="C", bill_close_state="S")
        return self.outbounds[number]

    def move(self, number: str, quantity: Decimal) -> None:
        """Goods come to, or leave, the first bin of the warehouse that sells."""
        place = next(one for one in self.shelves if one[:2] == (number, STOCK))
        self.shelves[place] += quantity

    def count(self, number: str) -> Decimal:
        """All there is of some goods."""
        return sum((quantity for place, quantity in self.shelves.items() if place[0] == number), Decimal(0))

    def put(self, number: str, warehouse: str, bin: str, quantity: Decimal) -> None:
        """So much lies in a bin from now on."""
        if number not in self.materials:
            raise LookupError(f"no goods {number}")
        self.shelves[number, warehouse, bin] = quantity

    def levels(self) -> list[Row]:
        """Stock as its list shows it: a row for each bin, quantities are text. What tells the bin is not read by us."""
        rows = []
        for (number, warehouse, bin), quantity in self.shelves.items():
            goods = self.materials[number]
            named = {"material_id": goods["id"], "material_number": number, "material_name": goods["name"]}
            place = {"stock_number": warehouse, "stock_name": "成品仓", "sp_number": bin, "aux_prop_number": ""}
            rows.append({**named, **place, "qty": f"{quantity:f}", "valid_qty": f"{quantity:f}"})
        return rows

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

    def add_goods(self, number: str, name: str, quantity: int) -> None:
        times = {"create_time": self.clock(), "modify_time": self.clock()}
        more = {"enable": "1", "base_unit_name": "件", "parent_name": "商品", "barcode": "", "model": ""}
        self.materials[number] = {"id": self.next(), "number": number, "name": name, **more, **times}
        self.put(number, STOCK, "", Decimal(quantity))

    def save_customer(self, given: Row) -> Row:
        """POST customer: a new one, or with its ``id`` one there is."""
        number, name = str(given.get("number") or ""), str(given.get("name") or "")
        if not number or not name:
            raise Refused(1, "参数number、name不能为空")
        known = next((one for one in self.customers.values() if one["id"] == given.get("id")), None)
        if given.get("id") and known is None:
            raise Refused(1, f"参数id[{given['id']}]不存在")
        if self.customers.get(number, known) is not known:
            raise Refused(1, f"编码[{number}]已存在")
        if any(one["name"] == name for one in self.customers.values() if one is not known):
            raise Refused(1, f"名称[{name}]已存在")
        if known is not None:
            before = dict(known)
            known.update({key: given.get(key, "") for key in MUTABLE}, number=number, name=name)
            if known != before:
                self.touch(known)
                self.final("customer.update", number, given)
            return {"ids": [known["id"]], "id_number_map": {known["id"]: number}}
        self.add_customer(number, name, given)
        self.final("customer", number, given)
        return {"ids": [self.customers[number]["id"]], "id_number_map": {self.customers[number]["id"]: number}}

    def add_customer(self, number: str, name: str, more: Row) -> None:
        times = {"create_time": self.clock(), "modify_time": self.clock()}
        self.customers[number] = {**more, "id": self.next(), "number": number, "name": name, "enable": "1", **times}

    def touch(self, row: Row, **changes: Any) -> None:
        row.update(changes, modify_time=self.clock())

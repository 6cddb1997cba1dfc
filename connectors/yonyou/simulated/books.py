"""The pretend tenant's records: sales orders, deliveries, stock, customers, materials, and the keys of its saves.

Ids are 19 digits, told as JSON numbers in some answers and as text in others, as the vendor does. Times are the
tenant's local text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
KEPT = 3600
"""Seconds for which the answer to a resubmitCheckKey is replayed; later it is only known to be a duplicate."""
COUNTED = ("currentqty", "availableqty", "planavailableqty")
"""The quantities of a row of stock that goods which leave take with them."""
SOUND = 2006555827382257001
"""The id of the state of goods that may be sold."""


class Refused(Exception):
    """A call that the tenant refuses: the vendor's code (as it is written) and words."""

    def __init__(self, code: str | int, words: str, data: Any = None) -> None:
        super().__init__(words)
        self.code, self.words, self.data = code, words, data


class Books:
    """All records. ``clock`` gives local time as text, ``now`` Unix seconds, ``final`` hears of committed changes."""

    def __init__(
        self, clock: Callable[[], str], now: Callable[[], float], final: Callable[[str, str, Any], None]
    ) -> None:
        self.clock, self.now, self.final = clock, now, final
        self.orders: dict[int, Row] = {}
        self.deliveries: dict[int, Row] = {}
        self.customers: dict[str, Row] = {}
        self.stock: list[Row] = []
        self.goods: dict[str, Row] = {}
        self.keys: dict[tuple[str, str], tuple[float, Any]] = {}
        self.workflow = False
        self._number = 2293918375186688000
        self._counts = {"UO": 0, "FH": 0, "TH": 0, "XSCK": 0}

    def next(self) -> int:
        self._number += 1
        return self._number

    def code(self, prefix: str) -> str:
        self._counts[prefix] += 1
        return f"{prefix}-{self.clock()[:10].replace('-', '')}{self._counts[prefix]:06d}"

    def once(self, path: str, data: Row, make: Callable[[Row], Any]) -> Any:
        """A save under its resubmitCheckKey: replayed for an hour, afterwards a duplicate that only tells the id."""
        key = str(data.get("resubmitCheckKey") or "")
        if len(key) > 32:
            raise Refused("999", "resubmitCheckKey长度不能超过32")
        if key:
            known = self.keys.get((path, key))
            if known is not None and self.now() - known[0] <= KEPT:
                return copy.deepcopy(known[1])
            if known is not None:
                raise Refused("10004", "重复提交", {"id": _id_of(known[1])})
        made = make(data)
        if key:
            self.keys[(path, key)] = (self.now(), copy.deepcopy(made))
        return made

    # Sales orders.

    def save_order(self, data: Row) -> Row:
        """voucherorder/singleSave: checks what the server checks, then a document in status 0."""
        _check_order(data)
        customer = str(data["agentId"])
        if customer not in self.customers:
            raise Refused("999", f"客户编码[{customer}]不存在或未分配到当前销售组织")
        for row in data["orderDetails"]:
            if row["productId"] not in self.goods:
                raise Refused("999", f"物料编码[{row['productId']}]不存在")
        if data["_status"] != "Insert":
            raise Refused("999", "只支持新增")
        number = self.next()
        order = {
            **{key: value for key, value in data.items() if key not in ("orderDetails", "resubmitCheckKey")},
            "id": number,
            "code": data.get("code") or self.code("UO"),
            "agentId_name": self.customers[customer]["name"]["simplifiedName"],
            "agentId": self.customers[customer]["id"],
            "status": 0,
            "verifystate": 0,
            "nextStatus": "CONFIRMORDER",
            "pubts": self.clock(),
            "orderDetails": [{**row, "id": self.next(), "sendQty": 0} for row in data["orderDetails"]],
        }
        self.orders[number] = order
        self.final("sales_order", str((data.get("headItem") or {}).get("define1") or number), data)
        return {**order, "orderPrices": {"currency": data["orderPrices!currency"], "exchRate": 1}}

    def touch(self, row: Row, **changes: Any) -> None:
        row.update(changes, pubts=self.clock())

    def submit(self, order: Row) -> None:
        if order["status"] != 0 or order["verifystate"] == 1:
            raise Refused("200", f"单据[{order['code']}]已提交，不能重复提交")
        if self.workflow:
            self.touch(order, status=3, verifystate=1, nextStatus="APPROVING")
        else:
            self.touch(order, status=1, verifystate=2, nextStatus="DELIVERGOODS")
        self.final("sales_order.submit", order["code"], None)

    def audit(self, order: Row, *, people: bool = False) -> None:
        if order["status"] in (1, 2):
            raise Refused("200", f"单据[{order['code']}]已审核，不能重复审核")
        if self.workflow and not people:
            raise Refused("200", f"单据[{order['code']}]启用了审批流，请先提交")
        self.touch(order, status=1, verifystate=2, nextStatus="DELIVERGOODS")
        self.final("sales_order.audit", order["code"], None)

    def unaudit(self, order: Row) -> None:
        """Takes an audit back, unless a delivery was made from the order."""
        if order["status"] != 1:
            raise Refused("200", f"单据[{order['code']}]未审核，不能弃审")
        if any(one["orderId"] == order["id"] for one in self.deliveries.values()):
            raise Refused("200", f"单据[{order['code']}]已生成下游单据，不能弃审")
        self.touch(order, status=0, verifystate=0, nextStatus="CONFIRMORDER")
        self.final("sales_order.unaudit", order["code"], None)

    def delete(self, order: Row) -> None:
        if order["status"] != 0 or order["verifystate"] == 1:
            raise Refused("200", f"单据[{order['code']}]不是开立状态，不能删除")
        del self.orders[order["id"]]
        self.final("sales_order.delete", order["code"], None)

    def rows(self, order: Row, *, whole: bool) -> list[Row]:
        """An order as the list shows it: one record with the head, or one per row with the head repeated."""
        head = {key: value for key, value in order.items() if key != "orderDetails" and "!" not in key}
        head["statusCode"] = order["nextStatus"]
        head["orderPrices"] = {"currency": order.get("orderPrices!currency"), "originalName": "人民币", "exchRate": 1}
        if whole:
            return [head]
        return [{**head, **self._shown(row)} for row in order["orderDetails"]]

    def _shown(self, row: Row) -> Row:
        goods = self.goods[row["productId"]]
        names = ("qty", "subQty", "priceQty", "oriSum", "sendQty")
        shown: Row = {key: row[key] for key in names if key in row}
        return {
            **shown,
            "orderDetailId": row["id"],
            "oriTaxUnitPrice": row.get("oriTaxUnitPrice"),
            "productCode": goods["code"],
            "productName": goods["name"],
            "skuCode": goods["code"],
            "memo": row.get("memo", ""),
        }

    # Deliveries.

    def save_delivery(self, data: Row) -> Row:
        """voucherdelivery/saveFromSaleOrder: rows of one audited order."""
        details = data.get("deliveryDetails")
        if not isinstance(details, list) or not details or not data.get("vouchdate"):
            raise Refused("999", "发货单明细和单据日期不能为空")
        order = self.orders.get(_number(details[0].get("sourceid")))
        if order is None:
            raise Refused("999", "来源单据不存在")
        if order["status"] != 1:
            raise Refused("999", "来源单据未审核")
        known = {row["id"]: row for row in order["orderDetails"]}
        for one in details:
            row = known.get(_number(one.get("sourceautoid")))
            if row is None:
                raise Refused("999", "来源单据明细不存在")
            if Decimal(str(one.get("qty") or 0)) <= 0:
                raise Refused("999", "数量必须大于0")
        return self._delivered(order, details, data)

    def _delivered(self, order: Row, details: list[Row], data: Row) -> Row:
        number = self.next()
        delivery = {
            "id": number,
            "code": self.code("FH"),
            "orderNo": order["code"],
            "orderId": order["id"],
            "agentId": order["agentId"],
            "agentId_name": order["agentId_name"],
            "vouchdate": data["vouchdate"],
            "statusCode": "DELIVERUNAUDITED",
            "status": 0,
            "verifystate": 0,
            "logisticsBillNo": data.get("logisticsBillNo", ""),
            "logisticWayId_name": "",
            "headItem": data.get("headItem") or {},
            "pubts": self.clock(),
            "rows": [{**one, "id": self.next()} for one in details],
        }
        self.deliveries[number] = delivery
        self.final("delivery", delivery["code"], data)
        return {key: value for key, value in delivery.items() if key != "rows"}

    def delivery(self, number: Any) -> Row | None:
        return self.deliveries.get(_number(number))

    def audit_delivery(self, one: Row) -> None:
        if one["statusCode"] != "DELIVERUNAUDITED":
            raise Refused("200", f"单据[{one['code']}]已审核，不能重复审核")
        self.touch(one, statusCode="DELIVERING", status=1, verifystate=2)
        one["nextStatus"] = "DELIVERING"
        self.final("delivery.audit", one["code"], None)

    def ship(self, order: Row, carrier: str, waybill: str) -> Row:
        """A person makes, audits and sends the delivery of a whole order; stock goes down."""
        details = [
            {"sourceid": order["id"], "sourceautoid": row["id"], "qty": row["qty"], "subQty": row["qty"]}
            for row in order["orderDetails"]
        ]
        made = self._delivered(order, details, {"vouchdate": self.clock()[:10] + " 00:00:00"})
        delivery = self.deliveries[made["id"]]
        self.touch(delivery, statusCode="DELIVERED", status=1, verifystate=2)
        delivery.update(logisticsBillNo=waybill, logisticWayId_name=carrier)
        for row in order["orderDetails"]:
            row["sendQty"] = row["qty"]
            code = self.goods[row["productId"]]["code"]
            for level in [one for one in self.stock if one["product_code"] == code][:1]:  # the oldest batch goes first
                for name in COUNTED:
                    level[name] -= int(row["qty"])
        self.touch(order, nextStatus="TAKEDELIVERY")
        return delivery

    def delivery_rows(self, delivery: Row, *, whole: bool) -> list[Row]:
        head = {key: value for key, value in delivery.items() if key != "rows"}
        head["id"] = str(head["id"])
        if whole:
            return [head]
        order = self.orders[delivery["orderId"]]
        known = {row["id"]: row for row in order["orderDetails"]}
        found = []
        for row in delivery["rows"]:
            goods = self.goods[known[_number(row["sourceautoid"])]["productId"]]
            more = {"deliveryDetailId": row["id"], "orderDetailId": str(row["sourceautoid"]), "qty": row["qty"]}
            found.append({**head, **more, "productCode": goods["code"], "skuCode": goods["code"], "subQty": row["qty"]})
        return found

    # Customers.

    def save_customer(self, data: Row) -> list[Row]:
        """merchant/idempotent/newinsert: new ones only."""
        code, name = str(data.get("code") or ""), (data.get("name") or {}).get("simplifiedName")
        if not code or not name or not data.get("createOrgCode"):
            raise Refused(0, "客户名称不能为空!")
        if code in self.customers:
            raise Refused(0, f"客户编码[{code}]重复")
        kept = {key: value for key, value in data.items() if key != "resubmitCheckKey"}
        self.customers[code] = {
            **kept,
            "id": self.next(),
            "stopStatus": False,
            "createTime": self.clock(),
            "modifyTime": self.clock(),
        }
        self.final("customer", code, data)
        return [{"id": self.customers[code]["id"], "code": code}]

    def change_customer(self, data: Row) -> None:
        """One element of batch/merchant/save with ``_status`` Update."""
        kept = self.customers.get(str(data.get("code") or ""))
        if kept is None or data.get("_status") != "Update":
            raise Refused("999", f"客户编码[{data.get('code')}]不存在")
        if not data.get("org_code") or not (data.get("name") or {}).get("zh_CN"):
            raise Refused("999", "org_code和name不能为空")
        kept["name"] = {"simplifiedName": data["name"]["zh_CN"]}
        kept.update({key: data[key] for key in ("contactTel", "email", "creditCode") if data.get(key)})
        kept["modifyTime"] = self.clock()
        self.final("customer.update", str(data["code"]), data)


def _number(value: Any) -> int:
    text = str(value or "")
    return int(text) if text.isdigit() else 0


def _id_of(made: Any) -> Any:
    return made["id"] if isinstance(made, dict) else made[0]["id"]


def _check_order(data: Row) -> None:
    """What the server checks before anything else. Raises Refused."""
    needed = ["salesOrgId", "transactionTypeId", "vouchdate", "agentId", "invoiceAgentId", "settlementOrgId"]
    needed += [f"orderPrices!{name}" for name in ("currency", "natCurrency", "exchRate", "exchangeRateType")]
    missing = [name for name in [*needed, "payMoney", "_status", "orderDetails"] if data.get(name) in (None, "", [])]
    if missing:
        raise Refused("999", f"{missing[0]}不能为空")
    total = Decimal(0)
    for row in data["orderDetails"]:
        for name in ("_status", "productId", "qty", "oriSum", "masterUnitId", "stockOrgId"):
            if row.get(name) in (None, ""):
                raise Refused("999", f"明细{name}不能为空")
        parts = [Decimal(str(row[f"orderDetailPrices!{name}"])) for name in ("oriMoney", "oriTax")]
        if sum(parts) != Decimal(str(row["oriSum"])):
            raise Refused("999", "含税金额不等于无税金额加税额")
        total += Decimal(str(row["oriSum"]))
    if total != Decimal(str(data["payMoney"])):
        raise Refused("999", "应付金额与明细含税金额合计不一致")

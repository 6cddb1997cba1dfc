"""The pretend tenant: shops, internal documents that are merged and split, stock, after-sales.

One shop order (``so_id``) may stand in several documents (``o_id``), and one document may hold several shop orders.
Rows are kept as the vendor shows them; times are the tenant's local text, amounts text with two places.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
PAID = ("WAIT_SELLER_SEND_GOODS",)
OPEN = ("WaitPay", "WaitConfirm", "WaitFConfirm", "Question", "Delivering", "WaitOuterSent")
GONE = ("Merged", "Split", "Cancelled")
_PARCEL = ("o_id", "shop_id", "send_date", "lc_id", "l_id", "logistics_company", "freight", "modified", "ts")
_PARCEL_ITEM = ("sku_id", "qty", "outer_oi_id", "raw_so_id", "refund_status", "oi_id")


class Refused(Exception):
    """A whole call that the tenant refuses: the vendor's code and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


def yuan(value: Any) -> str:
    """An amount as answers show it."""
    return f"{Decimal(str(value or 0)):.2f}"


class Erp:
    """All records of one tenant. ``clock`` gives local time as text, ``final`` is told of every committed change."""

    def __init__(self, shops: dict[int, str], clock: Callable[[], str], final: Callable[[str, str, Any], None]) -> None:
        self.shops, self.clock, self.final = shops, clock, final
        self.documents: dict[int, Row] = {}
        self.uploads: dict[tuple[int, str], Row] = {}
        self.stock: dict[str, Row] = {}
        self.goods: dict[str, Row] = {}
        self.after_sales: dict[int, Row] = {}
        self.takes: set[str] = set()
        self.waybills = 0
        self._row_version = 900000000
        self._number = 11700000

    def _next(self) -> int:
        self._number += 1
        return self._number

    def touch(self, row: Row) -> None:
        """A changed row: newer time, newer row version."""
        self._row_version += 1
        row["modified"], row["ts"] = self.clock(), self._row_version

    # Orders.

    def of_order(self, so_id: str) -> list[Row]:
        """Every document that this shop order is or was in."""
        return [
            one
            for one in self.documents.values()
            if one["so_id"] == so_id or any(item["raw_so_id"] == so_id for item in one["items"])
        ]

    def upload(self, order: Any) -> Row:
        """One element of orders/upload; never raises: the answer's row says what was wrong."""
        if not isinstance(order, dict):
            return _said(None, "订单格式不正确")
        so_id, shop = str(order.get("so_id") or ""), order.get("shop_id")
        if not isinstance(shop, int) or shop not in self.shops:
            return _said(so_id, f"店铺编号[{shop}]不存在")
        problem = _order_problem(order)
        if problem:
            return _said(so_id, problem)
        known = self.uploads.get((shop, so_id))
        if known is not None and known == order:
            return _said(so_id, "", self.of_order(so_id)[0]["o_id"])
        self.uploads[(shop, so_id)] = copy.deepcopy(order)
        if known is None:
            return _said(so_id, "", self._created(shop, order)["o_id"])
        return _said(so_id, "", self._updated(so_id, order)["o_id"])

    def _created(self, shop: int, order: Row) -> Row:
        number = self._next()
        row: Row = {
            "o_id": number,
            "so_id": order["so_id"],
            "shop_id": shop,
            "shop_name": self.shops[shop],
            "order_from": "OPENAPI",
            "type": "普通订单",
            "created": self.clock(),
            "pay_date": "",
            "send_date": "",
            "lc_id": "",
            "l_id": "",
            "logistics_company": "",
            "wms_co_id": 0,
            "is_cod": bool(order.get("is_cod")),
            "labels": "",
            "question_type": "",
            "items": [self._item(order, item) for item in order["items"]],
            "pays": [],
        }
        self._filled(row, order)
        row["status"] = self._state(row, order)
        self.touch(row)
        self.documents[number] = row
        self._hold_stock(row, 1)
        self.final("order.upload", order["so_id"], order)
        return row

    def _item(self, order: Row, item: Row) -> Row:
        return {
            "oi_id": self._next(),
            "sku_id": item["sku_id"],
            "shop_sku_id": item.get("shop_sku_id", ""),
            "name": item.get("name", ""),
            "properties_value": item.get("properties_value", ""),
            "qty": int(item["qty"]),
            "price": yuan(item.get("price")),
            "base_price": yuan(item.get("base_price")),
            "amount": yuan(item["amount"]),
            "outer_oi_id": item.get("outer_oi_id", ""),
            "raw_so_id": order["so_id"],
            "is_gift": "false",
            "refund_status": item.get("refund_status") or "none",
            "refund_qty": int(item.get("refund_qty") or 0),
        }

    def _filled(self, row: Row, order: Row) -> None:
        for key in ("order_date", "shop_status", "shop_buyer_id", "buyer_message", "remark"):
            row[key] = order.get(key, row.get(key, ""))
        for key in ("receiver_name", "receiver_state", "receiver_city", "receiver_district", "receiver_address"):
            row[key] = order.get(key, "")
        row["receiver_mobile"] = order.get("receiver_mobile", "")
        row["pay_amount"], row["freight"] = yuan(order["pay_amount"]), yuan(order.get("freight"))
        row["amount"] = yuan(sum(Decimal(item["amount"]) for item in row["items"]))
        pay = order.get("pay")
        if isinstance(pay, dict) and pay:
            row["pay_date"], row["paid_amount"] = pay.get("pay_date", ""), pay.get("amount")
            row["pays"] = [{"pay_id": row["o_id"] + 40000000, "status": "Confirmed", **pay}]

    def _state(self, row: Row, order: Row) -> str:
        """Where an order stands by what the shop says and what the ERP finds."""
        if order["shop_status"].startswith("TRADE_CLOSED"):
            return "Cancelled"
        if all(item["refund_status"] == "success" for item in row["items"]):
            return "Cancelled"
        if order["shop_status"] == "WAIT_BUYER_PAY":
            return "WaitPay"
        total = Decimal(row["amount"]) + Decimal(row["freight"])
        unknown = [item["sku_id"] for item in row["items"] if item["sku_id"] not in self.stock]
        if any(item["refund_status"] == "waiting" for item in row["items"]):
            row["question_type"] = "退款中"
        elif unknown:
            row["question_type"] = "商品编码缺失"
        elif total != Decimal(row["pay_amount"]):
            row["question_type"] = "付款金额与订单金额不一致"
        else:
            row["question_type"] = ""
            return "WaitConfirm"
        return "Question"

    def _updated(self, so_id: str, order: Row) -> Row:
        rows = [one for one in self.of_order(so_id) if one["status"] in OPEN]
        if not rows:  # shipped, merged away or cancelled: taken without effect
            return self.of_order(so_id)[0]
        row = rows[0]
        self._hold_stock(row, -1)
        known = {item["outer_oi_id"]: item for item in row["items"]}
        for item in order["items"]:
            if item["outer_oi_id"] in known:
                known[item["outer_oi_id"]]["refund_status"] = item.get("refund_status") or "none"
                known[item["outer_oi_id"]]["refund_qty"] = int(item.get("refund_qty") or 0)
        self._filled(row, order)
        row["status"] = self._state(row, order)
        self.touch(row)
        self._hold_stock(row, 1)
        self.final("order.update", so_id, order)
        return row

    def cancel(self, row: Row, remark: str) -> None:
        """A person or the cancel API ends a document that is not shipped."""
        if row["status"] not in OPEN:
            raise Refused(160, f"订单[{row['o_id']}]状态不允许取消")
        self._hold_stock(row, -1)
        row["status"], row["remark"] = "Cancelled", remark
        self.touch(row)
        self.final("order.cancel", str(row["o_id"]), remark)

    def question(self, row: Row, kind: str) -> None:
        """Somebody marks a document as not to be shipped for now; an empty kind takes the mark off."""
        row["status"], row["question_type"] = ("Question", kind) if kind else ("WaitConfirm", "")
        self.touch(row)

    def split(self, row: Row, quantities: Iterable[int]) -> list[Row]:
        """Two documents out of one: the first takes ``quantities`` of each row, the second what is left."""
        parts = []
        taken = dict(zip((item["oi_id"] for item in row["items"]), quantities, strict=False))
        for first in (True, False):
            part = copy.deepcopy(row)
            part.update(o_id=self._next(), order_from="SPLIT", is_split=True, link_o_id=str(row["o_id"]))
            items = []
            for item in part["items"]:
                count = taken.get(item["oi_id"], 0) if first else item["qty"] - taken.get(item["oi_id"], 0)
                if count > 0:
                    each = Decimal(item["amount"]) / item["qty"]
                    items.append({**item, "oi_id": self._next(), "qty": count, "amount": yuan(each * count)})
            part["items"] = items
            part["pay_amount"] = yuan(sum(Decimal(item["amount"]) for item in items))
            self.documents[part["o_id"]] = part
            self.touch(part)
            parts.append(part)
        row["status"] = "Split"
        self.touch(row)
        return parts

    def merge(self, rows: list[Row]) -> Row:
        """One document out of several of the same buyer."""
        made = copy.deepcopy(rows[0])
        numbers = ",".join(row["so_id"] for row in rows)
        made.update(o_id=self._next(), order_from="MERGE", is_merge=True, merge_so_id=numbers)
        made["items"] = [copy.deepcopy(item) for row in rows for item in row["items"]]
        made["pay_amount"] = yuan(sum(Decimal(row["pay_amount"]) for row in rows))
        for row in rows:
            row["status"], row["link_o_id"] = "Merged", str(made["o_id"])
            self.touch(row)
        self.documents[made["o_id"]] = made
        self.touch(made)
        return made

    # Shipping and stock.

    def ship(self, row: Row, carrier: str, company: str, waybill: str | None = None) -> Row:
        """The warehouse sends a document: stock goes down."""
        if row["status"] not in ("WaitConfirm", "Delivering", "WaitFConfirm", "WaitOuterSent"):
            raise Refused(160, f"订单[{row['o_id']}]状态为{row['status']}，不能发货")
        self.waybills += 1
        self._hold_stock(row, -1)
        for item in row["items"]:
            kept = self.stock.get(item["sku_id"])
            if kept is not None:
                kept["qty"] -= item["qty"]
                self.touch(kept)
        row.update(status="Sent", shop_status="WAIT_BUYER_CONFIRM_GOODS", send_date=self.clock())
        row.update(lc_id=carrier, logistics_company=company, l_id=waybill or f"{carrier}{self.waybills:013d}")
        self.touch(row)
        return row

    def _hold_stock(self, row: Row, sign: int) -> None:
        if row["status"] in GONE or row["status"] in ("WaitPay", "Sent"):
            return
        for item in row["items"]:
            kept = self.stock.get(item["sku_id"])
            if kept is not None:
                kept["order_lock"] = max(0, kept["order_lock"] + sign * item["qty"])
                self.touch(kept)

    def parcels(self) -> list[Row]:
        """What logistic/query shows: one row per shipped document and shop order."""
        found = []
        for row in self.documents.values():
            if row["status"] != "Sent":
                continue
            for so_id in dict.fromkeys(item["raw_so_id"] for item in row["items"]):
                own = [item for item in row["items"] if item["raw_so_id"] == so_id]
                items = [{key: item[key] for key in _PARCEL_ITEM} for item in own]
                found.append({"so_id": so_id, **{key: row[key] for key in _PARCEL}, "items": items})
        return found

    def report(self, sent: Row) -> None:
        """One element of order/sent/upload: the parcel left somewhere else."""
        rows = [one for one in self._of_shop(sent) if one["status"] not in GONE]
        if not rows:
            raise Refused(130, "订单不存在")
        if not sent.get("l_id") or not sent.get("lc_id"):
            raise Refused(130, "快递单号或快递公司不能为空")
        if any(row["status"] == "Sent" for row in rows):
            raise Refused(160, "订单已发货")
        self.ship(rows[0], str(sent["lc_id"]), str(sent.get("lc_name") or ""), str(sent["l_id"]))
        self.final("shipment.upload", str(sent["l_id"]), sent)

    def _of_shop(self, given: Row) -> list[Row]:
        """The documents of an order, in the shop that is named beside its number."""
        shop, rows = given.get("shop_id"), self.of_order(str(given.get("so_id") or ""))
        return [row for row in rows if shop is None or row["shop_id"] == shop]

    def take(self, given: Row) -> Row:
        """A stock take; its so_id counts once, whatever comes with it later."""
        number = str(given.get("so_id") or "")
        if not number or not isinstance(given.get("items"), list):
            raise Refused(130, "外部单号和商品明细不能为空")
        if number not in self.takes:
            for item in given["items"]:
                if item.get("sku_id") not in self.stock:
                    raise Refused(130, f"商品编码[{item.get('sku_id')}]不存在")
            for item in given["items"]:
                kept = self.stock[item["sku_id"]]
                kept["qty"] = int(item["qty"]) + (kept["qty"] if given.get("type") == "adjust" else 0)
                self.touch(kept)
            self.takes.add(number)
            self.final("stock.take", number, given)
        return {"io_id": 9000000 + len(self.takes)}

    # After-sales.

    def upload_after_sale(self, given: Any) -> Row:
        """One element of aftersale/upload: new, or the same outer number brought up to date."""
        outer = str(given.get("outer_as_id") or "") if isinstance(given, dict) else ""
        rows = self._of_shop(given) if outer else []
        if not rows:
            return {"outer_as_id": outer, "issuccess": False, "msg": "原始订单不存在"}
        known = next((one for one in self.after_sales.values() if one["outer_as_id"] == outer), None)
        fields = {key: value for key, value in given.items() if key != "items"}
        if known is not None and all(known.get(key) == value for key, value in fields.items()):
            return {"outer_as_id": outer, "as_id": known["as_id"], "issuccess": True, "msg": ""}
        made = {"as_id": self._next(), "o_id": rows[0]["o_id"], "created": self.clock(), "as_date": self.clock()}
        row = known or made
        row.update(fields)
        row.setdefault("status", "WaitConfirm")
        row["items"] = [{"asi_id": self._next(), "as_id": row["as_id"], "r_qty": 0, **one} for one in given["items"]]
        self.touch(row)
        self.after_sales[row["as_id"]] = row
        self.final("refund.update" if known is not None else "refund.upload", outer, given)
        return {"outer_as_id": outer, "as_id": row["as_id"], "issuccess": True, "msg": ""}

    def confirm(self, row: Row, received: int | None = None) -> Row:
        """The clerk agrees and the warehouse has the goods: all of them, or no more than ``received`` of each."""
        row["status"], row["shop_status"] = "Confirmed", "SUCCESS"
        if row.get("type") in ("普通退货", "拒收退货"):
            row["good_status"] = "SELLER_RECEIVED"
            for item in row["items"]:
                wanted = int(item.get("qty") or 0)
                item["r_qty"] = wanted if received is None else min(wanted, received)
                kept = self.stock.get(item.get("sku_id", ""))
                if kept is not None:
                    kept["return_qty"] += item["r_qty"]
                    self.touch(kept)
        self.touch(row)
        return row


def _said(so_id: str | None, words: str, number: int | None = None) -> Row:
    return {"o_id": number, "so_id": so_id, "issuccess": number is not None, "msg": words}


def _order_problem(order: Row) -> str:
    """What the upload check finds first, empty when nothing."""
    missing = [key for key in ("so_id", "order_date", "shop_status", "shop_buyer_id") if not order.get(key)]
    if missing:
        return f"{missing[0]}不能为空"
    if not isinstance(order.get("pay_amount"), int | float):
        return "pay_amount必须为数字"
    items = order.get("items")
    if not isinstance(items, list) or not items:
        return "商品明细不能为空"
    for item in items:
        for key in ("sku_id", "qty", "outer_oi_id", "amount"):
            if item.get(key) in (None, ""):
                return f"商品明细{key}不能为空"
    numbers = [item["outer_oi_id"] for item in items]
    if len(numbers) != len(set(numbers)):
        return "outer_oi_id重复"
    if order["shop_status"] in PAID and not order.get("is_cod") and not order.get("pay"):
        return "已付款订单必须上传支付信息"
    return ""

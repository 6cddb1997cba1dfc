"""Paid orders of the simulated mini program, and the shipping information uploaded for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors.wechat.simulated import gate

Body = dict[str, Any]
Query = Mapping[str, str]
MASKED = re.compile(r".*\*{2,}.*\d{4}")


class Payments:
    """State only. ``appears`` is how many seconds after paying an order can be seen here."""

    def __init__(
        self, settings: Mapping[str, Any], now: Callable[[], float], commit: Callable[[str, str, Any], object]
    ) -> None:
        self.settings, self.now, self.commit = settings, now, commit
        self.orders: dict[str, Body] = {}

    def pay(self, trade_no: str, openid: str, amount: int, description: str, combined: str = "") -> Body:
        """Somebody pays ``amount`` fen; ``combined``: the number of the whole that this is a part of."""
        number = f"42000000002026{len(self.orders) + 1:014d}"
        self.orders[number] = {
            "transaction_id": number,
            "merchant_id": self.settings["mch_id"],
            "sub_merchant_id": "",
            "merchant_trade_no": trade_no,
            "description": description,
            "paid_amount": amount,
            "openid": openid,
            "trade_create_time": int(self.now()) - 10,
            "pay_time": int(self.now()),
            "order_state": 1,
            "in_complaint": False,
            "shipping": {"delivery_mode": 0, "logistics_type": 0, "finish_shipping": False, "shipping_list": []},
            "uploads": 0,
            "combined": combined,
        }
        return self.orders[number]

    def _find(self, transaction: Any, merchant: Any, trade_no: Any) -> Body:
        for order in self.orders.values():
            by_number = transaction and order["transaction_id"] == transaction
            by_trade = not transaction and (order["merchant_id"], order["merchant_trade_no"]) == (merchant, trade_no)
            if (by_number or by_trade) and self.now() - order["pay_time"] >= float(self.settings["appears"]):
                return order
        raise gate.Refusal(10060001, "支付单不存在")

    def get(self, body: Body, _query: Query) -> Body:
        found = self._find(body.get("transaction_id"), body.get("merchant_id"), body.get("merchant_trade_no"))
        return {"order": _shown(found)}

    def rows(self, body: Body, _query: Query) -> Body:
        span = body.get("pay_time_range") or {}
        begin, end = int(span.get("begin_time", 0)), int(span.get("end_time", 2**40))
        rows = [one for one in self.orders.values() if begin <= one["pay_time"] <= end]
        if body.get("order_state"):
            rows = [one for one in rows if one["order_state"] == int(body["order_state"])]
        first, size = int(body.get("last_index") or 0), min(int(body.get("page_size") or 100), 100)
        page = rows[first : first + size]
        more = first + size < len(rows)
        return {"order_list": [_shown(one) for one in page], "has_more": more, "last_index": str(first + len(page))}

    def upload(self, body: Body, _query: Query) -> Body:
        """Checks what the vendor checks; a shipped order can be corrected once."""
        key = body.get("order_key") or {}
        if key.get("order_number_type") not in (1, 2):
            raise gate.Refusal(268485216, "order_key.order_number_type 非法")
        order = self._find(key.get("transaction_id"), key.get("mchid"), key.get("out_trade_no"))
        parcels = body.get("shipping_list") or []
        self._checked(body, order, parcels)
        if order["order_state"] == 5:
            raise gate.Refusal(10060004, "支付单处于不可发货的状态")
        kept = order["shipping"]
        if kept["finish_shipping"]:
            numbers = {one.get("tracking_no") for one in kept["shipping_list"]}
            if {one.get("tracking_no") for one in parcels} == numbers:
                raise gate.Refusal(10060002, "支付单已完成发货，无法继续发货")
            if order["uploads"] >= 2:
                raise gate.Refusal(10060003, "支付单已使用重新发货机会")
            kept["shipping_list"] = []
            order["uploads"] += 1
        split = body["delivery_mode"] == 2
        kept["shipping_list"] += parcels
        kept |= {"delivery_mode": body["delivery_mode"], "logistics_type": body["logistics_type"]}
        if not split or body.get("is_all_delivered"):
            kept["finish_shipping"] = True
            order["order_state"] = 2
            order["uploads"] = max(order["uploads"], 1)
        number = parcels[0].get("tracking_no", "")
        self.commit("shipping_info", f"{order['transaction_id']}:{number}", body)
        return {}

    def upload_combined(self, body: Body, query: Query) -> Body:
        """Every payment of a combined one, each checked before any counts; there is no combination of strangers."""
        key, subs = body.get("order_key") or {}, body.get("sub_orders") or []
        number = str(key.get("out_trade_no") or "")
        if key.get("order_number_type") != 1 or key.get("mchid") != self.settings["mch_id"] or not subs:
            raise gate.Refusal(268485216, "order_key 或 sub_orders 非法")
        rest = {name: body.get(name) for name in ("upload_time", "payer")}
        for sub in subs:
            inner = sub.get("order_key") or {}
            if inner.get("order_number_type") != 1:
                raise gate.Refusal(268485216, "子单与合单的订单类型必须一致")
            order = self._find(None, inner.get("mchid"), inner.get("out_trade_no"))
            if order["combined"] != number:
                raise gate.Refusal(268485216, "子单不属于该合单")
            self._checked({**sub, **rest}, order, sub.get("shipping_list") or [])
        for sub in subs:
            self.upload({**sub, **rest}, query)
        return {}

    def _checked(self, body: Body, order: Body, parcels: list[Body]) -> None:
        if body.get("logistics_type") not in (1, 2, 3, 4) or body.get("delivery_mode") not in (1, 2):
            raise gate.Refusal(268485216, "logistics_type 或 delivery_mode 非法")
        if body["delivery_mode"] == 2 and not isinstance(body.get("is_all_delivered"), bool):
            raise gate.Refusal(268485216, "分拆发货模式必须填写 is_all_delivered")
        if not 0 < len(parcels) <= (15 if body["delivery_mode"] == 2 else 1):
            raise gate.Refusal(268485216, "shipping_list 数量非法")
        if (body.get("payer") or {}).get("openid") != order["openid"]:
            raise gate.Refusal(268485216, "payer.openid 与支付单不符")
        try:
            if datetime.fromisoformat(str(body.get("upload_time"))).tzinfo is None:
                raise ValueError("no zone")
        except ValueError:
            raise gate.Refusal(268485216, "upload_time 格式错误") from None
        for one in parcels:
            if not 0 < len(one.get("item_desc", "")) <= 120:
                raise gate.Refusal(268485216, "item_desc 非法")
            if body["logistics_type"] == 1 and not (one.get("tracking_no") and one.get("express_company")):
                raise gate.Refusal(268485216, "物流快递发货必须填写单号和快递公司")
            contact = one.get("contact") or {}
            phone = contact.get("receiver_contact") or contact.get("consignor_contact") or ""
            if one.get("express_company") == "SF" and not MASKED.fullmatch(phone):
                raise gate.Refusal(268485216, "顺丰必须填写掩码后的联系方式")

    def remind(self, body: Body, _query: Query) -> Body:
        order = self._find(body.get("transaction_id"), body.get("merchant_id"), body.get("merchant_trade_no"))
        if order["order_state"] != 2 or order.get("reminded"):
            raise gate.Refusal(10060031, "该笔支付单不可提醒收货")
        order["reminded"] = True
        self.commit("remind", order["transaction_id"], body)
        return {}

    def managed(self, body: Body, _query: Query) -> Body:
        if body.get("appid") != self.settings["app_id"]:
            raise gate.Refusal(40013, "invalid appid")
        return {"is_trade_managed": True}


def _shown(order: Body) -> Body:
    return {key: value for key, value in order.items() if key not in ("uploads", "reminded", "combined")}

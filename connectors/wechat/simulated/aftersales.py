"""After-sales of the simulated shop. Agreeing is asynchronous: the platform refunds when ``settle`` is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.wechat.simulated import gate, shop

Record = dict[str, Any]
Query = Mapping[str, str]
OPEN = {"MERCHANT_PROCESSING", "USER_WAIT_RETURN", "MERCHANT_WAIT_RECEIPT", "PLATFORM_REFUNDING"}
REASONS = [
    {"reject_reason_type": 1, "reject_reason": "商品已影响二次销售"},
    {"reject_reason_type": 2, "reject_reason": "已与买家协商一致"},
]
DAY = 86400


class AfterSales:
    """State and rules; an open one keeps its order from being shipped."""

    def __init__(self, place: shop.Shop) -> None:
        self.shop = place
        self.cases: dict[str, Record] = {}

    def open(self, order_id: str, kind: str = "REFUND", reason: str = "不想要了") -> Record:
        """A buyer asks for the money of the first line."""
        order = self.shop.order(order_id)
        line, now = order["order_detail"]["product_infos"][0], int(self.shop.now())
        number = str(2000000000012345 + len(self.cases))
        case = {
            "after_sale_order_id": number,
            "status": "MERCHANT_PROCESSING",
            "openid": order["openid"],
            "unionid": order["unionid"],
            "order_id": order["order_id"],
            "product_info": {"product_id": line["product_id"], "sku_id": line["sku_id"], "count": line["sku_cnt"]},
            "details": {"desc": reason, "receive_product": order["status"] == 30, "cancel_time": 0},
            "refund_info": {"amount": line["real_price"], "refund_reason": 1},
            "return_info": {"waybill_id": "", "delivery_id": "", "delivery_name": ""},
            "create_time": now,
            "update_time": now,
            "reason": "NO_LONGER_WANT",
            "reason_text": "拍错/多拍",
            "type": kind,
            "deadline": 172800,
        }
        self.cases[number] = case
        line["on_aftersale_sku_cnt"] = line["sku_cnt"]
        order["aftersale_detail"]["aftersale_order_list"].append({"aftersale_order_id": number, "status": 1})
        self._moved(case, "MERCHANT_PROCESSING")
        return case

    def _moved(self, case: Record, status: str) -> None:
        case["status"], case["update_time"] = status, int(self.shop.now())
        order = self.shop.order(case["order_id"])
        line = next(
            one for one in order["order_detail"]["product_infos"] if one["sku_id"] == case["product_info"]["sku_id"]
        )
        if status not in OPEN:
            line["on_aftersale_sku_cnt"] = 0
        if status.endswith("_SUCCESS"):
            line["finish_aftersale_sku_cnt"] = line["sku_cnt"]
            if all(one["finish_aftersale_sku_cnt"] >= one["sku_cnt"] for one in order["order_detail"]["product_infos"]):
                order["status"] = 200
        counted = [one for one in self.cases.values() if one["order_id"] == order["order_id"] and one["status"] in OPEN]
        order["aftersale_detail"]["on_aftersale_order_cnt"] = len(counted)
        self.shop.touch(order)
        told = {key: case[key] for key in ("status", "after_sale_order_id", "order_id")}
        event = {"FromUserName": case["openid"], "finder_shop_aftersale_status_update": told}
        self.shop.tell("channels_ec_aftersale_update", event)

    def advance(self, number: str, what: str, given: Mapping[str, Any]) -> Record:
        """What the buyer or the platform does next: ``return``, ``settle``, ``fail``, ``cancel``."""
        case = self.cases[number]
        if what == "return":
            case["return_info"] = {
                "waybill_id": str(given.get("waybill_id", "SF0000000009")),
                "delivery_id": "SF",
                "delivery_name": "顺丰速运",
            }
        kind = "MERCHANT_REFUND_SUCCESS" if case["type"] == "REFUND" else "MERCHANT_RETURN_SUCCESS"
        following = {
            "return": "MERCHANT_WAIT_RECEIPT",
            "settle": kind,
            "fail": "PLATFORM_REFUND_FAIL",
            "cancel": "USER_CANCELD",
        }
        self._moved(case, following[what])
        return case

    # The API.

    def _case(self, body: Record) -> Record:
        found = self.cases.get(str(body.get("after_sale_order_id")))
        if found is None:
            raise gate.Refusal(10020000, "aftersale order not exist")
        return found

    def get(self, body: Record, _query: Query) -> Record:
        return {"after_sale_order": self._case(body)}

    def rows(self, body: Record, _query: Query) -> Record:
        name = "update" if body.get("begin_update_time") else "create"
        begin, end = int(body.get(f"begin_{name}_time") or 0), int(body.get(f"end_{name}_time") or 0)
        if not 0 <= end - begin <= DAY:
            raise gate.Refusal(10020003, "time range is illegal, at most 24 hours")
        rows = [key for key, one in self.cases.items() if begin <= one[f"{name}_time"] <= end]
        return shop.page(rows, body, "after_sale_order_id_list")

    def accept(self, body: Record, _query: Query) -> Record:
        """Without ``accept_type`` the platform takes the step that fits the present state."""
        case = self._case(body)
        returning = case["type"] != "REFUND"
        step = body.get("accept_type") or (2 if case["status"] == "MERCHANT_WAIT_RECEIPT" else 1)
        wanted = "MERCHANT_WAIT_RECEIPT" if returning and step == 2 else "MERCHANT_PROCESSING"
        if case["status"] != wanted:
            raise gate.Refusal(10020001, "aftersale status not allow")
        if returning and step == 1 and not body.get("address_id"):
            raise gate.Refusal(10020003, "address_id is empty")
        following = "USER_WAIT_RETURN" if returning and step == 1 else "PLATFORM_REFUNDING"
        self.shop.commit("accept", f"{case['after_sale_order_id']}:{following}", body)
        self._moved(case, following)
        return {}

    def reject(self, body: Record, _query: Query) -> Record:
        case = self._case(body)
        if case["status"] not in ("MERCHANT_PROCESSING", "MERCHANT_WAIT_RECEIPT"):
            raise gate.Refusal(10020001, "aftersale status not allow")
        if not body.get("reject_reason") and not body.get("reject_reason_type"):
            raise gate.Refusal(10020004, "reject_reason is empty")
        returned = case["status"] == "MERCHANT_WAIT_RECEIPT"
        self.shop.commit("reject", case["after_sale_order_id"], body)
        self._moved(case, "MERCHANT_REJECT_RETURN" if returned else "MERCHANT_REJECT_REFUND")
        return {}

    def reasons(self, _body: Record, _query: Query) -> Record:
        return {"reject_reason": REASONS}

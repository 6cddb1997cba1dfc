"""After-sales of the simulated shop: their life and what it does to the order.

Kept as the detail call shows them (fen as whole numbers); the list call shows yuan as text and counts the kinds
one higher, as the vendor does.
"""

from __future__ import annotations

from typing import Any

from connectors.pdd.simulated import shop

REFUND_ONLY, RETURN = 1, 2
"""``after_sales_type`` of the detail."""
REQUESTED, RETURN_REQUESTED, RETURN_AGREED, REFUNDED, WITHDRAWN = 2, 3, 7, 10, 11
TOPICS = {RETURN_AGREED: "RefundAgreeAgreement", REFUNDED: "RefundAgreeAgreement", WITHDRAWN: "RefundClosed"}


def open_refund(place: shop.Shop, sn: str, returning: bool, reason: str) -> shop.Record:
    """The buyer asks for the money back, with or without sending the goods back."""
    order = place.order(sn)
    if order["refund_status"] != shop.NO_REFUND:
        raise ValueError(f"order {sn} has an after-sale already")
    number, at, item = 600_000_000_000 + len(place.refunds) + 1, place.now(), order["item_list"][0]
    number += int(order["order_sn"][-6:]) * 1000
    place.refunds[number] = {
        "id": number,
        "order_sn": sn,
        "after_sales_type": RETURN if returning else REFUND_ONLY,
        "after_sales_status": RETURN_REQUESTED if returning else REQUESTED,
        "after_sales_reason": reason,
        "order_amount": _fen(order["pay_amount"]),
        "refund_amount": _fen(order["pay_amount"]),
        "discount_amount": _fen(order["discount_amount"]),
        "goods_number": item["goods_count"],
        "goods_price": _fen(item["goods_price"]),
        "sku_id": str(item["sku_id"]),
        "confirm_time": shop.unix(order["confirm_time"]),
        "recreated_at": int(at),
        "updated_time": shop.local(at),
        "expire_time": int(at) + 172800,
        "express_no": "",
        "shipping_name": "",
        "shipping_status": 0,
        "user_shipping_status": "1",
        "images": [],
        "remark": "",
        "join_or_not": "0",
        "dispute_refund_status": 0,
        "speed_refund_flag": 0,
        "refund_operator_role": 0,
        "exchange_shipping_detail": None,
    }
    order |= {"refund_status": 2, "after_sales_status": place.refunds[number]["after_sales_status"]}
    place.touch(order)
    _tell(place, place.refunds[number], "RefundCreated", 1000)
    return place.refunds[number]


def row(place: shop.Shop, refund: shop.Record) -> shop.Record:
    """As the list shows it."""
    item = place.order(refund["order_sn"])["item_list"][0]
    return {
        "id": refund["id"],
        "order_sn": refund["order_sn"],
        "after_sales_type": refund["after_sales_type"] + 1,
        "after_sales_status": refund["after_sales_status"],
        "after_sale_reason": refund["after_sales_reason"],
        "order_amount": _yuan(refund["order_amount"]),
        "refund_amount": _yuan(refund["refund_amount"]),
        "discount_amount": _yuan(refund["discount_amount"]),
        "goods_id": item["goods_id"],
        "sku_id": refund["sku_id"],
        "outer_goods_id": item["outer_goods_id"],
        "outer_id": item["outer_id"],
        "goods_name": item["goods_name"],
        "goods_number": str(refund["goods_number"]),
        "goods_price": _yuan(refund["goods_price"]),
        "confirm_time": shop.local(refund["confirm_time"]),
        "created_time": shop.local(refund["recreated_at"]),
        "updated_time": refund["updated_time"],
        "dispute_refund_status": 0,
        "speed_refund_flag": 0,
        "refund_operator_role": 0,
        "user_shipping_status": "1",
        "shipping_name": refund["shipping_name"],
        "tracking_number": refund["express_no"],
    }


def agree(place: shop.Shop, sn: str, number: int, returning: bool) -> str | None:
    """The seller agrees; None when it is done, else the vendor's words why not."""
    refund = place.refunds.get(number)
    if refund is None or refund["order_sn"] != sn:
        return "售后单不存在"
    wanted, next_state = (RETURN_REQUESTED, RETURN_AGREED) if returning else (REQUESTED, REFUNDED)
    if refund["after_sales_status"] != wanted:
        return "售后单状态已变更，请刷新后重试"
    place.commit("return_agreed" if returning else "refund", str(number), {"order_sn": sn})
    advance(place, number, next_state)
    return None


def advance(place: shop.Shop, number: int, status: int) -> shop.Record:
    """The after-sale reaches another state."""
    if number not in place.refunds:
        raise LookupError(f"no after-sale {number}")
    if status not in TOPICS:
        raise ValueError(f"no state {status} here; there are: {', '.join(map(str, TOPICS))}")
    refund = place.refunds[number]
    order = place.order(refund["order_sn"])
    refund |= {"after_sales_status": status, "updated_time": shop.local(place.now())}
    order |= {"after_sales_status": status, "refund_status": {REFUNDED: 4, WITHDRAWN: 1}.get(status, 2)}
    place.touch(order)
    _tell(place, refund, TOPICS[status], 2000)
    return refund


def _tell(place: shop.Shop, refund: shop.Record, topic: str, operation: int) -> None:
    content: dict[str, Any] = {
        "mall_id": place.mall_id,
        "refund_fee": refund["refund_amount"],
        "bill_type": refund["after_sales_type"],
        "modified": int(place.now() * 1000),
        "refund_id": refund["id"],
        "operation": operation,
        "tid": refund["order_sn"],
    }
    place.tell(f"pdd_refund_{topic}", content)


def _fen(yuan: float) -> int:
    return round(yuan * 100)


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"

"""Refunds of the simulated shop: their life cycle and what it does to the trade."""

from __future__ import annotations

from decimal import Decimal

from connectors.taobao.simulated import shop

TOPICS = {
    "WAIT_BUYER_RETURN_GOODS": "RefundSellerAgreeAgreement",
    "WAIT_SELLER_CONFIRM_GOODS": "RefundBuyerReturnGoods",
    "SELLER_REFUSE_BUYER": "RefundSellerRefuseAgreement",
    "CLOSED": "RefundClosed",
    "SUCCESS": "RefundSuccess",
}


def open_refund(place: shop.Shop, tid: int, oid: int | None, returning: bool, reason: str) -> shop.Record:
    """The buyer asks for money back on one line (the first open one when ``oid`` is None)."""
    trade = place.trade(tid)
    lines = [line for line in trade["orders"]["order"] if oid in (None, line["oid"])]
    lines = [line for line in lines if line["status"] not in shop.CLOSED and line["refund_status"] == "NO_REFUND"]
    if not lines or "pay_time" not in trade:
        raise ValueError(f"trade {tid} has no paid line to refund")
    line, at = lines[0], shop.local(place.now())
    number = str(300_000_000_000_000_000 + tid % 10**15 * 100 + len(place.refunds) % 100)
    refund = {
        "refund_id": number,
        "tid": tid,
        "oid": line["oid"],
        "alipay_no": trade["alipay_no"],
        "buyer_nick": trade["buyer_nick"],
        "buyer_open_uid": trade["buyer_open_uid"],
        "seller_nick": trade["seller_nick"],
        "status": "WAIT_SELLER_AGREE",
        "order_status": line["status"],
        "good_status": "BUYER_RECEIVED" if returning else "BUYER_NOT_RECEIVED",
        "has_good_return": returning,
        "refund_phase": "onsale",
        "dispute_type": "REFUND_AND_RETURN" if returning else "REFUND",
        "refund_fee": line["divide_order_fee"],
        "payment": "0.00",
        "total_fee": line["total_fee"],
        "price": line["price"],
        "num": line["num"],
        "num_iid": line["num_iid"],
        "outer_id": line["outer_sku_id"],
        "sku": f"{line['sku_id']}|{line['sku_properties_name']}",
        "title": line["title"],
        "reason": reason,
        "desc": reason,
        "created": at,
        "modified": at,
        "refund_version": int(place.now() * 1000),
        "operation_contraint": "null",
        "cs_status": 1,
        "advance_status": 0,
        "shipping_type": "express",
        "company_name": "",
        "sid": "",
        "address": "",
        "refund_remind_timeout": {
            "exist_timeout": True,
            "remind_type": 1,
            "timeout": shop.local(place.now() + 2 * 86400),
        },
    }
    place.refunds[number] = refund
    line |= {"refund_id": number, "refund_status": "WAIT_SELLER_AGREE"}
    trade["modified"] = at
    _tell(place, refund, "RefundCreated")
    return refund


def advance(place: shop.Shop, number: str, status: str) -> shop.Record:
    """Put a refund into its next state. Raises ValueError for an unknown state, LookupError for a number."""
    if status not in TOPICS:
        raise ValueError(f"no refund status {status}; there are: {', '.join(TOPICS)}")
    if number not in place.refunds:
        raise LookupError(f"no refund {number}")
    refund = place.refunds[number]
    trade = place.trade(refund["tid"])
    (line,) = [line for line in trade["orders"]["order"] if line["oid"] == refund["oid"]]
    refund |= {"status": status, "modified": shop.local(place.now()), "refund_version": int(place.now() * 1000)}
    line["refund_status"] = status
    trade["modified"] = refund["modified"]
    _tell(place, refund, TOPICS[status])
    if status == "SUCCESS":
        _paid_back(place, trade, line, refund)
    return refund


def _paid_back(place: shop.Shop, trade: shop.Record, line: shop.Record, refund: shop.Record) -> None:
    line["status"] = "TRADE_CLOSED"
    trade["payment"] = f"{max(Decimal(), Decimal(trade['payment']) - Decimal(refund['refund_fee'])):.2f}"
    whole = all(one["status"] == "TRADE_CLOSED" for one in trade["orders"]["order"])
    if whole:
        trade |= {"status": "TRADE_CLOSED", "end_time": refund["modified"]}
    more = {"refund_id": int(refund["refund_id"]), "refund_fee": refund["refund_fee"]}
    place.touch(trade, "TradeClose" if whole else "TradePartlyRefund", **more)


def _tell(place: shop.Shop, refund: shop.Record, topic: str) -> None:
    named = ("tid", "oid", "refund_fee", "refund_phase", "modified", "buyer_nick", "buyer_open_uid", "seller_nick")
    content = {name: refund[name] for name in named}
    place.tell(f"taobao_refund_{topic}", {**content, "refund_id": int(refund["refund_id"]), "bill_type": "refund_bill"})

"""Exchanges of the simulated Tmall shop: their states, told in the platform's Chinese words, and the seller's steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.taobao.simulated import calls, decisions, shop

Params = dict[str, str]
Answer = dict[str, Any]
ASKED, BACK, ARRIVED, CLOSED, DONE, AGAIN, TO_SEND, SENT, REFUND = (
    "换货待处理",
    "待买家退货",
    "买家已退货，待收货",
    "换货关闭",
    "换货成功",
    "待买家修改",
    "待发出换货商品",
    "待买家收货",
    "请退款",
)
REASONS = {31: "已过换货期限", 32: "商品影响二次销售"}
ALIASES = {"bizorder_id": "biz_order_id"}
"""Asked for by one name, answered under another, as the vendor does."""


def methods(place: shop.Shop) -> dict[str, Callable[[Params], Answer]]:
    """The calls by name."""
    return {
        "tmall.exchange.receive.get": lambda given: listed(place, given),
        "tmall.exchange.get": lambda given: one(place, given),
        "tmall.exchange.refusereason.get": reasons,
        "tmall.exchange.agree": lambda given: agree(place, given),
        "tmall.exchange.refuse": lambda given: refuse(place, given),
        "tmall.exchange.returngoods.agree": lambda given: received(place, given),
        "tmall.exchange.consigngoods": lambda given: sent(place, given),
    }


def ask(place: shop.Shop, tid: int, sku: int | None) -> shop.Record:
    """The buyer of a shipped trade wants other goods for its first line."""
    trade = place.trade(tid)
    line, at = trade["orders"]["order"][0], shop.local(place.now())
    if trade["status"] != "WAIT_BUYER_CONFIRM_GOODS":
        raise ValueError(f"trade {tid} was not shipped")
    number = str(400_000_000_000_000_000 + tid % 10**15 * 100 + len(place.exchanges) % 100)
    place.exchanges[number] = {
        "dispute_id": number,
        "biz_order_id": str(line["oid"]),
        "alipay_no": str(tid),
        "status": ASKED,
        "reason": "尺码不合适",
        "title": line["title"],
        "num": line["num"],
        "bought_sku": str(line["sku_id"]),
        "exchange_sku": str(sku or line["sku_id"]),
        "buyer_nick": trade["buyer_nick"],
        "seller_nick": trade["seller_nick"],
        "created": at,
        "modified": at,
        "time_out": shop.local(place.now() + 2 * 86400),
        "buyer_logistic_no": "",
        "buyer_logistic_name": "",
        "seller_logistic_no": "",
        "seller_logistic_name": "",
    }
    return place.exchanges[number]


def advance(place: shop.Shop, number: str, status: str, **more: str) -> shop.Record:
    """Put an exchange into another state. Raises LookupError."""
    if number not in place.exchanges:
        raise LookupError(f"no exchange {number}")
    place.exchanges[number] |= {"status": status, "modified": shop.local(place.now()), **more}
    return place.exchanges[number]


def listed(place: shop.Shop, given: Params) -> Answer:
    """By modification time; the end of the window is misspelt over there."""
    fields = calls.need(given, "fields")
    begin, end = calls.need(given, "start_gmt_modified_time"), calls.need(given, "end_gmt_modifed_time")
    rows = sorted((row for row in place.exchanges.values() if begin <= row["modified"] <= end), key=_modified)
    number, size = int(given.get("page_no") or 1), int(given.get("page_size") or 20)
    part = rows[(number - 1) * size : number * size]
    shown = calls.wrapped("results", "exchange", [_chosen(row, fields) for row in part])
    return {"total_results": len(rows), "page_results": len(part), "has_next": len(rows) > number * size, **shown}


def one(place: shop.Shop, given: Params) -> Answer:
    fields = calls.need(given, "fields")
    return {"result": {"success": True, "exchange": _chosen(_known(place, given), fields)}}


def reasons(given: Params) -> Answer:
    calls.need(given, "dispute_id")
    rows = [{"reason_id": key, "reason_text": text} for key, text in REASONS.items()]
    return {"result": {"total_results": len(rows), "results": {"reason": rows}}}


def agree(place: shop.Shop, given: Params) -> Answer:
    calls.need(given, "address_id")
    return _moved(place, given, ASKED, BACK, "exchange_agreed")


def refuse(place: shop.Shop, given: Params) -> Answer:
    if int(calls.need(given, "seller_refuse_reason_id")) not in REASONS:
        raise shop.remote("isv.invalid-parameter:seller_refuse_reason_id", "拒绝原因不正确")
    decisions.pictured(place, given, "leave_message_pics")
    return _moved(place, given, ASKED, AGAIN, "exchange_refused")


def received(place: shop.Shop, given: Params) -> Answer:
    return _moved(place, given, ARRIVED, TO_SEND, "exchange_received")


def sent(place: shop.Shop, given: Params) -> Answer:
    waybill, company = calls.need(given, "logistics_no"), calls.need(given, "logistics_company_name")
    if calls.need(given, "logistics_type") not in ("100", "200"):
        raise shop.Refused(41, "Invalid arguments:logistics_type")
    more = {"seller_logistic_no": waybill, "seller_logistic_name": company}
    return _moved(place, given, TO_SEND, SENT, "exchange_sent", **more)


def _moved(place: shop.Shop, given: Params, before: str, after: str, kind: str, **more: str) -> Answer:
    """The answer to a step; what does not fit the state fails inside of a success."""
    row = _known(place, given)
    if row["status"] != before:
        return {"result": {"success": False, "msg_code": "STATUS_ERROR", "message": f"换货单状态为{row['status']}"}}
    advance(place, row["dispute_id"], after, **more)
    place.commit(kind, row["dispute_id"], dict(more))
    return {"result": {"success": True, "msg_code": "", "exchange": _chosen(row, "dispute_id,bizorder_id,status")}}


def _known(place: shop.Shop, given: Params) -> shop.Record:
    number = str(calls.whole(given, "dispute_id"))
    if number not in place.exchanges:
        raise shop.remote("isv.exchange-not-exist", f"换货单不存在 {number}")
    return place.exchanges[number]


def _chosen(row: shop.Record, fields: str) -> shop.Record:
    return calls.chosen(row, ",".join(ALIASES.get(name.strip(), name.strip()) for name in fields.split(",")))


def _modified(row: shop.Record) -> str:
    return str(row["modified"])

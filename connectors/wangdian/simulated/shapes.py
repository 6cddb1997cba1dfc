"""What the flagship's door shows of each record: two ways to write a time, numbers and texts mixed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.wangdian.simulated import books

ZONE = ZoneInfo("Asia/Shanghai")


def local(at: float) -> str:
    """Beijing time as the vendor writes it; nothing for 0."""
    return datetime.fromtimestamp(at, ZONE).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def trade(one: books.Trade) -> dict[str, Any]:
    head = one.head
    shown: dict[str, Any] = {
        "trade_id": one.number,
        "trade_no": one.name,
        "platform_id": one.platform,
        "src_tids": one.tid,
        "trade_status": one.status,
        "refund_status": one.refund_status,
        "trade_time": head.get("trade_time"),
        "pay_time": head.get("pay_time"),
        "created": int(one.created * 1000),
        "modified": local(one.modified),
        "consign_time": int(one.consigned * 1000) if one.consigned else "",
        "receivable": head.get("receivable", 0),
        "goods_count": sum(float(line["num"]) for line in one.lines),
        "logistics_no": one.waybill,
        "logistics_code": one.carrier[1],
        "logistics_name": one.carrier[2],
        "buyer_message": head.get("buyer_message", ""),
        "detail_list": [
            {
                "rec_id": one.number * 100 + number,
                "src_tid": one.tid,
                "src_oid": line["oid"],
                "spec_no": line["spec_no"],
                "goods_name": line["goods_name"],
                "spec_name": line.get("spec_name", ""),
                "num": line["num"],
                "price": line["price"],
                "share_amount": line.get("total_amount", 0),
                "refund_status": line.get("refund_status", 0),
                "gift_type": 0,
            }
            for number, line in enumerate(one.lines)
        ],
    }
    if one.platform in (books.OWN, 0):
        names = ("receiver_name", "receiver_mobile", "receiver_area", "receiver_address", "buyer_nick")
        shown |= {name: head.get(name, "") for name in names}
    return shown


def parcel(one: books.Parcel) -> dict[str, Any]:
    return {
        "sync_id": one.number,
        "tid": one.trade.tid,
        "logistics_no": one.waybill,
        "logistics_code": one.carrier[1],
        "logistics_name": one.carrier[2],
        "is_part_sync": int(one.part),
        "oids": ",".join(one.oids) if one.part else "",
        "trade_id": one.trade.number,
        "platform_id": one.trade.platform,
        "created": local(one.at),
    }


def stockout(one: books.Parcel) -> dict[str, Any]:
    lines = [line for line in one.trade.lines if str(line["oid"]) in one.oids]
    return {
        "stockout_id": one.number,
        "order_no": f"CK{one.number:010d}",
        "src_order_no": one.trade.name,
        "src_trade_no": one.trade.tid,
        "status": 5 if one.cancelled else 110,
        "trade_status": one.trade.status,
        "consign_time": local(one.at),
        "trade_time": int(one.trade.created * 1000),
        "modified": local(one.changed),
        "logistics_no": one.waybill,
        "logistics_type": one.carrier[0],
        "logistics_code": one.carrier[1],
        "logistics_name": one.carrier[2],
        "logistics_list": [
            {"rec_id": place, "stockout_id": one.number, "logistics_no": waybill, "logistics_name": one.carrier[2]}
            for place, waybill in enumerate([one.waybill, *one.more], 1)
        ],
        "details_list": [
            {"src_oid": line["oid"], "src_tid": one.trade.tid, "spec_no": line["spec_no"], "num": line["num"]}
            for line in lines
        ],
    }


def stock(one: books.Stock) -> dict[str, Any]:
    return {
        "rec_id": one.number,
        "spec_no": one.spec_no,
        "goods_no": one.goods_no,
        "warehouse_no": "wh01",
        "defect": False,
        "stock_num": float(one.on_hand),
        "available_send_stock": float(one.available),
        "sending_num": float(one.sending),
        "modified": int(one.modified * 1000),
    }


def refund(one: books.Refund) -> dict[str, Any]:
    amount = sum(float(line["refund_amount"]) for line in one.lines)
    return {
        "refund_id": one.number,
        "refund_no": one.name,
        "raw_refund_nos": one.refund_no,
        "src_tids": one.tid,
        "tid_list": one.tid,
        "type": one.kind,
        "status": one.erp,
        "stockin_status": one.stockin,
        "guarantee_refund_amount": amount,
        "actual_refund_amount": amount if one.erp == 90 else 0,
        "return_logistics_no": one.head.get("logistics_no", ""),
        "return_logistics_name": one.head.get("logistics_name", ""),
        "reason_name": one.head.get("reason", ""),
        "refund_time": one.head.get("refund_time"),
        "created": int(one.created * 1000),
        "modified": int(one.modified * 1000),
        "detail_list": [
            {
                "oid": line["oid"],
                "tid": one.tid,
                "spec_no": "",
                "refund_num": line["num"],
                "refund_amount": line["refund_amount"],
            }
            for line in one.lines
        ],
    }


def arrival(one: books.Arrival) -> dict[str, Any]:
    return {
        "stockin_id": one.number,
        "order_no": one.name,
        "status": 80,
        "refund_no": one.refund.name,
        "src_order_no": one.refund.name,
        "tid_list": one.refund.tid,
        "type": one.refund.kind,
        "process_status": one.refund.erp,
        "warehouse_no": "wh01",
        "check_time": int(one.at * 1000),
        "created_time": int(one.at * 1000),
        "modified": local(one.at),
        "logistics_no": one.refund.head.get("logistics_no", ""),
        "details_list": [
            {"rec_id": one.number * 100 + number, "tid": one.refund.tid, "num": line["num"], "defect": False}
            for number, line in enumerate(one.refund.lines)
        ],
    }

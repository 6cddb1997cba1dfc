"""The door of the enterprise and web editions (企业版、网页版): one file per method, a signed form, ``code`` 0."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from connectors.wangdian.simulated import books, flagship, shapes

SKEW = 300
LONG = 2_700_000_000_000_000_000
"""Numbers of these editions have nineteen digits and travel as text."""


class Denied(Exception):
    """A call that never reaches the tenant."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def check(given: dict[str, str], settings: dict[str, Any], now: float) -> None:
    """Account, time and signature; lengths are counted in characters. Raises Denied."""
    for name in ("sid", "appkey", "timestamp", "sign"):
        if not given.get(name):
            raise Denied(2830, f"{name}不能为空")
    if given["sid"] != settings["sid"]:
        raise Denied(1005, "sid不存在")
    if given["appkey"] != settings["appkey"]:
        raise Denied(1007, "接口appkey已停用【解决办法：联系商务人员，重新开启接口appkey】")
    if not given["timestamp"].isdecimal() or abs(now - int(given["timestamp"])) > SKEW:
        raise Denied(2830, "timestamp参数错误，时间误差超过5分钟")
    pairs = [f"{len(k):02d}-{k}:{len(v):04d}-{v}" for k, v in sorted(given.items()) if k != "sign"]
    proof = hashlib.md5((";".join(pairs) + str(settings["appsecret"])).encode(), usedforsecurity=False).hexdigest()
    if given["sign"] != proof:
        raise Denied(1006, "sign签名错误")


class Forms:
    """The files over one tenant; ``web``: as the web edition answers where the two differ."""

    def __init__(self, tenant: books.Books, settings: Callable[[], dict[str, Any]], *, web: bool = False) -> None:
        self.tenant, self.settings, self.web = tenant, settings, web
        self.files: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
            "trade_push": self.push,
            "trade_query": self.trades,
            "stockout_order_query_trade": self.stockouts,
            "logistics_sync_query": self.parcels,
            "logistics_sync_ack": self.showed,
            "api_goods_stock_change_query": self.waiting,
            "api_goods_stock_change_ack": self.stock_shown,
            "api_goodsspec_push": self.list_goods,
            "stock_query": self.stock,
            "goods_query": self.goods,
            "sales_refund_push": self.refund,
            "refund_query": self.refunds,
            "stockin_order_query_refund": self.arrivals,
            "shop": lambda _given: {"total_count": 1, "shoplist": [{"shop_no": self.settings()["shop_no"]}]},
        }
        if web:
            self.files["stockout_order_query_trade_cancel"] = self.revoked

    def answer(self, file: str, given: dict[str, str]) -> dict[str, Any]:
        """The envelope of one call. Raises Denied or books.Refused."""
        if file not in self.files:
            raise Denied(1008, "接口不存在或没有权限，权限不足")
        try:
            return {"code": 0, "message": "", **self.files[file](given)}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Denied(2830, "参数值无效") from None

    def _shop(self, number: Any) -> None:
        if number != self.settings()["shop_no"]:
            raise books.Refused("店铺ID不存在", 1007)

    def push(self, given: dict[str, str]) -> dict[str, Any]:
        self._shop(given.get("shop_no"))
        counts, orders = {True: 0, False: 0}, json.loads(given["trade_list"])
        nicks = [order["buyer_nick"] for order in orders]
        if any(nicks.count(one) > 30 for one in nicks):
            raise books.Refused("buyer_nick 名字不能只用一个，不同客户必须用不同的名字")
        for order in orders:
            head = {name: value for name, value in order.items() if name != "order_list"}
            counts[self.tenant.push(head, order["order_list"])] += 1
        return {"new_count": counts[True], "chg_count": counts[False]}

    def trades(self, given: dict[str, str]) -> dict[str, Any]:
        shown = [one for one in self.tenant.trades.values() if one.platform not in books.HIDDEN]
        if given.get("src_tid"):
            rows = [one for one in shown if one.tid in given["src_tid"].split(",")]
        else:
            begin, end = _window(given, 3600)
            rows = [one for one in sorted(shown, key=lambda one: one.modified) if begin <= one.modified <= end]
        return _page("trades", [_trade(one) for one in rows], given)

    def stockouts(self, given: dict[str, str]) -> dict[str, Any]:
        begin, end = _window(given, 30 * 86400)
        shown = [one for one in self.tenant.outbound if one.trade.platform not in books.HIDDEN]
        if given.get("status") == "5":
            gone = [one for one in shown if one.cancelled and begin <= one.changed <= end]
            return _page("stockout_list", [_stockout(one) for one in gone], given)
        sent = [one for one in shown if not one.cancelled]
        return _page("stockout_list", [_stockout(one) for one in sent if begin <= one.at <= end], given)

    def revoked(self, given: dict[str, str]) -> dict[str, Any]:
        """Shipments that were taken back: a second row of the order, without the time of its change."""
        begin, end = _window(given, 30 * 86400)
        gone = [one for one in self.tenant.outbound if one.cancelled and one.at and begin <= one.changed <= end]
        bare = {"modified": None, "logistics_no": "", "logistics_type": None, "logistics_type_name": None}
        rows = [_stockout(one) | bare for one in gone if one.trade.platform not in books.HIDDEN]
        return _page("stockout_list", rows, given)

    def arrivals(self, given: dict[str, str]) -> dict[str, Any]:
        begin, end = _window(given, 30 * 86400)
        done = self.tenant.inbound if given.get("status", "80") == "80" else []
        return _page("stockin_list", [_arrival(one) for one in done if begin <= one.at <= end], given)

    def parcels(self, given: dict[str, str]) -> dict[str, Any]:
        self._shop(given.get("shop_no"))
        waiting = [one for one in self.tenant.parcels.values() if one.state == 0]
        return {"total_count": len(waiting), "trades": [_parcel(one) for one in waiting[: int(given["limit"])]]}

    def showed(self, given: dict[str, str]) -> dict[str, Any]:
        wrong = []
        for row in json.loads(given["logistics_list"]):
            words = self.tenant.acknowledge(_short(row["rec_id"]), row["status"] == 0)
            if words:
                wrong.append({"rec_id": str(row["rec_id"]), "error": words})
        return {"errors": wrong}

    def waiting(self, given: dict[str, str]) -> dict[str, Any]:
        self._shop(given.get("shop_no"))
        rows = [
            {
                "rec_id": _long(one.number),
                "goods_id": one.goods_id,
                "spec_id": one.spec_id,
                "sync_stock": self.tenant.quantity(one),
                "stock_change_count": one.changes,
            }
            for one in self.tenant.to_show()[: int(given["limit"])]
        ]
        return {"current_count": len(rows), "stock_change_list": rows}

    def stock_shown(self, given: dict[str, str]) -> dict[str, Any]:
        wrong = []
        for row in json.loads(given["stock_sync_list"]):
            words = self.tenant.showed(_short(row["rec_id"]), int(row["stock_change_count"]))
            if words:
                wrong.append({"rec_id": str(row["rec_id"]), "error": words})
        return {"errors": wrong}

    def list_goods(self, given: dict[str, str]) -> dict[str, Any]:
        info = json.loads(given["api_goods_info"])
        self._shop(info["shop_no"])
        for row in info["goods_list"]:
            self.tenant.list_goods(row)
        return {"new_count": len(info["goods_list"]), "chg_count": 0}

    def stock(self, given: dict[str, str]) -> dict[str, Any]:
        begin, end = _window(given, 30 * 86400)
        rows = sorted(self.tenant.stocks.values(), key=lambda one: one.modified)
        return _page("stocks", [_stock(one) for one in rows if begin <= one.modified <= end], given)

    def goods(self, given: dict[str, str]) -> dict[str, Any]:
        _window(given, 30 * 86400)
        query = {"start_time": given["start_time"], "end_time": given["end_time"]}
        _, rows = flagship.Flagship(self.tenant, self.settings).goods(query)
        return _page("goods_list", rows, given)

    def refund(self, given: dict[str, str]) -> dict[str, Any]:
        counts = {True: 0, False: 0}
        for row in json.loads(given["api_refund_list"]):
            self._shop(row["shop_no"])
            head = {name: value for name, value in row.items() if name != "order_list"}
            counts[self.tenant.take_refund(head, row["order_list"])] += 1
        return {"new_count": counts[True], "chg_count": counts[False]}

    def refunds(self, given: dict[str, str]) -> dict[str, Any]:
        if given.get("refund_no") and not self.web:
            named = [one for one in self.tenant.refunds.values() if one.name == given["refund_no"]]
            return _page("refunds", [_refund(one) for one in named], given)
        names = ("modified_from", "modified_to") if self.web else ("start_time", "end_time")
        begin, end = (flagship.moment(given.get(name)) for name in names)
        rows = sorted(self.tenant.refunds.values(), key=lambda one: one.modified)
        return _page("refunds", [_refund(one) for one in rows if begin <= one.modified <= end], given)


def _long(number: int) -> str:
    return str(LONG + number)


def _short(number: Any) -> int:
    return int(number) - LONG


def _window(given: dict[str, str], longest: float) -> tuple[float, float]:
    if not given.get("start_time") or not given.get("end_time"):
        raise books.Refused("时间范围与订单编号不能全部为空", 2900)
    begin, end = flagship.moment(given["start_time"]), flagship.moment(given["end_time"])
    if end - begin > longest:
        raise books.Refused(f"查询时间不能大于{int(longest // 60)}分钟", 2830)
    return begin, end


def _page(name: str, rows: list[Any], given: dict[str, str]) -> dict[str, Any]:
    number, size = int(given.get("page_no", "0")), int(given.get("page_size", "40"))
    if not 1 <= size <= 100:
        raise books.Refused("page_size 取值范围1~100", 2830)
    part = rows[number * size : (number + 1) * size]
    return {**({"total_count": len(rows)} if number == 0 else {}), name: part}


def _money(value: Any) -> str:
    return f"{Decimal(str(value or 0)):.4f}"


def _time(at: float) -> str:
    return shapes.local(at) or "0000-00-00 00:00:00"


def _trade(one: books.Trade) -> dict[str, Any]:
    head = one.head
    area = [str(head.get(f"receiver_{part}", "")) for part in ("province", "city", "district")]
    shown: dict[str, Any] = {
        "trade_id": _long(one.number),
        "trade_no": one.name,
        "platform_id": str(one.platform),
        "src_tids": one.tid,
        "trade_status": one.status,
        "refund_status": one.refund_status,
        "trade_time": head.get("trade_time"),
        "pay_time": head.get("pay_time") or "0000-00-00 00:00:00",
        "created": _time(one.created),
        "modified": _time(one.modified),
        "consign_time": _time(one.consigned),
        "paid": _money(head.get("paid")),
        "receivable": _money(head.get("paid")),
        "post_amount": _money(head.get("post_amount")),
        "logistics_no": one.waybill,
        "logistics_type": str(one.carrier[0]),
        "logistics_name": one.carrier[2],
        "buyer_message": head.get("buyer_message", ""),
        "cs_remark": head.get("seller_memo", ""),
        "goods_list": [
            {
                "rec_id": _long(one.number * 100 + number),
                "src_oid": line["oid"],
                "src_tid": one.tid,
                "spec_no": line["spec_no"],
                "goods_name": line["goods_name"],
                "spec_name": line.get("spec_name", ""),
                "num": _money(line["num"]),
                "price": _money(line["price"]),
                "share_amount": _money(
                    Decimal(str(line["num"])) * Decimal(str(line["price"])) - Decimal(str(line.get("discount", 0)))
                ),
                "refund_status": line.get("refund_status", 0),
                "gift_type": 0,
            }
            for number, line in enumerate(one.lines)
        ],
    }
    if one.platform in (books.OWN, 0):
        shown |= {name: head.get(name, "") for name in ("receiver_name", "receiver_mobile", "receiver_address")}
        shown |= {"buyer_nick": head.get("buyer_nick", ""), "receiver_area": " ".join(area)}
        shown |= {
            f"receiver_{part}_name": head.get(f"receiver_{part}", "") for part in ("province", "city", "district")
        }
    return shown


def _parcel(one: books.Parcel) -> dict[str, Any]:
    return {
        "rec_id": _long(one.number),
        "tid": one.trade.tid,
        "logistics_no": one.waybill,
        "logistics_type": one.carrier[0],
        "logistics_name": one.carrier[2],
        "logistics_code_erp": one.carrier[1],
        "logistics_name_erp": one.carrier[2],
        "consign_time": shapes.local(one.at),
        "is_part_sync": int(one.part),
        "oids": ",".join(one.oids),
        "platform_id": one.trade.platform,
        "trade_id": _long(one.trade.number),
        "is_need_sync": 1,
        "sync_status": one.state,
        "modified": shapes.local(one.at),
    }


def _stockout(one: books.Parcel) -> dict[str, Any]:
    lines = [line for line in one.trade.lines if str(line["oid"]) in one.oids]
    return {
        "stockout_id": _long(one.number),
        "order_no": f"CK{one.number:010d}",
        "src_order_no": one.trade.name,
        "src_tids": one.trade.tid,
        "status": 5 if one.cancelled else 95,
        "consign_time": shapes.local(one.at),
        "modified": shapes.local(one.changed),
        "logistics_no": one.waybill,
        "logistics_type": str(one.carrier[0]),
        "logistics_type_name": one.carrier[2],
        "details_list": [
            {"src_oid": line["oid"], "src_tid": one.trade.tid, "spec_no": line["spec_no"], "num": _money(line["num"])}
            for line in lines
        ],
    }


def _stock(one: books.Stock) -> dict[str, Any]:
    return {
        "rec_id": _long(one.number),
        "spec_no": one.spec_no,
        "goods_no": one.goods_no,
        "warehouse_no": "wh01",
        "defect": 0,
        "stock_num": _money(one.on_hand),
        "available_num": _money(one.available),
        "modified": shapes.local(one.modified),
    }


def _refund(one: books.Refund) -> dict[str, Any]:
    return {
        "refund_id": _long(one.number),
        "refund_no": one.name,
        "src_no": one.refund_no,
        "tid": one.tid,
        "type": one.kind,
        "process_status": {40: 60}.get(one.erp, one.erp),
        "stockin_status": one.stockin,
        "guarante_refund_amount": _money(one.head.get("refund_fee")),
        "actual_refund_amount": _money(one.head.get("refund_fee") if one.erp == 90 else 0),
        "refund_reason": one.head.get("reason", ""),
        "return_logistics_no": one.head.get("logistics_no", ""),
        "return_logistics_name": one.head.get("logistics_name", ""),
        "apply_time": one.head.get("refund_time"),
        "created": _time(one.created),
        "modified": _time(one.modified),
        "refund_order_list": [
            {"oid": line["oid"], "tid": one.tid, "refund_num": _money(line["num"])} for line in one.lines
        ],
    }


def _arrival(one: books.Arrival) -> dict[str, Any]:
    return {
        "stockin_id": _long(one.number),
        "order_no": one.name,
        "status": 80,
        "refund_id": _long(one.refund.number),
        "src_order_no": one.refund.name,
        "check_time": shapes.local(one.at),
        "stockin_time": shapes.local(one.at),
        "logistics_no": one.refund.head.get("logistics_no", ""),
        "modified": shapes.local(one.at),
        "details_list": [
            {
                "rec_id": _long(one.number * 100 + place),
                "oid": line["oid"],
                "tid": one.refund.tid,
                "num": _money(line["num"]),
            }
            for place, line in enumerate(one.refund.lines)
        ],
    }

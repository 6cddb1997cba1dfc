"""The flagship's door (旗舰版): positional arguments in, ``{"status": 0, "data": …}`` out, two ways to write a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.wangdian.simulated import books

EPOCH = 1325347200
SKEW = 120
ZONE = ZoneInfo("Asia/Shanghai")
PAGED = {
    "sales.LogisticsSync.getSyncListExt",
    "sales.TradeQuery.queryWithDetail",
    "wms.stockout.Sales.queryWithDetail",
    "wms.StockSpec.search2",
    "goods.Goods.queryWithSpec",
    "aftersales.refund.Refund.search",
    "setting.Shop.queryShop",
    "setting.Warehouse.queryWarehouse",
    "setting.Logistics.queryLogistics",
}


class Denied(Exception):
    """A call that never reaches the tenant; ``status`` is the vendor's class of error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def check(query: dict[str, str], body: bytes, settings: dict[str, Any], now: float) -> None:
    """Account, time and signature, in the vendor's order. Raises Denied."""
    secret, _, salt = str(settings["appsecret"]).partition(":")
    if query.get("sid") != settings["sid"]:
        raise Denied(1, "sid is not found")
    if query.get("key") != settings["appkey"] or query.get("salt") != salt:
        raise Denied(1, "app auth fail")
    if query.get("v") != "1.0":
        raise Denied(8, "version is not supported")
    stamp = query.get("timestamp", "")
    if not stamp.isdecimal() or len(stamp) > 10:
        raise Denied(1, f'For input string: "{stamp}"')
    if abs(now - (int(stamp) + EPOCH)) > SKEW:
        raise Denied(7, "timestamp is out of range")
    text = "".join(
        f"{name}{value}"
        for name, value in sorted({**query, "body": body.decode("utf-8", "replace")}.items())
        if name != "sign"
    )
    proof = hashlib.md5(f"{secret}{text}{secret}".encode(), usedforsecurity=False).hexdigest()
    if query.get("sign") != proof:
        raise Denied(1, "验证失败")


def local(at: float) -> str:
    """Beijing time as the vendor writes it; nothing for 0."""
    return datetime.fromtimestamp(at, ZONE).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def moment(text: Any) -> float:
    """The Unix time of a text in Beijing time. Raises Refused."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp()
    except ValueError:
        raise books.Refused("参数中必须包含起止时间") from None


class Flagship:
    """The methods over one tenant."""

    def __init__(self, tenant: books.Books, settings: Callable[[], dict[str, Any]]) -> None:
        self.tenant, self.settings = tenant, settings
        self.methods: dict[str, Callable[..., Any]] = {
            "sales.RawTrade.pushSelf2": self.push,
            "sales.TradeQuery.queryWithDetail": self.trades,
            "sales.LogisticsSync.getSyncListExt": self.parcels,
            "sales.LogisticsSync.update": self.showed,
            "sales.StockSync.getSelfWaitSyncIdListOpen": self.waiting,
            "sales.StockSync.calcStock": self.calculated,
            "sales.StockSync.syncSuccess": self.stock_shown,
            "sales.StockSync.syncFail": self.stock_failed,
            "wms.stockout.Sales.queryWithDetail": self.stockouts,
            "wms.StockSpec.search2": self.stock,
            "goods.Goods.queryWithSpec": self.goods,
            "goods.ApiGoods.upload": self.list_goods,
            "aftersales.refund.RawRefund.upload2": self.refund,
            "aftersales.refund.Refund.search": self.refunds,
            "setting.Shop.queryShop": lambda _given: self._directory("shop_no", str(self.settings()["shop_no"])),
            "setting.Warehouse.queryWarehouse": lambda _given: self._directory("warehouse_no", "wh01"),
            "setting.Logistics.queryLogistics": lambda _given: self._directory("logistics_no", "SF"),
        }

    def answer(self, method: str, query: dict[str, str], given: Any) -> dict[str, Any]:
        """The envelope of one call. Raises Denied or books.Refused."""
        if method not in self.methods:
            raise Denied(100, "权限不足")
        if not isinstance(given, list):
            raise Denied(1, "invalid argument count")
        if method in PAGED and not {"page_no", "page_size"} <= query.keys():
            raise books.Refused(f"此方法仅支持分页查询：接口{method}")
        try:
            found = self.methods[method](*given)
        except TypeError:
            raise Denied(1, "invalid argument count") from None
        except (ValueError, KeyError, AttributeError):
            raise Denied(1, "argument type mismatch") from None
        if method not in PAGED:
            return {"status": 0, "data": found} if found is not None else {"status": 0}
        return _page(found, query)

    def _shop(self, number: Any) -> None:
        if number != self.settings()["shop_no"]:
            raise books.Refused("店铺不存在/无权限/类型错误")

    def push(self, shop: str, heads: list[Any], lines: list[Any], discounts: Any = None) -> Any:
        self._shop(shop)
        counts, wrong = {True: 0, False: 0}, []
        for head in heads:
            own = [line for line in lines if line["tid"] == head["tid"]]
            try:
                counts[self.tenant.push(head, own)] += 1
            except books.Refused as refused:
                wrong.append({"no": head["tid"], "error": refused.message})
        return {"new_count": counts[True], "chg_count": counts[False], "error_list": wrong}

    def trades(self, given: dict[str, Any]) -> Any:
        shown = [one for one in self.tenant.trades.values() if one.platform not in books.HIDDEN]
        if given.get("src_tid"):
            wanted = str(given["src_tid"]).split(",")
            return "order", [_trade(one) for one in shown if one.tid in wanted]
        begin, end = _window(given, 3600, "您的查询时间过宽,查询时间不能大于60分钟")
        return "order", [_trade(one) for one in sorted(shown, key=_modified) if begin <= one.modified <= end]

    def parcels(self, given: dict[str, Any]) -> Any:
        if not given.get("is_own_platform"):
            return None, []
        return None, [_parcel(one) for one in self.tenant.parcels.values() if one.state == 0]

    def showed(self, rows: list[dict[str, Any]]) -> Any:
        for row in rows:
            if row["status"] != -100:
                wrong = self.tenant.acknowledge(int(row["sync_id"]), row["status"] == 0)
                if wrong:
                    raise books.Refused(wrong)

    def waiting(self, count: Any, position: Any) -> Any:
        if not 10 <= int(count) <= 5000:
            raise books.Refused("count 取值范围10~5000")
        return {"id_list": [one.number for one in self.tenant.to_show()[: int(count)]], "position": 239126414}

    def calculated(self, number: Any, force: bool) -> Any:
        listing = self.tenant.listings.get(int(number))
        if listing is None or not listing.status:
            raise books.Refused(f"货品id:{number}规格Id:{number} 已停用或者未开启同步")
        return {
            "rec_id": listing.number,
            "goods_id": listing.goods_id,
            "spec_id": listing.spec_id,
            "outer_id": listing.goods_no,
            "spec_outer_id": listing.spec_no,
            "match_code": listing.spec_no,
            "syn_stock": self.tenant.quantity(listing),
            "stock_change_count": listing.changes,
            "stock_syn_rule_id": -10000,
            "stock_syn_rule_no": "",
            "stock_syn_warehouses": "6",
            "stock_syn_mask": 0,
            "stock_syn_percent": 100,
            "stock_syn_plus": 0,
            "stock_syn_min": 0,
            "stock_syn_max": 100000,
            "is_auto_listing": True,
            "is_auto_delisting": True,
            "platform_id": books.OWN,
            "status": 1,
        }

    def stock_shown(self, number: Any, info: dict[str, Any]) -> Any:
        wrong = self.tenant.showed(int(number), int(info["stock_change_count"]))
        if wrong:
            raise books.Refused(wrong)

    def stock_failed(self, number: Any, info: dict[str, Any]) -> Any:
        listing = self.tenant.listings[int(number)]
        listing.shown = listing.changes

    def stockouts(self, given: dict[str, Any]) -> Any:
        begin, end = _window(given, 3600, "您的查询时间过宽,查询时间不能大于60分钟")
        shown = [one for one in self.tenant.outbound if one.trade.platform not in books.HIDDEN]
        return "order", [_stockout(one) for one in shown if begin <= one.at <= end]

    def stock(self, given: dict[str, Any]) -> Any:
        if given.get("spec_nos"):
            return "detail_list", [_stock(self.tenant.stocks[one]) for one in given["spec_nos"]]
        begin, end = _window(given, 30 * 86400, "查询时间不能大于30天")
        rows = sorted(self.tenant.stocks.values(), key=_modified)
        return "detail_list", [_stock(one) for one in rows if begin <= one.modified <= end]

    def goods(self, given: dict[str, Any]) -> Any:
        _window(given, 30 * 86400, "查询时间不能大于30天")
        found: dict[str, dict[str, Any]] = {}
        for number, stock in enumerate(self.tenant.stocks.values()):
            row = next(one.row for one in self.tenant.listings.values() if one.spec_no == stock.spec_no)
            goods = found.setdefault(
                stock.goods_no,
                {
                    "goods_id": number + 1,
                    "goods_no": stock.goods_no,
                    "goods_name": row["goods_name"],
                    "unit_name": "件",
                    "class_name": "无",
                    "deleted": 0,
                    "modified": local(stock.modified),
                    "goods_modified": int(stock.modified * 1000),
                    "spec_list": [],
                },
            )
            spec = {"spec_id": stock.number, "spec_no": stock.spec_no, "spec_name": row["spec_name"], "deleted": 0}
            goods["spec_list"].append({**spec, "barcode": row["barcode"], "retail_price": row["price"]})
        return "goods_list", list(found.values())

    def list_goods(self, given: dict[str, Any]) -> Any:
        self._shop(given["shop_no"])
        return {"rec_ids": [self.tenant.list_goods(row) for row in given["goods_list"]], "status": 0}

    def refund(self, shop: str, rows: list[dict[str, Any]]) -> Any:
        self._shop(shop)
        for refund_no in dict.fromkeys(row["refund_no"] for row in rows):
            lines = [row for row in rows if row["refund_no"] == refund_no]
            amounts = ("num", "oid", "refund_amount", "actual_refund_amount")
            head = {name: value for name, value in lines[0].items() if name not in amounts}
            self.tenant.take_refund(head, [{name: row[name] for name in amounts} for row in lines])

    def refunds(self, given: dict[str, Any]) -> Any:
        begin, end = moment(given.get("modified_from")), moment(given.get("modified_to"))
        rows = sorted(self.tenant.refunds.values(), key=_modified)
        return "order", [_refund(one) for one in rows if begin <= one.modified <= end]

    def _directory(self, name: str, number: str) -> Any:
        return "details", [{name: number, "is_disabled": False, "modified": "2026-01-01 00:00:00"}]


def _modified(one: Any) -> float:
    return float(one.modified)


def _window(given: dict[str, Any], longest: float, words: str) -> tuple[float, float]:
    if not given.get("start_time") or not given.get("end_time"):
        raise books.Refused("参数中必须包含起止时间")
    begin, end = moment(given["start_time"]), moment(given["end_time"])
    if end - begin > longest:
        raise books.Refused(words)
    return begin, end


def _page(found: tuple[str | None, list[Any]], query: dict[str, str]) -> dict[str, Any]:
    name, rows = found
    number, size = int(query["page_no"]), int(query["page_size"])
    part = rows[number * size : (number + 1) * size]
    counted = {"total_count": len(rows)} if query.get("calc_total") == "1" else {}
    if name is None:
        return {"status": 0, "data": part, **({"total": len(rows)} if counted else {})}
    return {"status": 0, "data": {name: part, **counted}}


def _trade(one: books.Trade) -> dict[str, Any]:
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


def _parcel(one: books.Parcel) -> dict[str, Any]:
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


def _stockout(one: books.Parcel) -> dict[str, Any]:
    lines = [line for line in one.trade.lines if str(line["oid"]) in one.oids]
    return {
        "stockout_id": one.number,
        "order_no": f"CK{one.number:010d}",
        "src_order_no": one.trade.name,
        "src_trade_no": one.trade.tid,
        "status": 110,
        "trade_status": 95,
        "consign_time": local(one.at),
        "trade_time": int(one.trade.created * 1000),
        "modified": local(one.at),
        "logistics_no": one.waybill,
        "logistics_type": one.carrier[0],
        "logistics_code": one.carrier[1],
        "logistics_name": one.carrier[2],
        "details_list": [
            {"src_oid": line["oid"], "src_tid": one.trade.tid, "spec_no": line["spec_no"], "num": line["num"]}
            for line in lines
        ],
    }


def _stock(one: books.Stock) -> dict[str, Any]:
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


def _refund(one: books.Refund) -> dict[str, Any]:
    amount = sum(float(line["refund_amount"]) for line in one.lines)
    return {
        "refund_id": one.number,
        "refund_no": one.name,
        "raw_refund_nos": one.refund_no,
        "src_tids": one.tid,
        "tid_list": one.tid,
        "type": one.kind,
        "status": one.erp,
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

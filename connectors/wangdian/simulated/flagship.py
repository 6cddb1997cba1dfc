"""The flagship's door (旗舰版): positional arguments in, ``{"status": 0, "data": …}`` out, two ways to write a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connectors.wangdian.simulated import books, shapes

EPOCH = 1325347200
SKEW = 120
PAGED = {
    "sales.LogisticsSync.getSyncListExt",
    "sales.TradeQuery.queryWithDetail",
    "wms.stockout.Sales.queryWithDetail",
    "wms.stockin.Refund.queryWithDetail",
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


def moment(text: Any) -> float:
    """The Unix time of a text in Beijing time. Raises Refused."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=shapes.ZONE).timestamp()
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
            "wms.stockin.Refund.queryWithDetail": self.arrivals,
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
            return "order", [shapes.trade(one) for one in shown if one.tid in wanted]
        begin, end = _window(given, 3600, "您的查询时间过宽,查询时间不能大于60分钟")
        return "order", [shapes.trade(one) for one in sorted(shown, key=_modified) if begin <= one.modified <= end]

    def parcels(self, given: dict[str, Any]) -> Any:
        if not given.get("is_own_platform"):
            return None, []
        return None, [shapes.parcel(one) for one in self.tenant.parcels.values() if one.state == 0]

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
        if given.get("status_type") == 1:
            gone = [one for one in shown if one.cancelled and begin <= one.changed <= end]
            return "order", [shapes.stockout(one) for one in gone]
        sent = [one for one in shown if not one.cancelled]
        return "order", [shapes.stockout(one) for one in sent if begin <= one.at <= end]

    def arrivals(self, given: dict[str, Any]) -> Any:
        begin, end = _window(given, 30 * 86400, "查询时间不能大于30天")
        done = [one for one in self.tenant.inbound if "80" in str(given.get("status", "80")).split(",")]
        return "order", [shapes.arrival(one) for one in done if begin <= one.at <= end]

    def stock(self, given: dict[str, Any]) -> Any:
        if given.get("spec_nos"):
            return "detail_list", [shapes.stock(self.tenant.stocks[one]) for one in given["spec_nos"]]
        begin, end = _window(given, 30 * 86400, "查询时间不能大于30天")
        rows = sorted(self.tenant.stocks.values(), key=_modified)
        return "detail_list", [shapes.stock(one) for one in rows if begin <= one.modified <= end]

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
                    "modified": shapes.local(stock.modified),
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
        if given.get("refund_no"):
            named = [one for one in self.tenant.refunds.values() if one.name == given["refund_no"]]
            return "order", [shapes.refund(one) for one in named]
        begin, end = moment(given.get("modified_from")), moment(given.get("modified_to"))
        rows = sorted(self.tenant.refunds.values(), key=_modified)
        return "order", [shapes.refund(one) for one in rows if begin <= one.modified <= end]

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

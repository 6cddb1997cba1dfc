"""The gateway calls of the simulated shop: business parameters in, what stands under ``<method>_responce`` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from connectors.jd.simulated import parcels, refunds, services, shop

Params = dict[str, Any]
Answer = dict[str, Any]
STATES = {
    "WAIT_SELLER_STOCK_OUT",
    "WAIT_SELLER_DELIVERY",
    "WAIT_SEND_CODE",
    "WAIT_GOODS_RECEIVE_CONFIRM",
    "FINISHED_L",
    "TRADE_CANCELED",
    "PARENT_TRADE_CANCELED",
    "LOCKED",
    "POP_ORDER_PAUSE",
    "PAUSE",
}
FINE = {"success": True, "englishErrCode": "", "chineseErrCode": "成功", "numberCode": 0}


class Calls:
    """Answers by method. Methods whose failure is not an exception catch it themselves."""

    def __init__(self, place: shop.Shop, vender: Callable[[], str]) -> None:
        self.shop, self.vender = place, vender
        self.desk = services.Desk(place, vender)
        self.methods: dict[str, Callable[[Params], Answer]] = {
            "jingdong.vender.shop.query": self.shop_query,
            "jingdong.pop.order.search": self.search,
            "jingdong.pop.order.get": self.get,
            "jingdong.pop.order.shipment": self.ship,
            "jingdong.pop.order.sop.logistics.update": lambda given: parcels.change(place, given),
            "jingdong.pop.order.partial.outship": lambda given: parcels.ship_part(place, given),
            "jingdong.pop.order.partialship.judge": lambda given: parcels.judge(place, given),
            "jingdong.pop.order.modifyVenderRemark": self.remark,
            "jingdong.stock.write.updateSkuStock": self.stock,
            "jingdong.sku.read.searchSkuList": self.skus,
            "jingdong.pop.afs.soa.refundapply.queryPageList": self.applications,
            "jingdong.pop.afs.soa.refundapply.replyRefund": self.reply,
            "jingdong.asc.query.list": self.services,
            **self.desk.methods,
        }

    def shop_query(self, _given: Params) -> Answer:
        body = {"vender_id": int(self.vender()), "shop_id": 20000001, "shop_name": "枢纽测试旗舰店", "brief": ""}
        return {"shop_jos_result": body}

    def search(self, given: Params) -> Answer:
        fields, wanted = need(given, "optional_fields"), set(need(given, "order_state").split(","))
        if not wanted <= STATES | {"ALL"}:
            raise shop.Refused("62", "order_state不正确", "Invalid order_state")
        field = "orderStartTime" if str(given.get("dateType", "")) == "1" else "modified"
        kept = _between(self.shop.orders.values(), given, "start_date", "end_date", field, days=31)
        kept = [one for one in kept if "ALL" in wanted or one["orderState"] in wanted]
        kept.sort(key=lambda one: (str(one[field]), str(one["orderId"])), reverse=str(given.get("sortType")) == "1")
        rows = [_chosen(one, fields) for one in _page(kept, given, "page", "page_size", 100)]
        return {"searchorderinfo_result": {"apiResult": FINE, "orderTotal": len(kept), "orderInfoList": rows}}

    def get(self, given: Params) -> Answer:
        fields = need(given, "optional_fields")
        try:
            order = self.shop.known(need(given, "order_id"))
        except shop.Failed as failed:
            failure = {"success": False, "englishErrCode": failed.english, "chineseErrCode": failed.chinese}
            return {"orderDetailInfo": {"apiResult": {**failure, "numberCode": failed.number}}}
        return {"orderDetailInfo": {"apiResult": FINE, "orderInfo": _chosen(order, fields)}}

    def ship(self, given: Params) -> Answer:
        result: Answer = {"success": True, "englishErrCode": "", "chineseErrCode": "发货成功", "errorCode": 0}
        try:
            self.shop.ship(need(given, "orderId"), need(given, "logiCoprId"), str(given.get("logiNo", "")))
        except shop.Failed as failed:
            result = {
                "success": False,
                "englishErrCode": failed.english,
                "chineseErrCode": failed.chinese,
                "errorCode": failed.number,
            }
        return {"sopjosshipment_result": result}

    def remark(self, given: Params) -> Answer:
        text = str(given.get("remark", ""))
        if len(text) > 500:
            return {"modifyvenderremark_result": {"success": False, "chineseErrCode": "备注不能超过500字"}}
        try:
            self.shop.remark(need(given, "order_id"), text, given.get("flag"))
        except shop.Failed as failed:
            return {"modifyvenderremark_result": {"success": False, "chineseErrCode": failed.chinese}}
        return {"modifyvenderremark_result": {"success": True, "chineseErrCode": "成功"}}

    def stock(self, given: Params) -> Answer:
        try:
            self.shop.set_stock(int(need(given, "skuId")), int(need(given, "stockNum")))
        except shop.Failed:
            return {"success": False}
        return {"success": True}

    def skus(self, given: Params) -> Answer:
        rows = [
            {
                "skuId": sku.sku_id,
                "wareId": sku.ware_id,
                "wareTitle": sku.title,
                "skuName": f"{sku.title} {sku.spec}",
                "outerId": sku.outer_id,
                "jdPrice": float(sku.price),
                "status": 1,
                "logo": "jfs/t1/example.jpg",
                "created": 1767578400000,
                "modified": int(self.shop.changed[sku.sku_id] * 1000),
                "saleAttrs": [{"attrId": "1001", "attrValues": ["1"], "attrValueAlias": [sku.spec], "index": 1}],
                "_modified": shop.local(self.shop.changed[sku.sku_id]),
            }
            for sku in self.shop.goods
            if str(given.get("wareId", sku.ware_id)) == str(sku.ware_id)
        ]
        kept = _between(rows, given, "startModifiedTime", "endModifiedTime", "_modified")
        page = _page(kept, given, "pageNo", "page_size", 100)
        number, size = int(given.get("pageNo", 1)), int(given.get("page_size", 50))
        return {"page": {"pageNo": number, "pageSize": size, "totalItem": len(kept), "data": _clean(page)}}

    def applications(self, given: Params) -> Answer:
        rows: Iterable[shop.Record] = self.shop.applications.values()
        if given.get("ids"):
            rows = [one for one in rows if str(one["id"]) in str(given["ids"]).split(",")]
        if given.get("orderId"):
            rows = [one for one in rows if one["orderId"] == str(given["orderId"])]
        kept = _between(rows, given, "modifiedStart", "modifiedEnd", "_modified")
        page = _page(kept, given, "pageIndex", "pageSize", 50)
        return {"queryResult": {"success": True, "totalCount": len(kept), "result": _clean(page)}}

    def reply(self, given: Params) -> Answer:
        who, remark = str(given.get("checkUserName", "")), str(given.get("remark", ""))
        try:
            refunds.reply(self.shop, int(need(given, "id")), int(need(given, "status")), who, remark)
        except shop.Failed as failed:
            return {"replyResult": {"success": False, "errorCode": failed.number, "errorMsg": failed.chinese}}
        return {"replyResult": {"success": True}}

    def services(self, given: Params) -> Answer:
        if need(given, "buId") != self.vender() or not given.get("operatePin"):
            raise shop.Refused("62", "buId或operatePin不正确", "Invalid buId")
        rows: Iterable[shop.Record] = self.shop.services.values()
        for name in ("serviceId", "orderId"):
            if given.get(name):
                rows = [one for one in rows if str(one[name]) == str(given[name])]
        kept = _between(rows, given, "updateTimeBegin", "updateTimeEnd", "updateDate", days=10)
        page = _clean(_page(kept, given, "pageNumber", "pageSize", 50))
        return {"pageResult": {"totalCount": len(kept), "data": page}}


def need(given: Params, name: str) -> str:
    """A required business parameter as text. Raises Refused."""
    value = given.get(name)
    if value is None or value == "":
        raise shop.Refused("61", f"缺少参数{name}", f"Missing {name}")
    return str(value)


def _between(
    rows: Iterable[shop.Record], given: Params, first: str, last: str, field: str, days: int = 3650
) -> list[shop.Record]:
    """Rows of the asked window, newest first. Raises Refused for a window that is too wide."""
    start, end = str(given.get(first) or ""), str(given.get(last) or "")
    if start and end:
        try:
            span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
        except ValueError:
            raise shop.Refused("62", f"{first}格式不正确", f"Invalid {first}") from None
        if not timedelta() <= span <= timedelta(days=days):
            raise shop.Refused("62", f"{first}与{last}间隔过大", f"Invalid {first}")
    kept = [one for one in rows if one[field] >= start and (not end or one[field] <= end)]
    return sorted(kept, key=lambda one: str(one[field]), reverse=True)


def _page(rows: list[shop.Record], given: Params, number: str, size: str, largest: int) -> list[shop.Record]:
    at, count = int(given.get(number) or 1), int(given.get(size) or 10)
    if at < 1 or not 1 <= count <= largest:
        raise shop.Refused("62", f"{number}或{size}不正确", f"Invalid {number}")
    return rows[(at - 1) * count : at * count]


def _chosen(row: shop.Record, fields: str) -> shop.Record:
    """Only what was asked for; the order's number and state always."""
    names = {name.strip() for name in fields.split(",")} | {"orderId", "orderState"}
    return {name: value for name, value in row.items() if name in names}


def _clean(rows: list[shop.Record]) -> list[shop.Record]:
    return [{name: value for name, value in row.items() if not name.startswith("_")} for row in rows]

"""The gateway calls of the simulated shop: ``param`` in, the vendor's ``data`` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from connectors.kuaishou.simulated import gate, refunds, shop

Params = dict[str, Any]
DAY = 86_400_000
LISTED_AT = 1773750961234
"""When the goods of a fresh shop were last changed, Unix milliseconds."""


def whole(given: Params, name: str) -> int:
    """A number that must be there; ids are numbers, never text."""
    value = given.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise gate.Refused(804001, f"参数 {name} 不正确")
    return value


class Calls:
    """Answers by method name."""

    def __init__(self, place: shop.Shop, desk: refunds.Desk) -> None:
        self.shop, self.desk = place, desk
        self.methods: dict[str, Callable[[Params], Any]] = {
            "open.shop.info.get": lambda _given: {"shopName": shop.NAME, "shopId": 2161500000},
            "open.order.cursor.list": self.orders,
            "open.order.detail": lambda given: place.shown(place.order(whole(given, "oid")), detail=True),
            "open.seller.order.goods.deliver": self.ship,
            "open.order.goods.split.deliver": self.split,
            "open.seller.order.goods.logistics.append": self.append,
            "open.seller.order.logistics.update": self.edit,
            "open.item.sku.stock.update": self.stock,
            "open.item.sku.list.get": self.skus,
            "open.item.list.get": self.items,
            "open.seller.order.refund.pcursor.list": self.refunds,
            "open.seller.order.refund.detail": lambda given: desk.get(whole(given, "refundId")),
            "open.seller.order.refund.approve": desk.approve,
            "open.seller.order.refund.returngoods.approve": desk.approve_return,
            "open.seller.order.refund.confirm.receipt": desk.confirm,
            "open.refund.reject": desk.reject,
            "open.refund.reject.reason": lambda _given: [{"reasonCode": 3, "reasonDesc": "商品已发出"}],
            "open.seller.order.note.add": self.note,
            "open.order.desensitise.batch": lambda given: self.opened(given, "batchDesensitiseList", masked=True),
            "open.order.decrypt.batch": lambda given: self.opened(given, "batchDecryptList", masked=False),
        }
        self.reads = {
            "open.shop.info.get",
            "open.order.cursor.list",
            "open.order.detail",
            "open.item.sku.list.get",
            "open.item.list.get",
            "open.seller.order.refund.pcursor.list",
            "open.seller.order.refund.detail",
            "open.refund.reject.reason",
        }

    def orders(self, given: Params) -> Any:
        field = "updateTime" if whole(given, "queryType") == 2 else "createTime"
        rows = self._between(
            self.shop.orders.values(),
            given,
            7,
            lambda one: int(one["orderBaseInfo"][field]),
            gate.Refused(21, "时间跨度超过7天"),
        )
        states = {2: (10,), 3: (30,), 4: (40,), 5: (50,), 6: (70,), 7: (80,)}.get(whole(given, "orderViewStatus"))
        if states:
            rows = [one for one in rows if one["orderBaseInfo"]["status"] in states]
        rows.sort(key=lambda one: one["orderBaseInfo"][field], reverse=given.get("sort", 1) == 2)
        cursor, part = _cut(rows, given, "cursor")
        head = {name: given[name] for name in ("pageSize", "beginTime", "endTime")}
        return {"cursor": cursor, **head, "orderList": [self.shop.shown(one, detail=False) for one in part]}

    def refunds(self, given: Params) -> Any:
        field = "updateTime" if whole(given, "queryType") == 2 else "createTime"
        rows = self._between(
            self.desk.records.values(), given, 1, lambda one: int(one[field]), gate.Refused(300019, "时间跨度超过限制")
        )
        # 1 is descending and 2 ascending here, the opposite of orders.
        rows.sort(key=lambda one: one[field], reverse=given.get("sort", 1) == 1)
        cursor, part = _cut(rows, given, "pcursor")
        short = ("buyerOpenId", "productNum", "specialRefundType", "logisticsInfo", "refundVersion")
        shown = [{key: value for key, value in one.items() if key not in short} for one in part]
        return {"pcursor": cursor, "totalSize": len(rows), "refundOrderInfoList": shown, "dataList": shown}

    def ship(self, given: Params) -> Any:
        self.shop.ship(whole(given, "orderId"), str(given.get("expressNo") or ""), whole(given, "expressCode"))

    def split(self, given: Params) -> Any:
        if not given.get("deliveryStatus"):
            raise ValueError("deliveryStatus")
        self.shop.split(whole(given, "mainOrderId"), list(given["deliveryItemInfoList"]))

    def append(self, given: Params) -> Any:
        self.shop.append(whole(given, "oid"), str(given.get("expressNo") or ""), whole(given, "expressCode"))

    def edit(self, given: Params) -> Any:
        number, waybill = whole(given, "logisticsId"), str(given.get("expressNo") or "")
        self.shop.edit(whole(given, "orderId"), number, waybill, whole(given, "expressCode"))

    def stock(self, given: Params) -> Any:
        change, kind = whole(given, "skuChangeStock"), whole(given, "changeType")
        if change < 0 or kind not in (1, 2):
            raise gate.Refused(804001, "参数 skuChangeStock 或 changeType 不正确")
        self.shop.change_stock(whole(given, "kwaiItemId"), whole(given, "skuId"), change if kind == 1 else -change)

    def skus(self, given: Params) -> Any:
        item = whole(given, "kwaiItemId")
        return [
            {
                "kwaiItemId": one.item_id,
                "kwaiSkuId": one.sku_id,
                "relSkuId": 0,
                "skuNick": one.code,
                "skuStock": self.shop.stock[one.sku_id],
                "skuSalePrice": one.price,
                "specification": one.spec,
            }
            for one in self.shop.goods
            if one.item_id == item
        ]

    def items(self, given: Params) -> Any:
        found: dict[int, Params] = {}
        for one in self.shop.goods:
            row = {
                "kwaiItemId": one.item_id,
                "relItemId": 0,
                "title": one.title,
                "onOfflineStatus": 1,
                "price": one.price,
            }
            found.setdefault(one.item_id, {**row, "createTime": LISTED_AT, "updateTime": LISTED_AT})
        rows = list(found.values())
        page, size = whole(given, "pageNumber"), whole(given, "pageSize")
        if page < 1 or not 0 < size <= 100:
            raise gate.Refused(804001, "分页参数不正确")
        part = rows[(page - 1) * size : page * size]
        return {"items": part, "currentPageNumber": page, "pageSize": size, "totalItemCount": len(rows)}

    def note(self, given: Params) -> Any:
        self.shop.note(whole(given, "orderId"), str(given.get("note") or ""), int(given.get("flag") or 0))

    def opened(self, given: Params, name: str, *, masked: bool) -> Any:
        """Ciphertexts that this shop gave out; a decrypted phone is a virtual number."""
        rows = given.get(name)
        if not isinstance(rows, list) or not rows:
            raise gate.Refused(804001, f"参数 {name} 不正确")
        answer = []
        for one in rows:
            order = self.shop.order(int(one["bizId"]))
            address = order["orderAddress"]
            known = {address[f"encrypted{what}"]: what for what in ("Consignee", "Mobile", "Address")}
            what = known.get(one.get("encryptedData"))
            if what is None:
                raise shop.failed("密文与业务单号不匹配")
            plain = address[f"desensitise{what}"] if masked or what != "Mobile" else "18400000000-7576"
            answer.append({"bizId": one["bizId"], "encryptedData": one["encryptedData"], "data": plain})
        return answer

    def _between(
        self, records: Iterable[Any], given: Params, days: int, when: Callable[[Any], int], wide: gate.Refused
    ) -> list[Any]:
        first, last = whole(given, "beginTime"), whole(given, "endTime")
        if last < first:
            raise gate.Refused(300003, "结束时间早于开始时间")
        if last - first > days * DAY:
            raise wide
        if first < self.shop.at() - 90 * DAY:
            raise gate.Refused(300005, "只能查询90天内的数据")
        if not 0 < whole(given, "pageSize") <= 100:
            raise gate.Refused(804001, "pageSize 不正确")
        return [one for one in records if first <= when(one) <= last]


def _cut(rows: list[Any], given: Params, name: str) -> tuple[str, list[Any]]:
    """One stretch of rows and the cursor of the next, ``nomore`` at the end."""
    text, size = given.get(name, ""), int(given["pageSize"])
    if text == "nomore" or not isinstance(text, str) or (text and not text.isdigit()):
        raise gate.Refused(804001, f"{name} 不正确")
    begin = int(text or 0)
    after = begin + size
    return (str(after) if after < len(rows) else "nomore"), rows[begin:after]

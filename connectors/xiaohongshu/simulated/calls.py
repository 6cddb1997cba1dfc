"""The calls of the simulated shop by method: business parameters in, the vendor's ``data`` out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.xiaohongshu.simulated import gate, refunds, shop

Params = dict[str, Any]
LISTED_AT = 1752739112000
"""When the goods of a fresh shop were last changed, Unix milliseconds."""


def need(given: Params, name: str) -> Any:
    if given.get(name) in (None, "", []):
        raise gate.Refused(gate.PARAMETER, f"missing parameter: {name}")
    return given[name]


class Calls:
    """Answers by method name."""

    def __init__(self, place: shop.Shop, desk: refunds.Desk) -> None:
        self.shop, self.desk = place, desk
        self.methods: dict[str, Callable[[Params], Any]] = {
            "common.getExpressCompanyList": self.companies,
            "order.getOrderList": self.orders,
            "order.getOrderDetail": self.order,
            "order.getOrderReceiverInfo": self.receivers,
            "order.orderDeliver": self.ship,
            "order.modifyOrderExpressInfo": self.edit,
            "order.modifySellerMarkInfo": self.note,
            "order.getOrderTracking": self.tracking,
            "inventory.getSkuStock": lambda given: place.stock(str(need(given, "skuId"))),
            "inventory.syncSkuStock": self.stock,
            "product.getDetailSkuList": self.skus,
            "afterSale.listAfterSaleInfos": self.refunds,
            "afterSale.getAfterSaleInfo": lambda given: desk.detail(desk.get(str(need(given, "returnsId")))),
            "afterSale.auditReturns": desk.audit,
            "afterSale.confirmReceive": desk.confirm,
            "afterSale.receiveAndShip": desk.send_exchange,
            "afterSale.rejectReasons": self.reasons,
            "data.batchDesensitise": lambda given: self.opened(given, masked=True),
            "data.batchDecrypt": lambda given: self.opened(given, masked=False),
        }

    def companies(self, _given: Params) -> Any:
        rows = [
            {"expressCompanyId": place, "expressCompanyCode": code, "expressCompanyName": name}
            for place, (code, name) in enumerate(shop.COMPANIES.items(), 1)
        ]
        return {"expressCompanyInfos": rows}

    def orders(self, given: Params) -> Any:
        first, last = int(need(given, "startTime")), int(need(given, "endTime"))
        if first > 10**11 or last > 10**11:
            raise gate.Refused(gate.PARAMETER, "startTime endTime 单位为秒")
        field = self._span(given, (last - first) * 1000, "createdTime", "updateTime")
        rows = [one for one in self.shop.orders.values() if first * 1000 <= one[field] < (last + 1) * 1000]
        rows.sort(key=lambda one: one[field])
        page, size, part = _page(rows, given, most=100 * 100)
        short = ("skuList", "simpleDeliveryOrderList", "paymentType", "outTradeNo", "totalMerchantDiscount")
        shown = [{key: value for key, value in one.items() if key not in short} for one in part]
        pages = -(-len(rows) // size)
        return {"total": len(rows), "pageNo": page, "pageSize": size, "maxPageNo": pages, "orderList": shown}

    def order(self, given: Params) -> Any:
        order = self.shop.order(str(need(given, "orderId")))
        lines = [{key: value for key, value in line.items() if key != "shipped"} for line in order["skuList"]]
        return {**order, "skuList": lines}

    def receivers(self, given: Params) -> Any:
        """Ciphertexts; ``matched`` is false when the address changed since its fingerprint was read."""
        rows = []
        for one in need(given, "receiverQueries"):
            number = str(one.get("orderId"))
            order = self.shop.order(number)
            row: Params = {"orderId": number, "matched": order["openAddressId"] == one.get("openAddressId")}
            if row["matched"]:
                buyer = self.shop.buyer(number)
                row |= {
                    "receiverProvinceName": order["receiverProvinceName"],
                    "receiverCityName": order["receiverCityName"],
                    "receiverDistrictName": order["receiverDistrictName"],
                    "receiverName": shop.cipher("name", buyer.name),
                    "receiverPhone": shop.cipher("phone", buyer.phone),
                    "receiverAddress": shop.cipher("address", buyer.address.street),
                }
            rows.append(row)
        return {"receiverInfos": rows}

    def ship(self, given: Params) -> Any:
        number, waybill = str(need(given, "orderId")), str(need(given, "expressNo"))
        skus = [str(one) for one in need(given, "skuIdList")] if given.get("unpack") else None
        self.shop.ship(number, waybill, str(need(given, "expressCompanyCode")), skus)

    def edit(self, given: Params) -> Any:
        index, old = int(need(given, "deliveryOrderIndex")), str(need(given, "oldExpressNo"))
        waybill, company = str(need(given, "expressNo")), str(need(given, "expressCompanyCode"))
        self.shop.edit(str(need(given, "orderId")), index, old, waybill, company)

    def note(self, given: Params) -> Any:
        need(given, "operator")
        flag = given.get("sellerMarkPriority")
        words = str(given.get("sellerMarkNote") or "")
        self.shop.note(str(need(given, "orderId")), words, None if flag is None else int(flag))

    def tracking(self, given: Params) -> Any:
        order = self.shop.order(str(need(given, "orderId")))
        return {
            "orderTrackInfos": [{"expressNo": one["expressTrackingNo"]} for one in order["simpleDeliveryOrderList"]]
        }

    def stock(self, given: Params) -> Any:
        level = need(given, "qty") if given.get("qty") != 0 else 0
        if not isinstance(level, int) or isinstance(level, bool) or level < 0:
            raise gate.Refused(gate.PARAMETER, "qty 不正确")
        sku = str(need(given, "skuId"))
        self.shop.set_total(sku, level)
        return self.shop.stock(sku)

    def skus(self, given: Params) -> Any:
        first, last = int(given.get("updateTimeFrom") or 0), int(given.get("updateTimeTo") or 10**15)
        rows = [
            {
                "item": {"id": one.item_id, "name": one.item},
                "sku": {
                    "id": one.sku_id,
                    "itemId": one.item_id,
                    "name": one.title,
                    "erpCode": one.code,
                    "barcode": one.barcode,
                    "price": one.price,
                    "stock": self.shop.total[one.sku_id],
                    "buyable": True,
                    "createTime": LISTED_AT,
                    "updateTime": LISTED_AT,
                },
            }
            for one in self.shop.goods
            if first <= LISTED_AT <= last
        ]
        _, _, part = _page(rows, given, most=10**6)
        return {"total": len(rows), "data": part}

    def refunds(self, given: Params) -> Any:
        first, last = int(need(given, "startTime")), int(need(given, "endTime"))
        field = self._span(given, last - first, "applyTime", "updatedAt")
        rows = [one for one in self.desk.records.values() if first <= one[field] <= last]
        rows.sort(key=lambda one: one[field])
        page, size, part = _page(rows, given, most=50_000)
        shown = [self.desk.row(one) for one in part]
        return {"totalCount": len(rows), "pageNo": page, "pageSize": size, "afterSaleBasicInfos": shown}

    def reasons(self, given: Params) -> Any:
        self.desk.get(str(need(given, "returnsId")))
        known = {1: {"reasonId": 3, "reasonName": "商品已发出"}, 2: {"reasonId": 21, "reasonName": "商品影响二次销售"}}
        if given.get("rejectReasonType") not in known:
            raise gate.Refused(gate.PARAMETER, "rejectReasonType 不正确")
        return {"rejectReasons": [known[given["rejectReasonType"]]]}

    def opened(self, given: Params, *, masked: bool) -> Any:
        """Ciphertexts that this shop gave out; others fail one by one."""
        infos = need(given, "baseInfos")
        if len(infos) > 100:
            raise gate.Refused(gate.PARAMETER, "baseInfos 最多 100 个")
        if not masked:
            need(given, "actionType")
            need(given, "appUserId")
        rows = []
        for one in infos:
            self.shop.order(str(one.get("dataTag")))
            buyer = self.shop.buyer(str(one["dataTag"]))
            plain = {
                shop.cipher("name", buyer.name): f"{buyer.name[0]}**",
                shop.cipher("phone", buyer.phone): f"{buyer.phone[:3]}****{buyer.phone[-4:]}"
                if masked
                else "18400000000",
                shop.cipher("address", buyer.address.street): "****",
            }.get(str(one.get("encryptedData")))
            wrong = plain is None
            row = {"dataTag": one["dataTag"], "encryptedData": one.get("encryptedData"), "decryptedData": plain or ""}
            rows.append({**row, "errorCode": 1 if wrong else 0, "errorMsg": "密文与订单不匹配" if wrong else ""})
        return {"dataInfoList": rows}

    def _span(self, given: Params, width: int, created: str, updated: str) -> str:
        """The field a list is about; by update time at most half an hour, by creation a day."""
        kind = given.get("timeType")
        if kind not in (1, 2) or width < 0:
            raise gate.Refused(gate.PARAMETER, "timeType 或时间范围不正确")
        if width > (86_400_000 if kind == 1 else 1_800_000):
            raise gate.Refused(gate.PARAMETER, "时间跨度超过限制")
        return updated if kind == 2 else created


def _page(rows: list[Any], given: Params, most: int) -> tuple[int, int, list[Any]]:
    page, size = int(given.get("pageNo") or 1), int(given.get("pageSize") or 50)
    if page < 1 or not 0 < size <= 100 or page * size > most:
        raise gate.Refused(gate.PARAMETER, "pageNo 或 pageSize 不正确")
    return page, size, rows[(page - 1) * size : page * size]

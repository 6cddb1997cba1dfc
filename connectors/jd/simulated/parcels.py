"""Parcels of the simulated shop beyond the first: an order shipped in parts, and another waybill after shipping.

Several waybills of an order stand in one text as the vendor writes them: ``,`` between those of one courier, ``|``
between couriers.
"""

from __future__ import annotations

from typing import Any

from connectors.jd.simulated import shop

Params = dict[str, Any]
Answer = dict[str, Any]


def change(place: shop.Shop, given: Params) -> Answer:
    """Answers ``pop.order.sop.logistics.update``."""
    try:
        number = str(given["oneGlobalOrderModelNoLogistic"]["orderId"])
        (model,) = given["logisticsGlobalModelList"]
        company, waybills = str(model["logiCoprId"]), [str(one) for one in model["logiNoList"]]
        packages = int(model["packageNum"])
    except (KeyError, TypeError, ValueError):
        raise shop.Refused("62", "业务参数不正确", "Invalid parameter") from None
    try:
        if packages != len(waybills):
            raise shop.Failed(10400005, "PACKAGE_NUM_ERROR", "包裹数与运单号不符")
        _replace(place, number, company, ",".join(waybills))
    except shop.Failed as failed:
        return {"returnType": {"success": False, "resultCode": str(failed.number), "resultDescribe": failed.chinese}}
    return {"returnType": {"success": True, "resultCode": "0", "resultDescribe": "成功"}}


def _replace(place: shop.Shop, number: str, company: str, waybill: str) -> None:
    order = place.known(number)
    place.fitting(company, waybill)
    if order["orderState"] != shop.SENT:
        raise shop.Failed(10400000, "ORDER_STATE_ERROR", "订单状态不允许修改物流信息")
    if (order["logisticsId"], order["waybill"]) == (company, waybill):
        return
    order |= {"waybill": waybill, "logisticsId": company}
    place.commit("waybill", number, {"logiNo": waybill, "logiCoprId": company})
    place.moved(order, "order_stockout")


def ship_part(place: shop.Shop, given: Params) -> Answer:
    """Answers ``pop.order.partial.outship``: each order by itself, refused ones in ``failList``."""
    sent, failed = [], []
    try:
        orders = [(str(number), wish) for wish in given["request"]["data"] for number in wish["orderIds"]]
        parcels = {number: wish["deliveryNumberDtoList"] for number, wish in orders}
        for number, rows in parcels.items():
            try:
                for row in rows:
                    _part(place, number, row)
                sent.append(int(number))
            except shop.Failed as refused:
                failed.append({"orderId": int(number), "code": refused.number, "failReason": refused.chinese})
    except (KeyError, TypeError, ValueError):
        raise shop.Refused("62", "业务参数不正确", "Invalid parameter") from None
    return {"response": {"code": 0, "msg": "成功", "data": {"successList": sent, "failList": failed}}}


def _part(place: shop.Shop, number: str, row: Params) -> None:
    order, company, (waybill,) = place.known(number), str(row["deliveryId"]), row["deliveryNums"]
    place.fitting(company, str(waybill))
    if order["orderState"] != shop.WAITING or order["storeOrder"]:
        raise shop.Failed(10400000, "ORDER_STATE_ERROR", "订单状态不允许出库")
    left = remaining(order)
    for goods in row["partialShipmentGoodsList"]:
        sku, count = str(goods["skuId"]), int(goods["num"])
        if not 0 < count <= left.get(sku, 0):
            raise shop.Failed(10400004, "SKU_NUM_ERROR", f"商品{sku}的出库数量不正确")
        left[sku] -= count
    known, last = str(order["waybill"]), str(order["logisticsId"]).rpartition("|")[2]
    order["waybill"] = f"{known}{',' if last == company else '|'}{waybill}" if known else str(waybill)
    if last != company:
        order["logisticsId"] = f"{order['logisticsId']}|{company}" if known else company
    order["_left"] = left
    if not any(left.values()):
        order |= {"orderState": shop.SENT, "orderStateRemark": "等待确认收货"}
    place.commit("parcel", f"{number}/{waybill}", {"orderId": number, "logiNo": waybill, "logiCoprId": company})
    place.moved(order, "order_stockout")


def judge(place: shop.Shop, given: Params) -> Answer:
    """Answers ``pop.order.partialship.judge``."""
    try:
        asked = [str(one) for one in given["request"]["data"]["orderList"]]
    except (KeyError, TypeError):
        raise shop.Refused("62", "业务参数不正确", "Invalid parameter") from None
    rows = []
    for number in asked:
        order = place.orders.get(number)
        able = order is not None and order["orderState"] == shop.WAITING and sum(remaining(order).values()) > 1
        words = "" if able else "订单不支持部分发货"
        rows.append({"orderId": int(number), "supportPartialShipment": able, "notSupportMsg": words})
    return {"response": {"code": 0, "msg": "成功", "data": {"partialShipmentItemList": rows}}}


def remaining(order: shop.Record) -> dict[str, int]:
    """Pieces of each SKU that have not left."""
    if "_left" in order:
        return dict(order["_left"])
    counts: dict[str, int] = {}
    for line in order["itemInfoList"]:
        counts[line["skuId"]] = counts.get(line["skuId"], 0) + int(line["itemTotal"])
    return counts

"""The two families of after-sales: applications before shipping (fen), and service orders after receipt (yuan)."""

from __future__ import annotations

from decimal import Decimal

from connectors.jd.simulated import shop

OPEN, AGREED, REFUSED, PAID_BACK, WITHDRAWN = 0, 1, 2, 3, 11


def apply(place: shop.Shop, number: str, reason: str) -> shop.Record:
    """The buyer cancels a paid order: it is locked until the application is answered."""
    order = place.order(number)
    if order["orderState"] != shop.WAITING:
        raise ValueError(f"order {number} is {order['orderState']}; nothing to cancel")
    key = 900_000_000 + len(place.applications) + int(number) % 10**6 * 100
    place.applications[key] = {
        "id": key,
        "orderId": number,
        "buyerId": "",
        "buyerName": "",
        "applyTime": shop.local(place.now()),
        "applyRefundSum": float(Decimal(order["actualPay"]) * 100),
        "status": OPEN,
        "checkTime": "",
        "checkUserName": "",
        "checkRemark": "",
        "reason": reason,
        "systemId": 28,
        "partRefundType": 0,
        "_modified": shop.local(place.now()),
    }
    place.turn(number, shop.LOCKED, "已锁定", "order_refund")
    return place.applications[key]


def reply(place: shop.Shop, key: int, status: int, who: str, remark: str) -> None:
    """The seller agrees (1) or refuses (2)."""
    found = place.applications.get(key)
    if found is None or status not in (AGREED, REFUSED):
        raise shop.Failed(10600001, "APPLY_NOT_EXIST", "退款申请不存在或审核状态不正确")
    if found["status"] != OPEN:
        raise shop.Failed(10600002, "APPLY_STATE_ERROR", "退款申请已经审核")
    place.commit("refund_reply", str(key), {"status": status})
    found |= {"checkUserName": who, "checkRemark": remark, "checkTime": shop.local(place.now())}
    advance(place, key, status)


def advance(place: shop.Shop, key: int, status: int) -> shop.Record:
    """The application goes on, and the order with it."""
    if key not in place.applications:
        raise LookupError(f"no application {key}")
    found = place.applications[key]
    found |= {"status": status, "_modified": shop.local(place.now())}
    if status in (REFUSED, WITHDRAWN):
        place.turn(found["orderId"], shop.WAITING, "等待出库", "order_refund")
    if status == PAID_BACK:
        place.turn(found["orderId"], shop.CANCELLED, "取消", "order_cancel")
    return found


def open_service(place: shop.Shop, number: str, expect: int) -> shop.Record:
    """The buyer asks for a return (10), money only (11), exchange (20) or repair (30) of the first line."""
    order = place.order(number)
    line, key = order["itemInfoList"][0], 800_000_000 + len(place.services) + int(number) % 10**6 * 100
    at = shop.local(place.now())
    place.services[key] = {
        "serviceId": key,
        "applyId": key - 100_000_000,
        "orderId": int(number),
        "applyTime": at,
        "customerExpect": expect,
        "customerExpectName": {10: "退货", 11: "仅退款", 20: "换货", 30: "维修"}.get(expect, "其他"),
        "serviceStatus": 10001,
        "serviceStatusName": "待审核",
        "customerPin": "",
        "customerName": order["consigneeInfo"]["fullname"],
        "customerTel": order["consigneeInfo"]["mobile"],
        "pickwareType": 40,
        "orderType": 22,
        "orderTypeName": "SOP",
        "actualPayPrice": float(line["jdPrice"]),
        "skuId": int(line["skuId"]),
        "wareName": line["skuName"],
        "serviceCount": 1,
        "updateDate": at,
        "_version": 1,
    }
    return place.services[key]

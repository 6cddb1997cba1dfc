"""One simulated Xiaohongshu shop: amounts of orders in whole fen, times Unix milliseconds (0: not set).

Every change calls ``tell(tag, data)`` as the vendor would. A refused call raises ``gate.Refused``.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.simulator import world
from connectors.xiaohongshu.simulated import gate

Record = dict[str, Any]
Tell = Callable[[str, Record], None]
Commit = Callable[[str, str, Record], object]

NAME = "枢纽演示小店"
CREATED, RISK, READY, PART, SHIPPED, DONE, CLOSED, CANCELLED = 1, 2, 4, 5, 6, 7, 8, 9
NONE, RUNNING, OVER = 1, 2, 3
"""``orderAfterSalesStatus``."""
COMPANIES = {
    "shunfeng": "顺丰速运",
    "yuantong": "圆通速递",
    "zhongtong": "中通快递",
    "shentong": "申通快递",
    "yunda": "韵达速递",
    "ems": "EMS",
    "jd": "京东快递",  # house: vendor-word because a courier's code
    "youzhengguonei": "邮政快递包裹",
    "debangwuliu": "德邦快递",
    "jtexpress": "极兔速递",
}
WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}")


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in fen, ids 24 hexadecimal digits."""

    item_id: str
    sku_id: str
    code: str
    item: str
    title: str
    spec: str
    barcode: str
    price: int


def _id(kind: str, text: str) -> str:
    return hashlib.sha256(f"xiaohongshu:{kind}:{text}".encode()).hexdigest()[:24]


def goods(sku: world.Sku) -> Goods:
    """A SKU of the shared world as this shop sells it."""
    title = f"{sku.title} {sku.spec}"
    item = _id("item", sku.ids["product"])
    return Goods(item, _id("sku", sku.code), sku.code, sku.title, title, sku.spec, sku.barcode, int(sku.price * 100))


def refused(words: str, *, inner: bool = False) -> gate.Refused:
    """A business refusal."""
    return gate.Refused(gate.STATE, words, inner=inner)


class Shop:
    """State and rules. ``now`` gives Unix seconds; ``commit`` journals an effect."""

    def __init__(
        self, sold: Sequence[Goods], dice: random.Random, now: Callable[[], float], commit: Commit, tell: Tell
    ) -> None:
        self.goods, self.dice, self.now, self.commit, self.tell = list(sold), dice, now, commit, tell
        self.orders: dict[str, Record] = {}
        self._buyers: dict[str, world.Person] = {}
        self.total = {one.sku_id: 1000 for one in self.goods}
        self.reserved = dict.fromkeys(self.total, 0)
        self._base = 76 * 10**16 + int(now() * 1000) % 10**10 * 10**6
        self._count = 0

    def at(self) -> int:
        """Now, in milliseconds."""
        return int(self.now() * 1000)

    # What buyers do.

    def create(self, buyer: world.Person, bought: Sequence[tuple[Goods, int]]) -> Record:
        """Place an unpaid order; the vendor says nothing of it."""
        self._count += 1
        number, at = f"P{self._base + self._count}", self.at()
        lines = [self._line(*one) for one in bought]
        user = _id("user", buyer.phone)
        where = buyer.address
        order = {
            "orderId": number,
            "orderType": 1,
            "orderStatus": CREATED,
            "orderAfterSalesStatus": NONE,
            "cancelStatus": 0,
            "createdTime": at,
            "paidTime": 0,
            "updateTime": at,
            "deliveryTime": 0,
            "cancelTime": 0,
            "finishTime": 0,
            "promiseLastDeliveryTime": 0,
            "receiverCountryName": "中国",
            "receiverProvinceName": where.province,
            "receiverCityName": where.city,
            "receiverDistrictName": where.district,
            "customerRemark": self.dice.choice(["", "", "请用礼盒"]),
            "sellerRemark": "",
            "sellerRemarkFlag": 0,
            "expressTrackingNo": "",
            "expressCompanyCode": "",
            "totalPayAmount": sum(line["totalPaidAmount"] for line in lines),
            "totalShippingFree": 0,
            "totalMerchantDiscount": sum(line["totalMerchantDiscount"] for line in lines),
            "totalRedDiscount": 0,
            "shopId": "",
            "shopName": NAME,
            "userId": user,
            "openAddressId": _id("address", buyer.phone) + "00000001",
            "paymentType": 2,
            "outTradeNo": "",
            "unpack": False,
            "simpleDeliveryOrderList": [],
            "skuList": lines,
        }
        self.orders[number] = order
        self._buyers[number] = buyer
        return order

    def pay(self, number: str, *, risk: bool = False) -> Record:
        """Paid: the risk check first, then to be shipped (told twice, as the vendor does)."""
        order = self._in(number, CREATED)
        at = self.at()
        for line in order["skuList"]:
            self.reserved[line["skuId"]] += line["skuQuantity"]
        order |= {"paidTime": at, "promiseLastDeliveryTime": at + 172800000, "outTradeNo": f"43287{number[1:]}"}
        self._state(order, RISK)
        return order if risk else self.release(number)

    def release(self, number: str) -> Record:
        order = self._in(number, RISK)
        self._state(order, READY)
        self.told("msg_fulfillment_status_change", order)
        return order

    def ask_cancel(self, number: str) -> Record:
        """The buyer asks to cancel: hold the parcel."""
        order = self._in(number, READY)
        order["cancelStatus"] = 1
        self._state(order, READY)
        return order

    def finish(self, number: str) -> Record:
        order = self._in(number, SHIPPED)
        order["finishTime"] = self.at()
        self._state(order, DONE)
        return order

    def move_house(self, number: str) -> Record:
        """The buyer changes the address: its fingerprint changes with it."""
        order = self.order(number)
        order["openAddressId"] = _id("address", f"{order['openAddressId']}+") + "00000002"
        self.told("msg_fulfillment_receiver_change", order, openAddressId=order["openAddressId"])
        return order

    # What the seller does by API.

    def ship(self, number: str, waybill: str, company: str, skus: Sequence[str] | None) -> None:
        """All that is left, or some SKUs (``unpack``)."""
        order = self.order(number)
        self._parcel_fits(waybill, company)
        if order["orderStatus"] in (SHIPPED, DONE):
            raise refused("订单已发货，请勿重复操作")
        if order["orderStatus"] not in (READY, PART) or order["cancelStatus"] == 1:
            raise refused("订单状态不允许发货")
        left = [line for line in order["skuList"] if not line["shipped"]]
        chosen = left if skus is None else [line for line in left if line["skuId"] in skus]
        if not chosen or (skus is not None and len({line["skuId"] for line in chosen}) != len(skus)):
            raise refused("skuIdList 不正确或已发货")
        for line in chosen:
            line["shipped"] = True
            self.reserved[line["skuId"]] -= line["skuQuantity"]
            self.total[line["skuId"]] = max(0, self.total[line["skuId"]] - line["skuQuantity"])
        ids = [line["skuId"] for line in chosen]
        parcel = {"expressTrackingNo": waybill, "expressCompanyCode": company, "skuIdList": ids, "status": SHIPPED}
        order["simpleDeliveryOrderList"].append(
            {"deliveryOrderIndex": len(order["simpleDeliveryOrderList"]) + 1, **parcel}
        )
        whole = len(chosen) == len(left)
        order |= {"deliveryTime": self.at(), "unpack": order["unpack"] or skus is not None}
        if whole and not order["unpack"]:
            order |= {"expressTrackingNo": waybill, "expressCompanyCode": company}
        key = number if skus is None else f"{number}/{waybill}"
        self.commit("shipment" if skus is None else "shipment_part", key, {"expressNo": waybill, "skus": ids})
        self._state(order, SHIPPED if whole else PART)

    def edit(self, number: str, index: int, old: str, waybill: str, company: str) -> None:
        order = self.order(number)
        self._parcel_fits(waybill, company)
        found = [one for one in order["simpleDeliveryOrderList"] if one["deliveryOrderIndex"] == index]
        if not found or found[0]["expressTrackingNo"] != old:
            raise refused("包裹不存在或运单号已变更")
        if (found[0]["expressTrackingNo"], found[0]["expressCompanyCode"]) != (waybill, company):
            found[0] |= {"expressTrackingNo": waybill, "expressCompanyCode": company}
            order["expressTrackingNo"] = waybill
            self.commit("shipment_edit", number, {"expressNo": waybill})
            self.touch(order)

    def note(self, number: str, words: str, flag: int | None) -> None:
        order = self.order(number)
        wanted = {"sellerRemark": words, **({} if flag is None else {"sellerRemarkFlag": flag})}
        if any(order[name] != value for name, value in wanted.items()):
            order.update(wanted)
            self.commit("note", number, wanted)
            self.told("msg_fulfillment_seller_remark_change", order, sellerMarkNote=words, operator="API")

    def set_total(self, sku: str, level: int) -> None:
        """The total, reserved pieces and all; never below what is reserved."""
        if sku not in self.total:
            raise refused("skuId not found")
        if level < self.reserved[sku]:
            raise refused("库存不能小于已占用数量")
        if self.total[sku] != level:
            self.total[sku] = level
            self.commit("stock", sku, {"total": level})

    # Looking up.

    def order(self, number: str) -> Record:
        if number not in self.orders:
            raise refused("order not found")
        return self.orders[number]

    def buyer(self, number: str) -> world.Person:
        """Who placed an order, unmasked."""
        return self._buyers[number]

    def stock(self, sku: str) -> Record:
        if sku not in self.total:
            raise refused("skuId not found")
        total, reserved = self.total[sku], self.reserved[sku]
        return {"skuId": sku, "total": total, "available": total - reserved, "reserved": reserved, "standalone": total}

    def touch(self, order: Record) -> None:
        """The order changed; its time always grows."""
        order["updateTime"] = max(self.at(), order["updateTime"] + 1)

    def told(self, tag: str, order: Record, **more: Any) -> None:
        self.touch(order)
        number = order["orderId"]
        self.tell(tag, {"orderId": number, "packageId": number, "updateTime": order["updateTime"], **more})

    def _in(self, number: str, state: int) -> Record:
        order = self.order(number)
        if order["orderStatus"] != state:
            raise ValueError(f"order {number} is {order['orderStatus']}, not {state}")
        return order

    def _state(self, order: Record, state: int) -> None:
        order["orderStatus"] = state
        self.told("msg_fulfillment_status_change", order, orderStatus=state, packageStatus=state)

    def _parcel_fits(self, waybill: str, company: str) -> None:
        if company not in COMPANIES:
            raise gate.Refused(gate.PARAMETER, "expressCompanyCode 不正确")
        if not WAYBILL.fullmatch(waybill):
            raise gate.Refused(gate.PARAMETER, "expressNo 不正确")

    def _line(self, one: Goods, count: int) -> Record:
        off = 500 if one.price * count >= 10000 else 0
        return {
            "skuId": one.sku_id,
            "skuName": one.title,
            "erpcode": one.code,
            "skuSpec": one.spec,
            "skuQuantity": count,
            "itemId": one.item_id,
            "itemName": one.item,
            "skuAfterSaleStatus": 1,
            "totalPaidAmount": one.price * count - off,
            "totalMerchantDiscount": off,
            "totalRedDiscount": 0,
            "shipped": False,
            "skuDetailList": [
                {
                    "skuId": one.sku_id,
                    "erpCode": one.code,
                    "barcode": one.barcode,
                    "quantity": count,
                    "rawPricePerSku": one.price,
                }
            ],
        }


def cipher(kind: str, text: str) -> str:
    """An opaque stand-in for the vendor's ciphertext of a personal value."""
    return f"#{hashlib.sha256(f'{kind}:{text}'.encode()).hexdigest()[:32]}#1##"

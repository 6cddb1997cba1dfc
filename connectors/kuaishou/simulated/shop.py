"""One simulated Kuaishou shop: each order is one SKU line, amounts whole fen, times Unix milliseconds (0: not set).

Every change calls ``tell(event, business id, info)`` as the vendor would. A refused call raises ``gate.Refused``.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.kuaishou.simulated import gate
from connectors.simulator import world

Record = dict[str, Any]
Tell = Callable[[str, int, Record], None]
Commit = Callable[[str, str, Record], object]

NAME = "枢纽演示小店"
OPEN_ID = "f1b60000000000000000000000000001"
CREATED, PAID, SHIPPED, SIGNED, DONE, CLOSED = 10, 30, 40, 50, 70, 80
COMPANIES = {
    2: "EMS",
    3: "申通",
    4: "顺丰",
    6: "圆通",
    8: "邮政包裹",
    9: "中通",
    11: "韵达",
    14: "京东",
    17: "德邦",
    109: "极兔",
}
WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}")


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in fen."""

    item_id: int
    sku_id: int
    code: str
    title: str
    spec: str
    barcode: str
    price: int


def goods(sku: world.Sku) -> Goods:
    """A SKU of the shared world as this shop sells it."""
    item = 21 * 10**12 + int(hashlib.sha256(sku.ids["product"].encode()).hexdigest()[:6], 16)
    return Goods(item, 22 * 10**12 + sku.index, sku.code, sku.title, sku.spec, sku.barcode, int(sku.price * 100))


def failed(words: str) -> gate.Refused:
    """Code 21: the vendor's word for any business failure."""
    return gate.Refused(21, words)


def blocked(words: str) -> gate.Refused:
    """Code 11: the shipping check said no."""
    return gate.Refused(11, words)


class Shop:
    """State and rules. ``now`` gives Unix seconds; ``commit`` journals an effect."""

    def __init__(
        self, sold: Sequence[Goods], dice: random.Random, now: Callable[[], float], commit: Commit, tell: Tell
    ) -> None:
        self.goods, self.dice, self.now, self.commit, self.tell = list(sold), dice, now, commit, tell
        self.orders: dict[int, Record] = {}
        self.stock = {one.sku_id: 1000 for one in self.goods}
        self.waybills: dict[str, str] = {}
        self._base = 26 * 10**14 + int(now() * 1000) % 10**10 * 10**4
        self._count = 0

    def at(self) -> int:
        """Now, in milliseconds."""
        return int(self.now() * 1000)

    # What buyers do.

    def create(self, buyer: world.Person, one: Goods, count: int) -> Record:
        """One order for one SKU; a basket becomes several orders."""
        self._count += 1
        oid, at = self._base + self._count, self.at()
        off = 500 if one.price * count >= 10000 else 0
        buyer_id = hashlib.sha256(f"buyer:{buyer.phone}".encode()).hexdigest()[:32]
        order = {
            "orderBaseInfo": {
                "oid": oid,
                "status": CREATED,
                "totalFee": one.price * count - off,
                "expressFee": 0,
                "discountFee": off,
                "payType": 2,
                "payChannel": "WECHAT",  # house: vendor-word because the vendor's own code says so
                "createTime": at,
                "payTime": 0,
                "sendTime": 0,
                "recvTime": 0,
                "refundTime": 0,
                "updateTime": at,
                "buyerOpenId": buyer_id,
                "buyerNick": f"{buyer.nick[0]}****{buyer.nick[-1]}",
                "sellerOpenId": OPEN_ID,
                "sellerNick": NAME,
                "remark": self.dice.choice(["", "", "请用礼盒"]),
                "validPromiseShipmentTimeStamp": at + 172800000,
                "disableDeliveryReasonCode": [],
                "riskCode": 0,
                "channel": "LIVE",
            },
            "orderItemInfo": {
                "orderItemId": oid,
                "itemId": one.item_id,
                "skuId": one.sku_id,
                "relItemId": 0,
                "relSkuId": 0,
                "skuNick": one.code,
                "goodsCode": one.barcode,
                "itemTitle": one.title,
                "skuDesc": one.spec,
                "num": count,
                "price": one.price,
                "originalPrice": one.price,
                "discountFee": off,
            },
            "orderLogisticsInfo": [],
            "orderAddress": _receiver(buyer),
            "orderDeliveryInfo": {"deliveryNum": 0, "packageNum": 0, "openAddressId": f"oa{buyer_id[:18]}"},
            "refunds": [],
            "notes": [],
        }
        self.orders[oid] = order
        self.told("kwaishop_order_addOrder", order, buyerOpenId=buyer_id, createTime=at)
        return order

    def pay(self, oid: int, *, risk: int = 0, blocked: Sequence[int] = ()) -> Record:
        """Paid; with a risk code or reasons against delivery the order must not be shipped yet."""
        base = self._in(oid, CREATED)["orderBaseInfo"]
        item = self.orders[oid]["orderItemInfo"]
        self.stock[item["skuId"]] = max(0, self.stock[item["skuId"]] - item["num"])
        base |= {"status": PAID, "payTime": self.at(), "riskCode": risk, "disableDeliveryReasonCode": list(blocked)}
        self.told("kwaishop_order_paySuccess", self.orders[oid])
        return self.orders[oid]

    def move(self, oid: int, before: int, state: int, event: str) -> Record:
        """What time and buyers do later: signed, successful, closed, released."""
        order = self._in(oid, before)
        base = order["orderBaseInfo"]
        base["status"] = state
        if state == PAID:
            base |= {"riskCode": 0, "disableDeliveryReasonCode": []}
        if state in (SIGNED, DONE):
            base["recvTime"] = base["recvTime"] or self.at()
        self.told(event, order)
        return order

    # What the seller does by API.

    def ship(self, oid: int, waybill: str, company: int) -> None:
        """The same waybill again is a success (since 2024-11-25)."""
        order = self.order(oid)
        if any(one["expressNo"] == waybill for one in order["orderLogisticsInfo"]):
            return
        base = order["orderBaseInfo"]
        self._parcel_fits(order, waybill, company)
        if base["status"] != PAID:
            raise failed("order operation reject")
        if base["riskCode"] or base["disableDeliveryReasonCode"]:
            raise blocked("订单处于禁止发货状态")
        base |= {"status": SHIPPED, "sendTime": self.at()}
        order["orderDeliveryInfo"] |= {"deliveryNum": order["orderItemInfo"]["num"], "packageNum": 1}
        self._parcel(order, waybill, company)
        self.commit("shipment", str(oid), {"expressNo": waybill, "expressCode": company})
        self.told("kwaishop_order_delivering", order)

    def split(self, oid: int, parcels: list[Record]) -> None:
        """Some pieces of a waiting order leave in parcels of their own; the first that leaves makes it shipped."""
        order = self.order(oid)
        base, wanted = order["orderBaseInfo"], order["orderItemInfo"]["num"]
        if base["status"] != PAID:
            raise failed("order operation reject")
        if base["riskCode"] or base["disableDeliveryReasonCode"]:
            raise blocked("订单处于禁止发货状态")
        counts = [sum(int(one["deliveryNum"]) for one in parcel["deliveryGoodsInfoList"]) for parcel in parcels]
        owners = {int(one["oid"]) for parcel in parcels for one in parcel["deliveryGoodsInfoList"]}
        if not parcels or min(counts) < 1 or sum(counts) > wanted or owners != {oid}:
            raise failed("发货数量不正确")
        for parcel in parcels:
            self._parcel_fits(order, str(parcel["expressNo"]), int(parcel["expressCode"]))
        for parcel in parcels:
            self._parcel(order, str(parcel["expressNo"]), int(parcel["expressCode"]))
        base |= {"status": SHIPPED, "sendTime": self.at()}
        order["orderDeliveryInfo"] |= {"deliveryNum": sum(counts), "packageNum": len(parcels)}
        numbers = [str(parcel["expressNo"]) for parcel in parcels]
        self.commit("shipment", str(oid), {"expressNo": numbers, "deliveryNum": sum(counts)})
        self.told("kwaishop_order_delivering", order)

    def append(self, oid: int, waybill: str, company: int) -> None:
        order = self.order(oid)
        if order["orderBaseInfo"]["status"] != SHIPPED:
            raise failed("订单状态不允许追加包裹")
        self._parcel_fits(order, waybill, company)
        if any(one["expressNo"] == waybill for one in order["orderLogisticsInfo"]):
            raise failed("运单号已存在")
        self._parcel(order, waybill, company)
        self.commit("parcel", f"{oid}/{waybill}", {"expressCode": company})
        self.told("kwaishop_order_delivering", order)

    def edit(self, oid: int, logistics_id: int, waybill: str, company: int) -> None:
        order = self.order(oid)
        found = [one for one in order["orderLogisticsInfo"] if one["logisticsId"] == logistics_id]
        if not found:
            raise failed("物流单不存在")
        self._parcel_fits(order, waybill, company)
        if (found[0]["expressNo"], found[0]["expressCode"]) != (waybill, company):
            found[0] |= {"expressNo": waybill, "expressCode": company}
            self.commit("shipment_edit", str(oid), {"expressNo": waybill})
            self.touch(order)

    def change_stock(self, item_id: int, sku_id: int, change: int) -> None:
        """By a difference only; a change of nothing is taken as well."""
        if not any((one.item_id, one.sku_id) == (item_id, sku_id) for one in self.goods):
            raise failed("商品或SKU不存在")
        level = self.stock[sku_id] + change
        if level < 0:
            raise failed("当前库存不足，请减少预留数量")
        if change:
            self.stock[sku_id] = level
            self.commit("stock", str(sku_id), {"change": change, "level": level})

    def note(self, oid: int, words: str, flag: int) -> None:
        order = self.order(oid)
        order["notes"].append({"note": words, "flag": flag})
        self.commit("note", str(oid), {"note": words, "flag": flag})
        self.told("kwaishop_order_addNote", order, note=words, flag=flag)

    # Looking up.

    def order(self, oid: int) -> Record:
        if oid not in self.orders:
            raise failed("order operation reject")
        return self.orders[oid]

    def shown(self, order: Record, *, detail: bool) -> Record:
        """The order as the list or the detail spells it."""
        hidden = ("refunds", "notes")
        refunds = "orderDetailRefundList" if detail else "orderRefundList"
        return {**{key: value for key, value in order.items() if key not in hidden}, refunds: order["refunds"]}

    def touch(self, order: Record) -> None:
        """The order changed; its time always grows."""
        base = order["orderBaseInfo"]
        base["updateTime"] = max(self.at(), base["updateTime"] + 1)

    def told(self, event: str, order: Record, **more: Any) -> None:
        self.touch(order)
        base = order["orderBaseInfo"]
        info = {"oid": base["oid"], "status": base["status"], "updateTime": base["updateTime"], **more}
        self.tell(event, base["oid"], info)

    def _in(self, oid: int, state: int) -> Record:
        order = self.order(oid)
        if order["orderBaseInfo"]["status"] != state:
            raise ValueError(f"order {oid} is {order['orderBaseInfo']['status']}, not {state}")
        return order

    def _parcel_fits(self, order: Record, waybill: str, company: int) -> None:
        if company not in COMPANIES:
            raise blocked("快递公司不存在")
        if not WAYBILL.fullmatch(waybill):
            raise blocked("运单号和物流公司不匹配")
        where = order["orderDeliveryInfo"]["openAddressId"]
        if self.waybills.get(waybill, where) != where:
            raise blocked("同一个运单号对应收件地址超过1个")

    def _parcel(self, order: Record, waybill: str, company: int) -> None:
        number = 300_000_000_000 + self.dice.randrange(10**9)
        self.waybills[waybill] = order["orderDeliveryInfo"]["openAddressId"]
        order["orderLogisticsInfo"].append({"logisticsId": number, "expressNo": waybill, "expressCode": company})


def cipher(text: str) -> str:
    """An opaque stand-in for the vendor's ciphertext of a personal value, with its search index."""
    mark = hashlib.sha256(f"kuaishou:{text}".encode()).hexdigest()
    return f"##{mark[:24]}==#{mark[24:34]}#1##"


def _receiver(buyer: world.Person) -> Record:
    where = buyer.address
    return {
        "province": where.province,
        "city": where.city,
        "district": where.district,
        "town": "",
        "encryptedConsignee": cipher(buyer.name),
        "desensitiseConsignee": f"{buyer.name[0]}**",
        "encryptedMobile": cipher(buyer.phone),
        "desensitiseMobile": f"{buyer.phone[:3]}****{buyer.phone[-4:]}",
        "encryptedAddress": cipher(where.street),
        "desensitiseAddress": f"{where.street[0]}***号",
    }

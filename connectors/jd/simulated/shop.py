"""One simulated JD shop: orders, refund applications, service orders and stock, changed by the vendor's rules.

Orders are kept in the vendor's native form: everything is text, amounts are yuan. Every change of an order calls
``tell(kind, content)`` as the queue would say it. A refused call raises ``Refused`` (the gateway's own refusal) or
``Failed`` (code 0 and yet a failure).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

Record = dict[str, Any]
Tell = Callable[[str, Record], None]
Commit = Callable[[str, str, Record], object]

ZONE = timezone(timedelta(hours=8))
NEVER = "0001-01-01 00:00:00"
COMPANIES = {"465": "EMS", "467": "顺丰", "463": "圆通", "470": "申通", "1327": "韵达", "1499": "中通", "2087": "京东"}
WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}")
WAITING, SENT, DONE, CANCELLED, LOCKED, PAUSED = (
    "WAIT_SELLER_STOCK_OUT",
    "WAIT_GOODS_RECEIVE_CONFIRM",
    "FINISHED_L",
    "TRADE_CANCELED",
    "LOCKED",
    "POP_ORDER_PAUSE",
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, unmasked; what leaves the shop is masked."""

    open_id: str
    name: str
    phone: str
    province: str
    city: str
    district: str
    street: str


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in yuan."""

    ware_id: int
    sku_id: int
    outer_id: str
    title: str
    spec: str
    price: Decimal


class Refused(Exception):
    """The gateway's own refusal; becomes ``error_response``."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{code} {en}")
        self.body = {"code": code, "zh_desc": zh, "en_desc": en}


class Failed(Exception):
    """A business failure: HTTP 200, code 0, ``success: false``."""

    def __init__(self, number: int, english: str, chinese: str) -> None:
        super().__init__(f"{number} {english}")
        self.number, self.english, self.chinese = number, english, chinese


def local(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


class Shop:
    """State and rules. ``now`` gives Unix time; ``commit`` journals an effect."""

    def __init__(
        self, goods: Sequence[Goods], dice: random.Random, now: Callable[[], float], commit: Commit, tell: Tell
    ) -> None:
        self.goods, self.dice, self.now, self.commit, self.tell = goods, dice, now, commit, tell
        self.orders: dict[str, Record] = {}
        self.applications: dict[int, Record] = {}
        self.services: dict[int, Record] = {}
        self.stock: dict[int, int] = {sku.sku_id: 1000 for sku in goods}
        self.changed: dict[int, float] = {sku.sku_id: now() for sku in goods}
        self._base, self._count = 200_000_000_000 + int(now() * 10) % 10**8 * 1000, 0

    # What buyers and the platform do.

    def place(self, buyer: Buyer, bought: Sequence[tuple[Goods, int]], warehouse: bool) -> Record:
        """A paid order; ``warehouse``: JD's own warehouse ships it."""
        self._count += 1
        number, at = str(self._base + self._count), local(self.now())
        goods = sum((sku.price * count for sku, count in bought), Decimal())
        discount = Decimal(10) if goods >= 100 else Decimal()
        order = {
            "orderId": number,
            "venderId": "10000001",
            "orderType": "22",
            "payType": "4-在线支付",
            "orderTotalPrice": f"{goods:.2f}",
            "orderSellerPrice": f"{goods - discount:.2f}",
            "orderPayment": f"{goods - discount:.2f}",
            "freightPrice": "0.00",
            "sellerDiscount": f"{discount:.2f}",
            "orderState": WAITING,
            "orderStateRemark": "等待出库",
            "orderRemark": self.dice.choice(["", "", "请尽快发货"]),
            "orderStartTime": at,
            "orderEndTime": NEVER,
            "paymentConfirmTime": at,
            "modified": at,
            "consigneeInfo": _consignee(number, buyer),
            "itemInfoList": [_line(sku, count) for sku, count in bought],
            "couponDetailList": [],
            "venderRemark": "",
            "balanceUsed": "0.00",
            "pin": "",
            "returnOrder": "0",
            "waybill": "",
            "logisticsId": "",
            "directParentOrderId": "0",
            "parentOrderId": "0",
            "storeOrder": "京仓订单" if warehouse else "",
            "idSopShipmenttype": 0,
            "storeId": "0",
            "shouldPay": f"{goods - discount:.2f}",
            "actualPay": f"{goods - discount:.2f}",
            "open_id_buyer": buyer.open_id,
            "xid_buyer": f"x{buyer.open_id}",
        }
        self.orders[number] = order
        for sku, count in bought:
            self.stock[sku.sku_id] = max(0, self.stock[sku.sku_id] - count)
        self.moved(order, "order_pay")
        return order

    def split(self, number: str) -> list[Record]:
        """The platform splits an order: a child per line, the parent shows as cancelled."""
        parent = self.order(number)
        if parent["orderState"] != WAITING or len(parent["itemInfoList"]) < 2:
            raise ValueError(f"order {number} cannot be split")
        children = []
        for line in parent["itemInfoList"]:
            self._count += 1
            total = f"{Decimal(line['jdPrice']) * int(line['itemTotal']):.2f}"
            prices = dict.fromkeys(
                ("orderTotalPrice", "orderSellerPrice", "orderPayment", "shouldPay", "actualPay"), total
            )
            child = parent | prices | {"orderId": str(self._base + self._count), "itemInfoList": [line]}
            child |= {"parentOrderId": number, "directParentOrderId": number, "sellerDiscount": "0.00"}
            self.orders[child["orderId"]] = child
            self.moved(child, "order_create")
            children.append(child)
        parent |= {"orderState": "PARENT_TRADE_CANCELED", "orderStateRemark": "父单取消"}
        self.moved(parent, "order_cancel")
        return children

    def turn(self, number: str, state: str, remark: str, kind: str) -> Record:
        """The order's state changes by somebody else's hand."""
        order = self.order(number)
        order |= {"orderState": state, "orderStateRemark": remark}
        if state in (DONE, CANCELLED):
            order["orderEndTime"] = local(self.now())
        self.moved(order, kind)
        return order

    # What the seller does by API.

    def ship(self, number: str, company: str, waybill: str) -> None:
        order = self.known(number)
        self.fitting(company, waybill)
        if order["orderState"] != WAITING or order["storeOrder"]:
            done = order["orderState"] in (SENT, DONE)
            words = "订单已经出库，请勿重复操作" if done else "订单状态不允许出库"
            raise Failed(10400000, "ORDER_STATE_ERROR", words)
        order |= {"orderState": SENT, "orderStateRemark": "等待确认收货", "waybill": waybill, "logisticsId": company}
        self.commit("shipment", number, {"orderId": number, "logiNo": waybill, "logiCoprId": company})
        self.moved(order, "order_stockout")

    def fitting(self, company: str, waybills: str) -> None:
        """A courier that exists and waybills (``,`` between them) that can be. Raises Failed."""
        if company not in COMPANIES:
            raise Failed(10400002, "LOGISTICS_NOT_EXIST", "物流公司编号不正确")
        if not all(WAYBILL.fullmatch(one) for one in waybills.split(",")):
            raise Failed(10400003, "WAYBILL_ERROR", "运单号不正确")

    def remark(self, number: str, text: str, flag: str | None) -> None:
        order = self.known(number)
        if (order["venderRemark"], order.get("flag")) == (text, flag):
            return
        order |= {"venderRemark": text, "flag": flag}
        self.commit("memo", number, {"remark": text, "flag": flag})
        self.moved(order, None)

    def set_stock(self, sku: int, quantity: int) -> None:
        if sku not in self.stock or quantity < 0:
            raise Failed(10500001, "SKU_NOT_EXIST", "SKU不存在或库存不正确")
        if self.stock[sku] == quantity:
            return
        self.stock[sku], self.changed[sku] = quantity, self.now()
        self.commit("stock", str(sku), {"stockNum": quantity})
        self.tell("sku_change", {"skuId": sku})

    # Looking up.

    def order(self, number: str) -> Record:
        if number not in self.orders:
            raise LookupError(f"no order {number}")
        return self.orders[number]

    def known(self, number: str) -> Record:
        """For calls of the seller. Raises Failed."""
        if number not in self.orders:
            raise Failed(10400001, "ORDER_NOT_EXIST", "订单不存在")
        return self.orders[number]

    def moved(self, order: Record, kind: str | None) -> None:
        """A change of an order, told to the queue as ``kind`` (None: only its time moves)."""
        order["modified"] = local(self.now())
        if kind is not None:
            content = {
                "orderId": int(order["orderId"]),
                "rootOrderId": int(order["parentOrderId"]),
                "dParentOrderId": 0,
            }
            self.tell(kind, content)


def _line(sku: Goods, count: int) -> Record:
    return {
        "skuId": str(sku.sku_id),
        "outerSkuId": sku.outer_id,
        "skuName": f"{sku.title} {sku.spec}",
        "jdPrice": f"{sku.price:.2f}",
        "giftPoint": "0",
        "wareId": str(sku.ware_id),
        "itemTotal": str(count),
        "productNo": "",
        "serviceName": "",
        "newStoreId": "0",
    }


def _consignee(number: str, buyer: Buyer) -> Record:
    """Masked; ``oaid`` stands for the clear ones."""
    clear = f"{number}:{buyer.name}:{buyer.phone}:{buyer.street}"
    return {
        "fullname": f"{buyer.name[0]}**",
        "fullAddress": f"{buyer.province}{buyer.city}{buyer.district}****",
        "telephone": f"{buyer.phone[:3]}****{buyer.phone[-4:]}",
        "mobile": f"{buyer.phone[:3]}****{buyer.phone[-4:]}",
        "province": buyer.province,
        "city": buyer.city,
        "county": buyer.district,
        "town": "",
        "oaid": hashlib.sha256(clear.encode()).hexdigest()[:43],
    }

"""One simulated Pinduoduo shop: orders and stock, changed only by the vendor's own rules.

Orders are kept in the vendor's native form: yuan as numbers, local times, whole numbers for ids; one order is one
SKU. Every change calls ``tell(topic, content)`` as the vendor would. A refused call raises ``Refused``.
"""

from __future__ import annotations

import base64
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
COMPANIES = {
    1: ("申通快递", "STO"),
    44: ("顺丰速运", "SF"),
    85: ("圆通速递", "YTO"),
    115: ("中通快递", "ZTO"),
    118: ("EMS", "EMS"),
    120: ("京东快递", "JD"),  # house: vendor-word because a courier's code
    121: ("韵达快递", "YUNDA"),
    132: ("邮政快递包裹", "POSTB"),
}
WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}")
WAITING, SENT, SIGNED = 1, 2, 3
"""``order_status``."""
NO_REFUND, REFUNDED = 1, 4
"""``refund_status``; 2 and 3 are under way."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, unmasked; only masks and ciphertexts leave the shop."""

    name: str
    phone: str
    province: str
    city: str
    district: str
    street: str


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in yuan."""

    goods_id: int
    sku_id: int
    outer_goods_id: str
    outer_id: str
    name: str
    spec: str
    price: Decimal


class Refused(Exception):
    """A call refused in the vendor's words; becomes ``error_response``."""

    def __init__(self, code: int, msg: str, sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(f"{code} {msg} {sub_code}")
        self.body = {
            "error_code": code,
            "error_msg": msg,
            "sub_code": sub_code or str(code),
            "sub_msg": sub_msg or msg,
        }


def business(sub_msg: str, sub_code: str = "50001") -> Refused:
    """Code 50001, the shop system's own refusal."""
    return Refused(50001, "业务服务错误", sub_code, sub_msg)


def local(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def unix(text: str) -> int:
    """A local time as Unix seconds."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp())


class Shop:
    """State and rules. ``now`` gives Unix time; ``commit`` journals an effect."""

    def __init__(
        self, goods: Sequence[Goods], mall_id: int, now: Callable[[], float], commit: Commit, tell: Tell
    ) -> None:
        self.goods, self.mall_id, self.now, self.commit, self.tell = goods, mall_id, now, commit, tell
        self.orders: dict[str, Record] = {}
        self.buyers: dict[str, Buyer] = {}
        self.refunds: dict[int, Record] = {}
        self.stock: dict[int, int] = {sku.sku_id: 1000 for sku in goods}
        self._base, self._count = int(now() * 1000) % 10**11 * 10**4, 0

    # What buyers and the platform do.

    def confirm(self, buyer: Buyer, sku: Goods, number: int, review: bool, dice: random.Random) -> Record:
        """A group purchase is complete: the order is paid and becomes visible. ``review``: risk control looks first."""
        self._count += 1
        at = self.now()
        sn = f"{local(at)[2:10].replace('-', '')}-{self._base + self._count:015d}"
        goods = sku.price * number
        platform = Decimal(3) if goods >= 100 else Decimal()
        order: Record = {
            "order_sn": sn,
            "order_status": WAITING,
            "refund_status": NO_REFUND,
            "after_sales_status": 0,
            "confirm_status": 1,
            "group_status": 1,
            "risk_control_status": 1 if review else 0,
            "is_lucky_flag": 1,
            "trade_type": 0,
            "created_time": local(at - 91),
            "pay_time": local(at - 1),
            "confirm_time": local(at - 1),
            "updated_at": local(at),
            "last_ship_time": local(at + 172800),
            "shipping_time": "",
            "receive_time": "",
            "goods_amount": float(goods),
            "discount_amount": float(platform),
            "platform_discount": float(platform),
            "seller_discount": 0.0,
            "capital_free_discount": 0.0,
            "order_change_amount": 0.0,
            "postage": 0.0,
            "pay_amount": float(goods - platform),
            "pay_type": "WEIXIN",
            "pay_no": f"XP{self._base + self._count:022d}",
            "country": "中国",
            "province": buyer.province,
            "city": buyer.city,
            "town": buyer.district,
            "logistics_id": 0,
            "tracking_number": "",
            "extra_delivery_list": [],
            "gift_list": [],
            "buyer_memo": dice.choice(["", "", "请尽快发货"]),
            "remark": "",
            "remark_tag": None,
            "remark_tag_name": None,
            "stock_out_handle_status": -1,
            "step_order_info": None,
            "order_tag_list": [{"name": "no_trace_delivery", "value": 0}],
            "item_list": [row(sku, number)],
        }
        self.orders[sn], self.buyers[sn] = order, buyer
        self.stock[sku.sku_id] = max(0, self.stock[sku.sku_id] - number)
        self._changed(order, "TradeConfirmed")
        return order

    def review(self, sn: str, held: bool) -> Record:
        """Risk control takes the order, or lets it go."""
        order = self.order(sn)
        order["risk_control_status"] = 1 if held else 0
        self._changed(order, "TradeRiskChanged")
        return order

    def sign(self, sn: str) -> Record:
        """The parcel arrived."""
        order = self.order(sn)
        if order["order_status"] != SENT:
            raise ValueError(f"order {sn} is not on its way")
        order |= {"order_status": SIGNED, "receive_time": local(self.now())}
        self._changed(order, "TradeSuccess")
        return order

    def move(self, sn: str, city: str) -> Record:
        """The buyer changes the address."""
        order = self.order(sn)
        order["city"] = city
        self._changed(order, "TradeLogisticsAddressChanged")
        return order

    # What the seller does by API.

    def ship(self, sn: str, company: int, waybill: str, again: bool) -> None:
        order = self.known(sn)
        if company not in COMPANIES:
            raise business("快递公司不存在或不可用")
        if not WAYBILL.fullmatch(waybill):
            raise business("快递单号不符合规则")
        if again:
            if order["order_status"] != SENT:
                raise business("订单未发货，不能更改物流信息")
            if (order["logistics_id"], order["tracking_number"]) == (company, waybill):
                return
        else:
            if order["risk_control_status"] == 1:
                raise business("订单正在风控审核中，不能发货")
            if order["refund_status"] == REFUNDED:
                raise business("订单已退款，不能发货")
            if order["order_status"] == 0 or (order["step_order_info"] or {}).get("step_trade_status") in (0, 1):
                raise business("订单状态异常或尾款未付，不能发货")
            if order["order_status"] != WAITING:
                raise business("订单已发货，请勿重复发货")
        order |= {"order_status": SENT, "logistics_id": company, "tracking_number": waybill}
        if not again:
            order["shipping_time"] = local(self.now())
        effect = "shipment_changed" if again else "shipment"
        self.commit(effect, sn, {"order_sn": sn, "tracking_number": waybill, "logistics_id": company})
        self._changed(order, "TradeSellerShip")

    def add_parcels(self, sn: str, parcels: list[Record]) -> None:
        order = self.known(sn)
        if order["order_status"] != SENT:
            raise business("订单未发货，不能补充包裹")
        for parcel in parcels:
            company, waybill = int(parcel.get("shipping_id", 0)), str(parcel.get("tracking_number", ""))
            known = {order["tracking_number"], *(one["tracking_number"] for one in order["extra_delivery_list"])}
            if company not in COMPANIES or not WAYBILL.fullmatch(waybill) or waybill in known:
                raise business("包裹信息不正确或重复")
            order["extra_delivery_list"].append({"logistics_id": company, "tracking_number": waybill})
            self.commit("parcel", f"{sn}/{waybill}", parcel)
        self._changed(order, None)

    def note(self, sn: str, note: str, tag: int | None, tag_name: str | None) -> None:
        order = self.known(sn)
        wanted = {"remark": note, "remark_tag": tag, "remark_tag_name": tag_name}
        if all(order[name] == value for name, value in wanted.items()):
            return
        order |= wanted
        self.commit("memo", sn, wanted)
        self._changed(order, "TradeMemoModified", seller_memo=note)

    def set_stock(self, sku: Goods, quantity: int, full: bool) -> None:
        level = quantity if full else self.stock[sku.sku_id] + quantity
        if level < 0:
            raise business("库存不能小于0")
        if level == self.stock[sku.sku_id]:
            return
        self.stock[sku.sku_id] = level
        self.commit("stock", str(sku.sku_id), {"quantity": level})
        self.tell("pdd_goods_GoodsUpdate", {"mall_id": self.mall_id, "goods_id": sku.goods_id})

    # Looking up.

    def order(self, sn: str) -> Record:
        if sn not in self.orders:
            raise LookupError(f"no order {sn}")
        return self.orders[sn]

    def known(self, sn: str) -> Record:
        """For calls of the seller. Raises Refused."""
        if sn not in self.orders:
            raise business("订单不存在")
        return self.orders[sn]

    def shown(self, order: Record) -> Record:
        """As it leaves the shop: ciphertexts only while it waits to be shipped and nobody reviews it."""
        buyer, readable = self.buyers[order["order_sn"]], order["order_status"] == WAITING
        readable = readable and order["risk_control_status"] != 1
        full = f"{buyer.province}{buyer.city}{buyer.district}{buyer.street}"
        secret = {
            "receiver_name": ("~", buyer.name, f"{buyer.name[0]}*"),
            "receiver_phone": ("$", buyer.phone, f"1*********{buyer.phone[-1]}"),
            "receiver_address": ("~", buyer.street, f"{buyer.street[0]}****"),
            "address": ("~", full, f"{buyer.province}{buyer.city}{buyer.district}{buyer.street[0]}****"),
        }
        told = dict(order)
        for name, (frame, clear, mask) in secret.items():
            told[name] = _cipher(frame, order["order_sn"], clear) if readable else ""
            told[f"{name}_mask"] = mask
        if "contact_mobile" in told:
            # Since 2025-11 some orders have the phone here, and nothing where it was.
            told |= {"contact_mobile": told["receiver_phone"], "receiver_phone": "", "receiver_name": ""}
        return told

    def opened(self, sn: str, cipher: str) -> str | None:
        """What a ciphertext of this order says; None for another text."""
        buyer = self.buyers[sn]
        for frame, clear in (("~", buyer.name), ("$", buyer.phone), ("~", buyer.street)):
            if cipher == _cipher(frame, sn, clear):
                return clear
        return None

    def touch(self, order: Record) -> None:
        """The order changed by something else (an after-sale)."""
        self._changed(order, None)

    def _changed(self, order: Record, topic: str | None, **more: Any) -> None:
        order["updated_at"] = local(self.now())
        if topic is not None:
            self.tell(f"pdd_trade_{topic}", {"mall_id": self.mall_id, "tid": order["order_sn"], **more})


def row(sku: Goods, number: int) -> Record:
    """A SKU as a line of an order."""
    return {
        "goods_id": sku.goods_id,
        "sku_id": sku.sku_id,
        "outer_goods_id": sku.outer_goods_id,
        "outer_id": sku.outer_id,
        "goods_name": sku.name,
        "goods_spec": sku.spec,
        "goods_price": float(sku.price),
        "goods_count": number,
        "goods_img": "https://img.example.invalid/a.jpg",
    }


def _cipher(frame: str, sn: str, clear: str) -> str:
    """Opaque: the same text of the same order gives the same one, nothing can be read from it."""
    text = base64.b64encode(hashlib.sha256(f"{sn}:{clear}".encode()).digest()).decode()
    return f"~AgAAAA{text}~0~" if frame == "~" else f"$index${text}$1$$"

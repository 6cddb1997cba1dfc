"""One simulated Youzan shop: orders, refunds, customers and stock, changed only by the vendor's own rules.

Records are kept in the vendor's native form (yuan texts, local times, empty text for what has not happened). Every
change calls ``tell(type, id, status, msg)`` as the vendor would. A refused call raises ``Refused``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

Record = dict[str, Any]
Tell = Callable[[str, str, str, Record], None]
Commit = Callable[[str, str, Record], object]

ZONE = timezone(timedelta(hours=8))
COMPANIES = {1: "申通快递", 2: "圆通速递", 3: "中通快递", 4: "韵达快递", 7: "顺丰速运", 11: "EMS"}
WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}")
UNPAID, CONFIRM, WAITING, SENT, DONE, CLOSED = (
    "WAIT_BUYER_PAY",
    "WAIT_CONFIRM",
    "WAIT_SELLER_SEND_GOODS",
    "WAIT_BUYER_CONFIRM_GOODS",
    "TRADE_SUCCESS",
    "TRADE_CLOSED",
)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, in clear; names, phones and streets leave the shop as ciphertexts."""

    open_id: str
    name: str
    phone: str
    province: str
    city: str
    district: str
    street: str
    zip: str


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in yuan."""

    item_id: int
    sku_id: int
    item_no: str
    sku_no: str
    title: str
    spec: str
    price: Decimal


class Refused(Exception):
    """A call refused; ``gateway``: by the gateway itself, which has an envelope of its own."""

    def __init__(self, code: int, words: str, gateway: bool = False) -> None:
        super().__init__(f"{code} {words}")
        self.code, self.words, self.gateway = code, words, gateway


def local(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


def unix(text: str) -> float:
    """A local time as Unix seconds."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZONE).timestamp()


class Shop:
    """State and rules. ``now`` gives Unix time; ``commit`` journals an effect."""

    def __init__(
        self,
        goods: Sequence[Goods],
        kdt_id: Callable[[], int],
        now: Callable[[], float],
        commit: Commit,
        tell: Tell,
    ) -> None:
        self.goods, self.kdt_id, self.now, self.commit, self.tell = goods, kdt_id, now, commit, tell
        self.orders: dict[str, Record] = {}
        self.refunds: dict[str, Record] = {}
        self.customers: dict[str, Record] = {}
        self.stock: dict[int, int] = {sku.sku_id: 1000 for sku in goods}
        self._base, self._count = int(now() * 10) % 10**8, 0

    # What buyers and the platform do.

    def create(self, buyer: Buyer, bought: Sequence[tuple[Goods, int]], dice: random.Random) -> Record:
        """Place an unpaid order; answers the whole of it as trade.get does."""
        self._count += 1
        at = local(self.now())
        stamp = re.sub(r"\D", "", at)
        tid = f"E{stamp}{(self._base * 1000 + self._count) % 10**9:09d}"
        goods = sum((sku.price * count for sku, count in bought), Decimal())
        info = {
            "tid": tid,
            "status": UNPAID,
            "status_str": "待付款",
            "type": 0,
            "pay_type_str": "",
            "close_type": 0,
            "express_type": 0,
            "refund_state": 0,
            "created": at,
            "update_time": at,
            "pay_time": "",
            "consign_time": "",
            "success_time": "",
            "node_kdt_id": self.kdt_id(),
            "root_kdt_id": self.kdt_id(),
            "shop_name": "枢纽演示商城",
        }
        lines = [_line(self._base * 10**10 + self._count * 100 + place, *one) for place, one in enumerate(bought)]
        whole = {
            "order_info": info,
            "buyer_info": {
                "yz_open_id": buyer.open_id,
                "buyer_phone": _cipher(buyer.phone),
                "outer_user_id": f"o{buyer.open_id}",
                "fans_nickname": "",
            },
            "pay_info": {
                "total_fee": f"{goods:.2f}",
                "post_fee": "10.00",
                "payment": f"{goods + 10:.2f}",
                "transaction": [],
                "outer_transactions": [],
            },
            "remark_info": {"buyer_message": dice.choice(["", "请用礼盒"]), "star": 0, "trade_memo": ""},
            "address_info": {
                "receiver_name": _cipher(buyer.name),
                "receiver_tel": _cipher(buyer.phone),
                "delivery_province": buyer.province,
                "delivery_city": buyer.city,
                "delivery_district": buyer.district,
                "delivery_address": _cipher(buyer.street),
                "delivery_postal_code": buyer.zip,
            },
            "orders": lines,
        }
        self.orders[tid] = {"full_order_info": whole, "delivery_order": [], "refund_order": []}
        self._told("trade_TradeCreate", tid, whole=True)
        return self.orders[tid]

    def turn(self, tid: str, state: str, words: str, kind: str, **more: Any) -> Record:
        """The order reaches another state."""
        info = self.info(tid)
        info |= {"status": state, "status_str": words, "update_time": local(self.now()), **more}
        self._told(kind, tid, whole=kind in ("trade_TradePaid", "trade_TradeBuyerPay"))
        return self.orders[tid]

    def pay(self, tid: str, waits: bool = False) -> Record:
        """The buyer pays; ``waits``: a group purchase that is not complete yet."""
        info, paid = self.info(tid), local(self.now())
        if info["status"] not in (UNPAID, CONFIRM):
            raise ValueError(f"order {tid} is {info['status']}")
        first = info["status"] == UNPAID
        if first:
            pay = self.orders[tid]["full_order_info"]["pay_info"]
            pay |= {"transaction": [f"{self._base}{self._count:09d}"], "outer_transactions": []}
            for line in self.orders[tid]["full_order_info"]["orders"]:
                self.stock[line["sku_id"]] = max(0, self.stock[line["sku_id"]] - line["num"])
        more = {"pay_time": paid, "pay_type_str": "WEIXIN_DAIXIAO"} if first else {}
        if waits:
            return self.turn(tid, CONFIRM, "待成团", "trade_TradePaid", **more)
        return self.turn(tid, WAITING, "待发货", "trade_TradeBuyerPay", **more)

    # What the seller does by API.

    def ship(self, tid: str, oids: list[str], company: int, waybill: str, bare: bool = False) -> None:
        """``bare``: nothing is sent by a carrier."""
        if tid not in self.orders:
            raise Refused(5000, "交易不存在")
        if not bare and (company not in COMPANIES or not WAYBILL.fullmatch(waybill)):
            raise Refused(105000016, "快递公司或运单号不正确")
        info, whole = self.info(tid), self.orders[tid]
        lines = [line["oid"] for line in whole["full_order_info"]["orders"]]
        shipped = {one["oid"] for parcel in whole["delivery_order"] for one in parcel["oids"]}
        wanted = oids or [oid for oid in lines if oid not in shipped]
        if info["status"] in (SENT, DONE) or (wanted and shipped.issuperset(wanted)):
            raise Refused(102570007, "商品已发货")
        if info["status"] != WAITING or not set(wanted) <= set(lines) or not wanted:
            raise Refused(102570020, "没有可发货的商品")
        express = {"express_id": company, "express_no": waybill}
        dists = [] if bare else [{"dist_id": f"{int(self.now())}{len(shipped)}", "express_info": express}]
        whole["delivery_order"].append(
            {"pk_id": len(whole["delivery_order"]) + 1, "oids": [{"oid": oid} for oid in wanted], "dists": dists}
        )
        self.commit("shipment", f"{tid}/{','.join(wanted)}", {"tid": tid, "out_sid": waybill, "out_stype": company})
        if shipped | set(wanted) == set(lines):
            self.turn(tid, SENT, "待收货", "trade_TradeSellerShip", consign_time=local(self.now()))
        else:
            self.turn(tid, WAITING, "待发货", "trade_TradePartlySellerShip")

    def memo(self, tid: str, memo: str, flag: int | None) -> None:
        if tid not in self.orders:
            raise Refused(5000, "交易不存在")
        remark = self.orders[tid]["full_order_info"]["remark_info"]
        wanted = {"trade_memo": memo, **({} if flag is None else {"star": flag})}
        if all(remark[name] == value for name, value in wanted.items()):
            return
        remark |= wanted
        self.commit("memo", tid, wanted)
        self.turn(tid, self.info(tid)["status"], self.info(tid)["status_str"], "trade_TradeMemoModified")

    def set_stock(self, item: int, sku: int, quantity: int, delta: bool) -> None:
        chosen = [one for one in self.goods if one.item_id == item and sku in (0, one.sku_id)]
        if not chosen:
            raise Refused(122001001, "商品不存在")
        number = chosen[0].sku_id
        level = self.stock[number] + quantity if delta else quantity
        if level < 0:
            raise Refused(123004002, "库存不能小于0")
        if self.stock[number] == level:
            return
        self.stock[number] = level
        self.commit("stock", str(number), {"quantity": level})
        self.tell("youzan_item_SkuStockChanged", str(item), "", {"item_id": item, "sku_id": number})

    # Looking up.

    def info(self, tid: str) -> Record:
        if tid not in self.orders:
            raise LookupError(f"no order {tid}")
        found: Record = self.orders[tid]["full_order_info"]["order_info"]
        return found

    def _told(self, kind: str, tid: str, whole: bool) -> None:
        info = self.info(tid)
        msg = {"tid": tid, "update_time": info["update_time"]}
        if whole:
            msg = {"full_order_info": self.orders[tid]["full_order_info"]}
        self.tell(kind, tid, info["status"], msg)


def _line(oid: int, sku: Goods, count: int) -> Record:
    total = f"{sku.price * count:.2f}"
    return {
        "oid": str(oid),
        "item_id": sku.item_id,
        "sku_id": sku.sku_id,
        "title": sku.title,
        "num": count,
        "price": f"{sku.price:.2f}",
        "discount_price": f"{sku.price:.2f}",
        "total_fee": total,
        "payment": total,
        "outer_item_id": sku.item_no,
        "outer_sku_id": sku.sku_no,
        "item_no": sku.item_no,
        "sku_no": sku.sku_no,
        "sku_properties_name": json.dumps(
            [{"k": "规格", "k_id": 1, "v": sku.spec, "v_id": 2}], ensure_ascii=False, separators=(",", ":")
        ),
    }


def _cipher(clear: str) -> str:
    """Opaque: nothing can be read from it."""
    return f"$yz$cipher${base64.b64encode(hashlib.sha256(clear.encode()).digest()).decode()}$"

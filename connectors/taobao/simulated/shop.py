"""One simulated Taobao shop: trades, refunds and stock, changed only by the vendor's own rules.

Records are kept in the vendor's native form (yuan strings, local times, int64 ids). Every change calls
``tell(topic, content)`` as the vendor would. A refused call raises ``Refused`` with the vendor's codes.
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
SELLER = "枢纽测试旗舰店"
SHIP = "isv.logistics-offline-service-error"
COMPANIES = {
    "SF": "顺丰速运",
    "YTO": "圆通速递",
    "ZTO": "中通快递",
    "STO": "申通快递",
    "YUNDA": "韵达快递",
    "EMS": "EMS",
    "JD": "京东快递",  # house: vendor-word because a courier's code
    "POSTB": "邮政快递包裹",
    "DBKD": "德邦快递",
}
WAYBILL = re.compile(r"[A-Za-z0-9-]{6,40}")
SHIPPABLE = {"WAIT_SELLER_SEND_GOODS", "SELLER_CONSIGNED_PART"}
CLOSED = {"TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO"}


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys, unmasked; what leaves the shop is masked."""

    open_uid: str
    nick: str
    name: str
    phone: str
    province: str
    city: str
    district: str
    street: str


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in yuan."""

    num_iid: int
    sku_id: int
    outer_iid: str
    outer_sku_id: str
    title: str
    spec: str
    price: Decimal
    barcode: str


class Refused(Exception):
    """A call refused in the vendor's words; becomes ``error_response``."""

    def __init__(self, code: int, msg: str, sub_code: str = "", sub_msg: str = "") -> None:
        super().__init__(f"{code} {msg} {sub_code} {sub_msg}")
        self.body = {"code": code, "msg": msg}
        if sub_code:
            self.body |= {"sub_code": sub_code, "sub_msg": sub_msg or msg}


def remote(sub_code: str, sub_msg: str) -> Refused:
    """Code 15, the shop system's own refusal."""
    return Refused(15, "Remote service error", sub_code, sub_msg)


def local(at: float) -> str:
    """A Unix time as the vendor writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")


class Shop:
    """State and rules. ``now`` gives Unix time; ``commit`` journals an effect."""

    tmall = False
    """A Tmall shop refuses with a picture."""

    def __init__(
        self, goods: Sequence[Goods], dice: random.Random, now: Callable[[], float], commit: Commit, tell: Tell
    ) -> None:
        self.goods, self.dice, self.now, self.commit, self.tell = goods, dice, now, commit, tell
        self.trades: dict[int, Record] = {}
        self.refunds: dict[str, Record] = {}
        self.exchanges: dict[str, Record] = {}
        self.off: set[int] = set()
        self.gone: set[int] = set()
        self.stock: dict[int, int] = {sku.sku_id: 1000 for sku in goods}
        self.waybills: dict[str, str] = {}
        # 19 digits: a part of the clock, so that a restarted shop does not give old numbers again.
        self._base = 2 * 10**18 + int(now() * 1000) % 10**10 * 10**8
        self._count = 0

    # What buyers do.

    def create(self, buyer: Buyer, bought: Sequence[tuple[Goods, int]]) -> Record:
        """Place an unpaid order."""
        self._count += 1
        tid, at = self._base + self._count * 100, local(self.now())
        lines = [_line(tid if len(bought) == 1 else tid + 1 + place, *one) for place, one in enumerate(bought)]
        goods = sum((sku.price * number for sku, number in bought), Decimal())
        discount = Decimal(5 * len(lines)) if goods >= 100 else Decimal()
        _spread(lines, discount)
        trade = {
            "tid": tid,
            "tid_str": str(tid),
            "status": "WAIT_BUYER_PAY",
            "type": "fixed",
            "title": SELLER,
            "seller_nick": SELLER,
            "buyer_open_uid": buyer.open_uid,
            "buyer_nick": f"{buyer.nick[0]}**{buyer.nick[-1]}",
            "created": at,
            "modified": at,
            "payment": _yuan(goods - discount),
            "total_fee": _yuan(goods),
            "discount_fee": _yuan(discount),
            "adjust_fee": "0.00",
            "post_fee": "0.00",
            "received_payment": "0.00",
            "has_post_fee": True,
            "num": lines[0]["num"] if len(lines) == 1 else 0,
            "shipping_type": "express",
            "trade_from": "WAP,WAP",
            "buyer_message": self.dice.choice(["", "", "请尽快发货", "放门口即可"]),
            "seller_memo": "",
            "seller_flag": 0,
            "is_part_consign": False,
            "is_daixiao": False,
            **_receiver(tid, buyer),
            "orders": {"order": lines},
        }
        self.trades[tid] = trade
        self._told("TradeCreate", trade)
        return trade

    def pay(self, tid: int) -> Record:
        trade = self._in_state(tid, {"WAIT_BUYER_PAY"})
        for line in trade["orders"]["order"]:
            line["status"] = "WAIT_SELLER_SEND_GOODS"
            sku = int(line["sku_id"])
            self.stock[sku] = max(0, self.stock[sku] - line["num"])
        trade |= {
            "status": "WAIT_SELLER_SEND_GOODS",
            "pay_time": local(self.now()),
            "alipay_no": f"{local(self.now())[:10].replace('-', '')}22001{tid % 10**12:012d}",
        }
        if "step_trade_status" in trade:
            trade["step_trade_status"] = "FRONT_PAID_FINAL_PAID"
        self._changed(trade, "TradeBuyerPay")
        return trade

    def deposit(self, tid: int) -> Record:
        """The order is a pre-sale and its deposit is paid, the rest is not."""
        trade = self._in_state(tid, {"WAIT_BUYER_PAY"})
        trade |= {"type": "step", "step_trade_status": "FRONT_PAID_FINAL_NOPAID", "pay_time": local(self.now())}
        self._changed(trade, "TradeBuyerStepPay")
        return trade

    def hold(self, tid: int, held: bool) -> Record:
        """Paid, but shipping is forbidden for now (a group purchase still open), or free again."""
        ready, stopped = "WAIT_SELLER_SEND_GOODS", "PAID_FORBID_CONSIGN"
        trade = self._in_state(tid, {ready if held else stopped})
        trade["status"] = stopped if held else ready
        self._changed(trade, "TradeChanged")
        return trade

    def finish(self, tid: int) -> Record:
        trade = self._in_state(tid, {"WAIT_BUYER_CONFIRM_GOODS"})
        for line in self._open_lines(trade):
            line["status"] = "TRADE_FINISHED"
        trade |= {"status": "TRADE_FINISHED", "end_time": local(self.now()), "received_payment": trade["payment"]}
        self._changed(trade, "TradeSuccess")
        return trade

    def close(self, tid: int) -> Record:
        """Closed before payment."""
        trade = self._in_state(tid, {"WAIT_BUYER_PAY"})
        for line in trade["orders"]["order"]:
            line["status"] = "TRADE_CLOSED_BY_TAOBAO"
        trade |= {"status": "TRADE_CLOSED_BY_TAOBAO", "end_time": local(self.now())}
        self._changed(trade, "TradeClose")
        return trade

    # What the seller does by API.

    def ship(self, tid: int, sub_tids: list[int], split: bool, waybill: str, company: str) -> None:
        trade = self.trades.get(tid)
        if trade is None:
            raise remote(f"{SHIP}:B01", "没有找到对应的订单")
        self._check_parcel(trade, waybill, company)
        if trade["status"] not in SHIPPABLE:
            if trade["status"] in {"WAIT_BUYER_PAY", "PAID_FORBID_CONSIGN"}:
                raise remote(f"{SHIP}:B02", "订单状态不对，不能发货")
            raise remote(f"{SHIP}:B04", "订单状态不对该物流订单已经发货或者已关闭，不能重复发货")
        chosen = self._chosen(trade, sub_tids, split)
        at = local(self.now())
        for line in chosen:
            line |= {
                "status": "WAIT_BUYER_CONFIRM_GOODS",
                "consign_time": at,
                "logistics_company": COMPANIES[company],
                "invoice_no": waybill,
                "shipping_type": "express",
            }
        self.waybills[waybill] = trade["buyer_open_uid"]
        whole = all(line["status"] == "WAIT_BUYER_CONFIRM_GOODS" for line in self._open_lines(trade))
        trade |= {"consign_time": at, "is_part_consign": not whole}
        trade["status"] = "WAIT_BUYER_CONFIRM_GOODS" if whole else "SELLER_CONSIGNED_PART"
        parcel = {"tid": str(tid), "out_sid": waybill, "company_code": company}
        if split:
            for line in chosen:
                self.commit("shipment_part", line["oid_str"], parcel)
        else:
            self.commit("shipment", str(tid), parcel)
        self._changed(trade, "TradeSellerShip" if whole else "TradePartlySellerShip")

    def set_memo(self, tid: int, memo: str, flag: int | None) -> Record:
        trade = self.trade(tid)
        wanted = {"seller_memo": memo, **({} if flag is None else {"seller_flag": flag})}
        if all(trade.get(name) == value for name, value in wanted.items()):
            return trade
        trade.update(wanted)
        self.commit("memo", str(tid), {"memo": memo, "flag": trade.get("seller_flag")})
        self._changed(trade, "TradeMemoModified")
        return trade

    def set_stock(self, quantities: dict[int, int], full: bool) -> None:
        for sku, quantity in quantities.items():
            level = max(0, quantity if full else self.stock[sku] + quantity)
            if level == self.stock[sku]:
                continue
            self.stock[sku] = level
            self.commit("stock", str(sku), {"quantity": self.stock[sku]})
            item = next(one.num_iid for one in self.goods if one.sku_id == sku)
            content = {
                "nick": SELLER,
                "num_iid": item,
                "sku_id": sku,
                "sku_num": self.stock[sku],
                "increment": quantity,
            }
            self.tell("taobao_item_ItemStockChanged", content)

    # Looking up.

    def trade(self, tid: int) -> Record:
        if tid not in self.trades:
            raise remote("isv.trade-not-exist", f"交易不存在 {tid}")
        return self.trades[tid]

    def touch(self, trade: Record, topic: str, **more: Any) -> None:
        """The trade changed by something else (a refund)."""
        self._changed(trade, topic, **more)

    def _in_state(self, tid: int, states: set[str]) -> Record:
        trade = self.trade(tid)
        if trade["status"] not in states:
            raise ValueError(f"trade {tid} is {trade['status']}, not {' or '.join(sorted(states))}")
        return trade

    def _open_lines(self, trade: Record) -> list[Record]:
        return [line for line in trade["orders"]["order"] if line["status"] not in CLOSED]

    def _check_parcel(self, trade: Record, waybill: str, company: str) -> None:
        if not waybill:
            raise remote(f"{SHIP}:B59", "运单号不能为空")
        if company not in COMPANIES:
            raise remote(f"{SHIP}:B27", "物流公司编号不正确")
        buyer = self.waybills.get(waybill, trade["buyer_open_uid"])
        if not WAYBILL.fullmatch(waybill) or buyer != trade["buyer_open_uid"]:
            raise remote(f"{SHIP}:B60", "运单号不符合规则或已经被使用")

    def _chosen(self, trade: Record, sub_tids: list[int], split: bool) -> list[Record]:
        waiting = [line for line in self._open_lines(trade) if line["status"] == "WAIT_SELLER_SEND_GOODS"]
        if not split:
            return waiting
        known = {line["oid"] for line in trade["orders"]["order"]}
        if not sub_tids or not known.issuperset(sub_tids):
            raise remote(f"{SHIP}:P38", "拆单校验未通过")
        chosen = [line for line in waiting if line["oid"] in sub_tids]
        if len(chosen) != len(set(sub_tids)):
            raise remote(f"{SHIP}:B04", "子订单已经发货或者已关闭，不能重复发货")
        return chosen

    def _changed(self, trade: Record, topic: str, **more: Any) -> None:
        trade["modified"] = local(self.now())
        self._told(topic, trade, **more)

    def _told(self, topic: str, trade: Record, **more: Any) -> None:
        named = ("tid", "buyer_nick", "buyer_open_uid", "seller_nick", "payment", "status")
        content = {name: trade[name] for name in named}
        oid = trade["orders"]["order"][0]["oid"]
        self.tell(f"taobao_trade_{topic}", {**content, "oid": oid, "type": "guarantee_trade", **more})


def _line(oid: int, sku: Goods, number: int) -> Record:
    total = _yuan(sku.price * number)
    return {
        "oid": oid,
        "oid_str": str(oid),
        "num_iid": sku.num_iid,
        "sku_id": str(sku.sku_id),
        "outer_iid": sku.outer_iid,
        "outer_sku_id": sku.outer_sku_id,
        "title": sku.title,
        "sku_properties_name": f"规格:{sku.spec}",
        "price": _yuan(sku.price),
        "num": number,
        "total_fee": total,
        "payment": total,
        "discount_fee": "0.00",
        "adjust_fee": "0.00",
        "divide_order_fee": total,
        "part_mjz_discount": "0.00",
        "status": "WAIT_BUYER_PAY",
        "refund_status": "NO_REFUND",
        "seller_type": "B",
        "cid": 50012345,
        "is_oversold": False,
    }


def _spread(lines: list[Record], discount: Decimal) -> None:
    """Split an order's discount over its lines."""
    share = discount / len(lines)
    for line in lines:
        line["part_mjz_discount"] = _yuan(share)
        line["divide_order_fee"] = _yuan(Decimal(line["payment"]) - share)


def _yuan(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _receiver(tid: int, buyer: Buyer) -> Record:
    """Name, phone and street masked as the vendor masks them; ``oaid`` stands for the clear ones."""
    clear = f"{tid}:{buyer.name}:{buyer.phone}:{buyer.street}"
    return {
        "receiver_name": f"{buyer.name[0]}**",
        "receiver_state": buyer.province,
        "receiver_city": buyer.city,
        "receiver_district": buyer.district,
        "receiver_town": "",
        "receiver_address": re.sub(r"\d", "*", buyer.street),
        "receiver_zip": "000000",
        "receiver_mobile": f"*******{buyer.phone[-4:]}",
        "receiver_phone": "",
        "oaid": f"1{hashlib.sha256(clear.encode()).hexdigest()}",
    }

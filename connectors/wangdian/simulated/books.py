"""The tenant behind both doors of the simulator: orders as pushed, ERP trades, parcels, stock, refunds, goods.

Times are Unix seconds; each door writes them its own way. Refusals carry the vendor's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Record = dict[str, Any]
Commit = Callable[[str, str, Any], Any]

OWN = 127
"""Platform number of shops whose orders are pushed; their buyers are shown in clear."""
HIDDEN = (1, 2, 39)
"""Platforms whose orders no query gives."""
PAID, PART, SENT, DONE, REFUNDED, CLOSED = 30, 40, 50, 70, 80, 90
STRANGE = re.compile("[\x00-\x08\x0b-\x1f\U00010000-\U0010ffff]")


class Refused(Exception):
    """The tenant says no. ``code`` is in the form door's numbers; the flagship answers 100 for all of these."""

    def __init__(self, message: str, code: int = 99) -> None:
        super().__init__(message)
        self.message, self.code = message, code


@dataclass(slots=True)
class Raw:
    """An order as a shop pushed it."""

    tid: str
    head: Record
    lines: list[Record]


@dataclass(slots=True)
class Trade:
    """What the ERP made of a paid order."""

    number: int
    tid: str
    platform: int
    status: int
    refund_status: int
    head: Record
    lines: list[Record]
    created: float
    modified: float
    waybill: str = ""
    carrier: tuple[int, str, str] = (-1, "", "")
    consigned: float = 0.0

    @property
    def name(self) -> str:
        return f"JY{self.number:012d}"


@dataclass(slots=True)
class Parcel:
    """One outbound order. In the queue of shipments to be shown ``state`` is 0 waiting, 2 failed, 3 shown.

    ``at`` is when it left (0: it never did), ``modified`` 0 means then.
    """

    number: int
    trade: Trade
    waybill: str
    oids: list[str]
    part: bool
    at: float
    carrier: tuple[int, str, str]
    state: int = 0
    cancelled: bool = False
    modified: float = 0.0
    more: list[str] = field(default_factory=list)
    """Waybills of further parcels of the same outbound order."""

    @property
    def changed(self) -> float:
        return self.modified or self.at


@dataclass(slots=True)
class Stock:
    """One SKU in the warehouse."""

    number: int
    spec_no: str
    goods_no: str
    on_hand: Decimal
    sending: Decimal
    modified: float

    @property
    def available(self) -> Decimal:
        return self.on_hand - self.sending


@dataclass(slots=True)
class Listing:
    """One variant in the shop; ``changes`` beyond ``shown`` wait to be shown there."""

    number: int
    goods_id: str
    spec_id: str
    goods_no: str
    spec_no: str
    row: Record
    changes: int = 1
    shown: int = 1
    status: int = 1


@dataclass(slots=True)
class Refund:
    """A refund as a shop pushed it, and the ERP's own number for it."""

    number: int
    refund_no: str
    tid: str
    kind: int
    status: int
    head: Record
    lines: list[Record]
    created: float
    modified: float
    erp: int = 20
    received: bool = False

    @property
    def name(self) -> str:
        return f"TK{self.number:010d}"

    @property
    def stockin(self) -> int:
        """0 no goods come back, 1 they are awaited, 3 all of them are in."""
        return 0 if self.kind not in (2, 3) else 3 if self.received else 1


@dataclass(slots=True)
class Arrival:
    """An inbound order: the goods of a refund, taken in by the warehouse."""

    number: int
    refund: Refund
    at: float

    @property
    def name(self) -> str:
        return f"RK{self.number:010d}"


@dataclass(slots=True)
class Books:
    """Everything of one tenant. ``now`` gives Unix time, ``commit`` journals an effect."""

    now: Callable[[], float]
    commit: Commit
    raws: dict[str, Raw] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    parcels: dict[int, Parcel] = field(default_factory=dict)
    stocks: dict[str, Stock] = field(default_factory=dict)
    listings: dict[int, Listing] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    outbound: list[Parcel] = field(default_factory=list)
    inbound: list[Arrival] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    """oid -> tid: a line's number is used once."""
    last: int = 700000

    def number(self) -> int:
        self.last += 1
        return self.last

    def add_goods(self, goods_no: str, spec_no: str, row: Record) -> None:
        """A SKU that was always there, in the warehouse and in the shop."""
        long_ago = self.now() - 7200
        self.stocks[spec_no] = Stock(self.number(), spec_no, goods_no, Decimal(120), Decimal(0), long_ago)
        number = self.number()
        self.listings[number] = Listing(number, goods_no, spec_no, goods_no, spec_no, row)

    # Orders.

    def push(self, head: Record, lines: list[Record]) -> bool:
        """Take an order; True when it is new. Raises Refused."""
        tid = str(head.get("tid") or "")
        self._check(tid, head, lines)
        known = self.raws.get(tid)
        if known is None:
            self.raws[tid] = Raw(tid, head, lines)
            self.owners |= {str(line["oid"]): tid for line in lines}
            self.commit("order.push", tid, {"lines": len(lines)})
        else:
            before = {str(line["oid"]): line for line in known.lines}
            for line in lines:
                old = before.get(str(line["oid"]))
                if old is None or any(Decimal(str(old[one])) != Decimal(str(line[one])) for one in ("num", "price")):
                    raise Refused(f"原始单号{tid}: 已推送的子订单数量和单价不能修改")
            if (known.head, known.lines) == (head, lines):
                return False
            known.head, known.lines = head, lines
            self.commit("order.update", f"{tid}@{head['trade_status']}", None)
        self._follow(self.raws[tid])
        return known is None

    def _check(self, tid: str, head: Record, lines: list[Record]) -> None:
        if not tid or len(tid) > 40 or not lines:
            raise Refused("tid不能为空")
        for name in ("buyer_nick", "receiver_name", "receiver_address"):
            if not head.get(name) or STRANGE.search(str(head[name])):
                raise Refused(f"昵称/收件人姓名/收件人地址/买家留言包含非法字符或为空,原始单号为：{tid}")
        if STRANGE.search(str(head.get("buyer_message") or "")):
            raise Refused(f"昵称/收件人姓名/收件人地址/买家留言包含非法字符或为空,原始单号为：{tid}")
        for line in lines:
            owner = self.owners.get(str(line.get("oid") or ""), tid)
            if not line.get("oid") or owner != tid:
                raise Refused(f"子订单编号重复或为空: {line.get('oid')}")
            if not line.get("spec_no") and not line.get("goods_no"):
                raise Refused("goods_no和spec_no不能同时为空")

    def _follow(self, raw: Raw) -> None:
        """The ERP's trade follows the pushed order."""
        status, now = int(raw.head["trade_status"]), self.now()
        trade = self.trades.get(raw.tid)
        if trade is None:
            if status == PAID:
                trade = Trade(self.number(), raw.tid, OWN, 30, 0, raw.head, raw.lines, now, now)
                self.trades[raw.tid] = trade
                self._hold_stock(raw.lines, 1)
            return
        trade.head, trade.lines, trade.modified = raw.head, raw.lines, now
        marks = {int(line.get("refund_status") or 0) for line in raw.lines}
        trade.refund_status = 3 if marks == {5} else 2 if 5 in marks else 1 if marks & {2, 3, 4} else 0
        if status in (REFUNDED, CLOSED) and trade.status < 95:
            trade.status = 5

    def _hold_stock(self, lines: list[Record], way: int) -> None:
        for line in lines:
            stock = self.stocks.get(str(line.get("spec_no")))
            if stock is not None:
                stock.sending += way * Decimal(str(line["num"]))
                self._stirred(stock)

    def _stirred(self, stock: Stock) -> None:
        stock.modified = self.now()
        for listing in self.listings.values():
            if listing.spec_no == stock.spec_no:
                listing.changes += 1

    def add_trade(self, platform: int, head: Record, lines: list[Record]) -> Trade:
        """A trade that came from elsewhere (another marketplace, the counter)."""
        now, tid = self.now(), str(head["tid"])
        trade = self.trades[tid] = Trade(self.number(), tid, platform, 30, 0, head, lines, now, now)
        return trade

    # Shipping.

    def ship(self, tid: str, carrier: tuple[int, str, str], oids: list[str] | None = None, parcels: int = 1) -> Parcel:
        """A parcel leaves. Raises LookupError or ValueError for people at the controls."""
        trade = self.trades.get(tid)
        if trade is None:
            raise LookupError(f"no trade of {tid}")
        if trade.refund_status == 1 or trade.status in (4, 5):
            raise ValueError(f"{tid} is stopped by a refund")
        number, now = self.number(), self.now()
        lines = [line for line in trade.lines if oids is None or str(line["oid"]) in oids]
        waybill, sent = f"{carrier[1]}{number:013d}", [str(one["oid"]) for one in lines]
        parcel = Parcel(number, trade, waybill, sent, oids is not None, now, carrier)
        parcel.more = [f"{waybill}{number}" for number in range(2, parcels + 1)]
        trade.status, trade.waybill, trade.carrier, trade.consigned = 95, parcel.waybill, carrier, now
        trade.modified = now
        if trade.platform == OWN:
            self.parcels[number] = parcel
        self.outbound.append(parcel)
        for line in lines:
            stock = self.stocks.get(str(line.get("spec_no")))
            if stock is not None:
                stock.on_hand -= Decimal(str(line["num"]))
        self._hold_stock(lines, -1)
        self.commit("parcel.out", parcel.waybill, {"tid": tid})
        return parcel

    def cancel(self, tid: str) -> Parcel:
        """The newest outbound order of a trade is cancelled, also after it left. Raises LookupError."""
        trade = self.trades.get(tid)
        if trade is None:
            raise LookupError(f"no trade of {tid}")
        live = [one for one in self.outbound if one.trade is trade and not one.cancelled]
        if live:
            parcel = live[-1]
            for line in trade.lines:
                stock = self.stocks.get(str(line.get("spec_no")))
                if stock is not None and str(line["oid"]) in parcel.oids:
                    stock.on_hand += Decimal(str(line["num"]))
            self._hold_stock([line for line in trade.lines if str(line["oid"]) in parcel.oids], 1)
        else:
            oids = [str(line["oid"]) for line in trade.lines]
            parcel = Parcel(self.number(), trade, "", oids, False, 0.0, (-1, "", ""))
            self.outbound.append(parcel)
        if parcel.state == 0:
            self.parcels.pop(parcel.number, None)
        parcel.cancelled, parcel.modified = True, self.now()
        trade.status, trade.modified = 30, self.now()
        self.commit("parcel.cancelled", str(parcel.number), {"tid": tid})
        return parcel

    def acknowledge(self, number: int, good: bool) -> str | None:
        """The shop says that a shipment is (not) shown; what is wrong with that, if anything."""
        parcel = self.parcels.get(number)
        if parcel is None or parcel.state:
            return f"物流同步结果回传失败,同步表不存在,packId:{number}"
        parcel.state = 3 if good else 2
        self.commit("parcel.shown" if good else "parcel.failed", str(number), None)
        return None

    # Stock to be shown.

    def to_show(self) -> list[Listing]:
        return [one for one in self.listings.values() if one.changes > one.shown]

    def quantity(self, listing: Listing) -> int:
        stock = self.stocks.get(listing.spec_no)
        return max(0, int(stock.available)) if stock else 0

    def showed(self, number: int, changes: int) -> str | None:
        """The shop shows the stock as of ``changes``; what is wrong with that, if anything."""
        listing = self.listings.get(number)
        if listing is None:
            return f"平台货品不存在: {number}"
        listing.shown = max(listing.shown, changes)
        self.commit("stock.shown", f"{number}@{changes}", None)
        return None

    def list_goods(self, row: Record) -> int:
        """Take one row of the shop's goods; its number here."""
        pair = (str(row.get("goods_id") or ""), str(row.get("spec_id") or ""))
        for listing in self.listings.values():
            if (listing.goods_id, listing.spec_id) == pair:
                if listing.row != row:
                    listing.row, listing.status = row, int(row.get("status", 1))
                    self.commit("goods.update", "/".join(pair), row)
                return listing.number
        number = self.number()
        goods_no, spec_no = str(row.get("goods_no") or ""), str(row.get("spec_no") or "")
        self.listings[number] = Listing(number, *pair, goods_no, spec_no, row)
        self.commit("goods.push", "/".join(pair), row)
        return number

    # Refunds.

    def take_refund(self, head: Record, lines: list[Record]) -> bool:
        """Take a refund; True when it is new. Raises Refused."""
        refund_no, tid = str(head.get("refund_no") or ""), str(head.get("tid") or "")
        if tid not in self.raws:
            raise Refused(
                "推送订单信息错误，错误内容：售后单关联的原始单不存在，给到的tid必须在旺店通系统中存在",
                5040,
            )
        wrong = [str(one["oid"]) for one in lines if self.owners.get(str(one["oid"])) != tid]
        if not refund_no or wrong:
            raise Refused(f"原始子单不存在: {wrong}", 5040)
        known, now = self.refunds.get(refund_no), self.now()
        if known is None:
            kind, status = int(head["type"]), int(head["status"])
            self.refunds[refund_no] = Refund(self.number(), refund_no, tid, kind, status, head, lines, now, now)
            self.commit("refund.push", refund_no, None)
        elif (known.head, known.lines) != (head, lines):
            known.head, known.lines, known.status, known.modified = head, lines, int(head["status"]), now
            self.commit("refund.update", f"{refund_no}@{known.status}", None)
        found = self.refunds[refund_no]
        found.erp = {1: 10, 2: 20, 3: 30, 4: 40, 5: 90}.get(found.status, 20)
        return known is None

    def receive(self, refund_no: str) -> Arrival:
        """The warehouse takes the goods of a refund in. Raises LookupError or ValueError."""
        refund = self.refunds.get(refund_no)
        if refund is None:
            raise LookupError(f"no refund {refund_no}")
        if refund.stockin != 1:
            raise ValueError(f"no goods of {refund_no} are awaited")
        specs = {str(line["oid"]): str(line.get("spec_no")) for line in self.raws[refund.tid].lines}
        for line in refund.lines:
            stock = self.stocks.get(specs.get(str(line["oid"]), ""))
            if stock is not None:
                stock.on_hand += Decimal(str(line["num"]))
                self._stirred(stock)
        arrival = Arrival(self.number(), refund, self.now())
        refund.received, refund.modified = True, self.now()
        self.inbound.append(arrival)
        self.commit("return.in", arrival.name, {"refund_no": refund_no})
        return arrival

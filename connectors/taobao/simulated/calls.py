"""The gateway calls of the simulated shop: parameters in, the vendor's native answer out."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from connectors.taobao.simulated import channel, shop

Params = dict[str, str]
Answer = dict[str, Any]
OAID_NEEDS = {"receiver_name", "receiver_address", "receiver_mobile", "receiver_phone", "created"}
OPEN_TO_ALL = {
    "taobao.logistics.companies.get",
    "taobao.tmc.messages.consume",
    "taobao.tmc.messages.confirm",
    "taobao.tmc.queue.get",
    "taobao.top.auth.token.create",
    "taobao.top.auth.token.refresh",
}
"""Calls that need no session."""


class Calls:
    """Answers by method name. ``permit`` turns the shop's messages on or off."""

    def __init__(self, place: shop.Shop, messages: channel.Channel, permit: Callable[[bool], None]) -> None:
        self.shop, self.channel, self.permit = place, messages, permit
        self.methods: dict[str, Callable[[Params], Answer]] = {
            "taobao.shop.seller.get": self.shop_get,
            "taobao.trades.sold.get": self.trades_by_created,
            "taobao.trades.sold.increment.get": self.trades_by_modified,
            "taobao.trade.fullinfo.get": self.trade,
            "taobao.refunds.receive.get": self.refunds,
            "taobao.refund.get": self.refund,
            "taobao.logistics.offline.send": self.ship,
            "taobao.logistics.companies.get": self.companies,
            "taobao.skus.quantity.update": self.stock,
            "taobao.trade.memo.update": self.memo,
            "taobao.items.onsale.get": self.items,
            "taobao.items.inventory.get": lambda given: self.items(given, off=True),
            "taobao.item.skus.get": self.skus,
            "taobao.tmc.user.permit": lambda _given: self._permitted(True),
            "taobao.tmc.user.cancel": lambda _given: self._permitted(False),
            "taobao.tmc.messages.consume": self.consume,
            "taobao.tmc.messages.confirm": self.confirm,
            "taobao.tmc.queue.get": self.backlog,
        }

    def shop_get(self, _given: Params) -> Answer:
        return {"shop": {"sid": 110110110, "title": shop.SELLER, "pic_path": "/a/b/c.jpg"}}

    def trades_by_created(self, given: Params) -> Answer:
        rows = self._between(self.shop.trades.values(), given, "created", days=90)
        return self._page(rows, given, "trades", "trade")

    def trades_by_modified(self, given: Params) -> Answer:
        for name in ("start_modified", "end_modified"):
            need(given, name)
        rows = self._between(self.shop.trades.values(), given, "modified", days=1)
        return self._page(rows, given, "trades", "trade")

    def trade(self, given: Params) -> Answer:
        fields = need(given, "fields")
        return {"trade": chosen(self.shop.trade(whole(given, "tid")), fields)}

    def refunds(self, given: Params) -> Answer:
        rows = self._between(self.shop.refunds.values(), given, "modified", days=90)
        return self._page(rows, given, "refunds", "refund")

    def refund(self, given: Params) -> Answer:
        fields, number = need(given, "fields"), need(given, "refund_id")
        if number not in self.shop.refunds:
            raise shop.remote("isv.refund-not-exist", f"退款不存在 {number}")
        return {"refund": chosen(self.shop.refunds[number], fields)}

    def ship(self, given: Params) -> Answer:
        split = given.get("is_split", "0") == "1"
        subs = [int(part) for part in given.get("sub_tid", "").split(",") if part.strip().isdecimal()]
        self.shop.ship(whole(given, "tid"), subs, split, given.get("out_sid", ""), need(given, "company_code"))
        return {"shipping": {"is_success": True}}

    def companies(self, given: Params) -> Answer:
        need(given, "fields")
        rows = [
            {"id": 500 + place, "code": code, "name": name, "reg_mail_no": "^[A-Za-z0-9-]{6,40}$"}
            for place, (code, name) in enumerate(shop.COMPANIES.items())
        ]
        return {"logistics_companies": {"logistics_company": rows}}

    def stock(self, given: Params) -> Answer:
        item = whole(given, "num_iid")
        skus = {sku.sku_id: sku for sku in self.shop.goods if sku.num_iid == item}
        if not skus:
            raise shop.remote("isv.item-not-exist:num_iid", "商品不存在")
        by_code = {sku.outer_sku_id: number for number, sku in skus.items()}
        wanted: dict[int, int] = {}
        for name, index in (("skuid_quantities", None), ("outerid_quantities", by_code)):
            for pair in filter(None, given.get(name, "").split(";")):
                key, _, quantity = pair.rpartition(":")
                sku = index.get(key) if index is not None else int(key) if key.isdecimal() else None
                if sku not in skus or not re.fullmatch(r"-?\d+", quantity):
                    raise shop.remote("isv.sku-not-exist", f"{name} 不正确 {pair}")
                wanted[sku] = int(quantity)
        if not 0 < len(wanted) <= 20:
            raise shop.Refused(41, "Invalid arguments:skuid_quantities")
        self.shop.set_stock(wanted, given.get("type", "1") != "2")
        at = shop.local(self.shop.now())
        rows = [{"sku_id": sku, "quantity": self.shop.stock[sku], "modified": at} for sku in wanted]
        total = sum(self.shop.stock[sku] for sku in skus)
        return {"item": {"num_iid": item, "iid": str(item), "num": total, "modified": at, "skus": {"sku": rows}}}

    def memo(self, given: Params) -> Answer:
        memo, flag = given.get("memo", ""), given.get("flag")
        if len(memo.encode()) > 1000 or (flag is not None and flag not in map(str, range(11))):
            raise shop.Refused(41, "Invalid arguments:memo")
        trade = self.shop.set_memo(whole(given, "tid"), memo, int(flag) if flag is not None else None)
        return {"trade": {"tid": trade["tid"], "modified": trade["modified"]}}

    def items(self, given: Params, off: bool = False) -> Answer:
        """Goods on sale, or those that are not."""
        need(given, "fields")
        found: dict[int, shop.Record] = {}
        for sku in self.shop.goods:
            if (sku.num_iid in self.shop.off) is not off:
                continue
            item = found.setdefault(
                sku.num_iid,
                {
                    "num_iid": sku.num_iid,
                    "title": sku.title,
                    "outer_id": sku.outer_iid,
                    "price": f"{sku.price:.2f}",
                    "num": 0,
                    "modified": "2026-03-01 16:00:01",
                    "approve_status": "instock" if off else "onsale",
                },
            )
            item["num"] += self.shop.stock[sku.sku_id]
        rows = self._between(found.values(), given, "modified", days=36500)
        return self._page(rows, given, "items", "item", largest=200)

    def skus(self, given: Params) -> Answer:
        fields = need(given, "fields")
        wanted = set(need(given, "num_iids").split(","))
        rows = [
            {
                "sku_id": sku.sku_id,
                "num_iid": sku.num_iid,
                "iid": str(sku.num_iid),
                "properties_name": f"1627207:{sku.sku_id}:规格:{sku.spec}",
                "quantity": self.shop.stock[sku.sku_id],
                "price": f"{sku.price:.2f}",
                "outer_id": sku.outer_sku_id,
                "status": "normal",
                "barcode": sku.barcode,
                "created": "2026-01-05 10:00:00",
                "modified": "2026-03-01 16:00:01",
            }
            for sku in self.shop.goods
            if str(sku.num_iid) in wanted
        ]
        return wrapped("skus", "sku", [chosen(row, fields) for row in rows])

    def consume(self, given: Params) -> Answer:
        most = min(200, max(10, int(given.get("quantity") or 100)))
        terms = self.channel.terms
        queue = self.channel.queue(given.get("group_name") or "default")
        rows = [
            {
                "id": one.id,
                "topic": one.topic,
                "content": one.content,
                "user_id": one.seller,
                "user_nick": self.channel.seller,
                "pub_app_key": "12497914",
                "pub_time": shop.local(one.at),
            }
            for one in queue.take(most, terms.now(), terms.lease(), terms.keep())
            for _ in range(one.copies)
        ]
        return wrapped("messages", "tmc_message", rows)

    def confirm(self, given: Params) -> Answer:
        queue = self.channel.queue(given.get("group_name") or "default")
        for number in need(given, "s_message_ids").split(",")[:200]:
            queue.confirm(int(number))
        return {"is_success": True}

    def backlog(self, given: Params) -> Answer:
        queue = self.channel.queue(given.get("group_name") or "default")
        # The vendor's own spelling.
        return {"datas": {"tmc_queue_info": [{"put_toal": queue.put, "get_total": queue.got}]}}

    def _permitted(self, on: bool) -> Answer:
        self.permit(on)
        return {"is_success": True}

    def _between(self, rows: Any, given: Params, field: str, days: int) -> list[shop.Record]:
        """Rows of the asked status and window, newest first; ``days`` is the widest window."""
        start, end = given.get(f"start_{field}", ""), given.get(f"end_{field}", "")
        if start and end:
            try:
                span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
            except ValueError:
                raise shop.Refused(41, f"Invalid arguments:start_{field}") from None
            if not timedelta() <= span <= timedelta(days=days):
                raise shop.Refused(41, f"Invalid arguments:end_{field}")
        status = given.get("status")
        return sorted(
            (
                row
                for row in rows
                if row[field] >= start and (not end or row[field] <= end) and status in (None, "", row.get("status"))
            ),
            key=lambda row: str(row[field]),
            reverse=True,
        )

    def _page(self, rows: list[shop.Record], given: Params, outer: str, inner: str, largest: int = 100) -> Answer:
        fields = need(given, "fields")
        number, size = int(given.get("page_no") or 1), int(given.get("page_size") or 40)
        if number < 1 or not 1 <= size <= largest:
            raise shop.Refused(41, "Invalid arguments:page_size")
        end = number * size
        answer = wrapped(outer, inner, [chosen(row, fields) for row in rows[end - size : end]])
        if given.get("use_has_next") == "true":
            return {"has_next": len(rows) > end, **answer}
        return {"total_results": len(rows), **answer}


def need(given: Params, name: str) -> str:
    """A required parameter. Raises Refused 40."""
    if not given.get(name):
        raise shop.Refused(40, f"Missing required arguments:{name}")
    return given[name]


def whole(given: Params, name: str) -> int:
    """A required int64 parameter. Raises Refused 40 or 41."""
    value = need(given, name)
    if not value.isdecimal():
        raise shop.Refused(41, f"Invalid arguments:{name}")
    return int(value)


def wrapped(outer: str, inner: str, rows: list[shop.Record]) -> Answer:
    """A list in the vendor's singular wrapper; an empty one is left out altogether."""
    return {outer: {inner: rows}} if rows else {}


def chosen(row: shop.Record, fields: str) -> shop.Record:
    """Only the fields asked for; ``orders.title`` asks for a nested one."""
    names = {name.strip() for name in fields.split(",") if name.strip()}
    kept = {name: value for name, value in row.items() if name in names}
    nested = {name.removeprefix("orders.") for name in names if name.startswith("orders.")}
    if nested and "orders" not in kept and "orders" in row:
        lines = [{name: line[name] for name in nested if name in line} for line in row["orders"]["order"]]
        kept["orders"] = {"order": lines}
    if not names >= OAID_NEEDS:
        kept.pop("oaid", None)
    return kept

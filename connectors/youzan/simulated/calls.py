"""The calls of the simulated shop: parameters in, what stands under ``data`` (or ``response``) out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.youzan.simulated import people, refunds, shop

Params = dict[str, Any]
SPAN = 93 * 86400
"""Longest span of orders by update time, seconds."""


class Calls:
    """Answers by ``<api>/<version>``. ``old`` names the calls with the older envelope."""

    def __init__(self, place: shop.Shop) -> None:
        self.shop = place
        self.given: set[str] = set()
        self.apis: dict[str, Callable[[Params], Any]] = {
            "youzan.shop.basic.get/3.0.0": self.shop_get,
            "youzan.trades.sold.get/4.0.4": self.orders,
            "youzan.trade.get/4.0.2": self.order,
            "youzan.logistics.online.confirm/3.0.0": self.ship,
            "youzan.trade.memo.update/3.0.0": self.memo,
            "youzan.item.quantity.update/4.0.0": self.stock,
            "youzan.item.itemdetail.get/1.0.0": self.item,
            "youzan.trade.refund.search/3.0.1": self.refunds,
            "youzan.trade.refund.get/3.0.1": self.refund,
            "youzan.trade.refund.agree/3.0.1": lambda given: self.answer(given, True),
            "youzan.trade.refund.refuse/3.0.1": lambda given: self.answer(given, False),
            "youzan.trade.returngoods.agree/3.0.0": lambda given: self.answer_return(given, True),
            "youzan.trade.returngoods.refuse/3.0.0": lambda given: self.answer_return(given, False),
            "youzan.item.base.search/1.0.0": self.items,
            "youzan.crm.customer.points.increase/4.0.0": lambda given: self.points(given, 1),
            "youzan.crm.customer.points.decrease/4.0.0": lambda given: self.points(given, -1),
            "youzan.scrm.customer.detail.get/1.0.1": self.customer,
            "youzan.scrm.customer.list/1.0.0": self.customers,
            "youzan.scrm.tag.relation.add/4.0.0": self.tag,
            "youzan.scrm.customer.create/3.0.0": self.join,
            "youzan.scrm.customer.update/3.0.0": self.edit,
            "youzan.logistics.express.get/3.0.0": self.companies,
        }
        self.old = {"youzan.trade.memo.update/3.0.0", "youzan.logistics.express.get/3.0.0"}

    def shop_get(self, _given: Params) -> Any:
        return {"sid": self.shop.kdt_id(), "name": "枢纽演示商城", "cert_type": 2}

    def orders(self, given: Params) -> Any:
        start, end = str(given.get("start_update") or ""), str(given.get("end_update") or "")
        if bool(start) != bool(end):
            raise shop.Refused(5001, "start_update和end_update必须同时传入", gateway=True)
        if start and not 0 <= shop.unix(end) - shop.unix(start) <= SPAN:
            raise shop.Refused(105000003, "查询时间跨度不能超过3个月")
        rows = [
            {"full_order_info": one["full_order_info"]}
            for one in self.shop.orders.values()
            if (not start or start <= one["full_order_info"]["order_info"]["update_time"] <= end)
            and given.get("status") in (None, "", one["full_order_info"]["order_info"]["status"])
        ]
        rows.sort(key=lambda one: str(one["full_order_info"]["order_info"]["update_time"]), reverse=True)
        return {"total_results": len(rows), "full_order_info_list": _page(rows, given, 100, 10000)}

    def order(self, given: Params) -> Any:
        tid = str(given.get("tid") or "")
        if tid not in self.shop.orders:
            raise shop.Refused(5000, "交易不存在")
        return self.shop.orders[tid]

    def ship(self, given: Params) -> Any:
        oids = [oid for oid in str(given.get("oids") or "").split(",") if oid]
        company = int(given.get("out_stype") or 0)
        bare = given.get("is_no_express")
        if bare not in (0, 1) or (bare and (company or given.get("out_sid"))):
            raise shop.Refused(105000003, "is_no_express不正确")
        self.shop.ship(str(given.get("tid")), oids, company, str(given.get("out_sid") or ""), bool(bare))
        return {"is_success": True}

    def memo(self, given: Params) -> Any:
        flag = given.get("flag")
        self.shop.memo(str(given.get("tid")), str(given.get("memo") or ""), None if flag is None else int(flag))
        return {"is_success": True}

    def stock(self, given: Params) -> Any:
        for name in ("item_id", "quantity"):
            if not isinstance(given.get(name), int):
                raise shop.Refused(5001, f"{name}类型错误", gateway=True)
        sku, delta = int(given.get("sku_id") or 0), int(given.get("type") or 0) == 1
        self.shop.set_stock(given["item_id"], sku, given["quantity"], delta)
        return {"is_success": True}

    def item(self, given: Params) -> Any:
        rows = [sku for sku in self.shop.goods if sku.item_id == given.get("item_id")]
        if not rows:
            raise shop.Refused(122001001, "商品不存在")
        skus = [
            {
                "sku_id": sku.sku_id,
                "sku_no": sku.sku_no,
                "price": int(sku.price * 100),
                "stock": self.shop.stock[sku.sku_id],
            }
            for sku in rows
        ]
        first = rows[0]
        whole = {"item_id": first.item_id, "title": first.title, "item_no": first.item_no, "is_listing": True}
        return {**whole, "price": int(first.price * 100), "skus": skus}

    def refunds(self, given: Params) -> Any:
        start, end = given.get("update_time_start"), given.get("update_time_end")
        rows = [
            one
            for one in self.shop.refunds.values()
            if (start is None or float(start) <= shop.unix(one["modified"]))
            and (end is None or shop.unix(one["modified"]) <= float(end))
        ]
        rows.sort(key=lambda one: str(one["modified"]), reverse=True)
        return {"total": len(rows), "refunds": _page(rows, given, 100, 3000)}

    def refund(self, given: Params) -> Any:
        number = str(given.get("refund_id") or "")
        if number not in self.shop.refunds:
            raise shop.Refused(103011024, "退款单不存在")
        return self.shop.refunds[number]

    def answer(self, given: Params, agree: bool) -> Any:
        number, version = str(given.get("refund_id") or ""), int(given.get("version") or 0)
        refunds.answer(self.shop, number, version, agree, str(given.get("remark") or ""))
        return {"is_success": True}

    def answer_return(self, given: Params, agree: bool) -> Any:
        number, version = str(given.get("refund_id") or ""), int(given.get("version") or 0)
        refunds.answer_return(self.shop, number, version, agree, str(given.get("remark") or ""))
        return {"is_success": True}

    def items(self, given: Params) -> Any:
        numbers = sorted({sku.item_id for sku in self.shop.goods})
        rows = [{"item_id": number} for number in numbers]
        return {"total": len(rows), "items": _page(rows, given, 50, 5000)}

    def points(self, given: Params, sign: int) -> Any:
        wish = dict(given.get("params") or {})
        key = str(wish.get("biz_value") or "")
        person = self._numbered(wish.get("user"))
        if not key or key in self.given:
            raise shop.Refused(142100106, "biz_value重复")
        self.given.add(key)
        self.shop.commit("points", key, {"mobile": person["mobile"], "points": sign * wish["points"]})
        return {"is_success": True}

    def customer(self, given: Params) -> Any:
        if not isinstance(given.get("fields"), str):
            raise shop.Refused(141500101, "invalid params")
        return self._numbered(given.get("account_info"))

    def customers(self, given: Params) -> Any:
        start, end = int(given.get("created_at_start") or 0), int(given.get("created_at_end") or 10**10)
        rows = [people.row(one) for one in self.shop.customers.values() if start <= one["created_at"] <= end]
        rows.sort(key=lambda one: int(one["created_at"]), reverse=True)
        number, size = int(given.get("page_no") or 1), int(given.get("page_size") or 20)
        if not 0 < size <= 50 or not 0 < number <= 500:
            raise shop.Refused(141500101, "invalid params")
        if number * size > 10000:
            raise shop.Refused(142710032, "超过列表获取总数")
        return {"total": len(rows), "page_no": number, "record_list": rows[(number - 1) * size : number * size]}

    def tag(self, given: Params) -> Any:
        try:
            person = people.person(self.shop, _word(given.get("account_type")), given.get("account_id", 0))
        except shop.Refused as refused:
            raise shop.Refused(142400105, refused.words) from None
        people.tag(self.shop, str(person["mobile"]), [str(one.get("tag_name")) for one in given.get("tags") or []])
        return True

    def _numbered(self, account: Any) -> shop.Record:
        """The customer of an account whose kind is a number: words are wrong there."""
        kind = dict(account or {}).get("account_type")
        if not isinstance(kind, int):
            raise shop.Refused(5001, "account_type类型错误", gateway=True)
        return people.person(self.shop, kind, dict(account)["account_id"])

    def join(self, given: Params) -> Any:
        person = people.join(self.shop, str(given.get("mobile") or ""), dict(given.get("customer_create") or {}))
        return {"yz_open_id": person["yz_open_id"]}

    def edit(self, given: Params) -> Any:
        account = dict(given.get("account") or {})
        person = people.person(self.shop, _word(account.get("account_type")), str(account.get("account_id")))
        people.edit(self.shop, str(person["mobile"]), dict(given.get("customer_update") or {}))
        return {"is_success": True}

    def companies(self, _given: Params) -> Any:
        return {"allExpress": [{"id": key, "name": name, "display": 1} for key, name in shop.COMPANIES.items()]}


def _word(kind: Any) -> str:
    """The kind of an account where it is a word: numbers are wrong there."""
    if not isinstance(kind, str):
        raise shop.Refused(5001, "account_type类型错误", gateway=True)
    return kind


def _page(rows: list[shop.Record], given: Params, largest: int, deepest: int) -> list[shop.Record]:
    number, size = int(given.get("page_no") or 1), int(given.get("page_size") or 20)
    if not 1 <= number <= 100 or not 1 <= size <= largest or number * size > deepest:
        raise shop.Refused(5000, "page_no不能大于100")
    return rows[(number - 1) * size : number * size]

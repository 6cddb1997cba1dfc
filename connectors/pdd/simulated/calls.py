"""The gateway calls of the simulated shop: parameters in, the vendor's native answer and its odd key out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from connectors.pdd.simulated import channel, refunds, shop
from connectors.pdd.simulated.gate import need, tree, whole

Params = dict[str, str]
Answer = tuple[str | None, dict[str, Any]]
"""The answer's key and what is under it; None for the call whose answer has no key."""
WINDOW, DAY = 1800, 86400
"""Longest span of a list by modification time, and by confirmation time, seconds."""
AGREED = "同意"


class Calls:
    """Answers by API name. ``owner`` is the shop's mall id as text."""

    def __init__(self, place: shop.Shop, messages: channel.Channel, permit: Callable[[bool], None]) -> None:
        self.shop, self.channel, self.permit = place, messages, permit
        self.types: dict[str, Callable[[Params], Answer]] = {
            "pdd.mall.info.get": self.mall,
            "pdd.time.get": lambda _given: ("time_get_response", {"time": shop.local(self.shop.now())}),
            "pdd.order.number.list.increment.get": self.orders_by_modified,
            "pdd.order.list.get": self.orders_by_confirmed,
            "pdd.order.information.get": self.order,
            "pdd.order.status.get": self.states,
            "pdd.order.note.update": self.note,
            "pdd.logistics.online.send": self.ship,
            "pdd.order.upload.extra.logistics": self.parcels,
            "pdd.logistics.companies.get": self.companies,
            "pdd.goods.quantity.update": self.stock,
            "pdd.goods.list.get": self.goods,
            "pdd.refund.list.increment.get": self.refunds,
            "pdd.refund.information.get": self.refund,
            "pdd.refund.status.check": self.check,
            "pdd.refund.agree": self.agree_refund,
            "pdd.refund.returngoods.agree": self.agree_return,
            "pdd.refund.address.list.get": self.addresses,
            "pdd.rdc.pddgenius.sendgoods.cancel": self.intercept,
            "pdd.logistics.ordertrace.get": self.trace,
            "pdd.open.decrypt.batch": self.decrypt,
            "pdd.pmc.user.permit": self.pmc_permit,
            "pdd.pmc.user.get": self.pmc_user,
            "pdd.pmc.user.cancel": self.pmc_cancel,
            "pdd.pmc.accrue.query": lambda _given: ("pmc_user_get_response", {"number": len(self.channel.waiting)}),
        }

    def mall(self, _given: Params) -> Answer:
        body = {"mall_id": self.shop.mall_id, "mall_name": "枢纽测试专营店", "logo": "", "merchant_type": 6}
        return "mall_info_get_response", body

    def orders_by_modified(self, given: Params) -> Answer:
        start, end = _span(given, "start_updated_at", "end_updated_at", WINDOW)
        rows = [one for one in self.shop.orders.values() if start <= shop.unix(one["updated_at"]) <= end]
        return "order_sn_increment_get_response", self._orders(rows, given, "order_sn_list")

    def orders_by_confirmed(self, given: Params) -> Answer:
        start, end = _span(given, "start_confirm_at", "end_confirm_at", DAY)
        rows = [one for one in self.shop.orders.values() if start <= shop.unix(one["confirm_time"]) <= end]
        return "order_list_get_response", self._orders(rows, given, "order_list")

    def order(self, given: Params) -> Answer:
        return "order_info_get_response", {"order_info": self.shop.shown(self.shop.known(need(given, "order_sn")))}

    def states(self, given: Params) -> Answer:
        rows = [
            {"orderSn": sn, "order_status": one["order_status"], "refund_status": one["refund_status"]}
            for sn in need(given, "order_sns").split(",")
            if (one := self.shop.orders.get(sn)) is not None
        ]
        return "order_status_get_response", {"order_status_list": rows}

    def note(self, given: Params) -> Answer:
        tag, name = given.get("tag"), given.get("tag_name")
        if bool(tag) != bool(name) or len(name or "") > 3 or tag not in (None, "", *"12345"):
            return "response", {"success": False, "error_code": 1000, "error_msg": "tag与tag_name需同时传入"}
        self.shop.note(need(given, "order_sn"), given.get("note", ""), int(tag) if tag else None, name or None)
        return "response", {"success": True, "error_code": 0, "error_msg": ""}

    def ship(self, given: Params) -> Answer:
        again = given.get("redelivery_type") == "2"
        waybill = need(given, "tracking_number")
        self.shop.ship(need(given, "order_sn"), whole(given, "logistics_id"), waybill, again)
        return "logistics_online_send_response", {"is_success": True}

    def parcels(self, given: Params) -> Answer:
        if whole(given, "extra_track_type") not in (1, 2, 3):
            raise shop.Refused(10000, "参数错误", sub_msg="extra_track_type")
        self.shop.add_parcels(need(given, "order_sn"), tree(given, "extra_track_list", list))
        return "upload_extra_logistics_response", {"success": True}

    def companies(self, _given: Params) -> Answer:
        rows = [
            {"id": number, "logistics_company": name, "code": code, "available": 1}
            for number, (name, code) in shop.COMPANIES.items()
        ]
        return "logistics_companies_get_response", {"logistics_companies": rows}

    def stock(self, given: Params) -> Answer:
        item = whole(given, "goods_id")
        number, code = whole(given, "sku_id", 0), given.get("outer_id")
        chosen = [
            sku
            for sku in self.shop.goods
            if sku.goods_id == item and (sku.sku_id == number or (code and sku.outer_id == code))
        ]
        if not chosen:
            raise shop.business("商品或SKU不存在")
        self.shop.set_stock(chosen[0], whole(given, "quantity"), given.get("update_type", "1") != "2")
        return "goods_quantity_update_response", {"is_success": True}

    def goods(self, given: Params) -> Answer:
        found: dict[int, shop.Record] = {}
        for sku in self.shop.goods:
            if given.get("outer_id") not in (None, "", sku.outer_id) or given.get("goods_name", "") not in sku.name:
                continue
            item = found.setdefault(
                sku.goods_id,
                {
                    "goods_id": sku.goods_id,
                    "goods_name": sku.name,
                    "goods_quantity": 0,
                    "goods_reserve_quantity": 0,
                    "image_url": "https://img.example.invalid/a.jpg",
                    "thumb_url": "https://img.example.invalid/a_t.jpg",
                    "is_more_sku": 1,
                    "is_onsale": 1,
                    "created_at": 1767578400,
                    "sku_list": [],
                },
            )
            item["goods_quantity"] += self.shop.stock[sku.sku_id]
            item["sku_list"].append(
                {
                    "sku_id": sku.sku_id,
                    "is_sku_onsale": 1,
                    "outer_id": sku.outer_id,
                    "outer_goods_id": sku.outer_goods_id,
                    "sku_quantity": self.shop.stock[sku.sku_id],
                    "reserve_quantity": 0,
                    "spec": sku.spec,
                }
            )
        rows, more = _page(list(found.values()), given)
        return "goods_list_get_response", {"goods_list": rows, **more}

    def refunds(self, given: Params) -> Answer:
        start, end = _span(given, "start_updated_at", "end_updated_at", WINDOW)
        kept = [one for one in self.shop.refunds.values() if start <= shop.unix(one["updated_time"]) <= end]
        ordered = sorted(kept, key=lambda one: (str(one["updated_time"]), one["id"]), reverse=True)
        rows, more = _page([refunds.row(self.shop, one) for one in ordered], given)
        return "refund_increment_get_response", {"refund_list": rows, **more}

    def refund(self, given: Params) -> Answer:
        found = self.shop.refunds.get(whole(given, "after_sales_id"))
        if found is None or found["order_sn"] != need(given, "order_sn"):
            raise shop.business("售后单不存在")
        return None, found

    def check(self, given: Params) -> Answer:
        wanted = need(given, "order_sns").split(",")
        rows = [{"order_sn": sn} for sn in wanted if sn in self.shop.orders and self._refunding(sn)]
        return "refund_status_check_response", {"order_sns_exists_refund": rows}

    def agree_refund(self, given: Params) -> Answer:
        asked = tree(given, "request", dict)
        sn, number = str(asked.get("order_sn", "")), int(asked.get("after_sales_id") or 0)
        words = refunds.agree(self.shop, sn, number, returning=False)
        result = {"succ": words is None, "message": words or AGREED, "order_sn": sn, "after_sales_id": number}
        return "response", {"result": result}

    def agree_return(self, given: Params) -> Answer:
        asked = tree(given, "request", dict)
        sn, number = str(asked.get("order_sn", "")), int(asked.get("after_sales_id") or 0)
        words = refunds.agree(self.shop, sn, number, returning=True)
        good = words is None
        result = {"success": good, "message": words or AGREED, "order_sn": sn, "after_sales_id": number}
        code = 0 if good else 4100
        return "response", {"success": good, "error_code": code, "error_msg": words or "", "result": result}

    def addresses(self, _given: Params) -> Answer:
        row = {"id": 70001, "refund_name": "仓库", "refund_phone": "1*********0", "refund_address": "余杭区****"}
        return "refund_address_list_get_response", {"refund_address_list": [row]}

    def intercept(self, given: Params) -> Answer:
        asked = tree(given, "param", dict)
        if asked.get("status") not in ("SUCCESS", "FAIL") or str(asked.get("tid")) not in self.shop.orders:
            raise shop.business("停发货请求不存在或状态不正确")
        data = {"result_data": {"refund_id": asked.get("refund_id")}}
        return "rdc_pddgenius_sendgoods_cancel_response", {"result": data}

    def trace(self, given: Params) -> Answer:
        waybill = need(given, "mail_no")
        sent = [one for one in self.shop.orders.values() if one["tracking_number"] == waybill]
        rows = [{"action": "GOT", "desc": "已揽收", "time": one["shipping_time"]} for one in sent]
        return "logistics_ordertrace_get_resposne", {"trace_list": rows}

    def decrypt(self, given: Params) -> Answer:
        asked = tree(given, "data_list", list)
        if len(asked) > 100:
            raise shop.Refused(21001, "参数错误", sub_msg="data_list超过100条")
        rows = []
        for one in asked:
            sn, cipher = str(one.get("data_tag", "")), str(one.get("encrypted_data", ""))
            clear = self.shop.opened(sn, cipher) if sn in self.shop.orders else None
            rows.append(
                {
                    "data_tag": sn,
                    "data_type": 6 if cipher.startswith("$") else 5,
                    "encrypted_data": cipher,
                    "decrypted_data": clear or "",
                    "error_code": 0 if clear else 70001,
                    "error_msg": "" if clear else "密文无效",
                    "virtual_number_type": 0,
                    "virtual_identify_number": "",
                }
            )
        return "open_decrypt_batch_response", {"data_decrypt_list": rows}

    def pmc_permit(self, _given: Params) -> Answer:
        self.permit(True)
        return "pmc_user_permit_response", {"is_success": True}

    def pmc_user(self, given: Params) -> Answer:
        at = shop.local(self.shop.now())
        user = {"created": at, "modified": at, "is_expire": 0, "owner_id": need(given, "owner_id"), "topics": []}
        return "pmc_user_get_response", {"pmc_user": user}

    def pmc_cancel(self, _given: Params) -> Answer:
        self.permit(False)
        return "tmc_user_cancel_response", {"is_success": True}

    def _refunding(self, sn: str) -> bool:
        return self.shop.orders[sn]["refund_status"] in (2, 3)

    def _orders(self, rows: Iterable[shop.Record], given: Params, name: str) -> dict[str, Any]:
        state, refund = whole(given, "order_status"), whole(given, "refund_status")
        if state not in (1, 2, 3, 5) or refund not in (1, 2, 3, 4, 5):
            raise shop.Refused(10000, "参数错误", sub_msg="order_status或refund_status")
        kept = [
            one for one in rows if state in (5, one["order_status"]) and refund in (5, one["refund_status"])
        ]  # fmt: skip
        kept.sort(key=lambda one: (str(one["updated_at"]), str(one["order_sn"])), reverse=True)
        page, more = _page([self.shop.shown(one) for one in kept], given)
        return {name: page, **more}


def _span(given: Params, start: str, end: str, longest: int) -> tuple[int, int]:
    first, last = whole(given, start), whole(given, end)
    if not 0 <= last - first <= longest:
        raise shop.Refused(10000, "参数错误", sub_msg=f"开始时间和结束时间间隔不能超过{longest // 60}分钟")
    return first, last


def _page(rows: list[shop.Record], given: Params) -> tuple[list[shop.Record], dict[str, Any]]:
    number, size = whole(given, "page", 1), whole(given, "page_size", 100)
    if number < 1 or not 1 <= size <= 100:
        raise shop.Refused(10000, "参数错误", sub_msg="page或page_size")
    more: dict[str, Any] = {"total_count": len(rows)}
    if given.get("use_has_next") == "true":
        more["has_next"] = number < math.ceil(len(rows) / size)
    return rows[(number - 1) * size : number * size], more

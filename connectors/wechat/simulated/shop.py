"""The simulated Channels shop: orders, goods and stock, changed only by the vendor's own rules.

Records are kept in the vendor's native form (integer fen, Unix seconds, ids as text). Every change calls ``tell`` with
the event as the vendor sends it, order ids as numbers in some events and as text in others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from connectors.simulator import world
from connectors.wechat.simulated import followers, gate, records

Record = dict[str, Any]
Query = Mapping[str, str]
Tell = Callable[[str, Record], None]
FIRST = 3705115058471208928
COMPANIES = {
    "SF": "顺丰速运",
    "YTO": "圆通速递",
    "ZTO": "中通快递",
    "STO": "申通快递",
    "YD": "韵达速递",
    "JD": "京东物流",  # house: vendor-word because the vendor's own code says so
}
NUMBERED = {"channels_ec_order_new", "channels_ec_order_deliver", "channels_ec_order_ext_info_update"}
"""Events whose order_id is a JSON number; in the others it is text."""
WEEK = 7 * 86400
DECODES = 30
"""Orders whose address may be decrypted in a day."""


class Shop:
    """State and rules; see the module. Refused calls raise gate.Refusal."""

    def __init__(
        self, people: world.World, now: Callable[[], float], commit: Callable[[str, str, Any], object], tell: Tell
    ) -> None:
        self.people, self.now, self.commit, self.tell = people, now, commit, tell
        self.orders: dict[str, Record] = {}
        self.decoded: set[str] = set()
        self.products = {one["product_id"]: one for one in records.products(people)}

    def order(self, order_id: Any) -> Record:
        found = self.orders.get(str(order_id))
        if found is None:
            raise gate.Refusal(100002, "order not exist")
        return found

    # What buyers and the platform do.

    def place(self, person: world.Person, skus: list[world.Sku], count: int = 1) -> Record:
        number, now = str(FIRST + len(self.orders)), int(self.now())
        lines = [records.line(sku, count, now) for sku in skus]
        goods = sum(line["sale_price"] * line["sku_cnt"] for line in lines)
        order = {
            "order_id": number,
            "status": 10,
            "create_time": now,
            "update_time": now,
            "order_detail": {
                "product_infos": lines,
                "pay_info": {"prepay_id": f"wx{number}", "prepay_time": now, "pay_time": 0, "payment_method": 1},
                "price_info": {
                    "product_price": goods,
                    "order_price": goods + 500,
                    "freight": 500,
                    "discounted_price": 0,
                    "original_order_price": goods + 500,
                    "merchant_receieve_price": goods + 500,
                },
                "delivery_info": {
                    "address_info": records.address(person),
                    "delivery_product_info": [],
                    "ship_done_time": 0,
                },
                "ext_info": {"customer_notes": "", "merchant_notes": "", "confirm_receipt_time": 0},
            },
            "aftersale_detail": {"aftersale_order_list": [], "on_aftersale_order_cnt": 0},
            "openid": followers.openid_of(person),
            "unionid": person.ids["unionid"],
            "is_present": False,
        }
        self.orders[number] = order
        self._told("channels_ec_order_new", order)
        return order

    def pay(self, order_id: Any) -> Record:
        order = self._in(order_id, {10})
        at = int(self.now())
        order["order_detail"]["pay_info"] |= {"pay_time": at, "transaction_id": f"4200000000{order['order_id']}"}
        order["status"] = 20
        for line in order["order_detail"]["product_infos"]:
            self._sku(line["product_id"], line["sku_id"])["stock_num"] -= line["sku_cnt"]
        self._told("channels_ec_order_pay", order, pay_time=str(at))
        self._told("channels_ec_order_wait_shipping", order)
        return order

    def cancel(self, order_id: Any) -> Record:
        order = self._in(order_id, {10})
        order["status"] = 250
        self._told("channels_ec_order_cancel", order, cancel_type="1")
        return order

    def confirm(self, order_id: Any) -> Record:
        order = self._in(order_id, {30})
        order["status"] = 100
        order["order_detail"]["ext_info"]["confirm_receipt_time"] = int(self.now())
        self._told("channels_ec_order_confirm", order, confirm_type="1")
        return order

    def urge(self, order_id: Any) -> Record:
        order = self._in(order_id, {20, 21})
        self._told("channels_ec_order_ext_info_update", order, type=7)
        return order

    def wish_address(self, order_id: Any) -> Record:
        order = self._in(order_id, {20})
        info = order["order_detail"]["delivery_info"]
        info["address_under_review"] = {**info["address_info"], "city_name": "深圳市"}
        self._told("channels_ec_order_ext_info_update", order, type=4)
        return order

    def touch(self, order: Record) -> None:
        order["update_time"] = int(self.now())

    # The API.

    def info(self, _body: Record, _query: Query) -> Record:
        return {
            "info": {
                "nickname": "枢纽测试小店",
                "headimg_url": "",
                "subject_type": "企业",
                "status": "open_finished",
                "username": "gh_test00000001",
            }
        }

    def rows(self, body: Record, _query: Query) -> Record:
        span = body.get("update_time_range") or body.get("create_time_range")
        if not span or not 0 <= int(span["end_time"]) - int(span["start_time"]) <= WEEK:
            raise gate.Refusal(10020052, "time range is illegal, at most 7 days")
        name = "update_time" if body.get("update_time_range") else "create_time"
        rows = [one for one in self.orders.values() if int(span["start_time"]) <= one[name] <= int(span["end_time"])]
        if body.get("status"):
            rows = [one for one in rows if one["status"] == int(body["status"])]
        rows.sort(key=lambda one: (-one[name], one["order_id"]))
        return page([one["order_id"] for one in rows], body, "order_id_list")

    def get(self, body: Record, _query: Query) -> Record:
        return {"order": self.order(body.get("order_id"))}

    def note(self, body: Record, _query: Query) -> Record:
        order, text = self.order(body.get("order_id")), str(body.get("merchant_notes", ""))
        if order["order_detail"]["ext_info"]["merchant_notes"] != text:
            order["order_detail"]["ext_info"]["merchant_notes"] = text
            self.commit("note", order["order_id"], text)
            self._told("channels_ec_order_ext_info_update", order, type=3)
        return {}

    def decode(self, body: Record, _query: Query) -> Record:
        """Clear text, for paid orders only and for so many orders a day; the same order counts once."""
        order = self._state(body.get("order_id"), {20, 21, 30, 100})
        if order["order_id"] not in self.decoded and len(self.decoded) >= DECODES:
            raise gate.Refusal(10020070, "decode quota exceeded today")
        self.decoded.add(order["order_id"])
        person = next(one for one in self.people.customers if followers.openid_of(one) == order["openid"])
        clear = {**records.address(person), "user_name": person.name, "detail_info": person.address.street}
        clear = {key: value for key, value in clear.items() if key not in ("tel_number_ext_info", "hash_code")}
        return {"address_info": {**clear, "tel_number": person.phone}}

    def review(self, body: Record, accepted: bool) -> Record:
        order = self.order(body.get("order_id"))
        info = order["order_detail"]["delivery_info"]
        wished = info.pop("address_under_review", None)
        if wished is None:
            raise gate.Refusal(101100, "order status not allow")
        if accepted:
            info["address_info"] = wished
        self.commit("address", order["order_id"], accepted)
        self._told("channels_ec_order_ext_info_update", order, type=2)
        return {}

    def ship(self, body: Record, _query: Query) -> Record:
        """Several parcels are several items or several calls; status 21 until everything is gone."""
        order, parcels = self.order(body.get("order_id")), body.get("delivery_list") or []
        if order["status"] not in (20, 21):
            shipped = order["status"] in (30, 100)
            raise (
                gate.Refusal(109001, "order is already shipped")
                if shipped
                else gate.Refusal(101100, "order status not allow")
            )
        if order["aftersale_detail"]["on_aftersale_order_cnt"]:
            raise gate.Refusal(108009, "product is in aftersale")
        left = {one["sku_id"]: one["sku_cnt"] for one in order["order_detail"]["product_infos"]}
        known = order["order_detail"]["delivery_info"]["delivery_product_info"]
        for parcel in known:
            for item in parcel["product_infos"]:
                left[item["sku_id"]] -= item["product_cnt"]
        for parcel in parcels:
            _checked(parcel)
            for item in parcel["product_infos"]:
                left[item["sku_id"]] = left.get(item["sku_id"], 0) - int(item["product_cnt"])
        if not parcels or min(left.values()) < 0:
            raise gate.Refusal(109002, "delivery product_infos is wrong")
        at = int(self.now())
        known += [{**one, "delivery_name": COMPANIES[one["delivery_id"]], "delivery_time": at} for one in parcels]
        whole = not any(left.values())
        order["status"] = 30 if whole else 21
        order["order_detail"]["delivery_info"]["ship_done_time"] = at if whole else 0
        for parcel in parcels:
            self.commit("shipment", f"{order['order_id']}:{parcel['waybill_id']}", parcel)
        self._told("channels_ec_order_deliver", order, finish_delivery=int(whole))
        return {}

    def reship(self, body: Record, _query: Query) -> Record:
        """Another waybill, once, when everything is shipped."""
        order, parcels = self._state(body.get("order_id"), {30}), body.get("delivery_list") or []
        if order.get("reshipped"):
            raise gate.Refusal(109001, "delivery info was changed before")
        for parcel in parcels:
            _checked(parcel)
        order["reshipped"] = True
        order["order_detail"]["delivery_info"]["delivery_product_info"] = parcels
        self.commit("reshipment", f"{order['order_id']}:{parcels[0]['waybill_id']}", parcels)
        self.touch(order)
        return {}

    def couriers(self, _body: Record, _query: Query) -> Record:
        return {"company_list": [{"delivery_id": key, "delivery_name": name} for key, name in COMPANIES.items()]}

    # Goods.

    def goods(self, body: Record, _query: Query) -> Record:
        rows = [one["product_id"] for one in self.products.values() if one["status"] == int(body.get("status") or 5)]
        size = int(body.get("page_size") or 10)
        if size > 30:
            raise gate.Refusal(40097, "invalid args: page_size")
        told = page(rows, {**body, "page_size": size}, "product_ids")
        told.pop("has_more")
        return {**told, "total_num": len(rows)}

    def product(self, body: Record, _query: Query) -> Record:
        found = self.products.get(str(body.get("product_id")))
        if found is None:
            raise gate.Refusal(10020050, "product not exist")
        return {"product": found}

    def stock(self, body: Record, _query: Query) -> Record:
        number = self._sku(body.get("product_id"), body.get("sku_id"))["stock_num"]
        return {"data": {"normal_stock_num": number, "limited_discount_stock_num": 0, "total_stock_num": number}}

    def set_stock(self, body: Record, _query: Query) -> Record:
        sku, number, how = self._sku(body.get("product_id"), body.get("sku_id")), body.get("num"), body.get("diff_type")
        if not isinstance(number, int) or number < 0 or how not in (1, 2, 3):
            raise gate.Refusal(40097, "invalid args: num or diff_type")
        level = {1: sku["stock_num"] + number, 2: max(0, sku["stock_num"] - number), 3: number}[how]
        if level != sku["stock_num"]:
            sku["stock_num"] = level
            self.commit("stock", sku["sku_id"], level)
        return {}

    def list_product(self, product_id: str, on_sale: bool) -> Record:
        """The shop puts a product on sale or takes it down."""
        found = self.products[product_id]
        found["status"] = 5 if on_sale else 11
        told = {"product_id": product_id, "status": found["status"], "reason": ""}
        self.tell("product_spu_listing", {"FromUserName": "gh_test00000001", "ProductSpuListing": told})
        return found

    # Looking up.

    def _sku(self, product_id: Any, sku_id: Any) -> Record:
        product = self.products.get(str(product_id), {})
        for one in product.get("skus", []):
            if one["sku_id"] == str(sku_id):
                return one  # type: ignore[no-any-return]
        raise gate.Refusal(10020050, "product or sku not exist")

    def _state(self, order_id: Any, states: set[int]) -> Record:
        order = self.order(order_id)
        if order["status"] not in states:
            raise gate.Refusal(101100, "order status not allow")
        return order

    def _in(self, order_id: Any, states: set[int]) -> Record:
        order = self.orders[str(order_id)]
        if order["status"] not in states:
            raise ValueError(f"order {order_id} is {order['status']}, not {sorted(states)}")
        return order

    def _told(self, event: str, order: Record, **more: Any) -> None:
        self.touch(order)
        number: int | str = int(order["order_id"]) if event in NUMBERED else order["order_id"]
        self.tell(event, {"FromUserName": order["openid"], "order_info": {"order_id": number, **more}})


def page(rows: list[str], body: Mapping[str, Any], name: str) -> Record:
    """The rows after ``next_key``, which is opaque to callers."""
    first, size = int(body.get("next_key") or 0), min(int(body.get("page_size") or 100), 100)
    more = first + size < len(rows)
    return {name: rows[first : first + size], "next_key": str(first + size) if more else "", "has_more": more}


def _checked(parcel: Record) -> None:
    if parcel.get("delivery_id") not in COMPANIES or parcel.get("deliver_type") not in (1, 3):
        raise gate.Refusal(109000, "delivery_id or deliver_type is wrong")
    if not re.fullmatch(r"[A-Za-z0-9-]{6,40}", str(parcel.get("waybill_id", ""))):
        raise gate.Refusal(109000, "waybill_id is wrong")
    if not parcel.get("product_infos"):
        raise gate.Refusal(109002, "delivery product_infos is wrong")

"""One simulated Doudian shop: orders and stock in the vendor's native form, changed only by its own rules.

Amounts are whole fen, times Unix seconds (0: not set). Every change calls ``tell(tag, data)`` as the vendor would.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.douyin.simulated import gate
from connectors.simulator import world

Record = dict[str, Any]
Tell = Callable[[str, Record], None]
Commit = Callable[[str, str, Record], object]

NAME = "枢纽演示旗舰店"
CREATED, PAID, READY, PART, SHIPPED, CLOSED, DONE = 1, 105, 2, 101, 3, 4, 5
WORDS = {1: "待支付", 105: "已支付", 2: "备货中", 101: "部分发货", 3: "已发货", 4: "已取消", 5: "已完成"}
COMPANIES = {
    "shunfeng": "顺丰速运",
    "yuantong": "圆通速递",
    "zhongtong": "中通快递",
    "shentong": "申通快递",
    "yunda": "韵达速递",
    "ems": "EMS",
    "jd": "京东快递",  # house: vendor-word because a courier's code
    "youzhengguonei": "邮政快递包裹",
    "debangwuliu": "德邦快递",
    "jtexpress": "极兔速递",
}
OPEN_REFUND = (6, 7, 8, 11, 13, 27, 29)


@dataclass(frozen=True, slots=True)
class Goods:
    """One SKU on sale; ``price`` in fen."""

    product_id: int
    sku_id: int
    code: str
    outer_product: str
    title: str
    spec: str
    price: int


def goods(sku: world.Sku) -> Goods:
    """A SKU of the shared world as this shop sells it."""
    product = 3539000000000000000 + int(hashlib.sha256(sku.ids["product"].encode()).hexdigest()[:6], 16)
    return Goods(
        product,
        1719000000000001000 + sku.index,
        sku.code,
        sku.ids["product"],
        f"{sku.title} {sku.spec}",
        sku.spec,
        int(sku.price * 100),
    )


def business(code: str, words: str) -> gate.Refused:
    """Code 50002: the shop system's own refusal."""
    return gate.Refused(50002, "业务处理失败", f"isv.business-failed:{code}", words)


class Shop:
    """State and rules. ``now`` gives Unix time; ``commit`` journals an effect."""

    def __init__(
        self, sold: Sequence[Goods], dice: random.Random, now: Callable[[], float], commit: Commit, tell: Tell
    ) -> None:
        self.goods, self.dice, self.now, self.commit, self.tell = list(sold), dice, now, commit, tell
        self.orders: dict[str, Record] = {}
        self.stock = {one.sku_id: 1000 for one in self.goods}
        self.requests: set[str] = set()
        self.shop_id = 0
        self._base = 69 * 10**17 + int(now() * 1000) % 10**10 * 10**6
        self._count = 0

    # What buyers do.

    def create(self, buyer: world.Person, bought: Sequence[tuple[Goods, int]]) -> Record:
        """Place an unpaid order."""
        self._count += 1
        first, at = self._base + self._count * 100, int(self.now())
        lines = [self._line(first + place, first, at, *one) for place, one in enumerate(bought)]
        paid = sum(line["pay_amount"] for line in lines)
        off = sum(line["promotion_amount"] for line in lines)
        order = {
            "shop_id": self.shop_id,
            "shop_name": NAME,
            "order_id": str(first),
            "order_level": 2,
            "order_type": 0,
            "pay_type": 1,
            "channel_payment_no": "",
            "create_time": at,
            "pay_time": 0,
            "update_time": at,
            "finish_time": 0,
            "exp_ship_time": 0,
            "ship_time": 0,
            "cancel_reason": "",
            "buyer_words": self.dice.choice(["", "", "请用礼盒包装", "放门口即可"]),
            "seller_words": "",
            "seller_remark_stars": 0,
            "order_amount": paid + off,
            "pay_amount": paid,
            "post_amount": 0,
            "promotion_amount": off,
            **_receiver(buyer),
            "logistics_info": [],
            "sku_order_list": lines,
        }
        self._state(order, CREATED)
        self.orders[order["order_id"]] = order
        self._told("100", order, create_time=at)
        return order

    def pay(self, number: str, *, risk: bool = False) -> Record:
        """Paid; ``risk``: the platform's check has not ended yet."""
        order = self._in(number, CREATED)
        at = int(self.now())
        for line in order["sku_order_list"]:
            line["pay_time"] = at
            self.stock[line["sku_id"]] = max(0, self.stock[line["sku_id"]] - line["item_num"])
        order |= {
            "pay_time": at,
            "exp_ship_time": at + 172800,
            "channel_payment_no": f"4200{int(number) % 10**14:014d}",
        }
        self._state(order, PAID)
        self._told("101", order, pay_time=at, pay_amount=order["pay_amount"], pay_type=1)
        return order if risk else self.release(number)

    def release(self, number: str) -> Record:
        """The check is over: the order may be shipped."""
        order = self._in(number, PAID)
        self._state(order, READY)
        self._told("110", order)
        return order

    def close(self, number: str) -> Record:
        order = self._in(number, CREATED)
        order["cancel_reason"] = "买家取消"
        self._state(order, CLOSED)
        self._told("106", order, cancel_time=int(self.now()), cancel_reason="买家取消")
        return order

    def finish(self, number: str) -> Record:
        order = self._in(number, SHIPPED)
        order["finish_time"] = int(self.now())
        self._state(order, DONE)
        self._told("103", order, complete_time=order["finish_time"])
        return order

    # What the seller does by API.

    def ship(self, number: str, company: str, waybill: str, *, refuse_refund: bool) -> None:
        """The whole order with everything that is left in it."""
        order = self._shippable(number, company, waybill)
        left = [line for line in order["sku_order_list"] if line["order_status"] in (READY, PART)]
        if not refuse_refund and any(_refunding(line) for line in left):
            raise business("2100010", "订单存在进行中的售后，不能发货")
        for line in left:
            line["shipped_num"] = line["item_num"]
        self.commit("shipment", number, {"logistics_code": waybill, "company_code": company})
        self._parcel(order, company, waybill, left)

    def ship_parts(self, number: str, request: str, packs: Sequence[Record]) -> list[Record]:
        """Parcels of some lines; the same ``request_id`` again is recognised."""
        if request in self.requests:
            raise gate.Refused(40003, "非法的参数(平台)", "isv.idempotent-id-existed", "幂等号已存在")
        chosen: list[tuple[Record, list[tuple[Record, int]]]] = []
        for pack in packs:
            order = self._shippable(number, str(pack.get("company_code")), str(pack.get("logistics_code") or ""))
            by_id = {line["order_id"]: line for line in order["sku_order_list"]}
            rows = []
            for one in pack.get("shipped_order_info") or []:
                line = by_id.get(str(one.get("shipped_order_id")))
                count = int(one.get("shipped_num") or 0)
                if line is None or not 0 < count <= line["item_num"] - line["shipped_num"]:
                    raise business("2100011", "子订单不存在或发货数量超出")
                rows.append((line, count))
            if not rows:
                raise gate.Refused(40004, "业务参数非法", "isv.parameter-invalid:20010", "shipped_order_info 不能为空")
            chosen.append((pack, rows))
        self.requests.add(request)
        order, answer = self.order(number), []
        for pack, rows in chosen:
            company, waybill = str(pack["company_code"]), str(pack["logistics_code"])
            for line, count in rows:
                line["shipped_num"] += count
                self.commit("shipment_part", f"{line['order_id']}/{waybill}", {"shipped_num": count})
            pack_id = self._parcel(order, company, waybill, [line for line, _ in rows])
            shown = [
                {"shipped_order_id": line["order_id"], "shipped_num": str(count), "shipped_item_ids": []}
                for line, count in rows
            ]
            answer.append({"logistics_code": waybill, "pack_id": pack_id, "shipped_order_info": shown})
        return answer

    def edit(self, number: str, company: str, waybill: str) -> None:
        order = self.order(number)
        if not order["logistics_info"]:
            raise business("2100012", "订单未发货，不能修改物流")
        _company(company, waybill)
        if order["logistics_info"][0]["tracking_no"] != waybill:
            order["logistics_info"][0] |= {
                "tracking_no": waybill,
                "company": company,
                "company_name": COMPANIES[company],
            }
            self.commit("shipment_edit", number, {"logistics_code": waybill})
            self.touch(order)
            self._told("104", order, logistics_msg={"express_company_id": company, "logistics_code": waybill})

    def remark(self, number: str, words: str, star: int | None) -> None:
        order = self.order(number)
        wanted = {"seller_words": words, **({} if star is None else {"seller_remark_stars": star})}
        if any(order[name] != value for name, value in wanted.items()):
            order.update(wanted)
            self.commit("remark", number, wanted)
            self.touch(order)
            self._told("113", order, remark=words, star=order["seller_remark_stars"])

    def set_stock(self, one: Goods, level: int) -> None:
        if self.stock[one.sku_id] != level:
            self.stock[one.sku_id] = level
            self.commit("stock", str(one.sku_id), {"stock_num": level})

    # Looking up.

    def order(self, number: str) -> Record:
        if number not in self.orders:
            raise business("2100001", "订单不存在")
        return self.orders[number]

    def _in(self, number: str, state: int) -> Record:
        order = self.order(number)
        if order["order_status"] != state:
            raise ValueError(f"order {number} is {order['order_status']}, not {state}")
        return order

    def _shippable(self, number: str, company: str, waybill: str) -> Record:
        order = self.order(number)
        _company(company, waybill)
        if order["order_status"] in (SHIPPED, DONE):
            raise business("2100020", "订单已发货，请勿重复发货")
        if order["order_status"] not in (READY, PART):
            raise business("2100021", "订单状态不允许发货")
        return order

    def _parcel(self, order: Record, company: str, waybill: str, lines: Sequence[Record]) -> str:
        at, pack_id = int(self.now()), str(47 * 10**17 + self.dice.randrange(10**15))
        for line in lines:
            whole = line["shipped_num"] == line["item_num"]
            line |= {"order_status": SHIPPED if whole else PART, "ship_time": at, "update_time": at}
        order["logistics_info"].append(
            {
                "delivery_id": pack_id,
                "tracking_no": waybill,
                "company": company,
                "company_name": COMPANIES[company],
                "ship_time": at,
            }
        )
        whole = all(line["order_status"] == SHIPPED for line in order["sku_order_list"])
        order |= {"order_status": SHIPPED if whole else PART, "ship_time": at}
        self.touch(order)
        parcel = {"express_company_id": company, "logistics_code": waybill}
        empty = {"addr": "", "name": "", "tel": ""}
        if whole:
            self._told("102", order, logistics_msg=parcel, receiver_msg=empty)
        else:
            self._told("108", order, logistics_msg={"pack_id": int(pack_id), **parcel})
        return pack_id

    def _line(self, number: int, parent: int, at: int, one: Goods, count: int) -> Record:
        off = 500 if one.price * count >= 10000 else 0
        return {
            "order_id": str(number),
            "parent_order_id": str(parent),
            "order_level": 3,
            "create_time": at,
            "pay_time": 0,
            "update_time": at,
            "ship_time": 0,
            "origin_amount": one.price,
            "sum_amount": one.price * count,
            "promotion_amount": off,
            "pay_amount": one.price * count - off,
            "item_num": count,
            "shipped_num": 0,
            "product_id": one.product_id,
            "product_id_str": str(one.product_id),
            "sku_id": one.sku_id,
            "out_sku_id": one.code,
            "code": one.code,
            "out_product_id": one.outer_product,
            "product_name": one.title,
            "spec": [{"name": "规格", "value": one.spec}],
            "given_product_type": "",
            "after_sale_info": {"after_sale_status": 0, "after_sale_type": 0, "refund_status": 0},
        }

    def _state(self, order: Record, state: int) -> None:
        order |= {"order_status": state, "order_status_desc": WORDS[state], "main_status": state}
        for line in order["sku_order_list"]:
            line |= {"order_status": state, "order_status_desc": WORDS[state]}
        self.touch(order)

    def touch(self, order: Record) -> None:
        """The order changed, perhaps by something else (a refund)."""
        order["update_time"] = int(self.now())

    def _told(self, tag: str, order: Record, **more: Any) -> None:
        # Ids travel as whole numbers beyond 2**53.
        head = {
            "p_id": int(order["order_id"]),
            "s_ids": [int(line["order_id"]) for line in order["sku_order_list"]],
            "shop_id": self.shop_id,
            "order_status": order["order_status"],
            "order_type": 0,
            "biz": 2,
            "update_time": order["update_time"],
        }
        self.tell(tag, {**head, **more})


def _refunding(line: Record) -> bool:
    return line["after_sale_info"]["after_sale_status"] in OPEN_REFUND


def _company(company: str, waybill: str) -> None:
    if company not in COMPANIES:
        raise gate.Refused(40004, "业务参数非法", "isv.parameter-invalid:20030", "物流公司编码不正确")
    if len(waybill) < 6:
        raise gate.Refused(40002, "缺少业务参数", "isv.parameter-missing", "运单号不能为空")


def cipher(kind: str, text: str) -> str:
    """An opaque stand-in for the vendor's ciphertext of a personal value, with its search index."""
    mark = hashlib.sha256(f"{kind}:{text}".encode()).hexdigest()
    return f"${mark[:20]}=${mark[20:30]}=$1$$" if kind == "tel" else f"#{mark[:4]}#{mark[4:28]}=#1##"


def _receiver(buyer: world.Person) -> Record:
    where = buyer.address
    place = {
        "province": {"name": where.province, "id": "33"},
        "city": {"name": where.city, "id": "330100"},
        "town": {"name": where.district, "id": "330108"},
        "street": {"name": "", "id": ""},
    }
    return {
        "doudian_open_id": f"1@#{hashlib.sha256(buyer.phone.encode()).hexdigest()[:44]}",
        "post_tel": "",
        "encrypt_post_tel": cipher("tel", buyer.phone),
        "mask_post_tel": f"{buyer.phone[0]}*********{buyer.phone[-1]}",
        "post_receiver": "",
        "encrypt_post_receiver": cipher("name", buyer.name),
        "mask_post_receiver": f"{buyer.name[0]}**",
        "post_addr": {**place, "detail": "", "encrypt_detail": cipher("addr", where.street)},
        "mask_post_addr": {**place, "detail": "****"},
    }

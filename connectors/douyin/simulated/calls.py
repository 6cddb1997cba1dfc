"""The gateway calls of the simulated shop: business parameters in, the vendor's ``data`` out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from connectors.douyin.simulated import gate, refunds, shop

Params = dict[str, Any]
HISTORY = 90 * 86400
MOST = 50_000
LISTED_AT = 1772992861
"""When the goods of a fresh shop were last changed, Unix seconds."""


def invalid(number: int, words: str) -> gate.Refused:
    """Code 40004 with the vendor's numbered reason."""
    return gate.Refused(40004, "业务参数非法", f"isv.parameter-invalid:{number}", words)


def need(given: Params, name: str) -> Any:
    if given.get(name) in (None, ""):
        raise gate.Refused(40002, "缺少业务参数", "isv.parameter-missing", f"缺少参数 {name}")
    return given[name]


class Calls:
    """Answers by method name; the names are case-sensitive and as inconsistent as the vendor's."""

    def __init__(self, place: shop.Shop, desk: refunds.Desk) -> None:
        self.shop, self.desk = place, desk
        self.methods: dict[str, Callable[[Params], Any]] = {
            "order.searchList": self.orders,
            "order.orderDetail": self.order,
            "order.logisticsAdd": self.ship,
            "order.logisticsAddMultiPack": self.ship_parts,
            "order.logisticsEdit": self.edit,
            "order.logisticsCompanyList": self.companies,
            "order.addOrderRemark": self.remark,
            "order.batchSensitive": lambda given: self.opened(given, masked=True),
            "order.batchDecrypt": lambda given: self.opened(given, masked=False),
            "sku.syncStock": self.set_stock,
            "sku.stockNum": self.stock,
            "sku.list": self.skus,
            "product.listV2": self.products,
            "afterSale.List": self.refunds,
            "afterSale.Detail": self.refund,
            "afterSale.operate": self.operate,
            "afterSale.rejectReasonCodeList": self.reasons,
            "address.list": self.addresses,
        }

    def orders(self, given: Params) -> Any:
        rows = self._between(self.shop.orders.values(), given, "update_time_start", "update_time_end", _update_time)
        states = {
            word for one in given.get("combine_status") or [] for word in str(one.get("order_status", "")).split(",")
        }
        if states:
            rows = [row for row in rows if str(row["order_status"]) in states]
        rows.sort(key=_update_time, reverse=not given.get("order_asc", False))
        page, size, part = _page(rows, given, first=0)
        return {"page": page, "size": size, "total": len(rows), "shop_order_list": part}

    def order(self, given: Params) -> Any:
        return {"shop_order_detail": self.shop.order(str(need(given, "shop_order_id")))}

    def ship(self, given: Params) -> Any:
        refuse = bool(given.get("is_refund_reject"))
        number, company = str(need(given, "order_id")), str(need(given, "company_code"))
        self.shop.ship(number, company, str(need(given, "logistics_code")), refuse_refund=refuse)
        return {}

    def ship_parts(self, given: Params) -> Any:
        packs = need(given, "pack_list")
        request = str(need(given, "request_id"))
        return {"pack_list": self.shop.ship_parts(str(need(given, "order_id")), request, packs)}

    def edit(self, given: Params) -> Any:
        waybill = str(need(given, "logistics_code"))
        self.shop.edit(str(need(given, "order_id")), str(need(given, "company_code")), waybill)
        return {}

    def companies(self, _given: Params) -> Any:
        return [
            {"id": place, "code": code, "name": name} for place, (code, name) in enumerate(shop.COMPANIES.items(), 1)
        ]

    def remark(self, given: Params) -> Any:
        starred = str(given.get("is_add_star", "false")).lower() == "true"
        star = int(given["star"]) if starred and given.get("star") is not None else None
        if star is not None and star not in range(6):
            raise invalid(20040, "star 不正确")
        self.shop.remark(str(need(given, "order_id")), str(given.get("remark") or ""), star)
        return {}

    def opened(self, given: Params, *, masked: bool) -> Any:
        """Ciphertexts that this shop gave out; others fail one by one."""
        infos = need(given, "cipher_infos")
        if len(infos) > 50:
            raise invalid(20050, "cipher_infos 最多 50 个")
        rows, failed = [], 0
        for one in infos:
            order = self.shop.orders.get(str(one.get("auth_id")))
            text = str(one.get("cipher_text"))
            kinds = {} if order is None else _ciphers(order)
            known = text in kinds
            failed += not known
            rows.append(
                {
                    "auth_id": one.get("auth_id"),
                    "cipher_text": text,
                    "decrypt_text": kinds[text] if known else "",
                    "err_no": 0 if known else 300008,
                    "err_msg": "" if known else "密文与订单不匹配",
                    "is_virtual_tel": known and not masked and text.startswith("$"),
                }
            )
        if failed:
            raise Partly(
                {"decrypt_infos": rows, "custom_err": {"err_code": 300008, "err_msg": f"{failed} 个密文解密失败"}}
            )
        return {"decrypt_infos": rows, "custom_err": {"err_code": 0, "err_msg": ""}}

    def set_stock(self, given: Params) -> Any:
        product, level = int(need(given, "product_id")), int(need(given, "stock_num"))
        found = [
            one
            for one in self.shop.goods
            if one.product_id == product
            and (
                str(given.get("sku_id")) == str(one.sku_id)
                or (not given.get("sku_id") and given.get("code") == one.code)
            )
        ]
        if not found:
            raise gate.Refused(50002, "业务处理失败", "isp.service-error:5", "sku 不存在")
        if given.get("incremental") and not given.get("idempotent_id"):
            raise gate.Refused(40002, "缺少业务参数", "isv.parameter-missing", "缺少参数 idempotent_id")
        if level < 0 and not given.get("incremental"):
            raise invalid(20060, "stock_num 不能小于 0")
        before = self.shop.stock[found[0].sku_id]
        self.shop.set_stock(found[0], before + level if given.get("incremental") else level)
        return {}

    def stock(self, given: Params) -> Any:
        sku = int(need(given, "sku_id"))
        if sku not in self.shop.stock:
            raise gate.Refused(50002, "业务处理失败", "isp.service-error:5", "sku 不存在")
        return {"sku_id": sku, "stock_num": self.shop.stock[sku], "prehold_stock_num": 0, "hold_stock_num": 0}

    def skus(self, given: Params) -> Any:
        product = int(need(given, "product_id"))
        return [
            {
                "id": one.sku_id,
                "product_id": one.product_id,
                "code": one.code,
                "out_sku_id": 0,
                "price": one.price,
                "stock_num": self.shop.stock[one.sku_id],
                "spec_detail_name1": one.spec,
            }
            for one in self.shop.goods
            if one.product_id == product
        ]

    def products(self, given: Params) -> Any:
        found: dict[int, Params] = {}
        for one in self.shop.goods:
            found.setdefault(
                one.product_id,
                {
                    "product_id": one.product_id,
                    "outer_product_id": one.outer_product,
                    "name": one.title,
                    "status": 0,
                    "check_status": 3,
                    "discount_price": one.price,
                    "create_time": LISTED_AT,
                    "update_time": LISTED_AT,
                },
            )
        rows = list(found.values())
        # Both ends are exclusive.
        if given.get("update_start_time"):
            rows = [row for row in rows if row["update_time"] > int(given["update_start_time"])]
        if given.get("update_end_time"):
            rows = [row for row in rows if row["update_time"] < int(given["update_end_time"])]
        page, size, part = _page(rows, given, first=1)
        if page * size > 10_000:
            raise invalid(20012, "page*size 不能超过 10000")
        return {"data": part, "page": page, "size": size, "total": len(rows)}

    def refunds(self, given: Params) -> Any:
        rows = self._between(
            self.desk.records.values(), given, "update_start_time", "update_end_time", lambda one: int(one["updated"])
        )
        words = (given.get("order_by") or ["update_time desc"])[0]
        rows.sort(key=lambda one: one["updated"], reverse=not words.endswith("asc"))
        page, size, part = _page(rows, given, first=0)
        more = (page + 1) * size < len(rows)
        shown = [self.desk.row(one) for one in part]
        return {"page": page, "size": size, "total": len(rows), "has_more": more, "items": shown}

    def refund(self, given: Params) -> Any:
        return self.desk.detail(self.desk.get(str(need(given, "after_sale_id"))))

    def operate(self, given: Params) -> Any:
        return self.desk.operate(int(need(given, "type")), need(given, "items"))

    def reasons(self, given: Params) -> Any:
        self.desk.get(str(need(given, "aftersale_id")))
        return {
            "items": [{"reject_reason_code": 3, "reason": "商品已发出"}, {"reject_reason_code": 9, "reason": "其他"}]
        }

    def addresses(self, _given: Params) -> Any:
        return {"address_list": [{"address_id": 95251, "user_name": "退货组"}], "total": 1}

    def _between(
        self, records: Iterable[Any], given: Params, start: str, end: str, when: Callable[[Any], int]
    ) -> list[Any]:
        first, last = int(given.get(start) or 0), int(given.get(end) or 0)
        if not first or not last or first > last:
            raise invalid(20011, f"{start}、{end} 不正确")
        if first < self.shop.now() - HISTORY:
            raise invalid(20022, "只能查询最近 90 天的数据")
        rows = [one for one in records if first <= when(one) <= last]
        if len(rows) > MOST:
            raise invalid(20013, "查询结果超过 50000 条")
        return rows


class Partly(Exception):
    """Some pieces of a call failed: code 10001, each with its own ``err_no``."""

    def __init__(self, data: Params) -> None:
        super().__init__("partly")
        self.data = data


def _update_time(order: Params) -> int:
    return int(order["update_time"])


def _ciphers(order: Params) -> dict[str, str]:
    """Ciphertext -> what it opens to: a virtual number for the phone, masked words else."""
    return {
        order["encrypt_post_tel"]: "18400000000-7576",
        order["encrypt_post_receiver"]: order["mask_post_receiver"],
        order["post_addr"]["encrypt_detail"]: "****",
    }


def _page(rows: list[Any], given: Params, first: int) -> tuple[int, int, list[Any]]:
    page, size = int(given.get("page", first)), int(given.get("size", 10))
    if not 0 < size <= 100:
        raise invalid(20008, "size 不能超过 100")
    if page < first:
        raise invalid(10035, "page 不正确")
    begin = (page - first) * size
    return page, size, rows[begin : begin + size]

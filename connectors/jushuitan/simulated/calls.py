"""The business calls of the pretend platform, by path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.jushuitan.simulated import erp, gate

NEED = "时间段和单号不能同时为空"
CARRIERS = {"SF": "顺丰速运", "YTO": "圆通速递", "ZTO": "中通快递", "STO": "申通快递", "EMS": "EMS"}


class Calls:
    """Answers business calls over one tenant. ``answer`` gives the ``data`` of the envelope or raises Refused."""

    def __init__(self, tenant: erp.Erp) -> None:
        self.erp = tenant
        self.paths: dict[str, Callable[[Any], Any]] = {
            "/open/shops/query": self.shops,
            "/open/jushuitan/orders/upload": self.upload,
            "/open/orders/single/query": self.orders,
            "/open/jushuitan/orderbyoid/cancel": self.cancel,
            "/open/logistic/query": self.parcels,
            "/open/order/sent/upload": self.sent,
            "/open/inventory/query": self.stock,
            "/open/jushuitan/inventoryv2/upload": self.erp.take,
            "/open/sku/query": self.goods,
            "/open/refund/single/query": self.after_sales,
            "/open/aftersale/upload": self.upload_after_sales,
            "/open/logisticscompany/query": self.carriers,
            "/open/wms/partner/query": self.warehouses,
        }

    def answer(self, path: str, biz: Any) -> Any:
        """What one call says. Raises Refused."""
        if path not in self.paths:
            raise erp.Refused(140, "接口不存在")
        uploading = path in ("/open/jushuitan/orders/upload", "/open/aftersale/upload")
        if uploading is not isinstance(biz, list):
            raise erp.Refused(130, "biz参数格式不正确")
        return self.paths[path](biz)

    def shops(self, biz: Any) -> Any:
        shops = self.erp.shops.items()
        rows = [{"shop_id": number, "shop_name": name, "shop_site": "自有商城"} for number, name in shops]
        return gate.paged(biz, rows, "datas", 100)

    def upload(self, biz: list[Any]) -> Any:
        if not 1 <= len(biz) <= 50:
            raise erp.Refused(140, "每次最多上传50个订单")
        return {"datas": [self.erp.upload(order) for order in biz]}

    def upload_after_sales(self, biz: list[Any]) -> Any:
        if not 1 <= len(biz) <= 50:
            raise erp.Refused(140, "每次最多上传50个售后单")
        return {"datas": [self.erp.upload_after_sale(one) for one in biz]}

    def orders(self, biz: Any) -> Any:
        numbers = _numbers(biz, "so_ids")
        rows = list(self.erp.documents.values())
        if numbers:
            rows = [row for row in rows if any(row in self.erp.of_order(number) for number in numbers)]
        else:
            rows = _changed(rows, biz)
        if biz.get("status"):
            rows = [row for row in rows if row["status"] == biz["status"]]
        return gate.paged(biz, rows, "orders", 100)

    def parcels(self, biz: Any) -> Any:
        numbers = _numbers(biz, "so_ids")
        rows = self.erp.parcels()
        if numbers:
            rows = [row for row in rows if row["so_id"] in numbers]
        else:
            begin, end = gate.window(biz, NEED)
            key = "modified" if int(biz.get("date_type", 3)) == 0 else "send_date"
            rows = [row for row in rows if begin <= row[key] <= end]
        return gate.paged(biz, rows, "orders", 50)

    def sent(self, biz: Any) -> Any:
        items = biz.get("items")
        if not isinstance(items, list) or not items:
            raise erp.Refused(130, "items不能为空")
        for one in items:
            self.erp.report(one)
        return None

    def cancel(self, biz: Any) -> Any:
        numbers = biz.get("o_ids")
        if not isinstance(numbers, list) or not numbers or not biz.get("cancel_type"):
            raise erp.Refused(130, "o_ids和cancel_type不能为空")
        for number in numbers:
            row = self.erp.documents.get(int(number))
            if row is None:
                raise erp.Refused(130, f"订单[{number}]不存在")
            self.erp.cancel(row, str(biz.get("remark") or biz["cancel_type"]))
        return None

    def stock(self, biz: Any) -> Any:
        codes = [code for code in str(biz.get("sku_ids") or "").split(",") if code]
        if len(codes) > 100:
            raise erp.Refused(140, "sku_ids最多100个")
        rows = list(self.erp.stock.values())
        rows = [row for row in rows if row["sku_id"] in codes] if codes else _changed(rows, biz)
        return gate.paged(biz, rows, "inventorys", 100)

    def goods(self, biz: Any) -> Any:
        codes = [code for code in str(biz.get("sku_ids") or "").split(",") if code]
        rows = list(self.erp.goods.values())
        rows = [row for row in rows if row["sku_id"] in codes] if codes else _changed(rows, biz)
        return gate.paged(biz, rows, "datas", 50)

    def after_sales(self, biz: Any) -> Any:
        numbers, own = _numbers(biz, "so_ids"), [int(one) for one in biz.get("as_ids") or []]
        rows = list(self.erp.after_sales.values())
        if numbers or own:
            rows = [row for row in rows if row["so_id"] in numbers or row["as_id"] in own]
        else:
            rows = _changed(rows, biz)
        return gate.paged(biz, rows, "datas", 50)

    def carriers(self, biz: Any) -> Any:
        rows = [{"lc_id": code, "lc_name": name} for code, name in CARRIERS.items()]
        return gate.paged(biz, rows, "datas", 100)

    def warehouses(self, biz: Any) -> Any:
        return gate.paged(biz, [{"wms_co_id": 11003, "name": "主仓", "status": "生效"}], "datas", 100)


def _numbers(biz: Any, name: str) -> list[str]:
    found = [str(one) for one in biz.get(name) or []]
    if len(found) > 20:
        raise erp.Refused(140, f"{name}最多20个")
    return found


def _changed(rows: list[erp.Row], biz: Any) -> list[erp.Row]:
    """Rows of the asked span by modification time, both ends included, oldest first. Raises Refused."""
    begin, end = gate.window(biz, NEED)
    return sorted(
        (row for row in rows if begin <= row["modified"] <= end), key=lambda row: (row["modified"], row["ts"])
    )

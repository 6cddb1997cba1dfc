"""The business calls of the pretend gateway, by path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.yonyou.simulated import books, materials, outbounds, returns

SD = "/yonbip/sd"
MD = "/yonbip/digitalModel"


class Calls:
    """Answers business calls. ``answer`` gives code, message and data, or raises Refused."""

    def __init__(self, kept: books.Books) -> None:
        self.books = kept
        self.returns = returns.Returns(kept)
        self.outbounds = outbounds.Outbounds(kept)
        self.materials = materials.Materials(kept)
        self.paths: dict[str, Callable[[Any], tuple[str | int, str, Any]]] = {
            f"{SD}/voucherorder/singleSave": self.save_order,
            f"{SD}/voucherorder/list": self.list_orders,
            f"{SD}/voucherorder/batchsubmit": lambda body: self.each(body, self.books.submit),
            f"{SD}/voucherorder/batchaudit": lambda body: self.each(body, self.books.audit),
            f"{SD}/voucherorder/batchunaudit": lambda body: self.each(body, self.books.unaudit),
            f"{SD}/voucherorder/batchdelete": lambda body: self.each(body, self.books.delete),
            f"{SD}/voucherdelivery/saveFromSaleOrder": self.save_delivery,
            f"{SD}/voucherdelivery/audit": lambda body: self.each(body, self.books.audit_delivery, self.books.delivery),
            f"{SD}/voucherdelivery/list": self.list_deliveries,
            f"{SD}/vouchersalereturn/singleSave": self.save_return,
            f"{SD}/vouchersalereturn/list": self.list_returns,
            f"{SD}/vouchersalereturn/audit": lambda body: self.each(body, self.returns.audit, self.returns.find),
            "/yonbip/scm/stock/QueryCurrentStocksByCondition": self.stock,
            f"{MD}/merchant/idempotent/newinsert": self.save_customer,
            f"{MD}/merchant/newlist": self.list_customers,
            f"{MD}/batch/merchant/save": self.change_customers,
            f"{MD}/product/listproductbycondition": self.list_goods,
            f"{MD}/product/idempotent/save": self.save_goods,
            "/yonbip/scm/salesout/list": self.list_outbounds,
            "/yonbip/scm/salesout/detail": lambda body: ("200", "操作成功", self.outbounds.detail(body.get("id"))),
        }

    def save_order(self, body: Any) -> tuple[str | int, str, Any]:
        data = _data(body)
        return "200", "操作成功", self.books.once("order", data, self.books.save_order)

    def save_delivery(self, body: Any) -> tuple[str | int, str, Any]:
        data = _data(body)
        return "200", "操作成功", self.books.once("delivery", data, self.books.save_delivery)

    def save_customer(self, body: Any) -> tuple[str | int, str, Any]:
        data = _data(body)
        return "200", "操作成功", self.books.once("customer", data, self.books.save_customer)

    def change_customers(self, body: Any) -> tuple[str | int, str, Any]:
        rows = body.get("data")
        if not isinstance(rows, list) or not rows:
            raise books.Refused("999", "data不能为空")
        for row in rows:
            self.books.change_customer(row)
        return 200, "操作成功", {"count": len(rows), "sucessCount": len(rows), "failCount": 0, "messages": []}

    def save_return(self, body: Any) -> tuple[str | int, str, Any]:
        data = _data(body)
        return "200", "操作成功", self.books.once("return", data, self.returns.save)

    def list_returns(self, body: Any) -> tuple[str | int, str, Any]:
        return "200", "操作成功", _page(body, [one for one in self.returns.rows() if _chosen(one, body)])

    def each(
        self, body: Any, act: Callable[[books.Row], None], find: Callable[[Any], books.Row | None] | None = None
    ) -> tuple[str | int, str, Any]:
        """A batch: code 200 also when some, or all, of it failed. Of orders, unless ``find`` finds others."""
        rows = body.get("data")
        if not isinstance(rows, list) or not rows:
            raise books.Refused("999", "data不能为空")
        infos, failed, messages = [], [], []
        for row in rows:
            order = find(row.get("id")) if find else self.books.orders.get(_whole(row.get("id")))
            try:
                if order is None:
                    raise books.Refused("200", f"单据[{row.get('id')}]不存在")
                act(order)
                infos.append(
                    {key: order[key] for key in ("id", "code", "status", "verifystate", "nextStatus", "pubts")}
                )
            except books.Refused as refused:
                failed.append(str(row.get("id")))
                messages.append(refused.words)
        counts = {"count": len(rows), "sucessCount": len(infos), "failCount": len(failed)}
        return "200", "操作成功", {**counts, "messages": messages, "infos": infos, "failInfos": failed}

    def list_orders(self, body: Any) -> tuple[str | int, str, Any]:
        found = [one for one in self.books.orders.values() if _chosen(one, body)]
        found.sort(key=lambda one: (one["pubts"], one["id"]))
        whole = bool(body.get("isSum"))
        rows = [row for one in found for row in self.books.rows(one, whole=whole)]
        return "200", "操作成功", {**_page(body, rows), "sumRecordList": [{"qty": float("nan")}]}

    def list_deliveries(self, body: Any) -> tuple[str | int, str, Any]:
        found = [one for one in self.books.deliveries.values() if _chosen(one, body)]
        found.sort(key=lambda one: (one["pubts"], one["id"]))
        whole = bool(body.get("isSum"))
        rows = [row for one in found for row in self.books.delivery_rows(one, whole=whole)]
        return "200", "操作成功", _page(body, rows)

    def stock(self, body: Any) -> tuple[str | int, str, Any]:
        wanted = {"productn.code": "product_code", "warehouse.code": "warehouse_code", "org": "org"}
        wanted["stockStatusDoc"] = "stockStatusDoc"
        if not any(body.get(key) for key in wanted):
            raise books.Refused("999", "查询条件不能为空")
        rows = [
            row
            for row in self.books.stock
            if all(not body.get(key) or str(row[name]) == str(body[key]) for key, name in wanted.items())
        ]
        return "200", "操作成功", rows

    def list_customers(self, body: Any) -> tuple[str | int, str, Any]:
        begin, end = str(body.get("beganTime") or ""), str(body.get("endTime") or "9999")
        rows = [
            row
            for row in self.books.customers.values()
            if (not body.get("code") or row["code"] == body["code"])
            and (not body.get("id") or str(row["id"]) == str(body["id"]))
            and begin <= row["modifyTime"] <= end
        ]
        index, size = _position(body, 5000)
        shown = rows[(index - 1) * size : index * size]
        return ("200", "处理成功", shown) if shown else ("118001", "根据条件查询结果为空", None)

    def list_goods(self, body: Any) -> tuple[str | int, str, Any]:
        return "200", "操作成功", _page(body, self.materials.rows(body))

    def save_goods(self, body: Any) -> tuple[str | int, str, Any]:
        return "200", "操作成功", self.books.once("product", _data(body), self.materials.save)

    def list_outbounds(self, body: Any) -> tuple[str | int, str, Any]:
        return "200", "操作成功", _page(body, [one for one in self.outbounds.rows() if _chosen(one, body)])


def _data(body: Any) -> books.Row:
    data = body.get("data")
    if not isinstance(data, dict):
        raise books.Refused("999", "data不能为空")
    return data


def _whole(value: Any) -> int:
    return int(value) if str(value or "").isdigit() else 0


def _position(body: Any, limit: int) -> tuple[int, int]:
    index, size = int(body.get("pageIndex") or 1), int(body.get("pageSize") or 10)
    if index < 1 or not 1 <= size <= limit:
        raise books.Refused("999", f"pageSize不能大于{limit}")
    return index, size


def _page(body: Any, rows: list[Any]) -> books.Row:
    index, size = _position(body, 200)
    return {
        "pageIndex": index,
        "pageSize": size,
        "pageCount": -(-len(rows) // size),
        "recordCount": len(rows),
        "recordList": rows[(index - 1) * size : index * size],
    }


def _chosen(record: books.Row, body: Any) -> bool:
    """Whether a record passes every simple condition. Raises Refused for an operator that does not exist here."""
    for one in body.get("simpleVOs") or []:
        value: Any = record
        for step in str(one.get("field")).split("."):
            value = value.get(step) if isinstance(value, dict) else None
        low, high = str(one.get("value1")), str(one.get("value2"))
        if one.get("op") == "eq":
            passed = str(value) == low
        elif one.get("op") == "between":
            passed = low <= str(value) <= high
        else:
            raise books.Refused("506", "查询条件不合法")
        if not passed:
            return False
    return True

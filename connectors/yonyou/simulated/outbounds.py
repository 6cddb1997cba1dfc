"""Sales outbound documents of the pretend tenant: what really left the warehouse, made of its deliveries."""

from __future__ import annotations

from typing import Any

from connectors.yonyou.simulated import books


class Outbounds:
    """``kept`` gives ids, times, orders and goods."""

    def __init__(self, kept: books.Books) -> None:
        self.books = kept
        self.known: dict[int, books.Row] = {}

    def add(self, delivery: books.Row) -> books.Row:
        """The audited document of a delivery; each row names the order at the beginning of its chain."""
        order, number = self.books.orders[delivery["orderId"]], self.books.next()
        rows = {row["id"]: row for row in order["orderDetails"]}
        details = []
        for one in delivery["rows"]:
            code = self.books.goods[rows[int(one["sourceautoid"])]["productId"]]["code"]
            first = {"firstsource": "voucher_order", "firstsourceid": str(order["id"]), "firstupcode": order["code"]}
            named = {"product_cCode": code, "productsku_cCode": code, "firstsourceautoid": str(one["sourceautoid"])}
            source = {"sourceid": str(delivery["id"]), "sourceautoid": str(one["id"])}
            details.append({**first, **named, **source, "id": self.books.next(), "qty": one["qty"]})
        self.known[number] = {
            "id": number, "code": self.books.code("XSCK"), "status": 1, "vouchdate": delivery["vouchdate"],
            "srcBillType": "1", "srcBillNO": delivery["code"], "cLogisticsBillNo": delivery["logisticsBillNo"],
            "iLogisticId_name": delivery["logisticWayId_name"], "auditTime": self.books.clock(),
            "pubts": self.books.clock(), "cReceiver": order.get("receiver", ""),
            "cReceiveMobile": order.get("receiveMobile", ""), "details": details,
        }  # fmt: skip
        return self.known[number]

    def rows(self) -> list[books.Row]:
        """As the list shows them with isSum: heads only, without the parcel."""
        hidden = ("details", "cLogisticsBillNo", "iLogisticId_name", "auditTime")
        return [{key: value for key, value in one.items() if key not in hidden} for one in self.known.values()]

    def detail(self, number: Any) -> books.Row:
        """salesout/detail. Raises Refused."""
        found = self.known.get(int(number) if str(number or "").isdigit() else 0)
        if found is None:
            raise books.Refused("1002", "数据不存在")
        return found

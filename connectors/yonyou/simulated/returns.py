"""Sales returns of the pretend tenant: saved, submitted, audited. Kept apart from the orders they may come from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from connectors.yonyou.simulated import books

NEEDED = (
    "vouchdate", "salesOrgId", "transactionTypeId", "agentId", "settlementOrgId", "currency", "exchangeRateType",
    "saleReturnSourceType", "payMoney", "_status", "saleReturnDetails",
)  # fmt: skip


class Returns:
    """``kept`` gives ids, times and goods, and hears of what is final."""

    def __init__(self, kept: books.Books) -> None:
        self.books = kept
        self.known: dict[int, books.Row] = {}

    def save(self, data: books.Row) -> books.Row:
        """vouchersalereturn/singleSave. Asks for ``saleReturnDetails`` and answers with ``saleReturnDetail`` (sic)."""
        missing = [name for name in NEEDED if data.get(name) in (None, "", [])]
        if missing:
            raise books.Refused("999", f"{missing[0]}不能为空")
        if data["saleReturnSourceType"] not in ("NONE", "DELIVERYEND", "ORDER"):
            raise books.Refused("999", "退货来源不正确")
        total = Decimal(0)
        for row in data["saleReturnDetails"]:
            if row.get("productId") not in self.books.goods:
                raise books.Refused("999", f"物料编码[{row.get('productId')}]不存在")
            if Decimal(str(row.get("qty") or 0)) <= 0:
                raise books.Refused("999", "数量必须大于0")
            total += Decimal(str(row.get("oriSum") or 0))
        if total != Decimal(str(data["payMoney"])):
            raise books.Refused("999", "应退金额与明细含税金额合计不一致")
        number = self.books.next()
        kept = {key: value for key, value in data.items() if key not in ("saleReturnDetails", "resubmitCheckKey")}
        self.known[number] = {
            **kept, "id": number, "code": data.get("code") or self.books.code("TH"), "status": 0, "verifystate": 0,
            "saleReturnStatus": "SUBMITSALERETURN", "returnStatus": "SUBMITSALERETURN", "pubts": self.books.clock(),
            "saleReturnDetail": [{**row, "id": self.books.next()} for row in data["saleReturnDetails"]],
        }  # fmt: skip
        self.books.final("return", str((data.get("headItem") or {}).get("define1") or number), data)
        return self.known[number]

    def audit(self, one: books.Row) -> None:
        if one["saleReturnStatus"] == "APPROVING":
            raise books.Refused("200", f"单据[{one['code']}]启用了审批流，请先提交")
        if one["saleReturnStatus"] != "SUBMITSALERETURN":
            raise books.Refused("200", f"单据[{one['code']}]已审核，不能重复审核")
        self.books.touch(one, status=1, verifystate=2, saleReturnStatus="CONFIRMSALERETURNORDER")
        one["nextStatus"] = "SALERETURNING"
        self.books.final("return.audit", one["code"], None)

    def rows(self) -> list[books.Row]:
        """As the list shows them with isSum: heads only."""
        return [{key: value for key, value in one.items() if key != "saleReturnDetail"} for one in self.known.values()]

    def find(self, number: Any) -> books.Row | None:
        return self.known.get(int(number) if str(number or "").isdigit() else 0)

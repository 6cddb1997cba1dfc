"""Materials of the pretend tenant: made or changed by their code, listed without any time."""

from __future__ import annotations

from typing import Any

from connectors.yonyou.simulated import books

NEEDED = ("orgCode", "code", "name", "manageClassCode", "realProductAttribute", "unitUseType", "unitCode", "detail")


class Materials:
    """``kept`` holds the goods, gives ids and times, and hears of what is final."""

    def __init__(self, kept: books.Books) -> None:
        self.books = kept

    def save(self, data: books.Row) -> books.Row:
        """product/idempotent/save: a code that is known is changed, a new one is made. Raises Refused."""
        missing = [name for name in NEEDED if data.get(name) in (None, "")]
        if missing:
            raise books.Refused("999", f"{missing[0]}不能为空")
        code = str(data["code"])
        kind = "product.update" if code in self.books.goods else "product"
        kept = self.books.goods.setdefault(code, {"id": self.books.next(), "code": code})
        kept.update(name=data["name"]["simplifiedName"], unitCode=data["unitCode"], pubts=self.books.clock())
        kept["manageClassCode"] = data["manageClassCode"]
        self.books.final(kind, code, data)
        return {"id": kept["id"]}

    def rows(self, body: Any) -> list[books.Row]:
        """product/listproductbycondition: of a code, or of a time; rows tell no time."""
        begin, end = str(body.get("beganTime") or ""), str(body.get("endTime") or "9999")
        return [
            {key: value for key, value in row.items() if key != "pubts"}
            for row in self.books.goods.values()
            if begin <= row["pubts"] <= end and body.get("productCode") in (None, "", row["code"])
        ]

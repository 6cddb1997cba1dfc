"""The warehouse behind the simulated gateway: orders, returns, goods and stock; and the ERP's pile of confirmations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Refused(Exception):
    """An answer with ``flag`` failure."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Warehouse:
    """Answers to each method as plain data, written as XML by the door. ``local`` gives Beijing time as text."""

    def __init__(
        self,
        codes: list[str],
        settings: Callable[[], dict[str, Any]],
        commit: Callable[[str, str, Any], Any],
        local: Callable[[], str],
    ) -> None:
        self._settings, self.commit, self.local = settings, commit, local
        self.orders: dict[str, dict[str, Any]] = {}
        self.returns: dict[str, dict[str, Any]] = {}
        self.items: dict[str, dict[str, Any]] = {}
        self.stock = dict.fromkeys(codes, 120)
        self.batches: dict[tuple[str, str, str, str], int] = {}
        """(item, warehouse, kind of goods, batch) -> what lies there beside ``stock``."""
        self.confirmed: dict[str, Any] = {}
        self._last = 900000000
        self.entries: dict[str, dict[str, Any]] = {}
        self.intercepted: set[str] = set()
        self.methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "deliveryorder.create": self.create,
            "deliveryorder.query": self.query,
            "order.cancel": self.cancel,
            "order.pending": self.pending,
            "order.callback": self.intercept,
            "returnorder.create": self.create_return,
            "entryorder.create": self.create_entry,
            "stockout.create": self.create_stockout,
            "items.synchronize": self.synchronise,
            "inventory.query": self.inventory,
            "stock.query": self.stock_page,
            "deliveryorder.confirm": self.take_confirmation,
            "returnorder.confirm": self.take_confirmation,
        }

    @property
    def settings(self) -> dict[str, Any]:
        return self._settings()

    def number(self) -> int:
        self._last += 1
        return self._last

    def _owner(self, given: dict[str, Any]) -> None:
        if given.get("ownerCode") != self.settings["owner_code"]:
            raise Refused("S004", f"货主编码不存在:{given.get('ownerCode')}")

    def create(self, given: dict[str, Any]) -> dict[str, Any]:
        head = given.get("deliveryOrder") or {}
        code = str(head.get("deliveryOrderCode") or "")
        wanted = (
            "orderType",
            "warehouseCode",
            "createTime",
            "placeOrderTime",
            "operateTime",
            "shopNick",
            "logisticsCode",
        )
        missing = [name for name in wanted if not head.get(name)]
        for part in ("senderInfo", "receiverInfo"):
            told = head.get(part) or {}
            missing += [
                f"{part}.{name}"
                for name in ("name", "mobile", "province", "city", "detailAddress")
                if not told.get(name)
            ]
        lines = rows(given.get("orderLines"), "orderLine")
        if not code or missing or not lines:
            raise Refused("S002", f"必填字段为空:{','.join(missing) or 'orderLines'}")
        for line in lines:
            self._owner(line)
            if line.get("itemCode") not in self.stock:
                raise Refused("S003", f"商品编码不存在:{line.get('itemCode')}")
        if code in self.orders:
            return {"message": f"{code}单号重复", "deliveryOrderId": ""}
        self.orders[code] = {
            "id": f"WMS{self.number()}",
            "status": "ACCEPT",
            "head": head,
            "lines": lines,
            "held": False,
        }
        self.commit("delivery.create", code, {"lines": len(lines)})
        return {"createTime": self.local(), "deliveryOrderId": self.orders[code]["id"], "warehouseCode": "WH01"}

    def query(self, given: dict[str, Any]) -> dict[str, Any]:
        self._owner(given)
        one = self.orders.get(str(given.get("orderCode")))
        if one is None:
            raise Refused("S006", f"单据不存在:{given.get('orderCode')}")
        head = {"deliveryOrderCode": given["orderCode"], "deliveryOrderId": one["id"], "status": one["status"]}
        return {
            "deliveryOrder": {**head, "orderType": "JYCK"},
            "orderLines": {"orderLine": one["lines"]},
            "totalLines": 1,
        }

    def cancel(self, given: dict[str, Any]) -> dict[str, Any]:
        self._owner(given)
        code = str(given.get("orderCode"))
        one = self.orders.get(code)
        if one is None:
            raise Refused("S006", f"单据不存在:{code}")
        if one["status"] in ("CANCELED", "CLOSED", "REJECT"):
            raise Refused("S007", "单据已取消")
        if one["status"] != "ACCEPT":
            raise Refused("S008", "单据已拣货或已发货，不能取消")
        one["status"] = "CANCELED"
        self.commit("delivery.cancel", code, None)
        return {}

    def intercept(self, given: dict[str, Any]) -> dict[str, Any]:
        code, waybill = str(given.get("deliveryOrderCode")), str(given.get("expressCode"))
        parcels = self.orders.get(code, {}).get("parcels", [])
        if waybill not in [number for number, _ in parcels]:
            raise Refused("S006", f"包裹不存在:{waybill}")
        if waybill in self.intercepted:
            raise Refused("S007", "包裹已拦截")
        self.intercepted.add(waybill)
        self.commit("parcel.intercept", waybill, None)
        return {}

    def pending(self, given: dict[str, Any]) -> dict[str, Any]:
        code, held = str(given.get("orderCode")), given.get("actionType") == "pending"
        if code not in self.orders:
            raise Refused("S006", f"单据不存在:{code}")
        if self.orders[code]["held"] != held:
            self.orders[code]["held"] = held
            self.commit("delivery.pending" if held else "delivery.restore", code, None)
        return {}

    def create_return(self, given: dict[str, Any]) -> dict[str, Any]:
        head = given.get("returnOrder") or {}
        code = str(head.get("returnOrderCode") or "")
        lines = rows(given.get("orderLines"), "orderLine")
        if not code or not lines or not head.get("preDeliveryOrderCode"):
            raise Refused("S002", "必填字段为空:returnOrderCode")
        if code in self.returns:
            raise Refused("S009", f"{code}已存在")
        self.returns[code] = {"id": f"WMSR{self.number()}", "status": "NEW", "head": head, "lines": lines}
        self.commit("return.create", code, None)
        return {"returnOrderId": self.returns[code]["id"]}

    def create_entry(self, given: dict[str, Any]) -> dict[str, Any]:
        head = given.get("entryOrder") or {}
        code, lines = self._lines(head, "entryOrderCode", given)
        self._owner(head)
        if code in self.entries:
            raise Refused("S009", f"{code}已存在")
        self.entries[code] = {"id": f"WMSE{self.number()}", "status": "NEW", "head": head, "lines": lines}
        self.commit("entry.create", code, {"lines": len(lines)})
        return {"entryOrderId": self.entries[code]["id"]}

    def create_stockout(self, given: dict[str, Any]) -> dict[str, Any]:
        head = given.get("deliveryOrder") or {}
        code, lines = self._lines(head, "deliveryOrderCode", given)
        if not (head.get("receiverInfo") or {}).get("name") or not head.get("createTime"):
            raise Refused("S002", "必填字段为空:receiverInfo.name")
        if code in self.orders:
            raise Refused("S009", f"{code}已存在")
        one = {"id": f"WMSO{self.number()}", "status": "ACCEPT", "head": head, "lines": lines, "held": False}
        self.orders[code] = one
        self.commit("stockout.create", code, {"lines": len(lines)})
        return {"createTime": self.local(), "deliveryOrderId": one["id"]}

    def _lines(self, head: dict[str, Any], name: str, given: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """The code of a document that is in order so far, and its lines."""
        code, lines = str(head.get(name) or ""), rows(given.get("orderLines"), "orderLine")
        missing = [one for one in ("orderType", "warehouseCode") if not head.get(one)]
        if not code or missing or not lines:
            raise Refused("S002", f"必填字段为空:{','.join(missing) or name}")
        for line in lines:
            self._owner(line)
            if line.get("itemCode") not in self.stock or not line.get("planQty"):
                raise Refused("S003", f"商品编码不存在:{line.get('itemCode')}")
        return code, lines

    def arrived(self, code: str) -> dict[str, Any]:
        """The goods of an inbound order come in; what the warehouse says about it."""
        one = self.entries[code]
        one["status"] = "FULFILLED"
        for line in one["lines"]:
            self.stock[line["itemCode"]] += int(line["planQty"])
        head = {"entryOrderCode": code, "entryOrderId": one["id"], "entryOrderType": one["head"]["orderType"]}
        head |= {"warehouseCode": self.settings["warehouse_code"], "ownerCode": self.settings["owner_code"]}
        head |= {"confirmType": 0, "status": "FULFILLED", "outBizCode": f"OBC-{code}", "operateTime": self.local()}
        lines = [{**line, "actualQty": line["planQty"]} for line in one["lines"]]
        return {"entryOrder": head, "orderLines": {"orderLine": lines}}

    def synchronise(self, given: dict[str, Any]) -> dict[str, Any]:
        self._owner(given)
        wrong = []
        for item in rows(given.get("items"), "item"):
            code = str(item.get("itemCode") or "")
            if not code or not item.get("itemName"):
                wrong.append({"itemCode": code, "message": "商品名称为空"})
            elif self.items.get(code) != item:
                kind = "item.update" if code in self.items else "item.add"
                self.items[code] = item
                self.stock.setdefault(code, 0)
                self.commit(kind, code, None)
        return {"items": {"item": wrong}} if wrong else {}

    def inventory(self, given: dict[str, Any]) -> dict[str, Any]:
        found = []
        for one in rows(given.get("criteriaList"), "criteria"):
            self._owner(one)
            found += self._levels(one)
        return {"items": {"item": found}}

    def stock_page(self, given: dict[str, Any]) -> dict[str, Any]:
        self._owner(given)
        number, size = int(given.get("page") or 1), min(int(given.get("pageSize") or 100), 100)
        found = self._levels(given)
        return {"totalLines": len(found), "items": {"item": found[(number - 1) * size : number * size]}}

    def _levels(self, wish: dict[str, Any]) -> list[dict[str, Any]]:
        """A row for each batch that fits; the kind of goods may be overlooked (setting ``every_kind``)."""
        whole = {(code, self.settings["warehouse_code"], "ZP", ""): count for code, count in self.stock.items()}
        names = ("itemCode", "warehouseCode", "inventoryType")
        asked = [str(wish.get(name) or "") for name in names[: 2 if self.settings["every_kind"] else 3]]
        found = []
        for place, count in sorted((whole | self.batches).items(), key=lambda one: one[0][3]):
            if all(want in ("", have) for want, have in zip(asked, place[: len(asked)], strict=True)):
                batch = {"batchCode": place[3]} if place[3] else {}
                told = dict(zip(names, place[:3], strict=True)) | {"itemId": place[0], **batch}
                found.append({**told, "quantity": count, "lockQuantity": 0})
        return found

    def take_confirmation(self, given: dict[str, Any]) -> dict[str, Any]:
        head = given.get("deliveryOrder") or given.get("returnOrder") or {}
        key = str(head.get("outBizCode") or head.get("returnOrderCode") or "")
        if not key or not rows(given.get("orderLines"), "orderLine"):
            raise Refused("S002", "必填字段为空:outBizCode")
        if key not in self.confirmed:
            self.confirmed[key] = given
            self.commit("confirmation.take", key, None)
        return {}

    def confirmation(self, code: str, mark: str = "") -> dict[str, Any]:
        """What the warehouse says about a shipped order."""
        one = self.orders[code]

        def sent(lines: list[dict[str, Any]]) -> dict[str, Any]:
            return {"item": [{"itemCode": line["itemCode"], "quantity": line["planQty"]} for line in lines]}

        parcels = [
            {"logisticsCode": "SF", "logisticsName": "顺丰速运", "expressCode": waybill, "items": sent(lines)}
            for waybill, lines in one["parcels"]
        ]
        head = {
            "deliveryOrderCode": code,
            "deliveryOrderId": one["id"],
            "warehouseCode": self.settings["warehouse_code"],
            "orderType": one["head"]["orderType"],
            "status": "DELIVERED",
            "outBizCode": f"OBC-{code}{mark}",
            "confirmType": 0,
            "orderConfirmTime": self.local(),
        }
        lines = [
            {
                "orderSourceCode": line.get("sourceOrderCode"),
                "subSourceCode": line.get("subSourceOrderCode"),
                "itemCode": line["itemCode"],
                "inventoryType": "ZP",
                "planQty": line["planQty"],
                "actualQty": line["planQty"],
            }
            for line in one["lines"]
        ]
        return {"deliveryOrder": head, "packages": {"package": parcels}, "orderLines": {"orderLine": lines}}


def rows(wrapper: Any, name: str) -> list[dict[str, Any]]:
    """What is in a wrapper element: one, several, none."""
    found = wrapper.get(name) if isinstance(wrapper, dict) else None
    return found if isinstance(found, list) else [found] if isinstance(found, dict) else []

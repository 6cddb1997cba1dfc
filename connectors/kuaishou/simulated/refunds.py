"""After-sales of the simulated shop, in the vendor's states: 10 asked, 12 refused, 30 agreed, 40 sent back, 60, 70."""

from __future__ import annotations

from typing import Any

from connectors.kuaishou.simulated import gate, shop

Record = dict[str, Any]
RETURN, MONEY, EXCHANGE = 1, 10, 3


class Desk:
    """The after-sales of one shop; ``records`` by id."""

    def __init__(self, place: shop.Shop) -> None:
        self.shop = place
        self.records: dict[int, Record] = {}
        self._count = 0

    def apply(self, oid: int, way: int, reason: str) -> Record:
        """A buyer asks; ``way`` 1 return, 10 money only, 3 exchange."""
        order = self.shop.order(oid)
        base, item = order["orderBaseInfo"], order["orderItemInfo"]
        self._count += 1
        at = self.shop.at()
        record = {
            "refundId": oid + 10**13 + self._count,
            "oid": oid,
            "itemId": item["itemId"],
            "skuId": item["skuId"],
            "skuNick": item["skuNick"],
            "refundFee": base["totalFee"],
            "status": 10,
            "negotiateStatus": 1,
            "handlingWay": way,
            "refundReason": 102,
            "refundReasonDesc": reason,
            "refundDesc": "",
            "receiptStatus": 1,
            "createTime": at,
            "submitTime": at,
            "updateTime": at,
            "expireTime": at + 172800000,
            "endTime": 0,
            "buyerOpenId": base["buyerOpenId"],
            "productNum": item["num"],
            "specialRefundType": 0,
            "logisticsInfo": {"expressNo": "", "expressCode": 0},
            "refundVersion": 1,
        }
        self.records[record["refundId"]] = record
        order["refunds"][:] = [{"refundId": record["refundId"], "refundStatus": 10, "handlingWay": way}]
        self._tell("kwaishop_aftersales_addRefund", record)
        return record

    def send_back(self, number: int, waybill: str) -> Record:
        """The buyer's parcel is on its way."""
        record = self._in(number, 30)
        record["logisticsInfo"] = {"expressNo": waybill, "expressCode": 4}
        return self._move(record, 40, 6)

    def withdraw(self, number: int) -> Record:
        """The buyer takes it back."""
        return self._move(self.get(number), 70, 70)

    def approve(self, given: Record) -> None:
        """Money only; the answer must name the state it was given for."""
        record = self._answerable(given, (10,))
        if record["handlingWay"] != MONEY:
            raise gate.Refused(300008, "售后处理方式不支持该操作")
        if (given.get("status"), given.get("negotiateStatus")) != (record["status"], record["negotiateStatus"]):
            raise gate.Refused(300014, "售后单已更新，请刷新后重试")
        if given.get("refundAmount") != record["refundFee"]:
            raise gate.Refused(300009, "退款金额不正确")
        self._answer("approve", record, 60, 3)

    def approve_return(self, given: Record) -> None:
        record = self._answerable(given, (10,))
        if record["handlingWay"] == MONEY:
            raise gate.Refused(300008, "售后处理方式不支持该操作")
        self._answer("approve_return", record, 30, 3)

    def confirm(self, given: Record) -> None:
        record = self._answerable(given, (22, 30, 40))
        if given.get("status") != record["status"]:
            raise gate.Refused(300014, "售后单已更新，请刷新后重试")
        self._answer("confirm", record, 60, 60)

    def reject(self, given: Record) -> None:
        record = self._answerable(given, (10, 40))
        if not given.get("reasonCode"):
            raise gate.Refused(300001, "拒绝原因不能为空")
        if given.get("refundVersion") not in (None, record["refundVersion"]):
            raise gate.Refused(300017, "协商状态已变更")
        self._answer("reject", record, 12, 2)

    def get(self, number: int) -> Record:
        if number not in self.records:
            raise gate.Refused(300011, "售后单不存在")
        return self.records[number]

    def _in(self, number: int, state: int) -> Record:
        record = self.get(number)
        if record["status"] != state:
            raise ValueError(f"after-sale {number} is {record['status']}, not {state}")
        return record

    def _answerable(self, given: Record, states: tuple[int, ...]) -> Record:
        record = self.get(int(given.get("refundId") or 0))
        if record["status"] == 70:
            raise gate.Refused(300013, "买家已取消售后")
        if record["status"] not in states:
            raise gate.Refused(300018, "售后单当前状态不可操作")
        return record

    def _answer(self, what: str, record: Record, status: int, event: int) -> None:
        self.shop.commit("after_sale", str(record["refundId"]), {"answer": what})
        self._move(record, status, event)

    def _move(self, record: Record, status: int, event: int) -> Record:
        later = max(self.shop.at(), record["updateTime"] + 1)
        record |= {"status": status, "updateTime": later, "refundVersion": record["refundVersion"] + 1}
        order = self.shop.order(record["oid"])
        order["refunds"][0]["refundStatus"] = status
        if status == 60 and record["handlingWay"] in (RETURN, MONEY):
            record["endTime"] = later
            order["orderBaseInfo"]["status"] = shop.CLOSED
        self._tell("kwaishop_aftersales_updateRefund", record, eventType=event)
        return record

    def _tell(self, event: str, record: Record, **more: Any) -> None:
        info = {
            "orderId": record["oid"],
            "refundId": record["refundId"],
            "handlingWay": record["handlingWay"],
            "specialRefundType": 0,
            "status": record["status"],
            "updateTime": record["updateTime"],
            **more,
        }
        self.shop.tell(event, record["refundId"], info)
        self.shop.touch(self.shop.order(record["oid"]))

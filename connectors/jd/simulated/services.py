"""Service orders after receipt: agreed to, refused, received and cancelled, each under the version that was read.

A decision names the ``sysVersion`` it was made on; another one is refused, so that two desks do not overrule each
other. What was registered as received waits for a decision, made in the vendor's console (``settled``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from connectors.jd.simulated import shop

Params = dict[str, Any]
Answer = dict[str, Any]
NO_MONEY = (5, 6, 70)
"""``processResult``: advice, cancelled, goods sent back to the buyer."""
PAID_BACK = 13
"""``status`` of a refund."""
ASKED, REFUSED, AWAITED, PENDING, DONE, CANCELLED = 10001, 10004, 10005, 10007, 10010, 10011
NAMES = {
    ASKED: "待审核",
    REFUSED: "审核关闭",
    AWAITED: "待收货",
    PENDING: "待处理",
    DONE: "完成",
    CANCELLED: "取消",
}
REASONS = [{"code": 19, "name": "七天无理由"}, {"code": 7, "name": "超过售后期"}]
ADDRESS = (
    "returnContactName",
    "returnContactTel",
    "returnZipcode",
    "returnProvince",
    "returnCity",
    "returnCounty",
    "returnDetailAddress",
    "returnAddressType",
)
STATES = ("packingState", "qualityState", "invoiceRecord", "judgmentReason", "accessoryOrGift", "appearanceState")


class Desk:
    """The after-sale calls of one shop; ``vender`` is its number, which every call must name."""

    def __init__(self, place: shop.Shop, vender: Callable[[], str]) -> None:
        self.shop, self.vender = place, vender
        self.methods: dict[str, Callable[[Params], Answer]] = {
            "jingdong.asc.query.view": self.view,
            "jingdong.asc.freight.view": self.freight,
            "jingdong.asc.serviceAndRefund.view": self.refunds,
            "jingdong.asc.audit.reason.list": self.reasons,
            "jingdong.asc.audit.send": self.agree,
            "jingdong.asc.audit.refuse": self.refuse,
            "jingdong.asc.receive.register": self.receive,
            "jingdong.asc.common.cancel": self.cancel,
        }

    def view(self, given: Params) -> Answer:
        found = self._found(given)
        return _said({}) if found is None else _said(_detail(found))

    def freight(self, given: Params) -> Answer:
        found = self._found(given)
        code = found.get("_waybill") if found is not None else None
        return _said({"expressCode": code, "expressCompany": "京东快递", "shipWayId": 2087} if code else None)

    def refunds(self, given: Params) -> Answer:
        """What was paid back for an order."""
        if str(given.get("buId", "")) != self.vender():
            raise shop.Refused("62", "buId不正确", "Invalid buId")
        rows = [
            {
                "afsRefundId": one["serviceId"] + 50_000_000,
                "status": PAID_BACK,
                "refoundAmount": one["actualPayPrice"],
                "sameOrderServiceBill": {"serviceId": one["serviceId"], "orderId": one["orderId"]},
            }
            for one in self.shop.services.values()
            if str(one["orderId"]) == str(given.get("orderId", "")) and one.get("_paid_back")
        ]
        return {"pageResult": {"totalCount": len(rows), "data": rows}}

    def reasons(self, given: Params) -> Answer:
        self._operator(given)
        return _said(REASONS)

    def agree(self, given: Params) -> Answer:
        lacking = [name for name in (*ADDRESS, "applyDetailIdLongList") if given.get(name) in (None, "", [])]
        return self._decide(given, (ASKED,), AWAITED, "service_agreed", lacking)

    def refuse(self, given: Params) -> Answer:
        return self._decide(given, (ASKED,), REFUSED, "service_refused", [])

    def receive(self, given: Params) -> Answer:
        """Registered as received; what the platform does next is ``settled``."""
        found = self._found(given)
        lacking = [name for name in (*STATES, "receivePin", "receiveName", "receiveRemark") if not given.get(name)]
        if lacking:
            return _said(None, "20001", f"缺少{lacking[0]}")
        if found is None or found["serviceStatus"] != AWAITED:
            return _said(None, "20003", "服务单状态不允许此操作")
        return self._moved(found, PENDING, "service_received")

    def cancel(self, given: Params) -> Answer:
        return self._decide(given, (AWAITED, PENDING), CANCELLED, "service_cancelled", [], reasoned=False)

    def sent_back(self, number: int, waybill: str) -> shop.Record:
        """The buyer sends the goods."""
        found = self._known(number)
        if found["serviceStatus"] != AWAITED:
            raise ValueError(f"service order {number} is {found['serviceStatusName']}")
        found["_waybill"] = waybill
        return found

    def settled(self, number: int, result: int) -> shop.Record:
        """Somebody decides what becomes of it; ``result`` is the ``processResult``, most of which pay back."""
        found = self._known(number)
        found |= {"processResult": result, "_paid_back": result not in NO_MONEY}
        self._moved(found, DONE, None)
        return found

    def _known(self, number: int) -> shop.Record:
        if number not in self.shop.services:
            raise LookupError(f"no service order {number}")
        return self.shop.services[number]

    def _decide(
        self, given: Params, when: tuple[int, ...], then: int, kind: str, lacking: list[str], *, reasoned: bool = True
    ) -> Answer:
        found = self._found(given)
        wanted = ["approveNotes", "sysVersion", *(["approveReasonCid1"] if reasoned else [])]
        lacking = [name for name in wanted if given.get(name) in (None, "")] + lacking
        if lacking:
            return _said(None, "20001", f"缺少{lacking[0]}")
        if found is None or found["serviceStatus"] not in when:
            return _said(None, "20003", "服务单状态不允许此操作")
        if str(given["sysVersion"]) != str(found["_version"]):
            return _said(None, "20002", "服务单版本号已变化，请刷新后重试")
        if reasoned and given["approveReasonCid1"] not in [one["code"] for one in REASONS]:
            return _said(None, "20004", "审核原因不正确")
        found["_notes"] = str(given["approveNotes"])
        return self._moved(found, then, kind)

    def _moved(self, found: shop.Record, status: int, kind: str | None) -> Answer:
        if kind is not None:
            self.shop.commit(kind, str(found["serviceId"]), {"serviceStatus": status})
        found |= {"serviceStatus": status, "serviceStatusName": NAMES[status], "_version": found["_version"] + 1}
        found["updateDate"] = shop.local(self.shop.now())
        return _said(found["serviceId"])

    def _operator(self, given: Params) -> None:
        if str(given.get("buId", "")) != self.vender() or not given.get("operatePin") or not given.get("operateNick"):
            raise shop.Refused("62", "buId或operatePin不正确", "Invalid buId")

    def _found(self, given: Params) -> shop.Record | None:
        self._operator(given)
        found = self.shop.services.get(int(given.get("serviceId") or 0))
        return found if found is not None and str(found["orderId"]) == str(given.get("orderId", "")) else None


def _said(data: Any, code: str = "0", text: str = "成功") -> Answer:
    return {"result": {"success": code == "0", "code": code, "msg": text, "data": data}}


def _detail(row: shop.Record) -> shop.Record:
    """The detail has what the row has, times as milliseconds, and the lines."""
    plain = ("applyTime", "updateDate", "actualPayPrice", "skuId", "wareName", "customerName", "customerTel")
    shown = {name: value for name, value in row.items() if not name.startswith("_") and name not in plain}
    line = {"skuId": row["skuId"], "wareName": row["wareName"], "wareType": 10, "skuType": 1}
    paid = {"serviceDetailId": row["serviceId"] + 185_000_000, "actualPayPrice": row["actualPayPrice"], "wareNum": 1}
    return {
        **shown,
        "applyTime": _millis(row["applyTime"]),
        "updateDate": _millis(row["updateDate"]),
        "sysVersion": row["_version"],
        "questionDesc": "不合适",
        "approveNotes": row.get("_notes", ""),
        "customerInfo": {"jdPin": "", "name": row["customerName"]},
        "serviceBillDetailList": [{**line, **paid}],
        "applyDetailList": [{**line, "applyDetailId": row["serviceId"] + 106_000_000}],
    }


def _millis(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=shop.ZONE).timestamp() * 1000)

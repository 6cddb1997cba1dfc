"""After-sales of the simulated shop. Their amounts are yuan with decimals, unlike those of orders.

``status``: 1 to be audited, 2 buyer must send back, 3 on its way, 4 finished, 5 withdrawn, 9 refused,
9001 goods refused.
"""

from __future__ import annotations

from typing import Any

from connectors.xiaohongshu.simulated import gate, shop

Record = dict[str, Any]
RETURN, EXCHANGE, MONEY_SHIPPED, MONEY = 1, 2, 4, 5


class Desk:
    """The after-sales of one shop; ``records`` by id."""

    def __init__(self, place: shop.Shop) -> None:
        self.shop = place
        self.records: dict[str, Record] = {}
        self._count = 0

    def apply(self, number: str, kind: int, reason: str) -> Record:
        """A buyer asks for the first SKU of an order; ``kind`` 1 return, 2 exchange, 4 or 5 money only."""
        order = self.shop.order(number)
        line = order["skuList"][0]
        self._count += 1
        at = self.shop.at()
        amount = line["totalPaidAmount"] / 100
        record = {
            "returnsId": f"R{number[1:]}{self._count:02d}",
            "returnType": kind,
            "reasonId": 1,
            "reasonNameZh": reason,
            "status": 1,
            "userId": order["userId"],
            "orderId": number,
            "applyTime": at,
            "updatedAt": at,
            "expireTime": at + 172800000,
            "desc": "",
            "expectedRefundAmountYuan": amount,
            "refundAmountYuan": 0.0,
            "refundStatus": 0,
            "skus": [
                {
                    "skuId": line["skuId"],
                    "skuName": line["skuName"],
                    "boughtCount": line["skuQuantity"],
                    "appliedCount": line["skuQuantity"],
                    "appliedTotalAmountYuan": amount,
                    "barcode": line["skuDetailList"][0]["barcode"],
                    "skuERPCode": line["erpcode"],
                }
            ],
            "parcel": {"expressNo": "", "expressCompanyCode": ""},
        }
        self.records[record["returnsId"]] = record
        order["orderAfterSalesStatus"] = shop.RUNNING
        self.shop.touch(order)
        self._tell("msg_after_sale_create", record)
        return record

    def send_back(self, number: str, waybill: str) -> Record:
        """The buyer's parcel is on its way."""
        record = self.get(number)
        if record["status"] != 2:
            raise ValueError(f"after-sale {number} is {record['status']}, not 2")
        record["parcel"] = {"expressNo": waybill, "expressCompanyCode": "shunfeng"}
        return self._move(record, 3, "msg_after_sale_update")

    def withdraw(self, number: str) -> Record:
        """The buyer takes it back: the order goes on."""
        return self._move(self.get(number), 5, "msg_after_sale_closed")

    def audit(self, given: Record) -> Record:
        """``action`` 1 money at once, 2 agree to goods coming back, 3 refuse. Refusals come in the inner layer."""
        record = self._open(given, 1)
        action = given.get("action")
        if action == 3 and not given.get("reason"):
            raise gate.Refused(gate.PARAMETER, "missing parameter: reason")
        address = given.get("receiverInfo") or {}
        if action == 2 and address.get("sellerAddressRecordId") and not address.get("sellerAddressRecordVersion"):
            raise gate.Refused(gate.PARAMETER, "missing parameter: sellerAddressRecordVersion")
        if action not in (1, 2, 3) or (action == 2 and record["returnType"] not in (RETURN, EXCHANGE)):
            raise shop.refused("售后类型不支持该操作", inner=True)
        if action == 1 and record["returnType"] == EXCHANGE:
            raise shop.refused("售后类型不支持该操作", inner=True)
        self.shop.commit("after_sale", record["returnsId"], {"action": action})
        if action == 1:
            self._paid(record)
        elif action == 2:
            self._move(record, 2, "msg_after_sale_audit_pass")
        else:
            self._move(record, 9, "msg_after_sale_audit_reject")
        return {"returnsId": record["returnsId"]}

    def confirm(self, given: Record) -> Record:
        """``action`` 1 the goods are well, 2 they are not."""
        record = self._open(given, 3)
        if given.get("action") not in (1, 2):
            raise gate.Refused(gate.PARAMETER, "missing parameter: action")
        self.shop.commit("after_sale", record["returnsId"], {"receive": given["action"]})
        if given["action"] == 2:
            self._move(record, 9001, "msg_after_sale_update")
        elif record["returnType"] == EXCHANGE:
            self._move(record, 12, "msg_after_sale_confirm_receive")
        else:
            self._paid(record)
        return {"returnsId": record["returnsId"]}

    def send_exchange(self, given: Record) -> Record:
        record = self._open(given, 12)
        sent = {"expressNo": given.get("expressNo"), "expressCompanyCode": given.get("expressCompanyCode")}
        if not all(sent.values()):
            raise gate.Refused(gate.PARAMETER, "missing parameter: expressNo or expressCompanyCode")
        record["exchange"] = sent
        self.shop.commit("exchange", record["returnsId"], {"expressNo": sent["expressNo"]})
        self._move(record, 13, "msg_after_sale_exchange_ship")
        return {"returnsId": record["returnsId"]}

    def get(self, number: str) -> Record:
        if number not in self.records:
            raise shop.refused("after sale not found", inner=True)
        return self.records[number]

    def row(self, record: Record) -> Record:
        """A row of the list: without goods and money returned."""
        hidden = ("skus", "parcel", "exchange", "refundAmountYuan", "refundStatus")
        return {key: value for key, value in record.items() if key not in hidden}

    def detail(self, record: Record) -> Record:
        """The detail, whose logistics are spelt with an underscore."""
        order = self.shop.order(record["orderId"])
        again = record.get("exchange", {"expressNo": "", "expressCompanyCode": ""})
        sent = {"expressNo": order["expressTrackingNo"], "expressCompanyCode": order["expressCompanyCode"]}
        return {
            "afterSaleInfo": {key: value for key, value in record.items() if key not in ("parcel", "exchange")},
            "logisticsInfo": {"after_sale": record["parcel"], "exchange": again, "order": sent},
            "negotiateRecords": None,
        }

    def _open(self, given: Record, state: int) -> Record:
        record = self.get(str(given.get("returnsId")))
        if record["status"] != state:
            raise shop.refused("售后单状态不允许该操作", inner=True)
        return record

    def _paid(self, record: Record) -> None:
        record |= {"refundStatus": 2, "refundAmountYuan": record["expectedRefundAmountYuan"]}
        self._move(record, 4, "msg_after_sale_refund_finished")

    def _move(self, record: Record, status: int, tag: str) -> Record:
        record |= {"status": status, "updatedAt": max(self.shop.at(), record["updatedAt"] + 1)}
        order = self.shop.order(record["orderId"])
        order["orderAfterSalesStatus"] = shop.OVER if status in (4, 5, 6, 9) else shop.RUNNING
        self.shop.touch(order)
        self._tell(tag, record)
        return record

    def _tell(self, tag: str, record: Record) -> None:
        self.shop.tell(
            tag,
            {
                "returnsId": record["returnsId"],
                "orderId": record["orderId"],
                "packageId": record["orderId"],
                "returnType": record["returnType"],
                "requestFrom": 1,
                "refundFee": record["expectedRefundAmountYuan"],
                "updateTime": record["updatedAt"],
            },
        )

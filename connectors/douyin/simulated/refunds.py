"""After-sales of the simulated shop: what buyers ask for and what the seller may answer, in the vendor's states.

``status``: 6 seller must answer, 7 buyer must send back, 11 goods on their way, 12 done, 14 exchanged, 27 and 29
refused, 28 closed. List and Detail spell the same facts differently, as the vendor does.
"""

from __future__ import annotations

from typing import Any

from connectors.douyin.simulated import gate, shop

Record = dict[str, Any]
AGREE, AGREE_RETURN, AGREE_EXCHANGE, REFUSE = 201, 101, 301, (202, 102, 302)
RECEIVED, RECEIVED_EXCHANGE, REFUSE_RETURN = 111, 311, (112, 312)
TEXTS = {0: "退货退款", 1: "已发货仅退款", 2: "未发货仅退款", 3: "换货"}


class Desk:
    """The after-sales of one shop; ``records`` by id, as text."""

    def __init__(self, place: shop.Shop) -> None:
        self.shop = place
        self.records: dict[str, Record] = {}
        self._count = 0

    def apply(self, number: str, line_id: str | None, kind: int, reason: str) -> Record:
        """A buyer asks; ``kind`` 0 return, 1 or 2 money only, 3 exchange."""
        order = self.shop.order(number)
        lines = order["sku_order_list"]
        line = next((one for one in lines if line_id in (None, one["order_id"])), None)
        if line is None:
            raise LookupError(f"no line {line_id} in order {number}")
        self._count += 1
        at = int(self.shop.now())
        record = {
            "id": 72 * 10**17 + int(number) % 10**13 * 1000 + self._count,
            "kind": kind,
            "status": 6,
            "refund_status": 1,
            "order": order,
            "line": line,
            "amount": line["pay_amount"],
            "reason": reason,
            "applied": at,
            "updated": at,
            "deadline": at + 172800,
            "waybill": "",
            "company": "",
        }
        self.records[str(record["id"])] = record
        self._tell("200", record)
        return record

    def send_back(self, number: str, waybill: str) -> Record:
        """The buyer's parcel is on its way."""
        record = self.get(number)
        if record["status"] != 7:
            raise ValueError(f"after-sale {number} is {record['status']}, not 7")
        record |= {"waybill": waybill, "company": "shunfeng"}
        return self._move(record, 11, "203")

    def withdraw(self, number: str) -> Record:
        """The buyer takes it back: the order goes on."""
        return self._move(self.get(number), 28, "207")

    def operate(self, kind: int, items: list[Record]) -> Record:
        """The seller's answer; one item that fails fails all."""
        if not 0 < len(items) <= 20:
            raise gate.Refused(40004, "业务参数非法", "isv.parameter-invalid:20009", "items 数量不正确")
        chosen = [(self.get(str(one.get("aftersale_id"))), one) for one in items]
        for record, one in chosen:
            locked = one.get("update_time")
            if locked is not None and int(locked) != record["updated"]:
                raise shop.business("20309540", "售后单已更新，请刷新后重试")
            self._allowed(kind, record, one)
        for record, one in chosen:
            self._answer(kind, record, one)
        rows = [{"aftersale_id": int(record["id"]), "status_code": 0, "status_msg": ""} for record, _ in chosen]
        return {"items": rows}

    def get(self, number: str) -> Record:
        if number not in self.records:
            raise shop.business("20309001", "售后单不存在")
        return self.records[number]

    def row(self, record: Record) -> Record:
        """A row of ``afterSale.List``: ids as text, ``aftersale_`` names."""
        line = record["line"]
        return {
            "aftersale_info": {
                "aftersale_id": str(record["id"]),
                "aftersale_order_type": 1,
                "aftersale_type": record["kind"],
                "aftersale_status": record["status"],
                "related_id": line["order_id"],
                "apply_time": record["applied"],
                "create_time": record["applied"],
                "update_time": record["updated"],
                "status_deadline": record["deadline"],
                "refund_amount": record["amount"],
                "refund_status": record["refund_status"],
            },
            "order_info": {
                "shop_order_id": record["order"]["order_id"],
                "related_order_info": [{"sku_order_id": line["order_id"], "pay_amount": line["pay_amount"]}],
            },
            "text_part": {"aftersale_type_text": TEXTS.get(record["kind"], ""), "reason_text": record["reason"]},
            "seller_logs": [],
        }

    def detail(self, record: Record) -> Record:
        """``afterSale.Detail``: ids as numbers, ``after_sale_`` names."""
        line = record["line"]
        return {
            "process_info": {
                "after_sale_info": {
                    "after_sale_id": record["id"],
                    "after_sale_status": record["status"],
                    "after_sale_type": record["kind"],
                    "after_sale_type_text": TEXTS.get(record["kind"], ""),
                    "refund_type": 0,
                    "refund_status": record["refund_status"],
                    "refund_total_amount": record["amount"],
                    "refund_post_amount": 0,
                    "real_refund_amount": record["amount"] if record["refund_status"] == 3 else 0,
                    "apply_time": record["applied"],
                    "update_time": record["updated"],
                    "status_deadline": record["deadline"],
                    "reason": record["reason"],
                    "reason_code": 17,
                    "reason_remark": "",
                },
                "arbitrate_info": {"arbitrate_id": "0", "arbitrate_status": 0},
                "logistics_info": {
                    "return": {
                        "tracking_no": record["waybill"],
                        "company_name": shop.COMPANIES.get(record["company"], ""),
                        "company_code": record["company"],
                        "logistics_time": record["updated"] if record["waybill"] else 0,
                    },
                    "order": record["order"]["logistics_info"],
                },
                "record_logs_list": [],
            },
            "order_info": {
                "shop_order_id": int(record["order"]["order_id"]),
                "sku_order_infos": [
                    {
                        "sku_order_id": int(line["order_id"]),
                        "order_status": line["order_status"],
                        "pay_amount": line["pay_amount"],
                        "item_quantity": line["item_num"],
                        "product_id": line["product_id"],
                        "product_name": line["product_name"],
                        "sku_id": line["sku_id"],
                        "shop_sku_code": line["code"],
                        "after_sale_item_count": line["item_num"],
                    }
                ],
            },
        }

    def _allowed(self, kind: int, record: Record, given: Record) -> None:
        first = kind in (AGREE, AGREE_RETURN, AGREE_EXCHANGE, *REFUSE)
        second = kind in (RECEIVED, RECEIVED_EXCHANGE, *REFUSE_RETURN)
        if not first and not second:
            raise gate.Refused(40004, "业务参数非法", "isv.parameter-invalid:20001", "type 不正确")
        if record["status"] != (6 if first else 11):
            raise shop.business("20309541", "售后单状态不允许该操作")
        if kind in (*REFUSE, *REFUSE_RETURN) and not given.get("reason"):
            raise gate.Refused(40002, "缺少业务参数", "isv.parameter-missing", "拒绝时 reason 不能为空")
        if kind == AGREE_RETURN and not (given.get("logistics") or {}).get("receiver_address_id"):
            raise gate.Refused(
                40002, "缺少业务参数", "isv.parameter-missing", "同意退货时 receiver_address_id 不能为空"
            )

    def _answer(self, kind: int, record: Record, given: Record) -> None:
        self.shop.commit("after_sale", str(record["id"]), {"type": kind, "reason": given.get("reason")})
        if kind in (AGREE_RETURN, AGREE_EXCHANGE):
            self._move(record, 7, "202")
        elif kind in (AGREE, RECEIVED):
            record["refund_status"] = 3
            self._move(record, 12, "206")
        elif kind == RECEIVED_EXCHANGE:
            self._move(record, 13, "211")
        else:
            self._move(record, 27 if kind in REFUSE else 29, "204" if kind in REFUSE else "205")

    def _move(self, record: Record, status: int, tag: str) -> Record:
        # The lock must change with every answer, also within one second.
        record |= {"status": status, "updated": max(int(self.shop.now()), record["updated"] + 1)}
        self._tell(tag, record)
        return record

    def _tell(self, tag: str, record: Record) -> None:
        record["line"]["after_sale_info"] = {
            "after_sale_status": record["status"],
            "after_sale_type": record["kind"],
            "refund_status": record["refund_status"],
        }
        self.shop.tell(
            tag,
            {
                "aftersale_id": record["id"],
                "aftersale_status": record["status"],
                "aftersale_type": record["kind"],
                "apply_time": record["applied"],
                "p_id": int(record["order"]["order_id"]),
                "s_id": int(record["line"]["order_id"]),
                "shop_id": self.shop.shop_id,
                "reason_code": 17,
                "refund_amount": record["amount"],
                "refund_post_amount": 0,
                "update_time": record["updated"],
            },
        )
        self.shop.touch(record["order"])

"""Refunds of the simulated shop: their life, their version, and what they do to the order."""

from __future__ import annotations

import re

from connectors.youzan.simulated import shop


def open_refund(place: shop.Shop, tid: str, returning: bool, reason: str) -> shop.Record:
    """The buyer asks for the money of the first line back."""
    info, line, at = place.info(tid), place.orders[tid]["full_order_info"]["orders"][0], shop.local(place.now())
    if info["pay_time"] == "":
        raise ValueError(f"order {tid} is not paid")
    number = f"{re.sub(r'[^0-9]', '', at)}{int(tid[1:]) % 10**6:06d}{len(place.refunds):04d}"
    place.refunds[number] = {
        "refund_id": number,
        "tid": tid,
        "oid": line["oid"],
        "kdt_id": place.kdt_id(),
        "status": "WAIT_SELLER_AGREE",
        "cs_status": 1,
        "refund_type": "REFUND_AND_RETURN" if returning else "REFUND_ONLY",
        "demand": 2 if returning else 1,
        "phase": 2 if info["status"] == shop.DONE else 1,
        "reason": 12,
        "desc": reason,
        "refund_fee": line["payment"],
        "return_goods": returning,
        "version": int(place.now() * 1000),
        "created": at,
        "modified": at,
        "logistics": {},
    }
    _refund_told(place, "RefundCreated", place.refunds[number], 1)
    return place.refunds[number]


def answer(place: shop.Shop, number: str, version: int, agree: bool, remark: str) -> None:
    """The seller's answer, with the version that was read."""
    refund = place.refunds.get(number)
    if refund is None:
        raise shop.Refused(103011024, "退款单不存在")
    if version != refund["version"]:
        raise shop.Refused(103010039, "退款单版本已变更")
    arrived = refund["status"] == "WAIT_SELLER_CONFIRM_GOODS"
    if refund["status"] != "WAIT_SELLER_AGREE" and not (arrived and agree):
        raise shop.Refused(102010002, "退款单状态已变更")
    place.commit("refund_answer", number, {"agree": agree, "remark": remark})
    after = "WAIT_BUYER_RETURN_GOODS" if refund["return_goods"] and not arrived else "SUCCESS"
    advance(place, number, after if agree else "SELLER_REFUSE_BUYER")


def answer_return(place: shop.Shop, number: str, version: int, agree: bool, remark: str) -> None:
    """The seller takes goods back, or says that they did not arrive."""
    refund = place.refunds.get(number)
    if refund is None or not refund["return_goods"]:
        raise shop.Refused(103011024, "退款单不存在")
    if version != refund["version"]:
        raise shop.Refused(103010039, "退款单版本已变更")
    if refund["status"] != ("WAIT_SELLER_AGREE" if agree else "WAIT_SELLER_CONFIRM_GOODS"):
        raise shop.Refused(102010002, "退款单状态已变更")
    place.commit("return_answer", number, {"agree": agree, "remark": remark})
    advance(place, number, "WAIT_BUYER_RETURN_GOODS" if agree else "SELLER_REFUSE_BUYER_RETURN_GOODS")


def advance(place: shop.Shop, number: str, status: str) -> shop.Record:
    """The refund reaches another state."""
    if number not in place.refunds:
        raise LookupError(f"no refund {number}")
    refund = place.refunds[number]
    refund |= {"status": status, "modified": shop.local(place.now()), "version": refund["version"] + 1}
    kinds = {"SUCCESS": "RefundSuccess", "CLOSED": "RefundClosed", "WAIT_BUYER_RETURN_GOODS": "RefundSellerAgree"}
    lines = place.orders[refund["tid"]]["full_order_info"]["orders"]
    state = {"SUCCESS": 12 if len(lines) == 1 else 2, "CLOSED": 0}.get(status, 1)
    _refund_told(place, kinds.get(status, "RefundUpdated"), refund, state)
    return refund


def touch(place: shop.Shop, number: str) -> None:
    """Somebody else changes the refund: only its version moves."""
    place.refunds[number]["version"] += 1


def _refund_told(place: shop.Shop, kind: str, refund: shop.Record, state: int) -> None:
    place.info(refund["tid"])["refund_state"] = state
    place.info(refund["tid"])["update_time"] = refund["modified"]
    msg = {name: refund[name] for name in ("tid", "refund_id", "refund_type", "version")}
    msg |= {"oids": refund["oid"], "refunded_fee": refund["refund_fee"], "update_time": refund["modified"]}
    place.tell(f"youzan_trade_{kind}", refund["refund_id"], refund["status"], msg)

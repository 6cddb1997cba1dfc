"""What a seller decides by API: money back, goods back, another waybill, goods without a parcel."""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from connectors.taobao.simulated import calls, refunds, shop

Params = dict[str, str]
Answer = dict[str, Any]
RESEND, DUMMY = "isv.logistics-resend-service-error", "isv.logistics-dummy-service-error"
LARGEST = 130_000
"""Bytes of a picture."""
SMALL = 6000_00
"""Fen that may be agreed to without the code from a text message."""


def methods(place: shop.Shop) -> dict[str, Callable[[Params], Answer]]:
    """The calls by name."""
    return {
        "taobao.rp.refunds.agree": lambda given: agree(place, given),
        "taobao.rp.refund.review": lambda given: review(place, given),
        "taobao.rp.returngoods.agree": lambda given: take_back(place, given),
        "taobao.refund.refuse": lambda given: refuse(place, given),
        "taobao.refund.refusereason.get": reasons,
        "taobao.logistics.consign.resend": lambda given: resend(place, given),
        "taobao.logistics.dummy.send": lambda given: dummy(place, given),
        "taobao.item.seller.get": lambda given: item(place, given),
    }


def _result(number: str, word: str) -> Answer:
    told = {"refund_id": int(number), "succ": word == "OP_SUCC", "msg_code": word}
    return {"succ": word == "OP_SUCC", "msg_code": word, "results": {"refund_mapping_result": [told]}}


def agree(place: shop.Shop, given: Params) -> Answer:
    """``refund_infos`` is ``id|fen|version|phase``; a stale version, another amount or no review (Tmall) is refused."""
    parts = calls.need(given, "refund_infos").split("|")
    if len(parts) != 4 or not parts[1].isdecimal():
        raise shop.Refused(41, "Invalid arguments:refund_infos")
    number, fen, version, phase = parts
    one = place.refunds.get(number)
    if one is None:
        raise shop.remote("isv.refund-not-exist", f"退款不存在 {number}")
    due = int(Decimal(one["refund_fee"]) * 100)
    fresh = (version, phase) == (str(one["refund_version"]), one["refund_phase"])
    ready = one["status"] == ("WAIT_SELLER_CONFIRM_GOODS" if one["has_good_return"] else "WAIT_SELLER_AGREE")
    reviewed = one.get("reviewed") or not place.tmall
    if not reviewed or not fresh or not ready or int(fen) != due or (due > SMALL and not given.get("code")):
        return _result(number, "OP_FAILURE_UE")
    refunds.advance(place, number, "SUCCESS")
    place.commit("refund", number, {"fen": due})
    return _result(number, "OP_SUCC")


def review(place: shop.Shop, given: Params) -> Answer:
    """Marks a refund of a Tmall shop as one that may be agreed to; that is a new version of it."""
    names = ("refund_id", "operator", "refund_phase", "refund_version", "result", "message")
    number, _, phase, version, result, _ = (calls.need(given, name) for name in names)
    one = place.refunds.get(number)
    if one is None or not place.tmall:
        raise shop.remote("isv.refund-not-exist", f"退款不存在 {number}")
    if (version, phase) != (str(one["refund_version"]), one["refund_phase"]):
        raise shop.remote("isv.refund-version-error", "退款版本已变化")
    one |= {"reviewed": result == "true", "refund_version": one["refund_version"] + 1}
    return {"is_success": True}


def take_back(place: shop.Shop, given: Params) -> Answer:
    number = calls.need(given, "refund_id")
    calls.need(given, "seller_address_id")
    one = place.refunds.get(number)
    if one is None or not one["has_good_return"]:
        raise shop.remote("isv.refund-not-exist", f"退款不存在 {number}")
    if given.get("refund_version") not in (None, "", str(one["refund_version"])):
        raise shop.remote("isv.refund-version-error", "退款版本已变化")
    if one["status"] != "WAIT_SELLER_AGREE":
        raise shop.remote("isv.refund-status-error", "退款状态不允许此操作")
    refunds.advance(place, number, "WAIT_BUYER_RETURN_GOODS")
    place.commit("return_agreed", number, {"address": given["seller_address_id"]})
    return {"is_success": True}


REASONS = {12: "商品已发出", 15: "超过售后期"}


def reasons(given: Params) -> Answer:
    calls.need(given, "refund_id")
    return {"reasons": {"reason": [{"reason_id": key, "reason_text": text} for key, text in REASONS.items()]}}


def refuse(place: shop.Shop, given: Params) -> Answer:
    """With words of 2 to 200 characters, on the version that was read; at Tmall with a picture."""
    number, words = calls.need(given, "refund_id"), calls.need(given, "refuse_message")
    one = place.refunds.get(number)
    if one is None:
        raise shop.remote("isv.refund-not-exist", f"退款不存在 {number}")
    if not 2 <= len(words) <= 200 or (given.get("refuse_reason_id") and int(given["refuse_reason_id"]) not in REASONS):
        raise shop.remote("isv.invalid-parameter:refuse_message", "拒绝说明或原因不正确")
    if given.get("refund_version") != str(one["refund_version"]) or given.get("refund_phase") != one["refund_phase"]:
        raise shop.remote("isv.refund-version-error", "退款版本已变化")
    if one["status"] not in ("WAIT_SELLER_AGREE", "WAIT_SELLER_CONFIRM_GOODS"):
        raise shop.remote("isv.refund-status-error", "退款状态不允许此操作")
    proof = pictured(place, given, "refuse_proof")
    refunds.advance(place, number, "SELLER_REFUSE_BUYER")
    place.commit("refund_refused", number, {"message": words, "picture": len(proof)})
    return {"refund": {"refund_id": int(number), "status": "SELLER_REFUSE_BUYER", "modified": one["modified"]}}


def pictured(place: shop.Shop, given: Params, name: str) -> bytes:
    """The picture of a call, as bytes. Raises Refused where Tmall misses one, or it is too large or none at all."""
    content = base64.b64decode(given.get(name, ""))
    if not content and place.tmall:
        raise shop.remote(f"isv.missing-parameter:{name}", "请上传凭证图片")
    if len(content) > LARGEST or (content and not content.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8"))):
        raise shop.Refused(3, "Upload Fail", f"isv.invalid-parameter:{name}", "图片格式不正确或超过大小")
    return content


def resend(place: shop.Shop, given: Params) -> Answer:
    trade = place.trade(calls.whole(given, "tid"))
    waybill, company = calls.need(given, "out_sid"), calls.need(given, "company_code")
    subs = {int(part) for part in given.get("sub_tid", "").split(",") if part.strip().isdecimal()}
    lines = [one for one in trade["orders"]["order"] if one.get("invoice_no") and (not subs or one["oid"] in subs)]
    if not lines or trade["status"] not in ("WAIT_BUYER_CONFIRM_GOODS", "SELLER_CONSIGNED_PART"):
        raise shop.remote(f"{RESEND}:B02", "订单状态不对，不能修改物流")
    if company not in shop.COMPANIES:
        raise shop.remote(f"{RESEND}:B27", "物流公司编号不正确")
    if any(one["invoice_no"] != waybill for one in lines):
        for one in lines:
            one |= {"invoice_no": waybill, "logistics_company": shop.COMPANIES[company]}
        place.commit("waybill", str(trade["tid"]), {"out_sid": waybill})
        place.touch(trade, "TradeChanged")
    return {"shipping": {"is_success": True}}


def dummy(place: shop.Shop, given: Params) -> Answer:
    """Goods that need no parcel."""
    trade = place.trade(calls.whole(given, "tid"))
    if trade["status"] != "WAIT_SELLER_SEND_GOODS":
        raise shop.remote(f"{DUMMY}:B04", "订单已经发货或者已关闭，不能重复发货")
    at = shop.local(place.now())
    for one in trade["orders"]["order"]:
        one |= {"status": "WAIT_BUYER_CONFIRM_GOODS", "consign_time": at, "shipping_type": "virtual"}
    trade |= {"status": "WAIT_BUYER_CONFIRM_GOODS", "consign_time": at, "shipping_type": "virtual"}
    place.commit("shipment", str(trade["tid"]), {"virtual": True})
    place.touch(trade, "TradeSellerShip")
    return {"shipping": {"is_success": True}}


def item(place: shop.Shop, given: Params) -> Answer:
    """One product with its SKUs, on sale or not."""
    fields, number = calls.need(given, "fields"), calls.whole(given, "num_iid")
    found = [one for one in place.goods if one.num_iid == number]
    if number in place.gone:
        raise shop.remote("isv.item-is-delete:invalid-numIid", "商品已被删除")
    if not found:
        raise shop.remote("isv.item-not-exist:num_iid", "商品不存在")
    skus = [
        {
            "sku_id": one.sku_id,
            "properties_name": f"1627207:{one.sku_id}:规格:{one.spec}",
            "quantity": place.stock[one.sku_id],
            "price": f"{one.price:.2f}",
            "outer_id": one.outer_sku_id,
            "status": "normal",
            "barcode": one.barcode,
        }
        for one in found
    ]
    first = found[0]
    told: shop.Record = {
        "num_iid": number,
        "title": first.title,
        "outer_id": first.outer_iid,
        "price": f"{first.price:.2f}",
        "num": sum(place.stock[one.sku_id] for one in found),
        "created": "2026-01-05 10:00:00",
        "modified": "2026-03-01 16:00:01",
        "approve_status": "instock" if number in place.off else "onsale",
        "cid": 50012345,
        "skus": {"sku": skus},
    }
    return {"item": calls.chosen(told, fields)}

"""Xiaohongshu: what may be shipped, parcels and exchanges sent once, answers that come too late."""

from __future__ import annotations

import pytest

from connectors.core import errors
from mappings import library
from tests.conformance.test_xiaohongshu import control, read, sold, stage


async def test_what_must_not_be_shipped_yet_is_on_hold() -> None:
    async with stage() as (found, connection):
        made = (await sold(found, risk=True))["id"]
        assert (await read(found, connection, made))["hold_reason"] == "平台风控处理中"
        await control(found, f"/orders/{made}/release")
        assert not (await read(found, connection, made))["hold"]
        refund = (await control(found, f"/orders/{made}/refund"))["id"]
        assert (await read(found, connection, made))["hold_reason"] == "有未完结的售后"
        await control(found, f"/refunds/{refund}/withdraw")
        await control(found, f"/orders/{made}/ask_cancel")
        assert (await read(found, connection, made))["hold_reason"] == "买家申请取消"
        parcel = {"orderId": made, "expressNo": "SF1000000000001", "expressCompanyCode": "shunfeng"}
        assert (await found.call(connection, "shipment.send", parcel)).waiting
        assert not found.effects()


async def test_parts_of_an_order_and_the_same_waybill_again() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        head = {"orderId": made["id"], "expressCompanyCode": "shunfeng", "unpack": True}
        first = {**head, "expressNo": "SF1000000000001", "skuIdList": made["skus"][:1]}
        await found.call(connection, "shipment.send", first)
        assert (await read(found, connection, made["id"]))["status"] == "partially_shipped"
        await found.call(
            connection, "shipment.send", {**head, "expressNo": "SF1000000000002", "skuIdList": made["skus"][1:]}
        )
        assert (await read(found, connection, made["id"]))["status"] == "shipped"
        assert (await found.call(connection, "shipment.send", first)).already
        with pytest.raises(errors.Rejected):
            await found.call(connection, "shipment.send", {**first, "expressNo": "SF1000000000009"})
        assert len(found.effects()) == 2


async def test_the_parcel_that_is_meant_gets_the_other_waybill() -> None:
    waybill = library.shipped("xiaohongshu", "waybill")
    async with stage() as (found, connection):
        made = await sold(found)
        head = {"orderId": made["id"], "expressCompanyCode": "shunfeng", "unpack": True}
        for number, sku in zip(("SF1000000000001", "SF1000000000002"), made["skus"], strict=True):
            await found.call(connection, "shipment.send", {**head, "expressNo": number, "skuIdList": [sku]})
        order = await read(found, connection, made["id"])
        wish = {"id": "SO-1", "status": "shipped", "order_id": made["id"], "carrier_code": "YTO"}
        wish |= {"tracking_number": "YT1000000000009"}
        unclear = await found.call(connection, "shipment.edit", waybill.to_native(wish, {"order": order}))
        assert unclear.waiting
        assert "old_tracking_number" in unclear.warnings[0]
        wish["extra"] = {"old_tracking_number": "SF1000000000002"}
        given = waybill.to_native(wish, {"order": order})
        found.simulator.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await found.call(connection, "shipment.edit", given)
        assert (await found.call(connection, "shipment.edit", given, fresh=False)).already
        seen = (await read(found, connection, made["id"]))["extra"]["parcels"]
        assert [one["number"] for one in seen] == ["SF1000000000001", "YT1000000000009"]


async def test_goods_of_an_exchange_are_sent_once() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        asked = (await control(found, f"/orders/{made['id']}/refund", kind=2))["id"]
        for what in ("agree", "send_back", "receive"):
            await control(found, f"/refunds/{asked}/{what}")
        sent = {"id": "SO-2", "status": "shipped", "order_id": made["id"], "carrier_code": "SF"}
        sent |= {"tracking_number": "SF3000000000001", "extra": {"returns_id": asked}}
        given = library.shipped("xiaohongshu", "replacement").to_native(sent, {})
        found.simulator.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await found.call(connection, "exchange.send", given)
        assert (await found.call(connection, "exchange.send", given, fresh=False)).already
        assert [kind for kind, _ in found.effects()].count("exchange") == 1


@pytest.mark.parametrize(("kind", "reason"), [(None, 3), (1, 3), (2, 21)])
async def test_reasons_are_listed_for_both_refusals(kind: int | None, reason: int) -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        asked = (await control(found, f"/orders/{made['id']}/refund", kind=1))["id"]
        wish = {"returnsId": asked, **({"rejectReasonType": kind} if kind else {})}
        rows = [row async for page in found.caller.pages(connection, "refund.reasons", wish) for row in page]
        assert [row["reasonId"] for row in rows] == [reason]


async def test_reserved_pieces_stay_when_stock_is_set() -> None:
    async with stage() as (found, connection):
        made = await sold(found, count=3)
        sku = made["skus"][0]
        await found.call(connection, "stock.set", {"skuId": sku, "available": 25})
        level = (await found.call(connection, "stock.get", {"skuId": sku})).data
        assert (level["available"], level["reserved"], level["total"]) == (25, 3, 28)
        await found.call(connection, "stock.set", {"skuId": sku, "available": 0})
        assert (await found.call(connection, "stock.get", {"skuId": sku})).data["available"] == 0


async def test_a_changed_address_has_another_fingerprint() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        asked = {"orderId": made["id"], "openAddressId": made["address"]}
        (row,) = (await found.call(connection, "receiver.get", asked)).data
        assert row["matched"]
        assert row["receiverPhone"] == made["cipher"]
        await control(found, f"/orders/{made['id']}/move_house")
        (row,) = (await found.call(connection, "receiver.get", asked)).data
        assert not row["matched"]
        assert (await read(found, connection, made["id"]))["receiver"]["cipher"] != made["address"]


async def test_an_answer_to_an_after_sale_that_moved_on_is_not_given() -> None:
    async with stage() as (found, connection):
        made = await sold(found)
        refund = (await control(found, f"/orders/{made['id']}/refund", kind=5))["id"]
        outcome = await found.call(connection, "after_sale.refund", {"returnsId": refund})
        assert outcome.record_id == refund
        assert (await found.call(connection, "after_sale.refund", {"returnsId": refund})).already
        detail = await found.call(connection, "refund.get", {"returnsId": refund})
        record = library.shipped("xiaohongshu", "after_sale").from_native(detail.data)
        assert (record["status"], record["kind"]) == ("done", "refund")
        withdrawn = (await control(found, f"/orders/{made['id']}/refund", kind=1))["id"]
        await control(found, f"/refunds/{withdrawn}/withdraw")
        with pytest.raises(errors.Rejected):
            await found.call(connection, "after_sale.agree", {"returnsId": withdrawn})
        assert found.effects() == [("after_sale", refund)]

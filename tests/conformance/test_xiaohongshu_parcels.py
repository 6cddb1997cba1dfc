"""Xiaohongshu: parcels that change their waybill, goods sent in exchange, reasons for refusals."""

from __future__ import annotations

import pytest

from connectors.core import errors
from mappings import library
from tests.conformance.test_xiaohongshu import control, read, sold, stage


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

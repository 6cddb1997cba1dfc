"""Wangdiantong: outbound orders that are cancelled, and returned goods that came in, in all three editions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import decode, jsontext, model
from mappings import library
from tests.conformance import rehearsal


async def rows(stage: rehearsal.Stage, connection: model.Connection, operation: str) -> list[Any]:
    now = datetime.now(UTC)
    window = (now - timedelta(minutes=20), now + timedelta(minutes=20))
    return [row async for page in stage.caller.pages(connection, operation, {}, window) for row in page]


def event(connection: model.Connection, source: str, row: Any) -> model.SourceEvent:
    return decode.event(connection.declaration, source, row, connection)


@pytest.mark.parametrize(
    ("name", "shipped", "cancelled", "source"),
    [
        ("main", "qjb.stockout.list", "qjb.stockout.cancelled", "qjb_cancelled"),
        ("qyb", "qyb.stockout.list", "qyb.stockout.cancelled", "qyb_cancelled"),
        ("web", "qyb.stockout.list", "qyb.stockout.revoked", "y_revoked"),
    ],
)
async def test_a_shipment_that_is_taken_back_turns_cancelled(
    name: str, shipped: str, cancelled: str, source: str
) -> None:
    async with rehearsal.stage("wangdian") as stage:
        connection = stage.connection(name)
        pushed = "qjb.order.push" if name == "main" else "qyb.order.push"
        tid = {"tid": "SN202606270001"}
        await stage.do([rehearsal.Step(call=pushed), rehearsal.Step(do="POST /ship", body=tid)])
        (sent,) = await rows(stage, connection, shipped)
        assert await rows(stage, connection, cancelled) == []
        await stage.do([rehearsal.Step(do="POST /cancel", body=tid)])
        assert await rows(stage, connection, shipped) == []
        (gone,) = await rows(stage, connection, cancelled)
        before = event(connection, source.replace("cancelled", "stockouts").replace("y_revoked", "qyb_stockouts"), sent)
        after = event(connection, source, gone)
        assert (before.entity, after.entity, before.record) == ("shipment", "shipment", after.record)
        assert before.dedupe != after.dedupe
        mapping = library.shipped("wangdian", "stockout")
        assert mapping.from_native(sent, {})["status"] == "shipped"
        told = mapping.from_native(gone, {})
        assert (told["status"], told["order_id"]) == ("cancelled", "SN202606270001")
        # A row without the time of its change counts by its arrival, so it is never older than the shipping.
        assert ("updated_at" in told, after.occurred_at is None) in ((True, False), (False, True))


@pytest.mark.parametrize(("name", "family"), [("main", "qjb"), ("qyb", "qyb")])
async def test_returned_goods_are_read_as_the_refund_they_belong_to(name: str, family: str) -> None:
    async with rehearsal.stage("wangdian") as stage:
        connection = stage.connection(name)
        number = {"qjb": "RF202607010001", "qyb": "RF1"}[family]
        await stage.do([rehearsal.Step(call=f"{family}.refund.push")])
        (open_refund,) = await rows(stage, connection, f"{family}.refund.list")
        mapping = library.shipped("wangdian", f"{family}_refund")
        assert mapping.from_native(open_refund, {})["status"] == "returning"
        await stage.do([rehearsal.Step(do="POST /receive", body={"refund_no": number})])
        (row,) = await rows(stage, connection, f"{family}.return.list")
        hint = event(connection, f"{family}_returns", row)
        assert (hint.message, hint.entity) == (f"{family}_received", "after_sale")
        hydrate = connection.declaration.messages[hint.message].hydrate
        assert hydrate is not None
        given = {"refund_no": jsontext.loads(hint.payload)["refund_no" if family == "qjb" else "src_order_no"]}
        found = await stage.caller.call(connection, hydrate.operation, given)
        told = mapping.from_native(found.data, {})
        assert (told["id"], told["kind"], told["status"]) == (number, "return", "done")


@pytest.mark.parametrize(("family", "member"), [("qjb", "refund_no"), ("qyb", "src_order_no")])
@pytest.mark.parametrize("number", ["", None])
async def test_goods_of_no_refund_ask_for_nobodys_refund(family: str, member: str, number: str | None) -> None:
    async with rehearsal.stage("wangdian") as stage:
        row = {"stockin_id": 1, "order_no": "RK1", "status": 80, member: number, "modified": "2026-07-03 15:19:40"}
        found = event(stage.connection("main"), f"{family}_returns", row)
        assert (found.message, found.entity) == ("unclaimed", None)


async def test_the_web_edition_wants_its_own_names_for_a_window() -> None:
    """The poll of refunds names its window both ways, since the two editions of one family differ."""
    async with rehearsal.stage("wangdian") as stage:
        await stage.do([rehearsal.Step(call="qyb.refund.push")])
        for name in ("qyb", "web"):
            assert len(await rows(stage, stage.connection(name), "qyb.refund.list")) == 1


@pytest.mark.parametrize("source", ["qjb_stock", "qyb_stock"])
async def test_defective_pieces_are_not_the_stock_of_the_sound_ones(source: str) -> None:
    """Their row names the same SKU and warehouse with nothing to sell: whichever came last set the shops."""
    async with rehearsal.stage("wangdian") as stage:
        connection = stage.connection("main" if source == "qjb_stock" else "qyb")
        row = {
            "rec_id": 1,
            "spec_no": "SKU-1001",
            "warehouse_no": "wh01",
            "stock_num": 5,
            "modified": "2026-07-03 15:19:40",
        }
        assert event(connection, source, {**row, "defect": 0}).entity == "inventory"
        for defect in (True, 1, "1"):
            assert event(connection, source, {**row, "defect": defect}).entity is None

"""Youzan: what is picked up, points, refunds that come late, and the recipe that pays back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.core import client, errors
from connectors.simulator import engine
from gateway import current
from gateway.recipes import fitting, recipe
from mappings import library
from retry_queue.ledger.states import ConnectionState
from tests.conformance.test_youzan import connection, control, shop, sold


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["youzan"], time_scale=0.0001) as base:
        yield base


async def test_a_refund_that_is_not_there_yet_is_asked_for_again(url: engine.Url, calls: client.Client) -> None:
    with pytest.raises(errors.Unavailable) as wait:
        await calls.call(connection(url), "refund.get", {"refund_id": "1"})
    assert "半分钟" in wait.value.hint["zh"]


async def test_what_is_picked_up_is_closed_without_a_waybill_and_once(url: engine.Url, calls: client.Client) -> None:
    tid, mall = await sold(url, express_type=1), connection(url)
    order = library.shipped("youzan", "order").from_native((await calls.call(mall, "order.get", {"tid": tid})).data, {})
    sent = {"id": "S1", "status": "shipped", "order_id": tid}
    given = library.shipped("youzan", "shipment").to_native(sent, {"order": order})
    shop(url).faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await calls.call(mall, "shipment.send", given)
    assert (await calls.call(mall, "shipment.send", given, fresh=False)).already
    assert shop(url).shop.info(tid)["status"] == "WAIT_BUYER_CONFIRM_GOODS"
    assert [one.kind for one in shop(url).journal.effects] == ["shipment"]


async def test_points_are_taken_once(url: engine.Url, calls: client.Client) -> None:
    mall = connection(url)
    person = await control(url, "customers", mobile="13800000001", name="客户甲")
    wish = {"account_id": person["yz_open_id"], "points": 5, "reason": "退款扣回", "biz_value": "B2"}
    assert not (await calls.call(mall, "points.decrease", wish)).already
    assert (await calls.call(mall, "points.decrease", wish)).already
    assert [one.data["points"] for one in shop(url).journal.effects if one.kind == "points"] == [-5]


def test_goods_that_came_back_are_paid_back_by_the_recipe() -> None:
    row = SimpleNamespace(
        key="mall", connector="youzan", config={"kdt_id": "1"}, state=ConnectionState.ENABLED, sealed={}, real=None
    )
    rows: dict[str, Any] = {"mall": row}
    world = current.Current(rows, {}, {}, {}, {}).world()
    part = next(one for one in recipe.all_recipes()["refund-loop"].parts if one.key == "shop")
    fit = fitting.judge(part, "mall", "youzan", {"kdt_id": "1"}, world)
    assert isinstance(fit, fitting.Fit)
    assert fit.operations["refund"] == ("return.received",)

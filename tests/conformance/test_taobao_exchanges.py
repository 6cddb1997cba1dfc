"""Taobao: an exchange at Tmall from the buyer's wish to the new goods, each answer given once and only in its turn."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import client, decode, errors, model
from connectors.simulator import engine
from connectors.taobao import simulator
from mappings import library
from tests.conformance import panel, taobao_peer

control = functools.partial(panel.control, "taobao")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["taobao"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def shop(url: engine.Url) -> simulator.Simulator:
    return taobao_peer.shop_of(url)


@pytest.fixture
def connection(url: engine.Url) -> model.Connection:
    return taobao_peer.connection(url, return_address_id="95251")


async def asked(url: engine.Url, calls: client.Client, connection: model.Connection) -> tuple[str, dict[str, Any]]:
    """A shipped order whose buyer wants other goods: its tid, and the exchange."""
    tid = str((await control(url, "orders"))["orders"][0]["tid"])
    await calls.call(connection, "shipment.send", {"tid": tid, "out_sid": "SF1000000001", "company_code": "SF"})
    return tid, await control(url, f"orders/{tid}/exchange")


async def seen(calls: client.Client, connection: model.Connection, number: str) -> dict[str, Any]:
    native = (await calls.call(connection, "exchange.get", {"dispute_id": number})).data
    told: dict[str, Any] = library.shipped("taobao", "exchange").from_native(native, {})
    return told


def answer(number: str, **more: Any) -> Any:
    record = {"id": number, "kind": "exchange", "status": "accepted", "order_id": "1", **more}
    return library.shipped("taobao", "exchange_answer").to_native(record, {})


async def test_an_exchange_is_read_and_goes_its_whole_way(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    tid, made = await asked(url, calls, connection)
    number, now = made["dispute_id"], datetime.now(UTC)
    window = (now - timedelta(minutes=10), now + timedelta(minutes=10))
    (row,) = [row async for page in calls.pages(connection, "exchange.list", {}, window) for row in page]
    event = decode.event(connection.declaration, "exchanges", row)
    assert (event.message, event.entity, event.record) == ("exchange_row", "after_sale", number)
    told = await seen(calls, connection, number)
    assert (told["kind"], told["status"], told["order_id"]) == ("exchange", "requested", tid)
    assert told["lines"][0]["order_line_id"] == made["biz_order_id"]

    await calls.call(connection, "exchange.agree", answer(number))
    assert (await calls.call(connection, "exchange.agree", answer(number))).already
    await control(url, f"exchanges/{number}", status="买家已退货，待收货")
    assert (await seen(calls, connection, number))["status"] == "returning"
    await calls.call(connection, "exchange.receive", answer(number))
    assert (await seen(calls, connection, number))["extra"]["stage"] == "待发出换货商品"

    parcel: dict[str, Any] = {"id": "SO-2", "status": "shipped", "order_id": tid, "carrier_name": "顺丰速运"}
    parcel |= {"tracking_number": "SF1000000009", "extra": {"dispute_id": number}}
    given = library.shipped("taobao", "replacement").to_native(parcel, {})
    await control(url, "faults", drop_reply=1)
    with pytest.raises(errors.OutcomeUnknown):
        await calls.call(connection, "exchange.send", given)
    assert (await calls.call(connection, "exchange.send", given, fresh=False)).already
    await control(url, f"exchanges/{number}", status="换货成功")
    assert (await seen(calls, connection, number))["status"] == "done"
    kinds = [one.kind for one in shop.journal.effects]
    assert kinds == ["shipment", "exchange_agreed", "exchange_received", "exchange_sent"]


async def test_an_answer_out_of_its_turn_changes_nothing(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    _, made = await asked(url, calls, connection)
    number = made["dispute_id"]
    with pytest.raises(errors.ConnectorError):
        await calls.call(connection, "exchange.receive", answer(number))
    given = {"dispute_id": number, "logistics_no": "SF1000000009", "logistics_company_name": "顺丰速运"}
    with pytest.raises(errors.Rejected) as early:  # HTTP 200, no error_response, and yet a failure
        await calls.call(connection, "exchange.send", given)
    assert (early.value.code, early.value.message) == ("STATUS_ERROR", "换货单状态为换货待处理")
    await calls.call(connection, "exchange.refuse", answer(number, extra={"reason_id": "31"}, note="已过换货期限"))
    with pytest.raises(errors.ConnectorError):
        await calls.call(connection, "exchange.agree", answer(number))
    assert [one.kind for one in shop.journal.effects] == ["shipment", "exchange_refused"]
    assert (await seen(calls, connection, number))["status"] == "refused"


async def test_a_refusal_needs_a_reason_of_the_platform(
    url: engine.Url, calls: client.Client, connection: model.Connection, shop: simulator.Simulator
) -> None:
    _, made = await asked(url, calls, connection)
    rows = (await calls.call(connection, "exchange.reasons", {"dispute_id": made["dispute_id"]})).data
    assert {str(row["reason_id"]) for row in rows} == {"31", "32"}
    with pytest.raises(errors.Rejected):
        await calls.call(connection, "exchange.refuse", answer(made["dispute_id"], note="不换"))
    assert not shop.journal.find("exchange_refused", made["dispute_id"])

"""JD: orders in several parcels, and another waybill after shipping; nothing is sent twice or guessed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import client, errors
from connectors.simulator import engine
from mappings import library
from tests.conformance import jd_peer

CARRIERS = {"SF": 467, "YTO": 463}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jd"]) as base:
        yield base


async def order(url: engine.Url, calls: client.Client, number: str) -> Any:
    return (await calls.call(jd_peer.connection(url), "order.get", {"orderId": number})).data


def parcel(order: Any, code: str, waybill: str, sku: str) -> dict[str, Any]:
    """The native form of a warehouse's shipment that knows the seller's SKU only."""
    shipment = {"id": waybill, "status": "shipped", "order_id": order["orderId"], "carrier_code": code}
    shipment |= {"tracking_number": waybill, "lines": [{"sku": sku, "quantity": "1"}]}
    context = {"config": {"carriers": CARRIERS}, "order": library.shipped("jd", "order").from_native(order, {})}
    made: dict[str, Any] = library.shipped("jd", "parcel").to_native(shipment, context)
    return made


def effects(url: engine.Url) -> list[str]:
    return [one.kind for one in jd_peer.shop(url).journal.effects]


async def test_an_order_leaves_in_two_parcels_and_each_of_them_once(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url, skus=["TEA-01", "CUP-01"]), jd_peer.connection(url)
    told = await calls.call(shop, "shipment.divisible", {"orderId": number})
    assert told.data["supportPartialShipment"] is True
    first = parcel(await order(url, calls, number), "SF", "SF1000001", "TEA-01")
    assert not (await calls.call(shop, "shipment.send_part", first)).already
    between = await order(url, calls, number)
    assert (between["orderState"], between["waybill"]) == ("WAIT_SELLER_STOCK_OUT", "SF1000001")
    assert (await calls.call(shop, "shipment.send_part", first)).already
    second = parcel(between, "YTO", "YT1000002", "CUP-01")
    await calls.call(shop, "shipment.send_part", second)
    gone = await order(url, calls, number)
    assert (gone["orderState"], gone["waybill"]) == ("WAIT_GOODS_RECEIVE_CONFIRM", "SF1000001|YT1000002")
    assert effects(url) == ["parcel", "parcel"]


async def test_more_than_was_bought_is_refused_in_the_vendors_words(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url, skus=["TEA-01", "CUP-01"]), jd_peer.connection(url)
    given = parcel(await order(url, calls, number), "SF", "SF1000001", "TEA-01")
    given["goods"][0]["num"] = 99
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(shop, "shipment.send_part", given)
    assert refused.value.code == "10400004"
    assert "出库数量" in (refused.value.message or "")
    assert effects(url) == []


async def test_a_part_waits_while_the_buyer_cancels(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url, skus=["TEA-01", "CUP-01"]), jd_peer.connection(url)
    given = parcel(await order(url, calls, number), "SF", "SF1000001", "TEA-01")
    await jd_peer.control(url, f"orders/{number}/refund")
    assert (await calls.call(shop, "shipment.send_part", given)).waiting
    assert "parcel" not in effects(url)


async def test_a_waybill_is_changed_after_shipping_and_only_then(url: engine.Url, calls: client.Client) -> None:
    number, shop = await jd_peer.sold(url), jd_peer.connection(url)
    changed = {"orderId": number, "logiCoprId": "463", "logiNo": "YT1000009"}
    with pytest.raises(errors.Rejected):
        await calls.call(shop, "shipment.change", changed)
    await calls.call(shop, "shipment.send", {"orderId": number, "logiCoprId": "467", "logiNo": "SF1000001"})
    await calls.call(shop, "shipment.change", changed)
    found = await order(url, calls, number)
    assert (found["waybill"], found["logisticsId"]) == ("YT1000009", "463")
    assert (await calls.call(shop, "shipment.change", changed, fresh=False)).already
    assert effects(url) == ["shipment", "waybill"]

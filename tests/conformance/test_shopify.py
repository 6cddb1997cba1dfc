"""Shopify: an independent client against our simulator, webhooks through our door, parcels, stock, refunds."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import client, decode, errors, model, registry, verify
from connectors.shopify import signer, simulator
from connectors.simulator import engine
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "shopify")
KNOWN = simulator.Simulator.SETTINGS
SPEC = registry.get("shopify")
PEER = pytest.mark.peers("shopify")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["shopify"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["shopify"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(
    url: str = "http://127.0.0.1:9", secrets: dict[str, str] | None = None, **config: Any
) -> model.Connection:
    named = {key: KNOWN[key] for key in ("client_id", "shop_domain", "location_id")}
    hidden = {"client_secret": KNOWN["client_secret"], "access_token": KNOWN["access_token"]} | (secrets or {})
    return model.Connection("shopify-test", SPEC, {"base_url": f"{url}/shopify", **named, **config}, hidden)


@pytest.fixture
def shop(url: engine.Url) -> model.Connection:
    return connection(url)


def read(name: str, native: Any) -> dict[str, Any]:
    found: dict[str, Any] = library.shipped("shopify", name).from_native(native)
    return found


async def order_of(hub: client.Client, shop: model.Connection, number: str) -> dict[str, Any]:
    return read("order", (await hub.call(shop, "order.get", {"order_id": number})).data)


@PEER
async def test_peer_client_works_against_the_simulator(url: engine.Url, site: simulator.Simulator) -> None:
    import shopify

    number = (await control(url, "/orders"))["legacyResourceId"]
    shopify.ApiVersion.define_version(shopify.api_version.Release("2026-10"))
    shopify.Session.setup(protocol="http")
    session = shopify.Session("shuniu-demo.myshopify.com", "2026-10", KNOWN["access_token"])
    session.url = str(url).removeprefix("http://") + "/shopify"

    def ask() -> Any:
        shopify.ShopifyResource.activate_session(session)
        try:
            text = "query($id:ID!){order(id:$id){name displayFinancialStatus lineItems(first:5){nodes{sku}}}}"
            return json.loads(shopify.GraphQL().execute(text, {"id": f"gid://shopify/Order/{number}"}))
        finally:
            shopify.ShopifyResource.clear_session()

    said = await asyncio.to_thread(ask)
    order = {"name": "#1001", "displayFinancialStatus": "PAID"}
    assert said["data"]["order"] == {**order, "lineItems": {"nodes": [{"sku": site.world.skus[0].code}]}}


@PEER
def test_the_peer_signs_queries_as_we_do() -> None:
    import shopify

    query = {"shop": "some-shop.myshopify.com", "code": "a%&=b", "timestamp": "1337178173", "hmac": "ignored"}
    shopify.Session.secret = "hush"
    theirs = shopify.Session.calculate_hmac(query)
    assert signer.query_signature("hush", query)["hmac"] == theirs


def webhook(
    body: bytes, secret: str = KNOWN["client_secret"], prefix: str = "x-shopify-", **more: str
) -> model.RawHook:
    signed = signer.webhook_signature(secret, body.decode())["X-Shopify-Hmac-Sha256"]
    told = {"hmac-sha256": signed, "topic": "orders/create", "webhook-id": "w1", "shop-domain": KNOWN["shop_domain"]}
    return model.RawHook("POST", {}, {f"{prefix}{key}": value for key, value in {**told, **more}.items()}, body)


def opened(hook: model.RawHook, **secrets: str) -> list[model.SourceEvent]:
    spec = SPEC.events["webhook"].verify
    assert spec is not None
    verified = verify.verify(hook, connection(secrets=secrets), spec, time.time())
    return decode.events(SPEC, "webhook", verified.plaintext)


@pytest.mark.parametrize("prefix", ["x-shopify-", "shopify-"])
def test_both_header_families_are_read_and_the_delivery_is_known_again(prefix: str) -> None:
    body = b'{"id":820982911946154508,"updated_at":"2026-03-09T14:05:31+08:00"}'
    [event] = opened(webhook(body, prefix=prefix))
    assert (event.message, event.record, event.dedupe) == ("order", "820982911946154508", "order:w1")
    # The same event for another delivery id is another delivery.
    assert opened(webhook(body, prefix=prefix, **{"webhook-id": "w2"}))[0].dedupe != event.dedupe


def test_during_a_rotation_the_old_secret_is_accepted_and_a_foreign_shop_never() -> None:
    body = b'{"id":1}'
    old = webhook(body, secret="the-old-secret")
    with pytest.raises(errors.HookRefused):
        opened(old)
    assert opened(old, old_client_secret="the-old-secret")
    with pytest.raises(errors.HookRefused, match="another shop"):
        opened(webhook(body, **{"shop-domain": "evil.myshopify.com"}))


async def test_an_order_goes_out_in_two_parcels(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    skus = [one.code for one in site.world.skus[:2]]
    number = (await control(url, "/orders", customer=1, skus=skus, count=2))["legacyResourceId"]
    mapping = library.shipped("shopify", "shipment")

    async def parcel(waybill: str, sku: str) -> dict[str, Any]:
        lines = [{"sku": sku, "quantity": "2"}]
        record = {
            "id": waybill,
            "status": "shipped",
            "order_id": number,
            "carrier_code": "SF",
            "tracking_number": waybill,
        }
        order = await order_of(hub, shop, number)
        native: dict[str, Any] = mapping.to_native({**record, "lines": lines}, {"order": order})
        return native

    await hub.call(shop, "shipment.send", await parcel("SF1", skus[0]))
    assert (await order_of(hub, shop, number))["status"] == "partially_shipped"
    site.faults.drop_reply = 1
    second = await parcel("SF2", skus[1])
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(shop, "shipment.send", second)
    # Asked again without knowing: the platform says that nothing is open, the order says that it was us.
    assert (await hub.call(shop, "shipment.send", second)).already
    assert (await order_of(hub, shop, number))["status"] == "shipped"
    assert [one.kind for one in site.journal.effects] == ["fulfillment", "fulfillment"]
    with pytest.raises(errors.Rejected):
        await hub.call(shop, "shipment.send", {**second, "tracking": {"number": "SF3", "company": "SF"}})


async def test_goods_of_two_locations_are_not_shipped_under_one_waybill(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    sku = site.world.skus[0].code
    number = (await control(url, "/orders", customer=1, skus=[sku], count=3, away={sku: 2}))["legacyResourceId"]
    mapping = library.shipped("shopify", "shipment")

    async def send(waybill: str, *lines: dict[str, str]) -> model.Outcome:
        sent = {"id": waybill, "status": "shipped", "order_id": number, "tracking_number": waybill, "lines": [*lines]}
        return await hub.call(shop, "shipment.send", mapping.to_native(sent, {"order": await held()}))

    async def held() -> dict[str, Any]:
        return await order_of(hub, shop, number)

    waits = await send("SF1")
    assert waits.waiting
    assert "several locations" in waits.warnings[0]
    assert (await send("SF2", {"sku": sku, "quantity": "3"})).waiting
    assert not site.journal.effects
    await send("SF3", {"sku": sku, "quantity": "2"})  # only the second location has two of it
    assert (await held())["status"] == "partially_shipped"
    await send("SF4")
    [first, second] = [one.data["lineItemsByFulfillmentOrder"] for one in site.journal.effects]
    assert first[0]["fulfillmentOrderLineItems"][0]["quantity"] == 2
    assert first[0]["fulfillmentOrderId"] != second[0]["fulfillmentOrderId"]
    assert (await held())["status"] == "shipped"
    # The same waybill once more, when nothing is open any longer: the order says that it was sent.
    assert (await send("SF4")).already


def test_stock_of_another_location_is_not_this_connections() -> None:
    def told(location: str) -> str:
        body = json.dumps({"inventory_item_id": 39072856, "location_id": int(location), "available": 1}).encode()
        return opened(webhook(body, topic="inventory_levels/update"))[0].message

    assert told(KNOWN["location_id"]) == "stock"
    assert told("487838323") == "stock_elsewhere"


async def test_an_order_on_hold_is_held_and_one_refunded_in_full_is_closed(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    number = (await control(url, "/orders", customer=1))["legacyResourceId"]
    await control(url, f"/orders/{number}/hold")
    held = await order_of(hub, shop, number)
    assert (held["status"], held["hold"], held["extra"]["fulfillment_orders"]) == ("paid", True, [])
    await control(url, f"/orders/{number}/release")
    assert (await order_of(hub, shop, number))["hold"] is False
    refund = read("after_sale", await control(url, f"/orders/{number}/refund"))
    assert (refund["status"], refund["order_id"], refund["amount"]) == ("done", number, site.world.skus[0].price)
    assert (await order_of(hub, shop, number))["status"] == "closed"


async def test_the_same_key_sets_stock_once_and_another_content_under_it_is_refused(
    hub: client.Client, site: simulator.Simulator, shop: model.Connection
) -> None:
    given = {"inventory_item_id": "39072856", "location_id": KNOWN["location_id"], "quantity": 5, "key": "k1"}
    await hub.call(shop, "stock.set", given)
    site.store.stock["39072856"] = 4  # sold in between: the repeated call must not undo it
    await hub.call(shop, "stock.set", given)
    level = read("inventory", (await hub.call(shop, "stock.get", given)).data)
    assert (level["available"], level["warehouse"]) == (4, KNOWN["location_id"])
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "stock.set", {**given, "quantity": 6})
    assert refused.value.code == "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "stock.set", {**given, "key": "k2", "location_id": "1"})
    assert refused.value.code == "ITEM_NOT_STOCKED_AT_LOCATION"


async def test_all_pages_of_changed_orders_are_read(
    hub: client.Client, site: simulator.Simulator, shop: model.Connection
) -> None:
    placed = {site.store.place(site.world.customers[0], site.world.skus[:1], 1)["legacyResourceId"] for _ in range(230)}
    now = datetime.now(UTC)
    pages = [
        page async for page in hub.pages(shop, "order.list", {}, (now - timedelta(hours=1), now + timedelta(hours=1)))
    ]
    assert [len(one) for one in pages] == [100, 100, 30]
    assert {row["legacyResourceId"] for page in pages for row in page} == placed


@pytest.mark.parametrize(
    ("config", "secrets"),
    [({"client_id": "x"}, {}), ({}, {"client_secret": "x"}), ({"authorisation": "token"}, {"access_token": "x"})],
)
async def test_wrong_credentials_stop_the_connection(
    hub: client.Client, url: engine.Url, config: dict[str, Any], secrets: dict[str, str]
) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await hub.probe(connection(url, secrets, **config))
    assert refused.value.hint["zh"]
    assert refused.value.hint["en"]


async def test_a_customer_is_known_again_by_mail_or_phone_and_tags_stay(
    hub: client.Client, site: simulator.Simulator, shop: model.Connection
) -> None:
    mapping = library.shipped("shopify", "customer")
    old = next(iter(site.people.known.values()))
    old["tags"] = ["vip"]
    phone = old["phone"].removeprefix("+86")
    for record in (
        {"id": "C1", "name": "客户乙", "phone": phone, "note": "老客"},
        {"id": "C2", "name": "客户丙", "phone": "13900000099"},
    ):
        await hub.call(shop, "customer.save", mapping.to_native(record, {}))
    assert (old["firstName"], old["note"], old["tags"]) == ("客户乙", "老客", ["vip"])
    assert next(one.key for one in site.journal.effects) == old["legacyResourceId"]
    with pytest.raises(errors.Rejected):  # a phone that is none, in the vendor's words
        await hub.call(shop, "customer.save", mapping.to_native({"id": "C3", "name": "x", "phone": "0571-1"}, {}))
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(hours=1))
    rows = [row for page in [one async for one in hub.pages(shop, "customer.list", {}, window)] for row in page]
    assert {"客户乙", "客户丙"} <= {mapping.from_native(row)["name"] for row in rows}


async def test_a_return_is_asked_for_answered_once_and_paid_back_once(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    number = (await control(url, "/orders", customer=1))["legacyResourceId"]
    asked = await control(url, f"/orders/{number}/return")
    assert (await order_of(hub, shop, number))["hold"] is True
    seen = read("return", (await hub.call(shop, "return.get", {"return_id": asked["id"]})).data)
    assert (seen["status"], seen["kind"], seen["order_id"]) == ("requested", "return", number)
    answer = library.shipped("shopify", "decision").to_native({**seen, "note": "好的"}, {})
    await hub.call(shop, "return.approve", answer)
    assert (await hub.call(shop, "return.approve", answer)).already
    with pytest.raises(errors.Rejected):  # the other answer does not undo the first one
        await hub.call(shop, "return.decline", answer)
    order = await order_of(hub, shop, number)
    context = {"order": {**order, "id": number}, "event": {"key": "K1"}}
    record = {"id": "A1", "kind": "return", "status": "done", "order_id": number, "amount": order["total"]}
    given = library.shipped("shopify", "refund").to_native(record, context)
    first = await hub.call(shop, "refund.create", given)
    assert (await hub.call(shop, "refund.create", given)).record_id == first.record_id
    assert [one.kind for one in site.journal.effects] == ["return", "refund"]
    with pytest.raises(errors.Rejected, match="exceeds"):
        await hub.call(shop, "refund.create", {**given, "key": "K2"})


async def test_refunds_and_returns_without_their_webhooks_are_found_by_their_orders(
    hub: client.Client, url: engine.Url, shop: model.Connection
) -> None:
    repaid, returned, quiet = [(await control(url, "/orders", customer=1))["legacyResourceId"] for _ in range(3)]
    told = await control(url, f"/orders/{repaid}/refund")
    asked = await control(url, f"/orders/{returned}/return")
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(hours=1))

    async def found(operation: str, source: str) -> list[model.SourceEvent]:
        rows = [row async for page in hub.pages(shop, operation, {}, window) for row in page]
        assert quiet not in {row["legacyResourceId"] for row in rows}
        return [event for row in rows for event in decode.events(SPEC, source, json.dumps(row).encode())]

    [back] = await found("return.list", "returns")
    assert (back.message, back.record) == ("return_row", asked["id"])
    [paid] = await found("refund.list", "refunds")
    assert (paid.message, paid.record) == ("refund_row", str(told["id"]))
    read_again = (await hub.call(shop, "refund.get", {"refund_id": f"gid://shopify/Refund/{told['id']}"})).data
    polled, pushed = read("refunded", read_again), read("after_sale", told)
    for record in (polled, pushed):
        record.pop("updated_at")
    assert polled == pushed

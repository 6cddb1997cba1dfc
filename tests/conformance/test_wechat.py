"""WeChat: an independent client and cipher against our simulator and door; orders, parcels, after-sales, messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.core import client, decode, errors, model
from connectors.simulator import engine
from connectors.wechat import simulator
from connectors.wechat.simulated import followers
from mappings import library
from tests.conformance.wechat import KNOWN, SPEC, connection, control

PEER = pytest.mark.peers("wechatpy")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wechat"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["wechat"]
    assert isinstance(found, simulator.Simulator)
    return found


@pytest.fixture
def shop(url: engine.Url) -> model.Connection:
    return connection(url, return_address_id="88")


def mapped(name: str, record: dict[str, Any], **context: Any) -> dict[str, Any]:
    written: dict[str, Any] = library.shipped("wechat", name).to_native(record, context)
    return written


def read(name: str, native: Any) -> dict[str, Any]:
    found: dict[str, Any] = library.shipped("wechat", name).from_native(native)
    return found


# Independent implementations.


def peer_client(base: str, secret: str = KNOWN["app_secret"]) -> Any:
    from wechatpy import WeChatClient

    class Peer(WeChatClient):
        API_BASE_URL = f"{base}/wechat/cgi-bin/"

        def fetch_access_token(self) -> Any:
            params = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret}
            return self._fetch_access_token(url=f"{self.API_BASE_URL}token", params=params)

    made = Peer(KNOWN["app_id"], secret, timeout=5)
    made._http.trust_env = False
    return made


@PEER
async def test_peer_client_works_against_the_simulator(url: engine.Url, site: simulator.Simulator) -> None:
    from wechatpy import exceptions as peer_exceptions

    other = peer_client(url)
    person = site.world.customers[3]
    openid = followers.openid_of(person)
    found = await asyncio.to_thread(other.user.get, openid)
    assert (found["subscribe"], found["unionid"]) == (1, person.ids["unionid"])
    data = {"character_string1": {"value": "T1001"}}
    sent = await asyncio.to_thread(other.message.send_template, openid, "TEMPLATE0002", data)
    assert sent["errcode"] == 0
    assert sent["msgid"]
    assert [one["receiver"] for one in site.followers.inbox] == [openid]
    with pytest.raises(peer_exceptions.WeChatClientException) as refused:
        await asyncio.to_thread(other.message.send_template, openid, "UNKNOWN", data)
    assert refused.value.errcode == 40037
    # An early end of the token: the client fetches another and repeats the call.
    await control(url, "/tokens/expire")
    assert (await asyncio.to_thread(other.user.get, openid))["openid"] == openid
    wrong = peer_client(url, "not the secret")
    with pytest.raises(peer_exceptions.WeChatClientException) as refused:
        await asyncio.to_thread(wrong.fetch_access_token)
    assert refused.value.errcode == 40125


# The shop.


async def test_an_order_is_pushed_read_shipped_in_parts_and_polled(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    skus = [one.code for one in site.world.skus[:2]]
    native = await control(url, "/orders", customer=1, skus=skus, count=2)
    number = native["order_id"]
    order = read("order", (await hub.call(shop, "order.get", {"order_id": number})).data)
    assert (order["status"], order["hold"]) == ("paid", False)
    assert order["receiver"]["phone"] == "17000000000-0001"
    assert order["total"] == sum(line["paid"] for line in order["lines"]) + order["freight"]

    def parcel(waybill: str, sku: str) -> dict[str, Any]:
        shipment = {
            "id": waybill,
            "status": "shipped",
            "order_id": number,
            "carrier_code": "SF",
            "tracking_number": waybill,
        }
        return mapped("shipment", {**shipment, "lines": [{"sku": sku, "quantity": "2"}]}, order=order)

    first = await hub.call(shop, "shipment.send", parcel("SF1000000000001", skus[0]))
    assert first.record_id == "SF1000000000001"
    assert site.shop.orders[number]["status"] == 21
    # The second parcel's answer is lost; asking finds its waybill and sends nothing again.
    site.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(shop, "shipment.send", parcel("SF1000000000002", skus[1]))
    again = await hub.call(shop, "shipment.send", parcel("SF1000000000002", skus[1]), fresh=False)
    assert again.already
    assert site.shop.orders[number]["status"] == 30
    # A shipped order with another waybill is a person's business.
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "shipment.send", parcel("SF1000000000003", skus[1]))
    assert refused.value.code == "109001"
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=1))
    rows = [row async for page in hub.pages(shop, "order.list", {}, window) for row in page]
    [event] = [decode.event(SPEC, "orders", row, shop, window=window) for row in rows]
    assert (event.message, event.record) == ("order_row", number)
    later = decode.event(SPEC, "orders", rows[0], shop, window=(window[0], window[1] + timedelta(minutes=2)))
    assert later.dedupe != event.dedupe


async def test_more_orders_than_one_page_are_all_listed(
    hub: client.Client, site: simulator.Simulator, shop: model.Connection
) -> None:
    placed = {site.shop.place(site.world.customers[0], site.world.skus[:1])["order_id"] for _ in range(230)}
    now = datetime.now(UTC)
    pages = [
        page async for page in hub.pages(shop, "order.list", {}, (now - timedelta(hours=1), now + timedelta(hours=1)))
    ]
    assert [len(one) for one in pages] == [100, 100, 30]
    assert {row for page in pages for row in page} == placed
    with pytest.raises(errors.Rejected, match="7 days"):
        await anext(hub.pages(shop, "order.list", {}, (now - timedelta(days=8), now)))


async def test_an_open_after_sale_holds_the_order_and_its_end_frees_it(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    number = (await control(url, "/orders", customer=1))["order_id"]
    case = (await control(url, f"/orders/{number}/refund", type="RETURN"))["after_sale_order_id"]
    held = read("order", (await hub.call(shop, "order.get", {"order_id": number})).data)
    assert (held["hold"], held["lines"][0]["refund_status"]) == (True, "open")
    sent = {
        "order_id": number,
        "delivery_list": [{"delivery_id": "SF", "waybill_id": "SF1000000000001", "deliver_type": 1}],
    }
    assert (await hub.call(shop, "shipment.send", sent)).waiting
    await control(url, f"/after_sales/{case}/cancel")
    assert read("order", (await hub.call(shop, "order.get", {"order_id": number})).data)["hold"] is False
    gone = read("after_sale", (await hub.call(shop, "after_sale.get", {"after_sale_order_id": case})).data)
    assert (gone["status"], gone["phase"]) == ("closed", "USER_CANCELD")


async def test_agreeing_twice_does_not_jump_a_step(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    number = (await control(url, "/orders", customer=1))["order_id"]
    case = (await control(url, f"/orders/{number}/refund", type="RETURN"))["after_sale_order_id"]
    record = {"id": case, "kind": "return", "status": "accepted", "order_id": number}
    agree = mapped("accept", record, config={"return_address_id": "88"})
    assert not (await hub.call(shop, "after_sale.accept", agree)).already
    await control(url, f"/after_sales/{case}/return", waybill_id="SF9")
    # The buyer has sent the goods: the same agreement again must not be taken for "received, refund now".
    assert (await hub.call(shop, "after_sale.accept", agree)).already
    assert site.after_sales.cases[case]["status"] == "MERCHANT_WAIT_RECEIPT"
    await hub.call(shop, "after_sale.accept", mapped("accept", {**record, "status": "done"}))
    assert site.after_sales.cases[case]["status"] == "PLATFORM_REFUNDING"
    await control(url, f"/after_sales/{case}/settle")
    done = read("after_sale", (await hub.call(shop, "after_sale.get", {"after_sale_order_id": case})).data)
    assert (done["status"], done["tracking_number"]) == ("done", "SF9")
    assert read("order", site.shop.orders[number])["status"] == "closed"
    assert [one.kind for one in site.journal.effects] == ["accept", "accept"]


async def test_a_wished_address_holds_the_order_until_it_is_decided(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    number = (await control(url, "/orders", customer=1))["order_id"]
    await control(url, f"/orders/{number}/wish_address")
    assert read("order", site.shop.orders[number])["hold_reason"] == "买家申请修改地址，等待处理"
    await hub.call(shop, "address.accept", {"order_id": number})
    order = read("order", site.shop.orders[number])
    assert (order["hold"], order["receiver"]["address"]["city"]) == (False, "深圳市")


# The mini program.


async def test_a_combined_payment_ships_all_its_parts_once(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    parts = [await control(url, "/payments", trade_no=f"M1-{one}", customer=2, combined="M1") for one in (1, 2)]
    await control(url, "/payments", trade_no="M2", customer=2)
    record = {"id": "S1", "status": "shipped", "order_id": "M1", "carrier_code": "ZTO", "tracking_number": "ZT1"}
    record |= {"shipped_at": "2026-11-12T16:30:35+08:00"}
    order = {"id": "M1", "buyer": {"id": parts[0]["openid"]}}

    def combined(*numbers: str) -> Any:
        whole = {**record, "extra": {"sub_orders": [{"number": one} for one in numbers]}}
        return mapped("combined_shipping", whole, order=order, config={"mch_id": KNOWN["mch_id"]})

    with pytest.raises(errors.Rejected):
        await hub.call(shop, "shipping.combined", combined("M1-1", "M2"))
    assert [one.kind for one in site.journal.effects] == []
    await hub.call(shop, "shipping.combined", combined("M1-1", "M1-2"))
    assert (await hub.call(shop, "shipping.combined", combined("M1-1", "M1-2"))).already
    assert (await hub.call(shop, "shipping.combined", combined("M1-1", "M1-2"), fresh=False)).already
    assert [one.kind for one in site.journal.effects] == ["shipping_info"] * 2
    assert {site.payments.orders[one["transaction_id"]]["order_state"] for one in parts} == {2}


async def test_a_payment_that_is_not_known_yet_is_waited_for_and_a_second_waybill_is_a_correction(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    paid = await control(url, "/payments", trade_no="M1001", customer=2)
    record = {
        "id": "S1",
        "status": "shipped",
        "order_id": "M1001",
        "carrier_code": "SF",
        "tracking_number": "SF1000000000001",
    }
    record |= {"shipped_at": "2026-11-12T16:30:35+08:00"}
    order = {"id": "M1001", "buyer": {"id": paid["openid"]}, "receiver": {"phone": "13800001234"}}
    parcel = mapped("shipping_info", record, order=order, config={"mch_id": KNOWN["mch_id"]})
    site.settings["appears"] = 60
    with pytest.raises(errors.Unavailable) as waiting:
        await hub.call(shop, "shipping.upload", parcel)
    assert waiting.value.code == "10060001"
    # Nothing is known over there, so asking first sends it and is told to wait as well.
    with pytest.raises(errors.Unavailable):
        await hub.call(shop, "shipping.upload", parcel, fresh=False)
    site.settings["appears"] = 0
    await hub.call(shop, "shipping.upload", parcel)
    assert (await hub.call(shop, "shipping.upload", parcel)).already
    shipped = read(
        "pay_order",
        (await hub.call(shop, "pay_order.get", {"order_key": {"transaction_id": paid["transaction_id"]}})).data,
    )
    assert (shipped["status"], shipped["number"], shipped["total"]) == ("shipped", "M1001", 105)
    other = {**parcel, "shipping_list": [{**parcel["shipping_list"][0], "tracking_no": "SF1000000000002"}]}
    await hub.call(shop, "shipping.upload", other)
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "shipping.upload", parcel)
    assert refused.value.code == "10060003"
    assert "1234" in str(parcel)
    assert "13800001234" not in str(parcel)


# Messages and followers.


async def test_one_consent_is_one_message(hub: client.Client, url: engine.Url, shop: model.Connection) -> None:
    openid = (await control(url, "/people/3/consent", template_id="TEMPLATE0001"))["openid"]
    message = {"id": "m1", "recipients": [openid], "title": "TEMPLATE0001", "text": "thing1=健身环"}
    native = mapped("subscribe_message", message)
    await hub.call(shop, "subscribe.send", native)
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "subscribe.send", native)
    assert refused.value.code == "43101"
    long = mapped("subscribe_message", {**message, "text": f"thing1={'长' * 21}"})
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "subscribe.send", long)
    assert refused.value.code == "47003"


async def test_service_messages_need_an_action_of_the_user(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    openid = followers.openid_of(site.world.customers[4])
    native = mapped("service_message", {"id": "m1", "recipients": [openid], "text": "您好"})
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(shop, "service.send", native)
    assert refused.value.code == "45015"
    await control(url, "/people/4/say", text="在吗")
    await hub.call(shop, "service.send", native)
    assert site.followers.inbox[-1]["body"]["text"]["content"] == "您好"


async def test_followers_are_all_listed_and_those_who_left_are_known_as_gone(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    gone = (await control(url, "/people/5/unsubscribe"))["openid"]
    rows = [row async for page in hub.pages(shop, "user.list", {}) for row in page]
    assert (len(rows), gone in rows) == (len(site.world.customers) - 1, False)
    person = read("customer", (await hub.call(shop, "user.get", {"openid": gone})).data)
    assert (person["status"], person["name"]) == ("unsubscribed", "微信用户")


# Tokens and refusals.


async def test_the_stable_token_is_shared_and_leaves_the_other_kind_alone(
    hub: client.Client, url: engine.Url, site: simulator.Simulator, shop: model.Connection
) -> None:
    await hub.probe(shop)
    async with httpx.AsyncClient(trust_env=False) as http:
        query = {"grant_type": "client_credential", "appid": KNOWN["app_id"], "secret": KNOWN["app_secret"]}
        for _ in range(3):
            await http.get(f"{url}/wechat/cgi-bin/token", params=query)
    seen = await hub.probe(shop)
    assert [one.operation for one in seen.exchanges] == ["api.addresses"]
    assert site.gate.stable not in repr(seen.exchanges)


@pytest.mark.parametrize(
    ("config", "secrets", "listed", "code"),
    [
        ({"app_id": "wxffffffffffffffff"}, {}, [], "40013"),
        ({}, {"app_secret": "not the secret"}, [], "40125"),
        ({}, {}, ["203.0.113.9"], "40164"),
    ],
)
async def test_wrong_credentials_stop_the_connection(
    hub: client.Client,
    url: engine.Url,
    site: simulator.Simulator,
    config: dict[str, Any],
    secrets: dict[str, str],
    listed: list[str],
    code: str,
) -> None:
    site.settings["ip_whitelist"] = listed
    with pytest.raises(errors.CredentialRefused) as refused:
        await hub.probe(connection(url, secrets, **config))
    assert refused.value.code == code
    assert refused.value.hint["zh"]
    assert refused.value.hint["en"]

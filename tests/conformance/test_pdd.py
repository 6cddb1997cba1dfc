"""Pinduoduo: signatures beside independent code, the gateway's odd answers, and no effect twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pddsdk import client as peer

from connectors.core import auth, client, errors, model, pacing, registry
from connectors.pdd import signer
from connectors.simulator import engine
from mappings import library
from tests.conformance import pdd_peer

OURS = pdd_peer.SETTINGS


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["pdd"]) as base:
        yield base


class InSeconds(peer.Client):  # type: ignore[misc]
    """The library writes milliseconds, which the vendor refuses."""

    def _get_local_timestamp(self) -> str:
        return str(int(time.time()))


def sdk(url: str, kind: str, made: type[Any] = InSeconds) -> Any:
    return made(OURS["client_id"], OURS["client_secret"], client_type=kind, url=f"{url}/pdd/api/router")


async def raw(url: str, kind: str, **given: Any) -> Any:
    """A call by an independent client."""
    caller = sdk(url, kind)
    return await asyncio.to_thread(caller.call, {"access_token": OURS["access_token"], **given})


# Signatures and transports


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1), st.text(st.characters(exclude_categories=["Cs"]))
    ),
    st.text("0123456789abcdef", min_size=1),
)
def test_signature_as_an_independent_client_makes_it(params: dict[str, str], secret: str) -> None:
    params.pop("sign", None)
    assert signer.digest(secret, params) == peer.Client("1", secret)._create_sign(params)


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(errors.Misdeclared):
        signer.digest("", {"a": "1"})


async def test_pddsdk_runs_against_the_simulator(url: engine.Url) -> None:
    sn = await pdd_peer.sold(url)
    found = await raw(url, "pdd.order.information.get", order_sn=sn)
    assert found["order_info_get_response"]["order_info"]["order_sn"] == sn
    noted = await raw(url, "pdd.order.note.update", order_sn=sn, note="中文备注 ✓")
    assert noted["response"]["success"] is True
    assert pdd_peer.shop(url).shop.orders[sn]["remark"] == "中文备注 ✓"


async def test_milliseconds_are_refused(url: engine.Url) -> None:
    caller = sdk(url, "pdd.mall.info.get", peer.Client)
    refused = await asyncio.to_thread(caller.call, {"access_token": OURS["access_token"]})
    assert refused["error_response"]["error_code"] == 10001


def signed(**params: str) -> dict[str, str]:
    full = {"client_id": OURS["client_id"], "access_token": OURS["access_token"], "timestamp": str(int(time.time()))}
    full |= params
    text = OURS["client_secret"] + "".join(f"{key}{full[key]}" for key in sorted(full)) + OURS["client_secret"]
    return full | {"sign": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()}


async def test_json_and_a_split_between_query_and_form_are_taken_and_get_is_not(url: engine.Url) -> None:
    params, gateway = signed(type="pdd.mall.info.get"), f"{url}/pdd/api/router"
    async with httpx.AsyncClient() as http:
        as_json = (await http.post(f"{gateway}/", json=params)).json()
        split = {key: params[key] for key in ("type", "client_id", "sign")}
        rest = {key: value for key, value in params.items() if key not in split}
        in_two = (await http.post(gateway, params=split, data=rest)).json()
        got = (await http.get(gateway, params=params)).json()
        forged = (await http.post(gateway, data={**params, "sign": "0" * 32})).json()
    assert as_json["mall_info_get_response"]["mall_id"] == in_two["mall_info_get_response"]["mall_id"] == 10000001
    assert got["error_response"]["error_code"] == 10002
    assert forged["error_response"]["error_code"] == 20004


# The gateway


async def test_the_keys_of_answers_are_the_vendors_own(url: engine.Url) -> None:
    assert "tmc_user_cancel_response" in await raw(url, "pdd.pmc.user.cancel", owner_id="10000001")
    assert "number" in (await raw(url, "pdd.pmc.accrue.query"))["pmc_user_get_response"]
    sn = await pdd_peer.sold(url)
    number = (await pdd_peer.control(url, f"orders/{sn}/refund"))["id"]
    assert (await raw(url, "pdd.refund.information.get", order_sn=sn, after_sales_id=number))["id"] == number
    states = await raw(url, "pdd.order.status.get", order_sns=sn)
    assert states["order_status_get_response"]["order_status_list"][0]["orderSn"] == sn
    asked = json.dumps({"order_sn": sn, "after_sales_id": number, "operate_desc": "好"})
    assert (await raw(url, "pdd.refund.agree", request=asked))["response"]["result"]["succ"] is True
    assert "logistics_ordertrace_get_resposne" in await raw(url, "pdd.logistics.ordertrace.get", mail_no="SF1")
    assert (await raw(url, "pdd.nobody.knows"))["error_response"]["error_code"] == 10017


async def test_a_window_is_half_an_hour_at_most(url: engine.Url) -> None:
    spec = registry.get("pdd")
    timed = [one for one in spec.events.values() if one.operation in ("order.list", "refund.list")]
    assert all(one.window <= 1800 and one.lag >= 180 for one in timed)
    # A row that the vendor's read model shows ten minutes late is still met.
    assert all(one.overlap + one.lag >= 720 < one.window - one.overlap for one in timed)
    now = int(time.time())
    more = {"is_lucky_flag": 0, "order_status": 5, "refund_status": 5, "start_updated_at": now - 1801}
    refused = await raw(url, "pdd.order.number.list.increment.get", end_updated_at=now, **more)
    assert refused["error_response"]["error_code"] == 10000
    taken = await raw(url, "pdd.order.number.list.increment.get", end_updated_at=now - 1, **more)
    assert taken["order_sn_increment_get_response"]["total_count"] == 0


async def test_every_order_of_a_window_is_read_once(url: engine.Url, calls: client.Client) -> None:
    made = await pdd_peer.control(url, "orders", count=230)
    now = datetime.now(UTC)
    window = (now - timedelta(minutes=10), now + timedelta(minutes=10))
    found = [row async for page in calls.pages(pdd_peer.connection(url), "order.list", {}, window) for row in page]
    assert sorted(row["order_sn"] for row in found) == sorted(one["order_sn"] for one in made["orders"])


async def test_ciphertexts_are_there_only_while_the_order_waits(url: engine.Url, calls: client.Client) -> None:
    sn, shop = await pdd_peer.sold(url), pdd_peer.connection(url)

    async def receiver() -> Any:
        order = (await calls.call(shop, "order.get", {"order_sn": sn})).data
        return library.shipped("pdd", "order").from_native(order, {})

    waiting = await receiver()
    assert len(waiting["receiver"]["cipher"].split("\n")) == 3
    await pdd_peer.control(url, f"orders/{sn}/review")
    held = await receiver()
    assert (held["hold"], held["receiver"].get("cipher")) == (True, None)
    await pdd_peer.control(url, f"orders/{sn}/release")
    assert (await receiver())["receiver"]["cipher"] == waiting["receiver"]["cipher"]
    await calls.call(shop, "shipment.send", {"order_sn": sn, "logistics_id": "44", "tracking_number": "SF1000001"})
    sent = await receiver()
    assert (sent["status"], sent["receiver"].get("cipher")) == ("shipped", None)
    assert sent["receiver"]["name"].endswith("*")


# Nothing twice


async def test_shipping_again_is_success_only_with_the_same_waybill(url: engine.Url, calls: client.Client) -> None:
    sn, shop = await pdd_peer.sold(url), pdd_peer.connection(url)
    parcel = {"order_sn": sn, "logistics_id": "44", "tracking_number": "SF1000001"}
    assert not (await calls.call(shop, "shipment.send", parcel)).already
    assert (await calls.call(shop, "shipment.send", parcel)).already
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(shop, "shipment.send", {**parcel, "tracking_number": "SF1000002"})
    assert (refused.value.code, refused.value.message) == ("50001", "订单已发货，请勿重复发货; 业务服务错误")
    assert "运单号" in refused.value.hint["zh"]
    await calls.call(shop, "shipment.change", {**parcel, "tracking_number": "SF1000002"})
    await calls.call(shop, "shipment.change", {**parcel, "tracking_number": "SF1000002"})
    happened = [one.kind for one in pdd_peer.shop(url).journal.effects]
    assert happened == ["shipment", "shipment_changed"]


@pytest.mark.parametrize("state", ["review", "refunding", "refunded", "deposit", "abnormal"])
async def test_what_must_not_be_shipped_waits_or_is_refused(url: engine.Url, calls: client.Client, state: str) -> None:
    sn, shop = await pdd_peer.sold(url, deposit=state == "deposit"), pdd_peer.connection(url)
    if state in ("review", "abnormal"):
        await pdd_peer.control(url, f"orders/{sn}/{state}")
    elif state != "deposit":
        number = (await pdd_peer.control(url, f"orders/{sn}/refund"))["id"]
        if state == "refunded":
            await pdd_peer.control(url, f"refunds/{number}", status=10)
    parcel = {"order_sn": sn, "logistics_id": "44", "tracking_number": "SF1000001"}
    if state == "refunded":
        with pytest.raises(errors.Rejected):
            await calls.call(shop, "shipment.send", parcel)
    else:
        outcome = await calls.call(shop, "shipment.send", parcel)
        assert outcome.waiting
        assert [one.operation for one in outcome.exchanges] == ["order.get"], "it was not even tried"
    assert not pdd_peer.shop(url).journal.effects


@pytest.mark.parametrize("state", ["deposit", "abnormal"])
async def test_a_shipment_goes_out_when_its_order_may_be_shipped(
    url: engine.Url, calls: client.Client, state: str
) -> None:
    sn, shop = await pdd_peer.sold(url, deposit=state == "deposit"), pdd_peer.connection(url)
    parcel = {"order_sn": sn, "logistics_id": "44", "tracking_number": "SF1000001"}
    over = "balance" if state == "deposit" else "abnormal"
    if state == "abnormal":
        await pdd_peer.control(url, f"orders/{sn}/abnormal")
    refused = await raw(url, "pdd.logistics.online.send", **parcel)
    assert refused["error_response"]["error_code"] == 50001
    assert (await calls.call(shop, "shipment.send", parcel)).waiting
    await pdd_peer.control(url, f"orders/{sn}/{over}")
    assert not (await calls.call(shop, "shipment.send", parcel)).waiting
    assert [one.kind for one in pdd_peer.shop(url).journal.effects] == ["shipment"]


async def test_a_gift_is_a_line_and_a_phone_elsewhere_is_no_loss(url: engine.Url, calls: client.Client) -> None:
    sn = await pdd_peer.sold(url, sku="TEA-01", quantity=1, gift="TEA-01", contact=True)
    order = (await calls.call(pdd_peer.connection(url), "order.get", {"order_sn": sn})).data
    record = library.shipped("pdd", "order").from_native(order, {})
    assert [(one["sku"], one["quantity"], one["paid"]) for one in record["lines"]][1] == ("TEA-01", 1, 0)
    assert len({one["id"] for one in record["lines"]}) == 2
    name, phone, street = record["receiver"]["cipher"].split("\n")
    assert (name, phone) == ("", order["contact_mobile"])
    assert street


async def test_stock_is_linked_by_sku(url: engine.Url, calls: client.Client) -> None:
    item = pdd_peer.shop(url).sold[0]
    level = {"goods_id": str(item.goods_id), "quantity": "5"}
    shop = pdd_peer.connection(url)
    assert (await calls.call(shop, "stock.set", {**level, "sku_id": str(item.sku_id)})).record_id == str(item.sku_id)
    assert (await calls.call(shop, "stock.set", {**level, "outer_id": item.outer_id})).record_id is None


async def test_the_vendor_itself_refuses_what_is_under_review(url: engine.Url) -> None:
    sn = await pdd_peer.sold(url, review=True)
    parcel = {"order_sn": sn, "logistics_id": "44", "tracking_number": "SF1000001"}
    assert (await raw(url, "pdd.logistics.online.send", **parcel))["error_response"]["error_code"] == 50001


async def test_agreeing_again_is_success_and_agreeing_to_what_was_withdrawn_is_not(
    url: engine.Url, calls: client.Client
) -> None:
    sn, shop = await pdd_peer.sold(url), pdd_peer.connection(url)
    number = (await pdd_peer.control(url, f"orders/{sn}/refund"))["id"]
    asked = {"order_sn": sn, "after_sales_id": number, "operate_desc": "同意"}
    assert not (await calls.call(shop, "refund.agree", asked)).already
    assert (await calls.call(shop, "refund.agree", asked)).already
    other = await pdd_peer.sold(url)
    number = (await pdd_peer.control(url, f"orders/{other}/refund"))["id"]
    await pdd_peer.control(url, f"refunds/{number}", status=11)
    with pytest.raises(errors.Rejected):
        await calls.call(shop, "refund.agree", {"order_sn": other, "after_sales_id": number, "operate_desc": "x"})


@pytest.mark.parametrize("wrapped", [False, True])
async def test_an_after_sale_is_read_with_and_without_a_wrapper(
    url: engine.Url, calls: client.Client, wrapped: bool
) -> None:
    pdd_peer.shop(url).configure({"wrap_refund": wrapped})
    sn = await pdd_peer.sold(url, sku="TEA-01", quantity=2)
    number = (await pdd_peer.control(url, f"orders/{sn}/refund"))["id"]
    asked = {"order_sn": sn, "after_sales_id": number}
    outcome = await calls.call(pdd_peer.connection(url), "refund.get", asked)
    assert outcome.record_id == str(number)
    record = library.shipped("pdd", "after_sale").from_native(outcome.data, {})
    assert (record["amount"], record["status"], record["kind"]) == (Decimal("133.00"), "requested", "refund")


# Credentials


@pytest.mark.parametrize(
    ("secrets", "code"),
    [({"access_token": "another"}, "10019"), ({"client_secret": "another"}, "20004")],
)
async def test_a_refused_credential_waits_for_a_person(
    url: engine.Url, calls: client.Client, secrets: dict[str, str], code: str
) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(pdd_peer.connection(url, secrets=secrets))
    assert refused.value.code == code
    assert not [one for one in refused.value.exchange if isinstance(one, model.Exchange) and "another" in repr(one)]


async def test_an_ended_authorisation_and_a_new_one(url: engine.Url, calls: client.Client) -> None:
    await pdd_peer.control(url, "expire_token", cancelled=True)
    with pytest.raises(errors.CredentialRefused) as refused:
        await calls.probe(pdd_peer.connection(url))
    assert refused.value.code == "10014"
    token = (await pdd_peer.control(url, "authorize"))["access_token"]
    with pytest.raises(errors.CredentialRefused):
        await calls.probe(pdd_peer.connection(url))
    assert (await calls.probe(pdd_peer.connection(url, secrets={"access_token": token}))).record_id == "10000001"


async def test_decrypting_is_metered_by_us(url: engine.Url, calls: client.Client) -> None:
    sn, shop = await pdd_peer.sold(url, customer=7), pdd_peer.connection(url)
    order = (await calls.call(shop, "order.get", {"order_sn": sn})).data
    asked = {"data_list": [{"data_tag": sn, "encrypted_data": order["receiver_phone"]}]}
    found = (await calls.call(shop, "receiver.decrypt", asked)).data
    assert found[0]["decrypted_data"] == pdd_peer.shop(url).world.customers[7].phone
    quick = client.Client(auth.MemoryTokens(), pacing.LocalPacer(patience=0.1))
    await quick.call(shop, "receiver.decrypt", asked)
    with pytest.raises(errors.Throttled) as wait:
        await quick.call(shop, "receiver.decrypt", asked)
    await quick.aclose()
    assert wait.value.retry_after is not None
    assert 8 < wait.value.retry_after <= 10

"""Yonyou: one document per order, approvals followed, gateways that are looked up, and events of both generations."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import auth, client, decode, errors, jsontext, model, pacing, registry, verify
from connectors.simulator import engine
from connectors.yonyou import signer, simulator
from connectors.yonyou.simulated import events
from mappings import library
from tests.conformance import yonyou

control, connection = yonyou.control, yonyou.connection
KNOWN = yonyou.KNOWN
NUMBER = "SN202606270001"
KEY = yonyou.KEY
ORDER: dict[str, Any] = {
    "id": "2026062700000001",
    "number": NUMBER,
    "status": "paid",
    "total": "138.00",
    "freight": "10.00",
    "paid_at": "2026-06-27T17:59:58+08:00",
    "lines": [
        {"id": "L1", "sku": "SKU-1001", "quantity": "3", "paid": "118.00"},
        {"id": "L2", "sku": "SKU-1002", "quantity": "1", "paid": "10.00"},
    ],
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["yonyou"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def tenant(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["yonyou"]
    assert isinstance(found, simulator.Simulator)
    return found


@pytest.fixture
def bip(url: engine.Url) -> model.Connection:
    return connection(url)


def native(order: dict[str, Any] | None = None, entity: str = "order", **context: Any) -> dict[str, Any]:
    return yonyou.native(entity, order or ORDER, **context)


def kinds(tenant: simulator.Simulator) -> list[str]:
    return [one.kind for one in tenant.journal.effects]


async def test_two_deliveries_of_one_order_make_one_document(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    first = await hub.call(bip, "sales_order.save", native())
    again = {**native(), "resubmitCheckKey": "another-delivery-of-the-order"}
    second = await hub.call(bip, "sales_order.save", again)
    assert (first.record_id, second.already) == (second.record_id, True)
    assert kinds(tenant) == ["sales_order", "sales_order.audit"]
    [order] = tenant.books.orders.values()
    assert (order["status"], order["nextStatus"], order["payMoney"], order["reight"]) == (
        1,
        "DELIVERGOODS",
        128.0,
        10.0,
    )
    found = await hub.call(bip, "sales_order.get", {"id": first.record_id})
    back = library.shipped("yonyou", "order").from_native(found.data)
    assert (back["id"], back["status"], back["total"]) == (first.record_id, "paid", 128)
    assert back["extra"] == {"shop_number": NUMBER}
    assert [(line["sku"], line["quantity"], line["paid"]) for line in back["lines"]] == [
        ("SKU-1001", 3, 118),
        ("SKU-1002", 1, 10),
    ]


async def test_the_same_key_is_the_same_save_for_an_hour_and_a_duplicate_after_it(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    first = await hub.call(bip, "sales_order.create", native())
    assert (await hub.call(bip, "sales_order.create", native())).record_id == first.record_id
    tenant.ahead = 3700.0
    tenant.gate.tokens = dict.fromkeys(tenant.gate.tokens, time.time() + 9999)
    late = await hub.call(bip, "sales_order.create", native())
    assert (late.record_id, late.already) == (first.record_id, True)
    assert kinds(tenant) == ["sales_order"]


async def test_an_approval_is_waited_for_and_a_rejection_goes_to_a_person(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    tenant.configure({"workflow": True})
    sent = await hub.call(bip, "sales_order.propose", native())
    assert (sent.waiting, sent.data["nextStatus"]) == (True, "APPROVING")
    assert (await hub.call(bip, "sales_order.propose", native(), fresh=False)).waiting
    assert kinds(tenant) == ["sales_order", "sales_order.submit"]
    await control(url, "/approve", number=NUMBER)
    done = await hub.call(bip, "sales_order.propose", native(), fresh=False)
    assert (done.waiting, done.already) == (False, True)
    await control(url, "/reject", number=NUMBER)
    with pytest.raises(errors.Rejected) as caught:
        await hub.call(bip, "sales_order.propose", native(), fresh=False)
    assert caught.value.code == "4"


async def test_a_batch_that_failed_is_no_success_although_its_code_is_200(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    tenant.configure({"workflow": True})
    with pytest.raises(errors.Rejected, match="请先提交") as caught:
        await hub.call(bip, "sales_order.save", native())
    assert caught.value.hint["zh"]
    assert kinds(tenant) == ["sales_order"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"agentId": "CUST9999"}, "CUST9999"),
        ({"payMoney": 127.99}, "合计不一致"),
        ({"salesOrgId": ""}, "salesOrgId"),
    ],
)
async def test_what_the_server_refuses_is_told_in_its_words(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.Rejected, match=words):
        await hub.call(bip, "sales_order.save", {**native(), **change})
    assert not tenant.books.orders


async def test_a_delivery_is_made_from_rows_of_the_order_and_its_waybill_comes_back(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    order = await hub.call(bip, "sales_order.save", native())
    rows = (await hub.call(bip, "sales_order.get", {"id": order.record_id})).data["recordList"]
    shipment = {
        "id": "S1",
        "status": "shipped",
        "order_id": order.record_id,
        "shipped_at": "2026-06-28T10:15:30+08:00",
        "lines": [{"order_line_id": str(row["orderDetailId"]), "quantity": row["qty"]} for row in rows],
    }
    made = await hub.call(bip, "delivery.create", native(shipment, "shipment"))
    again = await hub.call(bip, "delivery.create", native(shipment, "shipment"))
    assert made.record_id == again.record_id
    assert kinds(tenant).count("delivery") == 1
    second = {**native({**shipment, "id": "S2", "tracking_number": "SF9"}, "shipment"), "resubmitCheckKey": "second"}
    saved = await hub.call(bip, "delivery.save", second)
    assert (await hub.call(bip, "delivery.save", second, fresh=False)).record_id == saved.record_id != made.record_id
    assert kinds(tenant)[-2:] == ["delivery", "delivery.audit"]
    told = await control(url, "/ship", number=NUMBER)
    seen = await hub.call(bip, "delivery.get", {"id": told["delivery"]})
    back = library.shipped("yonyou", "shipment").from_native(seen.data)
    assert (back["order_id"], back["tracking_number"], back["status"]) == (order.record_id, told["waybill"], "shipped")
    assert [line["quantity"] for line in back["lines"]] == [3, 1]
    level = (await hub.call(bip, "stock.list", {"sku": "SKU-1001"})).data[0]
    assert library.shipped("yonyou", "inventory").from_native(level)["available"] == 117


async def test_a_customer_is_made_once_and_then_kept_up_to_date(
    hub: client.Client, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    person = {"id": "C1", "name": "张三", "kind": "person", "phone": "13800000001"}
    made = await hub.call(bip, "customer.save", native(person, "customer"))
    assert made.record_id == "C1"
    await hub.call(bip, "customer.save", native({**person, "phone": "13800000002"}, "customer"))
    assert kinds(tenant) == ["customer", "customer.update"]
    back = library.shipped("yonyou", "customer").from_native(tenant.books.customers["C1"])
    assert (back["name"], back["phone"]) == ("张三", "13800000002")


async def test_the_gateway_is_asked_for_once_a_day_and_again_when_it_is_gone(
    tenant: simulator.Simulator, bip: model.Connection
) -> None:
    def later() -> float:
        return time.time() + tenant.ahead

    hub = client.Client(auth.MemoryTokens(later), pacing.LocalPacer(), now=later)

    async def asked() -> list[str]:
        seen = (await hub.probe(bip)).exchanges
        return [one.url.partition("?")[0].rpartition("/")[2] for one in seen]

    try:
        assert await asked() == ["getGatewayAddress", "getAccessToken", "list"]
        tenant.ahead = 7200.0
        assert await asked() == ["getAccessToken", "list"]
        tenant.ahead = 86400.0 + 7200.0
        assert (await asked())[0] == "getGatewayAddress"
    finally:
        await hub.aclose()


async def test_a_tenant_nobody_knows_is_told(hub: client.Client, url: engine.Url) -> None:
    with pytest.raises(errors.Misdeclared) as caught:
        await hub.probe(connection(url, tenant_id="nobody"))
    assert "租户" in caught.value.hint["zh"]


@pytest.mark.parametrize(
    ("settings", "config"),
    [({"app_secret": "0" * 32}, {}), ({}, {"app_key": "x"}), ({"forbidden": ["/yonbip/sd/voucherorder/list"]}, {})],
)
async def test_wrong_credentials_stop_the_connection(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, settings: dict[str, Any], config: dict[str, Any]
) -> None:
    tenant.configure(settings)
    with pytest.raises(errors.CredentialRefused) as caught:
        await hub.probe(connection(url, **config))
    assert caught.value.hint["zh"]
    assert KNOWN["app_secret"] not in repr(caught.value.exchange)


async def test_a_token_refused_in_plain_text_is_renewed(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, bip: model.Connection
) -> None:
    tenant.configure({"plain_refusal": True})
    await hub.probe(bip)
    await control(url, "/expire_tokens")
    assert [one.operation for one in (await hub.probe(bip)).exchanges] == ["account.get", "token", "account.get"]


async def test_no_such_call_is_no_expired_token(hub: client.Client, url: engine.Url, bip: model.Connection) -> None:
    spec = bip.declaration
    gone = spec.operations["stock.list"].model_copy(update={"path": "/yonbip/nothing"})
    changed = spec.model_copy(update={"operations": {**spec.operations, "stock.list": gone}})
    wrong = model.Connection("bip", changed, bip.config, bip.secrets)
    with pytest.raises(errors.Misdeclared) as caught:
        await hub.call(wrong, "stock.list", {"sku": "A"})
    assert caught.value.code == "310404"


# Events.


def hook(body: bytes) -> model.RawHook:
    return model.RawHook("POST", {}, {}, body)


def opened(body: bytes, at: float | None = None, source: str = "push", **config: Any) -> model.VerifiedHook:
    bip = connection("http://127.0.0.1", **config)
    if config.get("app_type") == "isv":
        bip = model.Connection("bip", bip.declaration, bip.config, {**bip.secrets, "aes_key": KNOWN["aes_key"]})
    spec = bip.declaration.events[source].verify
    assert spec is not None
    return verify.verify(hook(body), bip, spec, time.time() if at is None else at)


BILL = {"id": "1", "code": "UO-1", "kind": "voucher_order"}
EVENT = {"type": "SALE_AUDITORDER_NOTIFY_SENT", "eventId": "e-1", "timestamp": 1, "tenantId": "hubtest1"}


@pytest.mark.parametrize("generation", ["new", "old"])
@pytest.mark.parametrize("reply", ["plain", "encrypted"])
def test_both_generations_are_taken_and_answered_in_their_own_way(generation: str, reply: str) -> None:
    settings = {**KNOWN, "generation": generation}
    content = {**EVENT, "content": json.dumps({"BILL_INFO": {"billId": "77", "billCode": "UO-1"}})}
    found = opened(events.sealed(settings, content, time.time()), event_reply=reply)
    [event] = decode.events(registry.get("yonyou"), "push", found.plaintext)
    assert (event.message, event.record, event.dedupe) == ("order", "77", "order:e-1")
    said = found.context["reply"]
    assert events.taken(settings, said if isinstance(said, str) else jsontext.dumps(said).decode())
    assert isinstance(said, str) is (reply == "plain")
    if reply == "encrypted":
        assert ("signature" in said) is (generation == "new")


def test_an_isv_has_its_own_key_and_no_other_will_do() -> None:
    settings = {**KNOWN, "app_type": "isv"}
    body = events.sealed(settings, EVENT, time.time())
    assert opened(body, source="push_isv", app_type="isv").plaintext
    with pytest.raises(errors.HookRefused, match="forged"):
        opened(body)


def envelope(**changes: Any) -> bytes:
    outer = json.loads(events.sealed(KNOWN, EVENT, time.time())) | changes
    return json.dumps({key: value for key, value in outer.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (envelope(signature=None), "unsigned"),
        (envelope(signature=None, msgSignature="0" * 40), "forged"),
        (envelope(nonce=""), "unsigned"),
        (envelope(nonce=["x"]), "unsigned"),
        (envelope(timestamp=True), "unsigned"),
        (envelope(timestamp=1782554400123), "forged"),
        (envelope(encrypt="AAAA"), "forged"),
        (b"[]", "garbled"),
        (b"<xml/>", "garbled"),
    ],
)
def test_envelopes_that_only_look_genuine_are_refused(body: bytes, reason: str) -> None:
    with pytest.raises(errors.HookRefused) as caught:
        opened(body)
    assert caught.value.reason == reason


def signed(text: str, at: float) -> bytes:
    """An envelope around any ciphertext, signed by somebody who has the secret."""
    stamp, nonce = str(int(at * 1000)), "n"
    joined = "".join(sorted([stamp, nonce, text]))
    proof = base64.b64encode(hmac.new(KNOWN["app_secret"].encode(), joined.encode(), hashlib.sha256).digest()).decode()
    return json.dumps({"signature": proof, "timestamp": int(stamp), "nonce": nonce, "encrypt": text}).encode()


def test_the_right_signature_around_the_wrong_thing_is_refused() -> None:
    now = time.time()
    foreign = json.loads(events.sealed({**KNOWN, "app_key": "another"}, EVENT, now))["encrypt"]
    elsewhere = json.loads(events.sealed(KNOWN, {**EVENT, "tenantId": "other"}, now))["encrypt"]
    for text, reason in ((foreign, "forged"), (elsewhere, "forged"), ("A" * 64, "forged")):
        with pytest.raises(errors.HookRefused) as caught:
            opened(signed(text, now))
        assert caught.value.reason == reason
    with pytest.raises(errors.HookRefused) as caught:
        opened(events.sealed(KNOWN, EVENT, now), at=now + 90_100)
    assert caught.value.reason == "stale"


@pytest.mark.peers("wechatpy")
def test_events_are_read_and_written_by_an_independent_cipher() -> None:
    from wechatpy.crypto import PrpCrypto

    box = PrpCrypto(base64.b64decode(signer.cipher_key(KNOWN["app_secret"]) + "="))
    ours = json.loads(events.sealed(KNOWN, EVENT, time.time()))["encrypt"]
    assert json.loads(box.decrypt(ours, KNOWN["app_key"])) == EVENT
    now = time.time()
    theirs = box.encrypt(json.dumps(EVENT), KNOWN["app_key"])
    found = opened(signed(theirs.decode() if isinstance(theirs, bytes) else theirs, now), at=now)
    assert json.loads(found.plaintext)["eventId"] == "e-1"


@pytest.mark.parametrize(
    ("content", "bill"),
    [
        (
            '{"BILL_INFO": {"billId": "1", "billCode": "UO-1", "billNo": "voucher_order"}}',
            BILL,
        ),
        ({"billId": 2293918375186688001}, {"id": "2293918375186688001"}),
        ({"userObject": {"archives": [{"id": 5, "code": "V1"}]}}, {"id": "5", "code": "V1"}),
        ({"archive": {"id": "6"}}, {"id": "6"}),
        ("not json", {}),
        ({"id": True}, {}),
        (None, {}),
        ({"a": {"b": {"c": {"d": {"e": {"f": {"id": 1}}}}}}}, {}),
    ],
)
def test_the_document_is_found_wherever_the_event_has_it(content: Any, bill: dict[str, str]) -> None:
    assert signer.document(content) == bill

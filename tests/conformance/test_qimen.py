"""Qimen: both roles, what is taken apart, what is answered, and two ways to sign empty parameters."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.core import decode, errors, jsontext, model, registry, verify, xmltext
from connectors.qimen import signer, simulator
from mappings import library
from tests.conformance import rehearsal, ruling
from tests.unit.webhooks import door as doors

SPEC = registry.get("qimen")
SECRET = "qimen-demo-secret"
CONFIG = {"role": "erp", "customer_id": "c1600000000001", "app_key": "21000099", "owner_code": "OWN1"}
NOW = datetime(2026, 6, 27, 18, 5, tzinfo=signer.ZONE).timestamp()


def connection(**config: Any) -> model.Connection:
    return model.Connection("wms", SPEC, {**CONFIG, **config}, {"secret": SECRET})


def call(method: str, body: str, *, charset: str = "utf-8", signed: str | None = None, **query: str) -> model.RawHook:
    """A genuine call; ``signed`` replaces the text whose proof it carries."""
    given = {
        "method": method,
        "timestamp": "2026-06-27 18:05:00",
        "format": "xml",
        "app_key": "21000099",
        "v": "2.0",
        "sign_method": "md5",
        "customerId": "c1600000000001",
        **query,
    }
    proof = signer.signature(given, signed if signed is not None else body, SECRET, given["sign_method"])
    headers = {"content-type": f"text/xml;charset={charset}"}
    return model.RawHook("POST", {**given, "sign": proof}, headers, body.encode(charset))


def pieces(hook: model.RawHook, source: str = "confirmations", **config: Any) -> list[model.SourceEvent]:
    """The events in a call, as ingress makes them."""
    opened = connection(**config)
    spec = SPEC.events[source].verify
    assert spec is not None
    verified = verify.verify(hook, opened, spec, NOW)
    return decode.events(SPEC, source, verified.plaintext, opened, verified)


def sample(name: str) -> str:
    return ruling.folder("qimen").samples[name].decode()


# What comes in.


@pytest.mark.parametrize("method", ["deliveryorder.confirm", "taobao.qimen.deliveryorder.confirm"])
def test_both_names_of_a_method_are_understood(method: str) -> None:
    (event,) = pieces(call(method, sample("deliveryorder_confirm.event.xml")))
    assert (event.message, event.entity, event.record) == ("delivery_confirm", "shipment", "DO202606270001")
    read = library.shipped("qimen", "shipment").from_native(json.loads(event.payload), {})
    assert read["id"] == "DO202606270001/SF0000000000001"


@pytest.mark.parametrize(
    ("file", "method", "message"),
    [
        ("returnorder_confirm", "returnorder.confirm", "return_confirm"),
        ("stockchange_report", "stockchange.report", "stock_change"),
    ],
)
def test_sampled_callbacks_mean_what_they_say(file: str, method: str, message: str) -> None:
    (event,) = pieces(call(method, sample(f"{file}.event.xml")))
    assert event.message == message
    assert json.loads(event.payload) == json.loads(sample(f"{file}.parsed.event.json"))


@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        (
            "entryorder.confirm",
            "<request><entryOrder><entryOrderCode>R1</entryOrderCode></entryOrder></request>",
            "entry_confirm",
        ),
        ("sn.report", "<request><order/></request>", "other"),
        ("something.new", "<request/>", "other"),
        (
            "orderprocess.report",
            "<request><order><orderCode>D</orderCode></order><process><processStatus>PICK</processStatus></process></request>",
            "process",
        ),
    ],
)
def test_what_has_no_business_object_is_known_and_recorded(method: str, body: str, message: str) -> None:
    (event,) = pieces(call(method, body))
    assert (event.message, event.entity) == (message, None)


def test_a_parcel_each_a_batch_taken_apart_and_repeats_recognised() -> None:
    def confirm(code: str, *waybills: str) -> str:
        packages = "".join(f"<package><expressCode>{one}</expressCode></package>" for one in waybills)
        return (
            f"<deliveryOrder><deliveryOrderCode>{code}</deliveryOrderCode><outBizCode>O-{code}</outBizCode>"
            f"<confirmType>0</confirmType></deliveryOrder><packages>{packages}</packages>"
        )

    single = f"<request>{confirm('D1', 'A', 'B')}</request>"
    first = pieces(call("deliveryorder.confirm", single))
    assert len({event.dedupe for event in first}) == 2
    assert [event.dedupe for event in pieces(call("deliveryorder.confirm", single))] == [one.dedupe for one in first]
    both = f"<order>{confirm('D1', 'A')}</order><order>{confirm('D2', 'C', 'D')}</order>"
    batch = f"<request><orders>{both}</orders></request>"
    many = pieces(call("deliveryorder.batchconfirm", batch))
    assert [event.record for event in many] == ["D1", "D2", "D2"]
    assert many[0].dedupe == first[0].dedupe, "the same parcel, alone or in a batch"


def test_stock_changes_of_several_items_are_one_event_each_and_ask_for_the_level() -> None:
    items = "".join(
        f"<item><itemCode>{code}</itemCode><outBizCode>S-{code}</outBizCode><quantity>-1</quantity></item>"
        for code in "AB"
    )
    found = pieces(call("stockchange.report", f"<request><items>{items}</items></request>"))
    assert [event.record for event in found] == ["A", "B"]
    assert SPEC.messages["stock_change"].hydrate is not None


def test_two_sales_of_one_piece_are_two_changes_where_the_warehouse_gives_no_number() -> None:
    def sold(order: str, at: str) -> str:
        said = f"<orderCode>{order}</orderCode><changeTime>2026-06-30 {at}</changeTime><quantity>-1</quantity>"
        body = f"<request><items><item><itemCode>A</itemCode>{said}</item></items></request>"
        return pieces(call("stockchange.report", body))[0].dedupe

    assert len({sold("T1", "10:00:00"), sold("T2", "10:00:00"), sold("T2", "10:00:01")}) == 3
    assert sold("T1", "10:00:00") == sold("T1", "10:00:00"), "told again it is the same"


def test_a_signed_parcel_becomes_signed() -> None:
    when = "<operateTime>2026-06-30 10:00:00</operateTime>"
    progress = f"<processStatus>SIGN</processStatus><expressCode>SF1</expressCode>{when}"
    body = f"<request><order><orderCode>D1</orderCode></order><process>{progress}</process></request>"
    (event,) = pieces(call("orderprocess.report", body))
    read = library.shipped("qimen", "signed").from_native(json.loads(event.payload), {})
    assert (read["id"], read["status"]) == ("D1/SF1", "signed")


# Proof.


@pytest.mark.parametrize("way", ["md5", "hmac", "hmac-sha256"])
def test_every_way_of_signing_is_accepted(way: str) -> None:
    assert pieces(call("deliveryorder.confirm", sample("deliveryorder_confirm.event.xml"), sign_method=way))


def test_lower_case_signatures_are_accepted() -> None:
    hook = call("sn.report", "<request/>")
    assert pieces(replace(hook, query={**hook.query, "sign": hook.query["sign"].lower()}))


def test_empty_parameters_count_with_their_names_or_not_at_all() -> None:
    """The vendor's own signing and verifying helpers differ."""
    hook = call("sn.report", "<request/>", session="")
    assert pieces(hook)
    text = "".join(name + value for name, value in sorted(hook.query.items()) if name != "sign")
    named = hashlib.md5(f"{SECRET}{text}<request/>{SECRET}".encode(), usedforsecurity=False).hexdigest().upper()
    assert named != hook.query["sign"]
    assert pieces(replace(hook, query={**hook.query, "sign": named}))


def test_unknown_parameters_are_part_of_the_proof() -> None:
    assert pieces(call("sn.report", "<request/>", partner_id="top-sdk-java-20200101"))
    hook = call("sn.report", "<request/>")
    with pytest.raises(errors.HookRefused, match="forged"):
        pieces(replace(hook, query={**hook.query, "partner_id": "x"}))


def test_a_body_in_gbk_is_signed_as_utf8() -> None:
    progress = "<process><processStatus>PICK</processStatus></process>"
    body = f"<request><order><orderCode>单1</orderCode></order>{progress}</request>"
    (event,) = pieces(call("orderprocess.report", body, charset="gbk"))
    assert "单1" in event.payload.decode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"timestamp": "2026-06-27 17:54:00"}, "stale"),
        ({"timestamp": "2026-06-27 18:16:00"}, "stale"),
        ({"timestamp": "yesterday"}, "garbled"),
        ({"sign_method": "none"}, "garbled"),
        ({"customerId": "c-of-somebody-else"}, "forged"),
    ],
)
def test_calls_that_are_signed_and_still_refused(change: dict[str, str], reason: str) -> None:
    if change.get("sign_method") == "none":
        hook = call("sn.report", "<request/>")
        hook = replace(hook, query={**hook.query, **change})
    else:
        hook = call("sn.report", "<request/>", **change)
    with pytest.raises(errors.HookRefused) as refused:
        pieces(hook)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]><request>&b;</request>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><request/>',
        "<request>",
        "",
        "{}",
    ],
)
def test_hostile_xml_is_refused_although_it_is_signed(body: str) -> None:
    with pytest.raises(errors.HookRefused, match="garbled"):
        pieces(call("sn.report", body))


# The exact replies, through the real front door.


async def test_the_front_door_answers_in_the_standards_words(tmp_path: Path) -> None:
    opened = connection()
    shop = doors.Door("wms", "qimen", doors.ConnectionState.ENABLED, opened)
    async with doors.front(tmp_path, shop, now=lambda: NOW) as front:
        hook = call("deliveryorder.confirm", sample("deliveryorder_confirm.event.xml"))
        headers = [("content-type", "text/xml;charset=utf-8")]
        good = await front.call(hook.body, headers, key="wms", query=urlencode(hook.query))
        assert good is not None
        assert (good.status, good.headers["content-type"]) == (200, "text/xml;charset=utf-8")
        assert xmltext.loads(good.body) == {"flag": "success", "code": "0", "message": "ok"}
        assert len(await front.stored()) == 1
        bad = await front.call(hook.body + b" ", headers, key="wms", query=urlencode(hook.query))
        assert bad is not None
        assert bad.status == 200
        assert xmltext.loads(bad.body) == {
            "flag": "failure",
            "code": "sign-check-failure",
            "message": "Illegal request",
        }
        assert len(await front.stored()) == 1


# What goes out.


@contextlib.asynccontextmanager
async def warehouse(name: str = "main") -> AsyncIterator[tuple[rehearsal.Stage, simulator.Simulator, model.Connection]]:
    async with rehearsal.stage("qimen") as stage:
        found = stage.simulator
        assert isinstance(found, simulator.Simulator)
        yield stage, found, stage.connection(name)


async def test_what_is_signed_is_what_is_sent() -> None:
    async with warehouse() as (stage, simulated, _):
        ran = await stage.rehearse("deliveryorder.create")
        sent = simulated.house.orders["SN202606270001"]["head"]["receiverInfo"]["name"]
        assert sent == "测<试>收件人 & 家人"
        assert ran.outcome.record_id == "SN202606270001"
        shown = repr(ran.outcome.exchanges)
        assert SECRET not in shown
        assert "sign=***" in shown


async def test_a_repeated_order_is_done_whichever_way_the_warehouse_says_it() -> None:
    async with warehouse() as (stage, simulated, connected):
        _, given = await stage.prepared("deliveryorder.create")
        first = await stage.caller.call(connected, "deliveryorder.create", given)
        again = await stage.caller.call(connected, "deliveryorder.create", given)
        assert (first.record_id, again.record_id) == ("SN202606270001", "SN202606270001")
        _, back = await stage.prepared("returnorder.create")
        await stage.caller.call(connected, "returnorder.create", back)
        repeated = await stage.caller.call(connected, "returnorder.create", back)
        assert repeated.already
        assert [effect.kind for effect in simulated.journal.effects] == ["delivery.create", "return.create"]


async def test_a_cancellation_after_picking_is_refused_and_before_it_is_final() -> None:
    async with warehouse() as (stage, simulated, connected):
        connected, given = await stage.prepared("order.cancel")
        simulated.house.orders["SN202606270001"]["status"] = "PICK"
        with pytest.raises(errors.Rejected, match="拣货"):
            await stage.caller.call(connected, "order.cancel", given)
        simulated.house.orders["SN202606270001"]["status"] = "ACCEPT"
        await stage.caller.call(connected, "order.cancel", given)
        assert (await stage.caller.call(connected, "order.cancel", given)).already


async def test_a_lost_answer_to_a_cancellation_is_looked_up() -> None:
    async with warehouse() as (stage, simulated, connected):
        connected, given = await stage.prepared("order.cancel")
        simulated.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await stage.caller.call(connected, "order.cancel", given)
        found = await stage.caller.call(connected, "order.cancel", given, fresh=False)
        assert found.already
        assert [one.operation for one in found.exchanges] == ["deliveryorder.query"]


async def test_a_paused_order_is_not_shipped_and_a_resumed_one_is() -> None:
    async with warehouse() as (stage, simulated, connected):
        connected, given = await stage.prepared("order.pending")
        await stage.caller.call(connected, "order.pending", given)
        assert simulated.house.orders["SN202606270001"]["held"]
        await stage.caller.call(connected, "order.pending", {**given, "actionType": "restore"})
        await stage.do([rehearsal.Step(do="POST /ship", body={"code": "SN202606270001"})])


@pytest.mark.parametrize(
    ("config", "secret", "kind"),
    [
        ({}, "another-secret", errors.CredentialRefused),
        ({"app_key": "other"}, SECRET, errors.CredentialRefused),
        ({"customer_id": "c-nobody"}, SECRET, errors.CredentialRefused),
        ({"owner_code": "NOBODY"}, SECRET, errors.Rejected),
    ],
)
async def test_wrong_settings_are_told_apart(config: dict[str, str], secret: str, kind: type[Exception]) -> None:
    async with warehouse() as (stage, _, connected):
        wrong = model.Connection("w", SPEC, {**connected.config, **config}, {"secret": secret})
        with pytest.raises(kind) as refused:
            await stage.caller.probe(wrong)
        assert getattr(refused.value, "hint", {}).get("zh")


def test_an_inbound_order_is_one_change_of_stock_for_each_of_its_goods() -> None:
    lines = "".join(f"<orderLine><itemCode>I{one}</itemCode><actualQty>{one}</actualQty></orderLine>" for one in (1, 2))
    head = "<entryOrder><entryOrderCode>R1</entryOrderCode><warehouseCode>WH01</warehouseCode></entryOrder>"
    found = pieces(call("entryorder.confirm", f"<request>{head}<orderLines>{lines}</orderLines></request>"))
    assert [(one.message, one.entity, one.record) for one in found] == [
        ("entry_goods", "inventory", "I1"),
        ("entry_goods", "inventory", "I2"),
    ]
    assert len({one.dedupe for one in found}) == 2


async def test_purchases_come_in_and_wholesale_goes_out_once() -> None:
    async with warehouse() as (stage, simulated, connected):
        context = {"config": {"warehouse_code": "WH01", "owner_code": "OWN1", "logistics_code": "SF"}}
        order = {"id": "PO-1", "status": "paid", "total": "0", "created_at": "2026-06-27T17:58:11+08:00"}
        order |= {"receiver": {"name": "门店", "phone": "13800000001"}}
        order |= {"lines": [{"id": "L1", "sku": "TEA-01", "quantity": "5"}]}
        before = simulated.house.stock["TEA-01"]
        entry = library.shipped("qimen", "entry").to_native(order, context)
        assert not (await stage.caller.call(connected, "entryorder.create", entry)).already
        assert (await stage.caller.call(connected, "entryorder.create", entry)).already
        simulated.house.arrived("PO-1")
        assert simulated.house.stock["TEA-01"] == before + 5
        out = library.shipped("qimen", "stockout").to_native({**order, "id": "BO-1", "kind": "wholesale"}, context)
        assert not (await stage.caller.call(connected, "stockout.create", out)).already
        assert (await stage.caller.call(connected, "stockout.create", out)).already
        assert [one.kind for one in simulated.journal.effects] == ["entry.create", "stockout.create"]
        await stage.do([rehearsal.Step(do="POST /ship", body={"code": "BO-1"})])
        told = xmltext.dumps("request", simulated.house.confirmation("BO-1")).decode()
        (event,) = pieces(call("stockout.confirm", told))
        assert (event.message, event.entity, event.record) == ("stockout_confirm", "shipment", "BO-1")
        read = library.shipped("qimen", "shipment").from_native(jsontext.loads(event.payload), {})
        assert (read["order_id"], read["status"], read["lines"][0]["sku"]) == ("BO-1", "shipped", "TEA-01")


async def test_goods_that_are_refused_in_an_accepted_call_are_a_warning() -> None:
    async with warehouse() as (stage, _, connected):
        given = {"id": "P1", "actionType": "add", "items": [{"itemCode": "A", "itemName": "甲"}, {"itemCode": "B"}]}
        found = await stage.caller.call(connected, "items.synchronize", given)
        assert "商品名称为空" in " ".join(found.warnings)


async def test_one_item_and_several_items_read_the_same() -> None:
    async with warehouse() as (stage, simulated, connected):
        simulated.house.stock = {"ONLY": 3}
        rows = [row async for page in stage.caller.pages(connected, "inventory.list", {}) for row in page]
        assert [(row["itemCode"], row["quantity"]) for row in rows] == [("ONLY", "3")]
        simulated.house.stock = {f"I{number}": 1 for number in range(230)}
        rows = [row async for page in stage.caller.pages(connected, "inventory.list", {}) for row in page]
        assert len(rows) == len({row["itemCode"] for row in rows}) == 230, "of three pages"
        level = await stage.caller.call(connected, "inventory.get", {"item": "I7", "warehouse": "WH01"})
        read = library.shipped("qimen", "inventory").from_native(jsontext.loads(jsontext.dumps(level.data)), {})
        assert (read["id"], str(read["available"])) == ("I7@WH01", "1")
        batches = {("I7", "WH01", "ZP", "B1"): 4, ("I7", "WH01", "CC", "B2"): 9, ("I7", "WH02", "ZP", ""): 2}
        simulated.house.batches = batches
        for kinds in (False, True):
            simulated.configure({"every_kind": kinds})
            level = await stage.caller.call(connected, "inventory.get", {"item": "I7", "warehouse": "WH01"})
            read = library.shipped("qimen", "inventory").from_native(jsontext.loads(jsontext.dumps(level.data)), {})
            assert (read["id"], read["available"]) == ("I7@WH01", 5), "regression: two rows of one SKU were no level"
        absent = await stage.caller.call(connected, "inventory.get", {"item": "NONE", "warehouse": "WH01"})
        assert absent.data is None

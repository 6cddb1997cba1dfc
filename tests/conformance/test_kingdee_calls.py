"""Kingdee: our own calls against the simulator: flows, sessions, lost replies, workflows, polls."""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from connectors.core import client, decode, errors, model, registry
from connectors.kingdee import simulator as kingdee
from connectors.kingdee.simulated import forms
from connectors.simulator import engine
from mappings import library
from tests.conformance import kingdee_peer

pytestmark = pytest.mark.peers("k3cloud_webapi_sdk")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["kingdee"]) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> kingdee.Simulator:
    return kingdee_peer.site_of(url)


@pytest.fixture
def k3(url: engine.Url) -> Callable[..., model.Connection]:
    """A connection to the simulator: ``k3(style, **config)``."""
    return functools.partial(kingdee_peer.connection, url)


@pytest.mark.parametrize("style", kingdee_peer.STYLES)
async def test_an_order_is_saved_submitted_and_audited(
    style: str, hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    connection = k3(style)
    assert (await hub.probe(connection)).data == []
    done = await hub.call(connection, "sales_order.save", kingdee_peer.sales_order())
    assert (done.record_id, done.waiting, done.warnings) == ("SN202606270001", False, ())
    assert kingdee_peer.kinds(site, "SN202606270001") == ["sales_order", "sales_order.submit", "sales_order.audit"]
    assert site.door.logins == (0 if style == "signed" else 1)
    back = library.shipped("kingdee", "order").from_native(done.data)
    assert (back["id"], back["status"], back["total"]) == ("SN202606270001", "paid", Decimal(128))
    assert (back["currency"], back["receiver"]) == ("CNY", kingdee_peer.ORDER["receiver"])
    lines = [(line["id"], line["sku"], line["quantity"], line["paid"]) for line in back["lines"]]
    assert lines == [("L1", "SKU-1001", 3, 10), ("L2", "SKU-1002", 1, 118)]
    assert not any(kingdee_peer.KNOWN[key] in repr(done.exchanges) for key in ("app_secret", "password"))


def test_every_key_we_write_is_on_the_form() -> None:
    for entity, form in (("order", "SAL_SaleOrder"), ("customer", "BD_Customer")):
        full = {"salesperson": "XSY0001"}
        given = (
            kingdee_peer.ORDER if entity == "order" else {"id": "C1", "name": "张三", "note": "x", "short_name": "y"}
        )
        native = library.shipped("kingdee", entity).to_native(given, {"config": full})
        known = forms.all_forms()[form]
        assert set(native) <= {known.id_key, known.number_key, *known.fields, *known.entries}
        for key, entry in known.entries.items():
            rows = native.get(key, [])
            for row in [rows] if isinstance(rows, dict) else rows:
                assert set(row) <= set(entry.fields), key


def test_the_order_of_keys_survives() -> None:
    """The site assigns key by key; another order would lose the quantity or the price."""
    row = list(kingdee_peer.sales_order()["FSaleOrderEntry"][0])
    assert row.index("FMaterialId") < row.index("FUnitID") < row.index("FQty") < row.index("FTaxPrice")


@pytest.mark.parametrize(
    ("cut", "left"), [("sales_order", "A"), ("sales_order.submit", "B"), ("sales_order.audit", "C")]
)
async def test_regression_a_lost_reply_never_makes_a_second_document(
    cut: str, left: str, hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    connection = k3()
    site.faults.drop_reply, site.faults.drop_kinds = 1, [cut]
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(connection, "sales_order.save", kingdee_peer.sales_order())
    assert site.books.documents["SAL_SaleOrder"]["SN202606270001"].status == left
    done = await hub.call(connection, "sales_order.save", kingdee_peer.sales_order(), fresh=False)
    assert (done.record_id, done.data["DocumentStatus"]) == ("SN202606270001", "C")
    assert kingdee_peer.kinds(site, "SN202606270001") == ["sales_order", "sales_order.submit", "sales_order.audit"]


async def test_killed_between_save_and_submit_and_started_afresh(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    """Whoever forgot that it had begun is told by the site: the number is taken, so it looks and goes on."""
    connection = k3("app_secret")
    await hub.call(connection, "sales_order.create", kingdee_peer.sales_order())
    done = await hub.call(connection, "sales_order.save", kingdee_peer.sales_order())
    assert done.data["DocumentStatus"] == "C"
    assert kingdee_peer.kinds(site, "SN202606270001") == ["sales_order", "sales_order.submit", "sales_order.audit"]


async def test_an_ended_session_is_renewed_once(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    connection = k3("app_secret")
    await hub.probe(connection)
    assert site.door.expire() == 1
    done = await hub.call(connection, "sales_order.save", kingdee_peer.sales_order())
    assert done.record_id == "SN202606270001"
    assert site.door.logins == 2
    site.ahead += 60 * 21  # idle for longer than a session lives
    assert (await hub.probe(connection)).data
    assert site.door.logins == 3


async def test_wrong_credentials_stop_at_once(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    site.settings["app_secret"] = "another"
    site.settings["password"] = "another"
    for style in kingdee_peer.STYLES:
        with pytest.raises(errors.CredentialRefused) as caught:
            await hub.probe(k3(style))
        assert caught.value.hint["zh"]
        assert caught.value.hint["en"]
    assert site.door.logins == 2


async def test_wrong_data_center_full_house_and_expired_password(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    with pytest.raises(errors.Misdeclared):
        await hub.probe(k3("password", acct_id="0000"))
    site.settings["seats"] = 0
    with pytest.raises(errors.CredentialRefused, match="许可"):
        await hub.probe(k3("password"))
    site.settings["password_expired"] = True
    with pytest.raises(errors.Misdeclared):
        await hub.probe(k3())


async def test_a_busy_site_at_login_is_no_wrong_password(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    site.faults.throttle = 1
    with pytest.raises(errors.Throttled):
        await hub.call(k3("password"), "sales_order.create", kingdee_peer.sales_order())
    site.faults.garbage = 1
    with pytest.raises(errors.Unavailable):
        await hub.call(k3("app_secret"), "sales_order.create", kingdee_peer.sales_order())
    await hub.call(k3("password"), "sales_order.create", kingdee_peer.sales_order())
    assert kingdee_peer.kinds(site, "SN202606270001") == ["sales_order"]


async def test_a_workflow_makes_us_wait_and_a_person_lets_us_go_on(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    connection = k3()
    site.configure({"workflow": ["SAL_SaleOrder"]})
    for fresh in (True, False):
        waits = await hub.call(connection, "sales_order.save", kingdee_peer.sales_order(), fresh=fresh)
        assert waits.waiting
        assert waits.record_id == "SN202606270001"
    async with httpx.AsyncClient() as people:
        await people.post(f"{url}/_sim/kingdee/approve/SN202606270001")
    done = await hub.call(connection, "sales_order.save", kingdee_peer.sales_order(), fresh=False)
    assert not done.waiting
    assert done.data["DocumentStatus"] == "C"
    assert kingdee_peer.kinds(site, "SN202606270001") == ["sales_order", "sales_order.submit", "sales_order.audit"]


async def test_throttled_locked_and_refused(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    connection = k3()
    site.faults.throttle = 1
    with pytest.raises(errors.Throttled) as throttled:
        await hub.call(connection, "sales_order.create", kingdee_peer.sales_order())
    assert throttled.value.code == "14"
    assert throttled.value.retry_after == 30
    await hub.call(connection, "sales_order.create", kingdee_peer.sales_order())
    site.books.locked["SN202606270001"] = site.now() + 60
    with pytest.raises(errors.Unavailable) as locked:
        await hub.call(connection, "sales_order.submit", kingdee_peer.sales_order())
    assert locked.value.code == "13"
    wrong = kingdee_peer.sales_order("SN9")
    wrong["FSaleOrderEntry"][0]["FMaterialId"] = {"FNumber": "NOPE"}
    with pytest.raises(errors.Rejected) as refused:
        await hub.call(connection, "sales_order.save", wrong)
    assert refused.value.code == "9"
    assert "NOPE" in refused.value.message
    assert "物料" in refused.value.hint["zh"]
    assert "SN9" not in site.books.documents["SAL_SaleOrder"]


async def test_a_customer_is_made_then_changed_in_place(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    connection, mapping = k3(), library.shipped("kingdee", "customer")
    person = {"id": "C100001", "name": "张三", "phone": "13800000001"}
    made = await hub.call(connection, "customer.save", mapping.to_native(person, {"config": {}}))
    assert made.record_id == "C100001"
    assert made.data["DocumentStatus"] == "C"
    assert kingdee_peer.kinds(site, "C100001") == ["customer", "customer.submit", "customer.audit"]
    for fresh, name in ((True, "张三丰"), (False, "张三疯")):
        native = mapping.to_native({**person, "name": name}, {"config": {}, "link": {"id": "C100001"}})
        changed = await hub.call(connection, "customer.save", native, fresh=fresh)
        assert mapping.from_native(changed.data)["name"] == name
        assert changed.record_id == "C100001"
    assert kingdee_peer.kinds(site, "C100001")[3:] == ["customer.update", "customer.update"]
    assert site.books.documents["BD_Customer"]["C100001"].main_rows() == []
    kept = site.books.documents["BD_Customer"]["CUST0001"].rows["FT_BD_CUSTCONTACT"]
    shop = mapping.to_native({"id": "x", "name": "新名称"}, {"config": {}, "link": {"id": "CUST0001"}})
    await hub.call(connection, "customer.save", shop)
    assert site.books.documents["BD_Customer"]["CUST0001"].rows["FT_BD_CUSTCONTACT"] == kept


async def test_a_site_that_does_not_let_audited_customers_be_changed(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    site.configure({"audited_edit": False})
    native = library.shipped("kingdee", "customer").to_native({"id": "CUST0001", "name": "新名称"}, {"config": {}})
    with pytest.raises(errors.Rejected, match="不允许修改"):
        await hub.call(k3(), "customer.save", native)


async def test_shipments_are_found_and_read(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    connection, spec = k3(), registry.get("kingdee")
    await hub.call(connection, "sales_order.save", kingdee_peer.sales_order())
    async with httpx.AsyncClient() as people:
        shipped = (await people.post(f"{url}/_sim/kingdee/ship", json={"all": True})).json()["shipped"]
    assert [one["order"] for one in shipped] == ["SN202606270001"]
    events = [decode.event(spec, "shipments", row) for row in await rows(hub, connection, site, "shipment.list")]
    assert len(events) == 2  # one row per line
    assert len({event.dedupe for event in events}) == 1
    event = events[0]
    assert (event.message, event.entity, event.record) == ("outstock_row", "shipment", shipped[0]["shipment"])
    assert event.occurred_at is not None
    assert event.occurred_at.utcoffset() == datetime.timedelta(hours=8)
    seen = await hub.call(connection, "shipment.view", {"FBillNo": event.record})
    record = library.shipped("kingdee", "shipment").from_native(seen.data)
    assert (record["order_id"], record["status"]) == ("SN202606270001", "shipped")
    assert (record["carrier_code"], record["tracking_number"]) == ("SF", shipped[0]["waybill"])
    assert [(line["order_line_id"], line["sku"]) for line in record["lines"]] == [
        ("L1", "SKU-1001"),
        ("L2", "SKU-1002"),
    ]
    changed = [row["FCloseStatus"] for row in await rows(hub, connection, site, "sales_order.list")]
    assert changed == ["B"]
    stock = {row["FMaterialId.FNumber"]: row["FQty"] for row in await rows(hub, connection, site, "inventory.list")}
    assert (stock["SKU-1001"], stock["SKU-1002"]) == (117, -1)


async def rows(hub: client.Client, connection: model.Connection, site: kingdee.Simulator, operation: str) -> list[Any]:
    """What a poll of the last hour reads."""
    end = datetime.datetime.fromtimestamp(site.now() + 60, datetime.UTC)
    window = (end - datetime.timedelta(hours=1), end)
    return [row async for page in hub.pages(connection, operation, {}, window) for row in page]


async def test_polls_page_and_see_only_what_changed(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    connection = k3()
    assert await rows(hub, connection, site, "customer.list") == []
    async with httpx.AsyncClient() as people:
        edited = await people.post(f"{url}/_sim/kingdee/customers/CUST00007", json={"FTEL": "13900000000"})
    assert edited.json()["TEL"] == "13900000000"
    found = await rows(hub, connection, site, "customer.list")
    assert [row["FNumber"] for row in found] == ["CUST00007"]
    seen = await hub.call(connection, "customer.view", {"FNumber": "CUST00007"})
    assert library.shipped("kingdee", "customer").from_native(seen.data)["phone"] == "13900000000"
    for number in ("CUST0001", *(f"CUST{index:05d}" for index in range(1, 501))):
        site.books.documents["BD_Customer"][number].modified = site.local()
    everybody = await rows(hub, connection, site, "customer.list")
    assert len(everybody) == len({row["FNumber"] for row in everybody}) == 501


async def test_auto_ship_and_push(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    connection = k3()
    await hub.call(connection, "sales_order.save", kingdee_peer.sales_order("P1"))
    pushed = await hub.call(connection, "sales_order.push_outstock", {"FBillNo": "P1"})
    assert site.books.documents["SAL_OUTSTOCK"][pushed.record_id or ""].status == "A"
    with pytest.raises(errors.Rejected):
        await hub.call(connection, "sales_order.push_outstock", {"FBillNo": "P1"})
    async with httpx.AsyncClient() as people:
        await people.post(f"{url}/_sim/kingdee/ship", json={"auto": True})
    await hub.call(connection, "sales_order.save", kingdee_peer.sales_order("P2"))
    async with asyncio.timeout(5):
        while site.books.documents["SAL_SaleOrder"]["P2"].close_status != "B":
            await asyncio.sleep(0.005)

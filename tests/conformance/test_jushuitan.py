"""Jushuitan: uploads that never double, documents that split and merge, tokens, limits, and pushes nobody may forge."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from connectors.core import auth, client, decode, errors, grant, model, pacing, registry, verify
from connectors.jushuitan import signer, simulator
from connectors.simulator import engine
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "jushuitan")
KNOWN = simulator.Simulator.SETTINGS
NUMBER = "SN202606270001"
ORDER: dict[str, Any] = {
    "id": "2026062700000001",
    "number": NUMBER,
    "status": "paid",
    "total": "138.00",
    "freight": "0.00",
    "created_at": "2026-06-27T17:58:11+08:00",
    "paid_at": "2026-06-27T17:59:00+08:00",
    "buyer": {"nick": "测试买家01"},
    "receiver": {"name": "测试收件人", "phone": "13800000001"},
    "lines": [
        {"id": "L1", "sku": "SKU-1001", "quantity": "2", "unit_price": "64.00", "paid": "128.00"},
        {"id": "L2", "sku": "SKU-1002", "quantity": "1", "unit_price": "10.00", "paid": "10.00"},
    ],
}
MAPPINGS = {key: library.shipped("jushuitan", key) for key in ("order", "order_group", "shipment", "inventory")}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jushuitan"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def tenant(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["jushuitan"]
    assert isinstance(found, simulator.Simulator)
    return found


@pytest.fixture
def jst(url: engine.Url) -> model.Connection:
    return connection(url)


def connection(url: str, **config: Any) -> model.Connection:
    given = {"base_url": f"{url}/jushuitan", "app_key": KNOWN["app_key"], "shop_id": KNOWN["shop_id"], **config}
    secrets = {key: KNOWN[key] for key in ("app_secret", "auth_code", "push_token")}
    return model.Connection("jst", registry.get("jushuitan"), given, secrets)


def native(order: dict[str, Any], **config: Any) -> dict[str, Any]:
    written: dict[str, Any] = MAPPINGS["order"].to_native(order, {"config": {"shop_id": KNOWN["shop_id"], **config}})
    return written


async def group(hub: client.Client, jst: model.Connection, number: str = NUMBER) -> dict[str, Any]:
    """The shop's order as its documents tell it."""
    found = await hub.call(jst, "order.get", {"so_id": number})
    read: dict[str, Any] = MAPPINGS["order_group"].from_native(found.data, {"event": {"record": number}})
    return read


async def rows(hub: client.Client, jst: model.Connection, operation: str) -> list[Any]:
    now = datetime.now(UTC)
    window = (now - timedelta(hours=1), now + timedelta(minutes=5))
    return [row async for page in hub.pages(jst, operation, {}, window) for row in page]


async def test_an_order_uploaded_again_is_the_same_order(
    hub: client.Client, tenant: simulator.Simulator, jst: model.Connection
) -> None:
    first = await hub.call(jst, "order.upload", native(ORDER))
    assert first.record_id == NUMBER
    await hub.call(jst, "order.upload", native(ORDER))
    noted = {**ORDER, "seller_note": "请用顺丰"}
    await hub.call(jst, "order.upload", native(noted))
    assert [row["remark"] for row in tenant.erp.documents.values()] == ["请用顺丰"]
    assert [one.kind for one in tenant.journal.effects] == ["order.upload", "order.update"]
    row = (await rows(hub, jst, "order.list"))[0]
    back = MAPPINGS["order"].from_native(row)
    assert (back["id"], back["status"], back["hold"]) == (NUMBER, "paid", False)


async def test_what_must_not_be_shipped_is_not_shipped(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, jst: model.Connection
) -> None:
    await hub.call(jst, "order.upload", native({**ORDER, "hold": True}))
    assert [row["status"] for row in tenant.erp.documents.values()] == ["WaitPay"]
    await hub.call(jst, "order.upload", native(ORDER))
    assert [row["status"] for row in tenant.erp.documents.values()] == ["WaitConfirm"]
    lines = [{**ORDER["lines"][0], "refund_status": "open"}, ORDER["lines"][1]]
    await hub.call(jst, "order.upload", native({**ORDER, "lines": lines}))
    assert [row["question_type"] for row in tenant.erp.documents.values()] == ["退款中"]
    assert (await group(hub, jst))["hold"] is True
    await hub.call(jst, "order.upload", native({**ORDER, "status": "closed"}))
    assert (await group(hub, jst))["status"] == "closed"


async def test_a_split_order_is_shipped_only_when_every_part_is(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, jst: model.Connection
) -> None:
    await hub.call(jst, "order.upload", native(ORDER))
    await control(url, "/split", so_id=NUMBER, quantities=[1, 1])
    split = await group(hub, jst)
    assert (split["status"], split["total"]) == ("paid", 138)
    assert sum(line["quantity"] for line in split["lines"]) == 3
    found = {row["status"]: decode.event(jst.declaration, "orders", row, jst) for row in tenant.erp.documents.values()}
    assert {event.message for event in found.values()} == {"order_parts"}
    await control(url, "/ship", so_id=NUMBER, first=True)
    assert (await group(hub, jst))["status"] == "partially_shipped"
    await control(url, "/ship", so_id=NUMBER)
    assert (await group(hub, jst))["status"] == "shipped"
    told = [MAPPINGS["shipment"].from_native(row) for row in await rows(hub, jst, "shipment.list")]
    assert len({one["id"] for one in told}) == 2
    assert {one["order_id"] for one in told} == {NUMBER}
    assert sum(line["quantity"] for one in told for line in one["lines"]) == 3


async def test_a_parcel_of_merged_orders_ships_each_of_them(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, jst: model.Connection
) -> None:
    other = {**ORDER, "id": "2", "number": "SN2", "total": "10.00", "lines": [{**ORDER["lines"][1], "id": "M1"}]}
    for order in (ORDER, other):
        await hub.call(jst, "order.upload", native(order))
    await control(url, "/merge", so_ids=[NUMBER, "SN2"])
    await control(url, "/ship", so_id=NUMBER)
    polled = [MAPPINGS["shipment"].from_native(row) for row in await rows(hub, jst, "shipment.list")]
    assert {one["order_id"]: [line["order_line_id"] for line in one["lines"]] for one in polled} == {
        NUMBER: ["L1", "L2"],
        "SN2": ["M1"],
    }
    assert len({one["tracking_number"] for one in polled}) == 1
    assert (await group(hub, jst, "SN2"))["status"] == "shipped"
    pushed = json.loads(registry.folder("jushuitan").joinpath("samples/shipment_push.merged.event.json").read_text())
    facts = [MAPPINGS["shipment"].from_native(fact) for fact in signer.facts(pushed)]
    assert [(one["order_id"], len(one["lines"])) for one in facts] == [(NUMBER, 1), ("SN202606270003", 1)]


async def test_shipping_lowers_what_may_be_sold(hub: client.Client, url: engine.Url, jst: model.Connection) -> None:
    async def level() -> tuple[Any, Any]:
        found = await hub.call(jst, "stock.get", {"sku_id": "SKU-1001"})
        read = MAPPINGS["inventory"].from_native(found.data)
        return read["available"], read["on_hand"]

    assert await level() == (120, 120)
    await hub.call(jst, "order.upload", native(ORDER))
    assert await level() == (118, 120)
    await control(url, "/ship", so_id=NUMBER)
    assert await level() == (118, 118)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"config": {"shop_id": 99}}, errors.Misdeclared, "店铺编号[99]不存在"),
        ({"lines": []}, errors.Rejected, "商品明细不能为空"),
    ],
)
async def test_a_refused_row_inside_code_0_is_no_success(
    hub: client.Client,
    tenant: simulator.Simulator,
    jst: model.Connection,
    change: dict[str, Any],
    kind: Any,
    words: str,
) -> None:
    config = change.pop("config", {})
    with pytest.raises(kind) as caught:
        await hub.call(jst, "order.upload", native({**ORDER, **change}, **config))
    assert words in caught.value.message
    assert caught.value.hint["zh"]
    assert not tenant.erp.documents


async def test_a_biz_that_wraps_the_orders_is_refused(url: engine.Url, tenant: simulator.Simulator) -> None:
    token = tenant.gate.token({"grant_type": "authorization_code", "code": "abcdef"}, own=True)["access_token"]
    request = model.Request(
        "POST", "", form={"access_token": token, "biz": json.dumps({"orders": [native(ORDER)]}, default=float)}
    )
    signer.sign(request, connection(url), datetime.now(UTC).timestamp())
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/jushuitan/open/jushuitan/orders/upload", data=request.form)
    assert answer.json()["code"] == 130
    assert not tenant.erp.documents


async def test_a_window_of_more_than_a_week_is_refused(hub: client.Client, jst: model.Connection) -> None:
    now = datetime.now(UTC)
    with pytest.raises(errors.Rejected, match="七天"):
        async for _ in hub.pages(jst, "order.list", {}, (now - timedelta(days=8), now)):
            pass


async def test_pages_are_read_from_the_last_one_back(
    hub: client.Client, url: engine.Url, jst: model.Connection
) -> None:
    await control(url, "/orders", count=120)
    found = await rows(hub, jst, "order.list")
    assert len(found) == 120
    assert len({row["o_id"] for row in found}) == 120


async def test_an_isv_code_works_once_and_then_a_person_is_needed(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator
) -> None:
    tenant.configure({"app_type": "isv"})
    isv = connection(url, app_type="isv")
    assert (await hub.probe(isv)).data
    await control(url, "/expire_tokens")
    with pytest.raises(errors.CredentialRefused) as caught:
        await hub.probe(isv)
    assert "重新" in caught.value.hint["zh"]
    assert KNOWN["auth_code"] not in repr(caught.value.exchange)
    code = (await control(url, "/authorize"))["code"]
    again = model.Connection("jst", isv.declaration, isv.config, {**isv.secrets, "auth_code": code})
    assert (await hub.probe(again)).data


async def test_an_edit_of_the_connection_cost_an_isv_its_authorisation(
    tenant: simulator.Simulator, url: engine.Url
) -> None:
    """The code of an ISV works once: what it brought was thrown away by any edit, and the merchant asked again."""
    tenant.configure({"app_type": "isv"})
    isv, store = connection(url, app_type="isv"), auth.MemoryTokens()
    async with contextlib.aclosing(client.Client(store, pacing.LocalPacer())) as hub:
        await hub.probe(isv)
        kept = await store.kept(isv.key)
        assert kept is not None
        assert (grant.granted_until(kept.extra) or 0) > time.time() + 20 * 86400
        # So an edit or a pause leaves it in the ledger.
        store._tokens[isv.key] = dataclasses.replace(kept, expires_at=0)
        assert [one.operation for one in (await hub.probe(isv)).exchanges] == [isv.declaration.probe]
        code = (await control(url, "/authorize"))["code"]
        store._tokens[isv.key] = dataclasses.replace(kept, expires_at=0)
        again = dataclasses.replace(isv, secrets={**isv.secrets, "auth_code": code})
        assert (await hub.probe(again)).exchanges[0].operation == "token"


async def test_a_token_is_made_to_last_half_a_day_before_its_end(
    tenant: simulator.Simulator, jst: model.Connection
) -> None:
    now = time.time

    def later() -> float:
        return now() + tenant.ahead

    hub = client.Client(auth.MemoryTokens(later), pacing.LocalPacer(), now=later)
    try:
        await hub.probe(jst)
        [(token, until)] = tenant.gate.tokens.items()
        tenant.ahead = until - now() - signer.MARGIN + 60
        seen = (await hub.call(jst, "stock.get", {"sku_id": "SKU-1001"})).exchanges
        assert seen[0].url.endswith(signer.RENEW)
        [(same, longer)] = tenant.gate.tokens.items()
        assert (same, longer > until) == (token, True)
        tenant.gate.tokens[token] = 0.0  # withdrawn before its time: a new one, not a longer one
        seen = (await hub.call(jst, "stock.get", {"sku_id": "SKU-1001"})).exchanges
        assert [one.url.rpartition("/")[2] for one in seen] == ["query", "getInitToken", "query"]
        assert token not in repr(seen)
    finally:
        await hub.aclose()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"app_secret": "0" * 32}, errors.CredentialRefused),
        ({"forbidden": ["/open/shops/query"]}, errors.CredentialRefused),
    ],
)
async def test_credentials_that_are_wrong_stop_the_connection(
    hub: client.Client, tenant: simulator.Simulator, jst: model.Connection, settings: dict[str, Any], kind: Any
) -> None:
    tenant.configure(settings)
    with pytest.raises(kind) as caught:
        await hub.probe(jst)
    assert caught.value.hint["zh"]


async def test_a_clock_that_is_wrong_is_told(
    hub: client.Client, tenant: simulator.Simulator, jst: model.Connection
) -> None:
    await hub.probe(jst)
    tenant.ahead = 1000.0
    with pytest.raises(errors.Misdeclared) as caught:
        await hub.probe(jst)
    assert "校时" in caught.value.hint["zh"]


async def test_the_sixth_call_of_a_second_is_throttled(
    url: engine.Url, tenant: simulator.Simulator, jst: model.Connection
) -> None:
    tenant.configure({"enforce_limits": True})

    class Eager(pacing.LocalPacer):
        async def acquire(self, connection: model.Connection, operation: str, given: Any = None) -> None:
            return None

    eager = client.Client(auth.MemoryTokens(), Eager())
    try:
        for _ in range(5):
            await eager.probe(jst)
        with pytest.raises(errors.Throttled) as caught:
            await eager.probe(jst)
        assert caught.value.retry_after == 1
    finally:
        await eager.aclose()


def hook(form: dict[str, str] | str, **query: str) -> model.RawHook:
    body = form if isinstance(form, str) else urlencode(form)
    return model.RawHook("POST", query, {}, body.encode())


def signed(**changes: str) -> dict[str, str]:
    form = {
        "app_key": KNOWN["app_key"],
        "timestamp": "1782554400",
        "charset": "utf-8",
        "biz": '{"so_id":"S1","l_id":"SF1","o_id":1}',
    }
    form |= changes
    return {**form, "sign": signer.signature(form, KNOWN["app_secret"])}


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (urlencode(signed()) + "&biz=%7B%7D", "garbled"),
        (urlencode(signed()) + "&so_id=S2", "forged"),
        (signed(app_key="hubdemo0000000000000000000000002"), "forged"),
        (signed(timestamp="1782554400x"), "garbled"),
        (signed(timestamp="1782454400"), "stale"),
        (signed(biz="{"), "garbled"),
        (signed(biz='{"a":NaN}'), "garbled"),
        ({**signed(), "sign": signed()["sign"].upper()}, "forged"),
        ({key: value for key, value in signed().items() if key != "sign"}, "unsigned"),
        (signed()["biz"], "garbled"),
        ("biz=%FF%FE&sign=x&app_key=y&timestamp=1", "forged"),
        ("&".join(f"a{number}=1" for number in range(60)), "garbled"),
    ],
)
def test_pushes_that_only_look_genuine_are_refused(form: Any, reason: str) -> None:
    spec = registry.get("jushuitan").events["push"].verify
    assert spec is not None
    with pytest.raises(errors.HookRefused) as caught:
        verify.verify(hook(form), connection("http://127.0.0.1"), spec, 1782554400.0)
    assert caught.value.reason == reason


def test_a_genuine_push_and_what_is_in_it() -> None:
    jst = connection("http://127.0.0.1")
    spec = jst.declaration.events["push"].verify
    assert spec is not None

    def told(biz: Any) -> list[tuple[str, str | None]]:
        proven = verify.verify(hook(signed(biz=json.dumps(biz))), jst, spec, 1782554401.0)
        events = decode.events(jst.declaration, "push", proven.plaintext, jst, proven)
        return [(event.message, event.record) for event in events]

    assert told({"so_id": "S1", "l_id": "SF1", "o_id": 1}) == [("shipment_push", "S1")]
    assert told({"so_id": "S1", "o_id": 1, "remark": "x"}) == [("cancel_push", "S1")]
    assert told({"as_id": 7, "so_id": "S1", "l_id": "YT1", "items": []}) == [("refund_push", "7")]
    assert told({"datas": [{"sku_id": "A"}, {"sku_id": "B"}]}) == [("stock_push", "A"), ("stock_push", "B")]
    assert told([{"sku_id": "A"}]) == [("stock_push", "A")]
    merged = {"so_id": "S1", "l_id": "SF1", "items": [{"so_id": "S1"}, {"so_id": "S2"}, {"qty": 1}]}
    assert told(merged) == [("shipment_push", "S1"), ("shipment_push", "S2")]
    assert told({"hello": 1}) == [("unknown", None)]

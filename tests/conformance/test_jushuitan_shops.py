"""Jushuitan: shops on one connection, what an upload became, returns that came in short, the trial environment."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.core import answer, client, errors, failure, model, registry
from connectors.jushuitan import signer, simulator
from connectors.simulator import engine
from mappings import library
from tests.conformance import panel

control = functools.partial(panel.control, "jushuitan")
KNOWN = simulator.Simulator.SETTINGS
SHOPS = {"示例旗舰店": 10000002}
ORDER: dict[str, Any] = {
    "id": "SN1",
    "status": "paid",
    "shop": "示例旗舰店",
    "total": "64.00",
    "paid_at": "2026-06-27T17:59:00+08:00",
    "buyer": {"nick": "测试买家01"},
    "lines": [{"id": "L1", "sku": "SKU-1001", "quantity": "1", "unit_price": "64.00", "paid": "64.00"}],
}
CONTEXT: dict[str, Any] = {"config": {"shop_id": KNOWN["shop_id"], "shops": SHOPS}, "order": {"shop": "示例旗舰店"}}
MAPPINGS = {key: library.shipped("jushuitan", key) for key in ("order", "after_sale", "shipment")}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jushuitan"], time_scale=0.001) as base:
        yield base


@pytest.fixture
def tenant(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["jushuitan"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(url: str, **config: Any) -> model.Connection:
    given = {"base_url": f"{url}/jushuitan", "app_key": KNOWN["app_key"], "shop_id": KNOWN["shop_id"], **config}
    return model.Connection("jst", registry.get("jushuitan"), given, {"app_secret": KNOWN["app_secret"]})


def native(entity: str, record: dict[str, Any]) -> Any:
    return MAPPINGS[entity].to_native(record, CONTEXT)


async def test_what_belongs_to_an_order_goes_to_the_shop_of_the_order(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator
) -> None:
    jst = connection(url, check_uploads="no")
    await hub.call(jst, "order.upload", native("order", ORDER))
    lines = [{"order_line_id": "L1", "sku": "SKU-1001", "quantity": "1"}]
    after = {"id": "RF1", "kind": "return", "status": "requested", "order_id": "SN1", "lines": lines}
    with pytest.raises(errors.Rejected, match="原始订单不存在"):
        await hub.call(jst, "refund.upload", {**native("after_sale", after), "shop_id": KNOWN["shop_id"]})
    await hub.call(jst, "refund.upload", native("after_sale", after))
    sent = {"id": "SH1", "status": "shipped", "order_id": "SN1", "carrier_code": "SF", "tracking_number": "SF9"}
    await hub.call(jst, "shipment.upload", native("shipment", sent))
    assert [row["status"] for row in tenant.erp.documents.values()] == ["Sent"]


async def test_an_upload_that_became_a_problem_says_so(hub: client.Client, url: engine.Url) -> None:
    jst = connection(url)
    assert (await hub.call(jst, "order.upload", native("order", ORDER))).warnings == ()
    unknown = {**ORDER, "id": "SN2", "lines": [{**ORDER["lines"][0], "sku": "没见过"}]}
    told = await hub.call(jst, "order.upload", native("order", unknown))
    assert (told.record_id, "商品编码缺失" in str(told.warnings)) == ("SN2", True)
    silent = connection(url, check_uploads="no")
    assert (await hub.call(silent, "order.upload", native("order", {**unknown, "id": "SN3"}))).warnings == ()


async def test_a_return_tells_what_came_in(hub: client.Client, url: engine.Url) -> None:
    jst = connection(url, check_uploads="no")
    three = [{**ORDER["lines"][0], "quantity": "3", "unit_price": "64.00", "paid": "192.00"}]
    await hub.call(jst, "order.upload", native("order", {**ORDER, "total": "192.00", "lines": three}))
    lines = [{"order_line_id": "L1", "sku": "SKU-1001", "quantity": "3"}]
    after = {"id": "RF1", "kind": "return", "status": "returning", "order_id": "SN1", "lines": lines}
    await hub.call(jst, "refund.upload", native("after_sale", after))
    await control(url, "/refunds/SN1/confirm", received=2)
    row = (await hub.call(jst, "refund.find", {"so_id": "SN1"})).data["datas"][0]
    back = MAPPINGS["after_sale"].from_native(row)
    assert (back["status"], [line["quantity"] for line in back["lines"]]) == ("done", [2])


async def test_the_trial_environment_has_a_token_address_of_its_own(
    hub: client.Client, url: engine.Url, tenant: simulator.Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"dev-api.jushuitan.com"} == set(signer.SANDBOXES)
    monkeypatch.setattr(signer, "SANDBOXES", {urlsplit(url).netloc})
    with pytest.raises(errors.Unavailable):
        await hub.probe(connection(url))
    tenant.configure({"sandbox": True})
    seen = (await hub.probe(connection(url))).exchanges
    assert urlsplit(seen[0].url).path == f"/jushuitan{signer.SANDBOX_INIT}"


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (150, "系统内部错误，请稍后再试", errors.Unavailable),
        (150, "不允许刷新", errors.CredentialRefused),
        (140, "调用太频繁", errors.Throttled),
        (200, "每分钟调用次数超过限制", errors.Throttled),
        (10, "无效签名", errors.CredentialRefused),
    ],
)
async def test_a_token_request_that_fails_stops_the_connection_only_for_a_reason(
    code: int, words: str, kind: type[Exception]
) -> None:
    async def send(_request: model.Request) -> answer.Answer:
        content = f'{{"code":{code},"msg":"{words}","data":null}}'.encode()
        return answer.Answer(200, {"content-type": "application/json"}, content)

    with pytest.raises(kind):
        await signer.login(send, connection("http://127.0.0.1"), datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    ("code", "words", "becomes"),
    [
        (100, "access_token已失效", "token"),
        (140, "Token无效", "token"),
        (10, "access_token不存在", "token"),
        (10, "无效签名", "credential"),
        (120, "Invalid sign", "credential"),
        (130, "biz参数为空", "rejected"),
        (140, "时间戳无效", "misdeclared"),
    ],
)
def test_both_tables_of_codes_are_understood(code: int, words: str, becomes: str) -> None:
    spec = registry.get("jushuitan")
    content = f'{{"code":{code},"msg":"{words}","data":null}}'.encode()
    got = answer.Answer(200, {"content-type": "application/json"}, content)
    found = failure.Reader(spec, spec.operations["order.get"]).finding(got, safe=True)
    assert found.becomes == becomes


def test_pushing_the_order_again_is_what_stops_it() -> None:
    assert registry.get("jushuitan").operations["order.upload"].purpose == "stop"
    closed = native("order", {**ORDER, "status": "closed"})
    assert (closed["shop_status"], closed["shop_id"]) == ("TRADE_CLOSED", 10000002)


def test_calls_of_one_api_share_its_limit() -> None:
    shared = [limit.operations for limit in registry.get("jushuitan").pacing.scopes if limit.scope == "shop"]
    for api in (["refund.list", "refund.get", "refund.find"], ["order.list", "order.get", "order.check"]):
        assert shared.count(api) == 2

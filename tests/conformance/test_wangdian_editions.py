"""Wangdiantong: whose operations are whose, what one refused document may stop, several parcels of one order."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.core import answer, errors, failure, registry
from connectors.wangdian import simulator
from connectors.wangdian.simulated import shapes
from mappings import library
from tests.conformance import rehearsal

SPEC = registry.get("wangdian")
RECORD: dict[str, Any] = {
    "id": "T1",
    "status": "paid",
    "total": "64.00",
    "created_at": "2026-06-27T17:58:11+08:00",
    "paid_at": "2026-06-27T17:59:00+08:00",
    "receiver": {
        "name": "测试收件人",
        "phone": "13800000001",
        "address": {"province": "浙江省", "city": "杭州市", "district": "西湖区", "street": "文三路1号"},
    },
    "lines": [{"id": "T1-1", "sku": "TEA-01", "title": "绿茶", "quantity": "1", "unit_price": "64.00"}],
}


def test_every_operation_of_an_edition_says_so() -> None:
    families = {"qjb": {"qjb"}, "qyb": {"qyb", "y"}}
    for name, operation in SPEC.operations.items():
        if name == SPEC.probe:
            continue
        said = operation.when["edition"]
        assert {said} if isinstance(said, str) else set(said) <= families[name.partition(".")[0]], name


@pytest.mark.parametrize("name", ["qjb.order.push", "qyb.order.push"])
def test_pushing_again_is_what_stops_an_order(name: str) -> None:
    assert SPEC.operations[name].purpose == "stop"


@pytest.mark.parametrize(
    ("operation", "member", "code", "words", "becomes"),
    [
        ("qjb.order.push", "status", 99, "系统异常", "unavailable"),
        ("qyb.order.push", "code", 99, "订单不允许修改", "rejected"),
        ("qyb.order.push", "code", 99, "货品 design-01 不存在", "rejected"),
        ("qyb.order.push", "code", 2830, "assign参数无效", "rejected"),
        ("qjb.order.push", "status", 100, "appkey员工没有此仓库", "rejected"),
        ("qyb.order.push", "code", 1006, "sign签名错误", "credential"),
        ("qyb.order.push", "code", 2830, "sign签名错误", "credential"),
        ("qyb.order.push", "code", 1009, "appkey不存在", "credential"),
        ("qyb.order.push", "code", 160, "sign error", "credential"),
    ],
)
def test_words_about_one_document_do_not_stop_the_connection(
    operation: str, member: str, code: int, words: str, becomes: str
) -> None:
    content = f'{{"{member}":{code},"message":"{words}"}}'.encode()
    got = answer.Answer(200, {"content-type": "application/json"}, content)
    assert failure.Reader(SPEC, SPEC.operations[operation]).finding(got, safe=False).becomes == becomes


async def test_a_passing_fault_of_the_flagship_is_no_dead_letter() -> None:
    async with rehearsal.stage("wangdian") as stage:
        connection = stage.connection("main")
        given = library.shipped("wangdian", "qjb_order").to_native(RECORD, {"config": dict(connection.config)})
        stage.simulator.configure({"faulty": True})
        with pytest.raises(errors.Unavailable):
            await stage.caller.call(connection, "qjb.order.push", given)
        stage.simulator.configure({"faulty": False})
        await stage.caller.call(connection, "qjb.order.push", given)


async def test_the_waybills_of_every_parcel_are_there() -> None:
    async with rehearsal.stage("wangdian") as stage:
        connection = stage.connection("main")
        given = library.shipped("wangdian", "qjb_order").to_native(RECORD, {"config": dict(connection.config)})
        await stage.caller.call(connection, "qjb.order.push", given)
        tenant = stage.simulator
        assert isinstance(tenant, simulator.Simulator)
        sent = tenant.tenant.ship("T1", simulator.CARRIERS["SF"], parcels=3)
        told = library.shipped("wangdian", "stockout").from_native(shapes.stockout(sent))
        assert (told["tracking_number"], told["extra"]["parcels"]) == (sent.waybill, sent.more)

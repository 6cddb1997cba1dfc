"""Qimen: which orders are stopped and how, what a status means, counts, and calls that are genuine but not ours."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.core import answer, errors, failure, jsontext, xmltext
from connectors.qimen import simulator
from mappings import library
from tests.conformance import rehearsal
from tests.conformance.test_qimen import NOW, SPEC, call, connection, pieces
from tests.unit.webhooks import door as doors

NUMBER = "SN202606270001"


@contextlib.asynccontextmanager
async def created() -> AsyncIterator[tuple[rehearsal.Stage, simulator.Simulator]]:
    async with rehearsal.stage("qimen") as stage:
        assert isinstance(stage.simulator, simulator.Simulator)
        await stage.rehearse("deliveryorder.create")
        yield stage, stage.simulator


def stopping(**state: Any) -> Any:
    return library.shipped("qimen", "stop").to_native({"id": NUMBER, "status": "paid", "total": "69.00", **state}, {})


def test_one_operation_stops_orders() -> None:
    named = [name for name, one in SPEC.operations.items() if one.purpose == "stop"]
    assert named == ["order.cancel"], "pausing needs somebody who resumes: a recipe does not do that"
    assert (SPEC.operations["order.cancel"].entity, SPEC.operations["order.cancel"].kind) == ("order", "act")


async def test_an_order_on_hold_is_paused_and_only_a_closed_one_is_cancelled() -> None:
    async with created() as (stage, simulated):
        connected, one = stage.connection("main"), simulated.house.orders[NUMBER]
        seen = []
        for state in ({"hold": True}, {}, {"hold": True, "status": "closed"}):
            await stage.caller.call(connected, "order.stop", stopping(**state))
            seen.append((one["held"], one["status"]))
        assert seen == [(True, "ACCEPT"), (False, "ACCEPT"), (False, "CANCELED")]
        again = await stage.caller.call(connected, "order.stop", stopping(status="closed"))
        assert again.already


async def test_what_was_picked_is_not_stopped_and_a_person_hears_of_it() -> None:
    async with created() as (stage, _):
        await stage.do([rehearsal.Step(do="POST /pick", body={"code": NUMBER})])
        with pytest.raises(errors.Rejected, match="不能取消"):
            await stage.caller.call(stage.connection("main"), "order.stop", stopping(status="closed"))


async def test_a_lost_answer_to_a_stop_is_looked_up() -> None:
    async with created() as (stage, simulated):
        connected, given = stage.connection("main"), stopping(status="closed")
        simulated.faults.drop_reply = 1
        with pytest.raises(errors.OutcomeUnknown):
            await stage.caller.call(connected, "order.stop", given)
        found = await stage.caller.call(connected, "order.stop", given, fresh=False)
        assert (found.already, [one.operation for one in found.exchanges]) == (True, ["deliveryorder.query"])


@pytest.mark.parametrize(
    ("status", "message", "entity", "words"),
    [
        ("REJECT", "progress_trouble", "message", "仓库拒单"),
        ("CANCELED", "progress_trouble", "message", "仓库已取消"),
        ("EXCEPTION", "progress_trouble", "message", "仓库异常"),
        ("PICK", "process", None, ""),
        ("DELIVERED", "process", None, ""),
    ],
)
def test_an_order_that_the_warehouse_gave_up_is_told(status: str, message: str, entity: str | None, words: str) -> None:
    process = f"<processStatus>{status}</processStatus><operateTime>2026-06-28 09:00:00</operateTime>"
    body = f"<request><order><orderCode>D1</orderCode></order><process>{process}</process></request>"
    (event,) = pieces(call("orderprocess.report", body))
    assert (event.message, event.entity) == (message, entity)
    if entity:
        read = library.shipped("qimen", "progress").from_native(jsontext.loads(event.payload), {})
        assert read["text"] == f"订单 D1：{words}"


def test_the_warehouse_of_a_count_stands_beside_each_of_its_items() -> None:
    def told(*items: str) -> list[dict[str, Any]]:
        rows = "".join(f"<item>{item}</item>" for item in items)
        head = "<warehouseCode>WH01</warehouseCode><checkOrderCode>PD1</checkOrderCode>"
        found = pieces(call("inventory.report", f"<request>{head}<items>{rows}</items></request>"))
        assert {event.message for event in found} == {"stock_change"}
        return [jsontext.loads(event.payload)["items"]["item"][0] for event in found]

    one, two = "<itemCode>A</itemCode><quantity>1</quantity>", "<itemCode>B</itemCode><quantity>-1</quantity>"
    assert [row["warehouseCode"] for row in told(one)] == ["WH01"]
    other = f"{two}<warehouseCode>WH02</warehouseCode>"
    assert [row["warehouseCode"] for row in told(one, two, other)] == ["WH01", "WH01", "WH02"]


@pytest.mark.parametrize(
    ("role", "method", "code", "stored"),
    [
        ("erp", "deliveryorder.create", "unsupported-method", 1),
        ("erp", "taobao.qimen.stockout.create", "unsupported-method", 1),
        ("wms", "inventory.query", "unsupported-method", 1),
        ("wms", "deliveryorder.confirm", "unsupported-method", 1),
        ("wms", "order.cancel", "S001", 1),
    ],
)
async def test_a_genuine_call_that_is_not_ours_is_no_wrong_signature(
    tmp_path: Path, role: str, method: str, code: str, stored: int
) -> None:
    shop = doors.Door("wms", "qimen", doors.ConnectionState.ENABLED, connection(role=role))
    async with doors.front(tmp_path, shop, now=lambda: NOW) as front:
        hook, headers = call(method, "<request/>"), [("content-type", "text/xml;charset=utf-8")]
        said = await front.call(hook.body, headers, key="wms", query=urlencode(hook.query))
        forged = await front.call(hook.body + b" ", headers, key="wms", query=urlencode(hook.query))
        assert said is not None
        assert forged is not None
        told = [xmltext.loads(one.body) for one in (said, forged)]
        assert [(one["flag"], one["code"]) for one in told] == [("failure", code), ("failure", "sign-check-failure")]
        assert len(await front.stored()) == stored


@pytest.mark.parametrize(
    ("code", "sub", "becomes"),
    [
        ("50", "isv.invalid-parameter", "rejected"),
        ("50", "isp.remote-service-error", "unknown"),
        ("25", "isv.invalid-signature", "credential"),
        ("7", "accesscontrol.limited-by-app", "throttled"),
    ],
)
def test_the_gateways_own_words_for_a_fault_of_ours(code: str, sub: str, becomes: str) -> None:
    text = f"<code>{code}</code><msg>Remote service error</msg><sub_code>{sub}</sub_code><sub_msg>x</sub_msg>"
    content = f'<?xml version="1.0" encoding="utf-8"?><error_response>{text}</error_response>'.encode()
    got = answer.Answer(200, {"content-type": "text/xml"}, content)
    assert failure.Reader(SPEC, SPEC.operations["deliveryorder.create"]).finding(got, safe=False).becomes == becomes

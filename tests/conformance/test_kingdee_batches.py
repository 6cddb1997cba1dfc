"""Kingdee: batches saved in part, asynchronous tasks, approvals followed to their end, and returns."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from connectors.core import client, errors, model
from connectors.kingdee import simulator as kingdee
from connectors.simulator import engine
from mappings import library
from tests.conformance import kingdee_peer

pytestmark = pytest.mark.peers("k3cloud_webapi_sdk")
NUMBER = "SN202606270001"


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["kingdee"]) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> kingdee.Simulator:
    return kingdee_peer.site_of(url)


@pytest.fixture
def k3(url: engine.Url) -> Callable[..., model.Connection]:
    return functools.partial(kingdee_peer.connection, url)


def models(*numbers: str) -> list[dict[str, Any]]:
    """Orders under these numbers; those that begin with ``X`` name a customer nobody has."""
    made = [kingdee_peer.sales_order(number) for number in numbers]
    return [
        {**one, "FCustId": {"FNumber": "CUST9999"}} if number.startswith("X") else one
        for number, one in zip(numbers, made, strict=True)
    ]


async def test_a_batch_saves_what_it_can_and_tells_the_rest_by_row(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    done = await hub.call(k3(), "sales_order.batch_save", {"models": models("A1", "X2", "A3")})
    assert [(one["Number"], one["DIndex"]) for one in done.data["SuccessEntitys"]] == [("A1", 0), ("A3", 2)]
    assert [(one["FieldName"], one["DIndex"]) for one in done.data["Errors"]] == [("FCustId", 1)]
    [warning] = done.warnings
    assert '编码值[\\"CUST9999\\"]不存在' in warning
    assert set(site.books.documents["SAL_SaleOrder"]) == {"A1", "A3"}
    again = await hub.call(k3(), "sales_order.batch_save", {"models": models("A1", "X2", "A3", "A4")})
    assert [one["Number"] for one in again.data["SuccessEntitys"]] == ["A4"]
    assert site.journal.totals()["sales_order"] == {"total": 3, "keys": 3, "repeated": {}}


async def test_a_batch_of_which_nothing_was_saved_is_refused(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    with pytest.raises(errors.Rejected, match="CUST9999"):
        await hub.call(k3(), "sales_order.batch_save", {"models": models("X1", "X2")})
    assert not site.books.documents["SAL_SaleOrder"]


async def test_the_published_sample_of_a_partial_batch_is_read_the_same_way() -> None:
    from connectors.core import answer, plan, registry

    made = plan.of(registry.get("kingdee"), "sales_order.batch_save")
    raw = kingdee_peer.SAMPLES.joinpath("batchsave_partial.response.json").read_bytes()
    got = answer.Answer(200, {"content-type": "application/json"}, raw)
    assert made.reader.succeeded(got)
    data, _, warnings = made.outcome(got, {})
    assert [one["Number"] for one in data["SuccessEntitys"]] == ["SN202606270002", "SN202606270004"]
    assert "CUST9999" in warnings[0]


async def test_an_asynchronous_batch_is_asked_for_by_its_task(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    begun = await hub.call(k3(), "sales_order.batch_begin", {"models": models("B1", "X2")})
    done = await hub.call(k3(), "task.get", {"task": begun.record_id})
    status = done.data["Result"]["Result"]["ResponseStatus"]
    assert [one["Number"] for one in status["SuccessEntitys"]] == ["B1"]
    assert "CUST9999" in done.warnings[0]
    with pytest.raises(errors.Rejected, match="任务不存在"):
        await hub.call(k3(), "task.get", {"task": "nobody"})


@pytest.mark.parametrize(("status", "left"), [("approved", "C"), ("rejected", "D")])
async def test_a_decision_of_the_oa_reaches_the_workflow(
    status: str, left: str, hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    site.configure({"workflow": ["SAL_SaleOrder"]})
    assert (await hub.call(k3(), "sales_order.save", kingdee_peer.sales_order())).waiting
    approval = {"id": "20241112", "status": status, "fields": [{"key": "t1", "label": "单据编号", "value": NUMBER}]}
    native = library.shipped("kingdee", "approval").to_native(approval)
    decided = await hub.call(k3(), "sales_order.decide", native)
    assert (decided.record_id, decided.already) == (NUMBER, False)
    assert site.books.documents["SAL_SaleOrder"][NUMBER].status == left
    again = await hub.call(k3(), "sales_order.decide", native, fresh=False)
    assert again.already
    follow = hub.call(k3(), "sales_order.save", kingdee_peer.sales_order(), fresh=False)
    if status == "approved":
        assert not (await follow).waiting
    else:
        with pytest.raises(errors.Rejected) as caught:
            await follow
        assert caught.value.code == "D"
        assert kingdee_peer.kinds(site, NUMBER).count("sales_order.submit") == 1


async def test_a_decision_that_contradicts_the_document_is_not_taken_for_done(
    hub: client.Client, site: kingdee.Simulator, url: engine.Url, k3: Callable[..., model.Connection]
) -> None:
    site.configure({"workflow": ["SAL_SaleOrder"]})
    await hub.call(k3(), "sales_order.save", kingdee_peer.sales_order())
    async with httpx.AsyncClient() as people:
        await people.post(f"{url}/_sim/kingdee/approve/{NUMBER}")
    approval = {"id": "1", "status": "rejected", "fields": [{"key": "单据编号", "value": NUMBER}]}
    with pytest.raises(errors.Rejected, match="不满足操作条件"):
        await hub.call(k3(), "sales_order.decide", library.shipped("kingdee", "approval").to_native(approval))
    assert site.books.documents["SAL_SaleOrder"][NUMBER].status == "C"


async def test_a_return_is_booked_once(
    hub: client.Client, site: kingdee.Simulator, k3: Callable[..., model.Connection]
) -> None:
    given = {
        "id": "RF1",
        "number": "RT1",
        "kind": "return",
        "status": "done",
        "order_id": NUMBER,
        "updated_at": "2026-07-01T15:20:00+08:00",
        "lines": [{"sku": "SKU-1001", "quantity": "2", "amount": "64.00"}],
    }
    native = library.shipped("kingdee", "after_sale").to_native(given, {"config": {"return_stock": "CK001"}})
    site.faults.drop_reply, site.faults.drop_kinds = 1, ["return"]
    with pytest.raises(errors.OutcomeUnknown):
        await hub.call(k3(), "return.save_and_audit", native)
    done = await hub.call(k3(), "return.save_and_audit", native, fresh=False)
    assert (done.record_id, done.data["DocumentStatus"]) == ("RT1", "C")
    assert kingdee_peer.kinds(site, "RT1") == ["return", "return.submit", "return.audit"]
    [row] = site.books.documents["SAL_RETURNSTOCK"]["RT1"].main_rows()
    assert (row["FRealQty"], row["FTaxPrice"], row["FAllAmount"]) == (2, 32, 64)

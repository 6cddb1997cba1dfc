"""Kingdee: signed headers against vectors and the vendor's SDK, and that SDK against our simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import time_machine
from k3cloud_webapi_sdk.main import K3CloudApiSdk

from connectors.core import errors, jsontext, model, registry
from connectors.kingdee import signer
from connectors.kingdee import simulator as kingdee
from connectors.simulator import engine
from tests.conformance import kingdee_peer

pytestmark = pytest.mark.peers("k3cloud_webapi_sdk")


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["kingdee"]) as base:
        yield base


@pytest.fixture
def site(url: engine.Url) -> kingdee.Simulator:
    return kingdee_peer.site_of(url)


async def said(work: Callable[[], str]) -> Any:
    """What the blocking SDK answered, from a thread of its own."""
    return json.loads(await asyncio.to_thread(work))


# Vectors


def test_an_app_id_that_hides_no_secret_is_our_mistake() -> None:
    for broken in ("", "204399", "204399_short", "204399_" + "é" * 32):
        with pytest.raises(errors.Misdeclared):
            signer.client(broken)


def _vector_connection() -> tuple[model.Connection, dict[str, Any]]:
    inputs = kingdee_peer.VECTORS["k3cloud_signed_headers"]["inputs"]
    secrets = {"app_secret": inputs["secret"]}
    return model.Connection("k3", registry.get("kingdee"), inputs["config"], secrets), inputs


SITE = "http://127.0.0.1:18080"


def test_signed_headers() -> None:
    connection, inputs = _vector_connection()
    request = model.Request("POST", SITE + inputs["path"])
    signer.sign(request, connection, int(inputs["stamp"]) + 0.9)
    assert request.headers == kingdee_peer.VECTORS["k3cloud_signed_headers"]["expected"]


@pytest.mark.parametrize("user", ["hub_user", "集成用户"])
@pytest.mark.parametrize("stamp", [1795306120, 1600000000])
def test_headers_equal_the_sdks(user: str, stamp: int) -> None:
    connection, inputs = _vector_connection()
    config = {**connection.config, "user_name": user}
    known, address = inputs["config"], SITE + inputs["path"]
    sdk = K3CloudApiSdk(address)
    sdk.InitConfig(known["acct_id"], user, known["app_id"], inputs["secret"], address, 2052, 100)
    with time_machine.travel(stamp, tick=False):
        theirs = sdk.BuildHeader(address)
    request = model.Request("POST", address)
    signer.sign(request, model.Connection("k3", connection.declaration, config, connection.secrets), stamp)
    assert request.headers == {key: theirs[key] for key in request.headers}
    assert {key.lower() for key in theirs} - {key.lower() for key in request.headers} == {
        "accept-charset",
        "user-agent",
        "content-type",
    }


def test_no_secret_no_call() -> None:
    connection, inputs = _vector_connection()
    bare = model.Connection("k3", connection.declaration, connection.config, {})
    with pytest.raises(errors.CredentialRefused):
        signer.sign(model.Request("POST", SITE + inputs["path"]), bare, 1)


# The vendor's SDK against our simulator


async def test_sdk_runs_a_document_through_its_life(url: engine.Url, site: kingdee.Simulator) -> None:
    sdk, wish = kingdee_peer.sdk(url), kingdee_peer.sample("save_sal_saleorder.request.json")
    for key in ("FSaleDeptId", "FSalerId"):
        del wish["data"]["Model"][key]
    data = json.loads(jsontext.dumps(wish["data"]))
    number = data["Model"]["FBillNo"]
    saved = await said(lambda: sdk.Save("SAL_SaleOrder", data))
    expected = kingdee_peer.sample("save_sal_saleorder.response.json")
    assert saved["Result"]["NeedReturnData"] == expected["Result"]["NeedReturnData"]
    assert saved.keys() == expected.keys()
    assert saved["Result"].keys() == expected["Result"].keys()
    again = await said(lambda: sdk.Save("SAL_SaleOrder", data))
    assert again == json.loads(jsontext.dumps(kingdee_peer.sample("save_duplicate.response.json")))
    named = {"Numbers": [number]}
    for verb in (sdk.Submit, sdk.Audit):
        moved = await said(lambda verb=verb: verb("SAL_SaleOrder", named))  # type: ignore[misc]
        assert moved["Result"]["ResponseStatus"]["IsSuccess"] is True
    twice = await said(lambda: sdk.Audit("SAL_SaleOrder", named))
    assert twice == kingdee_peer.sample("audit_already_audited.response.json")
    seen = (await said(lambda: sdk.View("SAL_SaleOrder", {"Number": number})))["Result"]["Result"]
    shown = kingdee_peer.sample("view_sal_saleorder.response.json")["Result"]["Result"]
    assert shown.keys() <= seen.keys()
    assert shown["SaleOrderEntry"][0].keys() <= seen["SaleOrderEntry"][0].keys()
    assert (seen["DocumentStatus"], seen["SaleOrderFinance"][0]["BillAllAmount"]) == ("C", 128.0)
    assert seen["SaleOrderEntry"][0]["Price"] == 56.637168
    rows = await said(
        lambda: sdk.ExecuteBillQuery(
            {"FormId": "SAL_SaleOrder", "FieldKeys": "FBillNo,FQty", "FilterString": f"FBillNo = '{number}'"}
        )
    )
    assert rows == [[number, 2.0]]
    missing = await said(lambda: sdk.View("SAL_SaleOrder", {"Number": "SN000"}))
    assert missing == kingdee_peer.sample("view_not_found.response.json")
    assert kingdee_peer.kinds(site, number) == ["sales_order", "sales_order.submit", "sales_order.audit"]


async def test_sdk_queries_that_fail_hide_it_in_the_first_cell(url: engine.Url) -> None:
    sdk, wrong = kingdee_peer.sdk(url), {"FormId": "SAL_OUTSTOCK", "FieldKeys": "FCustomerNo"}
    cells = await said(lambda: sdk.ExecuteBillQuery(wrong))
    named = await said(lambda: sdk.BillQuery(wrong))
    assert cells[0][0]["Result"]["ResponseStatus"]["MsgCode"] == 9
    assert named[0]["Result"]["ResponseStatus"]["Errors"][0]["Message"] == "元数据中标识为FCustomerNo的字段不存在"


async def test_sdk_batch_saves_in_part_also_asynchronously(url: engine.Url, site: kingdee.Simulator) -> None:
    def batch(prefix: str) -> dict[str, Any]:
        good = json.loads(jsontext.dumps(kingdee_peer.sales_order(f"{prefix}1")))
        return {"Model": [good, {**good, "FBillNo": f"{prefix}2", "FCustId": {"FNumber": "CUST9999"}}]}

    sdk = kingdee_peer.sdk(url)
    at_once = await said(lambda: sdk.BatchSave("SAL_SaleOrder", batch("A")))
    later = await said(lambda: sdk.BatchSaveQuery("SAL_SaleOrder", batch("B")))
    for prefix, got in (("A", at_once), ("B", later)):
        status = got["Result"]["ResponseStatus"]
        assert status["IsSuccess"] is False
        assert status["MsgCode"] == 9
        assert [(one["Number"], one["DIndex"]) for one in status["SuccessEntitys"]] == [(f"{prefix}1", 0)]
        assert status["Errors"] == [{"FieldName": "FCustId", "Message": '编码值["CUST9999"]不存在', "DIndex": 1}]
    assert site.journal.totals()["sales_order"]["total"] == 2


async def test_sdk_with_a_wrong_secret_is_refused(url: engine.Url) -> None:
    sdk = kingdee_peer.sdk(url)
    sdk.identify.AppSecret = "0" * 32
    got = await said(lambda: sdk.View("SAL_SaleOrder", {"Number": "SN000"}))
    assert got == kingdee_peer.sample("session_lost.response.json")


async def test_four_envelopes(url: engine.Url, site: kingdee.Simulator) -> None:
    address = f"{url}/kingdee/k3cloud/{signer.SERVICES}"
    login = {
        "acctID": kingdee_peer.KNOWN["acct_id"],
        "username": kingdee_peer.KNOWN["user_name"],
        "password": kingdee_peer.KNOWN["password"],
        "lcid": 2052,
    }
    view = f"{url}/kingdee/k3cloud/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.View.common.kdsvc"
    wish = {"Number": "CUST0001"}
    async with httpx.AsyncClient() as plain:
        hello = (await plain.post(f"{address}ValidateUser.common.kdsvc", json=login)).json()
        assert hello["LoginResultType"] == 1
        assert hello["MessageCode"] == "CheckPasswordPolicy"
        text = json.dumps(wish)
        envelopes: list[dict[str, Any]] = [
            {"json": {"formid": "BD_Customer", "data": wish}},
            {"json": {"formid": "BD_Customer", "data": text}},
            {"json": {"format": 1, "useragent": "ApiClient", "parameters": ["BD_Customer", text], "v": "1.0"}},
            {"data": {"parameters": json.dumps(["BD_Customer", text])}},
        ]
        for envelope in envelopes:
            got = (await plain.post(view, **envelope)).json()
            assert got["Result"]["Result"]["Number"] == "CUST0001", envelope
        rows = (
            await plain.post(
                view.replace("View", "ExecuteBillQuery"),
                json={"parameters": [json.dumps({"FormId": "BD_Customer", "FieldKeys": "FNumber", "Limit": 1})]},
            )
        ).json()
        assert rows == [["CUST0001"]]
    assert site.door.logins == 1

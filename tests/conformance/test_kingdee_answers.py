"""Kingdee: what its answers mean to us, by sample and by MsgCode, and what the pretend site's queries take."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.core import answer, failure, jsontext, plan, registry
from connectors.kingdee.simulated import books, query
from tests.conformance import kingdee_peer

pytestmark = pytest.mark.peers("k3cloud_webapi_sdk")


def meaning(operation: str, body: Any, status: int = 200) -> str:
    """``ok``, ``absent``, or the class of the failure."""
    spec = registry.get("kingdee")
    made = plan.of(spec, operation)
    content = body if isinstance(body, bytes) else jsontext.dumps(body)
    got = answer.Answer(status, {"content-type": "application/json"}, content)
    if made.reader.succeeded(got):
        return "ok" if made.operation.kind == "list" or made.outcome(got, {"FBillNo": "x"})[0] is not None else "absent"
    found = made.reader.finding(got, safe=made.safe)
    assert not found.code or found.hint.get("zh"), found
    return failure.error(found, operation, safe=made.safe).kind if found.becomes != "done" else "done"


@pytest.mark.parametrize(
    ("operation", "name", "expected"),
    [
        ("sales_order.create", "save_sal_saleorder.response.json", "ok"),
        ("sales_order.create", "save_duplicate.response.json", "done"),
        ("sales_order.create", "session_lost.response.json", "credential"),
        ("sales_order.create", "throttled.response.json", "throttled"),
        ("sales_order.audit", "audit.response.json", "ok"),
        ("sales_order.audit", "audit_already_audited.response.json", "done"),
        ("sales_order.create", "batchsave_partial.response.json", "rejected"),
        ("sales_order.view", "view_sal_saleorder.response.json", "ok"),
        ("sales_order.view", "view_not_found.response.json", "absent"),
        ("sales_order.view", "session_lost.response.json", "credential"),
        ("sales_order.view", "save_duplicate.response.json", "rejected"),
        ("shipment.view", "view_sal_outstock.response.json", "ok"),
        ("customer.view", "view_bd_customer.response.json", "ok"),
        ("shipment.list", "bill_query_outstock.response.json", "ok"),
        ("inventory.list", "bill_query_inventory.response.json", "ok"),
        ("shipment.list", "bill_query_error.response.json", "misdeclared"),
        ("shipment.list", "execute_bill_query_error.response.json", "misdeclared"),
        ("shipment.list", "session_lost.response.json", "credential"),
        ("sales_order.push_outstock", "push.response.json", "ok"),
    ],
)
def test_samples_mean_what_they_say(operation: str, name: str, expected: str) -> None:
    assert meaning(operation, kingdee_peer.sample(name)) == expected


def refusal(code: int, message: str = "…") -> dict[str, Any]:
    status = {"IsSuccess": "false", "Errors": [{"Message": message}], "MsgCode": code}
    return {"Result": {"ResponseStatus": status}}


@pytest.mark.parametrize(
    ("code", "writing", "reading"),
    [
        (1, "credential", "credential"),
        (2, "credential", "credential"),
        (3, "rejected", "rejected"),
        (4, "unknown", "unavailable"),
        (5, "rejected", "rejected"),
        (6, "unknown", "unavailable"),
        (7, "credential", "credential"),
        (8, "rejected", "rejected"),
        (9, "rejected", "rejected"),
        (10, "rejected", "rejected"),
        (11, "rejected", "rejected"),
        (12, "rejected", "rejected"),
        (13, "unavailable", "unavailable"),
        (14, "throttled", "throttled"),
        (15, "credential", "credential"),
    ],
)
def test_every_msgcode_has_its_class(code: int, writing: str, reading: str) -> None:
    assert meaning("sales_order.create", refusal(code)) == writing
    assert meaning("customer.update", refusal(code)) == writing
    assert meaning("sales_order.list", [refusal(code)]) == reading
    assert meaning("sales_order.view", refusal(code)) == reading


def test_booleans_may_be_texts_and_pages_are_no_answer() -> None:
    saved = {"Result": {"ResponseStatus": {"IsSuccess": "true", "MsgCode": 0}, "Id": 1, "Number": "SN1"}}
    assert meaning("sales_order.create", saved) == "ok"
    assert meaning("sales_order.create", b"response_error: NullReference") == "unknown"
    assert meaning("sales_order.view", b"response_error: NullReference") == "unavailable"
    assert meaning("sales_order.list", b"ByRspRetStatusCode -- N001: Unexpectable request") == "misdeclared"
    assert meaning("sales_order.create", b"<html>502</html>", 502) == "unknown"
    assert meaning("sales_order.list", b"") == "unavailable"
    # An empty View is what a call without a session may get: it must not pass for "there is no such order".
    assert meaning("sales_order.view", {"Result": {"ResponseStatus": None, "Result": None}}) == "unavailable"


def test_filters_escape_and_refuse() -> None:
    assert query.conditions("FNumber = 'O''Brien' and FQty >= 2") == [
        ("FNumber", "=", ["O'Brien"]),
        ("FQty", ">=", ["2"]),
    ]
    assert query.conditions("(FBillNo in ('a','b'))") == [("FBillNo", "in", ["a", "b"])]
    for wrong in ("FNumber = 'O'Brien'", "FNumber ~ 'x'", "1=1 or 1=1", "FNumber ="):
        with pytest.raises(books.Refused, match="过滤条件"):
            query.conditions(wrong)


@pytest.mark.parametrize("operation", ["probe", "sales_order.list", "inventory.usable", "sales_order.create"])
def test_a_refused_login_is_no_row(operation: str) -> None:
    """An order poll took it for one row that means nothing, and went on past the changes it had not read."""
    refused = {"Message": "签名不匹配", "MessageCode": "002005000003016", "LoginResultType": -5}
    assert meaning(operation, refused) == "credential"

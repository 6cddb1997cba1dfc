"""DingTalk: what its own errors prove about a call, operation by operation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.core import answer, declaration, failure, registry

UNAVAILABLE, UNKNOWN = declaration.ErrorClass.UNAVAILABLE, declaration.ErrorClass.UNKNOWN


def meaning(operation: str, status: int, body: dict[str, Any]) -> declaration.ErrorClass:
    spec = registry.get("dingtalk")
    got = answer.Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())
    return failure.Reader(spec, spec.operations[operation]).finding(got, safe=False).becomes


@pytest.mark.parametrize(
    "body", [{"code": "systemError"}, {"code": "unknownError"}, {"code": "internalError"}, {"errcode": -1}]
)
@pytest.mark.parametrize(
    ("operation", "becomes"),
    [
        ("approval.create", UNKNOWN),
        ("approval.decide", UNKNOWN),
        ("approval.terminate", UNKNOWN),
        ("robot.direct", UNKNOWN),
        ("robot.group", UNKNOWN),
        ("robot.answer", UNKNOWN),
        ("crm.create", UNKNOWN),
        ("notice.send", UNAVAILABLE),
        ("robot.send", UNAVAILABLE),
        ("crm.update", UNAVAILABLE),
    ],
)
def test_a_system_error_is_no_proof_where_no_key_is_known(
    operation: str, becomes: declaration.ErrorClass, body: dict[str, Any]
) -> None:
    """It may have been done before it failed: sent again unseen, there would be two."""
    assert meaning(operation, 500 if "code" in body else 200, body) is becomes


def test_a_refusal_before_the_work_is_tried_again() -> None:
    assert meaning("approval.create", 503, {"code": "ServiceUnavailable"}) is UNAVAILABLE

"""Feishu: what a refusal means for one record and for the connection, and which approval a repeated uuid is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import answer, client, declaration, errors, failure, registry
from connectors.feishu import simulator
from connectors.simulator import engine
from mappings import library
from tests.conformance import feishu_stage as stage

Class = declaration.ErrorClass


def meaning(operation: str, status: int, body: dict[str, Any] | None) -> declaration.ErrorClass:
    spec = registry.get("feishu")
    content = b"<html></html>" if body is None else json.dumps(body).encode()
    got = answer.Answer(status, {"content-type": "application/json"}, content)
    return failure.Reader(spec, spec.operations[operation]).finding(got, safe=False).becomes


@pytest.mark.parametrize(
    ("status", "body", "becomes"),
    [
        (403, {"code": 1254302, "msg": "no permission for this chat"}, Class.REJECTED),
        (400, {"code": 1254302}, Class.REJECTED),
        (404, {"code": 1254302}, Class.REJECTED),
        (403, {"code": 99991672}, Class.CREDENTIAL),
        (401, {"code": 1254302}, Class.CREDENTIAL),
        (403, None, Class.CREDENTIAL),
        (400, {"code": 99991663}, Class.TOKEN),
        (200, {"code": 19024}, Class.MISDECLARED),
    ],
)
def test_a_refusal_of_one_record_does_not_stop_the_connection(
    status: int, body: dict[str, Any] | None, becomes: declaration.ErrorClass
) -> None:
    assert meaning("message.send", status, body) is becomes


@pytest.mark.parametrize("status", [502, 503])
def test_a_bot_message_without_an_answer_is_not_repeated_unseen(status: int) -> None:
    assert meaning("bot.send", status, None) is Class.UNKNOWN
    assert meaning("approval.cancel", status, None) is Class.UNKNOWN
    assert meaning("message.send", status, None) is Class.UNAVAILABLE


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["feishu"], time_scale=0.002) as base:
        yield base


@pytest.mark.parametrize("capitals", [False, True])
async def test_a_repeated_uuid_is_the_approval_that_was_made(
    url: engine.Url, caller: client.Client, capitals: bool
) -> None:
    sim: Any = url.simulators["feishu"]
    assert isinstance(sim, simulator.Simulator)
    sim.configure({"uuid_capitals": capitals})
    owner = stage.connection(url)
    record = {"id": "A1", "status": "pending", "fields": [{"key": "widget1", "value": "T1"}]}
    config = {"approval_code": next(iter(sim.settings["approval_definitions"])), "approval_applicant": "ou_sales01"}
    context = {"event": {"key": "0e2c2c0e-8e6f-5c3e-8a4e-6b1a2f1d0c9b"}, "config": config}
    given = library.shipped("feishu", "approval_form").to_native(record, context)
    first = await caller.call(owner, "approval.create", given)
    again = await caller.call(owner, "approval.create", given)
    assert (again.already, again.record_id) == (True, first.record_id)
    # Somebody else's approval under the name we asked for is not ours.
    sim.approvals.instances[str(first.record_id)]["uuid"] = given["uuid"] + "x"
    sim.approvals.instances[given["uuid"]] = {**sim.approvals.instances[str(first.record_id)], "uuid": "another"}
    sim.approvals.instances["x"] = {**sim.approvals.instances[str(first.record_id)], "uuid": given["uuid"]}
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(owner, "approval.create", given)
    assert refused.value.code == "60012"


async def test_where_no_approval_is_found_by_its_uuid_a_person_is_told(url: engine.Url, caller: client.Client) -> None:
    sim: Any = url.simulators["feishu"]
    sim.configure({"by_uuid": False})
    form = [{"id": "widget1", "type": "input", "value": "T1"}]
    code = next(iter(sim.settings["approval_definitions"]))
    given = {"approval_code": code, "open_id": "ou_sales01", "uuid": "u-1", "form": form}
    await caller.call(stage.connection(url), "approval.create", given)
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(stage.connection(url), "approval.create", given)
    assert (refused.value.code, len(sim.approvals.instances)) == ("60012", 1)
    assert "飞书" in refused.value.hint["zh"]

"""DingTalk's approval tasks decided from here: node after node, by the right person, never twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import client, errors
from connectors.dingtalk import simulator
from connectors.simulator import engine
from mappings import library
from tests.conformance import messaging

NODES = [{"actionType": "NONE", "userIds": ["sales02"]}, {"actionType": "AND", "userIds": ["sales01", "sales03"]}]
FORM = {
    "processCode": "PROC-TEST-0001",
    "originatorUserId": "sales01",
    "deptId": -1,
    "approvers": NODES,
    "formComponentValues": [{"name": "订单号", "value": "T1"}],
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["dingtalk"], time_scale=0.002) as base:
        yield base


def sim_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["dingtalk"]
    assert isinstance(found, simulator.Simulator)
    return found


def decision(instance: str, task: Any, who: str | None, status: str = "approved") -> dict[str, Any]:
    """What the mapping makes of another system's finished approval."""
    told = {"钉钉审批实例": instance, "钉钉审批任务": str(task), "钉钉审批人": who}
    fields = [{"key": f"w{number}", "label": name, "value": value} for number, (name, value) in enumerate(told.items())]
    record = {"id": "A9", "title": "退款审批", "status": status, "fields": [one for one in fields if one["value"]]}
    context = {"config": {"approval_actioner": "sales03"}}
    native: dict[str, Any] = library.shipped("dingtalk", "approval_decision").to_native(record, context)
    return native


async def tasks(calls: client.Client, url: engine.Url, instance: str) -> dict[str, Any]:
    """Who must decide right now, with the task's id."""
    found = await calls.call(messaging.dingtalk(url), "approval.get", {"processInstanceId": instance})
    return {one["userId"]: one["taskId"] for one in found.data["tasks"] if one["status"] == "RUNNING"}


async def test_a_form_passes_node_after_node_and_no_task_is_decided_twice(
    url: engine.Url, calls: client.Client
) -> None:
    sim, owner = sim_of(url), messaging.dingtalk(url)
    instance = str((await calls.call(owner, "approval.create", FORM)).record_id)
    first = (await tasks(calls, url, instance))["sales02"]
    with pytest.raises(errors.Rejected):
        await calls.call(owner, "approval.decide", decision(instance, first, "sales01"))
    done = await calls.call(owner, "approval.decide", decision(instance, first, "sales02"))
    assert (done.record_id, done.already) == (instance, False)
    # The instance goes on, so nothing tells that our answer was taken: the platform itself refuses a second one.
    with pytest.raises(errors.Rejected):
        await calls.call(owner, "approval.decide", decision(instance, first, "sales02"), fresh=False)
    both = await tasks(calls, url, instance)
    assert set(both) == {"sales01", "sales03"}
    await calls.call(owner, "approval.decide", decision(instance, both["sales01"], "sales01"))
    assert sim.approvals.instances[instance]["status"] == "RUNNING"
    await calls.call(owner, "approval.decide", decision(instance, both["sales03"], None))
    again = await calls.call(owner, "approval.decide", decision(instance, both["sales03"], None), fresh=False)
    assert again.already
    found = await calls.call(owner, "approval.get", {"processInstanceId": instance})
    assert library.shipped("dingtalk", "approval").from_native(found.data, {})["status"] == "approved"
    assert sim.journal.totals()["decision"] == {"total": 3, "keys": 3, "repeated": {}}


async def test_a_refusal_ends_the_form_and_is_not_taken_for_our_agreement(
    url: engine.Url, calls: client.Client
) -> None:
    sim, owner = sim_of(url), messaging.dingtalk(url)
    instance = str((await calls.call(owner, "approval.create", FORM)).record_id)
    first = (await tasks(calls, url, instance))["sales02"]
    await calls.call(owner, "approval.decide", decision(instance, first, "sales02", "rejected"))
    assert (sim.approvals.instances[instance]["status"], sim.approvals.instances[instance]["result"]) == (
        "COMPLETED",
        "refuse",
    )
    with pytest.raises(errors.Rejected):
        await calls.call(owner, "approval.decide", decision(instance, first, "sales02"), fresh=False)


async def test_a_recalled_notification_is_recalled_once(url: engine.Url, calls: client.Client) -> None:
    sim, owner = sim_of(url), messaging.dingtalk(url)
    told = {"userid_list": "sales01", "msg": {"msgtype": "text", "text": {"content": "发错了"}}}
    sent = await calls.call(owner, "notice.send", told)
    for _ in range(2):
        await calls.call(owner, "notice.recall", {"task_id": sent.record_id})
    assert sim.journal.totals()["recall"]["total"] == 1
    with pytest.raises(errors.Rejected):
        await calls.call(owner, "notice.recall", {"task_id": 1})


@pytest.mark.peers("alibabacloud_dingtalk")
async def test_peer_reads_the_template_and_decides(url: engine.Url, calls: client.Client) -> None:
    from alibabacloud_dingtalk.workflow_1_0 import client as workflows
    from alibabacloud_dingtalk.workflow_1_0 import models
    from alibabacloud_tea_openapi import models as open_api
    from alibabacloud_tea_util import models as util

    sim, owner = sim_of(url), messaging.dingtalk(url)
    instance = str((await calls.call(owner, "approval.create", FORM)).record_id)
    task = (await tasks(calls, url, instance))["sales02"]
    token, _ = sim.token("new")
    runtime = util.RuntimeOptions(autoretry=False, connect_timeout=3000, read_timeout=5000)
    place = open_api.Config(protocol="http", endpoint=str(url).removeprefix("http://") + "/dingtalk", region_id="x")
    peer = workflows.Client(place)
    schema = await peer.query_schema_by_process_code_with_options_async(
        models.QuerySchemaByProcessCodeRequest(process_code="PROC-TEST-0001"),
        models.QuerySchemaByProcessCodeHeaders(x_acs_dingtalk_access_token=token),
        runtime,
    )
    assert [one.props.label for one in schema.body.result.schema_content.items][:2] == ["订单号", "金额（元）"]
    wish = models.ExecuteProcessInstanceRequest(
        process_instance_id=instance, task_id=task, actioner_user_id="sales02", result="agree", remark="同意"
    )
    headers = models.ExecuteProcessInstanceHeaders(x_acs_dingtalk_access_token=token)
    answer = await peer.execute_process_instance_with_options_async(wish, headers, runtime)
    assert (answer.body.success, answer.body.result) == (True, True)
    assert set(await tasks(calls, url, instance)) == {"sales01", "sales03"}

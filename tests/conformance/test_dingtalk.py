"""DingTalk: the simulator against independent clients, its pushes through our door, every operation, failures."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response

from connectors.core import client, errors, registry
from connectors.dingtalk import simulator
from connectors.simulator import engine, server
from tests.conformance import messaging
from tests.conformance.messaging import dingtalk as connection

SAMPLES = registry.folder("dingtalk") / "samples"
DEFAULTS = messaging.DINGTALK


# The simulator, and independent clients against it.


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["dingtalk"], time_scale=0.002) as base:
        yield base


def ding_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["dingtalk"]
    assert isinstance(found, simulator.Simulator)
    return found


@pytest.mark.peers("dingtalkchatbot")
async def test_peer_robot_works_against_the_simulator(url: engine.Url) -> None:
    from dingtalkchatbot import chatbot

    address = f"{url}/dingtalk/robot/send?access_token={DEFAULTS['robot_access_token']}"
    robot = chatbot.DingtalkChatbot(address, secret=DEFAULTS["robot_secret"])
    answer = await asyncio.to_thread(robot.send_text, "库存告警", at_dingtalk_ids=["sales01"])
    assert answer["errcode"] == 0
    wrong = chatbot.DingtalkChatbot(address, secret="SECanother-secret-here")
    refused = await asyncio.to_thread(wrong.send_text, "库存告警")
    assert refused["errcode"] == 310000
    assert [one["message"]["text"]["content"] for one in ding_of(url).corp.read("robot")] == ["库存告警"]


@pytest.mark.peers("alibabacloud_dingtalk")
async def test_peer_client_works_against_the_simulator(url: engine.Url) -> None:
    from alibabacloud_dingtalk.oauth2_1_0 import client as oauth
    from alibabacloud_dingtalk.oauth2_1_0 import models as oauth_models
    from alibabacloud_dingtalk.robot_1_0 import client as robots
    from alibabacloud_dingtalk.robot_1_0 import models as robot_models
    from alibabacloud_dingtalk.workflow_1_0 import client as workflows
    from alibabacloud_dingtalk.workflow_1_0 import models as workflow_models
    from alibabacloud_tea_openapi import models as open_api
    from alibabacloud_tea_util import models as util
    from Tea import exceptions as tea

    sim = ding_of(url)
    runtime = util.RuntimeOptions(autoretry=False, connect_timeout=3000, read_timeout=5000)

    def config(place: str) -> Any:
        return open_api.Config(protocol="http", region_id="central", endpoint=place)

    def talk(place: str) -> tuple[Any, Any, Any, Any]:
        given = oauth_models.GetAccessTokenRequest(app_key=DEFAULTS["app_key"], app_secret=DEFAULTS["app_secret"])
        token = oauth.Client(config(place)).get_access_token(given).body.access_token
        send = robot_models.BatchSendOTORequest(
            robot_code=DEFAULTS["robot_code"],
            user_ids=["sales01", "nobody"],
            msg_key="sampleText",
            msg_param=json.dumps({"content": "订单已付款"}),
        )
        sent = robots.Client(config(place)).batch_send_otowith_options(
            send, robot_models.BatchSendOTOHeaders(x_acs_dingtalk_access_token=token), runtime
        )
        field = workflow_models.StartProcessInstanceRequestFormComponentValues(name="订单号", value="T1")
        start = workflow_models.StartProcessInstanceRequest(
            process_code="PROC-TEST-0001", originator_user_id="sales01", dept_id=1, form_component_values=[field]
        )
        headers = workflow_models.StartProcessInstanceHeaders(x_acs_dingtalk_access_token=token)
        started = workflows.Client(config(place)).start_process_instance_with_options(start, headers, runtime)
        stale = workflow_models.StartProcessInstanceHeaders(x_acs_dingtalk_access_token="stale")
        try:
            workflows.Client(config(place)).start_process_instance_with_options(start, stale, runtime)
        except tea.TeaException as error:
            refusal: Any = error.code
        else:
            refusal = None
        return token, sent.body, started.body, refusal

    # That client knows no path before its own: the simulator's routes alone, at the root.
    async with server.running(Starlette(routes=sim.routes())) as base:
        token, sent, started, refusal = await asyncio.to_thread(talk, base.removeprefix("http://"))
    assert token in sim.tokens
    assert sent.invalid_staff_id_list == ["nobody"]
    assert [one["message"] for one in sim.corp.read("sales01")] == [{"content": "订单已付款"}]
    assert sim.approvals.instances[started.instance_id]["status"] == "RUNNING"
    assert refusal == "InvalidAuthentication"


# The simulator's pushes, through our door.


@pytest.fixture
async def hub() -> AsyncIterator[messaging.Hub]:
    async with messaging.hub(connection()) as one:
        yield one


@pytest.mark.parametrize("settings", [{"owner": "app_key"}, {"owner": "corp_id"}, {"hash_params": ["signature"]}])
async def test_saving_the_address_checks_it(url: engine.Url, hub: messaging.Hub, settings: dict[str, Any]) -> None:
    sim = ding_of(url)
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/configure", json={**settings, "push_url": hub.address})
        await sim.settle()
        assert [(one.label, one.state) for one in sim.pushes] == [("check_url", "acknowledged")]
        hub.owner = connection(aes_key="1" * 43)
        await http.post("/check")
        await sim.settle()
    assert sim.pushes[-1].state == "given_up"


@pytest.mark.parametrize(
    "answer", [("success", 200), ("", 200), ('{"encrypt":"x"}', 200), ("no", 503)], ids=lambda value: str(value)
)
async def test_only_an_encrypted_success_counts(url: engine.Url, hub: messaging.Hub, answer: tuple[str, int]) -> None:
    sim = ding_of(url)
    hub.broken = [Response(*answer)]
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await sim.settle()
    assert sim.pushes[0].state == "given_up"


async def test_approval_comes_and_goes(url: engine.Url, hub: messaging.Hub, caller: client.Client) -> None:
    sim = ding_of(url)
    given = json.loads((SAMPLES / "workflow_processInstances_create.request.json").read_text())
    given |= {"originatorUserId": "sales01"}
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/configure", json={"push_url": hub.address})
        started = await caller.call(connection(url), "approval.create", given)
        instance = started.record_id
        assert (await http.post(f"/approvals/{instance}/agree")).status_code == 200
        assert (await http.post("/approvals/unknown/agree")).status_code == 422
        await sim.settle()
    assert sorted((event.message, event.record) for event in hub.events) == [
        ("approval", instance),
        ("approval", instance),
        ("check_url", None),
    ]
    assert len({event.dedupe for event in hub.events}) == 3
    found = await caller.call(connection(url), "approval.get", {"processInstanceId": instance})
    assert (found.record_id, found.data["status"], found.data["result"]) == (instance, "COMPLETED", "agree")
    again = await caller.call(connection(url), "approval.create", given)
    assert again.record_id != instance
    assert list(sim.journal.totals()["approval"]["repeated"].values()) == [2]


async def test_unacknowledged_events_come_again_and_then_wait_in_the_failed_list(
    url: engine.Url, hub: messaging.Hub
) -> None:
    sim = ding_of(url)
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await sim.settle()
        hub.events.clear()
        for broken in (2, 3):
            hub.breaks(broken)
            await http.post("/events", json={"EventType": "user_add_org", "userId": [f"user{broken}"]})
            await sim.settle()
        assert [len(push.tries) for push in sim.pushes[1:]] == [3, 3]
        assert len(hub.events) == 1
        assert (await http.post("/events", json={})).status_code == 422
    async with httpx.AsyncClient(base_url=f"{url}/dingtalk", trust_env=False) as http:
        login = {"appkey": DEFAULTS["app_key"], "appsecret": DEFAULTS["app_secret"]}
        token = (await http.get("/gettoken", params=login)).json()["access_token"]
        place = "/call_back/get_call_back_failed_result"
        first = (await http.get(place, params={"access_token": token})).json()
        assert [row["user_add_org"]["userId"] for row in first["failed_list"]] == [["user3"]]
        assert (await http.get(place, params={"access_token": token})).json()["failed_list"] == []
        assert (await http.get("/gettoken", params={**login, "appsecret": "no"})).json()["errcode"] == 40089


# Every operation through the client.


async def test_probe_and_directory(url: engine.Url, caller: client.Client) -> None:
    sim = ding_of(url)
    outcome = await caller.probe(connection(url))
    assert all(DEFAULTS["app_secret"] not in str(one) for one in outcome.exchanges)
    pages = [page async for page in caller.pages(connection(url), "department.list", {})]
    assert [row["dept_id"] for page in pages for row in page] == [2, 3, 4]
    member = sim.world.staff[0]
    found = await caller.call(connection(url), "user.get", {"userid": "sales01"})
    assert (found.record_id, found.data["name"]) == ("sales01", member.name)
    found = await caller.call(connection(url), "user.by_mobile", {"mobile": member.phone})
    assert found.record_id == "sales01"
    assert (await caller.call(connection(url), "user.by_mobile", {"mobile": "10000000000"})).data is None
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(connection(url), "user.get", {"userid": "ghost"})
    assert refused.value.code == "60121"


async def test_robot_is_signed_and_shows_a_uuid_once(url: engine.Url, caller: client.Client) -> None:
    sim = ding_of(url)
    given = json.loads((SAMPLES / "robot_send_markdown.request.json").read_text())
    for _ in range(3):
        outcome = await caller.call(connection(url), "robot.send", given)
    assert outcome.record_id == given["msgUuid"]
    assert len(sim.corp.read("robot")) == 1
    assert sim.corp.read("robot")[0]["message"]["at"]["atUserIds"] == ["kefu01"]
    sim.configure({"robot_secret": ""})
    await caller.call(connection(url, robot_secret=""), "robot.send", {"text": {"content": "不加签"}, "msgUuid": "u2"})
    assert len(sim.corp.read("robot")) == 2


async def test_robot_refusals(url: engine.Url, caller: client.Client) -> None:
    sim, message = ding_of(url), {"text": {"content": "x"}}
    with pytest.raises(errors.CredentialRefused) as unsigned:
        await caller.call(connection(url, robot_secret="SECwrong-secret"), "robot.send", message)
    assert unsigned.value.code == "310000"
    with pytest.raises(errors.CredentialRefused) as unknown:
        await caller.call(connection(url, robot_access_token="gone"), "robot.send", message)
    assert unknown.value.code == "400101"
    sim.ahead = 3700
    with pytest.raises(errors.CredentialRefused) as late:
        await caller.call(connection(url), "robot.send", message)
    assert "timestamp" in late.value.message
    sim.ahead = 0
    sim.configure({"robot_keyword": "告警"})
    with pytest.raises(errors.Rejected) as keyword:
        await caller.call(connection(url), "robot.send", message)
    assert "关键词" in keyword.value.hint["zh"]
    sim.configure({"robot_keyword": "", "robot_per_minute": 2})
    await caller.call(connection(url), "robot.send", message)
    with pytest.raises(errors.Throttled) as fast:
        await caller.call(connection(url), "robot.send", message)
    assert fast.value.retry_after == 600


async def test_work_notification_and_its_result(url: engine.Url, caller: client.Client) -> None:
    sim = ding_of(url)
    message = json.loads((SAMPLES / "corpconversation_asyncsend_v2.request.json").read_text())["msg"]
    given = {"userid_list": "sales01,sales02,ghost", "msg": message}
    sent = await caller.call(connection(url), "notice.send", given)
    assert ["ghost" in one for one in sent.warnings] == [True]
    result = await caller.call(connection(url), "notice.result", {"task_id": sent.record_id})
    assert result.data["invalid_user_id_list"] == ["ghost"]
    again = await caller.call(connection(url), "notice.send", given)
    assert again.record_id != sent.record_id
    assert any("143106" in one for one in again.warnings), "said ok, reached nobody"
    quiet = await caller.call(connection(url, notice_check=False), "notice.send", given)
    assert quiet.warnings == ()
    result = await caller.call(connection(url), "notice.result", {"task_id": again.record_id})
    assert [row["userid"] for row in result.data["forbidden_list"]] == ["sales01", "sales02"]
    assert sim.journal.totals()["message"] == {"total": 2, "keys": 2, "repeated": {}}


async def test_direct_message_reports_who_was_not_reached(url: engine.Url, caller: client.Client) -> None:
    sim = ding_of(url)
    sim.configure({"flow_controlled": ["sales03"]})
    given = {
        "userIds": ["sales01", "ghost", "sales03"],
        "msgKey": "sampleText",
        "msgParam": '{"content":"订单已付款"}',
    }
    outcome = await caller.call(connection(url), "robot.direct", given)
    assert outcome.record_id
    assert len(outcome.warnings) == 2
    assert any("ghost" in one for one in outcome.warnings)
    assert any("sales03" in one for one in outcome.warnings)
    assert [one["receiver"] for one in sim.corp.read()] == ["sales01"]
    with pytest.raises(errors.Rejected):
        await caller.call(connection(url), "robot.direct", {**given, "msgParam": "not json"})


async def test_approval_refusals_name_the_control(url: engine.Url, caller: client.Client) -> None:
    ding_of(url).configure({"process_codes": ["PROC-TEST-0001"]})
    fields = [{"name": "金额（元）", "value": 105}]
    given = {"processCode": "PROC-TEST-0001", "originatorUserId": "sales01", "deptId": 1, "formComponentValues": fields}
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(connection(url), "approval.create", given)
    assert "金额（元）" in refused.value.message
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(connection(url), "approval.create", {**given, "processCode": "PROC-OTHER"})
    assert refused.value.code == "processCodeError"


# Failures.


@pytest.mark.parametrize(
    ("operation", "given"),
    [("department.list", {}), ("approval.get", {"processInstanceId": "none"})],
    ids=["legacy host", "new host"],
)
async def test_ended_token_is_refreshed_once(
    url: engine.Url, caller: client.Client, operation: str, given: dict[str, Any]
) -> None:
    sim = ding_of(url)
    for _ in range(2):
        with contextlib.suppress(errors.Rejected):
            await caller.call(connection(url), operation, given)
        async with messaging.control(url, "dingtalk") as http:
            await http.post("/tokens/expire")
    assert len(sim.tokens) == 2


@pytest.mark.parametrize(
    ("operation", "code"), [("department.list", "40089"), ("approval.get", "invalidClientIdOrSecret")]
)
async def test_wrong_secret_needs_a_person(url: engine.Url, caller: client.Client, operation: str, code: str) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await caller.call(connection(url, app_secret="wrong-secret"), operation, {"processInstanceId": "x"})
    assert refused.value.code == code
    assert refused.value.hint["zh"]
    assert refused.value.hint["en"]
    assert "wrong-secret" not in str(refused.value.exchange)


@pytest.mark.parametrize(
    "page", [{}, {"ban_page": "<HTML><BODY>denied</BODY></HTML>"}, {"ban_json": True}], ids=["html", "HTML", "json"]
)
async def test_address_ban_stops_every_call_for_five_minutes(
    url: engine.Url, caller: client.Client, page: dict[str, Any]
) -> None:
    sim = ding_of(url)
    sim.configure(page)
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/faults", json={"ban": 300})
    with pytest.raises(errors.Throttled) as banned:
        await caller.call(connection(url), "robot.send", {"text": {"content": "x"}})
    assert (banned.value.banned, banned.value.retry_after) == (True, 300)


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("notice.send", {"userid_list": "sales01", "msg": {"msgtype": "text", "text": {"content": "x"}}}),
        ("robot.direct", {"userIds": ["sales01"], "msgKey": "sampleText", "msgParam": '{"content":"x"}'}),
    ],
    ids=["legacy host", "new host"],
)
async def test_limits_in_the_vendors_words(
    url: engine.Url, caller: client.Client, operation: str, given: dict[str, Any]
) -> None:
    sim = ding_of(url)
    await caller.call(connection(url), operation, given)
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/faults", json={"throttle": 1})
    with pytest.raises(errors.Throttled) as slow:
        await caller.call(connection(url), operation, given)
    assert (slow.value.banned, slow.value.retry_after) == (False, 1)
    sim.configure({"monthly_quota": 1})
    with pytest.raises(errors.Throttled) as over:
        await caller.call(connection(url), operation, given)
    assert (over.value.banned, over.value.retry_after) == (True, 3600)
    assert "本月" in over.value.hint["zh"]


async def test_garbage_after_a_write_is_an_unknown_outcome_not_a_ban(url: engine.Url, caller: client.Client) -> None:
    """A maintenance page with HTTP 200 proves nothing about the call: it did happen here."""
    sim = ding_of(url)
    async with messaging.control(url, "dingtalk") as http:
        await http.post("/faults", json={"garbage": 1})
    with pytest.raises(errors.OutcomeUnknown):
        await caller.call(connection(url), "robot.send", {"text": {"content": "x"}, "msgUuid": "u1"})
    await caller.call(connection(url), "robot.send", {"text": {"content": "x"}, "msgUuid": "u1"})
    assert len(sim.corp.read("robot")) == 1


@pytest.mark.parametrize(
    "sample", ["error_legacy_qps", "error_legacy_token_expired", "error_new_api_qps", "error_new_api_token_invalid"]
)
def test_error_samples_are_in_the_table(sample: str) -> None:
    body = json.loads((SAMPLES / f"{sample}.response.json").read_text())
    codes = [str(body[key]) for key in ("errcode", "sub_code", "code") if key in body]
    patterns = [pattern for rule in registry.get("dingtalk").errors for pattern in rule.match]
    assert any(fnmatch.fnmatchcase(code, pattern) for code in codes for pattern in patterns)

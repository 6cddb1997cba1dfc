"""Feishu: the simulator against the vendor's own SDK, its pushes through our door, its own refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from connectors.core import client, errors, registry
from connectors.feishu import simulator
from connectors.simulator import engine, server
from mappings import canonical, library
from tests.conformance import feishu_stage as stage
from tests.conformance import messaging


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["feishu"], time_scale=0.001) as base:
        yield base


# The vendor's own SDK.


@pytest.mark.peers("lark_oapi")
async def test_peer_client_works_against_the_simulator(url: engine.Url) -> None:
    sim = stage.tenant_of(url)
    # That client takes an origin only: the simulator's routes alone, at the root.
    async with server.running(Starlette(routes=sim.routes())) as base:
        (told,) = await stage.peer(
            "calls",
            domain=base,
            app_id=stage.DEFAULTS["app_id"],
            app_secret=stage.DEFAULTS["app_secret"],
            to="ou_sales01",
            code=simulator.DEFINITION,
            mobile=sim.world.staff[1].phone,
        )
    assert told["messages"][0] == told["messages"][1]
    assert [one["message"]["text"] for one in sim.tenant.read("ou_sales01")] == ["订单已付款"]
    assert list(sim.approvals.instances) == [told["instance"]]
    assert told["again"] == 60012
    assert told["read"] == [told["instance"], "PENDING"]
    assert told["found"] == ["ou_sales02", None]


@pytest.fixture
async def hub() -> AsyncIterator[stage.Hub]:
    one = stage.Hub()
    async with server.running(Starlette(routes=[Route("/hook", one.receive, methods=["POST"])])) as base:
        one.address = f"{base}/hook"
        yield one


@pytest.mark.parametrize("sign_check", [True, False])
async def test_saving_the_address_checks_it(url: engine.Url, hub: stage.Hub, sign_check: bool) -> None:
    sim = stage.tenant_of(url)
    async with messaging.control(url, "feishu") as http:
        await http.post("/configure", json={"push_url": hub.address, "sign_check": sign_check})
        await http.post("/check")
        await sim.settle()
        hub.owner = stage.connection(verification_token="another")
        await http.post("/check")
        await sim.settle()
    assert [one.state for one in sim.pushes] == ["acknowledged", "given_up"]
    assert hub.events == []


async def test_an_unacknowledged_event_comes_again_four_times(url: engine.Url, hub: stage.Hub) -> None:
    sim = stage.tenant_of(url)
    sim.pusher.time_scale = 0.000_001
    async with messaging.control(url, "feishu") as http:
        await http.post("/configure", json={"push_url": hub.address, "time_scale": 0.000001})
        for broken in (4, 5):
            hub.broken = broken
            await http.post("/ask", json={"text": f"第 {broken} 次"})
            await sim.settle()
    assert [len(one.tries) for one in sim.pushes] == [5, 5]
    assert [one.state for one in sim.pushes] == ["acknowledged", "given_up"]
    assert len(hub.events) == 1


@pytest.mark.parametrize("numeric", [True, False])
async def test_an_approval_comes_and_goes(
    url: engine.Url, hub: stage.Hub, caller: client.Client, numeric: bool
) -> None:
    sim, owner = stage.tenant_of(url), stage.connection(url)
    record = {
        "id": "R1",
        "kind": "refund",
        "status": "requested",
        "order_id": "T1",
        "amount": "105.00",
        "reason": "破损",
    }
    config = {
        "approval_code": simulator.DEFINITION,
        "approval_applicant": "ou_sales01",
        "approval_order_widget": "widget1",
        "approval_amount_widget": "widget2",
        "approval_reason_widget": "widget3",
    }
    native = library.shipped("feishu", "refund_approval").to_native(record, {"config": config, "event": {"key": "k-1"}})
    async with messaging.control(url, "feishu") as http:
        await http.post("/configure", json={"push_url": hub.address, "numeric_times": numeric})
        quiet = (await caller.call(owner, "approval.create", {**native, "uuid": "before"})).record_id
        await http.post(f"/approvals/{quiet}/reject")
        await sim.settle()
        assert hub.events == [], "an approval whose definition nobody subscribed to tells nothing"
        ready = replace(owner, config={**owner.config, "approval_code": simulator.DEFINITION})
        for _ in range(2):
            assert (await caller.probe(ready)).exchanges[-1].operation == "approval.subscribe"
        assert [one.operation for one in (await caller.probe(owner)).exchanges] == ["bot.info"], "no code, no call"
        repeated = await caller.call(owner, "approval.subscribe", {"approval_code": simulator.DEFINITION})
        assert repeated.already
        started = await caller.call(owner, "approval.create", native)
        assert (await http.post(f"/approvals/{started.record_id}/approve")).status_code == 200
        assert (await http.post("/approvals/unknown/approve")).status_code == 422
        await sim.settle()
    assert [(one.message, one.record) for one in hub.events] == [("approval", started.record_id)] * 2
    assert len({one.dedupe for one in hub.events}) == 2
    assert all(one.occurred_at is not None and abs(one.occurred_at.timestamp() - sim.now()) < 60 for one in hub.events)
    found = await caller.call(owner, "approval.get", {"instance_code": started.record_id})
    read = library.shipped("feishu", "approval").from_native(found.data, {"event": {"record": started.record_id}})
    approval = canonical.MODELS["approval"].model_validate(read).model_dump()
    assert (approval["id"], approval["status"], approval["applicant"]) == (started.record_id, "approved", "ou_sales01")
    assert [(one["label"], one["value"]) for one in approval["fields"]] == [
        ("订单号", "T1"),
        ("金额", "105"),
        ("原因", "破损"),
    ]


async def test_a_second_approval_of_one_uuid_is_the_first(url: engine.Url, caller: client.Client) -> None:
    sim, owner = stage.tenant_of(url), stage.connection(url)
    given = {
        "approval_code": simulator.DEFINITION,
        "open_id": "ou_sales01",
        "form": [{"id": "widget1", "type": "input", "value": "T1"}],
        "uuid": "0E2C2C0E-8E6F-5C3E-8A4E-6B1A2F1D0C9B",
    }
    first = await caller.call(owner, "approval.create", given)
    repeat = {**given, "uuid": given["uuid"].lower(), "uuid_capitals": given["uuid"]}
    again = await caller.call(owner, "approval.create", repeat, fresh=False)
    assert again.already
    assert again.record_id == first.record_id
    assert len(sim.approvals.instances) == 1


async def test_withdrawing_is_looked_up_first(url: engine.Url, caller: client.Client) -> None:
    """Withdrawing what is approved opens it again: a repeat must not do that to what was withdrawn already."""
    sim, owner = stage.tenant_of(url), stage.connection(url)
    form = [{"id": "widget1", "type": "input", "value": "T1"}]
    given = {"approval_code": simulator.DEFINITION, "open_id": "ou_sales01", "form": form}
    instance = (await caller.call(owner, "approval.create", given)).record_id
    wish = {"approval_code": simulator.DEFINITION, "instance_code": instance, "user_id": "sales01"}
    sim.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await caller.call(owner, "approval.cancel", wish)
    outcome = await caller.call(owner, "approval.cancel", wish, fresh=False)
    assert outcome.already
    assert sim.approvals.instances[str(instance)]["status"] == "CANCELED"
    assert [one.kind for one in sim.journal.effects] == ["approval", "cancel"]


# Refusals.


async def test_refusals_speak_to_people(url: engine.Url, caller: client.Client) -> None:
    sim, owner = stage.tenant_of(url), stage.connection(url)
    text = {"msg_type": "text", "content": {"text": "x"}}
    wrong: list[tuple[str, dict[str, Any], type[errors.ConnectorError], str]] = [
        ("message.send", {**text, "receive_id": "oc_gone", "receive_id_type": "chat_id"}, errors.Rejected, "230002"),
        ("message.send", {**text, "receive_id": "ou_nobody"}, errors.Rejected, "230013"),
        ("message.send", {"receive_id": "ou_sales01", "content": {"text": ""}}, errors.Rejected, "230001"),
        ("message.reply", {**text, "message_id": "om_gone"}, errors.Rejected, "230011"),
        ("user.get", {"user_id": "ou_nobody"}, errors.Rejected, "99992351"),
        ("approval.create", {"approval_code": "nope", "form": []}, errors.Rejected, "1390002"),
        ("approval.get", {"instance_code": "nope"}, errors.Rejected, "1390003"),
    ]
    for operation, given, kind, code in wrong:
        with pytest.raises(kind) as refused:
            await caller.call(owner, operation, given)
        assert refused.value.code == code, operation
        assert refused.value.hint["zh"], operation
    sim.settings["scopes_missing"] = ["/im/v1/"]
    with pytest.raises(errors.CredentialRefused) as scope:
        await caller.call(owner, "message.send", {**text, "receive_id": "ou_sales01"})
    assert "权限" in scope.value.hint["zh"]
    assert (await caller.call(owner, "user.find", {"mobiles": ["10000000000"]})).data is None


@pytest.mark.parametrize("changes", [{"app_secret": "wrong"}, {"app_id": "cli_another0001"}])
async def test_wrong_credentials_need_a_person(url: engine.Url, caller: client.Client, changes: dict[str, str]) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await caller.probe(stage.connection(url, **changes))
    assert refused.value.hint["zh"]
    with pytest.raises(errors.CredentialRefused):
        await caller.call(stage.connection(url, **changes), "stream.open", {})


async def test_throttling_says_how_long(url: engine.Url, caller: client.Client) -> None:
    sim = stage.tenant_of(url)
    await caller.probe(stage.connection(url))
    sim.faults.throttle = 1
    with pytest.raises(errors.Throttled) as throttled:
        await caller.probe(stage.connection(url))
    assert throttled.value.retry_after == 1


async def test_the_group_bot_is_signed_and_strict(url: engine.Url, caller: client.Client) -> None:
    sim, message = stage.tenant_of(url), {"content": {"text": "库存告警"}}
    await caller.call(stage.connection(url), "bot.send", message)
    with pytest.raises(errors.CredentialRefused) as unsigned:
        await caller.call(stage.connection(url, bot_secret="other"), "bot.send", message)
    assert unsigned.value.code == "19021"
    with pytest.raises(errors.CredentialRefused) as missing:
        await caller.call(stage.connection(url, bot_secret=""), "bot.send", message)
    assert missing.value.code == "19021"
    with pytest.raises(errors.CredentialRefused) as gone:
        await caller.call(stage.connection(url, bot_hook="another-bot-hook"), "bot.send", message)
    assert gone.value.code == "19001"
    sim.ahead = 3700
    with pytest.raises(errors.CredentialRefused):
        await caller.call(stage.connection(url), "bot.send", message)
    sim.ahead = 0
    sim.configure({"bot_keyword": "告警", "bot_per_minute": 2})
    with pytest.raises(errors.Misdeclared) as keyword:
        await caller.call(stage.connection(url), "bot.send", {"content": {"text": "你好"}})
    assert "关键词" in keyword.value.hint["zh"]
    await caller.call(stage.connection(url), "bot.send", message)
    with pytest.raises(errors.Throttled) as fast:
        await caller.call(stage.connection(url), "bot.send", message)
    assert fast.value.retry_after == 60
    sim.configure({"bot_secret": "", "bot_keyword": "", "bot_per_minute": 100})
    outcome = await caller.call(stage.connection(url, bot_secret=""), "bot.send", message)
    assert stage.DEFAULTS["bot_hook"] not in repr(outcome.exchanges)


async def test_two_tokens_live_side_by_side_in_the_last_half_hour(url: engine.Url) -> None:
    sim = stage.tenant_of(url)
    async with client.alone() as first, client.alone() as second:
        await first.probe(stage.connection(url))
        sim.ahead = 7200 - 1700
        await second.probe(stage.connection(url))
        assert len(sim.tokens) == 2
        await first.probe(stage.connection(url))


FORMATS: list[dict[str, Any]] = [
    {},
    {"url": "https://example.com/o/1", "mentions": ["ou_sales02"]},
    {"format": "markdown", "title": "已发货"},
    {"format": "card", "title": "已发货", "url": "https://example.com/o/1"},
]


@pytest.mark.parametrize("more", FORMATS, ids=lambda more: more.get("format", "text") + "+url" * ("url" in more))
@pytest.mark.parametrize(
    ("operation", "receiver"),
    [("message.send", "ou_sales01"), ("message.send", "oc_group01"), ("bot.send", "bot")],
)
async def test_a_message_of_any_format_arrives_once(
    url: engine.Url, caller: client.Client, operation: str, receiver: str, more: dict[str, Any]
) -> None:
    record = {"id": "evt-1", "recipients": [receiver], "text": "订单 T1 已发货", **more}
    spec = registry.get("feishu").operations[operation]
    given = library.shipped("feishu", str(spec.mapping)).to_native(record, {})
    for _ in range(2 if spec.idempotent == "key" else 1):
        outcome = await caller.call(stage.connection(url), operation, given)
    assert not outcome.warnings
    found = stage.tenant_of(url).tenant.read()
    assert [one["receiver"] for one in found] == [receiver]
    assert "订单 T1 已发货" in json.dumps(found, ensure_ascii=False)

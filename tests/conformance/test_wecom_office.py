"""WeCom beyond messages and customers: approvals from here, customer groups, mass messages and their results."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.core import client, errors, registry
from connectors.simulator import engine
from connectors.wecom import simulator
from mappings import canonical, library
from tests.conformance import messaging, test_wecom

SAMPLES = registry.folder("wecom") / "samples"
CONFIG = {
    "approval_template": simulator.TEMPLATE,
    "approval_creator": "sales01",
    "approval_order_control": "Text-1700000000001",
    "approval_amount_control": "Money-1700000000002",
    "approval_reason_control": "Textarea-1700000000003",
}
REFUND = {
    "id": "R1",
    "kind": "refund",
    "status": "requested",
    "order_id": "T1",
    "amount": "105.00",
    "reason": "破损",
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom"], time_scale=0.002) as base:
        yield base


def corp_of(url: engine.Url) -> simulator.Simulator:
    return test_wecom.corp_of(url)


def refund() -> dict[str, Any]:
    native: dict[str, Any] = library.shipped("wecom", "refund_approval").to_native(REFUND, {"config": CONFIG})
    return native


# Approvals.


@pytest.mark.parametrize(
    ("status", "meaning"), [(1, "pending"), (2, "approved"), (3, "rejected"), (4, "cancelled"), (7, "cancelled")]
)
async def test_a_refund_is_submitted_and_its_result_comes_back(
    url: engine.Url, caller: client.Client, status: int, meaning: str
) -> None:
    sim, owner = corp_of(url), messaging.wecom(url)
    async with messaging.hub(owner) as hub, messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        submitted = await caller.call(owner, "approval.create", refund())
        await http.post("/approvals", json={"sp_no": submitted.record_id, "sp_status": status})
        await sim.settle()
    assert {(one.message, one.record) for one in hub.events} == {("approval", submitted.record_id)}
    found = await caller.call(owner, "approval.get", {"sp_no": submitted.record_id})
    read = library.shipped("wecom", "approval").from_native(found.data, {})
    approval = canonical.MODELS["approval"].model_validate(read).model_dump()
    assert (approval["id"], approval["status"], approval["applicant"]) == (submitted.record_id, meaning, "sales01")
    assert [(one["label"], one["value"]) for one in approval["fields"]] == [
        ("订单号", "T1"),
        ("退款金额", "105.00"),
        ("原因", "破损"),
    ]


async def test_a_repeat_makes_a_second_form_so_a_lost_answer_parks(url: engine.Url, caller: client.Client) -> None:
    sim, owner = corp_of(url), messaging.wecom(url)
    assert registry.get("wecom").operations["approval.create"].idempotent == "no"
    first, second = [(await caller.call(owner, "approval.create", refund())).record_id for _ in range(2)]
    assert first != second
    sim.faults.drop_reply = 1
    with pytest.raises(errors.OutcomeUnknown):
        await caller.call(owner, "approval.create", refund())
    assert len(sim.corp.approvals.found) == 3


async def test_refused_forms_say_what_does_not_fit(url: engine.Url, caller: client.Client) -> None:
    owner, good = messaging.wecom(url), refund()
    contents = good["apply_data"]["contents"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**good, "template_id": "3TkOTHER"}, "301026"),
        ({**good, "creator_userid": "nobody"}, "301025"),
        ({**good, "use_template_approver": 0}, "301025"),
        ({**good, "summary_list": []}, "301025"),
        ({**good, "apply_data": {"contents": [{**contents[1], "value": {"new_money": 105}}]}}, "301025"),
        ({**good, "apply_data": {"contents": [{**contents[0], "id": "Text-0"}]}}, "301025"),
    ]
    for given, code in wrong:
        with pytest.raises(errors.Rejected) as refused:
            await caller.call(owner, "approval.create", given)
        assert (refused.value.code, bool(refused.value.hint["zh"])) == (code, True)


async def test_numbers_are_listed_page_by_page(url: engine.Url, caller: client.Client) -> None:
    sim, owner = corp_of(url), messaging.wecom(url)
    sim.configure({"page_size": 2})
    wanted = [(await caller.call(owner, "approval.create", refund())).record_id for _ in range(5)]
    now = datetime.now(UTC)
    span = (now - timedelta(hours=1), now + timedelta(hours=1))
    pages = [page async for page in caller.pages(owner, "approval.list", {}, span)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [number for page in pages for number in page] == wanted
    none = {"filters": [{"key": "sp_status", "value": "2"}]}
    assert [page async for page in caller.pages(owner, "approval.list", none, span)] == []
    with pytest.raises(errors.Rejected):
        far = (now - timedelta(days=40), now)
        assert [page async for page in caller.pages(owner, "approval.list", {}, far)] == []


async def test_the_template_tells_its_controls(url: engine.Url, caller: client.Client) -> None:
    outcome = await caller.call(messaging.wecom(url), "approval.template", {"template_id": simulator.TEMPLATE})
    controls = {one["property"]["id"]: one["property"]["control"] for one in outcome.data["controls"]}
    assert controls["Money-1700000000002"] == "Money"


@test_wecom.PEER
async def test_peer_submits_and_lists_approvals_and_groups(url: engine.Url) -> None:
    sim = corp_of(url)
    other = test_wecom.peer_client(url, messaging.WECOM["app_secret"])
    given = json.loads((SAMPLES / "oa_applyevent.request.json").read_text())
    filled = [
        {"control": "Text", "id": "Text-1700000000001", "value": {"text": "T1"}},
        {"control": "Money", "id": "Money-1700000000002", "value": {"new_money": "105.00"}},
    ]
    applied = await asyncio.to_thread(
        lambda: other.oa.apply_event(
            creator_userid="sales01",
            template_id=simulator.TEMPLATE,
            use_template_approver=1,
            approver=[],
            apply_data={"contents": filled},
            summary_list=given["summary_list"],
        )
    )
    number = applied["sp_no"]
    assert list(sim.corp.approvals.found) == [number]
    shown = await asyncio.to_thread(other.oa.get_approval_detail, number)
    assert shown["info"]["applyer"]["userid"] == "sales01"
    template = await asyncio.to_thread(other.oa.get_template_detail, simulator.TEMPLATE)
    assert len(template["template_content"]["controls"]) == 3
    async with messaging.control(url, "wecom") as http:
        await http.post("/groups", json={"chat_id": "wrTEST01", "name": "茶友群", "owner": "sales01"})
    groups = await asyncio.to_thread(other.external_contact_group_chat.list)
    assert [one["chat_id"] for one in groups["group_chat_list"]] == ["wrTEST01"]


# Customer groups and mass messages.


async def test_a_group_is_told_about_and_read(url: engine.Url, caller: client.Client) -> None:
    sim, owner = corp_of(url), messaging.wecom(url)
    group = {"chat_id": "wrTEST01", "name": "茶友群", "owner": "sales01", "member_list": []}
    async with messaging.hub(owner) as hub, messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await http.post("/groups", json=group)
        await http.post("/groups", json={**group, "name": "老茶友群"})
        await sim.settle()
    assert [(one.message, one.record) for one in hub.events] == [("customer_group", "wrTEST01")] * 2
    assert len({one.dedupe for one in hub.events}) == 2
    found = await caller.call(owner, "group.get", {"chat_id": "wrTEST01"})
    assert found.data["name"] == "老茶友群"
    for number in range(4):
        sim.corp.groups[f"wrMORE{number}"] = {"chat_id": f"wrMORE{number}", "owner": "sales02"}
    sim.configure({"page_size": 2})
    pages = [page async for page in caller.pages(owner, "group.list", {})]
    assert [len(page) for page in pages] == [2, 2, 1]
    wish = {"owner_filter": {"userid_list": ["sales01"]}}
    rows = [row async for page in caller.pages(owner, "group.list", wish) for row in page]
    assert [row["chat_id"] for row in rows] == ["wrTEST01"]


async def test_what_became_of_a_mass_message_is_asked(url: engine.Url, caller: client.Client) -> None:
    """The call says ok at once; who confirmed, whom it reached and whom it did not is told later."""
    sim, owner = corp_of(url), messaging.wecom(url)
    sim.configure({"staff_confirms": False})
    people = [one for one in sim.world.customers if one.owner == "sales01"][:3]
    receivers = [one.ids["wecom.external_userid"] for one in people]
    record = {"id": "m1", "recipients": [*receivers, "wmGONE"], "text": "本周新茶上市", "data": {"sender": "sales01"}}
    given = library.shipped("wecom", "customer_message").to_native(record, {})
    sent = await caller.call(owner, "customer_message.create", given)
    assert sent.warnings
    assert "wmGONE" in sent.warnings[0]

    async def rows(operation: str, **more: Any) -> list[Any]:
        return [row async for page in caller.pages(owner, operation, {"msgid": sent.record_id, **more}) for row in page]

    assert [(one["userid"], one["status"]) for one in await rows("customer_message.tasks")] == [("sales01", 0)]
    assert {one["status"] for one in await rows("customer_message.results", userid="sales01")} == {0}
    sim.corp.contacts.drop(receivers[1], "sales01")
    sim.corp.mass.received[receivers[2]] = 4
    async with messaging.control(url, "wecom") as http:
        told = await http.post(f"/mass/{sent.record_id}/confirm", json={"userid": "sales01"})
        assert told.json() == {"reached": 1}
        assert (await http.post(f"/mass/{sent.record_id}/confirm", json={"userid": "sales02"})).status_code == 422
    sim.configure({"page_size": 2})
    assert [one["status"] for one in await rows("customer_message.tasks")] == [2]
    results = {
        one["external_userid"]: one["status"] for one in await rows("customer_message.results", userid="sales01")
    }
    assert results == dict(zip(receivers, (1, 2, 3), strict=True))
    assert [one["receiver"] for one in sim.corp.messages.read()] == [receivers[0]]
    with pytest.raises(errors.Rejected):
        await caller.call(owner, "customer_message.tasks", {"msgid": "msgGONE"})


async def test_a_group_message_goes_through_the_groups_owner(url: engine.Url, caller: client.Client) -> None:
    sim, owner = corp_of(url), messaging.wecom(url)
    sim.corp.groups["wrTEST01"] = {"chat_id": "wrTEST01", "owner": "sales01"}
    sim.corp.groups["wrTEST02"] = {"chat_id": "wrTEST02", "owner": "sales02"}
    record = {"id": "m1", "recipients": ["wrTEST01", "wrTEST02"], "text": "本周新茶上市", "data": {"sender": "sales01"}}
    given = library.shipped("wecom", "group_message").to_native(record, {})
    sent = await caller.call(owner, "group_message.create", given)
    assert "wrTEST02" in sent.warnings[0]
    assert [one["receiver"] for one in sim.corp.messages.read()] == ["wrTEST01"]

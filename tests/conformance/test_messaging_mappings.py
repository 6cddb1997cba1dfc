"""The messengers' mappings against their simulators: what a mapping writes is taken, what a call answers is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.core import client, decode, registry, template
from connectors.dingtalk import simulator as dingtalk_simulator
from connectors.simulator import engine
from connectors.wecom import simulator as wecom_simulator
from mappings import canonical, library
from tests.conformance import messaging


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom", "dingtalk"], time_scale=0.002) as base:
        yield base


def wecom_of(url: engine.Url) -> wecom_simulator.Simulator:
    found = url.simulators["wecom"]
    assert isinstance(found, wecom_simulator.Simulator)
    return found


def dingtalk_of(url: engine.Url) -> dingtalk_simulator.Simulator:
    found = url.simulators["dingtalk"]
    assert isinstance(found, dingtalk_simulator.Simulator)
    return found


def written(connector: str, operation: str, record: dict[str, Any], **context: Any) -> dict[str, Any]:
    """The operation's input, by the mapping its declaration names."""
    spec = registry.get(connector).operations[operation]
    assert spec.entity is not None
    return library.shipped(connector, spec.mapping or spec.entity).to_native(record, context)


def message(receiver: str, **more: Any) -> dict[str, Any]:
    return {"id": "evt-1", "recipients": [receiver], "text": "订单 T1 已发货", **more}


FORMATS = [
    {},
    {"url": "https://example.com/o/1"},
    {"format": "markdown", "title": "已发货"},
    {"format": "card", "title": "已发货", "url": "https://example.com/o/1"},
]


@pytest.mark.parametrize("more", FORMATS, ids=lambda more: f"{more.get('format', 'text')}{'+url' * ('url' in more)}")
@pytest.mark.parametrize(
    ("connector", "operation", "receiver"),
    [
        ("wecom", "message.send", "sales01"),
        ("wecom", "robot.send", "robot"),
        ("dingtalk", "robot.send", "robot"),
        ("dingtalk", "notice.send", "sales01"),
        ("dingtalk", "robot.direct", "sales01"),
    ],
)
async def test_a_message_of_any_format_arrives_once(
    url: engine.Url, caller: client.Client, connector: str, operation: str, receiver: str, more: dict[str, Any]
) -> None:
    owner = (messaging.wecom if connector == "wecom" else messaging.dingtalk)(url)
    given = written(connector, operation, message(receiver, **more))
    await caller.call(owner, operation, given)
    if registry.get(connector).operations[operation].idempotent == "key":
        await caller.call(owner, operation, given)
    found = wecom_of(url).corp.messages.read() if connector == "wecom" else dingtalk_of(url).corp.read()
    assert [one["receiver"] for one in found] == [receiver]
    assert "订单 T1 已发货" in json.dumps(found, ensure_ascii=False)


async def test_message_to_a_customer(url: engine.Url, caller: client.Client) -> None:
    external = wecom_of(url).world.customers[0].ids["wecom.external_userid"]
    given = written("wecom", "customer_message.create", message(external))
    await caller.call(messaging.wecom(url), "customer_message.create", given)
    assert [one["content"]["content"] for one in wecom_of(url).corp.messages.read(external)] == ["订单 T1 已发货"]


async def test_customer_from_its_push_to_the_model(url: engine.Url, caller: client.Client) -> None:
    """The push is a hint: the declared hydration gives the record, the mapping a whole customer."""
    sim, owner = wecom_of(url), messaging.wecom(url)
    person = sim.world.customers[5]
    external = person.ids["wecom.external_userid"]
    async with messaging.hub(owner) as hub, messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await http.post(f"/contacts/{external}/edit", json={"remark": "大客户"})
        await sim.settle()
    (event,) = hub.events
    hydrate = owner.declaration.messages[event.message].hydrate
    assert hydrate is not None
    given = template.render(hydrate.input, {"payload": decode.parse("json", event.payload)})
    outcome = await caller.call(owner, hydrate.operation, given)
    record = library.shipped("wecom", "customer").from_native(outcome.data, {})
    customer = canonical.MODELS["customer"].model_validate(record)
    assert customer.id == external == event.record
    shown = customer.model_dump()
    assert (shown["name"], shown["short_name"], shown["phone"]) == (person.name, "大客户", person.phone)
    assert (shown["owner"], shown["gender"], shown["tags"]) == (person.owner, person.gender, list(person.tags))
    assert {one["kind"]: one["value"] for one in shown["identities"]} == {
        "wecom.external_userid": external,
        "unionid": person.ids["unionid"],
    }


async def test_customer_rows_in_bulk(url: engine.Url, caller: client.Client) -> None:
    pages = caller.pages(messaging.wecom(url), "contact.batch", {"userid_list": ["sales01"]})
    rows = [row async for page in pages for row in page]
    customers = [library.shipped("wecom", "customer").from_native(row, {}) for row in rows]
    assert customers
    assert all(one["owner"] == "sales01" for one in customers)


async def test_customer_remarks_follow_the_crm(url: engine.Url, caller: client.Client) -> None:
    sim = wecom_of(url)
    person = sim.world.customers[5]
    record = {"id": "C1", "name": "甲公司 王总", "phone": "13900001111", "note": "VIP", "company": "甲公司"}
    for extra, link in (
        ({"identities": [{"kind": "wecom.external_userid", "value": person.ids["wecom.external_userid"]}]}, {}),
        ({"note": "老客"}, {"id": person.ids["wecom.external_userid"]}),
    ):
        config = {"remark_user": person.owner}
        given = written("wecom", "contact.remark", {**record, **extra}, config=config, link=link)
        outcome = await caller.call(messaging.wecom(url), "contact.remark", given)
        assert outcome.record_id == person.ids["wecom.external_userid"]
    follow = sim.corp.contacts.follow(person.ids["wecom.external_userid"], person.owner)
    assert follow is not None
    assert (follow["remark"], follow["description"], follow["remark_mobiles"]) == (
        "甲公司 王总",
        "老客",
        ["13900001111", person.phone],
    )


@pytest.mark.parametrize(
    ("decision", "status"),
    [(None, "pending"), ("agree", "approved"), ("refuse", "rejected"), ("terminate", "cancelled")],
)
async def test_dingtalk_approval(url: engine.Url, caller: client.Client, decision: str | None, status: str) -> None:
    sim, owner = dingtalk_of(url), messaging.dingtalk(url)
    given = {
        "processCode": "PROC-TEST-0001",
        "originatorUserId": "sales01",
        "deptId": 1,
        "formComponentValues": [{"name": "订单号", "value": "T1"}],
    }
    instance = (await caller.call(owner, "approval.create", given)).record_id
    assert instance is not None
    if decision:
        sim.approvals.decide(instance, decision)
    outcome = await caller.call(owner, "approval.get", {"processInstanceId": instance})
    record = library.shipped("dingtalk", "approval").from_native(outcome.data, {"event": {"record": instance}})
    approval = canonical.MODELS["approval"].model_validate(record).model_dump()
    assert (approval["id"], approval["status"], approval["applicant"]) == (instance, status, "sales01")
    assert [(one["label"], one["value"]) for one in approval["fields"]] == [("订单号", "T1")]
    assert abs((approval["created_at"] - datetime.now(UTC)).total_seconds()) < 120


def test_dingtalk_approval_without_tasks_takes_its_id_from_the_event() -> None:
    sample = registry.folder("dingtalk") / "samples" / "workflow_processInstances_get.response.json"
    native = {**json.loads(sample.read_bytes())["result"], "tasks": []}
    record = library.shipped("dingtalk", "approval").from_native(native, {"event": {"record": "PI-9"}})
    assert record["id"] == "PI-9"


async def test_wecom_approval(url: engine.Url, caller: client.Client) -> None:
    async with messaging.control(url, "wecom") as http:
        applyer = {"userid": "sales01", "partyid": "1"}
        form = {"sp_no": "202411120009", "sp_status": 3, "sp_name": "退款审批", "applyer": applyer}
        await http.post("/approvals", json=form)
    outcome = await caller.call(messaging.wecom(url), "approval.get", {"sp_no": "202411120009"})
    record = library.shipped("wecom", "approval").from_native(outcome.data, {})
    assert (record["id"], record["status"], record["applicant"]) == ("202411120009", "rejected", "sales01")


def test_every_operation_with_an_entity_has_its_mapping() -> None:
    for connector in ("wecom", "dingtalk", "feishu"):
        for name, operation in registry.get(connector).operations.items():
            if operation.entity:
                library.shipped(connector, operation.mapping or operation.entity)
                assert operation.entity in canonical.MODELS, name
        for name, kind in registry.get(connector).messages.items():
            if kind.entity:
                assert kind.hydrate or kind.mapping, name
                library.shipped(connector, kind.mapping or kind.entity)


@pytest.mark.parametrize("connector", ["wecom", "dingtalk"])
def test_every_error_rule_speaks_to_people(connector: str) -> None:
    for rule in registry.get(connector).errors:
        assert rule.hint, rule.match
        assert rule.hint.zh, rule.match
        assert rule.hint.en, rule.match

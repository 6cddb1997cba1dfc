"""DingTalk's own CRM and its to-dos: the vendor's client against the simulator, and no customer or to-do twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from connectors.core import client, decode, errors, registry, scope
from connectors.dingtalk import simulator
from connectors.simulator import engine
from mappings import library
from retry_queue.sync import sides
from tests.conformance import messaging

PERSON = {"id": "C1", "name": "演示客户", "phone": "13800000001", "note": "老客"}
FIELDS = {"crm_operator": "sales01", "todo_creator": "z21sales01"}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["dingtalk"], time_scale=0.002) as base:
        yield base


def effects(url: engine.Url) -> list[str]:
    found = url.simulators["dingtalk"]
    assert isinstance(found, simulator.Simulator)
    return [one.kind for one in found.journal.effects]


async def test_a_customer_with_the_same_phone_is_found_and_not_made_twice(
    url: engine.Url, calls: client.Client
) -> None:
    corp = messaging.dingtalk(url, **FIELDS)
    mapping = library.shipped("dingtalk", "crm_customer")
    made = await calls.call(corp, "crm.create", mapping.to_native(PERSON, {}))
    again = await calls.call(corp, "crm.create", mapping.to_native(PERSON, {}))
    unsure = await calls.call(corp, "crm.create", mapping.to_native(PERSON, {}), fresh=False)
    assert [again.record_id, unsure.record_id] == [made.record_id] * 2
    assert again.already
    assert unsure.already
    given = mapping.to_native({**PERSON, "name": "演示客户二"}, {"link": {"id": made.record_id}})
    await calls.call(corp, "crm.update", given)
    await calls.call(corp, "crm.update", given, fresh=False)
    found = await calls.call(corp, "crm.get", {"instanceId": made.record_id, "relationType": "crm_customer_personal"})
    assert mapping.from_native(found.data, {})["name"] == "演示客户二"
    assert effects(url) == ["crm_customer", "crm_customer_changed"]
    for number in range(120):
        data = {"customer_name": f"客户{number}", "customer_phone": f"139{number:08d}"}
        await calls.call(corp, "crm.create", {"data": data})
    rows = [row async for page in calls.pages(corp, "crm.list", {}, None) for row in page]
    assert len({row["instanceId"] for row in rows}) == 121
    event = decode.event(corp.declaration, "crm_customers", rows[0], corp)
    assert (event.message, event.entity, event.record) == ("crm_row", "customer", made.record_id)
    told = decode.native(event.payload, corp.declaration.messages["crm_row"])
    assert mapping.from_native(told, {})["id"] == event.record


@pytest.mark.parametrize(
    ("wanted", "lists", "open_polls"),
    [("none", "contact.list", []), ("contacts", "contact.list", ["contacts"]), ("crm", "crm.list", ["crm_customers"])],
)
def test_customers_are_read_and_compared_where_they_are_kept(wanted: str, lists: str, open_polls: list[str]) -> None:
    for push in ("stream", "http"):
        corp = messaging.dingtalk(customer_source=wanted, push=push)
        # Never the failed pushes: reading those clears them.
        assert sides.list_operation(corp.declaration, "customer", corp) == lists
    polls = [key for key, one in scope.open_sources(corp).items() if one.operation in ("contact.list", "crm.list")]
    assert polls == open_polls


async def test_an_external_contact_is_a_customer_until_it_is_deleted(url: engine.Url, calls: client.Client) -> None:
    corp = messaging.dingtalk(url)
    config = {"contact_label_ids": [1], "contact_follower": "sales01"}
    given = library.shipped("dingtalk", "customer").to_native(PERSON, {"config": config})
    made = await calls.call(corp, "contact.create", given)
    (row,) = [row async for page in calls.pages(corp, "contact.list", {}, None) for row in page]
    event = decode.event(corp.declaration, "contacts", row, corp)
    assert (event.message, event.entity, event.record) == ("contact_row", "customer", made.record_id)
    for _ in range(2):
        await calls.call(corp, "contact.delete", {"user_id": made.record_id})
    assert [row async for page in calls.pages(corp, "contact.list", {}, None) for row in page] == []
    assert effects(url) == ["contact", "contact_deleted"]


async def test_a_to_do_is_made_once_and_wants_a_link(url: engine.Url, calls: client.Client) -> None:
    corp = messaging.dingtalk(url, **FIELDS)
    wish = {"id": "m1", "recipients": ["z21sales02"], "text": "库存不足", "url": "https://example.com/s/1"}
    given = library.shipped("dingtalk", "todo").to_native(wish, {})
    first = await calls.call(corp, "todo.create", given)
    again = await calls.call(corp, "todo.create", given, fresh=False)
    assert first.record_id == again.record_id
    assert effects(url) == ["todo"]
    with pytest.raises(errors.Rejected):
        await calls.call(corp, "todo.create", {**given, "sourceId": "m2", "detailUrl": {}})


@pytest.mark.peers("alibabacloud_dingtalk")
async def test_peer_writes_and_reads_customers_and_to_dos(url: engine.Url) -> None:
    from alibabacloud_dingtalk.crm_1_0 import client as crm
    from alibabacloud_dingtalk.crm_1_0 import models as crm_models
    from alibabacloud_dingtalk.oauth2_1_0 import client as oauth
    from alibabacloud_dingtalk.oauth2_1_0 import models as oauth_models
    from alibabacloud_dingtalk.todo_1_0 import client as todo
    from alibabacloud_dingtalk.todo_1_0 import models as todo_models
    from alibabacloud_tea_openapi import models as open_api
    from alibabacloud_tea_util import models as util

    runtime = util.RuntimeOptions(autoretry=False, connect_timeout=3000, read_timeout=5000)
    place = open_api.Config(protocol="http", endpoint=str(url).removeprefix("http://") + "/dingtalk", region_id="x")
    ours = messaging.DINGTALK
    wish = oauth_models.GetAccessTokenRequest(app_key=ours["app_key"], app_secret=ours["app_secret"])
    token = (await oauth.Client(place).get_access_token_async(wish)).body.access_token
    book, kind = crm.Client(place), "crm_customer"
    made = await book.add_crm_personal_customer_with_options_async(
        crm_models.AddCrmPersonalCustomerRequest(
            creator_user_id="sales01", relation_type=kind, data={"customer_name": "演示公司"}
        ),
        crm_models.AddCrmPersonalCustomerHeaders(x_acs_dingtalk_access_token=token),
        runtime,
    )
    number = made.body.instance_id
    read = await book.list_crm_personal_customers_with_options_async(
        crm_models.ListCrmPersonalCustomersRequest(relation_type=kind, body=[number]),
        crm_models.ListCrmPersonalCustomersHeaders(x_acs_dingtalk_access_token=token),
        runtime,
    )
    assert [one.data["customer_name"] for one in read.body.result] == ["演示公司"]
    links = todo_models.CreateTodoTaskRequestDetailUrl(app_url="https://example.com", pc_url="https://example.com")
    task = await todo.Client(place).create_todo_task_with_options_async(
        "z21sales01",
        todo_models.CreateTodoTaskRequest(
            subject="退款待审核", source_id="m1", executor_ids=["z21sales01"], detail_url=links
        ),
        todo_models.CreateTodoTaskHeaders(x_acs_dingtalk_access_token=token),
        runtime,
    )
    assert task.body.id
    assert effects(url) == ["crm_customer", "todo"]


@pytest.mark.parametrize(
    ("kind", "what", "message"),
    [
        ("crm_customer", "create", "crm_customer"),
        ("crm_customer_personal", "update", "crm_customer"),
        ("crm_customer_personal", "delete", "crm_record"),
        ("crm_contact", "create", "crm_record"),
    ],
)
def test_changed_customers_are_read_again(kind: str, what: str, message: str) -> None:
    said = {"EventType": f"ding_paas_object_data_{what}", "ObjectType": kind, "DataId": "I1"}
    (event,) = decode.events(registry.get("dingtalk"), "callback", json.dumps(said).encode())
    assert (event.message, event.record) == (message, "I1")
    assert (event.entity == "customer") is (message == "crm_customer")

"""WeCom: what a call cannot say by itself: mobiles are merged, long texts are cut in sight, files go as forms."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import answer, client, declaration, errors, failure, registry
from connectors.simulator import engine
from connectors.wecom import sender, simulator
from tests.conformance import messaging, test_wecom
from tests.conformance.messaging import written


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom"], time_scale=0.002) as base:
        yield base


def corp_of(url: engine.Url) -> simulator.Simulator:
    return test_wecom.corp_of(url)


async def test_a_new_mobile_does_not_erase_what_a_colleague_typed(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    person = sim.world.customers[5]
    external, owner = person.ids["wecom.external_userid"], messaging.wecom(url)
    follow = sim.corp.contacts.follow(external, person.owner)
    assert follow is not None
    follow["remark_mobiles"] = ["13700000001", "13700000002"]
    record: dict[str, Any] = {"id": "C1", "name": "王总", "phone": "13900001111"}
    given = written("wecom", "remark", record, config={"remark_user": person.owner}, link={"id": external})
    for _ in range(2):
        await caller.call(owner, "contact.remark", given)
    assert follow["remark_mobiles"] == ["13900001111", "13700000001", "13700000002"]
    silent = {name: value for name, value in given.items() if name != "remark_mobiles"} | {"remark": "王总二"}
    await caller.call(owner, "contact.remark", silent)
    assert (follow["remark"], len(follow["remark_mobiles"])) == ("王总二", 3)
    await caller.call(owner, "contact.remark", {**given, "remark_mobiles": [""]})
    assert follow["remark_mobiles"] == [], "what is cleared on purpose is cleared"


async def test_an_ended_token_or_relation_is_told_by_the_reading(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    person = sim.world.customers[5]
    given = {
        "external_userid": person.ids["wecom.external_userid"],
        "userid": person.owner,
        "remark_mobiles": ["13900001111"],
    }
    await caller.call(messaging.wecom(url), "contact.remark", given)
    sim.tokens = dict.fromkeys(sim.tokens, 0.0)
    await caller.call(messaging.wecom(url), "contact.remark", {**given, "remark_mobiles": ["13900001112"]})
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(messaging.wecom(url), "contact.remark", {**given, "external_userid": "wmNOBODY"})
    assert refused.value.code == "84061"


async def test_a_long_text_is_cut_in_sight(url: engine.Url, caller: client.Client) -> None:
    for kind in ("text", "markdown"):
        given = {"touser": "sales01", "msgtype": kind, kind: {"content": "订单" * 600}}
        await caller.call(messaging.wecom(url), "message.send", given)
    for told in corp_of(url).corp.messages.read("sales01"):
        shown = told["content"]["content"]
        assert shown.endswith(sender.CUT)
        assert len(shown.encode()) <= 2048
    short = {"msgtype": "markdown", "markdown": {"content": "x" * 4096}}
    assert sender.fitted(short, sender.LIMITS["/cgi-bin/webhook/send"]) is short


async def test_a_file_arrives_as_it_is(url: engine.Url, caller: client.Client) -> None:
    content = bytes(range(256))
    given = {"type": "file", "filename": "退货单.pdf", "content": base64.b64encode(content).decode()}
    made = await caller.call(messaging.wecom(url), "media.upload", given)
    kept = corp_of(url).corp.media[str(made.record_id)]
    assert kept["content"] == content
    for wrong in ("", "no base64!", base64.b64encode(b"1234").decode()):
        with pytest.raises(errors.Rejected):
            await caller.call(messaging.wecom(url), "media.upload", {**given, "content": wrong})


async def test_a_customer_whom_nobody_follows_any_more_is_not_there(url: engine.Url, caller: client.Client) -> None:
    sim, owner = corp_of(url), messaging.wecom(url)
    person = sim.world.customers[5]
    external = person.ids["wecom.external_userid"]
    async with messaging.hub(owner) as hub, messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await http.post(f"/contacts/{external}/audit", json={})
        await sim.settle()
        await http.post(f"/contacts/{external}/del", json={"userid": person.owner})
        await sim.settle()
    assert [(one.message, one.entity) for one in hub.events] == [
        ("contact_welcome", "customer"),
        ("contact_removed", "customer"),
    ]
    found = await caller.call(owner, "contact.get", {"external_userid": external})
    assert found.data is None


async def test_a_mass_message_that_reaches_nobody_is_refused(url: engine.Url, caller: client.Client) -> None:
    corp_of(url).configure({"mass_refuses": False})
    given = {"external_userid": ["wmNOBODY"], "text": {"content": "您的订单已发货"}}
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(messaging.wecom(url), "customer_message.create", given)
    assert "fail_list" in refused.value.hint["zh"]
    given = {"chat_id_list": ["wrNOBODY"], "sender": "sales01", "text": {"content": "x"}}
    with pytest.raises(errors.Rejected):
        await caller.call(messaging.wecom(url), "group_message.create", given)


async def test_a_tag_is_made_once(url: engine.Url, caller: client.Client) -> None:
    given = {"group_name": "等级", "tag": [{"name": "金牌"}]}
    for already in (False, True):
        assert (await caller.call(messaging.wecom(url), "tag.create", given)).already is already
    assert len(corp_of(url).corp.made_tags) == 1


def test_a_bad_parameter_is_this_records_fault() -> None:
    spec = registry.get("wecom")
    got = answer.Answer(200, {"content-type": "application/json"}, b'{"errcode": 40058, "errmsg": "invalid"}')
    found = failure.Reader(spec, spec.operations["approval.create"]).finding(got, safe=False)
    assert found.becomes is declaration.ErrorClass.REJECTED


def test_connections_of_one_corp_share_its_limits() -> None:
    scopes = [one for one in registry.get("wecom").pacing.scopes if one.scope == "method"]
    assert {one.by for one in scopes} == {"corp_id"}
    assert (150000, 3600) in {(one.limit, one.per) for one in scopes}

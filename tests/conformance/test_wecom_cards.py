"""WeCom's cards with buttons, recalled messages and the application's own group chats."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator

import pytest

from connectors.core import client, decode, errors
from connectors.simulator import engine
from connectors.wecom.simulated import cards
from mappings import library
from tests.conformance import messaging, test_wecom

ASKED = {"id": "5f1c0e0a-card", "recipients": ["sales01", "sales02"], "title": "退款待确认", "text": "T1 退 105.00 元"}
GROUP = {"chatid": "disputes01", "name": "售后争议", "owner": "sales01", "userlist": ["sales01", "sales02"]}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom"], time_scale=0.002) as base:
        yield base


written = functools.partial(messaging.written, "wecom")


async def test_a_click_comes_back_and_its_card_is_updated_once(url: engine.Url, caller: client.Client) -> None:
    sim, owner = test_wecom.corp_of(url), messaging.wecom(url)
    sent = await caller.call(owner, "message.send", written("decision_card", ASKED))
    assert sent.data["response_code"]
    async with messaging.hub(owner) as hub, messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        for who, key in (("sales01", "agree"), ("sales02", "refuse")):
            await http.post(f"/cards/{ASKED['id']}/click", json={"userid": who, "key": key})
        assert (
            await http.post(f"/cards/{ASKED['id']}/click", json={"userid": "nobody", "key": "x"})
        ).status_code == 422
        await sim.settle()
    assert {(one.message, one.entity, one.record) for one in hub.events} == {("card_button", "message", ASKED["id"])}
    assert len({one.dedupe for one in hub.events}) == 2
    mapping = library.shipped("wecom", "card_click")
    clicks = {
        one["data"]["sender"]: one
        for one in (mapping.from_native(decode.parse("json", event.payload), {}) for event in hub.events)
    }
    assert {who: one["text"] for who, one in clicks.items()} == {"sales01": "agree", "sales02": "refuse"}

    given = written("card_update", {"id": "m1", "recipients": ["sales01"], "text": "已同意"}, message=clicks["sales01"])
    first = await caller.call(owner, "card.update", given)
    again = await caller.call(owner, "card.update", given)
    assert (first.already, again.already) == (False, True)
    assert sim.corp.cards.found[ASKED["id"]]["shown"] == {"sales01": "已同意"}
    late = written("card_update", {"id": "m2", "recipients": ["sales02"], "text": "已驳回"}, message=clicks["sales02"])
    stranger = await caller.call(owner, "card.update", {**late, "userids": ["sales02", "sales03"]})
    assert "sales03" in stranger.warnings[0]
    sim.ahead += cards.LIVES + 1
    over = {**late, "response_code": sent.data["response_code"]}
    assert (await caller.call(owner, "card.update", over)).already
    assert sim.journal.totals()["card"]["total"] == 2


async def test_a_recalled_message_stays_recalled_and_an_old_one_stays(url: engine.Url, caller: client.Client) -> None:
    sim, owner = test_wecom.corp_of(url), messaging.wecom(url)
    told = [
        await caller.call(owner, "message.send", {"touser": "sales01|sales02", "text": {"content": text}})
        for text in ("发错了", "昨天的")
    ]
    for _ in range(2):
        await caller.call(owner, "message.recall", {"msgid": told[0].record_id})
    assert [bool(one.get("recalled")) for one in sim.corp.messages.read()] == [True, True, False, False]
    sim.ahead += cards.RECALLABLE + 1
    for msgid in (told[1].record_id, "MSGunknown"):
        with pytest.raises(errors.Rejected) as refused:
            await caller.call(owner, "message.recall", {"msgid": msgid})
        assert "24" in refused.value.hint["zh"]
    assert sim.journal.totals()["recall"]["total"] == 1


async def test_a_group_is_made_once_under_our_own_id(url: engine.Url, caller: client.Client) -> None:
    sim, owner = test_wecom.corp_of(url), messaging.wecom(url)
    made = await caller.call(owner, "appchat.create", GROUP)
    unsure = await caller.call(owner, "appchat.create", GROUP, fresh=False)
    taken = await caller.call(owner, "appchat.create", GROUP)
    assert [one.record_id for one in (made, unsure, taken)] == ["disputes01"] * 3
    assert [one.already for one in (made, unsure, taken)] == [False, True, True]
    assert sim.journal.totals()["appchat"]["total"] == 1
    assert (await caller.call(owner, "appchat.get", {"chatid": "nobodys"})).data is None
    wrong = {"chatid": "other01", "userlist": ["sales01"]}, {**GROUP, "chatid": "other02", "owner": "sales03"}
    for given in wrong:
        with pytest.raises(errors.Rejected) as refused:
            await caller.call(owner, "appchat.create", given)
        assert refused.value.hint["zh"]
    for more in ({}, {"format": "markdown", "title": "争议"}, {"format": "card", "url": "https://example.com/r/1"}):
        wish = {"id": "m1", "recipients": ["disputes01"], "text": "订单 T1 有争议", **more}
        await caller.call(owner, "appchat.send", written("appchat", wish))
    kinds = [one["msgtype"] for one in sim.corp.messages.read("disputes01")]
    assert kinds == ["text", "markdown", "textcard"]
    with pytest.raises(errors.Rejected):
        await caller.call(owner, "appchat.send", {"chatid": "nobodys", "text": {"content": "x"}})


@test_wecom.PEER
async def test_peer_makes_a_group_and_writes_into_it(url: engine.Url) -> None:
    sim = test_wecom.corp_of(url)
    other = test_wecom.peer_client(url, messaging.WECOM["app_secret"])
    made = await asyncio.to_thread(
        other.appchat.create, GROUP["chatid"], GROUP["name"], GROUP["owner"], GROUP["userlist"]
    )
    assert made["chatid"] == "disputes01"
    assert (await asyncio.to_thread(other.appchat.get, "disputes01"))["name"] == "售后争议"
    await asyncio.to_thread(other.appchat.send_text, "disputes01", "订单 T1 有争议")
    assert json.dumps(sim.corp.messages.read("disputes01"), ensure_ascii=False).count("有争议") == 1

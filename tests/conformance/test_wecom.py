"""WeCom: the simulator against an independent client, its pushes through our door, every operation, failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import client, errors, registry
from connectors.simulator import engine
from connectors.wecom import simulator
from tests.conformance import messaging
from tests.conformance.messaging import wecom as connection

SAMPLES = registry.folder("wecom") / "samples"
DEFAULTS = messaging.WECOM
PEER = pytest.mark.peers("wechatpy")


def peer_crypto() -> Any:
    from wechatpy.work import crypto

    return crypto.WeChatCrypto(DEFAULTS["token"], DEFAULTS["encoding_aes_key"], DEFAULTS["corp_id"])


def peer_client(base: str, secret: str) -> Any:
    """The independent client, pointed at the simulator (its token address is a constant)."""
    from wechatpy.work import WeChatClient

    class Peer(WeChatClient):
        API_BASE_URL = f"{base}/wecom/cgi-bin/"

        def fetch_access_token(self) -> Any:
            params = {"corpid": self.corp_id, "corpsecret": self.secret}
            return self._fetch_access_token(url=f"{self.API_BASE_URL}gettoken", params=params)

    made = Peer(DEFAULTS["corp_id"], secret, timeout=5)
    made._http.trust_env = False
    return made


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom"], time_scale=0.01) as base:
        yield base


def corp_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["wecom"]
    assert isinstance(found, simulator.Simulator)
    return found


@PEER
async def test_peer_client_works_against_the_simulator(url: engine.Url) -> None:
    from wechatpy import exceptions as peer_exceptions

    sim = corp_of(url)
    other = peer_client(url, DEFAULTS["app_secret"])
    sent = await asyncio.to_thread(
        other.message.send_text, DEFAULTS["agent_id"], ["sales01", "nobody"], "订单 T1 已发货"
    )
    assert sent["invaliduser"] == "nobody"
    assert [one["receiver"] for one in sim.corp.messages.read()] == ["sales01"]

    external = sim.world.customers[0].ids["wecom.external_userid"]
    found = await asyncio.to_thread(other.external_contact.get, external)
    assert found["external_contact"]["unionid"] == sim.world.customers[0].ids["unionid"]
    rows = await asyncio.to_thread(other.external_contact.list, "sales01")
    assert rows["external_userid"] == sim.corp.contacts.of("sales01")

    welcome = {"msgtype": "link", "link": {"title": "售后", "url": "https://example.com/help"}}
    with pytest.raises(peer_exceptions.WeChatClientException) as refused:
        await asyncio.to_thread(
            lambda: other.external_contact.send_welcome_msg(template={"welcome_code": "x", "attachments": [welcome]})
        )
    assert refused.value.errcode == 41050

    # An early end of the token: the client fetches another and repeats the call.
    async with messaging.control(url, "wecom") as http:
        await http.post("/tokens/expire")
    assert (await asyncio.to_thread(other.agent.get, DEFAULTS["agent_id"]))["name"] == "枢纽"
    wrong = peer_client(url, "not the secret")
    with pytest.raises(peer_exceptions.WeChatClientException) as refused:
        await asyncio.to_thread(wrong.fetch_access_token)
    assert refused.value.errcode == 40001


# The simulator's pushes, through our door.


@pytest.fixture
async def hub() -> AsyncIterator[messaging.Hub]:
    async with messaging.hub(connection()) as one:
        yield one


async def test_saving_the_address_checks_it(url: engine.Url, hub: messaging.Hub) -> None:
    sim = corp_of(url)
    async with messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await sim.settle()
        assert [(one.label, one.state) for one in sim.pushes] == [("url_check", "acknowledged")]
        hub.owner = connection(token="anotherToken")
        await http.post("/check")
        await sim.settle()
    assert sim.pushes[-1].state == "given_up"


async def test_new_customer_arrives_through_our_door(url: engine.Url, hub: messaging.Hub) -> None:
    sim = corp_of(url)
    external = sim.world.customers[7].ids["wecom.external_userid"]
    async with messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await http.post(f"/contacts/{external}/add", json={"userid": "sales02", "state": "shop_tmall_01"})
        await http.post(f"/contacts/{external}/edit", json={"userid": "sales02", "remark": "大客户"})
        await http.post("/approvals", json={"sp_no": "202411120003", "sp_status": 2, "sp_name": "退款审批"})
        await sim.settle()
        gone = await http.post(f"/contacts/{external}/jump", json={})
        assert gone.status_code == 422
    assert sorted((event.message, event.record) for event in hub.events) == [
        ("approval", "202411120003"),
        ("contact_edited", external),
        ("contact_welcome", external),
    ]


@PEER
async def test_peer_opens_the_simulators_push(url: engine.Url, hub: messaging.Hub) -> None:
    sim = corp_of(url)
    external = sim.world.customers[7].ids["wecom.external_userid"]
    async with messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await http.post(f"/contacts/{external}/add", json={})
        await sim.settle()
    ((query, body),) = hub.raw
    opened = peer_crypto().decrypt_message(body, query["msg_signature"], query["timestamp"], query["nonce"])
    assert external in opened


@pytest.mark.parametrize(("broken", "arrived", "tries"), [(2, 1, 3), (3, 0, 3)])
async def test_a_callback_is_tried_three_times(
    url: engine.Url, hub: messaging.Hub, broken: int, arrived: int, tries: int
) -> None:
    sim = corp_of(url)
    async with messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await sim.settle()
        hub.breaks(broken)
        await http.post(f"/contacts/{sim.world.customers[1].ids['wecom.external_userid']}/add", json={})
        await sim.settle()
    assert len(hub.events) == arrived
    assert len(sim.pushes[-1].tries) == tries


async def test_retries_carry_the_same_dedupe_key(url: engine.Url, hub: messaging.Hub) -> None:
    sim = corp_of(url)
    async with messaging.control(url, "wecom") as http:
        await http.post("/configure", json={"push_url": hub.address})
        await http.post("/faults", json={"duplicate_push": 3})
        await http.post(f"/contacts/{sim.world.customers[1].ids['wecom.external_userid']}/add", json={})
        await sim.settle()
    assert len(hub.events) == 3
    assert len({event.dedupe for event in hub.events}) == 1


# Every operation through the client.


async def test_probe(url: engine.Url, caller: client.Client) -> None:
    outcome = await caller.probe(connection(url))
    assert outcome.data["name"] == "枢纽"
    assert all(DEFAULTS["app_secret"] not in str(one) for one in outcome.exchanges)


async def test_message_reports_who_was_not_reached(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    sim.configure({"unlicensed": ["sales03"]})
    outcome = await caller.call(
        connection(url), "message.send", {"touser": "sales01|ghost|sales03", "text": {"content": "订单已付款"}}
    )
    assert outcome.record_id
    assert outcome.record_id.startswith("MSG")
    assert len(outcome.warnings) == 2
    assert any("ghost" in one for one in outcome.warnings)
    assert any("sales03" in one for one in outcome.warnings)
    assert [one["receiver"] for one in sim.corp.messages.read()] == ["sales01"]


async def test_message_with_no_valid_receiver_is_rejected(url: engine.Url, caller: client.Client) -> None:
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(connection(url), "message.send", {"touser": "ghost", "text": {"content": "x"}})
    assert refused.value.code == "81013"
    assert "可见范围" in refused.value.hint["zh"]


async def test_repeated_message_is_delivered_once(url: engine.Url, caller: client.Client) -> None:
    sim, given = corp_of(url), {"touser": "sales01|sales02", "text": {"content": "订单 T9 已发货"}}
    for _ in range(3):
        await caller.call(connection(url), "message.send", given)
    assert len(sim.corp.messages.read("sales01")) == 1
    sim.ahead += 14401
    await caller.call(connection(url), "message.send", given)
    assert len(sim.corp.messages.read("sales01")) == 2
    assert sim.journal.totals()["message"]["total"] == 4


async def test_lost_reply_after_delivery_repeats_without_a_second_message(
    url: engine.Url, caller: client.Client
) -> None:
    sim, given = corp_of(url), {"touser": "sales01", "markdown": {"content": "**T1**"}, "msgtype": "markdown"}
    await caller.probe(connection(url))
    async with messaging.control(url, "wecom") as http:
        await http.post("/faults", json={"drop_reply": 1})
    with pytest.raises(errors.OutcomeUnknown):
        await caller.call(connection(url), "message.send", given)
    await caller.call(connection(url), "message.send", given)
    assert sim.journal.totals()["message"] == {"total": 1, "keys": 1, "repeated": {}}


async def test_robot(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    await caller.call(connection(url), "robot.send", {"text": {"content": "库存告警"}})
    assert sim.corp.messages.read("robot")[0]["content"] == {"content": "库存告警"}
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(connection(url, robot_key="gone"), "robot.send", {"text": {"content": "x"}})
    assert refused.value.code == "93000"
    sim.configure({"robot_per_minute": 1})
    with pytest.raises(errors.Throttled) as slow:
        await caller.call(connection(url), "robot.send", {"text": {"content": "y"}})
    assert slow.value.retry_after == 60


async def test_customers(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    person = sim.world.customers[3]
    external = person.ids["wecom.external_userid"]
    found = await caller.call(connection(url), "contact.get", {"external_userid": external})
    assert found.record_id == external
    assert found.data["external_contact"]["name"] == person.name

    listed = [
        row async for page in caller.pages(connection(url), "contact.list", {"userid": person.owner}) for row in page
    ]
    assert listed == sim.corp.contacts.of(person.owner)
    staff = [member.ids["staff.userid"] for member in sim.world.staff]
    pages = [page async for page in caller.pages(connection(url), "contact.batch", {"userid_list": staff})]
    assert [len(page) for page in pages] == [100] * 5
    assert {row["external_contact"]["external_userid"] for page in pages for row in page} == set(
        sim.corp.contacts.found
    )

    none = [row async for page in caller.pages(connection(url), "contact.list", {"userid": "stranger"}) for row in page]
    assert none == []

    given = {
        "userid": person.owner,
        "external_userid": external,
        "remark": "大客户",
        "remark_company": "甲公司",
        "remark_mobiles": ["13800000000"],
    }
    await caller.call(connection(url), "contact.remark", given)
    tags = {"userid": person.owner, "external_userid": external, "add_tag": ["etVIP"]}
    for _ in range(2):
        await caller.call(connection(url), "contact.tag", tags)
    follow = sim.corp.contacts.follow(external, person.owner)
    assert follow is not None
    assert (follow["remark"], follow["remark_corp_name"], follow["remark_mobiles"]) == (
        "大客户",
        "甲公司",
        ["13800000000", person.phone],
    )
    assert [tag["tag_id"] for tag in follow["tags"]].count("etVIP") == 1
    with pytest.raises(errors.Rejected) as refused:
        await caller.call(connection(url), "contact.remark", {**given, "external_userid": "wmNobody"})
    assert refused.value.code == "84061"


async def test_welcome_message_works_once_and_for_twenty_seconds(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    external = sim.world.customers[0].ids["wecom.external_userid"]
    code = sim.corp.welcome_code(external)
    given = {"welcome_code": code, "text": {"content": "您好"}}
    first = await caller.call(connection(url), "welcome.send", given)
    again = await caller.call(connection(url), "welcome.send", given)
    assert (first.already, again.already) == (False, True)
    late = sim.corp.welcome_code(external)
    sim.ahead += 21
    assert (await caller.call(connection(url), "welcome.send", {**given, "welcome_code": late})).already
    assert sim.journal.totals()["welcome"]["total"] == 1


async def test_mass_message_reaches_customers_when_staff_confirm(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    external = sim.world.customers[0].ids["wecom.external_userid"]
    given = {"external_userid": [external, "wmNobody"], "text": {"content": "您的订单已发货"}}
    outcome = await caller.call(connection(url), "customer_message.create", given)
    assert any("wmNobody" in one for one in outcome.warnings)
    assert [one["kind"] for one in sim.corp.messages.read(external)] == ["mass"]


async def test_directory_groups_and_approvals(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    member = await caller.call(connection(url), "user.by_mobile", {"mobile": sim.world.staff[0].phone})
    assert member.record_id == "sales01"
    nobody = await caller.call(connection(url), "user.by_mobile", {"mobile": "10000000000"})
    assert nobody.data is None
    group = json.loads((SAMPLES / "groupchat_get.response.json").read_text())["group_chat"]
    approval = json.loads((SAMPLES / "oa_getapprovaldetail.response.json").read_text())["info"]
    async with messaging.control(url, "wecom") as http:
        await http.post("/groups", json=group)
        await http.post("/approvals", json=approval)
    found = await caller.call(connection(url), "group.get", {"chat_id": group["chat_id"]})
    assert found.data == group
    found = await caller.call(connection(url), "approval.get", {"sp_no": "202411120003"})
    assert (found.record_id, found.data["sp_status"]) == ("202411120003", 2)


# Failures.


async def test_ended_token_is_refreshed_once(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    await caller.probe(connection(url))
    async with messaging.control(url, "wecom") as http:
        await http.post("/tokens/expire")
    await caller.probe(connection(url))
    assert len(sim.tokens) == 2
    sim.tokens.clear()
    await caller.probe(connection(url))
    assert len(sim.tokens) == 1


async def test_many_callers_share_one_token(url: engine.Url, caller: client.Client) -> None:
    sim = corp_of(url)
    async with messaging.control(url, "wecom") as http:
        await http.post("/faults", json={"latency": 0.05})
        await asyncio.gather(*(caller.probe(connection(url)) for _ in range(8)))
    assert len(sim.tokens) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [({"app_secret": "wrong"}, "40001"), ({"corp_id": "wwother00000"}, "40013"), ({"agent_id": 7}, "40056")],
)
async def test_wrong_credentials_need_a_person(
    url: engine.Url, caller: client.Client, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(errors.CredentialRefused) as refused:
        await caller.probe(connection(url, **change))
    assert refused.value.code == code
    assert refused.value.hint["zh"]
    assert refused.value.hint["en"]
    assert "wrong" not in str(refused.value.exchange)


async def test_untrusted_address_says_which(url: engine.Url, caller: client.Client) -> None:
    corp_of(url).configure({"trusted_ips": ["203.0.113.7"]})
    with pytest.raises(errors.CredentialRefused) as refused:
        await caller.probe(connection(url))
    assert refused.value.code == "60020"
    assert "企业可信IP" in refused.value.hint["zh"]
    assert "from ip: 127.0.0.1" in refused.value.message


@pytest.mark.parametrize(("fault", "seconds"), [({"throttle": 5}, 60), ({"ban": 60}, 3600)])
async def test_block_time_is_read_from_the_words(
    url: engine.Url, caller: client.Client, fault: dict[str, Any], seconds: float
) -> None:
    async with messaging.control(url, "wecom") as http:
        await http.post("/faults", json=fault)
    with pytest.raises(errors.Throttled) as slow:
        await caller.call(connection(url), "robot.send", {"text": {"content": "x"}})
    assert slow.value.retry_after == seconds


@pytest.mark.parametrize("sample", ["error_ip_not_allowed", "error_token_expired"])
def test_error_samples_are_in_the_table(sample: str) -> None:
    body = json.loads((SAMPLES / f"{sample}.response.json").read_text())
    rules = [rule for rule in registry.get("wecom").errors if str(body["errcode"]) in rule.match]
    assert rules

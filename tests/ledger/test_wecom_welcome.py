"""WeCom's welcome code lives 20 seconds: its event overtakes everything, through the whole hub, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import model
from connectors.simulator import engine
from connectors.wecom import simulator
from connectors.wecom.simulated import callbacks
from retry_queue.ledger import configuration, connections, inbox
from retry_queue.ledger.states import ConnectionState
from tests.conformance import messaging
from tests.ledger import hub, making

WELCOME = {
    "key": "hello",
    "recipients": ["{customer.id}"],
    "text": "您好 {customer.name}，感谢添加！",
    "format": "text",
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom"], time_scale=0.002) as base:
        yield base


def wecom_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["wecom"]
    assert isinstance(found, simulator.Simulator)
    return found


async def configured(worker: hub.Worker, url: engine.Url) -> None:
    """The connection, its words and its route."""
    owner = messaging.wecom(url, remark_user="sales01")
    spec = {
        "from": {"connection": "wecom", "entity": "customer"},
        "when": "has(customer.extra.welcome_code)",
        "to": [{"connection": "wecom", "operation": "welcome.send", "template": "hello"}],
    }
    async with worker.ledger.write() as db:
        state, now = ConnectionState.ENABLED, time.time()
        secrets = dict(owner.secrets)
        await connections.put(db, hub.SEALER, "wecom", "wecom", dict(owner.config), secrets, state, now)
        await configuration.put_setting(db, "templates", [WELCOME])
        await configuration.put_route(db, "welcome", spec, True)
        await configuration.touch(db)
    await worker.hub.reload()


async def pushed(worker: hub.Worker, event: dict[str, Any]) -> None:
    """One event as the platform posts it, through the hub's own door."""
    head = {"ToUserName": messaging.WECOM["corp_id"], "FromUserName": "sys", "MsgType": "event"}
    whole = {**head, "CreateTime": int(time.time()), "Event": "change_external_contact", **event}
    post = callbacks.post("http://hub", messaging.WECOM, callbacks.xml(whole), time.time())
    hook = model.RawHook("POST", dict(post.params), dict(post.headers), post.content)
    answer = await worker.receiver.accept(worker.receiver.door("wecom"), hook)
    assert (answer.status, answer.body) == (200, b"")


async def edited(worker: hub.Worker, sim: simulator.Simulator, count: int) -> None:
    """So many customers are edited by staff at once."""
    people = sim.world.customers[100 : 100 + count]
    for person in people:
        sim.corp.contacts.follow(person.ids["wecom.external_userid"], person.owner)
        change = {"ChangeType": "edit_external_contact", "UserID": person.owner}
        await pushed(worker, {**change, "ExternalUserID": person.ids["wecom.external_userid"]})


async def added(worker: hub.Worker, sim: simulator.Simulator, external: str) -> str:
    """A customer adds a member; the event carries the code."""
    sim.corp.contacts.add(external, "sales01", "", int(sim.now()))
    code = sim.corp.welcome_code(external)
    change = {"ChangeType": "add_external_contact", "UserID": "sales01", "ExternalUserID": external, "State": ""}
    await pushed(worker, {**change, "WelcomeCode": code})
    return code


def welcomed(sim: simulator.Simulator) -> list[dict[str, Any]]:
    return [one for one in sim.corp.messages.read() if one["kind"] == "welcome"]


async def test_a_welcome_overtakes_a_backlog_of_its_own_connection(url: engine.Url, sqlite_url: str) -> None:
    """300 detail calls of a second each wait, 16 at a time: 18 seconds. The welcome is there in a few."""
    sim = wecom_of(url)
    async with hub.running(sqlite_url) as worker:
        await configured(worker, url)
        sim.faults.latency = 1.0
        await edited(worker, sim, 300)
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        code = await added(worker, sim, "wmNEWCUSTOMER0000000000000001")
        await making.until(lambda: welcomed(sim), 15, "the welcome message")
        spent = time.monotonic() - begun
        assert spent < 6, f"{spent:.1f} s"
        assert sim.journal.find("welcome", code)
        backlog = await making.rows(worker.ledger, "SELECT count(*) AS n FROM inbox WHERE state = 'received'")
        assert backlog[0].n > 20, "the backlog must still be there"
        (delivery,) = await worker.deliveries()
        assert (delivery.operation, delivery.lane) == ("welcome.send", f"wecom/!fast/{delivery.event_id}")
        urgent = await making.rows(worker.ledger, "SELECT priority FROM inbox WHERE id = :id", id=delivery.event_id)
        assert urgent[0].priority == inbox.FAST
        sim.faults.latency = 0.0
    assert len(welcomed(sim)) == 1


async def test_each_code_is_used_once_and_a_late_one_is_no_error(url: engine.Url, sqlite_url: str) -> None:
    sim, external = wecom_of(url), "wmNEWCUSTOMER0000000000000002"
    async with hub.running(sqlite_url) as worker:
        await configured(worker, url)
        await added(worker, sim, external)
        await worker.settled()
        assert [one["content"]["content"] for one in welcomed(sim)] == ["您好 微信用户0002，感谢添加！"]
        # The staff writes a remark: the same customer, no code, no second welcome.
        follow = sim.corp.contacts.follow(external, "sales01")
        assert follow is not None
        follow["remark"] = "大客户"
        change = {"ChangeType": "edit_external_contact", "UserID": "sales01", "ExternalUserID": external}
        await pushed(worker, change)
        await worker.settled()
        # Deleted and added again at once: another code, another welcome, although nothing else differs.
        await added(worker, sim, external)
        await worker.settled()
        assert len(welcomed(sim)) == 2
        # A code that nobody could use in time is finished with, and said so.
        sim.corp.codes.clear()
        sim.corp.contacts.add(external, "sales01", "", int(sim.now()))
        late = {"ChangeType": "add_half_external_contact", "UserID": "sales01", "ExternalUserID": external}
        await pushed(worker, {**late, "WelcomeCode": "EXPIRED"})
        await worker.settled()
        states = [(one.state, one.reason) for one in await worker.deliveries()]
    assert states == [("delivered", None), ("delivered", None), ("delivered", "partial")]
    assert len(welcomed(sim)) == 2


async def test_a_welcome_does_not_wait_for_a_parked_delivery_of_the_same_customer(
    url: engine.Url, sqlite_url: str
) -> None:
    sim, person = wecom_of(url), wecom_of(url).world.customers[7]
    external = person.ids["wecom.external_userid"]
    async with hub.running(sqlite_url) as worker:
        await configured(worker, url)
        spec = {
            "from": {"connection": "wecom", "entity": "customer"},
            "to": [{"connection": "wecom", "operation": "customer_message.create", "template": "hello"}],
        }
        async with worker.ledger.write() as db:
            await configuration.put_route(db, "mass", spec, True)
            await configuration.touch(db)
        await worker.hub.reload()
        sim.faults.drop_reply, sim.faults.drop_kinds = 1, ["customer_message"]
        change = {"ChangeType": "edit_external_contact", "UserID": person.owner, "ExternalUserID": external}
        await pushed(worker, change)

        async def parked() -> bool:
            return [one.state for one in await worker.deliveries()] == ["parked"]

        await making.until(parked, 10, "a parked head")
        await added(worker, sim, external)
        await making.until(lambda: welcomed(sim), 10, "the welcome message")

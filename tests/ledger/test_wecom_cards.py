"""A question goes out as a card with buttons; each member's click updates that member's card, once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.core import model
from connectors.simulator import engine
from connectors.wecom import simulator
from connectors.wecom.simulated import callbacks
from retry_queue.ledger import configuration, connections
from retry_queue.ledger.states import ConnectionState
from tests.conformance import messaging
from tests.ledger import hub

TEMPLATES = [
    {"key": "ask", "recipients": ["sales01", "sales02"], "title": "请确认", "text": "{message.text}", "format": "text"},
    {"key": "yes", "recipients": ["{message.data.sender}"], "text": "已同意", "format": "text"},
    {"key": "no", "recipients": ["{message.data.sender}"], "text": "已驳回", "format": "text"},
]


def route(when: str, target: dict[str, str]) -> dict[str, Any]:
    return {
        "from": {"connection": "wecom", "entity": "message"},
        "when": when,
        "to": [{"connection": "wecom", **target}],
    }


ROUTES = {
    "ask": route('event.message == "user_message"', {"operation": "message.send", "mapping": "decision_card"}),
    "yes": route('event.message == "card_button" && message.text == "agree"', {"operation": "card.update"}),
    "no": route('event.message == "card_button" && message.text == "refuse"', {"operation": "card.update"}),
}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["wecom"], time_scale=0.002) as base:
        yield base


async def pushed(worker: hub.Worker, event: dict[str, Any]) -> None:
    """One event as the platform posts it, through the hub's own door."""
    whole = {"ToUserName": messaging.WECOM["corp_id"], "CreateTime": int(time.time()), "MsgType": "event", **event}
    post = callbacks.post("http://hub", messaging.WECOM, callbacks.xml(whole), time.time())
    hook = model.RawHook("POST", dict(post.params), dict(post.headers), post.content)
    assert (await worker.receiver.accept(worker.receiver.door("wecom"), hook)).status == 200


async def test_every_members_click_updates_that_members_card_once(url: engine.Url, sqlite_url: str) -> None:
    sim, owner = url.simulators["wecom"], messaging.wecom(url)
    assert isinstance(sim, simulator.Simulator)
    async with hub.running(sqlite_url) as worker:
        async with worker.ledger.write() as db:
            given = (dict(owner.config), dict(owner.secrets), ConnectionState.ENABLED, time.time())
            await connections.put(db, hub.SEALER, "wecom", "wecom", *given)
            await configuration.put_setting(db, "templates", TEMPLATES)
            for key, spec in ROUTES.items():
                spec["to"][0]["template"] = key
                await configuration.put_route(db, key, spec, True)
            await configuration.touch(db)
        await worker.hub.reload()
        asked = {"FromUserName": "sales03", "MsgType": "text", "Content": "T1 退款 105.00 元", "MsgId": "9001"}
        await pushed(worker, asked)
        await worker.settled()
        ((task, card),) = sim.corp.cards.found.items()
        assert card["receivers"] == ["sales01", "sales02"]
        for who, key in (("sales01", "agree"), ("sales02", "refuse")):
            click = sim.corp.cards.click(task, who, key)
            # The platform repeats what it believes to be unheard.
            await pushed(worker, click)
            await pushed(worker, click)
        await worker.settled()
        states = [(one.operation, one.state) for one in await worker.deliveries()]
    assert states == [("message.send", "delivered"), ("card.update", "delivered"), ("card.update", "delivered")]
    assert card["shown"] == {"sales01": "已同意", "sales02": "已驳回"}
    assert sim.journal.totals()["card"] == {"total": 2, "keys": 2, "repeated": {}}

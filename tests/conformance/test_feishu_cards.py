"""Feishu's cards with buttons: sent, clicked, told to our door, and replaced by what came of it."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator

import pytest

from connectors.core import client, errors
from connectors.simulator import engine
from mappings import library
from tests.conformance import feishu_stage as stage
from tests.conformance import messaging

ASKED = {"id": "evt-1", "recipients": ["oc_group01"], "title": "退款待确认", "text": "T1 退 105.00 元"}


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["feishu"], time_scale=0.002) as base:
        yield base


written = functools.partial(messaging.written, "feishu")


async def test_a_click_comes_back_and_the_card_says_what_came_of_it(url: engine.Url, caller: client.Client) -> None:
    sim, owner = stage.tenant_of(url), stage.connection(url)
    sent = await caller.call(owner, "message.send", written("decision_card", ASKED))
    async with messaging.control(url, "feishu") as http:
        told = await http.post(f"/cards/{sent.record_id}/click", json={"sender": "sales01", "key": "refuse"})
        wrong = await http.post(f"/cards/{sent.record_id}/click", json={"sender": "sales01", "key": "other"})
    assert (told.status_code, wrong.status_code) == (200, 422)
    click = library.shipped("feishu", "card_click").from_native(told.json(), {})
    assert (click["id"], click["text"]) == (sent.record_id, "refuse")
    assert (click["data"]["sender"], click["data"]["chat_id"]) == ("ou_sales01", "oc_group01")
    given = written("card_update", {"id": "m1", "recipients": ["ou_sales01"], "text": "已驳回"}, message=click)
    for _ in range(2):
        assert (await caller.call(owner, "card.update", given)).record_id == sent.record_id
    assert "已驳回" in json.dumps(sim.tenant.read("oc_group01"), ensure_ascii=False)
    assert sim.journal.totals()["card"]["total"] == 1
    for bad in ({**given, "message_id": "om_nobodys"}, {**given, "content": {}}):
        with pytest.raises(errors.Rejected) as refused:
            await caller.call(owner, "card.update", bad)
        assert refused.value.hint["zh"]

"""JD's message queue (JCQ): nothing lost, no batch confirmed before all of it is kept."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from connectors.core import channel, decode, errors, model
from connectors.jd import signer, stream
from connectors.simulator import engine
from tests.conformance import jd_peer, streaming

FAST = 0.005
"""The vendor's minute until a redelivery becomes 0.3 s."""
until = streaming.until
receiving = functools.partial(streaming.receiving, stream.run)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(stream, "IDLE", 0.05)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["jd"], time_scale=FAST) as base:
        yield base


def waiting(url: engine.Url) -> dict[str, Any]:
    return jd_peer.shop(url).queue.waiting


async def test_a_message_becomes_an_event(url: engine.Url) -> None:
    rows: list[bytes] = []

    async def accept(message: bytes) -> None:
        rows.append(message)

    connection, number = jd_peer.connection(url), await jd_peer.sold(url)
    async with receiving(connection, accept):
        await until(lambda: rows and not waiting(url))
    (event,) = decode.events(connection.declaration, "jcq", rows[0])
    assert (event.message, event.entity, event.record) == ("order_hint", "order", number)
    assert event.occurred_at is not None
    assert json.loads(event.payload)["messageBody"]["orderId"] == int(number)


async def test_a_batch_is_confirmed_only_after_all_of_it_was_accepted(url: engine.Url) -> None:
    jd_peer.shop(url).configure({"time_scale": 1})
    gate, entered = asyncio.Event(), asyncio.Event()

    async def accept(message: bytes) -> None:
        entered.set()
        await gate.wait()

    await jd_peer.control(url, "orders", count=5)
    async with receiving(jd_peer.connection(url), accept):
        await asyncio.wait_for(entered.wait(), 5)
        await asyncio.sleep(0.3)
        assert len(waiting(url)) == 5
        gate.set()
        await until(lambda: not waiting(url))


async def test_what_was_not_accepted_comes_again_as_a_batch(url: engine.Url) -> None:
    seen: list[str] = []

    async def accept(message: bytes) -> None:
        number = json.loads(message)["messageId"]
        seen.append(number)
        if len(seen) == 2:
            raise OSError("the ledger is down")

    await jd_peer.control(url, "orders", count=3)
    async with receiving(jd_peer.connection(url), accept):
        await until(lambda: not waiting(url))
    assert len(set(seen)) == 3
    assert len(seen) >= 6, "the batch came again as a whole"


async def test_more_than_a_batch_and_every_topic(url: engine.Url) -> None:
    kept: list[Any] = []

    async def accept(message: bytes) -> None:
        kept.append(json.loads(message))

    made = await jd_peer.control(url, "orders", count=80)
    await jd_peer.control(url, f"orders/{made['orders'][0]['orderId']}/refund")
    async with receiving(jd_peer.connection(url), accept):
        await until(lambda: not waiting(url))
    assert len({one["messageId"] for one in kept}) == 81
    assert len({one["topic"] for one in kept}) == 2


async def test_a_wire_cut_again_and_again_loses_nothing(url: engine.Url) -> None:
    kept: set[str] = set()

    async def accept(message: bytes) -> None:
        await asyncio.sleep(0.002)
        kept.add(json.loads(message)["messageId"])

    async with streaming.wire(url) as wire:
        connection = jd_peer.connection(url, jcq_url=f"{wire.url}/jd/jcq")
        async with receiving(connection, accept):
            for part in range(4):
                await jd_peer.control(url, "orders", count=40)
                await until(lambda least=part * 40 + 20: len(kept) >= least)
                wire.cut()
            await until(lambda: len(kept) == 160 and not waiting(url), 20)


async def test_duplicates_have_the_same_key(url: engine.Url) -> None:
    keys: list[str] = []
    connection = jd_peer.connection(url)

    async def accept(message: bytes) -> None:
        keys.extend(one.dedupe for one in decode.events(connection.declaration, "jcq", message))

    await jd_peer.control(url, "faults", duplicate_push=2)
    await jd_peer.control(url, "orders", count=4)
    async with receiving(connection, accept):
        await until(lambda: not waiting(url))
    assert len(keys) == 8
    assert len(set(keys)) == 4


@pytest.mark.parametrize("wrong", [{"jcq_secret_key": "wrong"}, {"jcq_secret_key": ""}])
async def test_refused_or_missing_keys_are_tried_again_and_never_raise(url: engine.Url, wrong: dict[str, str]) -> None:
    await jd_peer.sold(url)
    async with receiving(jd_peer.connection(url, secrets=wrong), streaming.nothing) as task:
        await asyncio.sleep(0.3)
        assert not task.done()
    assert len(waiting(url)) == 1


async def test_nobody_there_or_no_topic_is_no_error(url: engine.Url) -> None:
    for config in ({"jcq_url": "http://127.0.0.1:9"}, {"jcq_topics": ""}):
        async with receiving(jd_peer.connection(url, **config), streaming.nothing) as task:
            await asyncio.sleep(0.2)
            assert not task.done()


# An independent signature, written by hand.


async def test_the_queue_checks_key_time_and_group(url: engine.Url) -> None:
    known = jd_peer.shop(url).settings
    topic = jd_peer.shop(url).topic("order_pay")

    async def ask(at: float, secret: str, **change: str) -> httpx.Response:
        params = {"topic": topic, "consumerGroupId": known["jcq_group"], "size": "32", **change}
        moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        proven = params | {"accessKey": known["jcq_access_key"], "dateTime": moment}
        text = "&".join(f"{name}={proven[name]}" for name in sorted(proven))
        proof = base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()
        headers = {"accessKey": known["jcq_access_key"], "dateTime": moment, "signature": proof}
        async with httpx.AsyncClient() as http:
            return await http.get(f"{url}/jd/jcq/v2/messages", params=params, headers=headers)

    good = await ask(time.time(), known["jcq_secret_key"])
    assert (good.status_code, "ackIndex" in good.json()["result"]) == (200, False)
    await jd_peer.sold(url)
    assert (await ask(time.time(), known["jcq_secret_key"])).json()["result"]["ackIndex"].startswith("0|")
    assert (await ask(time.time(), "wrong")).status_code == 401
    assert (await ask(time.time() - 3600, known["jcq_secret_key"])).status_code == 401
    assert (await ask(time.time(), known["jcq_secret_key"], consumerGroupId="other")).status_code == 403


def test_without_a_secret_nothing_is_signed(url: engine.Url) -> None:
    request = model.Request("GET", "http://127.0.0.1/v2/messages", {"topic": "t"}, {"accessKey": "k"})
    with pytest.raises(errors.Misdeclared):
        signer.sign(request, jd_peer.connection(url, secrets={"jcq_secret_key": ""}), 1_700_000_000)


def test_a_message_that_is_no_object_is_still_kept() -> None:
    assert json.loads(stream.row("t", "text")) == {"topic": "t", "messageBody": "text"}

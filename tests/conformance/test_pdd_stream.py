"""The Pinduoduo message channel over real sockets: nothing lost, nothing acknowledged before it is kept."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio import client as websocket

from connectors.core import channel, decode
from connectors.pdd import pmc, stream
from connectors.simulator import engine
from tests.conformance import pdd_peer, streaming

FAST = 0.0005
"""The vendor's ten minutes until a redelivery become 0.3 s."""
until = streaming.until
receiving = functools.partial(streaming.receiving, stream.run)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(stream, "BEAT_EVERY", 0.1)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["pdd"], time_scale=FAST) as base:
        yield base


def waiting(url: engine.Url) -> dict[int, Any]:
    return pdd_peer.shop(url).channel.waiting


async def test_a_message_becomes_an_event(url: engine.Url) -> None:
    rows: list[bytes] = []

    async def accept(message: bytes) -> None:
        rows.append(message)

    connection = pdd_peer.connection(url)
    sn = await pdd_peer.sold(url)
    number = (await pdd_peer.control(url, f"orders/{sn}/refund"))["id"]
    async with receiving(connection, accept):
        await until(lambda: len(rows) >= 2 and not waiting(url))
    events = {one.message: one for row in rows for one in decode.events(connection.declaration, "pmc", row)}
    assert (events["trade"].entity, events["trade"].record) == ("order", sn)
    assert (events["refund"].entity, events["refund"].record) == ("after_sale", str(number))
    assert events["refund"].occurred_at is not None
    payload = json.loads(events["refund"].payload)
    assert payload["message"]["content"]["tid"] == sn, "the detail call is given what it needs"


async def test_a_message_is_acknowledged_only_after_it_was_accepted(url: engine.Url) -> None:
    pdd_peer.shop(url).configure({"time_scale": 1})
    gate, entered = asyncio.Event(), asyncio.Event()

    async def accept(message: bytes) -> None:
        entered.set()
        await gate.wait()

    await pdd_peer.control(url, "orders", count=5)
    async with receiving(pdd_peer.connection(url), accept):
        await asyncio.wait_for(entered.wait(), 5)
        await asyncio.sleep(0.3)
        assert len(waiting(url)) == 5
        gate.set()
        await until(lambda: not waiting(url))


async def test_what_was_not_accepted_is_failed_and_comes_again(url: engine.Url) -> None:
    seen: list[int] = []
    messages = waiting(url)

    async def accept(message: bytes) -> None:
        seen.append(json.loads(message)["id"])
        if seen.count(seen[-1]) == 1:
            raise OSError("the ledger is down")

    await pdd_peer.control(url, "orders", count=3)
    owed = list(messages.values())
    async with receiving(pdd_peer.connection(url), accept):
        await until(lambda: not waiting(url))
    assert len(set(seen)) == 3
    assert [one.answers for one in owed] == [["Fail", "Ack"]] * 3


async def test_another_shops_message_goes_back(url: engine.Url) -> None:
    pdd_peer.shop(url).configure({"time_scale": 1})
    await pdd_peer.control(url, "orders", count=2)
    async with receiving(pdd_peer.connection(url, mall_id="20000002"), streaming.nothing):
        await until(lambda: [one.answers for one in waiting(url).values()] == [["Fail"], ["Fail"]])
    pdd_peer.shop(url).configure({"time_scale": FAST})
    for one in waiting(url).values():
        one.due = 0
    kept: list[bytes] = []

    async def accept(message: bytes) -> None:
        kept.append(message)

    async with receiving(pdd_peer.connection(url, mall_id="10000001"), accept):
        await until(lambda: len(kept) == 2 and not waiting(url))


async def test_a_wire_cut_again_and_again_loses_nothing(url: engine.Url) -> None:
    kept: set[int] = set()
    unacknowledged_at_accept: list[bool] = []

    async def accept(message: bytes) -> None:
        number = json.loads(message)["id"]
        await asyncio.sleep(0.002)
        unacknowledged_at_accept.append(number in waiting(url) or number in kept)
        kept.add(number)

    async with streaming.wire(url) as wire:
        async with receiving(pdd_peer.connection(wire.url), accept):
            for part in range(4):
                await pdd_peer.control(url, "orders", count=40)
                await until(lambda least=part * 40 + 20: len(kept) >= least)
                wire.cut()
            await until(lambda: len(kept) == 160 and not waiting(url), 20)
        assert wire.made >= 4
    assert all(unacknowledged_at_accept)


async def test_the_simulator_ends_its_sockets_and_the_stream_comes_back(url: engine.Url) -> None:
    kept: set[int] = set()

    async def accept(message: bytes) -> None:
        kept.add(json.loads(message)["id"])

    async with receiving(pdd_peer.connection(url), accept):
        await until(lambda: pdd_peer.shop(url).channel.open)
        assert (await pdd_peer.control(url, "cut"))["cut"] == 1
        await pdd_peer.sold(url)
        await until(lambda: len(kept) == 1 and not waiting(url))


async def test_heartbeats_keep_the_session_and_silence_ends_it(
    url: engine.Url, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = pdd_peer.shop(url).channel
    pdd_peer.shop(url).configure({"session_timeout": 0.5})
    async with receiving(pdd_peer.connection(url), streaming.nothing):
        await until(lambda: channel.open)
        (socket,) = channel.open
        await asyncio.sleep(1.2)
        assert channel.open == [socket]
        assert channel.beats > 5
    await until(lambda: not channel.open)
    monkeypatch.setattr(stream, "BEAT_EVERY", 60)
    async with receiving(pdd_peer.connection(url), streaming.nothing):
        await until(lambda: channel.open)
        (socket,) = channel.open
        await until(lambda: socket not in channel.open)


async def test_duplicates_and_reordering(url: engine.Url) -> None:
    numbers: list[int] = []

    async def accept(message: bytes) -> None:
        numbers.append(json.loads(message)["id"])

    await pdd_peer.control(url, "faults", duplicate_push=2, reorder_push=100)
    async with receiving(pdd_peer.connection(url), accept):
        await pdd_peer.control(url, "orders", count=10)
        await until(lambda: len(numbers) == 20 and not waiting(url))
    assert sorted(numbers) != numbers
    assert all(numbers.count(number) == 2 for number in numbers)


async def test_a_refused_connect_is_tried_again_and_never_raises(url: engine.Url) -> None:
    connection = pdd_peer.connection(url, secrets={"client_secret": "wrong"})
    await pdd_peer.sold(url)
    async with receiving(connection, streaming.nothing) as task:
        await asyncio.sleep(0.3)
        assert not task.done()
        assert not pdd_peer.shop(url).channel.open
    assert len(waiting(url)) == 1


async def test_nobody_listening_is_no_error() -> None:
    async with receiving(pdd_peer.connection("http://127.0.0.1:9"), streaming.nothing) as task:
        await asyncio.sleep(0.3)
        assert not task.done()


async def test_silenced_by_cancelling_or_an_ended_authorisation(url: engine.Url) -> None:
    await pdd_peer.control(url, "expire_token")
    await pdd_peer.sold(url)
    assert not waiting(url)
    await pdd_peer.control(url, "authorize", access_token="simulated-access-token")
    await pdd_peer.sold(url)
    assert len(waiting(url)) == 1


# An independent client: the digest by the vendor's rule, frames written by hand.


def address(url: str, millis: int, secret: str = pdd_peer.SETTINGS["client_secret"]) -> str:
    name = pdd_peer.SETTINGS["client_id"]
    proof = hashlib.md5(f"{name}{millis}{secret}".encode(), usedforsecurity=False).hexdigest()
    text = base64.b64encode(proof.encode()).decode().replace("=", "%3D")
    return f"{url.replace('http', 'ws', 1)}/pdd/message/{name}/{millis}/{text}"


async def test_the_simulator_checks_the_digest_and_the_time(url: engine.Url) -> None:
    now = int(time.time() * 1000)
    for wrong in (address(url, now, "wrong"), address(url, now - 3_600_000), address(url, now)[:-4]):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with websocket.connect(wrong, proxy=None):
                pytest.fail("it opened")
        assert refused.value.response.status_code == 403
    await pdd_peer.sold(url)
    async with websocket.connect(address(url, now), proxy=None) as socket:
        frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
        assert (frame["commandType"], frame["message"]["type"]) == ("Common", "pdd_trade_TradeConfirmed")
        assert isinstance(frame["message"]["content"], str)
        said = {"id": frame["id"], "sendTime": frame["sendTime"], "time": now, "commandType": "Ack"}
        await socket.send(json.dumps({**said, "type": "another", "mallID": frame["message"]["mallID"]}))
        await asyncio.sleep(0.1)
        assert waiting(url), "an acknowledgement of another kind of message is none"
        said |= {"type": frame["message"]["type"], "mallID": frame["message"]["mallID"]}
        await socket.send(json.dumps(said))
        await until(lambda: not waiting(url))


# Hostile frames


@given(st.text(max_size=200) | st.binary(max_size=50))
def test_noise_is_no_push_and_breaks_nothing(noise: str | bytes) -> None:
    with contextlib.suppress(pmc.FrameError):
        assert pmc.is_push(pmc.read(noise)) in (True, False)


@pytest.mark.parametrize(
    "half",
    [
        '{"commandType": "Common"}',
        '{"commandType": "Common", "id": "7", "message": {"type": "x"}}',
        '{"commandType": "Common", "id": 7, "message": "x"}',
        '{"commandType": "Common", "id": 7, "message": {}}',
    ],
)
def test_half_a_push_is_refused(half: str) -> None:
    with pytest.raises(pmc.FrameError):
        pmc.is_push(pmc.read(half))


def test_a_push_above_53_bits_is_acknowledged_with_every_digit() -> None:
    frame = pmc.read(
        '{"id": 9223372036854775807, "commandType": "Common", "time": 1, "sendTime": 2,'
        ' "message": {"type": "pdd_trade_TradeConfirmed", "mallID": 9007199254740993, "content": "{}"}}'
    )
    assert pmc.is_push(frame)
    said = json.loads(pmc.answer(pmc.ACK, frame, 3))
    assert said == {
        "commandType": "Ack",
        "time": 3,
        "id": 9223372036854775807,
        "sendTime": 2,
        "type": "pdd_trade_TradeConfirmed",
        "mallID": 9007199254740993,
    }

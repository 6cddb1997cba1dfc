"""The Taobao message channel over real sockets: nothing lost, nothing confirmed before it is kept."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import tmcpy.client
from tornado.websocket import WebSocketClientConnection

from connectors.core import channel, decode
from connectors.simulator import engine
from connectors.taobao import consume, simulator, stream, tmc
from tests.conformance import streaming, taobao_peer

FAST = 0.001
"""The vendor's five minutes until a redelivery become 0.3 s."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(stream, "PULL_EVERY", 0.2)
    monkeypatch.setattr(consume, "IDLE", 0.1)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["taobao"], time_scale=FAST) as base:
        yield base


def shop(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["taobao"]
    assert isinstance(found, simulator.Simulator)
    return found


def waiting(url: engine.Url) -> dict[int, Any]:
    return shop(url).channel.queue("default").messages


async def order(url: str, count: int) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/_sim/taobao/orders", json={"count": count})
    assert answer.status_code == 200


receiving = functools.partial(streaming.receiving, stream.run)

DOORS = ["tmc", "consume"]


@pytest.mark.parametrize("door", DOORS)
async def test_both_doors_give_the_same_rows(url: engine.Url, door: str) -> None:
    rows: list[bytes] = []

    async def accept(message: bytes) -> None:
        rows.append(message)

    connection = taobao_peer.connection(url, receive=door)
    await order(url, 2)
    async with receiving(connection, accept):
        await streaming.until(lambda: len(rows) >= 4 and not waiting(url))
    topics = [json.loads(row)["topic"] for row in rows]
    assert sorted(topics) == ["taobao_trade_TradeBuyerPay"] * 2 + ["taobao_trade_TradeCreate"] * 2
    wanted = {"id", "topic", "content", "user_id", "user_nick", "pub_app_key", "pub_time"}
    assert all(set(json.loads(row)) == wanted for row in rows)
    (event,) = decode.events(connection.declaration, "tmc", rows[0])
    assert (event.message, event.entity) == ("trade", "order")
    assert event.record in {trade["tid_str"] for trade in shop(url).shop.trades.values()}
    assert event.dedupe == decode.events(connection.declaration, "tmc", rows[0])[0].dedupe
    assert event.occurred_at is not None


@pytest.mark.parametrize("door", DOORS)
async def test_a_message_is_confirmed_only_after_it_was_accepted(url: engine.Url, door: str) -> None:
    shop(url).configure({"redelivery": 86400})
    gate, entered = asyncio.Event(), asyncio.Event()

    async def accept(message: bytes) -> None:
        entered.set()
        await gate.wait()

    await order(url, 5)
    async with receiving(taobao_peer.connection(url, receive=door), accept):
        await asyncio.wait_for(entered.wait(), 5)
        await asyncio.sleep(0.3)
        assert len(waiting(url)) == 10
        gate.set()
        await streaming.until(lambda: not waiting(url))


@pytest.mark.parametrize("door", DOORS)
async def test_what_was_not_accepted_comes_again(url: engine.Url, door: str) -> None:
    seen: list[int] = []

    async def accept(message: bytes) -> None:
        seen.append(json.loads(message)["id"])
        if seen.count(seen[-1]) == 1:
            raise OSError("the ledger is down")

    await order(url, 3)
    async with receiving(taobao_peer.connection(url, receive=door), accept):
        await streaming.until(lambda: not waiting(url))
    assert len(set(seen)) == 6
    assert all(seen.count(number) >= 2 for number in seen)


async def test_a_wire_cut_again_and_again_loses_nothing(url: engine.Url) -> None:
    kept: set[int] = set()
    unconfirmed_at_accept: list[bool] = []

    async def accept(message: bytes) -> None:
        number = json.loads(message)["id"]
        await asyncio.sleep(0.002)
        # A message confirmed by an earlier delivery may come twice, but never one that we do not have.
        unconfirmed_at_accept.append(number in waiting(url) or number in kept)
        kept.add(number)

    async with streaming.wire(url) as wire:
        connection = taobao_peer.connection(wire.url)
        async with receiving(connection, accept):
            for part in range(4):
                await order(url, 40)
                await streaming.until(lambda least=part * 80 + 20: len(kept) >= least)
                wire.cut()
            await streaming.until(lambda: len(kept) == 320 and not waiting(url), 20)
        assert wire.made >= 4
    assert all(unconfirmed_at_accept)


async def test_the_simulator_ends_its_sockets_and_the_stream_comes_back(url: engine.Url) -> None:
    kept: set[int] = set()

    async def accept(message: bytes) -> None:
        kept.add(json.loads(message)["id"])

    async with receiving(taobao_peer.connection(url), accept):
        await streaming.until(lambda: shop(url).channel.open)
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{url}/_sim/taobao/cut")).json() == {"cut": 1}
        await order(url, 1)
        await streaming.until(lambda: len(kept) == 2 and not waiting(url))


async def test_duplicates_reordering_and_zipped_content(url: engine.Url) -> None:
    rows: list[dict[str, Any]] = []

    async def accept(message: bytes) -> None:
        rows.append(json.loads(message))

    shop(url).configure({"zip_content": True})
    async with httpx.AsyncClient() as client:
        await client.post(f"{url}/_sim/taobao/faults", json={"duplicate_push": 2, "reorder_push": 100})
    async with receiving(taobao_peer.connection(url), accept):
        await order(url, 10)
        await streaming.until(lambda: len(rows) == 40 and not waiting(url))
    numbers = [row["id"] for row in rows]
    assert sorted(numbers) != numbers
    assert all(numbers.count(number) == 2 for number in numbers)
    assert all(json.loads(row["content"])["tid"] for row in rows)


async def test_a_refused_connect_is_tried_again_and_never_raises(url: engine.Url) -> None:
    async def accept(message: bytes) -> None:
        raise AssertionError("nothing may come")

    connection = taobao_peer.connection(url, secrets={"app_secret": "wrong"})
    await order(url, 1)
    async with receiving(connection, accept) as task:
        await asyncio.sleep(0.3)
        assert not task.done()
        assert not shop(url).channel.open
    assert len(waiting(url)) == 2


async def test_nobody_listening_is_no_error() -> None:
    async def accept(message: bytes) -> None:
        raise AssertionError("nothing may come")

    async with receiving(taobao_peer.connection("http://127.0.0.1:9"), accept) as task:
        await asyncio.sleep(0.3)
        assert not task.done()


async def test_another_group_is_another_queue(url: engine.Url) -> None:
    async def accept(message: bytes) -> None:
        raise AssertionError("this group has no messages")

    async with receiving(taobao_peer.connection(url, group_name="other"), accept):
        await order(url, 1)
        await asyncio.sleep(0.3)
    assert len(waiting(url)) == 2


@pytest.mark.parametrize("door", DOORS)
async def test_another_sellers_message_goes_back_to_the_queue(url: engine.Url, door: str) -> None:
    kept: list[int] = []

    async def accept(message: bytes) -> None:
        kept.append(json.loads(message)["user_id"])

    await order(url, 2)
    foreign = list(waiting(url).values())[::2]
    for one in foreign:
        one.seller = 4711
    ours = taobao_peer.connection(url, receive=door, seller_id=str(simulator.SELLER_ID))
    async with receiving(ours, accept):
        await streaming.until(lambda: len(waiting(url)) == len(foreign) and all(one.given > 1 for one in foreign))
    assert set(kept) == {simulator.SELLER_ID}
    async with receiving(taobao_peer.connection(url, receive=door, seller_id="4711"), accept):
        await streaming.until(lambda: not waiting(url))
    assert kept.count(4711) == len(foreign)


async def test_an_expired_session_silences_the_shop(url: engine.Url) -> None:
    async with httpx.AsyncClient() as client:
        await client.post(f"{url}/_sim/taobao/expire_session")
        await order(url, 1)
        assert not waiting(url)
        await client.post(f"{url}/_sim/taobao/authorize", json={"session": "6100new"})
        await order(url, 1)
    assert len(waiting(url)) == 2


@pytest.mark.filterwarnings("ignore:The callback argument to websocket_connect:DeprecationWarning")
async def test_tmcpy_runs_against_the_simulator(url: engine.Url, monkeypatch: pytest.MonkeyPatch) -> None:
    """An independent client does the whole cycle: handshake, pull, push, confirm."""

    def binary(value: Any, encoding: str = "utf-8") -> bytes:
        return value if isinstance(value, bytes) else str(value).encode(encoding)

    # On Python 3 the library turns an int into so many zero bytes.
    monkeypatch.setattr(tmcpy.client, "to_binary", binary)
    # When its socket closes it ends the whole program.
    read = tmcpy.client.TmcClient.on_message
    quiet = lambda self, data: None if data is None else read(self, data)  # noqa: E731
    monkeypatch.setattr(tmcpy.client.TmcClient, "on_message", quiet)
    settings, found = taobao_peer.SETTINGS, []
    address = url.replace("http://", "ws://") + "/taobao/tmc"
    await order(url, 3)
    peer = tmcpy.client.TmcClient(
        address, settings["app_key"], settings["app_secret"], "default", 1, auto_reconnect=False
    )
    peer.on("message", lambda message: found.append(message.content))
    await streaming.until(lambda: len(found) >= 6 and not waiting(url))
    assert {row["content"]["seller_nick"] for row in found} == {shop(url).channel.seller}
    peer._stop_query_loop()
    assert isinstance(peer.ws, WebSocketClientConnection)
    peer.close()
    await streaming.until(lambda: not shop(url).channel.open)


def test_a_row_keeps_every_digit_of_the_id() -> None:
    value = tmc.Value
    frame = tmc.Frame(
        tmc.Message.SEND,
        {
            "__kind": value(tmc.Format.BYTE, 3),
            "id": value(tmc.Format.INT64, 4171301100123456789),
            "topic": value(tmc.Format.TEXT, "taobao_trade_TradeBuyerPay"),
            "content": value(tmc.Format.TEXT, '{"tid": 2067719225654838111}'),
            "time": value(tmc.Format.DATE, 1772326831000),
            "nick": value(tmc.Format.TEXT, "枢纽测试旗舰店"),
            "publisher": value(tmc.Format.TEXT, "12497914"),
            "userid": value(tmc.Format.TEXT, "263664221"),
        },
    )
    row = json.loads(stream.row(frame))
    assert row["id"] == 4171301100123456789
    assert row["pub_time"] == "2026-03-01 09:00:31"
    assert row["content"] == '{"tid": 2067719225654838111}'
    assert row["user_id"] == 263664221

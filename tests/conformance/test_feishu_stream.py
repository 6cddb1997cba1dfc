"""Feishu's long connection over real sockets: nothing lost, nothing confirmed before it is kept."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from connectors.core import channel, decode, errors, model
from connectors.feishu import frames, simulator, stream
from connectors.simulator import engine, server
from tests.conformance import feishu_stage as stage
from tests.conformance import messaging, streaming

DEFAULTS = stage.DEFAULTS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(channel, "LONGEST_DELAY", 0.2)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["feishu"], time_scale=0.001) as base:
        yield base


def connection(base: str, **changes: Any) -> model.Connection:
    return stage.connection(base, push="stream", **changes)


async def ask(url: str, count: int) -> list[str]:
    async with messaging.control(engine.Url(url), "feishu") as http:
        return [(await http.post("/ask", json={"text": f"第 {at} 问"})).json()["message_id"] for at in range(count)]


def states(sim: simulator.Simulator) -> set[str]:
    return {one.state for one in sim.channel.events}


async def test_events_come_in_and_are_confirmed(url: engine.Url) -> None:
    sim, kept = stage.tenant_of(url), list[bytes]()

    async def accept(message: bytes) -> None:
        kept.append(message)

    owner = connection(url)
    async with streaming.receiving(stream.run, owner, accept):
        wanted = await ask(url, 5)
        await streaming.until(lambda: len(kept) == 5 and states(sim) == {"acknowledged"})
    events = [decode.events(owner.declaration, "stream", one, owner)[0] for one in kept]
    assert sorted(str(one.record) for one in events) == sorted(wanted)
    assert {(one.message, one.entity) for one in events} == {("user_message", "message")}
    assert all(DEFAULTS["verification_token"].encode() not in one for one in kept)


async def test_an_event_in_many_parts_is_one_event(url: engine.Url) -> None:
    sim, kept = stage.tenant_of(url), list[Any]()

    async def accept(message: bytes) -> None:
        kept.append(json.loads(message))

    sim.configure({"part_size": 70})
    async with streaming.receiving(stream.run, connection(url), accept):
        wanted = await ask(url, 3)
        await streaming.until(lambda: len(kept) == 3 and states(sim) == {"acknowledged"})
    assert sorted(one["event"]["message"]["message_id"] for one in kept) == sorted(wanted)


async def test_an_event_is_confirmed_only_after_it_was_accepted(url: engine.Url) -> None:
    sim, gate, entered = stage.tenant_of(url), asyncio.Event(), asyncio.Event()

    async def accept(_message: bytes) -> None:
        entered.set()
        await gate.wait()

    async with streaming.receiving(stream.run, connection(url), accept):
        await ask(url, 2)
        await asyncio.wait_for(entered.wait(), 5)
        await asyncio.sleep(0.2)
        assert states(sim) == {"waiting"}
        assert all(not one.answers for one in sim.channel.events)
        gate.set()
        await streaming.until(lambda: states(sim) == {"acknowledged"})


async def test_what_was_not_accepted_is_refused_and_comes_again(url: engine.Url) -> None:
    sim, seen = stage.tenant_of(url), list[str]()
    sim.channel.deadline = 0.3

    async def accept(message: bytes) -> None:
        seen.append(json.loads(message)["header"]["event_id"])
        if seen.count(seen[-1]) == 1:
            raise OSError("the ledger is down")

    async with streaming.receiving(stream.run, connection(url), accept):
        await ask(url, 3)
        await streaming.until(lambda: states(sim) == {"acknowledged"})
    assert len(set(seen)) == 3
    assert all(one.answers == [500, 200] for one in sim.channel.events)


async def test_a_wire_cut_again_and_again_loses_nothing(url: engine.Url) -> None:
    sim, kept = stage.tenant_of(url), set[str]()
    sim.channel.deadline, sim.channel.retries = 0.2, (15,) * 40

    async def accept(message: bytes) -> None:
        await asyncio.sleep(0.002)
        kept.add(json.loads(message)["event"]["message"]["message_id"])

    async with streaming.wire(url) as wire, streaming.receiving(stream.run, connection(wire.url), accept):
        wanted: set[str] = set()
        for _ in range(4):
            wanted |= set(await ask(url, 15))
            least = len(wanted) - 10
            await streaming.until(lambda least=least: len(kept) >= least)
            wire.cut()
        await streaming.until(lambda: states(sim) == {"acknowledged"}, 20)
        assert wire.made >= 4
    assert kept == wanted


async def test_the_platform_ends_its_sockets_and_the_stream_comes_back(url: engine.Url) -> None:
    sim, kept = stage.tenant_of(url), list[bytes]()

    async def accept(message: bytes) -> None:
        kept.append(message)

    async with streaming.receiving(stream.run, connection(url), accept):
        await streaming.until(lambda: sim.channel.open)
        async with messaging.control(url, "feishu") as http:
            assert (await http.post("/cut")).json() == {"cut": 1}
        await ask(url, 1)
        await streaming.until(lambda: len(kept) == 1)


async def test_pings_are_said_as_often_as_the_platform_asks(url: engine.Url) -> None:
    sim = stage.tenant_of(url)
    sim.configure({"ping_interval": 1})

    async def accept(_message: bytes) -> None:
        raise AssertionError("nothing may come")

    async with streaming.receiving(stream.run, connection(url), accept):
        await streaming.until(lambda: sim.channel.pings >= 2)


@pytest.mark.parametrize("changes", [{"app_secret": "wrong"}, {"app_id": "cli_another0001"}])
async def test_refused_credentials_are_said_and_not_tried_again(url: engine.Url, changes: dict[str, str]) -> None:
    async def accept(_message: bytes) -> None:
        raise AssertionError("nothing may come")

    with pytest.raises(errors.CredentialRefused) as refused:
        await asyncio.wait_for(stream.run(connection(url, **changes), accept, asyncio.Event()), 5)
    assert "App ID" in refused.value.hint["zh"]


async def test_one_connection_too_many_waits_for_its_place(url: engine.Url) -> None:
    sim = stage.tenant_of(url)

    async def accept(_message: bytes) -> None:
        return

    sim.channel.open.update({str(number): None for number in range(50)})  # type: ignore[misc]
    async with streaming.receiving(stream.run, connection(url), accept) as task:
        await asyncio.sleep(0.3)
        assert not task.done()
        sim.channel.open.clear()
        await streaming.until(lambda: sim.channel.open)


async def test_nobody_listening_is_no_error() -> None:
    async def accept(_message: bytes) -> None:
        raise AssertionError("nothing may come")

    async with streaming.receiving(stream.run, connection("http://127.0.0.1:9"), accept) as task:
        await asyncio.sleep(0.3)
        assert not task.done()


async def test_a_ticket_opens_one_socket(url: engine.Url) -> None:
    async with httpx.AsyncClient() as http:
        given = {"AppID": DEFAULTS["app_id"], "AppSecret": DEFAULTS["app_secret"]}
        told = (await http.post(f"{url}/feishu/callback/ws/endpoint", json=given)).json()["data"]["URL"]
    from websockets.asyncio import client as websocket
    from websockets.exceptions import InvalidStatus

    async with websocket.connect(told, proxy=None):
        with pytest.raises(InvalidStatus) as refused:
            await websocket.connect(told, proxy=None)
    assert refused.value.response.headers["handshake-status"] == "514"


@pytest.mark.parametrize(
    "headers",
    [
        {"sum": "2", "seq": "5"},
        {"sum": "999999", "seq": "0"},
        {"sum": "65", "seq": "0"},
        {"sum": "-2", "seq": "x"},
        {"sum": "2", "seq": "1"},
    ],
)
def test_parts_that_cannot_be_are_never_an_event_of_their_own(headers: dict[str, str]) -> None:
    async def accept(_message: bytes) -> None:
        raise AssertionError("nothing may come")

    talk = stream.Talk("main", 1, accept)
    frame = frames.Frame(frames.DATA, (("type", "event"), ("message_id", "m"), *headers.items()), b"part")
    assert talk.whole(frame) is None


@pytest.mark.peers("lark_oapi")
async def test_peer_client_runs_against_the_simulator(url: engine.Url) -> None:
    """The official client opens, answers and confirms here as it does over there."""
    sim = stage.tenant_of(url)
    sim.configure({"part_size": 200})
    async with server.running(Starlette(routes=sim.routes())) as base:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.conformance.feishu_peer", "stream", cwd=stage.ROOT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            given = {"app_id": DEFAULTS["app_id"], "app_secret": DEFAULTS["app_secret"], "domain": base}
            process.stdin.write(json.dumps(given).encode() + b"\n")
            await process.stdin.drain()
            await streaming.until(lambda: sim.channel.open, 60)
            wanted = await ask(url, 3)
            await streaming.until(lambda: states(sim) == {"acknowledged"}, 20)
            lines: list[str] = []
            async with asyncio.timeout(10):
                while len(lines) < 3:
                    line = (await process.stdout.readline()).decode()
                    assert line, "the peer ended"
                    lines += [line] if line.startswith("{") else []
        finally:
            process.kill()
            await process.wait()
    assert sorted(json.loads(line)["message"] for line in lines) == sorted(wanted)

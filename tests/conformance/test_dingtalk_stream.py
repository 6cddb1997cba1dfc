"""DingTalk's Stream over real sockets: nothing lost, nothing confirmed before it is kept, planned ends survived."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from websockets.asyncio import client as websocket
from websockets.exceptions import InvalidStatus

from connectors.core import channel, client, decode, errors, model, registry
from connectors.dingtalk import session, simulator, stream
from connectors.simulator import engine, server
from mappings import library
from tests.conformance import messaging, streaming

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = registry.folder("dingtalk") / "samples"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FIRST_DELAY", 0.05)
    monkeypatch.setattr(channel, "LONGEST_DELAY", 0.2)


@pytest.fixture
async def url() -> AsyncIterator[engine.Url]:
    async with engine.serve(["dingtalk"], time_scale=0.001) as base:
        yield base


def ding_of(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["dingtalk"]
    assert isinstance(found, simulator.Simulator)
    return found


async def do(url: str, path: str, **body: Any) -> Any:
    async with messaging.control(engine.Url(url), "dingtalk") as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def happen(url: str, count: int) -> list[str]:
    """So many staff events; their ids."""
    made = []
    for number in range(count):
        made.append(f"user{number}")
        await do(url, "/events", EventType="user_add_org", userId=[made[-1]])
    return made


def states(sim: simulator.Simulator) -> set[str]:
    return {one.state for one in sim.channel.events}


async def test_an_approval_comes_as_it_does_by_http(url: engine.Url, calls: client.Client) -> None:
    sim, kept = ding_of(url), list[bytes]()

    async def accept(message: bytes) -> None:
        kept.append(message)

    owner = messaging.dingtalk(url)
    async with streaming.receiving(stream.run, owner, accept):
        await streaming.until(lambda: sim.channel.open)
        record = {"id": "A1", "status": "pending", "applicant": "sales01", "fields": [{"key": "订单号", "value": "T1"}]}
        config = {"approval_process_code": "PROC-TEST-0001", "approval_dept": 1}
        given = library.shipped("dingtalk", "approval_form").to_native(record, {"config": config})
        instance = (await calls.call(owner, "approval.create", given)).record_id
        await do(url, f"/approvals/{instance}/agree")
        await streaming.until(lambda: len(kept) == 2 and states(sim) == {"acknowledged"})
        await do(url, f"/approvals/{instance}/delete")
        await streaming.until(lambda: len(kept) == 3)
    events = [decode.events(owner.declaration, "stream", one, owner)[0] for one in kept]
    assert [(one.message, one.entity, one.record) for one in events[:2]] == [("approval", "approval", instance)] * 2
    assert len({one.dedupe for one in events}) == 3
    assert all(one.occurred_at is not None for one in events)
    assert events[2].message == "approval_deleted"
    gone = library.shipped("dingtalk", "approval_event").from_native(json.loads(kept[2]), {})
    assert (gone["id"], gone["status"]) == (instance, "cancelled")


async def asked(url: engine.Url, owner: model.Connection) -> bytes:
    """Somebody writes to the robot; what the stream hands on of it."""
    kept: list[bytes] = []

    async def accept(message: bytes) -> None:
        kept.append(message)

    async with streaming.receiving(stream.run, owner, accept):
        await do(url, "/ask", text="查订单 T1")
        await streaming.until(lambda: len(kept) == 1)
    return kept[0]


async def test_a_question_is_answered_where_it_was_asked(url: engine.Url, calls: client.Client) -> None:
    owner = messaging.dingtalk(url)
    kept = await asked(url, owner)
    (event,) = decode.events(owner.declaration, "stream", kept, owner)
    assert (event.message, event.entity) == ("question", "message")
    question = library.shipped("dingtalk", "question").from_native(json.loads(kept), {})
    assert question["text"] == "查订单 T1"
    answer = {"id": "m1", "recipients": [question["data"]["chat_id"]], "text": "已发货"}
    given = library.shipped("dingtalk", "group").to_native(answer, {})
    await calls.call(owner, "robot.group", given)
    answer = {"id": "m2", "recipients": ["sales01"], "text": "明天到"}
    given = library.shipped("dingtalk", "answer").to_native(answer, {"message": question})
    told = await calls.call(owner, "robot.answer", given)
    said = [one["message"] for one in ding_of(url).corp.read("cidsimulated01==")]
    assert said == [{"content": "已发货"}, {"content": "明天到"}]
    assert ding_of(url).used == 1, "an answer costs none of the month's calls"
    # Nothing that is kept of it lets anybody else write there.
    (secret,) = ding_of(url).corp.sessions
    assert b"sessionWebhook" not in kept
    for shown in (kept.decode(), repr(question), repr(told.exchanges)):
        assert secret not in shown


async def test_an_answer_that_can_go_nowhere_is_not_sent(url: engine.Url, calls: client.Client) -> None:
    owner = messaging.dingtalk(url)
    kept = json.loads(await asked(url, owner))["answerKey"]
    changed = messaging.dingtalk(url, app_secret="another")
    over = session.sealed(owner.secrets["app_secret"], f"https://x{session.PATH}?session=S", 1)
    assert over is not None
    wrong = [(changed, kept), (owner, over), (owner, kept[:-6] + "AAAAAA"), (owner, session.PREFIX + "é")]
    for way, text in wrong:
        with pytest.raises(errors.Rejected) as refused:
            await calls.call(way, "robot.answer", {"session": text, "text": {"content": "x"}})
        assert refused.value.hint["zh"]
    with pytest.raises(errors.Rejected) as refused:
        await calls.call(owner, "robot.answer", {"session": "nobodys", "text": {"content": "x"}})
    assert refused.value.code == "300001"
    assert ding_of(url).corp.read("cidsimulated01==") == []


@pytest.mark.parametrize("address", ["", "https://oapi.dingtalk.com/robot/send?session=S", f"https://x{session.PATH}"])
def test_only_a_session_is_kept_of_an_address(address: str) -> None:
    message = {"msgId": "m1", "sessionWebhook": address, "sessionWebhookExpiredTime": 1700000000000}
    for secret in ("app-secret", ""):
        assert json.loads(stream.payload("CALLBACK", {}, message, secret)) == {"msgId": "m1"}


async def test_an_event_is_confirmed_only_after_it_was_accepted(url: engine.Url) -> None:
    sim, gate, entered = ding_of(url), asyncio.Event(), asyncio.Event()

    async def accept(_message: bytes) -> None:
        entered.set()
        await gate.wait()

    async with streaming.receiving(stream.run, messaging.dingtalk(url), accept):
        await happen(url, 2)
        await asyncio.wait_for(entered.wait(), 5)
        await asyncio.sleep(0.2)
        assert not any(one.answers for one in sim.channel.events)
        gate.set()
        await streaming.until(lambda: states(sim) == {"acknowledged"})
    said = [json.loads(one.answers[0]["data"]) for one in sim.channel.events]
    assert said == [{"status": "SUCCESS", "message": "ok"}] * 2


async def test_what_was_not_accepted_comes_later(url: engine.Url) -> None:
    sim, seen = ding_of(url), list[str]()
    sim.channel.deadline = 0.3

    async def accept(message: bytes) -> None:
        seen.append(str(json.loads(message).get("eventId") or json.loads(message).get("msgId")))
        if seen.count(seen[-1]) == 1:
            raise OSError("the ledger is down")

    async with streaming.receiving(stream.run, messaging.dingtalk(url), accept):
        await happen(url, 2)
        await do(url, "/ask")
        await streaming.until(lambda: states(sim) == {"acknowledged"})
    assert len(set(seen)) == 3
    codes = [[one["code"] for one in event.answers] for event in sim.channel.events]
    assert codes == [[200, 200], [200, 200], [500, 200]]
    assert [json.loads(event.answers[0]["data"]).get("status") for event in sim.channel.events[:2]] == ["LATER"] * 2


async def test_a_planned_disconnect_finishes_what_is_in_hand(url: engine.Url) -> None:
    sim, kept = ding_of(url), list[bytes]()

    async def accept(message: bytes) -> None:
        await asyncio.sleep(0.1)
        kept.append(message)

    async with streaming.receiving(stream.run, messaging.dingtalk(url), accept):
        await streaming.until(lambda: sim.channel.open)
        (before,) = sim.channel.open
        await happen(url, 3)
        await streaming.until(lambda: all(one.tries for one in sim.channel.events))
        await do(url, "/stream/disconnect")
        await streaming.until(lambda: sim.channel.open and before not in sim.channel.open)
        await streaming.until(lambda: states(sim) == {"acknowledged"})
        assert [one.tries for one in sim.channel.events] == [1, 1, 1]
        await happen(url, 1)
        await streaming.until(lambda: len(kept) == 4)
    assert sim.channel.pongs[0]["code"] == 200


async def test_a_ping_is_answered_with_its_own_data(url: engine.Url) -> None:
    sim, kept = ding_of(url), list[bytes]()

    async def accept(message: bytes) -> None:
        kept.append(message)

    async with streaming.receiving(stream.run, messaging.dingtalk(url), accept):
        await streaming.until(lambda: sim.channel.open)
        await do(url, "/stream/ping")
        await streaming.until(lambda: sim.channel.pongs)
        for text in ("no json", "[]", '{"type":"EVENT"}', '{"type":"EVENT","headers":{"messageId":"m1"},"data":"[1]"}',
                     '{"type":"NEWS","headers":{"messageId":"m2"},"data":"{}"}'):  # fmt: skip
            await sim.channel.raw(text)
        await streaming.until(lambda: len(sim.channel.pongs) == 3)
        assert sim.channel.open
        assert json.loads(kept[0]) == {"unreadable": "EVENT", "data": "[1]"}
    ping, *others = sim.channel.pongs
    unreadable, unknown = sorted(others, key=lambda one: one["headers"]["messageId"])
    assert (ping["code"], set(json.loads(ping["data"]))) == (200, {"opaque"})
    assert (unreadable["headers"]["messageId"], unreadable["code"]) == ("m1", 200)
    assert json.loads(unreadable["data"])["status"] == "SUCCESS"
    (event,) = decode.events(registry.get("dingtalk"), "stream", kept[0])
    assert event.message == decode.UNKNOWN
    assert (unknown["headers"]["messageId"], unknown["code"]) == ("m2", 404)


def test_of_an_unreadable_message_to_the_robot_no_text_is_kept() -> None:
    kept = stream.unreadable("CALLBACK", {"topic": stream.ROBOT}, '{"sessionWebhook":"https://x?session=SECRET"')
    assert json.loads(kept) == {"unreadable": "CALLBACK", "topic": stream.ROBOT}


async def test_a_wire_cut_again_and_again_loses_nothing(url: engine.Url) -> None:
    sim, kept = ding_of(url), set[str]()
    sim.channel.deadline, sim.channel.retries = 0.2, (15,) * 40

    async def accept(message: bytes) -> None:
        await asyncio.sleep(0.002)
        kept.add(json.loads(message)["eventId"])

    async with streaming.wire(url) as wire, streaming.receiving(stream.run, messaging.dingtalk(wire.url), accept):
        for part in range(4):
            await happen(url, 15)
            least = part * 15 + 5
            await streaming.until(lambda least=least: len(kept) >= least)
            wire.cut()
        await streaming.until(lambda: states(sim) == {"acknowledged"}, 20)
        assert wire.made >= 4
    assert len(kept) == 60


async def test_duplicates_have_one_key(url: engine.Url) -> None:
    sim, kept = ding_of(url), list[bytes]()
    sim.faults.duplicate_push = 3

    async def accept(message: bytes) -> None:
        kept.append(message)

    owner = messaging.dingtalk(url)
    async with streaming.receiving(stream.run, owner, accept):
        await happen(url, 2)
        await do(url, "/ask")
        await streaming.until(lambda: len(kept) == 9)
    assert len({decode.events(owner.declaration, "stream", one, owner)[0].dedupe for one in kept}) == 3


async def test_nobody_answering_is_no_error() -> None:
    async def accept(_message: bytes) -> None:
        raise AssertionError("nothing may come")

    async with streaming.receiving(stream.run, messaging.dingtalk(), accept) as task:
        await asyncio.sleep(0.3)
        assert not task.done()


async def test_refused_credentials_are_said_and_not_tried_again(url: engine.Url) -> None:
    async def accept(_message: bytes) -> None:
        raise AssertionError("nothing may come")

    with pytest.raises(errors.CredentialRefused) as refused:
        await asyncio.wait_for(stream.run(messaging.dingtalk(url, app_secret="wrong"), accept, asyncio.Event()), 5)
    assert "Client Secret" in refused.value.hint["zh"]


async def test_a_ticket_opens_one_socket_and_not_for_long(url: engine.Url) -> None:
    given = json.loads((SAMPLES / "stream_connection_open.request.json").read_text())
    given |= {"clientId": messaging.DINGTALK["app_key"], "clientSecret": messaging.DINGTALK["app_secret"]}
    async with httpx.AsyncClient() as http:
        place = f"{url}/dingtalk/v1.0/gateway/connections/open"
        told = [(await http.post(place, json=given)).json() for _ in range(2)]
        assert (await http.post(place, json={**given, "clientSecret": "no"})).status_code == 401
        assert (await http.post(place, json={**given, "subscriptions": []})).status_code == 400
    async with websocket.connect(f"{told[0]['endpoint']}?ticket={told[0]['ticket']}", proxy=None):
        with pytest.raises(InvalidStatus):
            await websocket.connect(f"{told[0]['endpoint']}?ticket={told[0]['ticket']}", proxy=None)
    ding_of(url).ahead = 91
    with pytest.raises(InvalidStatus):
        await websocket.connect(f"{told[1]['endpoint']}?ticket={told[1]['ticket']}", proxy=None)


def test_the_sampled_frames_become_the_shape_of_the_http_push() -> None:
    frame = json.loads((SAMPLES / "stream_event_frame.request.json").read_text())
    event = json.loads(stream.payload(frame["type"], frame["headers"], frame["data"]))
    pushed = json.loads((SAMPLES / "http_bpms_instance_change_finish.event.json").read_text())
    ours = {name: value for name, value in event.items() if name != "EventTime"}
    assert ours == {name: value for name, value in pushed.items() if name not in ("EventTime", "BizId")}
    frame = json.loads((SAMPLES / "stream_bot_callback_frame.request.json").read_text())
    question = stream.payload(frame["type"], frame["headers"], frame["data"])
    (found,) = decode.events(registry.get("dingtalk"), "stream", question)
    assert (found.message, found.record) == ("question", "msgTEST0001")


@pytest.mark.peers("dingtalk_stream")
async def test_peer_sdk_runs_against_the_simulator(url: engine.Url) -> None:
    """The official client opens, takes, confirms, survives a disconnect here as it does over there."""
    sim = ding_of(url)
    async with server.running(Starlette(routes=sim.routes())) as base:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.conformance.dingtalk_peer", cwd=ROOT,
            env={**os.environ, "DINGTALK_OPENAPI_ENDPOINT": base},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            credentials = {key: messaging.DINGTALK[key] for key in ("app_key", "app_secret")}
            process.stdin.write(json.dumps(credentials).encode() + b"\n")
            await process.stdin.drain()
            await streaming.until(lambda: sim.channel.open, 60)
            assert [*sim.channel.subscribed.values()] == [{"EVENT *", "CALLBACK /v1.0/im/bot/messages/get"}]
            await happen(url, 2)
            await do(url, "/ask", text="查订单")
            await do(url, "/stream/ping")
            await streaming.until(lambda: states(sim) == {"acknowledged"} and sim.channel.pongs, 20)
            lines: list[Any] = []
            async with asyncio.timeout(10):
                while len(lines) < 3:
                    line = (await process.stdout.readline()).decode()
                    assert line, "the peer ended"
                    lines += [json.loads(line)] if line.startswith("{") else []
        finally:
            process.kill()
            await process.wait()
    assert sorted(one["kind"] for one in lines) == ["robot", "user_add_org", "user_add_org"]
    assert sim.channel.pongs[0]["code"] == 200

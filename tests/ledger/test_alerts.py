"""Alerts: told once by one of many processes, through the messengers' own simulators, and by a queue of their own."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.core import grant, jsontext
from connectors.simulator import engine
from retry_queue import alert
from retry_queue.ledger import alarms, breakers, configuration, connections, cursors, session, tokens
from retry_queue.ledger.states import ConnectionState
from tests.conformance import messaging
from tests.ledger import hub as hubs
from tests.ledger import making, target

SIGNING = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
NOTES = [{"connection": "notes", "operation": "send"}]


@pytest.fixture
async def notes(ledger: session.Ledger) -> AsyncIterator[target.Target]:
    """A system of one's own that takes messages, and a source and a target that alerts may be about."""
    async with hubs.targets("notes", "erp") as made:
        await hubs.source(ledger)
        await hubs.sink(ledger, made["erp"].url)
        await hubs.sink(ledger, made["notes"].url, "notes", send_path="/notes")
        await hubs.route(ledger)
        yield made["notes"]


async def configured(ledger: session.Ledger, *given: dict[str, Any]) -> None:
    async with ledger.write() as db:
        await configuration.put_setting(db, alert.SETTING, [{"gather": 0, **one} for one in given])
        await configuration.touch(db)


async def watching(worker: hubs.Worker) -> alert.Watcher:
    """A watcher that has looked once."""
    await worker.hub.refresh()
    made = alert.Watcher(worker.ledger, worker.hub.current, worker.hub.calls, worker.hub.sealer, "https://hub.test")
    await made.decide(at_once=True)
    return made


async def told(watcher: alert.Watcher) -> None:
    """Decides and sends what is owed by then."""
    await watcher.decide(at_once=True)
    await watcher.step()
    async with asyncio.timeout(30):
        await watcher.idle()


def texts(place: target.Target) -> list[str]:
    return [one.body["text"] for one in place.calls if one.path == "/notes"]


async def notices(ledger: session.Ledger) -> list[Any]:
    return await making.rows(ledger, "SELECT * FROM notices ORDER BY id")


@pytest.fixture
async def worker(database_url: str, notes: target.Target) -> AsyncIterator[hubs.Worker]:
    made = await hubs.build(database_url)
    yield made
    await made.hub.close()


async def test_trouble_is_told_once_repeated_and_its_end_too(
    worker: hubs.Worker, ledger: session.Ledger, notes: target.Target
) -> None:
    rules = ["parked", "dead", "needs_auth", "conflicts"]
    await configured(ledger, {"key": "ops", "label": "值班", "rules": rules, "to": NOTES, "repeat": "1h"})
    old = await making.owe(ledger, "old", lane_name="erp/order/old")
    await making.change(ledger, "UPDATE deliveries SET state = 'dead' WHERE id = :id", id=old)
    watcher = await watching(worker)
    await told(watcher)
    assert texts(notes) == [], "what was there before is no news"
    for name, state in (("a", "dead"), ("b", "dead"), ("c", "parked")):
        number = await making.owe(ledger, name, lane_name=f"erp/order/{name}")
        await making.change(ledger, "UPDATE deliveries SET state = :state WHERE id = :id", state=state, id=number)
    await told(watcher)
    (text,) = texts(notes)
    assert text.startswith("【枢纽告警】值班：2 项需要处理")
    assert "erp 出现 2 条死信" in text
    assert "erp 有 1 条数据挂起" in text
    await told(watcher)
    assert len(texts(notes)) == 1
    await making.change(ledger, "UPDATE alarms SET told_at = told_at - 4000")
    await told(watcher)
    assert "仍在持续" in texts(notes)[1]
    await making.change(ledger, "UPDATE deliveries SET state = 'delivered'")
    await told(watcher)
    assert "：已恢复" in texts(notes)[2]
    states = {row.kind: (row.state, row.end_told) for row in await making.rows(ledger, "SELECT * FROM alarms")}
    assert states == {"parked": ("ended", 1), "dead": ("ended", 1)}
    assert [row.state for row in await notices(ledger)] == ["sent"] * 3


async def test_of_many_processes_one_decides_and_another_goes_on_where_it_ended(
    database_url: str, worker: hubs.Worker, ledger: session.Ledger, notes: target.Target
) -> None:
    await configured(ledger, {"key": "ops", "rules": [{"kind": "dead", "within": "1h"}, "needs_auth"], "to": NOTES})
    first = await watching(worker)
    others = [await hubs.build(database_url) for _ in range(3)]
    try:
        watchers = [first, *[await watching(one) for one in others]]
        number = await making.owe(ledger, "a")
        await making.change(ledger, "UPDATE deliveries SET state = 'dead' WHERE id = :id", id=number)
        await hubs.set_state(ledger, "shop", ConnectionState.NEEDS_AUTH)
        for one in (worker, *others):
            await one.hub.refresh()
        await asyncio.gather(*(told(one) for one in watchers))
        (text,) = texts(notes)
        assert "1 条死信" in text
        assert "shop 的授权已失效" in text
        async with ledger.write() as db:  # the leader dies; its supervisor gives its lease back
            await cursors.release(db, [worker.ledger.owner])
        await asyncio.gather(*(told(one) for one in watchers[1:]))
        await told(first)  # it was only thought dead
        assert len(texts(notes)) == 1, "the next one knows how things stood"
        second = await making.owe(ledger, "b", lane_name="erp/order/2")
        await making.change(ledger, "UPDATE deliveries SET state = 'dead' WHERE id = :id", id=second)
        await hubs.set_state(ledger, "shop", ConnectionState.ENABLED)
        for one in (worker, *others):
            await one.hub.refresh()
        await asyncio.gather(*(told(one) for one in watchers))
        assert len(texts(notes)) == 2
        assert "2 条死信" in texts(notes)[1], "growth is counted over the change of leaders"
    finally:
        for one in others:
            await one.hub.close()


async def test_a_channel_that_is_away_gets_its_message_later_and_holds_up_no_other(
    worker: hubs.Worker, ledger: session.Ledger, notes: target.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert, "TRIES", (0.02,) * 30)
    async with hubs.targets("mute", "never") as more:
        for name in ("mute", "never"):
            await hubs.sink(ledger, more[name].url, name, send_path="/notes")
        more["never"].judge = lambda _body: target.Answer(422)
        await more["mute"].down()
        to = [{"connection": key, "operation": "send"} for key in ("mute", "never", "notes")]
        await configured(ledger, {"key": "ops", "rules": ["needs_auth"], "to": to})
        watcher = await watching(worker)
        await hubs.set_state(ledger, "erp", ConnectionState.NEEDS_AUTH)
        await worker.hub.refresh()
        await told(watcher)
        assert len(texts(notes)) == 1
        rows = {row.connection_key: row for row in await notices(ledger)}
        assert (rows["notes"].state, rows["never"].state, rows["mute"].state) == ("sent", "failed", "waiting")
        assert rows["mute"].failures == 1
        await more["mute"].up()

        async def arrived() -> bool:
            await told(watcher)
            return bool(texts(more["mute"]))

        await making.until(arrived, 20, "the message at the channel that came back")
        async with ledger.read() as db:
            assert [row.connection_key for row in await alarms.undelivered(db, 0.0)] == ["never"]


async def test_a_process_that_dies_while_it_sends_leaves_the_message_to_another(
    database_url: str, worker: hubs.Worker, ledger: session.Ledger, notes: target.Target
) -> None:
    await configured(ledger, {"key": "ops", "rules": ["needs_auth"], "to": NOTES})
    watcher = await watching(worker)
    await hubs.set_state(ledger, "erp", ConnectionState.NEEDS_AUTH)
    await worker.hub.refresh()
    await watcher.decide(at_once=True)
    async with ledger.write() as db:
        (claimed,) = await alarms.claim(db, 8, 60.0)  # and nothing more is ever heard of it
    await told(watcher)
    assert texts(notes) == []
    await making.change(ledger, "UPDATE notices SET next_at = 0")
    other = await hubs.build(database_url)
    try:
        await told(await watching(other))
    finally:
        await other.hub.close()
    assert len(texts(notes)) == 1
    async with ledger.write() as db:
        assert not await alarms.end(db, claimed, "failed"), "the late result of the dead counts no more"


async def test_every_kind_is_found_where_it_is(
    worker: hubs.Worker, ledger: session.Ledger, notes: target.Target
) -> None:
    rules = ["parked", {"kind": "dead", "within": "0s"}, {"kind": "quarantine", "at_least": 2}, "overdue", "needs_auth",
             "breaker", {"kind": "difference", "for": "0s"}, "expiring", "failing", {"kind": "silent", "for": "1h"},
             "drift", "conflicts"]  # fmt: skip
    await configured(ledger, {"key": "ops", "rules": rules, "to": NOTES, "language": "en"})
    watcher = await watching(worker)
    for name, state in (("p", "parked"), ("d", "dead"), ("o", "pending")):
        number = await making.owe(ledger, name, lane_name=f"erp/order/{name}")
        await making.change(ledger, "UPDATE deliveries SET state = :state WHERE id = :id", state=state, id=number)
    await making.change(ledger, "UPDATE lanes SET next_at = next_at - 900 WHERE lane = 'erp/order/o'")
    await making.change(ledger, "UPDATE lanes SET next_at = next_at + 9000 WHERE lane <> 'erp/order/o'")
    await making.change(ledger, "UPDATE events SET received_at = received_at - 8000")
    await making.change(ledger, "INSERT INTO tallies VALUES (1, 'shop', 'rejected.signature', 1, 3)")
    await making.change(ledger, "INSERT INTO tallies VALUES (1, 'shop', 'received', 1, 9)")
    await making.change(
        ledger, "INSERT INTO cursors (connection_key, source, failures) VALUES ('shop', 'orders', 4)"
    )  # fmt: skip
    await making.change(
        ledger,
        "INSERT INTO conflicts (link_id, entity, field, policy, state, sides, event_id, created_at)"
        " VALUES (1, 'customer', 'phone', 'manual', 'open', '[]', 1, 1)",
    )
    await making.change(
        ledger,
        "INSERT INTO reconciliations (id, left_key, right_key, entity, window_start, window_end, spec, state, next_at,"
        " requested_by, created_at, ended_at) VALUES (1, 'shop', 'erp', 'order', 0, 1, '{}', 'done', 0, 'me', 0, 1)",
    )
    await making.change(
        ledger,
        "INSERT INTO findings (reconciliation_id, kind, state, created_at) VALUES (1, 'missing', 'open', 1)",
    )
    async with ledger.write() as db:
        await tokens.lock(db, "erp", 0, 1.0)
        extra = grant.carried("r", time.time() + 3 * 86400, ("x",))
        await tokens.put(db, worker.hub.sealer, "erp", 0, "t", extra, time.time() + 3600)
        held, now = await breakers.hold(db, [("erp", ""), ("erp", "record.put"), ("shop", "")])
        said = {"zh": "对方系统暂时不可用", "en": "the system is unavailable", "code": "unavailable"}
        shut = [
            replace(row, state=breakers.OPEN, since=now, reason=said)
            for place, row in held.items()
            if place[0] == "erp"
        ]
        await breakers.write(db, shut, [])
    await hubs.sink(ledger, "http://127.0.0.1:9", "broken")
    await hubs.set_state(ledger, "broken", ConnectionState.NEEDS_AUTH)
    await worker.hub.refresh()
    await told(watcher)
    rows = await making.rows(ledger, "SELECT kind, subject FROM alarms WHERE state = 'firing' ORDER BY kind")
    assert {(row.kind, row.subject) for row in rows} == {
        ("parked", "erp"), ("dead", "erp"), ("quarantine", "shop"), ("overdue", "erp"), ("needs_auth", "broken"),
        ("difference", ""), ("expiring", "erp"), ("failing", "shop"), ("silent", "shop"), ("conflicts", ""),
        ("drift", "shop ↔ erp · order"), ("breaker", "erp"), ("breaker", "erp · record.put"),
    }  # fmt: skip
    (text,) = texts(notes)
    for line in (
        "1 parked at erp",
        "3 calls to shop were refused",
        "15 minutes overdue",
        "ends in 2 days",
        "failed 4 times in a row",
        "no news from shop for 2 hours",
        "1 differences",
        "1 conflicts",
    ):
        assert line in text, text
    await configured(ledger)
    await worker.hub.refresh()
    await told(watcher)
    assert await making.rows(ledger, "SELECT 1 FROM alarms WHERE state = 'firing'") == []
    assert len(texts(notes)) == 1, "what nobody wants to know any more ends without a word"


async def test_group_robots_a_mailbox_and_a_signed_webhook_take_it(
    worker: hubs.Worker, ledger: session.Ledger, notes: target.Target
) -> None:
    async with engine.serve(["wecom", "dingtalk", "feishu", "email", "http"], time_scale=0.01) as url:
        feishu, mail = url.simulators["feishu"].settings, url.simulators["email"].settings
        office = [messaging.wecom(url), messaging.dingtalk(url)]
        given: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
            one.declaration.id: (one.declaration.id, dict(one.config), dict(one.secrets)) for one in office
        }
        given["feishu"] = (
            "feishu", {"base_url": f"{url}/feishu", "bot_url": f"{url}/feishu", "app_id": feishu["app_id"]},
            {key: feishu[key] for key in ("app_secret", "bot_hook", "bot_secret")},
        )  # fmt: skip
        given["email"] = (
            "email",
            {"host": "127.0.0.1", "port": mail["port"], "security": "none", "username": mail["username"],
             "from_address": mail["from_address"]}, {"password": mail["password"]},
        )  # fmt: skip
        given["hook"] = (
            "http", {"base_url": f"{url}/http", "send_path": "/alerts", "sign_style": "standard_webhooks"},
            {"sign_secret": f"whsec_{SIGNING}"},
        )  # fmt: skip
        async with ledger.write() as db:
            for key, (connector, config, clear) in given.items():
                state, at = ConnectionState.ENABLED, time.time()
                await connections.put(db, hubs.SEALER, key, connector, config, clear, state, at)
        to = [
            {"connection": "wecom", "operation": "robot.send"}, {"connection": "dingtalk", "operation": "robot.send"},
            {"connection": "feishu", "operation": "bot.send"}, {"connection": "hook", "operation": "send"},
            {"connection": "email", "operation": "message.send", "recipients": ["duty@example.com"]},
        ]  # fmt: skip
        await configured(ledger, {"key": "ops", "rules": ["needs_auth"], "to": to})
        watcher = await watching(worker)
        await hubs.set_state(ledger, "erp", ConnectionState.NEEDS_AUTH)
        await worker.hub.refresh()
        await told(watcher)
        assert {row.connection_key: (row.state, row.detail) for row in await notices(ledger)} == dict.fromkeys(
            given, ("sent", None)
        )
        for name in ("wecom", "dingtalk", "feishu"):
            told_there = [str(one.data) for one in url.simulators[name].journal.effects]
            assert len(told_there) == 1, name
            assert "erp 的授权已失效" in told_there[0], name
        (letter,) = url.simulators["email"].snapshot()["mails"]
        assert "枢纽告警" in str(letter)
        (taken,) = url.simulators["http"].snapshot()["messages"]
        headers = taken["headers"]
        assert taken["path"] == "/alerts"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + jsontext.dumps(taken["body"])
        proof = base64.b64encode(hmac.digest(base64.b64decode(SIGNING), signed, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{proof}"

"""Alerts by the API and by hub.yaml: what may be a channel, what is refused, the test button, acknowledging."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import insert

from gateway import check, current, hub, hub_export, hub_file
from retry_queue.ledger import upkeep
from tests.ledger import target
from tests.unit.gateway import desk as desks
from tests.unit.gateway.desk import problem

OPS: dict[str, Any] = {
    "key": "ops", "label": "值班", "rules": ["dead", {"kind": "silent", "for": "2h", "connections": ["shop"]}],
    "to": [{"connection": "notes", "operation": "send"}], "hours": {"from": "09:00", "to": "18:00"}, "repeat": "30m",
}  # fmt: skip
WECOM = {"key": "wx", "connector": "wecom", "config": {"corp_id": "ww0000000000000001", "agent_id": 1000002}}


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        await desks.configured(made)
        yield made


async def test_an_alert_is_kept_listed_changed_and_removed(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    answer = await editor.put("/alerts/ops", json=OPS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rules"][1]["for"] == 7200
    (item,) = (await editor.get("/alerts")).json()["items"]
    assert (item["alert"]["label"], item["firing"]) == ("值班", 0)
    assert (await editor.get("/alerts/ops")).json()["alert"]["hours"]["from"] == "09:00"
    problem(await editor.delete("/connections/notes", headers={"If-Match": "*"}), 409, "in_use")
    route = await editor.delete("/routes/order-out", headers={"If-Match": "*"})
    assert route.status_code == 204, route.text
    body = problem(await editor.delete("/connections/notes", headers={"If-Match": "*"}), 409, "in_use")
    assert "ops" in body["detail"]
    assert (await editor.delete("/alerts/ops")).status_code == 204
    problem(await editor.get("/alerts/ops"), 404, "not_found")
    viewer = await desk.as_("viewer")
    problem(await viewer.put("/alerts/ops", json=OPS), 403, "forbidden")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"to": [{"connection": "nots", "operation": "send"}]}, "/to/0/connection"),
        ({"to": [{"connection": "notes", "operation": "record.put"}]}, "/to/0/operation"),
        ({"to": [OPS["to"][0], OPS["to"][0]]}, "/to/1"),
        ({"to": [{"connection": "wx", "operation": "message.send"}]}, "/to/0/recipients"),
        ({"rules": [{"kind": "dead", "connections": ["nobody"]}]}, "/rules/0/connections/0"),
        ({"rules": [{"kind": "difference", "connections": ["shop"]}]}, "/rules/0"),
        ({"rules": ["fire"]}, "/rules/0/kind"),
        ({"repeat": 5}, ""),
    ],
    ids=str,
)
async def test_what_is_wrong_is_said_where_it_stands(desk: desks.Desk, change: dict[str, Any], pointer: str) -> None:
    editor = await desk.as_("editor")
    assert (await editor.post("/connections", json=WECOM)).status_code == 201
    body = problem(await editor.put("/alerts/ops", json=OPS | change), 422, "invalid")
    assert pointer in [one["pointer"] for one in body["errors"]], body


async def test_channels_are_the_operations_that_take_a_message_and_say_whether_they_ask_for_whom(
    desk: desks.Desk,
) -> None:
    editor = await desk.as_("editor")
    mail = {"host": "mail.example.com", "from_address": "a@example.com"}
    for body in (WECOM, {"key": "mail", "connector": "email", "config": mail}):
        assert (await editor.post("/connections", json=body)).status_code == 201
    found = (await editor.get("/alerts/channels", params={"limit": 200})).json()["items"]
    asks = {f"{one['connection']}.{one['operation']}": one["recipients"] for one in found}
    assert asks["notes.send"] is False
    assert asks["wx.robot.send"] is False
    assert asks["wx.message.send"] is True
    assert asks["mail.message.send"] is True
    assert "notes.record.put" not in asks
    assert not [one for one in asks if "approval" in one or "contact" in one]
    kinds = (await editor.get("/alerts/kinds")).json()["items"]
    assert all(one["name"]["zh"] and one["name"]["en"] for one in kinds)


async def test_the_test_button_tells_how_each_channel_took_it_and_keeps_it_in_the_list(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    receiver = target.Target()
    await receiver.up()
    try:
        there = {"key": "duty", "connector": "http", "config": {"base_url": receiver.url, "send_path": "/x"}}
        assert (await editor.post("/connections", json=there | {"enable": True})).status_code == 201
        to = [{"connection": "duty", "operation": "send"}, {"connection": "notes", "operation": "send"}]
        body = (await editor.post("/alerts/trial", json=OPS | {"to": to})).json()
    finally:
        await receiver.down()
    assert [(one["connection"], one["ok"]) for one in body["results"]] == [("duty", True), ("notes", False)]
    assert body["results"][1]["words"]["zh"]
    assert "测试" in receiver.calls[0].body["text"]
    assert "http://hub.test/alerts" in str(receiver.calls[0].body)
    listed = (await editor.get("/alarms/notices")).json()["items"]
    assert {one["connection"]: one["state"] for one in listed} == {"duty": "sent", "notes": "failed"}
    operator = await desk.as_("operator")
    problem(await operator.post("/alerts/trial", json=OPS), 403, "forbidden")


async def test_somebody_takes_an_alarm(desk: desks.Desk) -> None:
    async with desk.ledger.write() as db:
        row = {"alert_key": "ops", "kind": "dead", "subject": "notes", "state": "firing", "n": 2.0, "since": 1.0,
               "detail": '{"zh":"notes 出现 2 条死信","en":"2 dead"}', "fired_at": 1.0, "told_at": 1.0}  # fmt: skip
        await db.execute(insert(upkeep.alarms).values(**row))
        waiting = row | {"state": "waiting", "fired_at": None, "told_at": None}
        await db.execute(insert(upkeep.alarms).values(**waiting))
    operator = await desk.as_("operator")
    (one,) = (await operator.get("/alarms", params={"state": "firing"})).json()["items"]
    assert (one["kind"], one["words"]["zh"], one["acknowledged_by"]) == ("dead", "notes 出现 2 条死信", None)
    taken = await operator.post(f"/alarms/{one['id']}/acknowledge")
    assert taken.json()["acknowledged_by"] == "token:test-operator"
    problem(await operator.post("/alarms/2/acknowledge"), 404, "not_found")
    problem(await operator.post("/alarms/x/acknowledge"), 404, "not_found")


async def test_by_file_it_is_applied_once_exported_checked_and_pruned(desk: desks.Desk) -> None:
    ledger, sealer = desk.ledger, desk.hub.sealer
    text = yaml.safe_dump({"apiVersion": "shuniu/v1", "alerts": [OPS]}, allow_unicode=True)
    made = await hub.apply(ledger, sealer, hub_file.read(text, "hub.yaml"), actor="test")
    assert [one.line for one in made] == ["+ alert ops"]
    assert await hub.apply(ledger, sealer, hub_file.read(text, "hub.yaml"), actor="test") == []
    exported, _ = await hub_export.export(ledger, sealer)
    assert yaml.safe_load(exported)["alerts"][0]["hours"] == {"from": "09:00", "to": "18:00"}
    given = {"SHOP_HOOK_SECRET": "canary-secret-of-the-shop"}
    again = hub_file.read(exported, "out.yaml", variables=given)
    assert await hub.diff(ledger, sealer, again, prune=True) == []
    for change, code in (("notes", "unknown_connection"), ("silent", "literal_error")):
        with pytest.raises(hub_file.Broken) as told:
            await hub.apply(ledger, sealer, hub_file.read(text.replace(change, "gone"), "hub.yaml"), actor="test")
        assert [(one.code, one.line > 1) for one in told.value.problems] == [(code, True)]
    async with ledger.read() as db:
        now = await current.load(db)
    report = check.Report()
    check.site(report, current.Current({}, {}, {}, {}, {}, alerts=now.alerts))
    assert any(one.subject.startswith("alert ops") for one in report.lines)
    empty = yaml.safe_dump({"apiVersion": "shuniu/v1", "connections": yaml.safe_load(exported)["connections"]})
    gone = hub_file.read(empty, "hub.yaml", variables=given)
    assert "- alert ops" in [one.line for one in await hub.apply(ledger, sealer, gone, actor="test", prune=True)]

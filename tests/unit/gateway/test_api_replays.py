"""The admin API: breakers by hand, replays as jobs, and events that are edited before they are tried again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from retry_queue import bulk
from retry_queue.ledger.states import DeliveryState
from tests.ledger import making
from tests.unit.gateway import desk as desks


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        yield made


async def dead(desk: desks.Desk, count: int) -> httpx.AsyncClient:
    """So many dead letters at ``notes``; returns an operator."""
    await desks.configured(desk)
    for place in range(count):
        order = {**desks.ORDER, "id": str(place), "number": f"N{place}"}
        (number,) = await desk.receive(desks.event("shop", json.dumps(order), f"d{place}", record=str(place)))
        await desk.plan(number, order, desks.owed("notes", f"order/{place}"))
    await desk.attempt("notes", DeliveryState.DEAD, reason="rejected")
    return await desk.as_("operator")


async def test_a_breaker_is_shown_and_turned_by_hand(desk: desks.Desk) -> None:
    await desks.configured(desk)
    operator, viewer = await desk.as_("operator"), await desk.as_("viewer")
    healthy = (await viewer.get("/connections/notes")).json()
    assert healthy["breaker"] == {
        "state": "closed", "operation": None, "since": None, "reason": None, "code": None, "next_probe_at": None,
        "by": None,
    }  # fmt: skip
    desks.problem(await viewer.post("/connections/notes/breaker/open"), 403, "forbidden")
    desks.problem(await operator.post("/connections/nowhere/breaker/open"), 404, "not_found")
    opened = (await operator.post("/connections/notes/breaker/open")).json()
    assert (opened["state"], opened["by"], opened["next_probe_at"]) == ("open", "token:test-operator", None)
    assert opened["reason"]["zh"]
    assert opened["reason"]["en"]
    listed = {one["key"]: one["breaker"]["state"] for one in (await viewer.get("/connections")).json()["items"]}
    assert listed == {"notes": "open", "shop": "closed"}
    await making.change(
        desk.ledger,
        "INSERT INTO breakers (connection_key, operation, state, since, streak, streak_at, good, bad, window_at,"
        " next_probe_at, reason) VALUES ('notes', 'send', 'open', 1e9, 5, 1e9, 0, 5, 1e9, 2e9,"
        """ '{"zh":"不可用","en":"down","code":"unavailable"}')""",
    )
    (one,) = (await viewer.get("/connections/notes")).json()["operation_breakers"]
    assert (one["operation"], one["code"], one["next_probe_at"]) == ("send", "unavailable", "2033-05-18T03:33:20Z")
    closed = (await operator.post("/connections/notes/breaker/close")).json()
    assert (closed["state"], closed["by"]) == ("ramping", None)
    assert (await viewer.get("/connections/notes")).json()["operation_breakers"][0]["state"] == "ramping"
    owner = await desk.as_("owner")
    entries = (await owner.get("/audit")).json()["items"]
    assert [one["action"] for one in entries if one["action"].startswith("breaker")] == [
        "breaker.close",
        "breaker.open",
    ]


async def test_a_replay_is_counted_started_and_watched(desk: desks.Desk) -> None:
    operator = await dead(desk, 4)
    assert (await operator.post("/replays/count", json={"connection": "notes"})).json() == {"matched": 4}
    assert (await operator.post("/replays/count", json={"route": "other"})).json() == {"matched": 0}
    made = await operator.post("/replays", json={"connection": "notes", "budget": 0})
    assert made.status_code == 201, made.text
    assert (made.json()["state"], made.json()["counts"]["matched"]) == ("waiting", 4)
    number = made.json()["id"]
    paused = await operator.post(f"/replays/{number}/pause")
    assert paused.json()["state"] == "paused"
    desks.problem(await operator.post(f"/replays/{number}/pause"), 409, "conflict")
    assert (await operator.post(f"/replays/{number}/resume")).json()["state"] == "waiting"
    worker = bulk.Replayer(desk.ledger)
    await worker.step()

    async def looked() -> bool:
        return bool((await operator.get(f"/replays/{number}")).json()["counts"]["looked_at"] == 4)

    await making.until(looked)
    cancelled = (await operator.post(f"/replays/{number}/cancel")).json()
    assert (cancelled["state"], cancelled["counts"]["taken_back"], cancelled["counts"]["replayed"]) == (
        "cancelled",
        4,
        0,
    )
    await worker.idle()
    rows = (await operator.get("/deliveries", params={"state": "dead"})).json()["items"]
    assert [(row["reason"], row["state"]) for row in rows] == [("rejected", "dead")] * 4
    listed = (await operator.get("/replays")).json()["items"]
    assert [one["id"] for one in listed] == [number]
    desks.problem(await operator.get("/replays/99"), 404, "not_found")
    desks.problem(await operator.post("/replays", json={"state": "delivered"}), 422, "invalid")
    viewer = await desk.as_("viewer")
    desks.problem(await viewer.post("/replays", json={}), 403, "forbidden")


async def test_a_dead_letter_is_edited_and_replayed(desk: desks.Desk) -> None:
    operator = await dead(desk, 1)
    (delivery,) = (await operator.get("/deliveries")).json()["items"]
    event = delivery["event_id"]
    shown = (await operator.get(f"/events/{event}")).json()["canonical"]
    assert shown["receiver"]["phone"] == "138****8000"
    edited = {**shown, "total": "99.90"}
    body = {"what": "canonical", "text": json.dumps(edited), "note": "金额有误", "dry_run": True}
    tried = (await operator.post(f"/events/{event}/edit", json=body)).json()
    assert tried["changes"] == [{"path": "total", "before": "188.00", "after": "99.90"}], "what is masked stays"
    assert tried["dry_run"]
    assert (await operator.get("/deliveries")).json()["items"][0]["state"] == "dead"
    done = (await operator.post(f"/events/{event}/edit", json={**body, "dry_run": False})).json()
    assert done["replayed"]["deliveries"] == [delivery["id"]]
    full = (await operator.get(f"/events/{event}", params={"reveal": True})).json()["canonical"]
    assert (full["total"], full["receiver"]["phone"]) == ("99.90", "13800138000")
    (kept,) = (await operator.get(f"/events/{event}/edits")).json()["items"]
    assert (kept["by"], kept["note"], kept["what"]) == ("token:test-operator", "金额有误", "canonical")
    (before,) = await making.rows(desk.ledger, "SELECT before FROM edits")
    assert json.loads(before.before)["total"] == "188.00"
    owner = await desk.as_("owner")
    (entry,) = (await owner.get("/audit", params={"action": "event.edit"})).json()["items"]
    assert entry["detail"]["paths"] == ["total"]


async def test_what_cannot_be_edited_is_refused(desk: desks.Desk) -> None:
    operator = await dead(desk, 1)
    event = (await operator.get("/deliveries")).json()["items"][0]["event_id"]
    note = {"what": "canonical", "note": "why"}
    broken = desks.problem(await operator.post(f"/events/{event}/edit", json={**note, "text": "{"}), 422, "invalid")
    assert broken["errors"][0]["code"] == "json"
    other = json.dumps({**desks.ORDER, "id": "7"})
    refused = desks.problem(await operator.post(f"/events/{event}/edit", json={**note, "text": other}), 422, "invalid")
    assert refused["errors"][0]["code"] == "identity"
    strange = json.dumps({**desks.ORDER, "id": "0", "colour": "red"})
    desks.problem(await operator.post(f"/events/{event}/edit", json={**note, "text": strange}), 422, "invalid")
    raw = {"what": "payload", "text": "{}", "note": "why"}
    desks.problem(await operator.post(f"/events/{event}/edit", json=raw), 409, "conflict")
    viewer = await desk.as_("viewer")
    desks.problem(await viewer.post(f"/events/{event}/edit", json=raw), 403, "forbidden")


async def test_a_parked_event_is_edited_and_planned_anew(desk: desks.Desk) -> None:
    await desks.configured(desk)
    operator = await desk.as_("operator")
    (number,) = await desk.receive(desks.event("shop", '{"id":"1001","total":12.30}', "d1", record="1001"))
    await making.change(desk.ledger, "UPDATE inbox SET state = 'parked', reason = 'mapping'")
    body = {"what": "payload", "text": '{"id":"1001","total":12.40}', "note": "typo"}
    done = (await operator.post(f"/events/{number}/edit", json=body)).json()
    assert done["replayed"]["events"] == [str(number)]
    (row,) = await making.rows(desk.ledger, "SELECT payload FROM events")
    assert row.payload == '{"id":"1001","total":12.40}', "the digits as they were written"
    (row,) = await making.rows(desk.ledger, "SELECT state, reason FROM inbox")
    assert (row.state, row.reason) == ("received", "replay")


async def test_the_text_to_edit_has_every_digit_and_no_person(desk: desks.Desk) -> None:
    """A payload shown as parsed JSON has its decimals as text: edited and sent back they would stay text."""
    await desks.configured(desk)
    operator, viewer = await desk.as_("operator"), await desk.as_("viewer")
    people = '[{"name":"张三","phone":"13800138000"},{"name":"李四"}]'
    came = f'{{"id":4711000000000000001,"total":12.30,"receivers":{people}}}'
    (number,) = await desk.receive(desks.event("shop", came, "d1", record="1"))
    assert (await viewer.get(f"/events/{number}/edit")).json() == {"what": None, "text": ""}, "it is being planned"
    await making.change(desk.ledger, "UPDATE inbox SET state = 'parked', reason = 'mapping'")
    told = (await viewer.get(f"/events/{number}/edit")).json()
    assert told["what"] == "payload"
    assert "4711000000000000001,\n" in told["text"]
    assert '"total": 12.30' in told["text"]
    assert "13800138000" not in told["text"]
    desks.problem(await viewer.get(f"/events/{number}/edit", params={"reveal": True}), 403, "forbidden")
    assert "13800138000" in (await operator.get(f"/events/{number}/edit", params={"reveal": True})).json()["text"]
    body = {"what": "payload", "note": "typo", "dry_run": True, "text": told["text"]}
    assert (await operator.post(f"/events/{number}/edit", json=body)).json()["changes"] == []
    moved = json.loads(told["text"])
    del moved["receivers"][1]
    refused = desks.problem(
        await operator.post(f"/events/{number}/edit", json={**body, "text": json.dumps(moved)}), 422, "invalid"
    )
    assert refused["errors"][0]["code"] == "masked", "a masked phone must not be sent to anybody"
    text = told["text"].replace("12.30", "12.40")
    done = (await operator.post(f"/events/{number}/edit", json={**body, "text": text, "dry_run": False})).json()
    assert done["changes"] == [{"path": "total", "before": "12.30", "after": "12.40"}]
    (row,) = await making.rows(desk.ledger, "SELECT payload FROM events")
    assert row.payload == came.replace("12.30", "12.40")

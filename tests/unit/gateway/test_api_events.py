"""The admin API over a real ledger: finding events, telling their story, replaying, and what must not be shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from retry_queue.ledger import mentions, quarantine, records, tallies
from retry_queue.ledger.states import DeliveryState
from retry_queue.sync import identity
from tests.unit.gateway import desk as desks


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        yield made


@pytest.fixture
async def quick(sqlite_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        yield made


# --- events, deliveries, links ------------------------------------------------------------------


async def story(desk: desks.Desk) -> tuple[httpx.AsyncClient, int]:
    owner = await desks.configured(desk)
    event = desks.event("shop", json.dumps(desks.ORDER, ensure_ascii=False), "d1", record="1001")
    (number,) = await desk.receive(event)
    await desk.plan(number, desks.ORDER, desks.owed("notes", "order/1"))
    return owner, number


async def test_an_order_is_found_by_number_and_by_id(desk: desks.Desk) -> None:
    owner, number = await story(desk)
    other = desks.event("shop", json.dumps({**desks.ORDER, "id": "1002", "number": "SO1002"}), "d2", record="1002")
    await desk.receive(other)
    async with desk.ledger.write() as connection:  # the order as the ERP knows it, linked with the shop's
        known = await records.find(connection, [("shop", "order", "1001")])
        link = known[("shop", "order", "1001")].link_id
        await records.bind(connection, [records.Binding(("notes", "order", "ERP-7"), link, None, 0)])
    for words in ("SO1001", "1001", "ERP-7", " SO1001 "):
        found = (await owner.get("/events", params={"q": words})).json()["items"]
        assert [(one["id"], one["number"]) for one in found] == [(str(number), "SO1001")], words
    assert (await owner.get("/events", params={"q": "SO10"})).json()["items"] == []
    assert len((await owner.get("/events")).json()["items"]) == 2
    linked = (await owner.get("/links", params={"q": "ERP-7"})).json()["items"]
    assert [{one["connection"] for one in group["records"]} for group in linked] == [{"shop", "notes"}]


async def test_an_order_is_found_by_its_buyers_phone_which_is_kept_as_a_digest_only(desk: desks.Desk) -> None:
    owner, number = await story(desk)
    await desk.receive(desks.event("shop", json.dumps({**desks.ORDER, "id": "1002"}), "d2", record="1002"))
    async with desk.ledger.write() as connection:
        order = (await records.find(connection, [("shop", "order", "1001")]))[("shop", "order", "1001")]
        marks = dict(identity.asked(desk.hub.sealer, "13800138000", []))
        await mentions.keep(connection, [("phone", marks["phone"], order.id)])
    for words in ("13800138000", "+86 138-0013-8000"):
        found = (await owner.get("/events", params={"q": words})).json()["items"]
        assert [one["id"] for one in found] == [str(number)], words
    assert (await owner.get("/events", params={"q": "13800138001"})).json()["items"] == []


async def test_events_are_filtered(desk: desks.Desk) -> None:
    owner, number = await story(desk)
    (second,) = await desk.receive(desks.event("notes", "{}", "d2", entity="message", message="other"))
    await desk.plan(second, {"id": "9"})

    async def ids(**params: Any) -> list[str]:
        answer = await owner.get("/events", params=params)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    assert await ids(connection="notes") == [str(second)]
    assert await ids(entity="order") == [str(number)]
    assert await ids(message="other") == [str(second)]
    assert await ids(state="planned") == [str(number)]
    assert await ids(state="skipped", reason="filtered") == [str(second)]
    assert await ids(since="2001-01-01T00:00:00Z") == [str(second), str(number)]
    assert await ids(until="2001-01-01T00:00:00Z") == []
    assert await ids(since="2199-01-01T00:00:00+08:00") == []
    desks.problem(await owner.get("/events", params={"state": "odd"}), 422, "invalid")
    desks.problem(await owner.get("/events", params={"since": "yesterday"}), 422, "invalid")
    skipped = (await owner.get(f"/events/{second}")).json()
    assert skipped["words"]["zh"] == "不满足任何路由的条件"


async def test_the_timeline_tells_the_whole_story(desk: desks.Desk) -> None:
    owner, number = await story(desk)
    said = json.dumps({"zh": "对方拒绝了这条数据", "en": "they refused this record", "code": "E7"}, ensure_ascii=False)
    exchange = {"operation": "send", "method": "POST", "url": "http://x", "status": 422, "duration": 0.1,
                "request": "content-type: application/json\n\n" + json.dumps(desks.ORDER, ensure_ascii=False),
                "response": "no"}  # fmt: skip
    await desk.attempt("notes", DeliveryState.DEAD, reason="rejected", detail=said, code="E7",
                       exchanges=json.dumps([exchange]))  # fmt: skip
    told = (await owner.get(f"/events/{number}/timeline")).json()
    assert [one["kind"] for one in told["steps"]] == ["received", "planned", "attempt", "dead"]
    assert "shop" in told["steps"][0]["words"]["zh"]
    for step in told["steps"][2:]:
        assert "对方拒绝了这条数据" in step["words"]["zh"]
        assert step["words"]["en"].isascii(), "each language by itself"
    (delivery,) = told["deliveries"]
    assert (delivery["state"], delivery["reason"], delivery["code"], delivery["number"]) == (
        "dead", "rejected", "E7", "SO1001",
    )  # fmt: skip
    (tried,) = delivery["tries"]
    assert (tried["attempt"], tried["outcome"], tried["exchanges"][0]["status"]) == (1, "dead", 422)
    assert tried["words"] == {"zh": "对方拒绝了这条数据", "en": "they refused this record"}
    assert [one["record"] for one in told["links"]] == ["1001"]
    text = json.dumps(told, ensure_ascii=False)
    assert "13800138000" not in text
    assert "张三丰" not in text
    desks.problem(await owner.get("/events/999999/timeline"), 404, "not_found")
    desks.problem(await owner.get("/events/abc"), 404, "not_found")


async def test_personal_data_is_masked_and_revealing_it_is_audited(desk: desks.Desk) -> None:
    owner, number = await story(desk)
    viewer, operator = await desk.as_("viewer"), await desk.as_("operator")
    masked = (await viewer.get(f"/events/{number}")).json()
    assert masked["payload"]["receiver"] == {
        "name": "张**", "phone": "138****8000", "address": {"city": "杭州市", "street": "文三路18号***"},
    }  # fmt: skip
    assert masked["canonical"]["receiver"]["phone"] == "138****8000"
    assert masked["payload"]["total"] == "188.00"
    desks.problem(await viewer.get(f"/events/{number}", params={"reveal": True}), 403, "forbidden")
    desks.problem(await viewer.get(f"/events/{number}/timeline", params={"reveal": True}), 403, "forbidden")
    shown = (await operator.get(f"/events/{number}", params={"reveal": True})).json()
    assert shown["payload"]["receiver"]["phone"] == "13800138000"
    entries = (await owner.get("/audit", params={"action": "personal_data.reveal"})).json()["items"]
    assert [(one["actor"], one["object"]) for one in entries] == [("token:test-operator", f"event/{number}")]


async def test_exact_numbers_survive(quick: desks.Desk) -> None:
    owner = await desks.configured(quick)
    (number,) = await quick.receive(desks.event("shop", '{"id": 9007199254740993123, "price": 0.10}', "d1"))
    payload = (await owner.get(f"/events/{number}")).json()["payload"]
    assert payload == {"id": 9007199254740993123, "price": "0.10"}


async def test_replaying_and_skipping_deliveries_keeps_the_balance(desk: desks.Desk) -> None:
    owner, number = await story(desk)
    (dead,) = await desk.attempt("notes", DeliveryState.DEAD, reason="rejected")
    assert (await owner.get("/ledger")).json()["dead"] == 1
    listed = (await owner.get("/deliveries", params={"state": "dead"})).json()["items"]
    assert [one["id"] for one in listed] == [str(dead)]
    again = await owner.post(f"/deliveries/{dead}/replay")
    assert (again.status_code, again.json()["state"]) == (200, "pending")
    assert desk.rung
    desks.problem(await owner.post(f"/deliveries/{dead}/replay"), 409, "conflict")
    desks.problem(await owner.post(f"/deliveries/{dead}/skip"), 409, "conflict")
    assert await desk.attempt("notes", DeliveryState.PARKED, reason="misdeclared") == [dead]
    assert (await owner.post(f"/deliveries/{dead}/skip")).json()["state"] == "skipped"
    balance = (await owner.get("/ledger")).json()
    assert (balance["difference"], balance["in_flight"]) == (0, 0)
    done = await owner.post(f"/events/{number}/replay")
    desks.problem(done, 409, "conflict")  # nothing of it is dead or parked any more
    back = await owner.post(f"/deliveries/{dead}/replay")  # a person may change their mind about a skip
    assert back.json()["state"] == "pending"
    assert await desk.attempt("notes", DeliveryState.DELIVERED) == [dead]
    assert (await owner.post("/ledger/audit")).json() == {
        "ok": True, "differences": [], "balance": (await owner.get("/ledger")).json(),
    }  # fmt: skip


async def test_what_waits_behind_a_parked_one_goes_on_after_a_skip(desk: desks.Desk) -> None:
    _, _ = await story(desk)
    (second,) = await desk.receive(desks.event("shop", "{}", "d2", record="1001"))
    await desk.plan(second, desks.ORDER, desks.owed("notes", "order/1"))
    (parked,) = await desk.attempt("notes", DeliveryState.PARKED, reason="mapping")
    assert await desk.attempt("notes", DeliveryState.DELIVERED) == []
    operator = await desk.as_("operator")
    assert (await operator.post(f"/deliveries/{parked}/skip")).status_code == 200
    assert len(await desk.attempt("notes", DeliveryState.DELIVERED)) == 1


async def test_a_skipped_event_replayed_is_counted_once(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    (number,) = await desk.receive(desks.event("shop", json.dumps(desks.ORDER), "d1", record="1001"))
    await desk.plan(number, desks.ORDER)
    assert (await owner.get("/ledger")).json()["filtered"] == 1
    done = (await owner.post(f"/events/{number}/replay")).json()
    assert done == {"events": [str(number)], "deliveries": []}
    balance = (await owner.get("/ledger")).json()
    assert (balance["filtered"], balance["in_flight"], balance["difference"]) == (0, 1, 0)
    desks.problem(await owner.post(f"/events/{number}/replay"), 409, "conflict")
    await desk.plan(number, desks.ORDER, desks.owed("notes", "order/1"))
    await desk.attempt("notes", DeliveryState.DEAD, reason="rejected")
    done = (await owner.post(f"/events/{number}/replay")).json()
    assert len(done["deliveries"]) == 1
    assert (await owner.get("/ledger")).json()["difference"] == 0
    async with desk.ledger.read() as connection:
        assert await tallies.audit(connection) == []


async def test_bulk_replay_counts_first_and_keeps_to_its_filter(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    for place in range(6):
        order = {**desks.ORDER, "id": str(place), "number": f"N{place}"}
        (number,) = await desk.receive(desks.event("shop", json.dumps(order), f"d{place}", record=str(place)))
        target = "notes" if place < 4 else "shop"
        await desk.plan(number, order, desks.owed(target, f"order/{place}", route_key=f"r{place % 2}"))
    await desk.attempt("notes", DeliveryState.DEAD, reason="rejected")
    await desk.attempt("shop", DeliveryState.DEAD, reason="unavailable")
    wanted = {"state": "dead", "connection": "notes"}
    counted = (await owner.post("/deliveries/replay", json={**wanted, "dry_run": True})).json()
    assert counted == {"matched": 4, "replayed": 0, "dry_run": True}
    some = (await owner.post("/deliveries/replay", json={**wanted, "route": "r0", "limit": 1})).json()
    assert some == {"matched": 2, "replayed": 1, "dry_run": False}
    rest = (await owner.post("/deliveries/replay", json={"state": "dead", "reason": "unavailable"})).json()
    assert rest["replayed"] == 2
    left = (await owner.get("/deliveries", params={"state": "dead", "limit": 200})).json()["items"]
    assert len(left) == 3
    desks.problem(await owner.post("/deliveries/replay", json={"state": "delivered"}), 422, "invalid")
    entries = (await owner.get("/audit", params={"action": "delivery.replay_many"})).json()["items"]
    assert [one["detail"]["replayed"] for one in entries] == [2, 1]


async def test_quarantine_shows_why_without_showing_whom(quick: desks.Desk) -> None:
    viewer = await quick.as_("viewer")
    async with quick.ledger.write() as connection:
        for number in range(5):
            await quarantine.add(connection, [("shop", "forged", f"wrong signature {number}", "tel 13800138000")])
    first = (await viewer.get("/quarantine", params={"limit": 3})).json()
    assert [one["detail"][-1] for one in first["items"]] == ["4", "3", "2"]
    assert first["items"][0]["excerpt"] == "tel 138****8000"
    rest = (await viewer.get("/quarantine", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert ([one["detail"][-1] for one in rest["items"]], rest["next_cursor"]) == (["1", "0"], None)


async def test_the_ledger_is_told_by_connection(quick: desks.Desk) -> None:
    owner, _ = await story(quick)
    (tally,) = (await owner.get("/ledger/connections")).json()["items"]
    assert tally == {"connection": "shop", "counts": {"received": 1, "planned": 1}}

"""What the pages of the admin UI ask for: the picture, failures by cause, trials, templates, live news, the files."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.simulator import server
from gateway import pages
from gateway.api import live
from retry_queue.ledger.states import DeliveryState
from scripts import openapi
from tests.unit.gateway import desk as desks

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        yield made


@pytest.fixture
async def quick(sqlite_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        yield made


async def _troubled(desk: desks.Desk) -> httpx.AsyncClient:
    """Three orders: one delivered, two dead for one reason."""
    owner = await desks.configured(desk)
    words = {"zh": "对方拒绝", "en": "refused", "code": "E7"}
    for number in range(3):
        record = {**desks.ORDER, "id": f"100{number}"}
        given = desks.event("shop", json.dumps(record), f"d{number}", record=record["id"])
        (event,) = await desk.receive(given)
        await desk.plan(event, record, desks.owed("notes", f"order/{number}"))
        if number:
            await desk.attempt("notes", DeliveryState.DEAD, reason="rejected", detail=json.dumps(words))
        else:
            await desk.attempt("notes", DeliveryState.DELIVERED)
    return owner


# --- overview and failures ----------------------------------------------------------------------


async def test_the_overview_is_empty_before_anything_is_configured(quick: desks.Desk) -> None:
    viewer = await quick.as_("viewer")
    told = (await viewer.get("/overview")).json()
    assert (told["nodes"], told["edges"], told["todo"]) == ([], [], [])
    assert told["balance"]["difference"] == 0
    assert told["series"] == [0] * 60


async def test_the_overview_shows_systems_routes_and_what_needs_a_person(desk: desks.Desk) -> None:
    owner = await _troubled(desk)
    told = (await owner.get("/overview", params={"minutes": 10})).json()
    assert {one["key"] for one in told["nodes"]} == {"shop", "notes"}
    (edge,) = told["edges"]
    assert (edge["source"], edge["target"], edge["dead"], edge["health"]) == ("shop", "notes", 2, "bad")
    assert edge["per_minute"] == 0.6
    assert sum(edge["series"]) == 3
    assert edge["last_at"] is not None
    assert told["series"][-1] == 3
    (todo,) = told["todo"]
    assert (todo["kind"], todo["count"], todo["words"]["zh"]) == ("dead", 2, "对方拒绝")
    balance = told["balance"]
    assert (balance["received"], balance["delivered"], balance["dead"], balance["difference"]) == (3, 1, 2, 0)


async def test_failures_of_one_cause_are_one_group_that_is_replayed_by_its_own_filter(desk: desks.Desk) -> None:
    owner = await _troubled(desk)
    (group,) = (await owner.get("/failures")).json()["items"]
    assert (group["what"], group["state"], group["count"], group["code"]) == ("delivery", "dead", 2, "E7")
    named = {name: group[name] for name in ("state", "connection", "route", "reason")}
    answer = await owner.post("/deliveries/replay", json=named)
    assert answer.json() == {"matched": 2, "replayed": 2, "dry_run": False}
    assert (await owner.get("/failures")).json()["items"] == []


async def test_parked_events_are_grouped_as_well(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    await desk.receive(desks.event("shop", "{}", "d1"))
    async with desk.ledger.write() as db:
        detail = json.dumps({"zh": "看不懂", "en": "unreadable"})
        await db.exec_driver_sql(f"UPDATE inbox SET state = 'parked', reason = 'mapping', detail = '{detail}'")
    (group,) = (await owner.get("/failures")).json()["items"]
    assert (group["what"], group["connection"], group["reason"]) == ("event", "shop", "mapping")
    assert group["words"]["zh"] == "看不懂"
    assert group["connector"] == "http"


async def test_pages_of_failures_do_not_overlap(quick: desks.Desk) -> None:
    owner = await _troubled(quick)
    await quick.receive(desks.event("shop", "{}", "d9"))
    async with quick.ledger.write() as db:
        await db.exec_driver_sql("UPDATE inbox SET state = 'parked', reason = 'mapping' WHERE dedupe = 'd9'")
    first = (await owner.get("/failures", params={"limit": 1})).json()
    second = (await owner.get("/failures", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [first["items"][0]["count"], second["items"][0]["count"]] == [2, 1]
    assert second["next_cursor"] is None


# --- trials -------------------------------------------------------------------------------------


async def test_settings_are_tried_without_being_stored(quick: desks.Desk) -> None:
    editor = await quick.as_("editor")
    draft = {"connector": "http", "config": {"base_url": "http://127.0.0.1:9"}, "secrets": {}}
    told = (await editor.post("/trials/connection", json=draft)).json()
    assert told["ok"] is False
    assert told["hint"]["zh"]
    assert (await editor.get("/connections")).json()["items"] == []
    wrong = await editor.post("/trials/connection", json={**draft, "config": {"base_ur": "x"}})
    assert desks.problem(wrong, 422, "invalid")["errors"][0]["pointer"] == "/config/base_ur"
    operator = await quick.as_("operator")
    desks.problem(await operator.post("/trials/connection", json=draft), 403, "forbidden")


async def test_a_stored_secret_fills_what_the_form_leaves_out_and_is_not_told(quick: desks.Desk) -> None:
    owner = await desks.configured(quick)
    body = {"connector": "http", "config": desks.SHOP["config"], "key": "shop"}
    answer = await owner.post("/trials/connection", json=body)
    assert answer.status_code == 200
    assert "canary" not in answer.text
    desks.problem(await owner.post("/trials/connection", json={**body, "key": "nobody"}), 404, "not_found")


async def test_a_route_is_tried_on_an_event_that_came(quick: desks.Desk) -> None:
    owner = await desks.configured(quick)
    record = {**desks.ORDER, "receiver": {"name": "王小明", "phone": "13812345678"}}
    (event,) = await quick.receive(desks.event("shop", json.dumps(record), "d1", record=record["id"]))
    await quick.plan(event, record, desks.owed("notes", "order/1"))
    route = {name: desks.ROUTE[name] for name in ("key", "from", "to")}

    async def tried(when: str | None) -> dict[str, Any]:
        answer = await owner.post("/trials/route", json={"route": {**route, "when": when}, "event": str(event)})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    told = await tried(f'order.id == "{record["id"]}"')
    assert told["holds"] is True
    assert told["targets"][0]["connection"] == "notes"
    assert told["targets"][0]["ok"] is True, told
    assert "13812345678" not in json.dumps(told)
    assert (await tried('order.id == "another"'))["holds"] is False
    bad = await owner.post("/trials/route", json={"route": {**route, "when": "order.("}, "event": str(event)})
    assert desks.problem(bad, 422, "invalid")["errors"][0]["pointer"].startswith("/route")
    gone = await owner.post("/trials/route", json={"route": route, "event": "999"})
    desks.problem(gone, 404, "not_found")


# --- templates, models, samples -----------------------------------------------------------------


async def test_templates_are_made_changed_and_removed_unless_used(quick: desks.Desk) -> None:
    owner = await quick.as_("owner")
    body = {"key": "shipped", "text": "订单 {order.number} 已发出", "recipients": ["{contact.owner}"]}
    assert (await owner.put("/templates/shipped", json=body)).status_code == 200
    assert (await owner.put("/templates/shipped", json={**body, "title": "发货"})).json()["title"] == "发货"
    desks.problem(await owner.put("/templates/other", json=body), 422, "invalid")
    (kept,) = (await owner.get("/templates")).json()["items"]
    assert (kept["key"], kept["title"]) == ("shipped", "发货")
    assert quick.site is not None
    assert "shipped" in quick.site.templates
    assert (await owner.delete("/templates/shipped")).status_code == 204
    desks.problem(await owner.delete("/templates/shipped"), 404, "not_found")
    actions = [one["action"] for one in (await owner.get("/audit")).json()["items"]]
    assert actions[:2] == ["template.delete", "template.put"]


async def test_models_name_every_field_with_its_list(quick: desks.Desk) -> None:
    viewer = await quick.as_("viewer")
    fields = (await viewer.get("/models/order")).json()["fields"]
    known = {(one["within"], one["path"]): one for one in fields}
    assert known[(None, "id")]["required"] is True
    assert known[(None, "receiver.address.city")]["shape"] == "text"
    assert known[("lines", "quantity")]["shape"] == "decimal"
    assert "paid" in known[(None, "status")]["values"]
    assert len((await viewer.get("/models")).json()["items"]) >= 8
    desks.problem(await viewer.get("/models/nothing"), 404, "not_found")


async def test_samples_carry_long_numbers_as_text_and_no_other_file_is_read(quick: desks.Desk) -> None:
    viewer = await quick.as_("viewer")
    for connector in [one["id"] for one in (await viewer.get("/connectors")).json()["items"]]:
        for one in (await viewer.get(f"/samples/{connector}", params={"limit": 200})).json()["items"]:
            told = await viewer.get(f"/samples/{connector}/{one['name']}")
            assert told.status_code == 200, one
            assert not [n for n in _numbers(told.json()) if abs(n) > 2**53]
    desks.problem(await viewer.get("/samples/http/vectors.json"), 404, "not_found")
    desks.problem(await viewer.get("/samples/http/..%2Fconnector.yaml"), 404, "not_found")


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [n for one in inner for n in _numbers(one)]
    return [value] if isinstance(value, int | float) else []


# --- live news ----------------------------------------------------------------------------------


async def test_live_news_come_at_once_and_whenever_something_happened(quick: desks.Desk) -> None:
    owner = await desks.configured(quick)
    async with server.running(quick.app) as base, httpx.AsyncClient(base_url=base, timeout=20) as client:
        headers = {"authorization": owner.headers["authorization"]}
        async with asyncio.timeout(20), client.stream("GET", "/api/v1/live", headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            first = await _next(lines)
            assert first["balance"]["received"] == 0
            await quick.receive(desks.event("shop", "{}", "d1"))
            second = await _next(lines)
            assert second["balance"]["received"] == 1
            assert second["marks"]["events"] > first["marks"]["events"]
        assert (await client.get("/api/v1/live")).status_code == 401


async def _next(lines: AsyncIterator[str]) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data: "):
            return dict(json.loads(line[6:]))
    raise AssertionError("the stream ended")


# --- the files ----------------------------------------------------------------------------------


@pytest.fixture
def shown(tmp_path: Path) -> pages.Pages:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<meta name=csp-nonce content=__NONCE__>")
    (folder / "assets" / "main-1.js").write_text("plain")
    (folder / "assets" / "main-1.js.gz").write_bytes(b"packed")
    (folder / ".stamp").write_text("not to be served")
    made = pages.built(folder)
    assert made is not None
    return made


async def test_pages_have_a_policy_without_inline_scripts_and_a_new_nonce_each_time(shown: pages.Pages) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shown), base_url="http://hub.test") as client:
        first, second = [await client.get(path) for path in ("/", "/events/7")]
        policy = first.headers["content-security-policy"]
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert scripts == "script-src 'self'"
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        nonce = first.text.split("content=")[1].rstrip(">")
        assert f"'nonce-{nonce}'" in policy
        assert nonce not in second.text
        assert first.headers["cache-control"] == "no-store"
        assert first.headers["x-content-type-options"] == "nosniff"


async def test_files_are_kept_for_good_and_packed_for_who_can_read_it(shown: pages.Pages) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shown), base_url="http://hub.test") as client:
        plain = await client.get("/assets/main-1.js", headers={"accept-encoding": "identity"})
        assert (plain.text, plain.headers["content-type"]) == ("plain", "text/javascript; charset=utf-8")
        assert "immutable" in plain.headers["cache-control"]
        head = await client.head("/assets/main-1.js", headers={"accept-encoding": "gzip"})
        assert head.headers["content-encoding"] == "gzip"
        assert int(head.headers["content-length"]) == 6
        assert (await client.get("/assets/gone.js")).status_code == 404
        for path in ("/.stamp", "/assets/../../desk.py", "/assets/main-1.js.gz"):
            assert "not to be served" not in (await client.get(path)).text


def test_what_is_no_page_is_left_to_the_api(shown: pages.Pages) -> None:
    def takes(method: str, path: str) -> bool:
        return shown.takes({"type": "http", "method": method, "path": path})

    assert takes("GET", "/")
    assert takes("GET", "/routes/a")
    assert not takes("POST", "/")
    assert not any(takes("GET", f"/{name}/x") for name in pages.RESERVED)


def test_the_generated_client_fits_the_api() -> None:
    assert openapi.drift(ROOT / "admin_ui" / "src" / "api" / "schema.gen.ts") == ""


def test_a_client_of_another_api_is_noticed(tmp_path: Path) -> None:
    stale = tmp_path / "schema.gen.ts"
    stale.write_text("// openapi sha256: " + "0" * 64 + "\n")
    assert "another API" in openapi.drift(stale)
    assert "missing" in openapi.drift(tmp_path / "none.ts")


async def test_a_stopping_server_is_not_held_up_by_its_listeners(quick: desks.Desk) -> None:
    going = True
    hub = dataclasses.replace(quick.hub, stopping=lambda: not going)
    source = live.Feed(hub)
    told = live.told(hub, source)
    assert (await anext(told)).startswith(b"retry:")
    assert b'"balance"' in await anext(told)
    going = False
    async with asyncio.timeout(live.EVERY * 3):
        async for _ in told:
            pass
    assert source.listeners == 0


async def test_one_loop_serves_all_listeners_and_ends_with_the_last(quick: desks.Desk) -> None:
    source = live.Feed(quick.hub)
    async with source.joined(), source.joined():
        assert await source.news(0, 5.0)
        assert source.turn == 1
        assert not await source.news(1, 0.05)
    async with asyncio.timeout(live.EVERY * 3):
        while any(task.get_name() == "live" for task in asyncio.all_tasks()):
            await asyncio.sleep(0.02)

"""The admin API over a real ledger: configuring, finding, replaying, and what it must not show."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.simulator import engine
from gateway.api import paging
from tests.unit.gateway import desk as desks

WHSEC = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        yield made


@pytest.fixture
async def quick(sqlite_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        yield made


# --- connectors and connections -----------------------------------------------------------------


async def test_connectors_show_what_a_form_needs(quick: desks.Desk) -> None:
    viewer = await quick.as_("viewer")
    listed = (await viewer.get("/connectors")).json()["items"]
    assert {"http", "crm"} <= {one["id"] for one in listed}
    found = {one["id"] for one in (await viewer.get("/connectors", params={"q": "自建"})).json()["items"]}
    assert "crm" in found
    assert "http" not in found
    crm = (await viewer.get("/connectors/crm")).json()
    secret = next(one for one in crm["fields"] if one["key"] == "api_key")
    assert (secret["secret"], secret["required"], bool(secret["label"]["zh"])) == (True, True, True)
    assert next(one for one in crm["operations"] if one["name"] == "customer.save")["target"]
    assert not next(one for one in crm["operations"] if one["name"] == "customer.get")["target"]
    assert "密钥" in crm["readme"]
    assert "did you mean crm?" in desks.problem(
        await viewer.get("/connectors/crmm", headers={"accept-language": "en"}), 404, "not_found"
    )["detail"]  # fmt: skip


async def test_secrets_go_in_and_never_come_out(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    made = (await owner.get("/connections/shop")).json()
    assert made["secrets"] == ["hook_secret"]
    assert made["hook_url"] == "http://hub.test/hooks/shop"
    assert made["state"] == "enabled"
    for path in ("/connections", "/connections/shop", "/audit"):
        assert "canary" not in (await owner.get(path)).text
    async with desk.ledger.read() as connection:
        rows = await connection.exec_driver_sql("SELECT * FROM connections")
        assert "canary" not in str(rows.all())
    assert desk.site is not None
    opened = desk.site.live["shop"].opened
    assert opened is not None
    assert opened.secrets["hook_secret"] == "canary-secret-of-the-shop"


async def test_a_change_needs_the_etag_that_was_read(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    read = await owner.get("/connections/notes")
    etag = read.headers["etag"]
    assert read.json()["etag"] == etag
    body = {"config": {"base_url": "http://127.0.0.1:9/y"}}
    desks.problem(await owner.put("/connections/notes", json=body), 428, "precondition_required")
    changed = await owner.put("/connections/notes", json=body, headers={"if-match": etag})
    assert changed.status_code == 200
    assert changed.json()["config"]["base_url"].endswith("/y")
    stale = await owner.put("/connections/notes", json=body, headers={"if-match": etag})
    desks.problem(stale, 412, "stale")
    assert stale.headers["etag"] == changed.headers["etag"]
    desks.problem(await owner.delete("/connections/notes"), 428, "precondition_required")
    desks.problem(await owner.put("/connections/none", json=body, headers={"if-match": etag}), 404, "not_found")


async def test_what_was_removed_and_made_anew_has_another_etag(quick: desks.Desk) -> None:
    owner = await quick.as_("owner")
    first = await owner.post("/connections", json=desks.NOTES)
    old = first.headers["etag"]
    assert (await owner.delete("/connections/notes", headers={"if-match": old})).status_code == 204
    quick.clock.ahead += 1
    await owner.post("/connections", json=desks.NOTES)
    answer = await owner.put("/connections/notes", json={"config": {}}, headers={"if-match": old})
    desks.problem(answer, 412, "stale")


async def test_secrets_left_out_stay_and_empty_ones_go(quick: desks.Desk) -> None:
    owner = await quick.as_("owner")
    body = {"key": "c", "connector": "crm", "config": {"base_url": "http://127.0.0.1:9/c"},
            "secrets": {"api_key": "one", "webhook_secret": WHSEC}}  # fmt: skip
    etag = (await owner.post("/connections", json=body)).headers["etag"]
    config = {"config": {"base_url": "http://127.0.0.1:9/d"}}
    kept = await owner.put("/connections/c", json=config, headers={"if-match": etag})
    assert kept.json()["secrets"] == ["api_key", "webhook_secret"]
    less = {**config, "secrets": {"webhook_secret": ""}}
    gone = await owner.put("/connections/c", json=less, headers={"if-match": kept.headers["etag"]})
    assert gone.json()["secrets"] == ["api_key"]


async def test_enabling_fails_closed(quick: desks.Desk) -> None:
    owner = await quick.as_("owner")
    bare = {"key": "c", "connector": "crm", "config": {"base_url": "http://127.0.0.1:9/c"}}
    made = await owner.post("/connections", json=bare)
    assert (made.json()["state"], made.json()["missing"]) == ("disabled", ["/secrets/api_key"])
    said = desks.problem(await owner.post("/connections/c/enable"), 409, "incomplete")
    assert said["errors"][0]["pointer"] == "/secrets/api_key"
    desks.problem(await owner.post("/connections", json={**bare, "key": "d", "enable": True}), 409, "incomplete")
    desks.problem(await owner.get("/connections/d"), 404, "not_found")  # refused means: not made either
    etag = made.headers["etag"]
    keyed = {"config": bare["config"], "secrets": {"api_key": "k"}}
    etag = (await owner.put("/connections/c", json=keyed, headers={"if-match": etag})).headers["etag"]
    said = desks.problem(await owner.post("/connections/c/enable"), 409, "incomplete")
    assert [(one["pointer"], one["code"]) for one in said["errors"]] == [("/secrets/webhook_secret", "open_door")]
    keyed["secrets"] = {"webhook_secret": WHSEC}
    assert (await owner.put("/connections/c", json=keyed, headers={"if-match": etag})).status_code == 200
    assert (await owner.post("/connections/c/enable")).json()["state"] == "enabled"
    etag = (await owner.get("/connections/c")).headers["etag"]
    without = {"config": bare["config"], "secrets": {"webhook_secret": ""}}
    desks.problem(await owner.put("/connections/c", json=without, headers={"if-match": etag}), 409, "incomplete")
    assert (await owner.get("/connections/c")).json()["secrets"] == ["api_key", "webhook_secret"]
    assert (await owner.post("/connections/c/pause")).json()["state"] == "paused"
    assert (await owner.post("/connections/c/disable")).json()["state"] == "disabled"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"connector": "crmm"}, ["/connector"]),
        ({"config": {"base_ur": "x"}, "secrets": {"base_url": "y", "nope": "z"}},
         ["/config/base_ur", "/secrets/base_url", "/secrets/nope"]),
        ({"config": {"base_url": "not an address"}}, ["/config/base_url"]),
        ({"config": {"base_url": "http://127.0.0.1:9/c", "intake": "sometimes"}}, ["/config/intake"]),
        ({"config": {"api_key": "oops"}}, ["/config/api_key"]),
        ({"config": {"base_url": 5}}, ["/config/base_url"]),
        ({"key": "Not A Key"}, ["/key"]),
        ({"surprise": 1}, ["/surprise"]),
        ({"secrets": {"webhook_secret": "canary-not-in-the-pattern"}}, ["/secrets/webhook_secret"]),
    ],
)  # fmt: skip
async def test_bad_connections_name_every_field(quick: desks.Desk, body: dict[str, Any], pointers: list[str]) -> None:
    owner = await quick.as_("owner")
    answer = await owner.post("/connections", json={"key": "c", "connector": "crm", **body})
    said = desks.problem(answer, 422, "invalid")
    assert sorted(one["pointer"] for one in said["errors"]) == pointers
    assert "canary" not in answer.text


async def test_a_connection_in_use_is_not_removed(quick: desks.Desk) -> None:
    owner = await desks.configured(quick)
    etag = (await owner.get("/connections/notes")).headers["etag"]
    said = desks.problem(await owner.delete("/connections/notes", headers={"if-match": etag}), 409, "in_use")
    assert "order-out" in said["detail"]


async def test_the_connection_test_gives_the_systems_own_words(quick: desks.Desk) -> None:
    owner = await quick.as_("owner")
    async with engine.serve(["crm"]) as base:
        config = {"base_url": f"{base}/crm", "intake": "closed"}
        for key, secret in (("good", "crm-demo-key"), ("bad", "canary-wrong-key")):
            body = {"key": key, "connector": "crm", "config": config, "secrets": {"api_key": secret}}
            assert (await owner.post("/connections", json=body)).status_code == 201
        good = (await owner.post("/connections/good/test")).json()
        assert (good["ok"], good["kind"]) == (True, "ok")
        assert good["exchanges"][0]["status"] == 200
        answer = await owner.post("/connections/bad/test")
        bad = answer.json()
        assert (answer.status_code, bad["ok"], bad["kind"]) == (200, False, "credential")
        assert bad["message"]
        assert bad["hint"]["zh"]
        assert "canary" not in answer.text
    away = (await owner.post("/connections/good/test")).json()
    assert (away["ok"], away["kind"]) == (False, "unavailable")


# --- routes and mappings ------------------------------------------------------------------------


async def test_routes_are_checked_against_what_is_there(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    read = await owner.get("/routes/order-out")
    assert read.json()["after"] == 300.0
    assert read.json()["from"] == {"connection": "shop", "entity": "order"}
    desks.problem(await owner.post("/routes", json=desks.ROUTE), 409, "exists")
    wrong = {
        "key": "wrong", "from": {"connection": "shop", "entity": "shipment"}, "when": 'order.status = "paid"',
        "to": [{"connection": "nowhere", "operation": "send"}, {"connection": "notes", "operation": "sned"},
               {"connection": "notes", "operation": "send", "template": "missing", "mapping": "nothing"}],
    }  # fmt: skip
    said = desks.problem(await owner.post("/routes", json=wrong), 422, "invalid")
    assert {(one["pointer"], one["code"]) for one in said["errors"]} == {
        ("/from/entity", "never_emitted"), ("/when", "condition"), ("/to/0/connection", "unknown_connection"),
        ("/to/1/operation", "unknown_operation"), ("/to/2/template", "unknown_template"),
        ("/to/2/mapping", "no_mapping"),
    }  # fmt: skip
    changed = {**desks.ROUTE, "when": None}
    desks.problem(await owner.put("/routes/order-out", json=changed), 428, "precondition_required")
    done = await owner.put("/routes/order-out", json=changed, headers={"if-match": read.headers["etag"]})
    assert done.json()["when"] is None
    other = await owner.put("/routes/other", json=changed, headers={"if-match": "*"})
    desks.problem(other, 422, "invalid")
    assert (await owner.post("/routes/order-out/disable")).json()["enabled"] is False
    assert desk.site is not None
    assert not desk.site.candidates("shop", "order")
    assert (await owner.post("/routes/order-out/enable")).json()["enabled"] is True
    assert desk.site.candidates("shop", "order")
    etag = (await owner.get("/routes/order-out")).headers["etag"]
    assert (await owner.delete("/routes/order-out", headers={"if-match": etag})).status_code == 204
    desks.problem(await owner.get("/routes/order-out"), 404, "not_found")


async def test_a_route_to_a_paused_connection_is_doubtful(quick: desks.Desk) -> None:
    owner = await desks.configured(quick)
    await owner.post("/connections/notes/pause")
    (warning,) = (await owner.get("/routes/order-out")).json()["warnings"]
    assert (warning["pointer"], warning["code"]) == ("/to/0/connection", "not_enabled")


MINE = """\
apiVersion: shuniu/mapping/v1
connector: http
entity: order
rules:
  - {native: no, canonical: id}
  - {native: state, canonical: status}
  - {native: sum, canonical: total, codec: money, unit: yuan, as: string, places: 2}
tests:
  - {name: one, way: from, in: {no: "1", state: paid, sum: "1.00"}, out: {id: "1", status: paid, total: "1.00"}}
"""


async def test_mappings_are_published_after_lint_and_tests(desk: desks.Desk) -> None:
    owner = await desk.as_("owner")
    shipped = await owner.get("/mappings/http/order")
    assert shipped.json()["version"] == 0
    desks.problem(await owner.put("/mappings/http/order", json={"body": MINE}), 428, "precondition_required")
    etag = {"if-match": shipped.headers["etag"]}
    bad = desks.problem(
        await owner.put("/mappings/http/order", json={"body": "rules: ["}, headers=etag), 422, "invalid"
    )
    assert bad["errors"][0]["pointer"] == "/body"
    failing = MINE.replace('total: "1.00"}}', 'total: "2.00"}}')
    said = desks.problem(await owner.put("/mappings/http/order", json={"body": failing}, headers=etag), 422, "invalid")
    assert (said["errors"][0]["code"], "one" in said["errors"][0]["detail"]) == ("test", True)
    strange = MINE.replace("connector: http", "connector: crm")
    said = desks.problem(await owner.put("/mappings/http/order", json={"body": strange}, headers=etag), 422, "invalid")
    assert said["errors"][0]["code"] == "connector"
    done = await owner.put("/mappings/http/order", json={"body": MINE}, headers=etag)
    assert (done.status_code, done.json()["version"], done.json()["shipped"]) == (200, 1, True)
    assert desk.site is not None
    meaning = desk.site.meaning("http", "order")
    assert meaning is not None
    assert meaning.name == "http/order@1"
    etag = {"if-match": done.headers["etag"]}
    assert (await owner.delete("/mappings/http/order", headers=etag)).status_code == 204
    assert (await owner.get("/mappings/http/order")).json()["version"] == 0
    desks.problem(await owner.delete("/mappings/http/order", headers=etag), 404, "not_found")
    assert (await owner.put("/mappings/http/mine", json={"body": MINE})).json()["shipped"] is False
    listed = (await owner.get("/mappings", params={"connector": "http", "limit": 200})).json()["items"]
    assert "mine" in {one["name"] for one in listed}


async def test_preview_maps_and_stores_nothing(quick: desks.Desk) -> None:
    owner = await quick.as_("owner")
    trial = {"connector": "http", "name": "order", "body": MINE, "way": "from"}
    record = {"no": 90071992547409931234, "state": "paid", "sum": "188.10"}
    done = (await owner.post("/mappings/preview", json={**trial, "record": record})).json()
    assert done["ok"]
    assert done["result"] == {"id": "90071992547409931234", "status": "paid", "total": "188.10"}
    broken = (await owner.post("/mappings/preview", json={**trial, "record": {**record, "sum": "a lot"}})).json()
    assert not broken["ok"]
    (why,) = broken["errors"]
    assert (why["rule"], why["native"], why["canonical"]) == ("3", "sum", "total")
    assert why["zh"]
    unreadable = {**trial, "body": "rules: [", "record": {}}
    assert not (await owner.post("/mappings/preview", json=unreadable)).json()["ok"]
    own = {"connector": "crm", "name": "customer", "way": "from", "record": {"id": "C1", "name": "王"}}
    assert (await owner.post("/mappings/preview", json=own)).json()["result"]["name"] == "王"
    missing = {**own, "name": "nothing"}
    desks.problem(await owner.post("/mappings/preview", json=missing), 404, "not_found")
    assert all(one["version"] == 0 for one in (await owner.get("/mappings", params={"limit": 200})).json()["items"])


# --- pages --------------------------------------------------------------------------------------


@given(rows=st.integers(0, 12), size=st.integers(1, 5), late=st.lists(st.integers(0, 3), max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_pages_neither_repeat_nor_lose_while_rows_come_in(
    tmp_path_factory: pytest.TempPathFactory, rows: int, size: int, late: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("pages")
    async with desks.opened(f"sqlite+aiosqlite:///{folder / 'x.sqlite3'}", folder) as desk:
        viewer = await desk.as_("viewer")
        first = await desk.receive(*(desks.event("shop", "{}", f"d{i}") for i in range(rows)))
        seen: list[int] = []
        cursor, turn = None, 0
        while True:
            params = {"limit": size, **({"cursor": cursor} if cursor else {})}
            answer = (await viewer.get("/events", params=params)).json()
            seen += [int(one["id"]) for one in answer["items"]]
            fresh = late[turn] if turn < len(late) else 0
            await desk.receive(*(desks.event("shop", "{}", f"late{turn}-{i}") for i in range(fresh)))
            cursor, turn = answer["next_cursor"], turn + 1
            if cursor is None:
                break
        assert seen == sorted(first, reverse=True)


@pytest.mark.parametrize("cursor", ["!!!", "MTIz.", "YWJj", "-1", "x" * 300, "é"])
async def test_a_bad_cursor_is_a_problem(quick: desks.Desk, cursor: str) -> None:
    viewer = await quick.as_("viewer")
    desks.problem(await viewer.get("/events", params={"cursor": cursor}), 400, "bad_cursor")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
async def test_a_page_has_one_to_two_hundred_rows(quick: desks.Desk, limit: str) -> None:
    viewer = await quick.as_("viewer")
    said = desks.problem(await viewer.get("/events", params={"limit": limit}), 422, "invalid")
    assert said["errors"][0]["parameter"] == "limit"


@given(st.text(max_size=40))
def test_a_cursor_comes_back_as_it_was(place: str) -> None:
    assert paging.decode(paging.encode(place)) == place


async def test_every_change_is_in_the_audit_log(desk: desks.Desk) -> None:
    """S-25: every operation that changes something leaves an entry."""
    owner = await desks.configured(desk)
    etag = (await owner.get("/connections/notes")).headers["etag"]
    await owner.put("/connections/notes", json={"config": desks.NOTES["config"]}, headers={"if-match": etag})
    await owner.post("/routes/order-out/disable")
    await owner.post("/connections/notes/pause")
    await owner.put("/mappings/http/mine", json={"body": MINE})
    found = (await owner.get("/audit", params={"limit": 200})).json()["items"]
    assert [one["action"] for one in found if one["actor"] == "token:test-owner"] == [
        "mapping.publish", "connection.paused", "route.disable", "connection.update", "route.create",
        "connection.create", "connection.create",
    ]  # fmt: skip
    assert "canary" not in json.dumps(found)

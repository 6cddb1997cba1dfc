"""The noun declarations: stored, used like a shipped connector, changed with care, and drafted without a trace."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from retry_queue.ledger import configuration
from tests.unit.gateway import desk as desks

OFFICE = """\
apiVersion: shuniu/api/v1
id: office
label: {zh: 前台系统, en: Office}
auth: [{style: bearer}]
operations:
  order.get: {kind: get, entity: order, path: "/orders/${input.id}", id: id}
  order.save: {kind: write, entity: order, method: PUT, path: "/orders/${input.id}", id: id}
"""
MAPPING = """\
apiVersion: shuniu/mapping/v1
connector: office
entity: order
rules:
  - {native: id, canonical: id, way: to}
"""
CONNECTION = {"key": "front", "connector": "office", "config": {"base_url": "http://127.0.0.1:9/x"}, "enable": True,
              "secrets": {"api_key": "canary-key"}}  # fmt: skip


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(database_url, tmp_path) as made:
        yield made


async def test_a_declaration_is_a_connector_from_then_on(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    made = await editor.post("/declarations", json={"body": OFFICE})
    assert made.status_code == 201, made.text
    assert made.json()["connector"]["operations"][1]["target"]
    assert (await editor.post("/declarations", json={"body": OFFICE})).status_code == 409
    listed = await editor.get("/connectors", params={"q": "前台"})
    assert [one["id"] for one in listed.json()["items"]] == ["office"]
    form = (await editor.get("/connectors/office")).json()
    assert [one["key"] for one in form["fields"]] == ["base_url", "api_key"]
    answer = await editor.post("/connections", json={**CONNECTION, "config": {"base_ur": "x"}})
    assert answer.status_code == 422
    answer = await editor.post("/connections", json=CONNECTION)
    assert (answer.status_code, answer.json()["state"]) == (201, "enabled"), answer.text
    assert (await editor.put("/mappings/office/order", json={"body": MAPPING})).status_code == 200
    seen = await editor.get("/declarations/office")
    assert (seen.json()["connections"], seen.headers["etag"]) == (["front"], made.json()["etag"])
    assert "canary-key" not in seen.text


async def test_a_change_that_breaks_a_route_is_refused(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    etag = (await editor.post("/declarations", json={"body": OFFICE})).json()["etag"]
    await editor.post("/connections", json=CONNECTION)
    await editor.put("/mappings/office/order", json={"body": MAPPING})
    shop = {"key": "shop", "connector": "http", "config": {"verify_style": "token", "entity": "order"}}
    await editor.post("/connections", json=shop)
    route = {"key": "r", "from": {"connection": "shop", "entity": "order"},
             "to": [{"connection": "front", "operation": "order.save"}]}  # fmt: skip
    answer = await editor.post("/routes", json=route)
    assert answer.status_code == 201, answer.text
    renamed = {"body": OFFICE.replace("order.save", "order.put")}
    answer = await editor.put("/declarations/office", json=renamed, headers={"if-match": etag})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "order.put" in answer.text
    wider = {"body": OFFICE.replace("en: Office", "en: Office 2")}
    assert (await editor.put("/declarations/office", json=wider)).status_code == 428
    answer = await editor.put("/declarations/office", json=wider, headers={"if-match": etag})
    assert answer.status_code == 200, answer.text
    again = await editor.put("/declarations/office", json=wider, headers={"if-match": etag})
    assert again.status_code == 412
    gone = await editor.delete("/declarations/office", headers={"if-match": answer.json()["etag"]})
    assert (gone.status_code, gone.json()["code"]) == (409, "in_use")


@pytest.mark.parametrize(("body", "said"), [
    ("a: [", "读不懂"), (OFFICE.replace("office", "http"), "内置"), (OFFICE.replace("kind: get", "kind: gt"), "kind"),
    (OFFICE.replace("label:", "lable:"), "label"), (OFFICE.replace("style: bearer", "style: oauth2_code"), "token_url"),
])  # fmt: skip
async def test_what_is_wrong_is_told_in_both_languages(desk: desks.Desk, body: str, said: str) -> None:
    editor = await desk.as_("editor")
    answer = await editor.post("/declarations", json={"body": body})
    assert answer.status_code == 422
    assert said in json.dumps(answer.json(), ensure_ascii=False)
    async with desk.ledger.read() as connection:
        assert await configuration.declarations(connection) == {}


async def test_a_draft_stores_nothing_and_keeps_no_secret(desk: desks.Desk) -> None:
    editor = await desk.as_("editor")
    command = "curl http://127.0.0.1:9/orders/7 -H 'Authorization: Bearer canary-token'"
    answer = await editor.post("/declarations/draft", json={"format": "curl", "text": command, "id": "mine"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["secrets"] == ["api_key"]
    assert "canary-token" not in answer.text
    document: dict[str, Any] = {
        "openapi": "3.0.3", "info": {"title": "T"}, "servers": [{"url": "http://127.0.0.1:9"}],
        "paths": {"/orders": {"post": {"operationId": "add", "responses": {}}, "get": {"responses": {}}}},
    }  # fmt: skip
    given = {"format": "openapi", "text": json.dumps(document), "operations": ["add"]}
    answer = await editor.post("/declarations/draft", json=given)
    assert [(one["key"], one["taken"]) for one in answer.json()["offers"]] == [("get_orders", False), ("add", True)]
    stored = await editor.post("/declarations", json={"body": answer.json()["body"]})
    assert stored.status_code == 201, stored.text
    wrong = await editor.post("/declarations/draft", json={"format": "openapi", "text": "swagger: '2.0'"})
    assert wrong.status_code == 422
    viewer = await desk.as_("viewer")
    assert (await viewer.post("/declarations/draft", json=given)).status_code == 403
    assert (await editor.get("/declarations")).json()["items"][0]["id"] == "t"


async def test_a_large_document_of_somebody_else_can_be_taken_whole(desk: desks.Desk) -> None:
    document = json.dumps(desk.app.openapi())  # OpenAPI 3.1 as a framework writes it
    editor = await desk.as_("editor")
    answer = await editor.post("/declarations/draft", json={"format": "openapi", "text": document, "id": "twin"})
    assert answer.status_code == 200, answer.text[:500]
    assert len([one for one in answer.json()["offers"] if one["taken"]]) > 50
    made = await editor.post("/declarations", json={"body": answer.json()["body"]})
    assert made.status_code == 201, made.text[:2000]
    found = {one["name"]: one for one in made.json()["connector"]["operations"]}
    assert (found["route_list"]["kind"], found["connection_get"]["kind"]) == ("list", "get")

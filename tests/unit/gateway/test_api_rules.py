"""Rules per entity by the API: whose word counts, read and changed by people who do not write hub.yaml."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.gateway import desk as desks

PEER: dict[str, Any] = {"connector": "http", "enable": True, "secrets": {"hook_secret": "canary-secret-of-a-peer"},
                        "config": {"verify_style": "token", "entity": "customer", "base_url": "http://127.0.0.1:9/x",
                                   "record_path": "/records"}}  # fmt: skip


@pytest.fixture
async def quick(sqlite_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        yield made


async def _peers(desk: desks.Desk) -> httpx.AsyncClient:
    """Two systems that keep each other's customers up to date."""
    owner = await desk.as_("owner")
    for key in ("one", "two"):
        assert (await owner.post("/connections", json={"key": key, **PEER})).status_code == 201
    for here, there in (("one", "two"), ("two", "one")):
        body = {"key": f"{here}-{there}", "from": {"connection": here, "entity": "customer"},
                "to": [{"connection": there, "operation": "record.put"}]}  # fmt: skip
        answer = await owner.post("/routes", json=body)
        assert answer.status_code == 201, answer.text
    return owner


async def test_a_rule_says_what_it_is_about_and_what_it_leaves_unsaid(quick: desks.Desk) -> None:
    owner = await _peers(quick)
    answer = await owner.get("/entities/customer")
    found = answer.json()
    assert found["systems"] == ["one", "two"]
    assert {"name", "phone", "level"} <= set(found["fields"])
    assert "没有写明以谁为准" in found["warnings"][0]["zh"]
    every = {one["entity"]: one for one in (await owner.get("/entities")).json()["items"]}
    assert (every["order"]["systems"], every["order"]["fields"], every["order"]["warnings"]) == ([], [], [])
    rule = {"conflicts": "newest", "owners": {"level": "one"}, "fields": {"phone": "manual"}, "rank": ["two", "one"]}
    made = await owner.put("/entities/customer", json=rule, headers={"if-match": answer.headers["etag"]})
    assert made.json()["warnings"] == []
    assert made.json()["rule"] | {"match": None} == {**rule, "match": None}
    assert quick.site is not None
    assert quick.site.entities["customer"].policy("phone") == ("manual", None)
    assert (await owner.get("/audit")).json()["items"][0]["action"] == "entity.put"
    gone = await owner.put("/entities/customer", json={}, headers={"if-match": made.headers["etag"]})
    assert gone.json()["etag"] == found["etag"], "an empty rule is none"


async def test_a_rule_that_is_wrong_or_overtaken_is_refused(quick: desks.Desk) -> None:
    owner = await _peers(quick)
    etag = (await owner.get("/entities/customer")).headers["etag"]
    path, now = "/entities/customer", {"if-match": etag}
    for wrong in ({"owners": {"level": "three"}}, {"owners": {"colour": "one"}}, {"fields": {"colour": "newest"}},
                  {"rank": ["three"]}, {"conflicts": "loudest"}):  # fmt: skip
        desks.problem(await owner.put(path, json=wrong, headers=now), 422, "invalid")
    match = {"match": {"rules": [{"by": ["phone"], "confidence": 1}]}}
    order = (await owner.get("/entities/order")).headers["etag"]
    desks.problem(await owner.put("/entities/order", json=match, headers={"if-match": order}), 422, "invalid")
    desks.problem(await owner.put(path, json={}), 428, "precondition_required")
    assert (await owner.put(path, json={"conflicts": "manual"}, headers=now)).status_code == 200
    desks.problem(await owner.put(path, json={}, headers=now), 412, "stale")
    desks.problem(await owner.get("/entities/house"), 404, "not_found")
    operator = await quick.as_("operator")
    desks.problem(await operator.put(path, json={}, headers=now), 403, "forbidden")

"""Versions of mappings, and the explanation of what a mapping made of an event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mappings import explain, library
from tests.unit.gateway import desk as desks

FIRST = """apiVersion: shuniu/mapping/v1
connector: http
entity: order
rules:
  - {native: id, canonical: id, required: true}
  - {native: total, canonical: total, codec: money, unit: yuan, as: string, places: 2}
  - {native: state, canonical: status}
"""


@pytest.fixture
async def desk(sqlite_url: str, tmp_path: Path) -> AsyncIterator[desks.Desk]:
    async with desks.opened(sqlite_url, tmp_path) as made:
        yield made


async def test_versions_differ_and_go_back(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    place = "/mappings/http/order"

    async def etag() -> dict[str, str]:
        return {"if-match": (await owner.get(place)).headers["etag"]}

    for text in (FIRST, FIRST.replace("native: state", "native: phase")):
        answer = await owner.put(place, json={"body": text}, headers=await etag())
        assert answer.status_code == 200, answer.text
    listed = (await owner.get(f"{place}/versions")).json()["items"]
    assert [(row["version"], row["published"]) for row in listed] == [(2, True), (1, False), (0, False)]
    assert (await owner.get(f"{place}/versions/1")).json()["body"] == FIRST
    lines = (await owner.get(f"{place}/diff", params={"before": 1, "after": 2})).json()["lines"]
    changed = {(one["kind"], one["text"].strip()) for one in lines if one["kind"] in ("added", "removed")}
    assert changed == {
        ("removed", "- {native: state, canonical: status}"),
        ("added", "- {native: phase, canonical: status}"),
    }
    assert (await owner.post(f"{place}/rollback", json={"version": 1})).status_code == 428
    back = await owner.post(f"{place}/rollback", json={"version": 1}, headers=await etag())
    assert (back.status_code, back.json()["version"]) == (200, 3)
    assert (await owner.get(place)).json()["body"] == FIRST
    shipped = await owner.post(f"{place}/rollback", json={"version": 0}, headers=await etag())
    assert shipped.json()["version"] == 0
    assert (await owner.get(place)).json()["body"] == library.text("http", "order")
    assert (await owner.get(f"{place}/versions/9")).status_code == 404
    viewer = await desk.as_("viewer")
    assert (await viewer.post(f"{place}/rollback", json={"version": 1})).status_code == 403


async def test_an_event_is_explained_field_by_field(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    (number,) = await desk.receive(desks.event("shop", json.dumps(desks.ORDER), "d1", record="1001"))
    await desk.plan(number, desks.ORDER, desks.owed("notes", "order/1"))
    said = (await owner.get(f"/events/{number}/explain")).json()
    source = {one["target"]: one for one in said["source"]["fields"]}
    assert said["source"]["mapping"] == "http/order@shipped"
    assert (source["total"]["value"], source["total"]["result"]) == ("188.00", "188.00")
    assert source["receiver.phone"]["value"] == "138****8000", "masked"
    (target,) = said["targets"]
    assert target["connection"] == "notes"
    seen = (await owner.get(f"/events/{number}/explain", params={"reveal": True})).json()
    phones = [one["value"] for one in seen["source"]["fields"] if one["target"] == "receiver.phone"]
    assert phones == ["13800138000"]
    assert (await owner.get("/events/999999/explain")).status_code == 404


async def test_what_was_skipped_or_cannot_be_mapped_is_explained_too(desk: desks.Desk) -> None:
    owner = await desks.configured(desk)
    events = [desks.event("shop", json.dumps(desks.ORDER), "d1", record="1001"),
              desks.event("shop", json.dumps({**desks.ORDER, "total": "viel"}), "d2", record="1002")]  # fmt: skip
    skipped, broken = await desk.receive(*events)
    source = (await owner.get(f"/events/{skipped}/explain")).json()["source"]
    assert source["mapping"] == "http/order@shipped"
    assert ("188.00", "188.00") in [(one["value"], one["result"]) for one in source["fields"]]
    source = (await owner.get(f"/events/{broken}/explain")).json()["source"]
    assert (source["fields"], "total" in source["words"]["en"]) == ([], True)


def test_every_field_that_was_made_is_traced_to_its_rule() -> None:
    made = library.shipped("http", "order")
    native = {
        "id": "1",
        "status": "paid",
        "total": "5.00",
        "lines": [{"id": "L1", "sku": "A", "quantity": "2"}, {"id": "L2", "sku": "B", "quantity": "1"}],
    }
    found = explain.traces(made.spec.rules, "from", native, made.from_native(native))
    lines = {one.target_path: (one.source_path, one.source, one.result) for one in found}
    assert lines["lines[1].sku"] == ("lines[1].sku", "B", "B")
    assert all(one.rule for one in found)
    assert {one.target_path for one in found} >= {"id", "total", "lines[0].quantity"}

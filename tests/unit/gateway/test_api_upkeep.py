"""Reconciliations and backfills by the API: starting, following, what is shown to whom, exporting, mending."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest

from gateway import sheet
from retry_queue import append, backfill, reconcile
from retry_queue.ledger import findings
from tests.ledger import pair
from tests.unit.gateway import desk as desks


@dataclass
class Office:
    """A desk, two systems, and the hands that do the work in this process."""

    desk: desks.Desk
    two: pair.Pair
    reconciler: reconcile.Reconciler
    history: backfill.Backfiller

    async def work(self) -> None:
        await self.reconciler.step()
        await self.reconciler.idle()
        await self.history.step()
        await self.history.idle()

    async def compared(self, client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
        answer = await client.post(
            "/reconciliations", json={"left": "left", "right": "right", "entity": "customer", "grace": 0, **body}
        )
        assert answer.status_code == 201, answer.text
        assert answer.json()["state"] == "waiting"
        await self.work()
        made: dict[str, Any] = (await client.get(f"/reconciliations/{answer.json()['id']}")).json()
        return made


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with desks.opened(database_url, tmp_path) as desk, pair.systems() as two:
        await pair.connect(desk.ledger, two.urls, sealer=desk.hub.sealer)
        await desk.reload()
        two.fill(30)
        appender = append.Appender(desk.ledger, lambda: None)
        parts = (desk.ledger, desk.hub.site, desk.hub.calls)
        yield Office(
            desk,
            two,
            reconcile.Reconciler(*parts, desk.hub.sealer, appender),
            backfill.Backfiller(*parts, appender),
        )
        await appender.close()


async def test_a_comparison_is_started_followed_and_told(office: Office) -> None:
    office.two.spoil({1}, {2}, {3})
    operator = await office.desk.as_("operator")
    made = await office.compared(operator, hours=2)
    assert (made["state"], made["progress"], made["requested_by"]) == ("done", 1.0, "token:test-operator")
    assert made["found"] == {kind: {"open": 1} for kind in findings.KINDS}
    assert made["counts"]["matched"] == 27
    path = f"/reconciliations/{made['id']}"
    viewer = await office.desk.as_("viewer")
    listed = (await viewer.get("/reconciliations", params={"state": "done"})).json()["items"]
    assert [one["id"] for one in listed] == [made["id"]]
    first = (await viewer.get(f"{path}/findings", params={"limit": 2})).json()
    rest = (await viewer.get(f"{path}/findings", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
    assert {one["kind"] for one in [*first["items"], *rest["items"]]} == set(findings.KINDS)
    assert (await viewer.get(f"{path}/findings", params={"kind": "extra"})).json()["items"][0]["left_record"] is None
    assert (await operator.get("/audit")).status_code == 403
    desks.problem(await operator.post(f"{path}/cancel"), 409, "conflict")


async def test_findings_are_masked_until_an_operator_asks(office: Office) -> None:
    two = office.two
    two.right.records.customers["R000003"].update(mobile="13912345678", email="other@example.com")
    await two_linked(office, 30)
    operator, viewer = await office.desk.as_("operator"), await office.desk.as_("viewer")
    made = await office.compared(operator, hours=2)
    path = f"/reconciliations/{made['id']}"
    masked = (await viewer.get(f"{path}/findings")).text
    assert "13912345678" not in masked
    assert "139****5678" in masked
    assert "13912345678" not in (await viewer.get(f"{path}/export")).text
    desks.problem(await viewer.get(f"{path}/findings", params={"reveal": True}), 403, "forbidden")
    desks.problem(await viewer.get(f"{path}/export", params={"reveal": True}), 403, "forbidden")
    assert "13912345678" in (await operator.get(f"{path}/findings", params={"reveal": True})).text
    owner = await office.desk.as_("owner")
    seen = [one for one in (await owner.get("/audit")).json()["items"] if one["action"] == "personal_data.reveal"]
    assert [one["object"] for one in seen] == [f"reconciliation/{made['id']}"]


async def two_linked(office: Office, count: int) -> None:
    office.two.worker = _Ledger(office.desk)  # type: ignore[assignment]
    await office.two.link(count)


@dataclass
class _Ledger:
    desk: desks.Desk

    @property
    def ledger(self) -> Any:
        return self.desk.ledger


async def test_no_cell_of_an_export_is_a_formula(office: Office) -> None:
    evil = ['=HYPERLINK("http://x","y")', "+1+1", "-2", "@SUM(A1)", "\t=1", "＝1", "无害\x07"]
    for place, text in enumerate(evil):
        office.two.right.records.customers[f"R{place:06d}"]["name"] = text
    operator = await office.desk.as_("operator")
    made = await office.compared(operator, hours=2)
    path = f"/reconciliations/{made['id']}/export"
    answer = await operator.get(path, params={"format": "csv"})
    assert answer.headers["content-type"] == sheet.CSV
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 1 + len(evil)
    assert rows[1][1] == "字段不一致 different"
    cells = [cell for row in rows[1:] for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "＝"))]
    assert "'+1+1" in cells
    assert not [cell for cell in cells if "\x07" in cell]
    answer = await operator.get(path, params={"format": "xlsx"})
    assert answer.headers["content-type"] == sheet.XLSX
    page = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    assert page is not None
    assert (page.max_row, page.max_column) == (1 + len(evil), 10)
    assert not [cell for row in page.iter_rows() for cell in row if cell.data_type == "f"]


async def test_one_kind_or_all_are_mended_or_left(office: Office) -> None:
    office.two.spoil({1, 4}, {2}, {3})
    operator, viewer = await office.desk.as_("operator"), await office.desk.as_("viewer")
    made = await office.compared(operator, hours=2)
    path = f"/reconciliations/{made['id']}"
    found = (await operator.get(f"{path}/findings")).json()["items"]
    desks.problem(await viewer.post(f"{path}/repair", json={}), 403, "forbidden")
    one = next(each for each in found if each["kind"] == "missing")
    assert (await operator.post(f"{path}/repair", json={"ids": [one["id"]]})).json() == {"touched": 1}
    assert (await operator.post(f"{path}/repair", json={"ids": [one["id"]]})).json() == {"touched": 0}
    assert (await operator.post(f"{path}/ignore", json={"kind": "extra"})).json() == {"touched": 1}
    assert (await operator.post(f"{path}/repair", json={})).json() == {"touched": 2}
    await office.work()
    begun = (await operator.get(f"{path}/findings", params={"state": "repairing"})).json()["items"]
    assert len(begun) == 3
    events = {(await operator.get(f"/events/{each['event_id']}")).json()["connection"] for each in begun}
    assert events == {"left"}
    made = (await operator.get(path)).json()
    assert made["found"]["extra"] == {"ignored": 1}
    for wrong in ("x", "9999999"):
        desks.problem(await operator.post(f"/reconciliations/{wrong}/repair", json={}), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"left": "left"}, "missing"),
        ({"left": "left", "right": "left", "entity": "customer"}, "same_sides"),
        ({"left": "left", "right": "nobody", "entity": "customer"}, "unknown_connection"),
        ({"left": "left", "right": "right", "entity": "order"}, "no_list"),
        ({"left": "left", "right": "right", "entity": "ordr"}, "unknown_entity"),
        ({"left": "left", "right": "right", "entity": "customer", "when": "customer.level =="}, "condition"),
        ({"left": "left", "right": "right", "entity": "customer", "when": "order.id == '1'"}, "condition_name"),
        ({"left": "left", "right": "right", "entity": "customer", "fields": ["nmae"]}, "unknown_field"),
        (
            {"left": {"connection": "left", "list": "x"}, "right": "right", "entity": "customer"},
            "unknown_operation",
        ),
        (
            {"left": "left", "right": "right", "entity": "customer", "since": "2026-02-01T00:00:00Z",
             "until": "2026-01-01T00:00:00Z"},
            "window",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_compared_is_refused_with_words(office: Office, body: dict[str, Any], code: str) -> None:
    operator = await office.desk.as_("operator")
    found = desks.problem(await operator.post("/reconciliations", json=body), 422, "invalid")
    assert code in {one["code"] for one in found["errors"]}
    assert (await operator.get("/reconciliations")).json()["items"] == []


async def test_a_schedule_is_shown_and_started_by_its_key(office: Office) -> None:
    async with office.desk.ledger.write() as db:
        wanted = {"key": "nightly", "left": "left", "right": "right", "entity": "customer", "at": ["02:30"]}
        await pair.configuration.put_setting(db, reconcile.SETTING, [wanted])
    operator = await office.desk.as_("operator")
    (shown,) = (await operator.get("/reconciliations/schedules")).json()["items"]
    assert (shown["key"], shown["window"], shown["zone"]) == ("nightly", 86400.0, "Asia/Shanghai")
    assert shown["next_at"]
    made = (await operator.post("/reconciliations", json={"schedule": "nightly"})).json()
    assert made["schedule"] == "nightly"
    desks.problem(await operator.post("/reconciliations", json={"schedule": "no"}), 404, "not_found")


async def test_a_schedule_is_made_changed_and_removed_by_an_editor(office: Office) -> None:
    editor, operator = await office.desk.as_("editor"), await office.desk.as_("operator")
    path = "/reconciliations/schedules/hourly"
    body = {"key": "hourly", "left": "left", "right": "right", "entity": "customer", "every": "1h", "window": "2h"}
    desks.problem(await operator.put(path, json=body), 403, "forbidden")
    made = (await editor.put(path, json=body)).json()
    assert (made["every"], made["window"], made["enabled"]) == (3600.0, 7200.0, True)
    assert made["next_at"]
    off = {**body, "every": None, "at": ["02:30"], "ignore": ["tags"], "enabled": False}
    assert (await editor.put(path, json=off)).json()["next_at"] is None
    (shown,) = (await operator.get("/reconciliations/schedules")).json()["items"]
    assert (shown["every"], shown["at"], shown["ignore"]) == (None, ["02:30"], ["tags"])
    for wrong in ({"entity": "order"}, {"right": "left"}, {"at": ["2:30"], "every": None}, {"ignore": ["colour"]}):
        desks.problem(await editor.put(path, json={**body, **wrong}), 422, "invalid")
    desks.problem(await editor.put("/reconciliations/schedules/other", json=body), 422, "invalid")
    assert (await editor.delete(path)).status_code == 204
    desks.problem(await editor.delete(path), 404, "not_found")


# --- backfills --------------------------------------------------------------------------------------


async def test_history_is_offered_imported_paused_and_resumed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "UNPLANNED", 100)  # nobody plans here
    operator, viewer = await office.desk.as_("operator"), await office.desk.as_("viewer")
    offers = (await viewer.get("/backfills/offers")).json()["items"]
    assert [(one["connection"], one["source"], one["entity"]) for one in offers] == [
        ("left", "changes", "customer"),
        ("right", "changes", "customer"),
    ]
    since = (datetime.now(UTC) - timedelta(days=20)).isoformat()
    body = {"connection": "left", "since": since, "budget": 1000, "first": True}
    desks.problem(await viewer.post("/backfills", json=body), 403, "forbidden")
    made = (await operator.post("/backfills", json=body)).json()
    assert (made["source"], made["cause"], made["state"]) == ("changes", "first", "waiting")
    path = f"/backfills/{made['id']}"
    assert (await operator.post(f"{path}/pause")).json()["state"] == "paused"
    desks.problem(await operator.post(f"{path}/pause"), 409, "conflict")
    await office.work()
    assert (await viewer.get(path)).json()["state"] == "paused"
    assert (await operator.post(f"{path}/resume")).json()["state"] == "waiting"
    await office.work()
    done = (await viewer.get(path)).json()
    assert (done["state"], done["progress"], done["counts"]["new"]) == ("done", 1.0, 30)
    left = (await viewer.get("/backfills/offers", params={"connection": "left"})).json()["items"]
    assert left == []
    desks.problem(await operator.post(f"{path}/cancel"), 409, "conflict")
    assert len((await viewer.get("/backfills", params={"state": "done"})).json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"connection": "nobody", "since": "2020-01-01T00:00:00Z"}, "unknown_connection"),
        ({"connection": "left", "source": "hook", "since": "2020-01-01T00:00:00Z"}, "unknown_source"),
        ({"connection": "left", "since": "2120-01-01T00:00:00Z"}, "window"),
        ({"connection": "left", "since": "2020-01-01T00:00:00Z", "budget": 0}, "greater_than"),
    ],
)
async def test_what_cannot_be_imported_is_refused_with_words(office: Office, body: dict[str, Any], code: str) -> None:
    operator = await office.desk.as_("operator")
    found = desks.problem(await operator.post("/backfills", json=body), 422, "invalid")
    assert code in {one["code"] for one in found["errors"]}

"""reconcile and backfill on the command line, with no hub running: this process does the work itself."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from gateway import cli
from gateway.commands import shell
from tests.ledger import pair

Run = Callable[..., Result]
HUB = """\
apiVersion: shuniu/v1
connections:
  - {key: left, connector: crm, config: {base_url: "LEFT", intake: poll}, secrets: {api_key: crm-demo-key}}
  - {key: right, connector: crm, config: {base_url: "RIGHT", intake: closed}, secrets: {api_key: crm-demo-key}}
routes:
  - {key: r, from: {connection: left, entity: customer}, to: [{connection: right, operation: customer.save}]}
reconciliations:
  - {key: nightly, left: left, right: right, entity: customer, at: "02:30", window: 2d, ignore: [tags], grace: 0}
"""


@pytest.fixture
def two() -> Iterator[pair.Pair]:
    """Both systems, on a loop of their own."""
    made: list[pair.Pair] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with pair.systems() as found:
            found.fill(40)
            made.append(found)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(20)
    yield made[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two: pair.Pair) -> Run:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    text = HUB.replace("LEFT", two.urls["left"]).replace("RIGHT", two.urls["right"])
    (tmp_path / "hub.yaml").write_text(text)

    def invoke(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli.build(words[0]), list(words))
        assert result.exit_code == code, (result.output, result.exception)
        return result

    invoke("apply")
    return invoke


def data(result: Result) -> Any:
    return json.loads(result.stdout)


PAIR = ("--left", "left", "--right", "right", "--entity", "customer")


def test_what_differs_ends_with_one(run: Run, two: pair.Pair, tmp_path: Path) -> None:
    assert "both sides agree" in run("reconcile", *PAIR).output
    two.spoil({1}, {2}, {3, 4, 5, 6})
    found = data(run("reconcile", *PAIR, "--hours", "3", "--json", code=1))
    assert (found["state"], found["differences"]) == ("done", 6)
    assert found["found"] == {"missing": {"open": 1}, "extra": {"open": 1}, "different": {"open": 4}}
    run("reconcile", "--run", found["id"], "--export", "out.csv", code=1)
    assert len((tmp_path / "out.csv").read_text("utf-8-sig").splitlines()) == 7
    told = run("reconcile", "--run", found["id"], "--export", "out.xlsx", code=1).output
    assert "字段不一致 different: open=4" in told
    assert "--repair" in told
    page = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert page is not None
    assert page.max_row == 7
    run("reconcile", "--run", found["id"], "--export", "out.pdf", code=2)
    run("reconcile", "--run", "999", code=2)


def test_on_a_terminal_a_bar_shows_how_far_it_is(run: Run, two: pair.Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(shell, "err", Console(file=screen, force_terminal=True, width=200))
    assert "对账 reconciling" not in run("reconcile", *PAIR).output, "results go to stdout, the bar does not"
    assert "对账 reconciling #1" in screen.getvalue()
    assert "━" in screen.getvalue()
    assert "%" in screen.getvalue()


def test_a_repair_is_begun_and_left_to_the_hub(run: Run, two: pair.Pair) -> None:
    two.spoil({1}, {2}, set())
    found = data(run("reconcile", *PAIR, "--repair", "--json", code=1))
    assert found["found"] == {"missing": {"repairing": 1}, "extra": {"failed": 1}}
    balance = data(run("ledger", "--json"))
    assert (balance["received"], balance["in_flight"], balance["difference"]) == (1, 1, 0)


def test_a_schedule_is_made_now(run: Run, two: pair.Pair) -> None:
    two.spoil(set(), set(), {1, 2, 3, 4})  # one of them in its tags only
    found = data(run("reconcile", "--schedule", "nightly", "--json", code=1))
    assert found["differences"] == 3
    began, ended = (datetime.fromisoformat(found[name]) for name in ("window_start", "window_end"))
    assert ended - began == timedelta(days=2)


def test_what_is_not_there_is_told(run: Run) -> None:
    assert "did you mean left?" in run("reconcile", "--left", "lft", "--right", "right", "--entity", "customer",
                                       code=2).output  # fmt: skip
    assert "nightly2" in run("reconcile", "--schedule", "nightly2", code=2).output
    run("reconcile", "--left", "left", code=2)
    run("reconcile", *PAIR, "--since", "yesterday", code=2)


def test_a_system_that_refuses_ends_with_one(run: Run, two: pair.Pair) -> None:
    two.right.settings["api_key"] = "another"
    found = data(run("reconcile", *PAIR, "--json", code=1))
    assert found["state"] == "failed"
    assert "API" in found["words"]["zh"]


def test_history_is_imported_and_listed(run: Run, two: pair.Pair) -> None:
    two.fill(25, ago=10 * 86400)
    since = (datetime.now(UTC) - timedelta(days=15)).isoformat()
    done = data(run("backfill", "--connection", "left", "--since", since, "--rate", "500", "--json"))
    assert (done["state"], done["counts"]["new"], done["source"]) == ("done", 25, "changes")
    assert "25" in run("backfill", "--list").output
    waiting = data(run("backfill", "--connection", "left", "--since", since, "--no-wait", "--json"))
    assert waiting["state"] == "waiting"
    assert "paused" in run("backfill", "--pause", waiting["id"]).output
    run("backfill", "--pause", waiting["id"], code=1)
    assert "cancelled" in run("backfill", "--cancel", waiting["id"]).output
    run("backfill", code=2)
    run("backfill", "--connection", "nobody", "--since", since, code=2)
    run("backfill", "--cancel", "999", code=2)


def test_the_file_is_checked_to_the_line(run: Run, tmp_path: Path) -> None:
    text = (tmp_path / "hub.yaml").read_text()
    broken = text.replace("entity: customer, at:", "entity: shipment, fields: [nmae], at:")
    (tmp_path / "broken.yaml").write_text(broken)
    found = data(run("apply", "-f", "broken.yaml", "--json", code=1))["problems"]
    assert {(one["line"], one["code"]) for one in found} == {(8, "no_list"), (8, "no_mapping"), (8, "unknown_field")}
    (tmp_path / "twice.yaml").write_text(text.replace('at: "02:30"', 'at: "02:30", every: 1h'))
    (one,) = data(run("diff", "-f", "twice.yaml", "--json", code=1))["problems"]
    assert one["line"] == 8
    assert data(run("apply", "--json"))["changes"] == []
    run("export", "-o", "out.yaml")
    exported = (tmp_path / "out.yaml").read_text()
    assert "nightly" in exported
    (tmp_path / "less.yaml").write_text(text.split("reconciliations:", maxsplit=1)[0])
    gone = data(run("apply", "-f", "less.yaml", "--prune", "--json"))["changes"]
    assert [(one["kind"], one["key"], one["action"]) for one in gone] == [("reconciliation", "nightly", "remove")]


def test_the_doctor_looks_at_stored_schedules(run: Run, tmp_path: Path) -> None:
    assert "nightly" not in run("check").output
    with contextlib.closing(sqlite3.connect(next((tmp_path / "data").glob("*.sqlite3")))) as ledger, ledger:
        ledger.execute(
            'UPDATE settings SET value = replace(value, \'"connection": "right"\', \'"connection": "rigth"\')'
            " WHERE key = 'reconciliations'"
        )
    told = run("check", code=1).output
    assert "reconciliation nightly" in told
    assert "did you mean right?" in told

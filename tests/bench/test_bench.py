"""A very small bench: every figure is there, nothing is lost, doubled or turned round. Speed is not judged here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from gateway.bench import burst, chart, flow, goals, page, run

SMALL = run.Size("small", flow.Size(120, 1, 0.4), burst.Size(60, 1.0, 0.4), 120, (1, 2), 150, 2000, 10, 50, 0.1)
BEFORE = {"machine.cores": 4, "ingress.ratio": 0.8, "end_to_end.cpu_ratio": 2.0, "kill.first_s": 1.0, "duplicates": 0}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """One run of everything."""
    return asyncio.run(run.bench(SMALL, Console(quiet=True)))


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_every_goal_has_its_figure_and_its_peer(found: dict[str, Any]) -> None:
    assert [goal.key for goal, _ in goals.judged(found)] == [goal.key for goal in goals.GOALS]
    for goal in goals.GOALS:
        for key in filter(None, (goal.own, goal.peer)):
            assert found[key] >= 0, key
    assert found["end_to_end.ratio"] > 0
    assert found["machine.date"]


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_turned_round(found: dict[str, Any]) -> None:
    assert found["duplicates"] == 0
    for part in ("ledger", "burst", "embedded.ledger"):
        assert found[f"{part}.difference"] == 0
        assert found[f"{part}.in_flight"] == 0
    for key in ("kill.difference", "kill.lost", "burst.disordered", "burst.not_newest", "burst.refused"):
        assert found[key] == 0, key
    assert found["ingress.aes_refused"] == found["end_to_end.refused"] == 0
    assert found["search.p95_ms"] > 0


def test_a_result_becomes_a_page_and_a_chart(tmp_path: Path) -> None:
    told = {**BEFORE, "machine.python": "3.11.2", "machine.date": "2026-11-22T00:00:00+00:00", "size": "full"}
    (tmp_path / page.PAGE).write_text(f"kept above\n{page.BEGIN}\nold\n{page.END}\nkept below\n")
    page.write(tmp_path, told)
    text = (tmp_path / page.PAGE).read_text()
    assert text.startswith("kept above")
    assert text.endswith("kept below\n")
    assert "old" not in text
    assert "durable ingress / ceiling F | 0.80 |" in text
    assert page.read(tmp_path / page.RESULT) == told
    drawn = ElementTree.fromstring((tmp_path / page.CHART).read_text())
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 1 + len(goals.judged(told))


def test_a_bar_ends_at_the_line_when_a_figure_is_just_good_enough() -> None:
    for goal in goals.GOALS:
        if goal.least:
            assert chart.reach(goal, goal.least) == pytest.approx(1.0)
            better = goal.least * 1.2 if goal.more else goal.least / 1.2
            assert chart.reach(goal, better) == pytest.approx(1.2)


def test_what_fell_behind_an_earlier_result_is_named() -> None:
    slower = {**BEFORE, "ingress.ratio": 0.5, "end_to_end.cpu_ratio": 2.1, "kill.first_s": 9.0}
    assert [goal.key for goal, _, _ in goals.fallen(slower, BEFORE, 0.25)] == ["ingress.ratio"], "seconds tell nothing"
    assert [goal.key for goal, _, _ in goals.fallen({**BEFORE, "duplicates": 1}, BEFORE, 0.25)] == ["duplicates"]
    assert not goals.fallen(BEFORE, BEFORE, 0.0)


def test_comparing_ends_with_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({**BEFORE, "mapping.ratio": 0.01}))

    def again() -> int:
        return run.run(quick=True, parts=("pieces",), as_json=True, compare=earlier)

    assert again() == 1  # nothing maps in a hundredth of the time
    assert json.loads(capsys.readouterr().out)["mapping.ratio"] > 0.5
    earlier.write_text(json.dumps({**BEFORE, "mapping.ratio": 100.0}))
    assert again() == 0

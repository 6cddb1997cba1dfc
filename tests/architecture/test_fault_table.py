"""The table of ``./shuniu faults``: each trial has one row, and what failed once does not stay failed for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import faults

REPORT = """<testsuites><testsuite>
<testcase classname="tests.faults.test_workers" name="test_workers_sleep" time="82.4">{properties}{failure}</testcase>
</testsuite></testsuites>"""
TOLD = """<properties><property name="trial" value="{name}"/><property name="size" value="120 s"/></properties>"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "page.md"
    made.write_text(f"# Results\n{faults.BEGIN}\n{faults.END}\nThe end.\n")
    monkeypatch.setattr(faults, "PAGE", made)
    return made


def ran(folder: Path, *, trial: str = "", failed: bool = False) -> list[dict[str, str]]:
    report = folder / "report.xml"
    told = TOLD.format(name=trial) if trial else ""
    report.write_text(REPORT.format(properties=told, failure="<failure/>" if failed else ""))
    return faults.rows(report, "today")


def results(page: Path) -> dict[str, str]:
    lines = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| ")]
    return {cells[1].strip(): cells[3].strip() for cells in lines[1:]}


def test_a_trial_that_holds_again_takes_the_row_of_its_failure(tmp_path: Path, page: Path) -> None:
    """The test had failed before it told of any trial; its row stayed beside the one of the trial that held."""
    faults.write(ran(tmp_path, failed=True))
    assert results(page) == {"test_workers.test_workers_sleep": "**FAILED**"}
    faults.write(ran(tmp_path, trial="SIGSTOP of a worker"))
    assert results(page) == {"SIGSTOP of a worker": "held"}
    faults.write(ran(tmp_path, trial="SIGSTOP of a worker", failed=True))
    assert results(page) == {"SIGSTOP of a worker": "**FAILED**"}
    assert page.read_text().endswith("The end.\n")

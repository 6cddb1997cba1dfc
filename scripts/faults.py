"""``./shuniu faults``: every fault test at full size, one after the other, and the table of what came of it.

    ./shuniu faults                     all of it; writes the table into docs/reliability.md
    ./shuniu faults --only two_way      tests whose name contains this; the table is only printed
    ./shuniu faults --seed 17           repeats a run

The exit code is pytest's. A trial says what it did with the ``trial`` fixture of tests/faults/conftest.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree  # the file is pytest's own, written a moment ago

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
COLUMNS = ("trial", "size", "result", "figures", "seed", "seconds")


def rows(report: Path) -> list[dict[str, str]]:
    """One row per trial of a JUnit report; a test without a trial of its own is named by its function.

    A test that told of several trials and failed has failed in the one after the last it told of.
    """
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314
        state = "held"
        for kind in ("failure", "error", "skipped"):
            if case.find(kind) is not None:
                state = {"failure": "**FAILED**", "error": "**FAILED**", "skipped": "not run"}[kind]
        own = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        told: dict[str, dict[str, str]] = {}
        current: dict[str, str] = {}
        for one in case.iter("property"):
            name, value = one.get("name", ""), one.get("value", "")
            if name == "trial":
                current = told.setdefault(value, {})
            current[name] = value
        seconds = f"{float(case.get('time', '0')):.0f}"
        empty = {"seed": "", "size": "", "figures": "", "seconds": seconds, "result": state}
        made = [{**empty, **figures, "trial": name} for name, figures in told.items()]
        if not made or (state != "held" and len(made) > 1):
            for row in made:
                row["result"] = "held"
            made.append({**empty, "trial": own})
        found += made
    return found


def table(found: list[dict[str, str]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(one[name].replace("|", "\\|") for name in COLUMNS) + " |" for one in found]
    return "\n".join(lines)


def write(text: str) -> None:
    """Puts the results between the two marks of the page; the rest of the page stays."""
    page = PAGE.read_text(encoding="utf-8")
    whole = f"{BEGIN}\n{text}\n{END}"
    PAGE.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: whole, page, flags=re.DOTALL), encoding="utf-8")


def main(argv: list[str]) -> int:
    """Runs pytest over tests/faults; returns its exit code."""
    parser = argparse.ArgumentParser(prog="./shuniu faults", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", metavar="NAME", help="只运行名称含此字样的试验 / only tests whose name contains this"
    )
    parser.add_argument("--seed", default="", help="重复某次运行 / repeat a run")
    parser.add_argument(
        "--small", action="store_true", help="小规模（与 ./shuniu test 相同） / at the size of ./shuniu test"
    )
    given = parser.parse_args(argv)
    environment = {**os.environ, "FAULTS": "small" if given.small else "full", "CI": "true"}
    if given.seed:
        environment["SEED"] = given.seed
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shuniu-faults-") as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "tests/faults",
            "-o",
            "junit_family=xunit1",
            f"--junitxml={report}",
        ]
        if given.only:
            command += ["-k", given.only]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        found = rows(report) if report.exists() else []
    told = table(found)
    print(told)
    if not given.only and not given.small and found:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
        minutes = (time.monotonic() - begun) / 60
        write(f"{time.strftime('%Y-%m-%d')}, {machine}, {minutes:.0f} minutes.\n\n{told}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

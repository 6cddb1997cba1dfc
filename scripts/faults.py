"""``./shuniu faults``: every fault test at full size, and the table of what came of it.

    ./shuniu faults                     all of it; what came of it goes into the table of docs/reliability.md
    ./shuniu faults --only two_way      tests whose name contains this; their rows of the table are made anew
    ./shuniu faults --small             at the size of ./shuniu test; only printed
    ./shuniu faults --seed 17           repeats a run

Those that compare speeds run alone, then all others ``BESIDE`` at a time: most of their time they wait. The exit code
is pytest's. A trial says what it did with the ``trial`` fixture of tests/faults/conftest.py.
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
BESIDE = 3
LONGEST = ("test_soak.py", "test_redis.py", "test_kills.py", "test_bulkheads.py")
"""They begin first, so that none of them is left over at the end."""
NO_TESTS = 5
COLUMNS = ("trial", "size", "result", "figures", "seed", "seconds", "run")


def rows(report: Path, when: str) -> list[dict[str, str]]:
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
        empty = {"seed": "", "size": "", "figures": "", "seconds": seconds, "result": state, "run": when}
        param = re.search(r"\[(.*)\]$", str(case.get("name")))
        made = [{**empty, **one, "trial": f"{name} ({param[1]})" if param else name} for name, one in told.items()]
        if not made or (state != "held" and len(made) > 1):
            for row in made:
                row["result"] = "held"
            made.append({**empty, "trial": own})
        found += [{**row, "test": own} for row in made]
    return found


def table(found: list[dict[str, str]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(one[name].replace("|", "\\|") for name in COLUMNS) + " |" for one in found]
    return "\n".join(lines)


def write(found: list[dict[str, str]]) -> None:
    """Puts the rows into the page's table, in the place of those of the same trials; the rest of the page stays."""
    page = PAGE.read_text(encoding="utf-8")
    before = page[page.index(BEGIN) + len(BEGIN) : page.index(END)]
    kept: dict[str, dict[str, str]] = {}
    for line in before.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if len(cells) == len(COLUMNS) and cells[0] != COLUMNS[0] and set(cells[0]) != {"-"}:
            kept[cells[0]] = dict(zip(COLUMNS, cells, strict=True))
    named = {one["test"] for one in found}  # a row of the function's own name, from when it failed
    kept = {name: row for name, row in kept.items() if name not in named} | {one["trial"]: one for one in found}
    whole = f"{BEGIN}\n{table(list(kept.values()))}\n{END}"
    PAGE.write_text(page.replace(f"{BEGIN}{before}{END}", whole), encoding="utf-8")


def _files() -> list[str]:
    """The files of the trials, those that take longest first."""
    every = sorted(path.name for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    return [f"tests/faults/{name}" for name in sorted(every, key=lambda name: name not in LONGEST)]


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
    machine = f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory(prefix="shuniu-faults-") as folder:
        found, codes = [], set()
        for mark, workers in (("alone", 0), ("not alone", BESIDE)):
            report = Path(folder) / f"{workers}.xml"
            command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "-m", mark, *_files()]
            command += ["-o", "junit_family=xunit1", f"--junitxml={report}"]
            if given.only:
                command += ["-k", given.only]
            codes.add(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
            found += rows(report, machine) if report.exists() else []
    code = max(codes - {NO_TESTS}, default=NO_TESTS)
    print(table(found))
    if not given.small:
        write(found)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``./shuniu lint``: every check of the source, side by side, each with its time; the output of what fails.

``--fix`` lets ruff mend first; ``--only NAME`` (repeatable) runs some of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
BIN = Path(PYTHON).parent
SOURCES = ["."]
SHOWN = 60
"""Lines of one failing step's output before the rest is left to a run of its own."""


@dataclass(frozen=True)
class Step:
    """One check: its name on the screen and the command that exits 0 when all is well."""

    name: str
    command: list[str]


@dataclass(frozen=True)
class Result:
    """How a step went; ``seconds`` of wall time."""

    step: Step
    code: int
    output: str
    seconds: float


def steps() -> list[Step]:
    """The checks, the slow ones first so that they start first."""
    known = [
        Step("types", [PYTHON, "-m", "mypy"]),
        Step("imports", [str(BIN / "lint-imports"), "--no-logo"]),
        Step("dependencies", [str(BIN / "deptry"), ".", "--no-ansi"]),
        Step("lint", [str(BIN / "ruff"), "check", "--quiet", "--output-format=concise", *SOURCES]),
        Step("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "--output-format=concise", *SOURCES]),
        Step("client", [PYTHON, "-m", "scripts.openapi", "--check", "admin_ui/src/api/schema.gen.ts"]),
        Step("house", [PYTHON, str(ROOT / "scripts" / "house.py")]),
    ]
    if importlib.util.find_spec("gateway.cli") is not None:
        known.insert(1, Step("check", [PYTHON, "-m", "gateway.cli", "check"]))
    return known


def run(step: Step) -> Result:
    """Run one step from the root of the tree; a step that hangs fails after five minutes."""
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "160"}
    try:
        ran = subprocess.run(
            step.command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        code, output = ran.returncode, ran.stdout + ran.stderr
    except subprocess.TimeoutExpired:
        code, output = 124, "did not end within 300 s"
    except OSError as error:
        code, output = 127, str(error)
    return Result(step, code, output.strip(), time.monotonic() - began)


def _shortened(result: Result) -> str:
    lines = [f"    {line}" for line in result.output.splitlines()]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"    … {len(lines) - SHOWN} more lines: {' '.join(result.step.command)}"]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Exit code 1 when any step fails."""
    names = [step.name for step in steps()]
    parser = argparse.ArgumentParser(prog="./shuniu lint", description="Check the source.")
    parser.add_argument("--fix", action="store_true", help="let ruff format and mend first")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"only this: {', '.join(names)}")
    options = parser.parse_args(arguments)
    if options.fix:
        subprocess.run([BIN / "ruff", "format", "--quiet", *SOURCES], cwd=ROOT, check=False)
        subprocess.run([BIN / "ruff", "check", "--fix", "--quiet", *SOURCES], cwd=ROOT, check=False)
    began = time.monotonic()
    chosen = [step for step in steps() if not options.only or step.name in options.only]
    failed = []
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        for result in pool.map(run, chosen):
            print(f"{'ok  ' if result.code == 0 else 'FAIL'} {result.step.name:<14}{result.seconds:6.1f} s", flush=True)
            if result.code:
                failed.append(result.step.name)
                print(_shortened(result), flush=True)
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed in {time.monotonic() - began:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

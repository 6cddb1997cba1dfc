"""A connector is two new folders: put into a copy of the tree it has form, API, docs, label, simulator and conformance.

The newcomer is made of one that is there, under a name nobody has; not a byte of any other file changes. Beside it goes
the connector that docs/first-connector.md builds, file by file as the document has them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.core import registry

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(400)
PARTS = ("gateway", "webhooks", "retry_queue", "connectors", "mappings", "tests", "scripts")
MODEL, NEW, TOLD = "crm", "newcomer", "teahouse"
DOCUMENT = ROOT / "docs" / "first-connector.md"
FILE = re.compile(r"^`((?:connectors|mappings)/[\w./]+)`\n(`{3,})\w+\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
"""A file of the document: its path on a line of its own, its text fenced below."""
RENAMED = re.compile(
    rf"(?<=connectors\.){MODEL}\b|(?<=^id: ){MODEL}$|(?<=^connector: ){MODEL}$|(?<=id = \"){MODEL}(?=\")"
    rf"|(?<=\$\{{url\}}/){MODEL}\b|(?<=/_sim/){MODEL}\b",
    re.MULTILINE,
)


def _renamed(text: str) -> str:
    return RENAMED.sub(NEW, text)


def _digests(home: Path) -> dict[str, str]:
    files = (path for part in PARTS for path in (home / part).rglob("*") if path.is_file())
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A copy of the tree with the newcomer in it, and nothing else touched."""
    with tempfile.TemporaryDirectory(prefix="newcomer-", dir="/tmp") as name:
        copy = Path(name)
        for part in PARTS:
            ignored = shutil.ignore_patterns("__pycache__", "static", "browser", "helm")
            shutil.copytree(ROOT / part, copy / part, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        before = _digests(copy)
        for room in ("connectors", "mappings"):
            for path in sorted((copy / room / MODEL).rglob("*")):
                if path.is_file():
                    made = copy / room / NEW / path.relative_to(copy / room / MODEL)
                    made.parent.mkdir(parents=True, exist_ok=True)
                    made.write_text(_renamed(path.read_text(encoding="utf-8")), encoding="utf-8")
        for path, _, text in FILE.findall(DOCUMENT.read_text(encoding="utf-8")):
            made = copy / path
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(text, encoding="utf-8")
        after = _digests(copy)
        assert {key: after[key] for key in before} == before
        assert {key.split("/")[1] for key in after.keys() - before.keys()} == {NEW, TOLD}
        yield copy


def _run(home: Path, *command: str, seconds: float = 280) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SHUNIU_", "PYTEST_", "COV"))}
    environment = {
        **kept,
        "PYTHONPATH": str(home),
        "SHUNIU_DATA_DIR": str(home / "data"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_the_doctor_knows_it(home: Path) -> None:
    told = json.loads(_run(home, "-m", "gateway.cli", "check", "--json", "--unconfirmed").stdout)
    assert told["ok"], [line for line in told["lines"] if line["level"] == "error"]
    assert told["grades"][NEW] == told["grades"][MODEL]
    assert told["grades"][TOLD] == "gold"
    every = {id: registry.get(id).unconfirmed for id in registry.all_ids()}
    facts = {id: those for id, those in told["unconfirmed"].items() if id != NEW}
    assert facts == {id: those for id, those in every.items() if those}, "every unconfirmed fact, and nothing else"


def test_a_hub_has_form_docs_test_label_simulator_and_recipes_for_it(home: Path) -> None:
    run = _run(home, "-m", "tests.architecture.newcomer", NEW)
    assert run.returncode == 0, run.stderr[-3000:]
    told: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert Path(told.pop("home")) == home, "the copy must be what runs"
    assert {"base_url", "api_key", "webhook_secret"} <= set(told.pop("fields"))
    assert {"hook", "customers"} & set(told.pop("doors"))
    assert "customer.save" in told.pop("operations")
    assert told == {"listed": True, "readme": True, "tested": True, "plays": True}


def test_the_conformance_suite_finds_them(home: Path) -> None:
    every = sorted(str(one.relative_to(home)) for one in (home / "tests/conformance").glob("test_every_*.py"))
    plain = ["-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=--import-mode=importlib"]
    run = _run(home, "-m", "pytest", "-q", "-rp", *plain, "-k", f"{NEW} or {TOLD}", *every)
    assert run.returncode == 0, run.stdout[-3000:]
    passed = re.findall(r"^PASSED \S+\[(.+)\]$", run.stdout, re.MULTILINE)
    for connector in (NEW, TOLD):
        assert sum(connector in one for one in passed) >= 40, (connector, run.stdout[-500:])

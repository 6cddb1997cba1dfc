"""The import contracts hold, and each of them notices a breach planted in a copy of the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("gateway", "webhooks", "retry_queue", "connectors", "mappings")
LINT = Path(sys.executable).parent / "lint-imports"


@dataclass(frozen=True)
class Breach:
    """``files`` are written into the copy; ``contract`` must then break and name ``evidence``."""

    contract: str
    evidence: str
    files: dict[str, str] = field(default_factory=dict)


def one(path: str, line: str) -> dict[str, str]:
    return {path: f'"""Planted."""\n\n{line}\n'}


def system(name: str, **modules: str) -> dict[str, str]:
    """A connector folder with these modules, each holding one line."""
    made = {f"connectors/{name}/__init__.py": ""}
    for module, line in modules.items():
        made |= one(f"connectors/{name}/{module}.py", line)
    return made


BREACHES = {
    "the queue looks up to the front door": Breach(
        "1.", "retry_queue.sync.planted", one("retry_queue/sync/planted.py", "import gateway.settings")
    ),
    "connectors meet mappings": Breach(
        "1.", "connectors.core.planted", one("connectors/core/planted.py", "from mappings import canonical")
    ),
    "mappings meet connectors": Breach(
        "1.", "mappings.planted", one("mappings/planted.py", "from connectors.core import model")
    ),
    "a circle": Breach(
        "2.",
        "planted_a",
        one("gateway/planted_a.py", "from gateway import planted_b")
        | one("gateway/planted_b.py", "from gateway import planted_a"),
    ),
    "the ledger calls a step": Breach(
        "3.", "retry_queue.ledger.planted", one("retry_queue/ledger/planted.py", "from retry_queue import sync")
    ),
    "a new file of the queue without a place": Breach("3.", "retry_queue.planted", {"retry_queue/planted.py": ""}),
    "one system knows another": Breach(
        "4.",
        "connectors.planted_a.signer",
        system("planted_a", signer="from connectors.planted_b import signer") | system("planted_b", signer="X = 1"),
    ),
    "the core knows a system": Breach(
        "4.",
        "connectors.core.planted",
        system("planted_a", signer="X = 1")
        | one("connectors/core/planted.py", "from connectors.planted_a import signer"),
    ),
    "a signer leans on the simulator": Breach(
        "4.", "connectors.planted_a.signer", system("planted_a", signer="from connectors.simulator import engine")
    ),
    "a mapping calls out": Breach("5.", "mappings.planted", one("mappings/planted.py", "import httpx")),
    "a connector keeps state": Breach(
        "6.", "connectors.core.planted", one("connectors/core/planted.py", "import sqlalchemy")
    ),
    "the ledger reads YAML of a mapping": Breach(
        "7.", "retry_queue.ledger.planted", one("retry_queue/ledger/planted.py", "from mappings import canonical")
    ),
    "the ledger speaks HTTP": Breach(
        "7.", "retry_queue.ledger.planted", one("retry_queue/ledger/planted.py", "import httpx")
    ),
    "ingress waits for a mapping": Breach(
        "8.", "webhooks.planted", one("webhooks/planted.py", "from mappings import canonical")
    ),
    "ingress delivers by itself": Breach(
        "8.", "webhooks.planted", one("webhooks/planted.py", "from retry_queue import sync")
    ),
    "production reaches a simulator": Breach(
        "9.", "gateway.planted", one("gateway/planted.py", "from connectors.simulator import engine")
    ),
    "production reaches a simulator by a back road": Breach(
        "9.",
        "retry_queue.sync.planted",
        system("planted_a", simulator="from connectors.simulator import engine")
        | one("retry_queue/sync/planted.py", "from connectors.planted_a import simulator"),
    ),
}


def copy_of_the_tree(folder: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", folder)
    for room in ROOMS:
        for source in (ROOT / room).rglob("*.py"):
            target = folder / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return folder


def lint(folder: Path) -> str:
    """The report; paths and names are not broken over lines."""
    ran = subprocess.run(
        [LINT, "--no-logo", "--no-cache"],
        cwd=folder,
        env={"PATH": "", "COLUMNS": "400", "PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Contracts:" in ran.stdout, ran.stdout + ran.stderr
    assert (ran.returncode == 0) == (" 0 broken" in ran.stdout)
    return ran.stdout


def broken(report: str) -> set[str]:
    return {line.split()[0] for line in report.splitlines() if " BROKEN" in line}


def test_the_tree_keeps_all_nine_contracts(tmp_path: Path) -> None:
    report = lint(copy_of_the_tree(tmp_path))
    assert not broken(report), report
    assert "Contracts: 9 kept, 0 broken." in report


@pytest.mark.parametrize("name", BREACHES)
def test_a_planted_breach_is_caught(tmp_path: Path, name: str) -> None:
    breach = BREACHES[name]
    copy_of_the_tree(tmp_path)
    for path, content in breach.files.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    report = lint(tmp_path)
    assert breach.contract in broken(report), report
    assert breach.evidence in report


def test_a_simulator_of_a_system_may_use_the_shared_engine(tmp_path: Path) -> None:
    copy_of_the_tree(tmp_path)
    planted = system(
        "planted_a", simulator="from connectors.simulator import engine\nfrom connectors.core import model"
    )
    for path, content in planted.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    assert "planted_a" not in lint(tmp_path)

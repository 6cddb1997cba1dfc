"""The SBOM names what the locks name, and an audit that could not be made says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import web

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/sbom.py"), *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_it_holds_every_locked_package_once_and_is_the_same_every_time() -> None:
    first, second = run("sbom", "-o", "-"), run("sbom", "-o", "-")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    made = json.loads(first.stdout)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    refs = [one["bom-ref"] for one in made["components"]]
    assert len(refs) == len(set(refs))
    assert made["dependencies"][0]["dependsOn"] == refs
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "locks/runtime.txt").read_text(), re.MULTILINE)
    names = {f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}" for name, version in locked}
    assert names <= set(refs)
    packages = json.loads((ROOT / "admin_ui/package-lock.json").read_text())["packages"]
    wanted = {f"pkg:npm/{name}@{packages['node_modules/' + name]['version']}" for name in ("react", "antd", "dayjs")}
    assert wanted <= set(refs)
    assert "pkg:npm/vite" not in first.stdout, "what only builds the UI is not in the product"
    assert "pkg:pypi/pytest" not in first.stdout
    assert all(len(one.get("properties", [])) > 0 for one in made["components"] if one["purl"].startswith("pkg:pypi"))


class Advisories(web.Page):
    """An advisory database with OSV's batch API that knows one thing."""

    def do_POST(self) -> None:
        asked = json.loads(self.asked())["queries"]
        bad = [{"vulns": [{"id": "GHSA-test"}]} if "/antd@" in one["package"]["purl"] else {} for one in asked]
        self.say(200, json.dumps({"results": bad}).encode())


@pytest.fixture
def database() -> Iterator[str]:
    with web.serving(Advisories) as url:
        yield url


def test_an_advisory_is_told(database: str) -> None:
    done = run("audit-dependencies", "--database", database)
    assert done.returncode == 1
    assert re.fullmatch(r"pkg:npm/antd@\S+\tGHSA-test\n", done.stdout)


def test_a_database_that_is_away_is_no_clean_bill() -> None:
    done = run("audit-dependencies", "--database", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "NOT audited" in done.stderr
    assert not done.stdout

"""The sources of the admin UI: they type-check, their unit tests pass, the first load stays small."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services

UI = services.ROOT / "scripts" / "ui.py"
FIRST_LOAD = 450_000
"""Bytes, packed, of everything the first page needs."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("step", ["types", "test"])
def test_the_sources_hold(step: str, built: Path) -> None:
    ran = subprocess.run([sys.executable, UI, step], capture_output=True, text=True, timeout=220, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]


def test_what_is_built_fits_the_sources(built: Path) -> None:
    ran = subprocess.run([sys.executable, UI, "fresh"], timeout=60, check=False)
    assert ran.returncode == 0, "run ./shuniu ui build"


def _needed(folder: Path, name: str, seen: set[str]) -> set[str]:
    """A script and what it imports at once, not what it loads when somebody goes there."""
    if name in seen:
        return seen
    seen.add(name)
    text = (folder / "assets" / name).read_text(encoding="utf-8")
    for found in re.findall(r"""(?:^|[;}\s])(?:import|from)\s*["']\./([\w.-]+\.js)["']""", text):
        _needed(folder, found, seen)
    for found in re.findall(r"""import[^"'();]*from\s*["']\./([\w.-]+\.js)["']""", text):
        _needed(folder, found, seen)
    return seen


def test_the_first_load_is_within_its_budget(built: Path) -> None:
    index = (built / "index.html").read_text()
    scripts: set[str] = set()
    for name in re.findall(r"/assets/([\w.-]+\.js)", index):
        _needed(built, name, scripts)
    first = next((built / "assets").glob("overview-*.js")).name
    _needed(built, first, scripts)
    names = [*scripts, *re.findall(r"/assets/([\w.-]+\.css)", index)]
    sizes = {name: len(gzip.compress((built / "assets" / name).read_bytes(), 9)) for name in names}
    assert len(scripts) >= 3
    assert sum(sizes.values()) <= FIRST_LOAD, sorted(sizes.items(), key=lambda one: -one[1])[:8]


def test_everything_packed_is_there_unpacked_and_the_same(built: Path) -> None:
    packed = list((built / "assets").glob("*.gz"))
    assert packed
    for one in packed:
        assert gzip.decompress(one.read_bytes()) == one.with_suffix("").read_bytes()


def test_the_lock_names_no_registry_and_checks_every_package() -> None:
    lock = json.loads((services.ROOT / "admin_ui" / "package-lock.json").read_text())
    for name, one in lock["packages"].items():
        assert "resolved" not in one, name
        assert not name or "integrity" in one or one.get("link") or one.get("inBundle"), name

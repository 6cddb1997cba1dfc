"""The house rules hold in the tree, and each notices what it is there for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import house

ROOT = Path(__file__).resolve().parents[2]
RUFF = Path(sys.executable).parent / "ruff"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with two systems and one generic end."""
    for name, category in (("alpha", "erp"), ("beta", "mall"), ("http", "generic")):
        folder = tmp_path / "connectors" / name
        folder.mkdir(parents=True)
        (folder / "connector.yaml").write_text(f"id: {name}\ncategory: {category}\n")
    (tmp_path / "gateway").mkdir()
    return tmp_path


def found(tree: Path, path: str, content: str) -> list[str]:
    """The rules that ``content`` breaks."""
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(content)
    return [finding.rule for finding in house.check(tree)]


def test_the_tree_keeps_the_rules() -> None:
    assert not house.check(ROOT)


@pytest.mark.parametrize(
    "source",
    [
        'if connector == "alpha":\n    pass\n',
        'KIND = f"alpha.{1}"\n',
        "def sign_alpha() -> None: ...\n",
        "class AlphaClient: ...\n",
        "def call(alpha: int) -> None: ...\n",
        "alpha_url = 1\n",
    ],
)
def test_a_vendor_away_from_home_is_found(tree: Path, source: str) -> None:
    assert found(tree, "gateway/api.py", source) == ["vendor-word"]


def test_a_vendor_at_home_in_prose_or_excused_is_fine(tree: Path) -> None:
    assert found(tree, "connectors/alpha/signer.py", 'NAME = "alpha"\n') == []
    assert found(tree, "mappings/alpha/extra.py", 'NAME = "alpha"\n') == []
    assert found(tree, "gateway/prose.py", '"""For example alpha."""\n# alpha\nX = "alphabet http"\n') == []
    assert found(tree, "gateway/excused.py", 'X = "alpha"  # house: vendor-word because the demo is about it\n') == []
    assert found(tree, "gateway/unexcused.py", 'X = "alpha"  # house: vendor-word\n') == ["vendor-word"]


def test_one_vendor_in_another_vendors_folder_is_found(tree: Path) -> None:
    assert found(tree, "connectors/alpha/signer.py", 'NAME = "beta"\n') == ["vendor-word"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("gateway/utils.py", ""),
        ("webhooks/event_handler.py", ""),
        ("gateway/a.py", "def process_event() -> None: ...\n"),
        ("gateway/a.py", "class OrderManager: ...\n"),
        ("gateway/a.py", "async def misc() -> None: ...\n"),
    ],
)
def test_a_name_that_says_nothing_is_found(tree: Path, path: str, source: str) -> None:
    assert found(tree, path, source) == ["refused-word"]


def test_words_that_only_look_alike_are_fine(tree: Path) -> None:
    assert found(tree, "gateway/a.py", "import subprocess\ndef processed() -> None: ...\nclass Handled: ...\n") == []


def test_a_file_too_long_is_found(tree: Path) -> None:
    assert found(tree, "gateway/long.py", "\n" * 400) == []
    assert found(tree, "gateway/long.py", "\n" * 401) == ["file-length"]


@pytest.mark.parametrize(
    "text",
    [
        "see /ro" + "ot/notes.txt",
        "cd /ho" + "me/somebody",
        "path: '/wo" + "rk/tree'",
        "index = https://py" + "pi.org/simple",
        "https://files.python" + "hosted.org/packages/x.whl",
        '"resolved": "https://registry.n' + 'pmjs.org/x"',
        "--index-url" + " https://mirror.example/simple",
    ],
)
def test_a_machines_path_and_a_registrys_host_are_found(tree: Path, text: str) -> None:
    assert found(tree, "docs/notes.md", text) == ["stands-alone"]


def test_addresses_and_relative_paths_are_fine(tree: Path) -> None:
    text = "https://example.com/home/page ~/home/x ./root/a api/v1/home/x /tmp/x ${BASE}/home/a /roots/x"
    assert found(tree, "docs/notes.md", text) == []


def test_stubs_and_nameless_excepts_are_found(tree: Path) -> None:
    assert found(tree, "gateway/a.py", "def f() -> None:\n    raise NotImplementedError\n") == ["unfinished"]
    assert found(tree, "gateway/a.py", "try:\n    f()\nexcept:\n    raise\n") == ["unfinished"]


@pytest.mark.parametrize(
    ("path", "source", "code"),
    [
        ("gateway/wiring.py", "import os\n\nX = os.environ\n", "TID251"),
        ("connectors/core/x.py", "import os\n\nX = os.getenv('X')\n", "TID251"),
        ("retry_queue/x.py", "from os import environ\n\nX = environ\n", "TID251"),
        ("retry_queue/x.py", "import pickle\n\nX = pickle\n", "TID251"),
        ("connectors/core/x.py", "from xml.etree import ElementTree\n\nX = ElementTree\n", "TID251"),
        ("webhooks/x.py", "from . import y\n\nX = y\n", "TID252"),
        ("webhooks/x.py", "from datetime import datetime\n\nX = datetime.now()\n", "DTZ005"),
        ("gateway/new_folder/x.py", "X = 1\n", "INP001"),
        ("mappings/x.py", "try:\n    X = 1\nexcept Exception:\n    pass\n", "BLE001"),
        ("mappings/x.py", "X = 1  # TO" + "DO: later\n", "FIX002"),
    ],
)
def test_ruff_refuses(tmp_path: Path, path: str, source: str, code: str) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f'"""Planted."""\n\n{source}')
    for folder in {parent for parent in Path(path).parents if str(parent) != "." and "new" not in str(parent)}:
        (tmp_path / folder / "__init__.py").touch()
    ran = subprocess.run(
        [RUFF, "check", "--no-cache", "--output-format=concise", "."], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert f" {code} " in ran.stdout


def test_only_settings_reads_the_environment() -> None:
    """The exemption itself: in settings.py, and in nothing else of the five rooms."""
    readers = [
        path.relative_to(ROOT).as_posix()
        for room in house.ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "os.environ" in (text := path.read_text()) or "os.getenv" in text
    ]
    assert readers == ["gateway/settings.py"]

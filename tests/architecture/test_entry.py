"""``./shuniu`` hands over from anywhere, and a group of tests that cannot run is named and counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FAKE_PYTHON = """#!/bin/sh
echo "$PWD|$SHUNIU_DATA_DIR|$*"
exit 7
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A prepared copy whose python only says how it was called."""
    folder = tmp_path / "a 枢纽 folder"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "shuniu", folder)
    shutil.copytree(ROOT / "locks", folder / "locks")
    python = folder / ".venv" / "bin" / "python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    for group in ("runtime", "dev"):
        lock = (folder / "locks" / f"{group}.txt").read_bytes()
        stamp = subprocess.run(["cksum"], input=lock, capture_output=True, check=True).stdout
        (folder / ".venv" / f".locked-{group}").write_bytes(stamp)
    return folder


def call(script: Path, *arguments: str, cwd: Path, **extra: str) -> tuple[int, str, str]:
    environment = {"PATH": os.environ["PATH"], "SHUNIU_NO_APT": "1", **extra}
    ran = subprocess.run([script, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout.strip(), ran.stderr


def test_it_hands_over_with_the_callers_folder_and_exit_code(tree: Path, tmp_path: Path) -> None:
    code, out, err = call(tree / "shuniu", "apply", "-f", "my hub.yaml", cwd=tmp_path)
    assert (code, err) == (7, "")
    assert out == f"{tmp_path}|{tree}/var|-P -m gateway.cli apply -f my hub.yaml"


def test_a_chain_of_links_leads_home(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "first").symlink_to(Path("..") / tree.name / "shuniu")
    (tmp_path / "second").symlink_to(tmp_path / "bin" / "first")
    code, out, _ = call(tmp_path / "second", "--version", cwd=Path("/"))
    assert code == 7
    assert out.endswith("-P -m gateway.cli --version")
    assert f"|{tree}/var|" in out


def test_a_data_dir_of_the_operator_is_kept(tree: Path, tmp_path: Path) -> None:
    assert "|/tmp/elsewhere|" in call(tree / "shuniu", "serve", cwd=tmp_path, SHUNIU_DATA_DIR="/tmp/elsewhere")[1]


def test_the_tests_and_the_checks_have_their_own_way(tree: Path, tmp_path: Path) -> None:
    (tree / ".uv" / "tools" / "usr" / "bin").mkdir(parents=True)
    workers = (os.cpu_count() or 1) + 2  # most tests wait for processes that they started
    ran = call(tree / "shuniu", "test", "-k", "x y", cwd=tmp_path)[1]
    assert ran == f"{tree}|{tree}/var|-m pytest -n {workers} --durations=30 -k x y"
    assert call(tree / "shuniu", "lint", "--fix", cwd=tmp_path)[1].endswith(f"|{tree}/scripts/lint.py --fix")


def test_without_a_usable_python_it_says_what_to_install(tree: Path, tmp_path: Path) -> None:
    (tree / ".venv" / ".locked-runtime").unlink()
    (tree / ".venv" / ".locked-dev").unlink()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "readlink", "cksum", "cat", "mkdir", "id"):
        (tools / name).symlink_to(str(shutil.which(name)))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    script = (tree / "shuniu").read_text().replace("/usr/bin/python3", "/nonexistent/python3")
    (tree / "shuniu").write_text(script)
    code, out, err = call(tree / "shuniu", "serve", cwd=tmp_path, PATH=str(tools))
    assert code == 1
    assert out == ""
    assert "Python 3.11 or newer is needed" in err
    assert "需要 Python 3.11" in err


def test_the_distributions_python_comes_before_one_of_a_version_manager(tree: Path, tmp_path: Path) -> None:
    """The other one was built without optimisations: the hub on it was a third slower."""
    for group in ("runtime", "dev"):
        (tree / ".venv" / f".locked-{group}").unlink()
    distribution, managed = tmp_path / "distribution" / "python3", tmp_path / "managed" / "python3"
    for python in (distribution, managed):
        python.parent.mkdir()
        python.write_text('#!/bin/sh\ncase "$*" in *fcntl*) echo "$0" >&2; exit 3 ;; esac\n')
        python.chmod(0o755)
    script = (tree / "shuniu").read_text().replace("/usr/bin/python3", str(distribution))
    (tree / "shuniu").write_text(script)
    path = f"{managed.parent}:{os.environ['PATH']}"
    assert call(tree / "shuniu", "serve", cwd=tmp_path, PATH=path)[::2] == (3, f"{distribution}\n")
    named = call(tree / "shuniu", "serve", cwd=tmp_path, PATH=path, SHUNIU_PYTHON=str(managed))
    assert named[::2] == (3, f"{managed}\n")
    distribution.write_text("#!/bin/sh\nexit 1\n")  # too old, or without venv
    assert call(tree / "shuniu", "serve", cwd=tmp_path, PATH=path)[::2] == (3, f"{managed}\n")


# --- groups -------------------------------------------------------------------------------------

GROUP_CONFTEST = """
from tests.conftest import *  # noqa: F403
from tests import services
services.chromium = lambda: None
"""
GROUP_TESTS = """
import pytest

@pytest.mark.chromium
def test_browser():
    raise AssertionError("must be skipped")

@pytest.mark.peers("json", "no_such_module_here")
def test_peer():
    raise AssertionError("must be skipped")

@pytest.mark.peers("json")
def test_plain():
    pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("strict", [{}, {"CI": "true"}, {"SHUNIU_CI": "1"}])
def test_a_group_that_cannot_run_is_named_and_fails_in_ci(tmp_path: Path, workers: str, strict: dict[str, str]) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests_here").mkdir()
    (tmp_path / "tests_here" / "conftest.py").write_text(GROUP_CONFTEST)
    (tmp_path / "tests_here" / "test_groups.py").write_text(GROUP_TESTS)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200", **strict}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", workers, "-p", "no:cacheprovider", "tests_here"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "SKIPPED GROUP chromium: 1 tests; no Chromium: apt-get install" in ran.stdout, ran.stdout + ran.stderr
    assert "SKIPPED GROUP peers: 1 tests; not installed: no_such_module_here" in ran.stdout
    assert "1 passed, 2 skipped" in ran.stdout.splitlines()[-1]
    assert ran.returncode == (1 if strict else 0)

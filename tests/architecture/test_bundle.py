"""The archive to install from without a network: what is in it, and that nothing but its wheels is asked."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from scripts import bundle

ROOT = Path(__file__).resolve().parents[2]


def test_markers_are_left_to_the_machine_over_there() -> None:
    lock = (ROOT / "locks/runtime.txt").read_text(encoding="utf-8")
    made = bundle.everywhere(lock)
    assert ";" not in made
    marked = dict(re.findall(r"^([a-z0-9-]+)==\S+ ; (.+?) \\$", lock, re.MULTILINE))
    assert len(marked) >= 4
    for name, marker in marked.items():
        assert (f"\n{name}==" in made) == (" == 'win32'" not in marker), name
    assert made.count("--hash=") > 100


def test_images_are_those_that_compose_starts() -> None:
    found = bundle.images(ROOT)
    assert len(found) >= 4
    assert all(re.fullmatch(r"[a-z0-9./-]+:[\w.-]+", one) for one in found), found


def test_the_archive_holds_the_product_and_its_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wheels(_root: Path, place: Path, *_given: object) -> None:
        place.mkdir()
        (place / "one-1.0-py3-none-any.whl").write_bytes(b"wheel")

    monkeypatch.setattr(bundle, "wheels", wheels)
    if not (ROOT / "gateway/static/index.html").is_file():
        with pytest.raises(bundle.Incomplete, match="ui build"):
            bundle.bundle(ROOT, tmp_path / "no.tar.gz")
        return
    made = bundle.bundle(ROOT, tmp_path / "some" / "where.tar.gz")
    with tarfile.open(made) as archive:
        archive.extractall(tmp_path / "there")  # our own archive, made a moment ago
    (place,) = (tmp_path / "there").iterdir()
    for name in (
        "shuniu",
        "gateway/static/index.html",
        "locks/runtime.txt",
        "helm/Chart.yaml",
        "wheelhouse",
        "images.txt",
    ):
        assert (place / name).exists(), name
    for name in (".venv", "var", "tests", "admin_ui", ".git"):
        assert not (place / name).exists(), name
    told = dict(line.split("  ", 1)[::-1] for line in (place / "SHA256SUMS").read_text().splitlines())
    assert len(told) > 500
    for name in ("shuniu", "wheelhouse/one-1.0-py3-none-any.whl"):
        assert told[name] == hashlib.sha256((place / name).read_bytes()).hexdigest()
    assert os.access(place / "shuniu", os.X_OK)


def test_with_wheels_beside_it_the_script_asks_no_registry(tmp_path: Path) -> None:
    """Its first step is really taken: the installer's lock is looked for among the wheels and nowhere else."""
    for name in ("shuniu", "locks"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(tmp_path)], check=True)
    (tmp_path / "wheelhouse").mkdir()
    ran = subprocess.run(
        [str(tmp_path / "shuniu"), "--version"], capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": os.environ["PATH"], "SHUNIU_NO_APT": "1", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"},
    )  # fmt: skip
    assert ran.returncode == 1
    assert "No matching distribution found for uv" in ran.stderr
    assert "127.0.0.1:1" not in ran.stderr, "the registry was asked"

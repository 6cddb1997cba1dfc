"""Everything an installation without a network needs, as one archive.

    ./shuniu bundle                          writes var/shuniu-VERSION-bundle.tar.gz for this kind of machine
    ./shuniu bundle -o FILE                  another file
    ./shuniu bundle --platform manylinux2014_aarch64 --python 3.12    for another kind
    ./shuniu bundle --wheels FOLDER          wheels that are here already; what is missing is an error

In it: the product with its built admin UI, ``wheelhouse/`` (the locked packages and the installer, by hash), the chart,
``compose.yaml``, ``images.txt`` (container images to carry over, for who uses them) and ``SHA256SUMS``. Over there
``./shuniu serve`` installs from ``wheelhouse/`` and asks no registry.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("gateway", "webhooks", "retry_queue", "connectors", "mappings")
CARRIED = (*ROOMS, "helm", "compose", "docs", "locks", "shuniu", "compose.yaml", "Dockerfile", "pyproject.toml",
           "LICENSE", "NOTICE", "README.md", "README.zh-CN.md", "CHANGELOG.md")  # fmt: skip
LOCKS = ("bootstrap", "runtime")
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==(\S+)", re.MULTILINE)


class Incomplete(Exception):
    """The bundle cannot be made; ``str()`` says what to do."""


def version(root: Path) -> str:
    """The product's version."""
    told = re.search(r'^__version__ = "([^"]+)"', (root / "gateway/__init__.py").read_text("utf-8"), re.MULTILINE)
    return told[1] if told else "0"


def images(root: Path) -> list[str]:
    """The container images that compose.yaml and the chart name."""
    found = {
        str(one["image"]) for one in yaml.safe_load((root / "compose.yaml").read_text("utf-8"))["services"].values()
    }
    values = yaml.safe_load((root / "helm/values.yaml").read_text("utf-8"))
    for part in (values, *(one for one in values.values() if isinstance(one, dict))):
        image = part.get("image")
        if isinstance(image, str) and image:
            found.add(image)
        elif isinstance(image, dict) and image.get("repository"):
            found.add(f"{image['repository']}:{image.get('tag') or version(root)}")
    return sorted(found)


def product(root: Path, place: Path) -> None:
    """Copies what runs, without what was left by running or testing."""
    if not (root / "gateway/static/index.html").is_file():
        raise Incomplete("没有构建界面,请先 ./shuniu ui build / the admin UI is not built: ./shuniu ui build")
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", ".DS_Store")
    for name in CARRIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=unwanted)
        elif source.is_file():
            shutil.copy2(source, place / name)


def everywhere(lock: str) -> str:
    """A lock without its markers, which pip would judge by the Python it runs on and not by the one over there.

    What is for Windows only stays behind: nothing of ours runs there.
    """
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    kept = [one for one in entries if not re.search(r";[^\n]*== '(win32|nt)'", one.partition("\n")[0])]
    return "".join(re.sub(r"\A([^\n;]*?) *;[^\\\n]*", r"\1 ", one) for one in kept)


def wheels(root: Path, place: Path, given: Path | None, platform: str, python: str) -> None:
    """Fills the wheelhouse with what the locks say, checked by hash; raises Incomplete."""
    place.mkdir()
    kind = ["--platform", platform] if platform else []
    kind += ["--python-version", python] if python else []
    where = ["--no-index", "--find-links", str(given)] if given else []
    unmarked = place.parent / ".lock"
    pip = [str(root / ".uv/env/bin/python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    for name in LOCKS:
        unmarked.write_text(everywhere((root / f"locks/{name}.txt").read_text("utf-8")), encoding="utf-8")
        command = [*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes", *kind, *where, "-d", str(place)]
        if subprocess.run([*command, "-r", str(unmarked)], check=False).returncode:
            raise Incomplete(f"locks/{name}.txt 未能全部获得 / not all of locks/{name}.txt could be had")
    unmarked.unlink()


def sums(place: Path) -> str:
    """``SHA256SUMS`` of everything, as ``sha256sum -c`` reads it."""
    files = sorted(one for one in place.rglob("*") if one.is_file())
    return "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.relative_to(place)}\n" for one in files)


def bundle(root: Path, output: Path, *, given: Path | None = None, platform: str = "", python: str = "") -> Path:
    """Makes the archive and returns where it is."""
    name = f"shuniu-{version(root)}"
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="shuniu-bundle-") as folder:
        place = Path(folder) / name
        place.mkdir()
        product(root, place)
        wheels(root, place / "wheelhouse", given, platform, python)
        (place / "images.txt").write_text("".join(f"{one}\n" for one in images(root)), encoding="utf-8")
        (place / "SHA256SUMS").write_text(sums(place), encoding="utf-8")
        draft = output.with_name(output.name + ".part")
        with tarfile.open(draft, "w:gz") as archive:
            archive.add(place, name)
        draft.rename(output)
    return output


def main(words: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./shuniu bundle", description="an archive to install from without a network")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--platform", default="", help="such as manylinux2014_aarch64; default: this machine")
    parser.add_argument("--python", default="", help="such as 3.12; default: this one")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels; nothing is fetched then")
    given = parser.parse_args(words)
    output = given.output or ROOT / "var" / f"shuniu-{version(ROOT)}-bundle.tar.gz"
    try:
        made = bundle(ROOT, output, given=given.wheels, platform=given.platform, python=given.python)
    except Incomplete as error:
        sys.stderr.write(f"shuniu: {error}\n")
        return 1
    sys.stderr.write(f"{made}  {made.stat().st_size / 1024**2:.0f} MiB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

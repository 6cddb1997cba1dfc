"""A copy of the ledger in one file, and putting it back.

The file is a tar: ``manifest.json`` first, then the copy of the database (SQLite's online backup, or ``pg_dump``'s
custom format). Taking it does not stop the hub. Putting one back needs a hub that does not run; after that nothing
that may have happened since the backup is done again blindly (``retry_queue.ledger.recovery``). The secret key is
never in the file: without it the stored credentials cannot be read.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy.engine import URL, make_url

from gateway import __version__, refusal, settings
from gateway.trial import postgres
from retry_queue.ledger import configuration, recovery, secrets, session, workers

FORMAT = 1
MANIFEST, DATA = "manifest.json", "ledger"
PROBE = "shuniu"
LAST = "backup"
"""Setting of the ledger: when the last backup was taken, where to, how large."""
ALIVE = 60.0
"""Seconds since its last heartbeat within which a process counts as running."""
_PIECE = 1024 * 1024


class Refused(refusal.Refused):
    """Why a backup cannot be taken or put back."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. ``taken_at``: Unix seconds before the copy began; ``probe``: sealed text."""

    format: int
    product: str
    backend: str
    revision: str
    taken_at: float
    size: int
    sha256: str
    probe: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What putting back came to. ``doubtful``: deliveries that are asked about before they are sent."""

    manifest: Manifest
    doubtful: int
    aside: Path | None


def _digest(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while piece := file.read(_PIECE):
        found.update(piece)
    return found.hexdigest()


def _tool(name: str) -> str:
    """PostgreSQL's client program, the newest of this machine: it must not be older than the server.

    Raises Refused when there is none.
    """
    installed = [*Path("/usr/lib/postgresql").glob("*/bin"), postgres.binaries()]
    named = [folder / name for folder in installed if folder is not None]
    there = [str(tool) for tool in (*named, shutil.which(name)) if tool is not None and Path(tool).is_file()]
    if not there:
        raise Refused(
            f"这台机器上没有 {name}：请安装 postgresql-client，或在数据库服务器上备份（见 docs/operations.md）",
            f"{name} is not on this machine: install postgresql-client, or back the database up on its server"
            " (docs/operations.md)",
        )
    return max(there, key=_major)


def _major(tool: str) -> int:
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else 0


def _client(tool: str, url: URL, *more: str) -> None:
    """Runs one of PostgreSQL's clients. The password goes by the environment: arguments are seen by everybody."""
    query = {key: str(value) for key, value in url.query.items()}
    variables = {
        "PGHOST": query.get("host") or url.host or "",
        "PGPORT": query.get("port") or (str(url.port) if url.port else ""),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database or "",
        "PGSSLMODE": query.get("ssl", ""),
    }
    environment = {**settings.surroundings(), **{key: value for key, value in variables.items() if value}}
    ran = subprocess.run([_tool(tool), *more], env=environment, capture_output=True, check=False)
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        last = said[-1] if said else str(ran.returncode)
        raise Refused(f"{tool} 失败：{last}", f"{tool} failed: {last}")


def _copy(url: URL, file: Path) -> None:
    """A consistent copy of the database while others write to it."""
    if url.get_backend_name() == "postgresql":
        _client("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={file}")
        return
    place = Path(url.database or "")
    if not place.is_file():
        raise Refused(f"没有台账文件 {place}", f"there is no ledger at {place}")
    with closing(sqlite3.connect(place, timeout=30.0)) as source, closing(sqlite3.connect(file)) as target:
        source.backup(target, pages=4096, sleep=0.01)
        (said,) = target.execute("PRAGMA quick_check").fetchone()
    if said != "ok":
        raise Refused(f"备份未通过完整性检查：{said}", f"the copy is damaged: {said}")


async def take(url: str, sealer: secrets.Sealer, file: Path) -> Manifest:
    """Writes a backup to ``file``, readable by its owner only. Raises Refused, LedgerUnavailable, OSError."""
    from gateway import migrate  # what migrates a schema is loaded by who needs it: an API process hardly ever does

    address = make_url(url)
    revision, _newest = await migrate.state(url)
    if revision is None:
        raise Refused("台账是空的，没有可备份的内容", "the ledger is empty: there is nothing to back up")
    async with session.opened(url, owner="backup") as ledger:
        taken_at = await ledger.now()
    probe = sealer.seal(PROBE, PROBE)
    told = await asyncio.to_thread(_write, address, file, revision, taken_at, probe)
    await _note(url, file, told)
    return told


async def _note(url: str, file: Path, told: Manifest) -> None:
    """Lets the ledger know of a backup that is whole."""
    ledger = session.open_ledger(url, owner="backup", pool=1)
    try:
        async with ledger.write() as connection:
            known = {"at": told.taken_at, "file": str(file), "size": told.size}
            await configuration.put_setting(connection, LAST, known)
    finally:
        await ledger.close()


def _write(address: URL, file: Path, revision: str, taken_at: float, probe: str) -> Manifest:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder:
        data = Path(folder) / DATA
        _copy(address, data)
        with data.open("rb") as opened:
            sha256 = _digest(opened)
        told = Manifest(
            FORMAT, __version__, address.get_backend_name(), revision, taken_at, data.stat().st_size, sha256, probe
        )
        manifest = Path(folder) / MANIFEST
        manifest.write_text(json.dumps(asdict(told), indent=2) + "\n", encoding="utf-8")
        part = Path(folder) / "whole"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            with tarfile.open(fileobj=opened, mode="w") as whole:
                whole.add(manifest, MANIFEST)
                whole.add(data, DATA)
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    return told


def read(file: Path) -> Manifest:
    """What a backup says of itself. Raises Refused when it is none, or not one of this version's."""
    try:
        with tarfile.open(file, "r:") as whole:
            inner = whole.extractfile(MANIFEST)
            told: dict[str, Any] = json.loads(inner.read(_PIECE)) if inner else {}
        found = Manifest(**told)
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise Refused(
            f"{file} 不是枢纽的备份文件（{error}）", f"{file} is no backup of this product ({error})"
        ) from None
    if found.format != FORMAT:
        raise Refused(
            f"备份格式 {found.format} 不受支持（本版本：{FORMAT}）", f"backup format {found.format} is not supported"
        )
    return found


async def put_back(url: str, sealer: secrets.Sealer, file: Path) -> Restored:
    """Replaces the ledger by the backup, brings its schema up to date and marks what is in doubt.

    Nothing is changed when it is refused: another backend, another secret key, a damaged file, a newer schema, a
    running hub, a PostgreSQL database that is not empty. The SQLite file that was there is kept beside it.
    Raises Refused, LedgerUnavailable, OSError.
    """
    from gateway import migrate

    address = make_url(url)
    backend = address.get_backend_name()
    told = read(file)
    if told.backend != backend:
        raise Refused(
            f"备份来自 {told.backend}，不能恢复到 {backend}",
            f"the backup is of {told.backend} and cannot be put into {backend}",
        )
    try:
        sealer.open(told.probe, PROBE)
    except secrets.SecretUnreadable:
        raise Refused(
            "SHUNIU_SECRET_KEY 与备份时的不同，凭据将无法解密；请换回当时的密钥",
            "SHUNIU_SECRET_KEY is not the one of the backup: its credentials could not be read. Set that key first",
        ) from None
    if told.revision not in migrate.revisions():
        raise Refused(
            f"备份来自更新的版本（{told.product}），请先升级程序", f"the backup is of a newer version ({told.product})"
        )
    if backend == "postgresql" or await asyncio.to_thread(Path(address.database or "").is_file):
        await _still(url, address)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=file.parent) as folder:
        data = Path(folder) / DATA
        await asyncio.to_thread(_unpack, file, data, told.sha256)
        aside = await asyncio.to_thread(_replace, address, data)
    await migrate.upgrade(url)
    return Restored(told, await mark(url, told.taken_at), aside)


async def mark(url: str, taken_at: float) -> int:
    """Tells a ledger that was put back by other means that it was; returns how many deliveries are in doubt."""
    async with session.opened(url, owner="restore") as ledger:
        now = await ledger.now()
        async with ledger.write() as connection:
            return await recovery.mark(connection, taken_at, now)


async def _still(url: str, address: URL) -> None:
    """Refuses while somebody works on the ledger, and when PostgreSQL's database holds something."""
    from gateway import migrate

    revision, _newest = await migrate.state(url)
    if revision is None:
        return
    async with session.opened(url, owner="restore") as ledger, ledger.read() as connection:
        there = await workers.alive(connection, ALIVE)
    if there:
        raise Refused(
            f"枢纽还在运行（{'、'.join(sorted(there))}），请停止后再恢复；刚停止的请等一分钟",
            f"the hub is running ({', '.join(sorted(there))}): stop it first; if it just was, wait a minute",
        )
    if address.get_backend_name() == "postgresql":
        raise Refused(
            "数据库不是空的：请新建一个空数据库，把 SHUNIU_DATABASE_URL 指向它再恢复",
            "the database is not empty: create an empty one and point SHUNIU_DATABASE_URL at it",
        )


def _unpack(file: Path, data: Path, sha256: str) -> None:
    with tarfile.open(file, "r:") as whole:
        inner = whole.extractfile(DATA)
        if inner is None:
            raise Refused("备份里没有台账", "the backup holds no ledger")
        with data.open("wb") as opened:
            shutil.copyfileobj(inner, opened, _PIECE)
    with data.open("rb") as opened:
        if _digest(opened) != sha256:
            raise Refused("备份文件已损坏（校验和不符）", "the backup is damaged (its checksum differs)")


def _replace(address: URL, data: Path) -> Path | None:
    """Puts the copy where the ledger is; returns where the old SQLite file went."""
    if address.get_backend_name() == "postgresql":
        _client(
            "pg_restore", address, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction",
            f"--dbname={address.database}", str(data),
        )  # fmt: skip
        return None
    place = Path(address.database or "")
    place.parent.mkdir(parents=True, exist_ok=True)
    aside: Path | None = None
    if place.is_file():
        aside = place.with_name(f"{place.name}.before-restore-{time.strftime('%Y%m%d-%H%M%S')}")
        place.replace(aside)
    for ending in ("-wal", "-shm"):
        beside = place.with_name(place.name + ending)
        if beside.is_file() and aside is not None:
            beside.replace(aside.with_name(aside.name + ending))
    shutil.copyfile(data, place)
    place.chmod(0o600)
    return aside

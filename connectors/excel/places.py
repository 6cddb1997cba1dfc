"""Where the files are: the connection's own folder in the data directory, or a WebDAV share.

Both have ``in`` (people put files there), ``done`` (what was taken, with its result sheet) and ``out`` (what we write).
A share that answers something else than expected raises Strange with that answer, for the tables to read.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from connectors.core import answer, line, model

PARTS = ("in", "done", "out")
ENDINGS = (".xlsx", ".csv")
LARGEST = 20 * 1024 * 1024
SETTLED = 2.0
"""Seconds a file must lie still before it is taken: somebody may be copying it."""


class Strange(Exception):
    """The share answered otherwise than it should."""

    def __init__(self, got: answer.Answer) -> None:
        super().__init__(f"HTTP {got.status}")
        self.answer = got


@dataclass(frozen=True, slots=True)
class Found:
    """A file that waits. ``mark`` changes whenever the file does; ``size`` in bytes."""

    name: str
    mark: str
    size: int


class Place(Protocol):
    """What both kinds can do."""

    async def check(self) -> None:
        """Make the three parts where they are missing; see that we may write."""

    async def waiting(self) -> list[Found]:
        """The files in ``in`` that may be taken, oldest name first."""

    async def read(self, name: str) -> bytes: ...

    async def finish(self, name: str, kept: str, result_name: str, result: bytes) -> None:
        """Put the result sheet into ``done`` and the file beside it, as ``kept``. Done twice, it is as done once."""

    async def put(self, name: str, content: bytes) -> None:
        """Write a file into ``out``, all of it or nothing."""


def wanted(name: str) -> bool:
    """Whether a name is that of a table somebody meant for us, not a lock or a copy under way."""
    return name.lower().endswith(ENDINGS) and not name.startswith((".", "~$")) and "/" not in name and len(name) <= 120


class Folder:
    """A folder of this machine. Nothing outside it is ever touched: names are checked, links are not followed."""

    def __init__(self, room: Path) -> None:
        self.room = room

    async def check(self) -> None:
        await asyncio.to_thread(self._make)

    def _make(self) -> None:
        for part in PARTS:
            (self.room / part).mkdir(parents=True, exist_ok=True, mode=0o770)
        probe = self.room / "out" / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()

    async def waiting(self) -> list[Found]:
        return await asyncio.to_thread(self._waiting)

    def _waiting(self) -> list[Found]:
        self._make()
        found, now = [], time.time()
        for entry in os.scandir(self.room / "in"):
            if not wanted(entry.name) or not entry.is_file(follow_symlinks=False):
                continue
            seen = entry.stat(follow_symlinks=False)
            if now - seen.st_mtime >= SETTLED:
                mark = f"{seen.st_mtime_ns:x}-{seen.st_size:x}"
                found.append((seen.st_mtime_ns, Found(entry.name, mark, seen.st_size)))
        return [one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].name))]

    async def read(self, name: str) -> bytes:
        return await asyncio.to_thread((self.room / "in" / name).read_bytes)

    async def finish(self, name: str, kept: str, result_name: str, result: bytes) -> None:
        def move() -> None:
            _replace(self.room / "done" / result_name, result)
            source = self.room / "in" / name
            if source.exists():
                source.replace(self.room / "done" / kept)

        await asyncio.to_thread(move)

    async def put(self, name: str, content: bytes) -> None:
        await asyncio.to_thread(_replace, self.room / "out" / name, content)


def _replace(path: Path, content: bytes) -> None:
    """Write beside it, then into its place: whoever opens it sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o770)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with beside.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)


class Dav:
    """A WebDAV share. ``show`` takes each request as it is sent, so that people see the last one."""

    def __init__(
        self, way: line.Line, base: str, user: str, password: str, show: Callable[[model.Request], None]
    ) -> None:
        self.way, self.base, self.show = way, base.rstrip("/"), show
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {pair}"}

    async def _ask(
        self, method: str, path: str, good: tuple[int, ...], body: bytes = b"", **headers: str
    ) -> answer.Answer:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        request = model.Request(method, f"{self.base}/{quote(path)}", headers={**self.headers, **more}, body=body)
        request.timeout = 20.0
        got = await self.way.http(request)
        self.show(model.Request(method, request.url, headers=more))
        if got.status not in good or (got.status == 200 and _page(got)):
            raise Strange(got)
        return got

    async def check(self) -> None:
        for part in PARTS:
            await self._ask("MKCOL", f"{part}/", (201, 301, 405))
        await self._listed("in")

    async def _listed(self, part: str) -> list[dict[str, Any]]:
        got = await self._ask("PROPFIND", f"{part}/", (207,), Depth="1")
        if not got.parsed or not isinstance(got.body, dict):
            raise Strange(got)
        found = got.body.get("response", [])
        return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]

    async def waiting(self) -> list[Found]:
        found = []
        for one in await self._listed("in"):
            states = one.get("propstat", [])
            props = (
                next((state.get("prop") for state in (states if isinstance(states, list) else [states])), None) or {}
            )
            name = unquote(urlsplit(str(one.get("href", ""))).path.rstrip("/").rpartition("/")[2])
            size = str(props.get("getcontentlength") or "0")
            mark = str(props.get("getetag") or props.get("getlastmodified") or "") + f"-{size}"
            if wanted(name) and size.isdecimal():
                found.append(Found(name, mark.strip('"'), int(size)))
        return sorted(found, key=lambda file: file.name)

    async def read(self, name: str) -> bytes:
        got = await self._ask("GET", f"in/{name}", (200,))
        if got.broken:
            raise Strange(got)
        return got.content

    async def finish(self, name: str, kept: str, result_name: str, result: bytes) -> None:
        await self._ask("PUT", f"done/{result_name}", (200, 201, 204), result)
        # 404: the answer to an earlier try was lost; the file is where it belongs.
        target = f"{self.base}/{quote(f'done/{kept}')}"
        await self._ask("MOVE", f"in/{name}", (201, 204, 404), Destination=target, Overwrite="T")

    async def put(self, name: str, content: bytes) -> None:
        await self._ask("PUT", f"out/{name}", (200, 201, 204), content)


def _page(got: answer.Answer) -> bool:
    return "text/html" in got.headers.get("content-type", "")

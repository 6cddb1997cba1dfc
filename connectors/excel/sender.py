"""Takes records out of files and writes records into workbooks, in a folder or on a share.

Reading is in two steps, because a file may only be put away when its rows are durable: a page is one file, and asking
for the next page (its cursor names the file) means that everything before it was stored. Whatever dies in between finds
the file where it was, reads it again, and every row is recognised.

Writing keeps a journal of the day's records beside (one line each, the last one of an id counts) and writes the
workbook anew from it, whole or not at all: writing the same record twice is as writing it once.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.core import answer, errors, jsontext, line, model, scope
from connectors.excel import columns, places, sheet, table

ZONE = ZoneInfo("Asia/Shanghai")
MOST = 5000
"""Rows of one file in the folder."""


async def send(request: model.Request, way: line.Line) -> answer.Answer:
    """The connection test, the next file, or one record. A share's refusals are given back as they are."""
    connection = way.connection
    config = scope.settings(connection)
    place = _place(way, config, request)
    try:
        if request.url.startswith("file://in"):
            return _told(await _taken(place, str(config["kind"]), request.query.get("cursor", "")))
        if request.url.startswith("file://out"):
            return _told(await _written(place, way, config, jsontext.loads(request.body)))
        await place.check()
        return _told({"where": str(way.room) if isinstance(place, places.Folder) else config.get("url")})
    except places.Strange as error:
        return error.answer
    except PermissionError as error:
        hint = {
            "zh": f"没有权限读写这个目录：{error.filename}",
            "en": f"No permission for this folder: {error.filename}",
        }
        raise errors.Misdeclared(str(error), hint=hint) from None


def _place(way: line.Line, config: dict[str, Any], request: model.Request) -> places.Place:
    if config.get("place") == "webdav":
        secret = way.connection.secrets.get("password", "")

        def show(seen: model.Request) -> None:
            request.method, request.url, request.headers, request.query, request.body = (
                seen.method, seen.url, seen.headers, {}, b"",
            )  # fmt: skip

        return places.Dav(way, str(config.get("url", "")), str(config.get("user", "")), secret, show)
    return places.Folder(_room(way))


def _room(way: line.Line) -> Path:
    if way.room is None:
        raise errors.Misdeclared(
            "no data directory here", hint={"zh": "这个进程没有数据目录", "en": "This process has no data directory"}
        )
    return way.room


async def _taken(place: places.Place, kind: str, cursor: str) -> dict[str, Any]:
    """Puts away the file that ``cursor`` names, then reads the next one."""
    waiting = await place.waiting()
    name, _, mark = cursor.partition("|")
    before = next((one for one in waiting if (one.name, one.mark) == (name, mark)), None)
    if before is not None:
        parsed = await _parsed(place, before, kind)
        stamp = datetime.now(UTC).astimezone(ZONE).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        result = await asyncio.to_thread(sheet.result, parsed)
        # The time is in both names: the next file that is called the same must not replace this one.
        kept = f"{Path(name).stem}.{stamp}"
        await place.finish(name, f"{kept}{Path(name).suffix}", f"{kept}.result.xlsx", result)
        waiting = [one for one in waiting if one is not before]
    if not waiting:
        return {"rows": []}
    parsed = await _parsed(place, waiting[0], kind)
    bad = len({one.row for one in parsed.problems})
    told = {"file": waiting[0].name, "taken": len(parsed.records), "refused": bad}
    return {"rows": parsed.records, "cursor": f"{waiting[0].name}|{waiting[0].mark}", **told}


async def _parsed(place: places.Place, file: places.Found, kind: str) -> sheet.Parsed:
    if file.size > places.LARGEST:
        words = (f"文件超过 {places.LARGEST // 2**20} MB", f"larger than {places.LARGEST // 2**20} MB")
        return sheet.Parsed(problems=[sheet.Problem(0, "", *words)])
    content = await place.read(file.name)
    return await asyncio.to_thread(sheet.parse, content, kind, MOST, f"{file.name}|{file.mark}")


async def _written(
    place: places.Place, way: line.Line, config: dict[str, Any], record: dict[str, Any]
) -> dict[str, Any]:
    kind = str(record.pop("_sheet", ""))
    if kind not in columns.SHEETS:
        raise errors.Misdeclared(
            f"no sheet of '{kind}'",
            hint={"zh": f"表格里没有「{kind}」这种记录", "en": f"There is no sheet for {kind}"},
        )
    day = datetime.now(UTC).astimezone(ZONE).strftime("%Y%m%d")
    form, most = str(config.get("form", "xlsx")), int(config.get("rows_per_file", 500))
    room = _room(way)
    lock = await _locked(room)
    try:
        part, records = await asyncio.to_thread(_journal, room / "journal", kind, day, record, most)
        head, rows = sheet.written(kind, records)
        name = f"{columns.NAMES[kind]}-{day}-{part:03d}.{form}"
        content = await asyncio.to_thread(table.write, head, rows, form, columns.NAMES[kind])
        await place.put(name, content)
    finally:
        os.close(lock)
    return {"id": str(record["id"]), "file": name, "rows": len(rows)}


async def _locked(room: Path) -> int:
    """A lock between processes and calls; closing it lets go.

    Asked for again and again rather than waited for in a thread: a call that is given up while it waits must not come
    into the lock later, when nobody is there to let go of it.
    """
    await asyncio.to_thread(room.mkdir, 0o770, True, True)
    descriptor = os.open(room / ".lock", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.02)
            else:
                return descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _journal(folder: Path, kind: str, day: str, record: dict[str, Any], most: int) -> tuple[int, list[dict[str, Any]]]:
    """Add ``record`` to the day's journal; the number of its part and all records of that part."""
    folder.mkdir(exist_ok=True, mode=0o770)
    key, part = str(record["id"]), 0
    while True:
        part += 1
        path = folder / f"{kind}-{day}-{part:03d}.jsonl"
        kept = _kept(path)
        following = folder / f"{kind}-{day}-{part + 1:03d}.jsonl"
        if key in kept or (not following.exists() and len(kept) < most):
            break
    if kept.get(key) != record:
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("ab") as out:
            out.write((b"\n" if torn else b"") + jsontext.dumps(record) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        kept = _kept(path)
    return part, list(kept.values())


def _kept(path: Path) -> dict[str, dict[str, Any]]:
    """The newest state of every record; a line that was cut off by a crash is no record."""
    found: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return found
    for text in path.read_bytes().split(b"\n"):
        try:
            one = jsontext.loads(text) if text else None
        except jsontext.JsonError:
            continue
        if isinstance(one, dict):
            found[str(one["id"])] = one
    return found


def _told(found: dict[str, Any]) -> answer.Answer:
    return answer.Answer(200, {"content-type": "application/json"}, jsontext.dumps({"ok": True, **found}))

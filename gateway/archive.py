"""Ended events of a time, written to compressed files before retention removes them, and read back from there.

A folder holds pieces of a few thousand events, ``events-<first id>.jsonl.gz``, and ``manifest.json``: what the archive
covers, and of each piece its ids, times, count, size and SHA-256. A piece is complete before the manifest names it, so
a run that was cut off goes on where it was. One line of a piece is one event with its bodies, deliveries and attempts.
What has not ended is left out and looked at again by the next run. Personal data is masked unless told otherwise; what
is secret is in none of these tables.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway import __version__, privacy, refusal
from retry_queue.ledger import deliveries, events, session, story
from retry_queue.ledger.states import WAITING_DELIVERY, EventState

FORMAT = 1
MANIFEST = "manifest.json"
PIECE = 5000
"""Events of one file."""
BATCH = 250


class Refused(refusal.Refused):
    """Why an archive cannot be written or read."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file. ``first`` and ``last`` are ids, ``since`` and ``until`` times of arrival (Unix seconds)."""

    file: str
    first: int
    last: int
    since: float
    until: float
    events: int
    size: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What an archive says of itself. ``after``: everything up to this id was looked at; ``open``: had not ended."""

    since: float
    until: float
    masked: bool
    format: int = FORMAT
    product: str = __version__
    after: int = 0
    done: bool = False
    open: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    @property
    def events(self) -> int:
        return sum(piece.events for piece in self.pieces)


def read(folder: Path) -> Manifest:
    """The manifest of an archive. Raises Refused when there is none, or not one of this version's."""
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        pieces = [Piece(**piece) for piece in told.pop("pieces")]
        found = Manifest(**told, pieces=pieces)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Refused(
            f"{folder} 不是枢纽的归档（{error}）", f"{folder} is no archive of this product ({error})"
        ) from None
    if found.format != FORMAT:
        raise Refused(f"归档格式 {found.format} 不受支持", f"archive format {found.format} is not supported")
    return found


def _put(path: Path, content: bytes) -> None:
    """All or nothing, on the disk, for its owner only."""
    draft = path.with_name(path.name + ".part")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(path)


async def write(ledger: session.Ledger, folder: Path, since: float, until: float, *, masked: bool = True) -> Manifest:
    """Writes the ended events that came from ``since`` to before ``until``, or goes on with what was begun.

    What had not ended the last time is looked at first. Raises Refused where the folder holds an archive of another
    time or another masking, LedgerUnavailable, OSError; what is written until then stays.
    """
    found = _begun(folder, since, until, masked=masked)
    waiting, found.open = found.open, []
    if waiting:
        await _late(ledger, folder, found, waiting)
    async with ledger.read() as connection:
        low, high = await events.between(connection, since, until)
    found.after = max(found.after, low - 1)
    while not found.done:
        await _piece(ledger, folder, found, high)
    return found


def _begun(folder: Path, since: float, until: float, *, masked: bool) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / MANIFEST).exists():
        return Manifest(since, until, masked)
    found = read(folder)
    if (found.since, found.until, found.masked) != (since, until, masked):
        raise Refused(
            f"{folder} 里已有另一段时间或另一种脱敏方式的归档，请换一个文件夹",
            f"{folder} holds an archive of another time or masking: take another folder",
        )
    return found


async def _late(ledger: session.Ledger, folder: Path, found: Manifest, waiting: list[int]) -> None:
    lines: list[tuple[int, float, bytes]] = []
    for start in range(0, len(waiting), BATCH):
        async with ledger.read() as connection:
            some = await story.some(connection, waiting[start : start + BATCH])
        lines += [_line(one, masked=found.masked) for one in some if _ended(one)]
        found.open += [one.event.id for one in some if not _ended(one)]
    _keep(folder, found, "late", lines)


async def _piece(ledger: session.Ledger, folder: Path, found: Manifest, high: int) -> None:
    lines: list[tuple[int, float, bytes]] = []
    while len(lines) < PIECE:
        async with ledger.read() as connection:
            some = await story.after(connection, found.after, high, BATCH, found.since, found.until)
        if not some:
            found.done = True
            break
        found.after = some[-1].event.id
        lines += [_line(one, masked=found.masked) for one in some if _ended(one)]
        found.open += [one.event.id for one in some if not _ended(one)]
    _keep(folder, found, "events", lines)


def _ended(one: story.Whole) -> bool:
    owed = any(each.state in WAITING_DELIVERY for each in one.owed)
    return one.event.state in (EventState.PLANNED, EventState.SKIPPED) and not owed


def _keep(folder: Path, found: Manifest, kind: str, lines: list[tuple[int, float, bytes]]) -> None:
    if lines:
        content = gzip.compress(b"".join(line for _, _, line in lines), mtime=0)
        first, last = lines[0][0], lines[-1][0]
        name = f"{kind}-{first:012d}-{len(found.pieces):05d}.jsonl.gz"
        _put(folder / name, content)
        times = [at for _, at, _ in lines]
        digest = hashlib.sha256(content).hexdigest()
        piece = Piece(name, first, last, min(times), max(times), len(lines), len(content), digest)
        found.pieces.append(piece)
    _put(folder / MANIFEST, (json.dumps(asdict(found), indent=1) + "\n").encode())


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _line(one: story.Whole, *, masked: bool) -> tuple[int, float, bytes]:
    event = one.event
    about = {name: getattr(event, name) for name in events.Found.__slots__}
    told: dict[str, Any] = {
        "event": about,
        "payload": _parsed(event.payload),
        "canonical": _parsed(event.canonical),
        "native": _parsed(event.native),
        "mapping": event.mapping,
        "deliveries": [_delivery(each, one.tries.get(each.id, [])) for each in one.owed],
    }
    if masked:
        told = {**privacy.masked(told), "event": {**about, "detail": privacy.masked(event.detail)}}
        told["deliveries"] = [_delivery(each, one.tries.get(each.id, []), masked=True) for each in one.owed]
    return event.id, event.received_at, json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _delivery(one: deliveries.Found, attempts: list[deliveries.Attempt], *, masked: bool = False) -> dict[str, Any]:
    tries = [asdict(each) for each in attempts]
    if not masked:
        return {**asdict(one), "attempts": tries}
    for each in tries:
        each["words"] = each["words"] and {name: privacy.said(text) for name, text in each["words"].items()}
        each["exchanges"] = [{name: privacy.said(text) for name, text in part.items()} for part in each["exchanges"]]
    return {**asdict(one), "detail": privacy.masked(one.detail), "attempts": tries}


def wrong(folder: Path) -> list[str]:
    """What is missing or altered, in English for logs and scripts; empty when all is well."""
    found = []
    for piece in read(folder).pieces:
        path = folder / piece.file
        if not path.is_file():
            found.append(f"{piece.file} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != piece.sha256:
            found.append(f"{piece.file} was altered or is damaged")
    return found


def find(
    folder: Path, text: str | None = None, since: float | None = None, until: float | None = None
) -> Iterator[dict[str, Any]]:
    """Archived events by an order number, a record's id, an event's id or a trace, and by when they came."""
    for piece in read(folder).pieces:
        if (since is not None and piece.until < since) or (until is not None and piece.since >= until):
            continue
        with gzip.open(folder / piece.file, "rt", encoding="utf-8") as lines:
            for line in lines:
                if text is not None and text not in line:
                    continue
                told: dict[str, Any] = json.loads(line)
                about = told["event"]
                named = (about["number"], about["record"], str(about["id"]), about["trace"])
                inside = (since is None or about["received_at"] >= since) and (
                    until is None or about["received_at"] < until
                )
                if inside and (text is None or text in named):
                    yield told

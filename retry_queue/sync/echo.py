"""Echo 回环: recognises our own write when it comes back as an event. Pure.

When we write a record we keep a digest of every canonical field that the target's mapping both writes
and reads. An event from that record whose same fields all have these digests tells nothing new. The
comparison is over canonical values, so it also holds when the vendor normalises what it was given.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

UNCOMPARED = frozenset({"id", "number", "created_at", "updated_at", "extra", "identities"})
"""Top-level fields the other side gives by itself."""
_DIGITS = 40
_PLAIN_NUMBER = re.compile(rf"-?(?=.{{1,{_DIGITS}}}$)(0|[1-9][0-9]*)(\.[0-9]+)?")
"""Text that is a number; with a leading zero it is a code, and 007 is another than 7."""


NATIVE = "#native"
"""Beside the digests of fields: the digest of the whole native record we sent last."""
PAST = "#past"
"""Beside them too: per field the digests of what we wrote before, newest first."""
REMEMBERED = 6
FINE = 0.02
"""Seconds, for clocks that tell fractions."""
LATE = 1.0
"""Seconds by which a source's clock may be coarse: what is this close to our write may be from before it."""


def plain(value: Any) -> Any:
    """A value in one spelling: ``188.00``, ``"188"`` and ``188`` are one number, times are UTC."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, dict):
        kept = {key: plain(inner) for key, inner in sorted(value.items())}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, str):
        return _text(value)
    return _number(value)


def _text(value: str) -> Any:
    text = value.strip()
    if len(text) >= 19 and text[4:5] == "-" and text[10:11] == "T":
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        return moment.astimezone(UTC).isoformat() if moment.tzinfo else text
    return _trimmed(text) if _PLAIN_NUMBER.fullmatch(text) else text


def _number(value: Any) -> str:
    text = str(value)
    if "E" in text.upper():
        number = Decimal(text)
        text = format(number, "f") if number.is_finite() and abs(number.adjusted()) <= _DIGITS else text
    return _trimmed(text)


def _trimmed(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def digest(value: Any) -> str:
    """A short digest of a value in one spelling."""
    return hashlib.blake2b(orjson.dumps(plain(value)), digest_size=8).hexdigest()


def native_digest(native: Mapping[str, Any]) -> str:
    """A digest of a record in a vendor's words, exactly as it is sent."""
    return hashlib.blake2b(_written(native), digest_size=8).hexdigest()


def fingerprint(canonical: Mapping[str, Any]) -> str:
    """A digest of a whole record as its mapping wrote it, except when it was changed."""
    kept = {key: value for key, value in canonical.items() if key not in ("updated_at", "created_at")}
    return hashlib.blake2b(_written(kept), digest_size=16).hexdigest()


def _written(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(value, default=str, sort_keys=True).encode()


def pick(canonical: Any, path: str) -> Any:
    """The value at a canonical path; through a list it is the list of what its elements have."""
    if path in ("", "."):
        return canonical
    key, _, rest = path.partition(".")
    if isinstance(canonical, list):
        return [pick(element, path) for element in canonical]
    if not isinstance(canonical, Mapping):
        return None
    return pick(canonical.get(key), rest) if rest else canonical.get(key)


def digests(canonical: Mapping[str, Any], fields: Iterable[str]) -> dict[str, str]:
    """Digest per field that has a value."""
    found = {field: pick(canonical, field) for field in fields}
    return {field: digest(value) for field, value in found.items() if not _empty(value)}


def _empty(value: Any) -> bool:
    return value in (None, "", [], {}) or (isinstance(value, list) and all(_empty(one) for one in value))


def remembered(before: str | None, wrote: Mapping[str, str]) -> dict[str, list[str]]:
    """What to keep under ``PAST`` when ``wrote`` follows what a record's row says was written ``before``."""
    known = orjson.loads(before) if before else {}
    past: dict[str, list[str]] = known.get(PAST, {})
    kept = {}
    for field, mark in known.items():
        if field[0] != "#":
            older = [one for one in past.get(field, ()) if one != mark]
            kept[field] = [mark, *older][:REMEMBERED] if wrote.get(field, mark) != mark else older
    return {field: marks for field, marks in kept.items() if marks}


def late(version: float | None, wrote_at: float | None) -> bool:
    """Whether an event tells of a moment that may lie before our last write to its record."""
    return version is not None and wrote_at is not None and version <= wrote_at + LATE


def overtook(version: float | None, wrote_at: float | None) -> bool:
    """Whether a change was made before our last write to its record, as exactly as its system's clock tells."""
    if version is None or wrote_at is None:
        return False
    return version <= wrote_at + (LATE if version == int(version) else FINE)


def heard_since(known_version: float | None, wrote_at: float | None) -> bool:
    """Whether the state that is known of a record is later than our last write to it.

    Then our write is no longer what the record holds; the same values again are somebody's change back.
    """
    if known_version is None or wrote_at is None:
        return False
    return known_version > wrote_at + (LATE if known_version == int(known_version) else FINE)


def is_echo(
    canonical: Mapping[str, Any], wrote: Mapping[str, Any], before: Mapping[str, Any] | None, *, overtaken: bool = False
) -> bool:
    """Whether a record tells nothing but what we wrote to it ourselves.

    Every field we wrote must read as we wrote it; as we once wrote it, when the event may be from before our last
    write (``overtaken``). When we had seen the record ``before``, any other change in it is somebody else's and
    must go on its way.
    """
    marks = {field: mark for field, mark in wrote.items() if field[0] != "#"}
    past: Mapping[str, list[str]] = wrote.get(PAST, {}) if overtaken else {}
    if not marks:
        return False
    for field, mark in marks.items():
        seen = digest(pick(canonical, field))
        if seen != mark and seen not in past.get(field, ()):
            return False
    if before is None:
        return True
    written = set(marks)
    now, then = _unwritten(canonical, written), _unwritten(before, written)
    return all(key in UNCOMPARED or digest(now.get(key)) == digest(then.get(key)) for key in {*now, *then})


def _unwritten(value: Any, written: set[str]) -> Any:
    """``value`` without the paths in ``written``.

    Of a list's elements also without their ids, which the other side gives, so that a line which holds only
    what we wrote leaves nothing.
    """
    if isinstance(value, list | tuple):
        left = (_unwritten(one, written | {"id"}) for one in value) if written else value
        return [rest for rest in left if not _empty(rest)]
    if not isinstance(value, Mapping):
        return value
    below: dict[str, set[str]] = {}
    for path in written:
        key, _, rest = path.partition(".")
        below.setdefault(key, set()).add(rest)
    return {
        key: _unwritten(inner, below.get(key, set())) for key, inner in value.items() if "" not in below.get(key, ())
    }

"""Echo 回环: recognises our own write when it comes back as an event. Pure.

When we write a record we keep a digest of every canonical field that the target's mapping both writes
and reads. An event from that record whose same fields all have these digests tells nothing new. The
comparison is over canonical values, so it also holds when the vendor normalises what it was given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

UNCOMPARED = frozenset({"id", "number", "created_at", "updated_at", "extra", "identities"})
"""Top-level fields the other side gives by itself."""


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
    if text and (text[0].isdigit() or text[0] == "-") and text.replace(".", "", 1).lstrip("-").isdigit():
        return _number(text)
    return text


def _number(value: Any) -> Any:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return format(number.normalize(), "f") if number.is_finite() else str(value)


def digest(value: Any) -> str:
    """A short digest of a value in one spelling."""
    return hashlib.blake2b(orjson.dumps(plain(value)), digest_size=8).hexdigest()


def fingerprint(canonical: Mapping[str, Any]) -> str:
    """A digest of a whole record as its mapping wrote it, except when it was changed."""
    kept = {key: value for key, value in canonical.items() if key not in ("updated_at", "created_at")}
    return hashlib.blake2b(orjson.dumps(kept, default=str, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


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


def is_echo(canonical: Mapping[str, Any], wrote: Mapping[str, str], before: Mapping[str, Any] | None) -> bool:
    """Whether a record tells nothing but what we wrote to it ourselves.

    Every field we wrote must read as we wrote it. When we had seen the record ``before``, any other
    change in it is somebody else's and must go on its way.
    """
    if not wrote or any(digest(pick(canonical, field)) != mark for field, mark in wrote.items()):
        return False
    if before is None:
        return True
    written = {field.partition(".")[0] for field in wrote}
    return all(
        key in written or key in UNCOMPARED or digest(canonical.get(key)) == digest(before.get(key))
        for key in {*canonical, *before}
    )


def is_known(
    canonical: Mapping[str, Any], fields: Iterable[str], wrote: Mapping[str, str], there: Mapping[str, Any] | None
) -> bool:
    """Whether a target already holds everything a write would tell it.

    Per field, what we wrote last and what the target reported (``there``) must both agree, as far as
    they exist, and one of them must exist: in doubt the write goes out.
    """
    marks = digests(canonical, fields)
    for field, mark in marks.items():
        reported = None if there is None else pick(there, field)
        if field not in wrote and _empty(reported):
            return False
        if field in wrote and wrote[field] != mark:
            return False
        if there is not None and digest(reported) != mark:
            return False
    return bool(marks)

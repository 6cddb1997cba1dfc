"""JSON text without loss: whole numbers of any size, other numbers as Decimal, never as float.

Order ids above 2^53 and amounts like 0.10 must leave as they came. ``loads`` takes the quick parser when the text
holds nothing it would bend, and the exact one otherwise; ``dumps`` writes Decimal as the same digits. The one thing
that does not come through as it was is half a character (an emoji cut in two): it is read as U+FFFD.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import orjson

MAX_DEPTH = 100
"""Deeper nesting is refused: no business message needs it, and every reader after us would recurse."""

_INEXACT = re.compile(rb"(?:^|[:\[,])\s*-?(?:\d+[.eE]|\d{19})")
"""A number with a fraction or an exponent, or a whole one that may not fit 64 bits."""

_INEXACT_BARE = re.compile(rb"\d+[.eE]|\d{19}")
"""The same in what is left of a text without its strings."""

_CONSTANT = re.compile(rb"(?:^|[:\[,])\s*-?(?:NaN|Infinity)")
"""What some servers write where a number has no value; no JSON, but an answer should not be lost over it."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
"""One escape after the other, so that an escaped backslash begins none; the group is half a pair that stands alone."""


class JsonError(ValueError):
    """Text that is not JSON, or that is too deep."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _null(name: str) -> None:
    return None


def loads(data: bytes | str, *, constants: bool = False) -> Any:
    """Parse exactly. Raises JsonError, whatever the text does. ``constants``: NaN and Infinity are read as null.

    Half a surrogate pair becomes U+FFFD: it can be written nowhere, and a sender repeats the same text for ever.
    """
    raw = _utf8(data) if isinstance(data, str) else bytes(data)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if _SURROGATE.search(raw):
        raw = _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], raw)
    try:
        if constants and _CONSTANT.search(raw):
            value = json.loads(raw.decode(), parse_float=Decimal, parse_constant=_null)
        elif not _inexact(raw):
            value = orjson.loads(raw)
        else:
            value = json.loads(raw.decode(), parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError, UnicodeError, ArithmeticError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise JsonError(f"not JSON: {reason}") from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _too_deep(value):
        raise JsonError(f"JSON nested deeper than {MAX_DEPTH}")
    return value


def _inexact(raw: bytes) -> bool:
    if b"\\" in raw:  # a string may hold a quotation mark
        return _INEXACT.search(raw) is not None
    # Most of a message is strings; they are cut out at a fraction of what looking through them costs.
    return _INEXACT_BARE.search(b"".join(raw.split(b'"')[::2])) is not None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below = [node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)]
        if not below:
            return False
        level = [child for children in below for child in children]
    return True


def number(value: Decimal) -> str:
    """The digits of a Decimal as a JSON number, plain where that stays short."""
    if not value.is_finite():
        raise JsonError(f"{value} is not a JSON number")
    _, digits, exponent = value.as_tuple()
    if isinstance(exponent, int) and -40 <= exponent <= 0 and len(digits) <= 80:
        return format(value, "f")
    return str(value)


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(number(value))
    if isinstance(value, set | frozenset):
        return sorted(value)
    if hasattr(value, "items"):
        return dict(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def dumps(value: Any, *, sort: bool = False, indent: bool = False) -> bytes:
    """UTF-8 JSON, compact unless ``indent``; Decimal and large whole numbers keep their digits. Raises JsonError."""
    option = (orjson.OPT_SORT_KEYS if sort else 0) | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        return orjson.dumps(value, default=_default, option=option)
    except (TypeError, ValueError) as error:
        try:
            return orjson.dumps(_fragments(value), default=_default, option=option)
        except (TypeError, ValueError, RecursionError):
            raise JsonError(f"cannot be written as JSON: {error}") from None


def _fragments(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 62:
        return orjson.Fragment(str(value))
    if isinstance(value, dict):
        return {str(key): _fragments(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_fragments(child) for child in value]
    return value

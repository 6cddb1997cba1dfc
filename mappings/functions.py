"""The closed list of functions and methods an expression may call. Pure, bounded, no host access.

Each takes its arguments and ``charge``. Null in, null out, unless said otherwise.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from mappings import arithmetic, pattern
from mappings.arithmetic import Charge
from mappings.errors import ExpressionError

_DECIMAL = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_FORMAT = re.compile(r"(?:%[YmdHMSyjf%]|[^%]){1,60}\Z")


def _refuse(name: str, value: Any) -> ExpressionError:
    what = arithmetic.kind(value)
    return ExpressionError(f"{name}() 不接受 {what}", f"{name}() does not take {what}")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse(name, value)
    return value


def _count(name: str, value: Any) -> int:
    found = arithmetic.number(value)
    if found is None or found != int(found) or not -(2**31) < found < 2**31:
        raise _refuse(name, value)
    return int(found)


def size(value: Any, charge: Charge) -> int | None:
    if value is None:
        return 0
    if isinstance(value, str | list | dict):
        return len(value)
    raise _refuse("size", value)


def string(value: Any, charge: Charge) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    found = arithmetic.number(value)
    if found is None:
        raise _refuse("string", value)
    return arithmetic.plain(found)


def decimal(value: Any, charge: Charge) -> int | Decimal | None:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        if not _DECIMAL.match(text):
            raise ExpressionError(f"'{text[:40]}' 不是数字", "this text is not a number")
        value = Decimal(text)
    found = arithmetic.number(value)
    if found is None:
        raise _refuse("decimal", value)
    return Decimal(found)


def integer(value: Any, charge: Charge) -> int | None:
    """Whole part of a number; text must be a whole number; a time gives Unix seconds."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return int((value - _EPOCH) // timedelta(seconds=1))
    if isinstance(value, str) and not re.match(r"\s*[+-]?[0-9]{1,40}\s*\Z", value):
        raise ExpressionError(f"'{value[:40]}' 不是整数", "this text is not a whole number")
    if isinstance(value, bool):
        raise _refuse("int", value)
    found = decimal(value, charge)
    return None if found is None else int(found)


def boolean(value: Any, charge: Charge) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise _refuse("bool", value)


def timestamp(value: Any, charge: Charge) -> datetime | None:
    """A time from ISO text with its zone, or from Unix seconds."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            if not 10 < len(value) <= 40:
                raise ValueError("not a time")
            value = datetime.fromisoformat(value)
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            value = _EPOCH + timedelta(microseconds=int(Decimal(arithmetic.number(value) or 0) * 1_000_000))
    except (ValueError, OverflowError):
        raise ExpressionError("不是有效的时间", "not a valid time") from None
    if not isinstance(value, datetime):
        raise _refuse("timestamp", value)
    if value.tzinfo is None:
        raise ExpressionError("时间缺少时区", "a time without its zone")
    return value


def format_time(value: Any, shape: Any, zone: Any, charge: Charge) -> str | None:
    """``formatTime(t, "%Y-%m-%d %H:%M", "Asia/Shanghai")``: a time for people to read."""
    moment = timestamp(value, charge)
    if moment is None:
        return None
    shape = _text("formatTime", shape)
    if not _TIME_FORMAT.match(shape):
        raise ExpressionError(
            "时间格式只支持 %Y %m %d %H %M %S 等", "a time format has %Y %m %d %H %M %S and plain text"
        )
    try:
        return moment.astimezone(zoneinfo.ZoneInfo(_text("formatTime", zone))).strftime(shape)
    except (ValueError, OverflowError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ExpressionError("不认识的时区或时间", "unknown zone or time") from None


def rounded(value: Any, places: Any, charge: Charge) -> Decimal | None:
    """``round(x, 2)``: half up, as invoices do."""
    found = decimal(value, charge)
    if found is None:
        return None
    count = _count("round", places)
    if not 0 <= count <= 10:
        raise ExpressionError("小数位数为 0 到 10", "places go from 0 to 10")
    try:
        return Decimal(found).quantize(Decimal(1).scaleb(-count), ROUND_HALF_UP, arithmetic.EXACT)
    except InvalidOperation:
        raise ExpressionError("数字超出范围", "number out of range") from None


def _numbers(name: str, value: Any, charge: Charge) -> list[Any]:
    if not isinstance(value, list):
        raise _refuse(name, value)
    charge(len(value))
    found = [item for item in value if item is not None]
    for item in found:
        if arithmetic.number(item) is None:
            raise _refuse(name, item)
    return found


def total(value: Any, charge: Charge) -> Any:
    """``sum(list)`` of numbers; nulls are passed over."""
    if value is None:
        return None
    result: Any = 0
    for item in _numbers("sum", value, charge):
        result = arithmetic.combine("+", result, item, charge)
    return result


def least(value: Any, charge: Charge) -> Any:
    return None if value is None else min(_numbers("min", value, charge), default=None)


def greatest(value: Any, charge: Charge) -> Any:
    return None if value is None else max(_numbers("max", value, charge), default=None)


def contains(text: str, part: Any, charge: Charge) -> bool:
    charge(len(text) // 64)
    return _text("contains", part) in text


def starts_with(text: str, part: Any, charge: Charge) -> bool:
    return text.startswith(_text("startsWith", part))


def ends_with(text: str, part: Any, charge: Charge) -> bool:
    return text.endswith(_text("endsWith", part))


def matches(text: str, shape: Any, charge: Charge) -> bool:
    compiled = pattern.compile(_text("matches", shape))
    charge(len(text) * compiled.states // 4)
    return compiled.found(text)


def trim(text: str, charge: Charge) -> str:
    return text.strip()


def lower(text: str, charge: Charge) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def upper(text: str, charge: Charge) -> str:
    return "".join(c.upper() if c.isascii() else c for c in text)


def replace(text: str, old: Any, new: Any, charge: Charge) -> str:
    old, new = _text("replace", old), _text("replace", new)
    if len(text) + text.count(old) * len(new) > arithmetic.MAX_TEXT:
        raise ExpressionError("文字太长", "text too long")
    return arithmetic.capped(text.replace(old, new), charge)


def split(text: str, separator: Any, charge: Charge) -> list[str]:
    separator = _text("split", separator)
    charge(len(text))
    return text.split(separator) if separator else list(text)


def substring(text: str, start: Any, end: Any = None, *, charge: Charge) -> str:
    """From ``start`` up to ``end``; positions past the end are the end (CEL refuses them)."""
    first = _count("substring", start)
    last = len(text) if end is None else _count("substring", end)
    if first < 0 or last < first:
        raise ExpressionError("substring 的位置不对", "substring positions run forward from 0")
    return text[first:last]


def join(items: list[Any], separator: Any, charge: Charge) -> str:
    """Texts of a list in one; nulls are passed over."""
    pieces = [_text("join", item) for item in items if item is not None]
    separator = _text("join", separator)
    if sum(map(len, pieces)) + len(separator) * len(pieces) > arithmetic.MAX_TEXT:
        raise ExpressionError("文字太长", "text too long")
    charge(len(pieces))
    return arithmetic.capped(separator.join(pieces), charge)


def flatten(items: list[Any], charge: Charge) -> list[Any]:
    """A list of lists as one list, one level deep; elements that are no lists stay, nulls are passed over."""
    charge(len(items) + sum(len(item) for item in items if isinstance(item, list)))
    out: list[Any] = []
    for item in items:
        if isinstance(item, list):
            out.extend(item)
        elif item is not None:
            out.append(item)
    return out


def as_object(items: list[Any], charge: Charge) -> dict[str, Any]:
    """``[["a", 1], ["b", 2]].object()``: pairs of name and value as one object; a name that comes again wins."""
    charge(len(items))
    out: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, list) or len(item) != 2:
            raise _refuse("object", item)
        out[_text("object", item[0])] = item[1]
    return out


Function = Callable[..., Any]

FUNCTIONS: dict[str, tuple[Function, int]] = {
    "size": (size, 1), "string": (string, 1), "int": (integer, 1), "uint": (integer, 1), "double": (decimal, 1),
    "decimal": (decimal, 1), "bool": (boolean, 1), "timestamp": (timestamp, 1), "formatTime": (format_time, 3),
    "round": (rounded, 2), "sum": (total, 1), "min": (least, 1), "max": (greatest, 1),
}  # fmt: skip
"""Name -> function and how many arguments it takes."""


def _bounded_substring(text: str, *arguments: Any) -> str:
    return substring(text, *arguments[:-1], charge=arguments[-1])


TEXT_METHODS: dict[str, tuple[Function, tuple[int, ...]]] = {
    "contains": (contains, (1,)), "startsWith": (starts_with, (1,)), "endsWith": (ends_with, (1,)),
    "matches": (matches, (1,)), "trim": (trim, (0,)), "lowerAscii": (lower, (0,)), "upperAscii": (upper, (0,)),
    "replace": (replace, (2,)), "split": (split, (1,)), "substring": (_bounded_substring, (1, 2)), "size": (size, (0,)),
}  # fmt: skip
LIST_METHODS: dict[str, tuple[Function, tuple[int, ...]]] = {
    "join": (join, (1,)), "size": (size, (0,)), "flatten": (flatten, (0,)), "object": (as_object, (0,)),
}  # fmt: skip
METHODS = {**LIST_METHODS, **TEXT_METHODS}

__all__ = ["FUNCTIONS", "LIST_METHODS", "METHODS", "TEXT_METHODS", "timestamp"]

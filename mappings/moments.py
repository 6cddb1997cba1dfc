"""The datetime codec: local patterns with their zone, Unix seconds and milliseconds, ISO.

Canonical times are aware. A native text without an offset is read in the rule's ``zone`` and written in
it again; what a format cannot hold (fractions of a second, say) is cut off when written. The ways
vendors write "no time" count as missing: blank text, ``0000-00-00…``, ``0001-01-01…`` and Unix 0.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from mappings import amounts, errors

Convert = Callable[[Any], Any]
UNIX = {"unix_s": 1, "unix_ms": 1000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIVES = re.compile(r"%(.?)")
_ALLOWED = frozenset("YmdHMSfzyjpIb%")
_NEVER = ("0000-00-00", "0001-01-01")
_SECONDS = {"%Y-%m-%d %H:%M:%S": " ", "%Y-%m-%dT%H:%M:%S": "T"}


class FormatError(ValueError):
    """A format or zone that cannot be used. ``zh`` and ``en`` say why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


def zone(name: str | None) -> tzinfo | None:
    """A zone by its IANA name. Raises FormatError."""
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise FormatError(
            f"不认识的时区 '{name}'，例如 Asia/Shanghai", f"unknown zone '{name}' (say Asia/Shanghai)"
        ) from None


def _refuse(value: Any, wanted: str) -> errors.BadValue:
    return errors.BadValue(
        f"'{errors.shown(value)}' 不是 {wanted} 格式的时间",
        f"'{errors.shown(value)}' is not a time written as {wanted}",
    )


def _aware(value: Any) -> datetime | None:
    """A canonical time: aware datetime, or ISO text with an offset as storage gives it."""
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = datetime.fromisoformat(value) if len(value) <= 40 else None
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise errors.BadValue("标准模型中的时间应带时区", "a canonical time carries its zone")
    return _sane(value)


def _sane(moment: datetime) -> datetime:
    """Years that can be moved between zones and written with four digits."""
    if not 1000 < moment.year < 9999:
        raise errors.BadValue(f"年份 {moment.year} 超出范围", f"year {moment.year} is out of range")
    return moment


def _missing(text: str) -> bool:
    return not text.strip() or text.startswith(_NEVER)


def _unix(name: str, native_type: str | None) -> tuple[Convert, Convert]:
    scale = UNIX[name]
    as_text = native_type == "string"

    def decode(value: Any) -> datetime | None:
        if type(value) is not int:
            count = amounts.read(value)
            if count is None:
                return None
            if count != count.to_integral_value():
                raise _refuse(value, name)
            value = int(count)
        if value == 0:
            return None
        try:
            return _sane(_EPOCH + timedelta(milliseconds=value * (1000 // scale)))
        except OverflowError:
            raise _refuse(value, name) from None

    def encode(value: Any) -> Any:
        moment = _aware(value)
        if moment is None:
            return None
        count = (moment - _EPOCH) // timedelta(milliseconds=1000 // scale)
        return str(count) if as_text else count

    return decode, encode


def _iso(local: tzinfo | None) -> tuple[Convert, Convert]:
    def decode(value: Any) -> datetime | None:
        if type(value) is not str:
            raise _refuse(value, "iso")
        if _missing(value):
            return None
        try:
            moment = datetime.fromisoformat(value) if len(value) <= 40 else None
        except ValueError:
            moment = None
        if moment is None:
            raise _refuse(value, "iso")
        if moment.tzinfo is None:
            if local is None:
                raise errors.BadValue(
                    f"时间 '{errors.shown(value)}' 没有时区；请在规则中写 zone",
                    f"time '{errors.shown(value)}' has no offset; give the rule a zone",
                )
            moment = moment.replace(tzinfo=local)
        return _sane(moment)

    def encode(value: Any) -> str | None:
        moment = _aware(value)
        if moment is None:
            return None
        text = moment.astimezone(local or UTC).isoformat()
        return text if local is not None else text.replace("+00:00", "Z")

    return decode, encode


def _pattern(shape: str, local: tzinfo | None) -> tuple[Convert, Convert]:
    used = {match[1] for match in _DIRECTIVES.finditer(shape)}
    if not used - {"%"} or not used <= _ALLOWED:
        raise FormatError(f"不支持的时间格式 '{shape}'", f"unsupported time format '{shape}'")
    offset = "z" in used
    if local is None and not offset:
        raise FormatError(
            f"格式 '{shape}' 不含时区，请写 zone", f"format '{shape}' has no offset: give the rule a zone"
        )
    separator = _SECONDS.get(shape)

    def decode(value: Any) -> datetime | None:
        if type(value) is not str:
            raise _refuse(value, shape)
        if separator is not None and len(value) == 19 and value[10] == separator and value[13] == ":":
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                moment = None
            if moment is not None and 1000 < moment.year < 9999:
                return moment.replace(tzinfo=local)
        text = value.strip()
        if _missing(text):
            return None
        try:
            moment = datetime.strptime(text, shape) if len(text) <= 60 else None  # noqa: DTZ007  made aware below
        except ValueError:
            moment = None
        if moment is None:
            raise _refuse(value, shape)
        return _sane(moment if moment.tzinfo is not None else moment.replace(tzinfo=local))

    def encode(value: Any) -> str | None:
        moment = _aware(value)
        if moment is None:
            return None
        if local is not None:
            moment = moment.astimezone(local)
        if separator is not None:
            return moment.replace(tzinfo=None).isoformat(separator, "seconds")
        return moment.strftime(shape)

    return decode, encode


def codec(formats: list[str], zone_name: str | None, native_type: str | None) -> tuple[Convert, Convert]:
    """Decode (any of the formats) and encode (the first). Raises FormatError for what cannot work."""
    local = zone(zone_name)
    pairs: list[tuple[Convert, Convert]] = []
    for shape in formats:
        if shape in UNIX:
            pairs.append(_unix(shape, native_type))
        elif shape == "iso":
            pairs.append(_iso(local))
        else:
            pairs.append(_pattern(shape, local))
    if not pairs:
        raise FormatError("format 是空的", "format is empty")
    decode, encode = pairs[0]
    if len(pairs) == 1:
        return decode, encode

    def either(value: Any) -> Any:
        for one, _ in pairs:
            try:
                return one(value)
            except errors.BadValue:
                continue
        raise _refuse(value, " / ".join(formats))

    return either, encode


__all__ = ["UNIX", "FormatError", "codec", "zone"]

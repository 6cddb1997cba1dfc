"""The closed list of codecs: each decodes native -> canonical and encodes canonical -> native.

A codec answers ``None`` for "nothing here" and raises BadValue for what it refuses. Without a codec the
canonical type decides: ids become text, amounts Decimal, and so on, never by guessing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import orjson

from mappings import amounts, errors, kinds, moments, spec
from mappings.kinds import Shape

Convert = Callable[[Any], Any]

MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_PIECES = 2_000
_INTEGER = re.compile(r"-?[0-9]{1,40}\Z")


class Codec(NamedTuple):
    decode: Convert
    encode: Convert


def build(rule: spec.Rule, kind: kinds.Kind, tables: dict[str, spec.Table]) -> Codec:
    """The codec of a rule for a canonical kind. Raises moments.FormatError or LookupError for bad options."""
    name = rule.codec
    if name is None or name == "text":
        return _plain(kind, rule)
    if name == "number":
        return Codec(*amounts.number(rule.native_type, rule.places, rule.rounding))
    if name == "money":
        return Codec(*amounts.money(rule.unit or "yuan", rule.native_type, rule.places, rule.rounding))
    if name == "datetime":
        formats = rule.format if isinstance(rule.format, list) else [rule.format or ""]
        return Codec(*moments.codec(formats, rule.zone, rule.native_type))
    if name == "enum":
        return _enum(rule, tables[rule.table or ""])
    if name == "boolean":
        return _boolean(rule)
    if name in ("split", "join"):
        return _split(rule.by or ",", rule.trim, kind)
    if name == "address":
        return _address(rule)
    return Codec(read_json, write_json)


# without a codec, and text


def text(value: Any) -> str:
    """A scalar as text. Raises BadValue for booleans, lists and objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 256:
        return str(value)
    if isinstance(value, Decimal | float):
        number = amounts.read(value)
        if number is not None:
            return amounts.plain(number)
    raise errors.BadValue(f"应为文字，却是 {_name(value)}", f"expected text, found {_name(value)}")


def _name(value: Any) -> str:
    names = {dict: "object", list: "list", bool: "boolean"}
    return names.get(type(value), errors.shown(value))


def native(value: Any) -> Any:
    """Any plain value as JSON data for a vendor: exact numbers, ISO times, bounded depth and size."""
    return _copied(value, True)


def canonical(value: Any) -> Any:
    """A bounded copy of free-form data on its way into a canonical record."""
    return _copied(value, False)


def _copied(value: Any, outward: bool) -> Any:
    left = MAX_NODES

    def copy(node: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if depth > MAX_DEPTH or left < 0:
            raise errors.BadValue("数据太大或嵌套太深", "the data is too large or nested too deeply")
        if isinstance(node, dict):
            return {str(key): copy(item, depth + 1) for key, item in node.items()}
        if isinstance(node, list | tuple):
            return [copy(item, depth + 1) for item in node]
        if isinstance(node, float | Decimal):
            number = amounts.read(node)
            return amounts.json_number(number) if outward and number is not None else number
        if outward and isinstance(node, datetime):
            return node.isoformat()
        if isinstance(node, int) and node.bit_length() > 256:
            raise errors.BadValue("数字太大", "number too large")
        return str(node) if isinstance(node, str) else node

    return copy(value, 0)


def coerce(kind: kinds.Kind) -> Convert:
    """A function that brings a value of any origin (constant, expression, plain field) to a canonical kind."""
    if kind.shape in (Shape.TEXT, Shape.ENUM):
        return text
    if kind.shape is Shape.DECIMAL:
        return amounts.read
    if kind.shape is Shape.MOMENT:
        iso = moments.codec(["iso"], None, None)[0]
        return lambda value: value if isinstance(value, datetime) else iso(value)
    if kind.shape is Shape.BOOLEAN:
        return _flag
    if kind.shape is Shape.LIST and kind.item is not None:
        item = coerce(kind.item)

        def items(value: Any) -> list[Any]:
            if not isinstance(value, list):
                raise errors.BadValue(f"应为列表，却是 {_name(value)}", f"expected a list, found {_name(value)}")
            if len(value) > MAX_PIECES:
                raise errors.BadValue("列表太长", "the list is too long")
            return [item(one) for one in value if one is not None]

        return items
    return canonical


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise errors.BadValue(f"应为真或假，却是 {_name(value)}", f"expected a boolean, found {_name(value)}")


def whole(value: Any) -> int:
    """Digits as an integer, for vendors that keep ids as JSON numbers. Raises BadValue."""
    digits = text(value)
    if not _INTEGER.match(digits):
        raise errors.BadValue(f"'{errors.shown(digits)}' 不是整数", f"'{errors.shown(digits)}' is not a whole number")
    return int(digits)


def _plain(kind: kinds.Kind, rule: spec.Rule) -> Codec:
    decode = coerce(kind)
    if kind.shape in (Shape.TEXT, Shape.ENUM):
        if rule.trim:
            return Codec(lambda value: text(value).strip(), text)
        return Codec(decode, whole if rule.native_type in ("integer", "number") else text)
    if kind.shape is Shape.DECIMAL:
        return Codec(*amounts.number(rule.native_type, None, "exact"))
    if kind.shape is Shape.MOMENT:
        return Codec(*moments.codec(["iso"], None, None))
    if kind.shape is Shape.BOOLEAN:
        return Codec(_flag, _flag)
    if rule.native_type == "string":
        return Codec(decode, text)
    return Codec(decode, whole if rule.native_type == "integer" else native)


# enum, boolean


def flat(value: Any) -> str:
    """How table keys and flags are compared: 1, "1" and 1.0 alike; true and false by name."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | float):
        number = amounts.read(value)
        if number is not None and number == number.to_integral_value():
            return str(int(number))
    return text(value)


def inverse(table: spec.Table) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The way back of a table (canonical -> native), and what cannot be inverted: canonical -> its several natives."""
    sources: dict[str, list[Any]] = {}
    for key, value in table.to_canonical.items():
        sources.setdefault(flat(value), []).append(key)
    back = {value: keys[0] for value, keys in sources.items() if len(keys) == 1}
    back.update({flat(key): value for key, value in table.to_native.items()})
    ambiguous = {
        value: [flat(key) for key in keys] for value, keys in sources.items() if len(keys) > 1 and value not in back
    }
    return back, ambiguous


def _enum(rule: spec.Rule, table: spec.Table) -> Codec:
    name = rule.table or ""
    forward = {flat(key): value for key, value in table.to_canonical.items()}
    backward, _ = inverse(table)

    def missing(value: str, side: str, default: str) -> errors.BadValue:
        shown = errors.shown(value)
        return errors.BadValue(
            f"对照表 '{name}' 没有取值 '{shown}'；请在 tables.{name}.{side} 中加一行，或设置 {default}",
            f"table '{name}' has no entry for '{shown}'; add it under tables.{name}.{side}, or set {default}",
        )

    def decode(value: Any) -> Any:
        key = value if type(value) is str else flat(value)
        found = forward.get(key)
        if found is None:
            if not key:
                return table.default_from
            if table.default_from is None:
                raise missing(key, "from", "default_from")
            return table.default_from
        return found

    written: Convert | None = {"string": flat, "integer": whole}.get(rule.native_type or "")

    def encode(value: Any) -> Any:
        key = flat(value)
        found = backward.get(key)
        if found is None:
            if table.default_to is None:
                raise missing(key, "to", "default_to")
            found = table.default_to
        return found if written is None else written(found)

    return Codec(decode, encode)


def _boolean(rule: spec.Rule) -> Codec:
    yes = rule.yes if isinstance(rule.yes, list) else [True if rule.yes is None else rule.yes]
    no = rule.no if isinstance(rule.no, list) else [False if rule.no is None else rule.no]
    meaning = {flat(value): False for value in no} | {flat(value): True for value in yes}
    write = {True: native(yes[0]), False: native(no[0])}

    def decode(value: Any) -> bool | None:
        if value is True or value is False:
            return meaning.get(flat(value), value)
        key = flat(value)
        if key not in meaning:
            if not key:
                return None
            raise errors.BadValue(
                f"'{errors.shown(key)}' 既不是 true 也不是 false 的写法；请在规则的 true / false 中列出",
                f"'{errors.shown(key)}' is neither of the declared true and false; list it in the rule",
            )
        return meaning[key]

    return Codec(decode, lambda value: write[_flag(value)])


# lists in text, addresses, JSON


def _split(by: str, trim: bool, kind: kinds.Kind) -> Codec:
    """Text with separators on one side, a list on the other; empty pieces are dropped."""

    def apart(value: Any) -> list[str]:
        pieces = text(value).split(by, MAX_PIECES)
        if len(pieces) > MAX_PIECES:
            raise errors.BadValue("列表太长", "the list is too long")
        return [piece for one in pieces if (piece := one.strip() if trim else one)]

    def together(value: Any) -> str:
        if not isinstance(value, list):
            raise errors.BadValue(f"应为列表，却是 {_name(value)}", f"expected a list, found {_name(value)}")
        pieces = [text(one) for one in value if one is not None]
        for piece in pieces:
            if by in piece:
                raise errors.BadValue(
                    f"'{errors.shown(piece)}' 含有分隔符 '{by}'，写出后无法还原",
                    f"'{errors.shown(piece)}' contains the separator '{by}' and could not be read back",
                )
        return by.join(piece for piece in pieces if piece)

    return Codec(together, apart) if kind.shape is Shape.TEXT else Codec(apart, together)


_JOINED_PARTS: list[Any] = ["province", "city", "district", "town", "street"]


def _address(rule: spec.Rule) -> Codec:
    if (rule.style or "structured") == "structured":
        names = rule.parts if isinstance(rule.parts, dict) else {part: part for part in rule.parts or []}
        return _structured(dict(names) or {part: part for part in ("country", *_JOINED_PARTS, "zip")})
    parts = rule.parts if isinstance(rule.parts, list) else _JOINED_PARTS
    return _joined(list(parts), " " if rule.separator is None else rule.separator)


def _structured(names: dict[Any, str]) -> Codec:
    def decode(value: Any) -> dict[str, str] | None:
        if not isinstance(value, dict):
            raise errors.BadValue(f"地址应为对象，却是 {_name(value)}", f"an address is an object, not {_name(value)}")
        found = {part: text(value[name]) for part, name in names.items() if value.get(name) is not None}
        return found or None

    def encode(value: Any) -> dict[str, str] | None:
        if not isinstance(value, dict):
            raise errors.BadValue(f"地址应为对象，却是 {_name(value)}", f"an address is an object, not {_name(value)}")
        written = {name: text(value[part]) for part, name in names.items() if value.get(part) is not None}
        return written or None

    return Codec(decode, encode)


def _joined(parts: list[str], separator: str) -> Codec:
    """``浙江省 杭州市 西湖区 文三路 1 号``: parts in order; what has too few pieces ends in the last part."""
    last = parts[-1]

    def decode(value: Any) -> dict[str, str] | None:
        whole_text = text(value).strip()
        if not whole_text:
            return None
        pieces = whole_text.split(separator, len(parts) - 1) if separator else [whole_text]
        return dict(zip(parts, pieces[:-1], strict=False)) | {last: pieces[-1]}

    def encode(value: Any) -> str | None:
        if not isinstance(value, dict):
            raise errors.BadValue(f"地址应为对象，却是 {_name(value)}", f"an address is an object, not {_name(value)}")
        return separator.join(text(value[part]) for part in parts if value.get(part)) or None

    return Codec(decode, encode)


def read_json(value: Any) -> Any:
    """Data from JSON text; what already is data passes, since some vendors send both."""
    if not isinstance(value, str):
        return canonical(value)
    if not value.strip():
        return None
    try:
        return canonical(json.loads(value, parse_float=Decimal, parse_constant=_no_constant))
    except (ValueError, InvalidOperation, RecursionError):
        raise errors.BadValue("不是有效的 JSON 文本", "not valid JSON text") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def write_json(value: Any) -> str:
    """Data as compact JSON text, numbers exact. Raises BadValue."""
    try:
        return orjson.dumps(native(value), default=_fragment).decode()
    except orjson.JSONEncodeError as error:
        raise errors.BadValue(f"不能写成 JSON 文本：{error}", f"cannot be written as JSON text: {error}") from None


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(amounts.plain(value))
    raise TypeError(type(value).__name__)


__all__ = [
    "Codec",
    "build",
    "canonical",
    "coerce",
    "flat",
    "inverse",
    "native",
    "read_json",
    "text",
    "whole",
    "write_json",
]

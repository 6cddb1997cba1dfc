"""Paths into plain data, parsed once and turned into closures.

``a.b``  members · ``a[0]`` ``a[-1]`` elements · ``a['x.y']`` a member with an odd name ·
``a[kind=phone].value`` the element whose member ``kind`` is ``phone`` (compared as text) · ``.`` the
thing itself. Null and missing are the same: a getter answers ``None`` for both. Vendors written in PHP
send ``""`` or ``[]`` for an empty object, so these count as missing on the way down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mappings import errors

Getter = Callable[[Any], Any]
Setter = Callable[[dict[str, Any], Any], None]

_LIMIT = 200
_PIECE = re.compile(
    r"""\.?(?P<key>[^.\[\]'"]+)"""
    r"""|\[(?P<index>-?\d{1,6})\]"""
    r"""|\[(?:'(?P<single>[^']+)'|"(?P<double>[^"]+)")\]"""
    r"""|\[(?P<by>[^=\[\]'"]+)=(?:'(?P<text1>[^']*)'|"(?P<text2>[^"]*)"|(?P<plain>[^\]'"]+))\]"""
)


@dataclass(frozen=True, slots=True)
class Select:
    """The element of a list whose member ``key`` reads ``text``; ``made`` is what a new one gets."""

    key: str
    text: str
    made: Any


Segment = str | int | Select


class PathError(ValueError):
    """A path that cannot be read; its text says why."""


def parse(path: str) -> tuple[Segment, ...]:
    """The segments of a path; ``()`` for ``.``. Raises PathError."""
    if path == ".":
        return ()
    if not path or len(path) > _LIMIT:
        raise PathError(f"a path has 1 to {_LIMIT} characters")
    segments: list[Segment] = []
    at = 0
    while at < len(path):
        match = _PIECE.match(path, at)
        starts_with_dot = path[at] == "."
        if match is None or (starts_with_dot and at == 0):
            raise PathError(f"path '{path}' cannot be read at character {at + 1}")
        if match["key"] is not None:
            if at > 0 and not starts_with_dot:
                raise PathError(f"path '{path}' needs a dot at character {at + 1}")
            segments.append(match["key"])
        elif match["index"] is not None:
            segments.append(int(match["index"]))
        elif match["by"] is not None:
            plain = match["plain"]
            text = next(part for part in (plain, match["text1"], match["text2"]) if part is not None)
            made: Any = int(plain) if plain is not None and re.fullmatch(r"0|[1-9]\d{0,17}", plain) else text
            segments.append(Select(match["by"], text, made))
        else:
            segments.append(match["single"] or match["double"])
        at = match.end()
    return tuple(segments)


def _select(node: Any, wanted: Select) -> Any:
    for element in node:
        if isinstance(element, dict):
            value = element.get(wanted.key)
            if value is not None and (value == wanted.text or str(value) == wanted.text):
                return element
    return None


def _wrong(segment: Segment, node: Any, kind: str) -> errors.BadValue:
    name = segment.key if isinstance(segment, Select) else segment
    found = type(node).__name__
    return errors.BadValue(
        f"取 '{name}' 时遇到的不是{'列表' if kind == 'a list' else '对象'}，而是 {found}；请检查路径或对方返回的数据",
        f"looked for '{name}' but found {found} instead of {kind}; check the path or the data received",
    )


def _step(node: Any, segment: Segment) -> Any:
    if node == "" or node == []:
        return None
    if isinstance(segment, str):
        if type(node) is not dict:
            if isinstance(node, dict):
                return node.get(segment)
            raise _wrong(segment, node, "an object")
        return node.get(segment)
    if not isinstance(node, list):
        raise _wrong(segment, node, "a list")
    if isinstance(segment, int):
        return node[segment] if -len(node) <= segment < len(node) else None
    return _select(node, segment)


def getter(segments: tuple[Segment, ...]) -> Getter:
    """A function data -> value or None. Raises BadValue where something of the wrong shape is in the way."""
    if len(segments) == 1 and isinstance(segments[0], str):
        only = segments[0]

        def one(data: Any) -> Any:
            return data.get(only) if type(data) is dict else _step(data, only)

        return one
    if len(segments) == 2 and isinstance(segments[0], str) and isinstance(segments[1], str):
        first, second = segments

        def two(data: Any) -> Any:
            node = data.get(first) if type(data) is dict else _step(data, first)
            if node is None:
                return None
            return node.get(second) if type(node) is dict else _step(node, second)

        return two

    def many(data: Any) -> Any:
        node = data
        for segment in segments:
            if node is None:
                return None
            node = _step(node, segment)
        return node

    return many


def _descend(node: Any, segment: Segment, fresh: type) -> Any:
    """The child to write into, made when missing."""
    if isinstance(segment, str):
        if not isinstance(node, dict):
            raise _wrong(segment, node, "an object")
        child = node.get(segment)
        if child is None:
            child = node[segment] = fresh()
        return child
    if not isinstance(node, list):
        raise _wrong(segment, node, "a list")
    if isinstance(segment, Select):
        child = _select(node, segment)
        if child is None:
            child = {segment.key: segment.made}
            node.append(child)
        return child
    if segment == len(node):
        node.append(fresh())
    if not 0 <= segment < len(node):
        raise errors.BadValue(
            f"下标 [{segment}] 之前的元素还没有；请按 [0]、[1] … 的顺序写规则",
            f"element [{segment}] cannot be written before the ones in front of it; write the rules in order",
        )
    return node[segment]


def setter(segments: tuple[Segment, ...]) -> Setter:
    """A function (data, value) that writes, making objects, lists and selected elements on the way."""
    if not segments:
        raise PathError("'.' cannot be written to here")
    if isinstance(segments[-1], Select):
        raise PathError("a path that is written to must end in a member, not in a [key=value] selection")
    if len(segments) == 1 and isinstance(segments[0], str):
        only = segments[0]

        def one(data: dict[str, Any], value: Any) -> None:
            data[only] = value

        return one
    if len(segments) == 2 and isinstance(segments[0], str) and isinstance(segments[1], str):
        outer, inner = segments[0], segments[1]

        def two(data: dict[str, Any], value: Any) -> None:
            node = data.get(outer)
            if node is None:
                data[outer] = {inner: value}
            elif type(node) is dict:
                node[inner] = value
            else:
                raise _wrong(inner, node, "an object")

        return two
    return _deep(segments)


def _deep(segments: tuple[Segment, ...]) -> Setter:
    *way, last = segments
    makes: list[type] = [dict if isinstance(following, str) else list for following in segments[1:]]

    def many(data: dict[str, Any], value: Any) -> None:
        node: Any = data
        for segment, fresh in zip(way, makes, strict=True):
            node = _descend(node, segment, fresh)
        if isinstance(last, str) and isinstance(node, dict):
            node[last] = value
        elif isinstance(last, int) and isinstance(node, list):
            if last == len(node):
                node.append(value)
            elif 0 <= last < len(node):
                node[last] = value
            else:
                _descend(node, last, dict)
        else:
            raise _wrong(last, node, "an object" if isinstance(last, str) else "a list")

    return many


__all__ = ["Getter", "PathError", "Segment", "Select", "Setter", "getter", "parse", "setter"]

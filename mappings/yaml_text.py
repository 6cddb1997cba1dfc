"""YAML as plain data with the line of every node, and none of YAML's surprises.

Built from the parser's events, so nothing is ever constructed but text, numbers, booleans, null, lists
and dicts. ``no``, ``on``, ``12:30`` and ``2026-01-01`` stay text; decimals are exact; keys are text
(whole numbers stay numbers, for enum tables). Aliases, tags, duplicate keys and deep nesting are refused.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml

MAX_TEXT = 512 * 1024
MAX_DEPTH = 40
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,39})\Z")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,29})\.[0-9]{1,29}\Z")
_PLAIN: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "True": True, "false": False, "False": False}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Location = tuple[str | int, ...]
"""Keys and indices from the top of a document to a node."""

Lines = dict[Location, int]
"""Location -> line, counted from 1."""


class YamlError(ValueError):
    """Text that is not acceptable YAML. ``line`` counts from 1."""

    def __init__(self, line: int, zh: str, en: str) -> None:
        super().__init__(f"line {line}: {en}")
        self.line = line
        self.zh = zh
        self.en = en


def load(text: str) -> tuple[Any, Lines]:
    """The data of one YAML document, and location -> line. Raises YamlError."""
    if len(text) > MAX_TEXT:
        raise YamlError(1, f"文件超过 {MAX_TEXT // 1024} KB", f"the file is larger than {MAX_TEXT // 1024} KB")
    try:
        events = [
            event
            for event in yaml.parse(text, Loader=_LOADER)
            if not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent)
        ]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "unreadable"
        line = mark.line + 1 if mark else 1
        raise YamlError(line, f"YAML 格式错误：{what}", f"not valid YAML: {what}") from None
    except (ValueError, UnicodeError, RecursionError) as error:
        raise YamlError(1, "无法作为 YAML 读取", f"not readable as YAML ({type(error).__name__})") from None
    return _Builder(events).document()


class _Builder:
    """Turns the event list into data, one node at a time."""

    def __init__(self, events: list[Any]) -> None:
        self._events = events
        self._at = 0
        self._lines: Lines = {}

    def document(self) -> tuple[Any, Lines]:
        documents = sum(isinstance(event, yaml.DocumentStartEvent) for event in self._events)
        if documents != 1:
            raise YamlError(1, "文件应只有一个 YAML 文档", f"the file should hold one YAML document, not {documents}")
        self._at = 1
        return self._node((), 0), self._lines

    def _next(self) -> Any:
        event = self._events[self._at]
        self._at += 1
        return event

    def _node(self, place: Location, depth: int) -> Any:
        event = self._next()
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise YamlError(line, "嵌套太深", "nested too deeply")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlError(line, "不支持锚点和别名（& *），请直接写出", "anchors and aliases are not supported")
        if event.tag not in (None, "!"):
            raise YamlError(line, "不支持 YAML 标签（!）", "tags are not supported")
        self._lines[place] = line
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place, depth)
        return self._mapping(place, depth)

    def _sequence(self, place: Location, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(self._events[self._at], yaml.SequenceEndEvent):
            items.append(self._node((*place, len(items)), depth + 1))
        self._at += 1
        return items

    def _mapping(self, place: Location, depth: int) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        while not isinstance(self._events[self._at], yaml.MappingEndEvent):
            event = self._next()
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent) or event.anchor:
                raise YamlError(line, "键应是文字", "a key is plain text")
            value = _scalar(event)
            key = value if type(value) is int else event.value
            if key in data:
                raise YamlError(line, f"重复的键 '{key}'", f"duplicate key '{key}'")
            data[key] = self._node((*place, key), depth + 1)
            self._lines[(*place, key)] = line
        self._at += 1
        return data


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style:  # quoted or a block
        return text
    if text in _PLAIN:
        return _PLAIN[text]
    if _INTEGER.match(text):
        return int(text)
    if _DECIMAL.match(text):
        return Decimal(text)
    return text


__all__ = ["Lines", "Location", "YamlError", "load"]

"""XML text to plain dicts and back, without the dangers of XML.

The root element is dropped: the result is what is in it. Text is kept exactly; repeated elements become a list;
attributes are ``@name`` and the text beside children ``#text``; namespaces are cut off. Entities, DTDs and
external references are refused.

Read by the parser below ElementTree, straight into what is wanted: a callback of an office platform is XML inside
XML, and a tree of elements with a look for declarations before it took three times as long.
"""

from __future__ import annotations

import re
from decimal import Decimal
from html import escape
from typing import Any
from xml.parsers import expat

MAX_DEPTH = 100

_NAME = re.compile(r"[A-Za-z_\u4e00-\u9fff][\w.\u4e00-\u9fff-]*")
_CHINESE = re.compile(rb"""\s*<\?xml[^>]*?\bencoding\s*=\s*["']gb""", re.IGNORECASE)
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that no XML document can hold, not even escaped."""


class XmlError(ValueError):
    """Text that is not XML, or that uses what we refuse (entities, DTD, depth)."""


def loads(data: bytes | str) -> dict[str, Any]:
    """The content of the root element. Raises XmlError. Text is read as text, whatever encoding it may claim.

    Bytes that claim a Chinese charset are text in it, unless they are UTF-8 all the same.
    """
    reading = _Reading()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.text
    # Every entity and every external reference begins with a DTD.
    parser.StartDoctypeDeclHandler = _refused
    try:
        if isinstance(data, bytes) and _CHINESE.match(data):
            data = chinese(data)
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise error if isinstance(error, XmlError) else XmlError(f"not XML: {error}") from None
    value = reading.content
    return value if isinstance(value, dict) else ({"#text": value} if value else {})


def chinese(data: bytes) -> str:
    """Text that may be UTF-8 or GBK; all GBK is GB 18030. Raises UnicodeDecodeError."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("gb18030")


def _refused(*_declared: object) -> None:
    raise XmlError("XML refused: a DTD")


class _Reading:
    """What was read so far: per open element its name, its text up to its first child, and what is in it."""

    __slots__ = ("_above", "_found", "_heard", "_name", "_text", "content")

    def __init__(self) -> None:
        self._above: list[tuple[str, str, dict[str, Any] | None]] = []
        self._name, self._text = "", ""
        self._found: dict[str, Any] | None = None
        self._heard = True
        """Whether text counts: what stands behind a child does not."""
        self.content: dict[str, Any] | str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        above = self._above
        if len(above) > MAX_DEPTH + 1:
            raise XmlError(f"XML nested deeper than {MAX_DEPTH}")
        above.append((self._name, self._text, self._found))
        self._name, self._text, self._heard = name.rpartition("}")[2], "", True
        self._found = {f"@{key.rpartition('}')[2]}": one for key, one in attributes.items()} if attributes else None

    def text(self, text: str) -> None:
        if self._heard:
            self._text += text

    def end(self, _name: str) -> None:
        name, text, found = self._name, self._text, self._found
        value: dict[str, Any] | str = text
        if found is not None:
            value = found
            if text and text.strip():
                found["#text"] = text
        self._name, self._text, out = self._above.pop()
        self._heard = False
        if not self._above:
            self.content = value
            return
        if out is None:
            out = {}
        self._found = out
        if name not in out:
            out[name] = value
        elif isinstance(out[name], list):
            out[name].append(value)
        else:
            out[name] = [out[name], value]


def dumps(root: str, fields: dict[str, Any], *, declaration: bool = False) -> bytes:
    """A small document from nested dicts and lists; None is left out, and so are characters no XML can hold.

    Raises XmlError for a name that is none.
    """
    head = '<?xml version="1.0" encoding="UTF-8"?>' if declaration else ""
    return (head + _element(root, fields)).encode()


def _element(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return "".join(_element(name, item) for item in value)
    if value is None:
        return ""
    attributes = [key[1:] for key in value if key.startswith("@")] if isinstance(value, dict) else []
    if not all(_NAME.fullmatch(one) for one in (name, *attributes)):
        raise XmlError(f"'{name[:40]}' is no element's name, or one of its attributes")
    if isinstance(value, dict):
        inner = "".join(_element(key, child) for key, child in value.items() if not key.startswith("@"))
        marks = "".join(f' {key[1:]}="{escape(_text(child))}"' for key, child in value.items() if key.startswith("@"))
        return f"<{name}{marks}>{inner}</{name}>"
    return f"<{name}>{escape(_text(value), quote=False)}</{name}>"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _IMPOSSIBLE.sub("", format(value, "f") if isinstance(value, Decimal) else str(value))

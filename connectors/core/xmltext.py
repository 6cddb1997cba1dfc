"""XML text to plain dicts and back, without the dangers of XML.

The root element is dropped: the result is what is in it. Text is kept exactly; repeated elements become a list;
attributes are ``@name`` and the text beside children ``#text``; namespaces are cut off. Entities, DTDs and
external references are refused.
"""

from __future__ import annotations

import re
from decimal import Decimal
from html import escape
from typing import Any
from xml.etree import ElementTree as Plain  # noqa: TID251 - only for what _harmless lets through

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

MAX_DEPTH = 100

_MARKUP, _CDATA = "<!", "<![CDATA["
"""What a DTD begins with, and with it every entity; and the one other thing that begins so in a message."""
_FOREIGN = re.compile(r"\ufeff?\s*<\?xml[^>]*\bencoding\s*=\s*[\"'](?!utf-?8[\"'])", re.IGNORECASE)
"""A document that says it is in another encoding than it was read in."""
_NAME = re.compile(r"[A-Za-z_\u4e00-\u9fff][\w.\u4e00-\u9fff-]*")
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that no XML document can hold, not even escaped."""


class XmlError(ValueError):
    """Text that is not XML, or that uses what we refuse (entities, DTD, depth)."""


def loads(data: bytes | str) -> dict[str, Any]:
    """The content of the root element. Raises XmlError."""
    plain = _harmless(data)
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True) if plain is None else Plain.fromstring(plain)  # noqa: S314
    except DefusedXmlException as error:
        raise XmlError(f"XML refused: {type(error).__name__}") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise XmlError(f"not XML: {error}") from None
    value = _value(root, 0)
    return value if isinstance(value, dict) else ({"#text": value} if value else {})


def _harmless(data: bytes | str) -> str | None:
    """The text of a document in which nothing can be declared; a guarded parser takes three times as long for it.

    Handed over as text it is read as that, whatever encoding it may claim, so that no other reading of it has more.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text or text.count(_MARKUP) != text.count(_CDATA) or _FOREIGN.match(text) else text


def _value(node: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise XmlError(f"XML nested deeper than {MAX_DEPTH}")
    if not len(node) and not node.attrib:
        return node.text or ""
    out: dict[str, Any] = {f"@{_name(key)}": value for key, value in node.attrib.items()}
    for child in node:
        name = child.tag
        if name[0] == "{":
            name = _name(name)
        value = _value(child, depth + 1) if len(child) or child.attrib else child.text or ""  # most have only text
        if name not in out:
            out[name] = value
        elif isinstance(out[name], list):
            out[name].append(value)
        else:
            out[name] = [out[name], value]
    if node.text and node.text.strip():
        out["#text"] = node.text
    return out


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


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

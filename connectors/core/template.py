"""Placeholders ``${name|filter}`` in declarations, compiled to closures and kept.

A value that is exactly one placeholder keeps the type of what it names; inside longer text it is written out.
A key, list element or text whose placeholder names something absent is left out. Names are looked up in the
*scope*: a dict of roots (``config secret token input window page now uuid record hook verified payload``);
``time`` in the scope is the declaration's TimeFormat and serves the filter ``local``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from connectors.core import jsontext, paths

Render = Callable[[Mapping[str, Any]], Any]

_PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
ABSENT = paths.ABSENT
SPREAD = "..."
"""Key whose value's members are put in its place: ``{id: "${record.id}", ...: "${input}"}``."""


class TemplateError(ValueError):
    """A placeholder that cannot be read or whose filter cannot take the value. Names the placeholder."""


def moment(value: Any, zone: str = "UTC") -> datetime:
    """An aware datetime from a datetime, Unix seconds (number) or ISO 8601 text; naive means ``zone``."""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return datetime.fromtimestamp(float(value), UTC)
    elif isinstance(value, str):
        found = datetime.fromisoformat(value)
    else:
        raise ValueError(f"not a time: {type(value).__name__}")
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))


def names_in(value: Any) -> list[str]:
    """Whom a value names: a list of ids, or a text with ``|`` between them."""
    if isinstance(value, str):
        return [one for one in value.split("|") if one]
    return [text(one) for one in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    """How a value is written inside text, queries and forms: exact digits, ``true``/``false``, JSON for trees."""
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return jsontext.number(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | list | tuple):
        return jsontext.dumps(value).decode()
    return str(value)


def _zone(scope: Mapping[str, Any]) -> str:
    form = scope.get("time")
    return form.zone if form is not None else "UTC"


def _whole(value: Any, _scope: Mapping[str, Any]) -> int:
    if isinstance(value, bool):
        return int(value)
    number = Decimal(value.strip()) if isinstance(value, str) else Decimal(value)
    if number != number.to_integral_value():
        raise ValueError("not a whole number")
    return int(number)


def _local(value: Any, scope: Mapping[str, Any]) -> str:
    form = scope.get("time")
    if form is None:
        return moment(value).isoformat()
    return moment(value, form.zone).astimezone(ZoneInfo(form.zone)).strftime(form.format)


_FILTERS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "s": lambda value, scope: int(moment(value, _zone(scope)).timestamp()),
    "ms": lambda value, scope: round(moment(value, _zone(scope)).timestamp() * 1000),
    "iso": lambda value, scope: moment(value, _zone(scope)).isoformat(),
    "local": _local,
    "json": lambda value, scope: jsontext.dumps(value).decode(),
    "str": lambda value, scope: text(value),
    "int": _whole,
    "url": lambda value, scope: quote(text(value), safe=""),
}


@lru_cache(maxsize=8192)
def _placeholder(inner: str) -> Render:
    path, *names = (part.strip() for part in inner.split("|"))
    unknown = [name for name in names if name not in _FILTERS]
    if not path or unknown:
        what = f"no filter '{unknown[0]}'; there are {', '.join(_FILTERS)}" if unknown else "no name"
        raise TemplateError(f"placeholder ${{{inner}}}: {what}")
    steps = paths.split(path)
    if not isinstance(steps[0], str):
        raise TemplateError(f"placeholder ${{{inner}}}: must begin with a name")
    root, rest = steps[0], steps[1:]
    if root == "token" and rest:
        root = "token_extra"
    filters = [_FILTERS[name] for name in names]

    def read(scope: Mapping[str, Any]) -> Any:
        value = scope.get(root, ABSENT)
        if rest and value is not ABSENT:
            value = paths.walk(value, rest, ABSENT)
        if not filters or value is ABSENT:
            return value
        try:
            for apply in filters:
                value = apply(value, scope)
        except (ValueError, ArithmeticError, TypeError, OverflowError) as error:
            # The value itself stays out of the message: it may be a secret.
            raise TemplateError(f"placeholder ${{{inner}}}: {type(error).__name__} in a filter") from None
        return value

    return read


@lru_cache(maxsize=8192)
def _compiled_text(template: str) -> Render | None:
    """A closure for text with placeholders; None for plain text."""
    found = list(_PLACEHOLDER.finditer(template))
    if not found:
        return None
    if len(found) == 1 and found[0].span() == (0, len(template)):
        return _placeholder(found[0][1])
    pieces: list[str | Render] = []
    at = 0
    for match in found:
        if match.start() > at:
            pieces.append(template[at : match.start()])
        pieces.append(_placeholder(match[1]))
        at = match.end()
    if at < len(template):
        pieces.append(template[at:])

    def write(scope: Mapping[str, Any]) -> Any:
        out = []
        for piece in pieces:
            if isinstance(piece, str):
                out.append(piece)
            else:
                value = piece(scope)
                if value is ABSENT:
                    return ABSENT
                out.append(value if isinstance(value, str) else text(value))
        return "".join(out)

    return write


def compiled(node: Any) -> Render | None:
    """A closure that renders ``node`` (text, list, dict, anything); None when the node is constant."""
    if isinstance(node, str):
        return _compiled_text(node)
    if isinstance(node, dict):
        pairs = [(key, value, compiled(value)) for key, value in node.items()]
        if all(render is None for _, _, render in pairs):
            return None

        def fields(scope: Mapping[str, Any]) -> Any:
            out = {}
            for key, value, render in pairs:
                if render is not None:
                    value = render(scope)
                    if value is ABSENT:
                        continue
                if key == SPREAD and isinstance(value, dict):
                    out.update(value)
                else:
                    out[key] = value
            return out

        return fields
    if isinstance(node, list | tuple):
        items = [(value, compiled(value)) for value in node]
        if all(render is None for _, render in items):
            return None

        def elements(scope: Mapping[str, Any]) -> Any:
            out = (value if render is None else render(scope) for value, render in items)
            return [value for value in out if value is not ABSENT]

        return elements
    return None


def names(node: Any) -> frozenset[str]:
    """The paths that the placeholders of ``node`` name (``input.id``, ``uuid``), filters cut off."""
    if isinstance(node, str):
        return frozenset(inner.split("|")[0].strip() for inner in _PLACEHOLDER.findall(node))
    if isinstance(node, dict):
        return frozenset().union(*(names(value) for value in node.values()))
    if isinstance(node, list | tuple):
        return frozenset().union(*(names(value) for value in node))
    return frozenset()


def render(node: Any, scope: Mapping[str, Any]) -> Any:
    """``node`` with its placeholders filled from ``scope``; None when the whole node is absent."""
    write = compiled(node)
    if write is None:
        return node
    value = write(scope)
    return None if value is ABSENT else value

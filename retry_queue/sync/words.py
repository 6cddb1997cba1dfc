"""Message templates: words with ``{order.number}`` marks that read the joined records. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from retry_queue.sync import echo, route

_MARK = re.compile(r"\{([a-z_][A-Za-z0-9_.]*)\}")


def fill(text: str, scope: Mapping[str, Any]) -> str:
    """``text`` with every mark replaced; what is missing reads empty."""

    def one(found: re.Match[str]) -> str:
        value = echo.pick(scope, found.group(1))
        return "" if value is None or isinstance(value, dict | list) else str(value)

    return _MARK.sub(one, text)


LEFT_OUT = "#left_out"
"""Member of the scope: recipients who have had what their quota allows."""


def recipients(template: route.Template, scope: Mapping[str, Any]) -> list[str]:
    """Whom a message goes to, each once."""
    found = [name for name in (fill(one, scope).strip() for one in template.recipients) if name]
    gone = scope.get(LEFT_OUT, ())
    return [name for name in dict.fromkeys(found) if name not in gone]


def reads(template: route.Template, root: str) -> bool:
    """Whether any mark of a template begins with ``root``."""
    texts = [template.text, template.title or "", template.url or "", *template.recipients]
    return any(found.startswith(root) for text in texts for found in _MARK.findall(text))


def message(template: route.Template, scope: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A canonical message. ``recipients`` is empty when nobody could be found."""
    made: dict[str, Any] = {
        "id": key,
        "recipients": recipients(template, scope),
        "text": fill(template.text, scope),
        "format": template.format,
    }
    if template.title:
        made["title"] = fill(template.title, scope)
    if template.url:
        made["url"] = fill(template.url, scope)
    return made

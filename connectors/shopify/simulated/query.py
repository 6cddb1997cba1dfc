"""As much of GraphQL as the simulated store needs: which field is asked, and which parts of its answer are wanted."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_][A-Za-z0-9_]*|[{}()]')
Selection = dict[str, "Selection"]


class Broken(ValueError):
    """Text that is no query."""


def parsed(text: str) -> tuple[str, str, Selection]:
    """The root field, the text of its directives and arguments, and what is selected of it. Raises Broken."""
    if "{" not in text:
        raise Broken("syntax error")
    body = text[text.index("{") :]
    selected, rest = _set(_TOKEN.findall(body))
    if rest or len(selected) != 1:
        raise Broken("syntax error")
    root = next(iter(selected))
    return root, text, selected[root]


def _set(tokens: list[str]) -> tuple[Selection, list[str]]:
    """One ``{...}``; arguments in brackets are passed over."""
    found: Selection = {}
    tokens, last = tokens[1:], ""
    while tokens and tokens[0] != "}":
        if tokens[0] == "{":
            found[last], tokens = _set(tokens)
            continue
        if tokens[0] == "(":
            tokens = tokens[tokens.index(")") + 1 :]
            if last == "inventorySetQuantities" and tokens[:1] == ["idempotent"]:
                tokens = tokens[tokens.index(")") + 1 :]
            continue
        last, tokens = tokens[0], tokens[1:]
        found[last] = {}
    if not tokens:
        raise Broken("syntax error, unexpected end of file")
    return found, tokens[1:]


def picked(value: Any, wanted: Selection) -> Any:
    """Only what was selected. Raises Broken for a field that the type does not have."""
    if isinstance(value, list):
        return [picked(one, wanted) for one in value]
    if not isinstance(value, dict) or not wanted:
        return value
    missing = [name for name in wanted if name not in value]
    if missing:
        raise Broken(f"Field '{missing[0]}' doesn't exist")
    return {name: picked(value[name], inner) for name, inner in wanted.items()}

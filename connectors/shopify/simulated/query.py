"""As much of GraphQL as the simulated store needs: which field is asked, and which parts of its answer are wanted."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r'"[^"]*"|\.\.\.|[A-Za-z_][A-Za-z0-9_]*|[{}():]')
Selection = dict[str, tuple[str, "Selection"]]
"""The name in the answer -> the field it shows, and what is wanted of that."""


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
    root, inner = next(iter(selected.values()))
    return root, text, inner


def _set(tokens: list[str]) -> tuple[Selection, list[str]]:
    """One ``{...}``; arguments in brackets are passed over, ``... on Type {}`` is read as if it stood in its place."""
    found: Selection = {}
    tokens, last, shown = tokens[1:], "", ""
    while tokens and tokens[0] != "}":
        if tokens[0] == "...":
            inner, tokens = _set(tokens[3:])
            found.update(inner)
        elif tokens[0] == "{":
            inner, tokens = _set(tokens)
            found[shown] = (last, inner)
        elif tokens[0] == "(":
            tokens = tokens[tokens.index(")") + 1 :]
            if tokens[:1] == ["idempotent"]:
                tokens = tokens[tokens.index(")") + 1 :]
        else:
            shown = tokens[0]
            tokens = tokens[2:] if tokens[1:2] == [":"] else tokens
            last, tokens = tokens[0], tokens[1:]
            found[shown] = (last, {})
    if not tokens:
        raise Broken("syntax error, unexpected end of file")
    return found, tokens[1:]


def picked(value: Any, wanted: Selection) -> Any:
    """Only what was selected. Raises Broken for a field that the type does not have."""
    if isinstance(value, list):
        return [picked(one, wanted) for one in value]
    if not isinstance(value, dict) or not wanted:
        return value
    missing = [name for name, _ in wanted.values() if name not in value]
    if missing:
        raise Broken(f"Field '{missing[0]}' doesn't exist")
    return {shown: picked(value[name], inner) for shown, (name, inner) in wanted.items()}

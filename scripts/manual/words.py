"""What the generated pages are put together from: two languages, tables, and what a page is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
CJK = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")


class Both(Protocol):
    """Anything that has its words in both languages, as declarations have."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the site: ``path`` in the site, ``body`` in Markdown, ``source`` in the repository.

    Links in ``body`` are as they would be in ``source``.
    """

    path: str
    body: str
    source: str


def say(language: Language, zh: str, en: str) -> str:
    """The words of this language."""
    return zh if language == "zh" else en


def of(language: Language, text: Both | None) -> str:
    """The words of a declaration in this language; nothing where it has none."""
    return "" if text is None else say(language, text.zh, text.en)


def half(language: Language, text: str) -> str:
    """One side of a text that says everything twice: ``中文 / English`` or ``中文 English``.

    Where it is not written in either way the whole text is right.
    """
    parts = text.split(" / ", 1)
    if len(parts) == 1 and CJK.search(text):
        ends = max(one.end() for one in CJK.finditer(text))
        parts = [text[:ends], text[ends:]] if text[ends:].strip() else parts
    if len(parts) == 1 or not CJK.search(parts[0]) or CJK.search(parts[1]):
        return text
    return parts[0].strip() if language == "zh" else parts[1].strip()


def line(text: object) -> str:
    """A text on one line."""
    return re.sub(r"\s*\n\s*", " ", str(text)).strip()


def code(text: object) -> str:
    """A word of a program, as code; it may have backticks in it."""
    plain = line(text)
    return f"`` {plain} ``" if "`" in plain else f"`{plain}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; nothing at all when it has no row."""
    lines = [f"| {' | '.join(line(one).replace('|', chr(92) + '|') for one in row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *lines]) + "\n"


def page(*parts: str) -> str:
    """The parts that are there, one blank line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"

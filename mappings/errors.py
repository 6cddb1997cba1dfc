"""What can go wrong in this room, in words a shopkeeper can act on.

``MappingError``  a record could not be mapped: names the file, the rule and both paths
``SpecError``     a mapping file itself is wrong: names every problem with its line
``ExpressionError``  an expression is wrong, or ran past its bounds
``BadValue``      inside the room only: a value a codec refuses; the engine adds the place
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SHOWN = 60


def shown(value: Any) -> str:
    """A value as an error may print it: short, and only the type of what is nested."""
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "a very large integer"
    text = ascii_safe(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def ascii_safe(text: str) -> str:
    """Text that any log or page can carry: lone surrogates and control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: _SHOWN + 1])


class BadValue(Exception):
    """A value that a codec or path refuses. ``zh`` and ``en`` say what is wrong and what to do."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


class ExpressionError(Exception):
    """An expression that cannot be read or evaluated. ``at`` is the offset in its text, where known."""

    def __init__(self, zh: str, en: str, at: int | None = None) -> None:
        super().__init__(en if at is None else f"{en} (at character {at + 1})")
        self.zh = zh if at is None else f"{zh}（第 {at + 1} 个字符）"
        self.en = str(self)
        self.at = at


class MappingError(Exception):
    """A record that could not be mapped. ``rule`` is ``"5"``, or ``"7.2"`` for a rule inside rule 7."""

    def __init__(
        self, zh: str, en: str, *, file: str = "", rule: str = "", native: str = "", canonical: str = ""
    ) -> None:
        super().__init__(zh, en)
        self.zh = zh
        self.en = en
        self.file = file
        self.rule = rule
        self.native = native
        self.canonical = canonical

    def within(self, native: str, canonical: str) -> MappingError:
        """The same error seen from the enclosing list or object: its paths are put in front."""
        self.native = joined(native, self.native)
        self.canonical = joined(canonical, self.canonical)
        return self

    def _place(self, rule: str) -> str:
        paths = " ↔ ".join(path for path in (self.native, self.canonical) if path)
        return " ".join(part for part in (self.file, rule if self.rule else "", f"({paths})" if paths else "") if part)

    def text(self, language: str = "zh") -> str:
        """The whole message in ``zh`` or ``en``."""
        if language.startswith("zh"):
            place, words = self._place(f"第 {self.rule} 条规则"), self.zh
        else:
            place, words = self._place(f"rule {self.rule}"), self.en
        return f"{place}: {words}" if place else words

    def __str__(self) -> str:
        place = self._place(f"rule {self.rule}")
        return f"{place}: {self.en} / {self.zh}" if place else f"{self.en} / {self.zh}"


def joined(outer: str, inner: str) -> str:
    """``outer.inner``; either may be empty, and ``.`` means the outer thing itself."""
    if not inner or inner == ".":
        return outer
    if not outer:
        return inner
    return outer + inner if inner.startswith("[") else f"{outer}.{inner}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a mapping file. ``line`` counts from 1; 0 means the file as a whole."""

    line: int
    rule: str
    zh: str
    en: str

    def __str__(self) -> str:
        rule = f" rule {self.rule}" if self.rule else ""
        return f"line {self.line}{rule}: {self.en} / {self.zh}"


class SpecError(MappingError):
    """A mapping file that cannot be used; ``problems`` lists everything found, in file order."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        first = problems[0]
        more = len(problems) - 1
        super().__init__(
            f"第 {first.line} 行：{first.zh}" + (f"（另有 {more} 处问题）" if more else ""),
            f"line {first.line}: {first.en}" + (f" (and {more} more)" if more else ""),
            file=file,
            rule=first.rule,
        )
        self.problems = problems


__all__ = ["BadValue", "ExpressionError", "MappingError", "Problem", "SpecError", "joined", "shown"]

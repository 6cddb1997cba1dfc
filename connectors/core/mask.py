"""What people may see of an exchange: secrets, tokens, signatures and phone numbers become ``***``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

CAP = 8 * 1024
"""Characters of a request or response that are kept."""

_PHONE = r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d{9}(?![0-9A-Za-z])"
_NEAR = re.compile(r"1[3-9]\d{9}(?![0-9A-Za-z])")
"""Where a phone number may be: begins with a fixed character, so that a text without one is passed over fast."""
_WHOLE = re.compile(_PHONE)
_PREFIX = 4
"""Characters that may stand before it: +86 and a dash."""
_SHORTEST = 4


class Mask:
    """Hides a fixed set of values, in the spellings in which they travel, and phone-like digits."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(value for value in values if len(value) >= _SHORTEST)
        spellings = {form for value in self._values for form in _spellings(value)}
        self._spellings = tuple(spellings)
        self._longest = max(map(len, spellings), default=16)
        # Longest first: of two values one of which begins the other, the longer must be hidden.
        known = [re.escape(value) for value in sorted(spellings, key=len, reverse=True)]
        self._known = re.compile("|".join(known) or "(?!)")
        self._pattern = re.compile("|".join([*known, _PHONE]))

    def and_also(self, values: Iterable[str]) -> Mask:
        """A mask that hides these too."""
        more = self._values.union(values)
        return self if more == self._values else Mask(more)

    def text(self, text: str) -> str:
        """``text`` with everything hidden, at most CAP characters."""
        if len(text) > CAP:
            text = text[: self._cut(text)]
        if any(one in text for one in self._spellings):  # twenty times as fast as to look for all of them everywhere
            text = self._known.sub("***", text)
        return _without_phones(text)[:CAP]

    def _cut(self, text: str) -> int:
        # A secret that lies across the cut would leave its first half behind.
        start = max(0, CAP - self._longest)
        for found in self._pattern.finditer(text, start, CAP + self._longest):
            if found.start() < CAP < found.end():
                return found.start()
        return CAP


def _without_phones(text: str) -> str:
    parts: list[str] = []
    at = 0
    for near in _NEAR.finditer(text):
        found = _WHOLE.search(text, max(at, near.start() - _PREFIX), near.end() + 1)
        if found is not None:
            parts += (text[at : found.start()], "***")
            at = found.end()
    return "".join((*parts, text[at:])) if parts else text


def _spellings(value: str) -> set[str]:
    slashed = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return {value, quote(value, safe=""), quote(value), quote_plus(value), slashed, slashed.replace("/", "\\/")}

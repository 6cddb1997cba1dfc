"""What people may see of an exchange: secrets, tokens, signatures and phone numbers become ``***``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

CAP = 8 * 1024
"""Characters of a request or response that are kept."""

_PHONE = r"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d{9}(?![0-9A-Za-z])"
_SHORTEST = 4


class Mask:
    """Hides a fixed set of values, in the spellings in which they travel, and phone-like digits."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(value for value in values if len(value) >= _SHORTEST)
        spellings = {form for value in self._values for form in _spellings(value)}
        self._longest = max(map(len, spellings), default=16)
        # Longest first: of two values one of which begins the other, the longer must be hidden.
        known = [re.escape(value) for value in sorted(spellings, key=len, reverse=True)]
        self._pattern = re.compile("|".join([*known, _PHONE]))

    def and_also(self, values: Iterable[str]) -> Mask:
        """A mask that hides these too."""
        more = self._values.union(values)
        return self if more == self._values else Mask(more)

    def text(self, text: str) -> str:
        """``text`` with everything hidden, at most CAP characters."""
        if len(text) > CAP:
            text = text[: self._cut(text)]
        return self._pattern.sub("***", text)[:CAP]

    def _cut(self, text: str) -> int:
        # A secret that lies across the cut would leave its first half behind.
        start = max(0, CAP - self._longest)
        for found in self._pattern.finditer(text, start, CAP + self._longest):
            if found.start() < CAP < found.end():
                return found.start()
        return CAP


def _spellings(value: str) -> set[str]:
    slashed = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return {value, quote(value, safe=""), quote(value), quote_plus(value), slashed, slashed.replace("/", "\\/")}

"""Where something stands in a mapping file: from a location in the data to a line and a rule number."""

from __future__ import annotations

from mappings import errors
from mappings.yaml_text import Lines, Location


def line_of(location: Location, lines: Lines) -> int:
    """The line of a location, or of the nearest thing around it; 0 when nothing is known."""
    for end in range(len(location), 0, -1):
        if location[:end] in lines:
            return lines[location[:end]]
    return lines.get((), 0)


def rule_number(location: Location) -> str:
    """``7.2`` for ``("rules", 6, "each", 1, …)``; empty outside rules."""
    numbers: list[str] = []
    rest = location
    while len(rest) >= 2 and rest[0] in ("rules", "each", "inside") and isinstance(rest[1], int):
        numbers.append(str(rest[1] + 1))
        rest = rest[2:]
    return ".".join(numbers)


def problem(location: Location, lines: Lines, zh: str, en: str) -> errors.Problem:
    """A problem at a location."""
    return errors.Problem(line_of(location, lines), rule_number(location), zh, en)


__all__ = ["line_of", "problem", "rule_number"]

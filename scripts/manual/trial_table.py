"""The table of ``./shuniu faults`` on the Chinese page: that of the English page, its fixed words translated."""

from __future__ import annotations

import re

from scripts import faults

HEADS = {
    "trial": "试验", "size": "规模", "result": "结果", "figures": "数字", "seed": "种子", "seconds": "秒",
    "run": "何时何处",
}  # fmt: skip
STATES = {"held": "成立", "**FAILED**": "**不成立**", "not run": "未运行", "Not run yet.": "还没有运行过。"}


def between(text: str) -> str:
    """What stands between the marks of a page. Raises ValueError where they are missing."""
    begin, end = text.index(faults.BEGIN) + len(faults.BEGIN), text.index(faults.END)
    return text[begin:end]


def shown(page: str, english: str) -> str:
    """A Chinese page with the table of the English one between its marks; any page without marks as it is."""
    if faults.BEGIN not in page:
        return page
    lines = []
    for number, line in enumerate(between(english).strip().splitlines()):
        cells = [one.strip() for one in re.split(r"(?<!\\)\|", line)]
        known = HEADS if number == 0 and len(cells) > 1 else STATES
        lines.append(" | ".join(known.get(one, one) for one in cells).strip())
    return page.replace(between(page), "\n" + "\n".join(lines) + "\n")

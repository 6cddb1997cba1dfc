"""What a run leaves behind: the result as JSON, the table in docs/performance.md, and the chart beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.bench import chart, goals

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
RESULT, PAGE, CHART = "performance.json", "performance.md", "performance.svg"
_HEAD = "| 指标 | Figure | value | itself | beside it | least | aim | |"


def table(found: Mapping[str, Any]) -> str:
    """The judged figures as a Markdown table."""
    lines = [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1)]
    for goal, value in goals.judged(found):
        own, peer = found.get(goal.own), found.get(goal.peer)
        said = (
            "aim reached" if goal.met(value, goal.aim) else "reached" if goal.met(value, goal.least) else "**missed**"
        )
        cells = [
            goal.zh,
            goal.en,
            _with(value, goal.unit_of()),
            _with(own, goal.unit),
            _with(peer, goal.unit),
            chart.number(goal.least),
            chart.number(goal.aim),
            said,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def title(found: Mapping[str, Any]) -> str:
    """On what and when it was measured."""
    size = "" if found.get("size") == "full" else f", {found.get('size')} run"
    load = found.get("machine.load", 0.0)
    return (
        f"shuniu bench, {found['machine.cores']} cores, Python {found['machine.python']}, "
        f"{str(found['machine.date'])[:10]}{size}, load {load:.0f} before it began"
    )


def write(folder: Path, found: Mapping[str, Any]) -> list[Path]:
    """Writes the result and the chart into ``folder``, and the table where its page has the place for it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / RESULT, folder / CHART]
    made[0].write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    made[1].write_text(chart.svg(found, title(found)), encoding="utf-8")
    page = folder / PAGE
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    whole = f"{title(found)}.\n\n![Every figure beside what it must reach]({CHART})\n\n{table(found)}"
    page.write_text(f"{before}{BEGIN}\n{whole}\n{END}{after}", encoding="utf-8")
    return [*made, page]


def read(path: Path) -> dict[str, Any]:
    """An earlier result. Raises OSError or ValueError."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or "machine.cores" not in found:
        raise ValueError(f"{path} is no result of shuniu bench")
    return found


def _with(value: object, unit: str) -> str:
    if not isinstance(value, int | float):
        return ""
    return f"{chart.number(value)} {unit}".strip()

"""The chart of a result: a bar per goal, scaled so that all end at the same line when they are just good enough."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from gateway.bench import goals

_LEFT, _BAR, _ROW, _TOP = 330, 360, 24, 46
_MOST = 1.6
"""Bars end here, whatever the figure: 1 is just good enough."""
_MET, _NEAR, _MISSED = "#2f7d4f", "#4f81bd", "#c0504d"


def reach(goal: goals.Goal, value: float) -> float:
    """How far a figure got: 1 is the least that is accepted, more is better, also where less is better."""
    if goal.least == 0:
        return _MOST if value <= 0 else 0.1
    share = value / goal.least if goal.more else goal.least / max(value, 1e-9)
    return max(0.02, min(share, _MOST))


def svg(found: Mapping[str, object], title: str) -> str:
    """The chart as SVG text."""
    rows = goals.judged(found)
    height = _TOP + _ROW * len(rows) + 34
    width = _LEFT + _BAR + 130
    line = _LEFT + _BAR / _MOST
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" fill="#222222">{escape(title)}</text>',
    ]
    for place, (goal, value) in enumerate(rows):
        y = _TOP + _ROW * place
        colour = _MET if goal.met(value, goal.aim) else _NEAR if goal.met(value, goal.least) else _MISSED
        length = _BAR * reach(goal, value) / _MOST
        out += [
            f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end" fill="#222222">{escape(goal.en)}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{length:.1f}" height="{_ROW - 8}" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{y + 14}" fill="#222222">{number(value)} {goal.unit_of()}</text>',
        ]
    bottom = _TOP + _ROW * len(rows)
    out += [
        f'<line x1="{line:.1f}" y1="{_TOP - 6}" x2="{line:.1f}" y2="{bottom}" stroke="#222" stroke-dasharray="4 3"/>',
        f'<text x="{line:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#222222">just good enough</text>',
        "</svg>",
    ]
    return "\n".join(out) + "\n"


def number(value: float) -> str:
    """A figure with as many digits as it is worth."""
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"

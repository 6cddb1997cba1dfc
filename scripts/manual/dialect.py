"""The documents are written as code hosts read Markdown; this makes the site's renderer read the same.

Lists without a blank line before them, nesting by two or three blanks, bars within code in tables, angle brackets that
are no tags, and state diagrams, which would need a script from another host, as tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scripts.manual.words import CJK, Language, code, say, table

ITEM = re.compile(r"^(\s*)([-*+]|\d+[.)]) +(.*)$")
FENCE = re.compile(r"^(\s*)(```+|~~~+)")
SPAN = re.compile(r"(``.+?``|`[^`\n]*`)")
TAG = re.compile(r"<(?!https?://|!--|/?(?:a|br|details|summary|kbd|sub|sup)\b)")
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^\s*(\S+) --> (\S+?)(?:: (.*))?$", re.MULTILINE)


def rendered(body: str, language: Language) -> str:
    """A page's text in the renderer's dialect."""
    body = DIAGRAM.sub(lambda found: _states(found[1], language), body)
    return "\n".join(_joined(_lines(body.split("\n"))))


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Lines of one Chinese paragraph as one: a line's end would be shown as a blank between two characters."""
    before, fence = next(lines), ""
    for line in lines:
        bare = line.strip()
        joins = before and not before.lstrip().startswith(("#", "|", ">")) and CJK.fullmatch(before[-1])
        if not fence and joins and bare and CJK.fullmatch(bare[0]):
            before += bare
            continue
        if opened := FENCE.match(line):
            fence = opened[2] if not fence else "" if opened[2].startswith(fence) else fence
        yield before
        before = line
    yield before


def _states(diagram: str, language: Language) -> str:
    heads = [say(language, *pair) for pair in (("从", "From"), ("到", "To"), ("因为", "Because"))]
    shown = [[code(one) if one != "[*]" else "–" for one in found[:2]] + [found[2]] for found in STEP.findall(diagram)]
    return table(heads, shown)


def _inline(text: str) -> str:
    pieces = SPAN.split(text)
    bar = text.lstrip().startswith("|")
    for number, piece in enumerate(pieces):
        pieces[number] = (piece.replace("\\|", "|") if bar else piece) if number % 2 else TAG.sub("&lt;", piece)
    return "".join(pieces)


def _lines(lines: list[str]) -> Iterator[str]:
    inside: list[int] = []
    """Where the content of each open list item begins, in columns of the source."""
    fence, shift, blank = "", 0, True
    for line in lines:
        if fence:
            bare = line[:shift].lstrip() + line[shift:]
            yield "    " * len(inside) + bare if bare else ""
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if not line.strip():
            blank = True
            yield ""
            continue
        indent = len(line) - len(line.lstrip())
        item, within = ITEM.match(line), bool(inside)
        if item is not None or blank:
            while inside and indent < inside[-1]:
                inside.pop()
        if opened := FENCE.match(line):
            while inside and indent < inside[-1]:
                inside.pop()
            fence, shift = opened[2], indent
            yield "    " * len(inside) + line.lstrip()
        elif item is not None:
            if not within and not blank:
                yield ""
            yield "    " * len(inside) + f"{item[2]} {_inline(item[3])}"
            inside.append(len(item[1]) + len(item[2]) + 1)
        elif re.match(r"#{1,6} ", line):
            inside.clear()
            yield _inline(line)
        else:
            yield "    " * len(inside) + _inline(line.lstrip() if inside else line)
        blank = False

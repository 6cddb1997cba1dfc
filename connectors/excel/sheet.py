"""From rows of cells to records, row by row with what is wrong; and from records to rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.excel import columns, table

EXACT = 10**15
"""Excel keeps fifteen digits: a longer number in an id was bent before we saw it."""
_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d")
_INSTEAD = ("order_id", "tracking_number", "sku", "warehouse")
"""What tells rows apart where the sheet has no id."""
_IDS = ("id", "line_id", *_INSTEAD, "barcode")
_MISSING = {
    "id": (
        "不能为空；如果是合并的单元格，请取消合并，每一行都填上",
        "must not be empty; where cells are merged, part them and fill every row",
    )
}
_BENT = re.compile(r"[1-9](?:\.\d+)?[Ee]\+\d{2,}")
"""How Excel writes a number of many digits into a CSV file."""
_SAID = {"zh": ("结果", "原因"), "en": ("Result", "Reason")}
_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's day 0; its times are Beijing's
_CHINESE = re.compile("[\u4e00-\u9fff]")
_MONEY = re.compile(r"[¥￥,，\s]")
OUTPUT = "%Y-%m-%d %H:%M:%S"


class Wrong(ValueError):
    """A cell that cannot be what its column says."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row (1 is the first row of the file)."""

    row: int
    column: str
    zh: str
    en: str


@dataclass(slots=True)
class Parsed:
    """The good records of a file and the problems of the others. ``rows`` are the cells as they came."""

    records: list[dict[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    head: int = 0
    """Index of the heading's row."""


def parse(content: bytes, kind: str, most: int, mark: str | None = None) -> Parsed:
    """Every record of a file. Never raises for what is in it: a file that cannot be read has one problem at row 0."""
    mark = mark or hashlib.sha256(content).hexdigest()[:16]
    made = Parsed()
    try:
        made.rows = table.read(content, most)
        made.head, heads, extra = _headings(made.rows, kind)
        twice = _twice(made.rows[made.head], heads)
    except table.Unreadable as error:
        made.problems.append(Problem(0, "", error.zh, error.en))
        return made
    grouped: dict[str, dict[str, Any]] = {}
    bad: set[str] = set()
    lined = any(column.line for column in columns.SHEETS[kind])
    named = any(column.key == "id" and column.required for column in columns.SHEETS[kind])
    above = ""
    for index in range(made.head + 1, len(made.rows)):
        cells = made.rows[index]
        if all(_empty(cell) for cell in cells):
            continue
        row = index + 1
        found, problems = _row(cells, heads, extra, twice, made.rows[made.head])
        key = str(found.get("id") or "|".join(str(found.get(one) or "") for one in _INSTEAD))
        if problems:
            made.problems += [Problem(row, *one) for one in problems]
            bad.add(key)
            if lined and named and "id" not in found and found["lines"].get("sku"):
                bad.add(above)  # one more line of the record above, whose id stands in merged cells
            continue
        above = key
        lines = found.pop("lines")
        if key not in grouped:
            grouped[key] = {**found, "_row": row, "_file": mark, "_sheet": kind, **({"lines": []} if lined else {})}
        elif not lined:
            made.problems.append(Problem(row, "", "与前面的行编号重复", "the same id as a row before"))
            continue
        if lined and lines:
            grouped[key]["lines"].append(lines)
    for key in bad & set(grouped):
        words = ("这条记录另有一行有错，整条没有收", "another row of this record is wrong; none of it was taken")
        made.problems.append(Problem(int(grouped.pop(key)["_row"]), "", *words))
    made.records = list(grouped.values())
    return made


def _headings(rows: list[list[Any]], kind: str) -> tuple[int, dict[int, columns.Column], dict[int, str]]:
    """Where the headings are (a title may stand above), and which column is what. Raises Unreadable."""
    if not rows:
        raise table.Unreadable("文件是空的，没有任何内容", "the file is empty")
    known = columns.known(kind)
    best: tuple[int, dict[int, columns.Column]] = (0, {})
    for index, row in enumerate(rows[:6]):
        found: dict[int, columns.Column] = {}
        for place, cell in enumerate(row):
            column = known.get(columns.folded(str(cell or "")))
            if column is not None and column not in found.values():
                found[place] = column
        if len(found) > len(best[1]):
            best = (index, found)
    missing = [one for one in columns.SHEETS[kind] if one.required and one not in best[1].values()]
    if missing:
        zh, en = "、".join(one.zh for one in missing), ", ".join(one.en for one in missing)
        raise table.Unreadable(
            f"缺少列：{zh}（只读第一个工作表，表头要在前 6 行里）",
            f"missing columns: {en} (the first sheet is read, and headings must be in its first 6 rows)",
        )
    extra = {
        place: str(cell).strip()
        for place, cell in enumerate(rows[best[0]])
        if place not in best[1] and not _empty(cell) and len(str(cell)) <= 60
        and columns.folded(str(cell)) not in known
    }  # fmt: skip
    if (extra.get(0), extra.get(1)) in _SAID.values():
        extra = {place: name for place, name in extra.items() if place > 1}  # a result of ours that was mended
    return best[0], best[1], extra


def _twice(row: list[Any], heads: Mapping[int, columns.Column]) -> dict[int, int]:
    """Column that says again what another one says -> the first of them."""
    first = {columns.folded(str(row[place])): place for place in heads}
    for place, column in heads.items():
        first |= {columns.folded(name): place for name in (column.key, column.zh, column.en)}
    found = {place: first.get(columns.folded(str(cell or ""))) for place, cell in enumerate(row)}
    return {place: before for place, before in found.items() if before is not None and before != place}


def _row(
    cells: list[Any],
    heads: Mapping[int, columns.Column],
    extra: Mapping[int, str],
    twice: Mapping[int, int],
    head: list[Any],
) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    found: dict[str, Any] = {}
    line: dict[str, Any] = {}
    problems: list[tuple[str, str, str]] = []
    cells = [*cells, *(None for _ in range(len(head) - len(cells)))]
    for place, before in twice.items():
        if not _empty(cells[place]) and text(cells[place]) != text(cells[before]):
            zh, en = "这一列出现了两次，内容不一样；请只留一列", "this column is there twice and differs; keep one"
            problems.append((_name(head, before), zh, en))
    for place, column in heads.items():
        cell = cells[place]
        try:
            value = None if _empty(cell) else _value(cell, column)
        except Wrong as error:
            problems.append((_name(head, place), error.zh, error.en))
            continue
        if value is None and column.required:
            problems.append((_name(head, place), *_MISSING.get(column.key, ("不能为空", "must not be empty"))))
        elif value is not None:
            (line if column.line else found)[column.key] = value
    more = {
        name: text(cells[place])
        for place, name in extra.items()
        if not _empty(cells[place]) and not isinstance(cells[place], table.Formula)
    }
    if more:
        found["extra"] = more
    found["lines"] = line
    return found, problems


def _name(head: list[Any], place: int) -> str:
    """The column as the file itself calls it, on one line."""
    return " ".join(str(head[place]).split())[:60]


def _empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _value(cell: Any, column: columns.Column) -> str:
    if isinstance(cell, table.Formula):
        raise Wrong(
            "公式还没有算出结果；请用 Excel 或 WPS 打开、保存一次再放进来",
            "a formula without its result; open the file in a spreadsheet, save it and send it again",
        )
    if isinstance(cell, str) and cell.strip().upper() in table.ERRORS:
        raise Wrong(f"公式出错，结果是 {cell.strip()}", f"a formula failed: {cell.strip()}")
    if column.kind in ("number", "money"):
        return _number(cell)
    if column.kind == "time":
        return _time(cell)
    if column.kind == "choice":
        return _choice(text(cell), column)
    if isinstance(cell, float | int) and not isinstance(cell, bool) and abs(cell) >= EXACT:
        raise Wrong(
            "数字太长，已被 Excel 改写；请把这一列设为文本后重新填写",
            "too long a number, bent by Excel; make the column text",
        )
    if isinstance(cell, str) and _BENT.fullmatch(cell.strip()):
        raise Wrong(
            f"长数字被 Excel 改成了 {cell.strip()}；请从原系统重新导出，或把这一列设为文本后重新填写",
            f"a long number that Excel bent to {cell.strip()}; export it anew, or make the column text",
        )
    if isinstance(cell, datetime) and column.key in _IDS:
        raise Wrong(
            "编号被 Excel 改成了日期；请把这一列设为文本后重新填写",
            "an id that Excel turned into a date; make the column text",
        )
    return text(cell)


def text(cell: Any) -> str:
    """A cell as text: whole numbers without a fraction, times as people write them."""
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else format(Decimal(str(cell)), "f")
    if isinstance(cell, datetime):
        return cell.strftime(OUTPUT)
    return table.unguarded(str(cell).strip()).strip()


def _number(cell: Any) -> str:
    try:
        found = (
            Decimal(str(cell)) if isinstance(cell, int | float) else Decimal(_MONEY.sub("", table.unguarded(str(cell))))
        )
        if isinstance(cell, bool) or not found.is_finite() or abs(found) >= EXACT:
            raise InvalidOperation
    except InvalidOperation:
        raise Wrong(f"不是数字：{str(cell)[:40]}", f"not a number: {str(cell)[:40]}") from None
    return format(found, "f")


def _time(cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.strftime(OUTPUT)
    if isinstance(cell, int | float) and not isinstance(cell, bool) and 20_000 <= cell <= 80_000:
        return (_EPOCH + timedelta(days=float(cell))).strftime(OUTPUT)
    words = str(cell).strip()
    for shape in _TIMES:
        try:
            return datetime.strptime(words, shape).strftime(OUTPUT)  # noqa: DTZ007 - Beijing, as the mapping says
        except ValueError:
            continue
    raise Wrong(
        f"不是时间：{words[:40]}（写成 2026-06-27 18:00:00）", f"not a time: {words[:40]} (2026-06-27 18:00:00)"
    )


def _choice(word: str, column: columns.Column) -> str:
    standard = column.choices.get(word, word)
    if standard not in column.choices.values():
        names, choices = "、".join(column.choices), ", ".join(dict.fromkeys(column.choices.values()))
        raise Wrong(f"不认识「{word[:20]}」，可以填：{names}", f"'{word[:20]}' is none of {choices}")
    return standard


def result(parsed: Parsed) -> bytes:
    """The workbook that goes back: every row with what became of it, in the language of the file's own headings."""
    english = bool(parsed.rows) and not any(_CHINESE.search(str(cell)) for cell in parsed.rows[parsed.head])
    said: dict[int, list[str]] = {}
    for one in parsed.problems:
        column = f"{one.column}{': ' if english else '：'}" if one.column else ""
        said.setdefault(one.row, []).append(column + (one.en if english else one.zh))
    why, between = _SAID["en" if english else "zh"], "; " if english else "；"
    taken, refused = ("taken", "refused") if english else ("已接收", "失败")
    if 0 in said or not parsed.rows:
        both = [f"{one.zh} / {one.en}" for one in parsed.problems if one.row == 0]
        return table.write(["结果 Result", "原因 Reason"], [["失败 refused", between.join(both)]])
    # The columns of a result that was mended and put in again are not repeated.
    first = 2 if tuple(map(text, parsed.rows[parsed.head][:2])) in _SAID.values() else 0
    head = [text(cell) if not _empty(cell) else "" for cell in parsed.rows[parsed.head][first:]]
    rows = []
    for index in range(parsed.head + 1, len(parsed.rows)):
        cells = [None if _empty(cell) else text(cell) for cell in parsed.rows[index][first:]]
        if any(cell is not None for cell in cells):
            wrong = said.get(index + 1)
            rows.append([refused if wrong else taken, between.join(wrong or []), *cells])
    return table.write([*why, *head], rows)


def written(kind: str, records: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows of records of one kind; a record with several lines takes several rows."""
    known = columns.SHEETS[kind]
    more = sorted({name for record in records for name in record.get("extra") or {}})
    rows: list[list[Any]] = []
    for record in records:
        lines = record.get("lines") or [{}]
        for line in lines if any(column.line for column in known) else [{}]:
            row = [_cell((line if column.line else record).get(column.key), column) for column in known]
            rows.append([*row, *((record.get("extra") or {}).get(name) for name in more)])
    return [column.zh for column in known] + more, rows


def _cell(value: Any, column: columns.Column) -> Any:
    if value is None or value == "":
        return None
    if column.kind in ("number", "money"):
        return Decimal(str(value))
    return columns.words(column, str(value)) if column.kind == "choice" else str(value)

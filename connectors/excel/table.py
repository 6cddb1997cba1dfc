"""Workbooks and CSV as rows of cells, and back, safe in both directions.

Coming in: size, compression and XML are bounded before anything is read; formulas count by the value that was saved
with them. Going out: text stays text, so that a name that begins with ``=`` is never calculated on somebody's desk.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from connectors.core import template

UNPACKED = 64 * 1024 * 1024
"""Bytes a workbook may have when it is unpacked."""
PARTS = 500
WIDEST = 100
_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
RISKY = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet calculate a text."""


ERRORS = frozenset(("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#FIELD!"))
"""What a spreadsheet shows where a formula failed."""
_FORMULA = re.compile(rb"<f[ />]")
_BEFORE = 6
"""Lines in which the headings are looked for, and the separator with them."""


class Formula(str):
    """A formula whose result the file does not hold, because no spreadsheet has calculated it yet."""

    __slots__ = ()


class Unreadable(ValueError):
    """A file that is no table. ``zh`` and ``en`` say what to do."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


def read(content: bytes, most: int) -> list[list[Any]]:
    """The cells of the first sheet. Raises Unreadable, whatever the bytes are.

    At most ``most`` rows beside the lines in which headings may stand.
    """
    most += _BEFORE
    if content[:4] == b"PK\x03\x04":
        rows = _workbook(content, most)
    elif content[:4] == b"\xd0\xcf\x11\xe0":
        raise Unreadable(
            "这是旧版 .xls 或加了密码的文件，请另存为不加密的 .xlsx", "an old .xls or a locked file; save it as .xlsx"
        )
    else:
        rows = _csv(content, most)
    if len(rows) > most:
        limit = most - _BEFORE
        raise Unreadable(f"超过 {limit} 行，请分成几个文件", f"more than {limit} rows; split it")
    return rows


def _workbook(content: bytes, most: int) -> list[list[Any]]:
    calculates = False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            parts = packed.infolist()
            if len(parts) > PARTS or sum(part.file_size for part in parts) > UNPACKED:
                raise Unreadable("文件解开后太大", "the file is too large when unpacked")
            for part in parts:
                text = packed.read(part) if part.filename.endswith((".xml", ".rels")) else b""
                if _DOCTYPE.search(text):
                    raise Unreadable("文件含不允许的 XML 声明", "the file holds an XML declaration that is not allowed")
                calculates = calculates or ("worksheets/" in part.filename and _FORMULA.search(text) is not None)
        rows = _cells(content, most, results=True)
        return _trimmed(_uncalculated(rows, _cells(content, most, results=False)) if calculates else rows)
    except Unreadable:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts raise on broken files
        raise Unreadable("文件损坏或不是 Excel 工作簿", f"not a workbook: {type(error).__name__}") from None


def _cells(content: bytes, most: int, *, results: bool) -> list[list[Any]]:
    """The cells of the first sheet: of formulas their ``results``, or else the formulas themselves."""
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=results, keep_links=False)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        return [list(row) for row in sheet.iter_rows(max_row=most + 1, max_col=WIDEST, values_only=True)]
    finally:
        book.close()


def _uncalculated(rows: list[list[Any]], formulas: list[list[Any]]) -> list[list[Any]]:
    """``rows`` with the formulas in them, if not one has a result. One that has none beside others is empty text."""
    places = [
        (across, down)
        for across, row in enumerate(formulas)
        for down, cell in enumerate(row)
        if isinstance(cell, str) and cell.startswith("=")
    ]
    if all(rows[across][down] is None for across, down in places):
        for across, down in places:
            rows[across][down] = Formula(formulas[across][down])
    return rows


def _csv(content: bytes, most: int) -> list[list[Any]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError:
            raise Unreadable(
                "文件编码不是 UTF-8 或 GBK；请另存为 .xlsx 或「CSV UTF-8」",
                "neither UTF-8 nor GBK; save it as .xlsx or CSV UTF-8",
            ) from None
    if "\x00" in text:
        raise Unreadable("这不是表格文件", "not a table")
    above = "\n".join(text.split("\n", _BEFORE)[:_BEFORE])  # a title may stand above the headings
    separator = max("\t;,", key=above.count)
    rows: list[list[Any]] = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True):
            rows.append(row[:WIDEST])
            if len(rows) > most:
                break
    except csv.Error as error:
        number = len(rows) + 1
        raise Unreadable(
            f"CSV 第 {number} 行格式不对（多半是引号不成对）；请改好，或另存为 .xlsx",
            f"CSV row {number}: {error} (mostly a quote too many); mend it or save it as .xlsx",
        ) from None
    return _trimmed(rows)


def _trimmed(rows: list[list[Any]]) -> list[list[Any]]:
    """Without the empty rows and columns at the end, which Excel likes to keep."""
    for row in rows:
        while row and (row[-1] is None or str(row[-1]).strip() == ""):
            row.pop()
    while rows and not rows[-1]:
        rows.pop()
    return rows


def write(head: Sequence[str], rows: Iterable[Sequence[Any]], form: str = "xlsx", title: str = "Sheet1") -> bytes:
    """A file with these rows; ``form`` is xlsx or csv."""
    return _as_csv(head, rows) if form == "csv" else _as_workbook(head, rows, title)


def _as_workbook(head: Sequence[str], rows: Iterable[Sequence[Any]], title: str) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    bold = Font(bold=True)

    def cell(value: Any, font: Font | None = None) -> Any:
        made = WriteOnlyCell(sheet, value=_plain(value))
        if isinstance(value, str):
            made.data_type, made.number_format = "s", "@"
        elif isinstance(value, datetime):
            made.number_format = "yyyy-mm-dd hh:mm:ss"
        if font is not None:
            made.font = font
        return made

    sheet.append([cell(name, bold) for name in head])
    for row in rows:
        sheet.append([cell(value) for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _plain(value: Any) -> Any:
    return _IMPOSSIBLE.sub("", value)[:32_000] if isinstance(value, str) else value


def _as_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_guarded(name) for name in head])
    for row in rows:
        writer.writerow([_guarded(value) for value in row])
    return out.getvalue().encode("utf-8-sig")


def _guarded(value: Any) -> str:
    """Text that a spreadsheet would calculate gets an apostrophe before it; numbers are numbers."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = str(_plain(value))
        return f"'{text}" if text.startswith(RISKY) else text
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return format(value, "f") if isinstance(value, Decimal) else template.text(value)


def unguarded(text: str) -> str:
    """Text as it was before ``write`` guarded it."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(RISKY) else text

"""Tables for people: CSV and XLSX of any length, row by row, that no spreadsheet can be tricked with.

A text that a spreadsheet might take for a formula (it begins with ``=``, ``+``, ``-``, ``@``, tab or return) gets
an apostrophe before it, and in a workbook every text is written as a text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORMATS = {"csv": CSV, "xlsx": XLSX}
LONGEST = 32_000
"""Characters of one cell; a workbook takes 32,767."""
BOM = "\ufeff"
"""Without it Excel reads a CSV of Chinese text in the wrong encoding."""
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe(value: Any) -> str:
    """A value as the text of a cell."""
    text = "" if value is None else str(value)
    text = "".join(character for character in text if character in "\t\n\r" or ord(character) >= 32)
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return f"'{text}" if text.startswith(_RISKY) else text


def csv_lines(rows: Iterable[Sequence[Any]], *, first: bool) -> bytes:
    """Some lines of a CSV file; ``first`` begins the file."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerows([safe(value) for value in row] for row in rows)
    return ((BOM if first else "") + made.getvalue()).encode()


class Workbook:
    """An XLSX file written row by row; memory stays small however many there are."""

    def __init__(self, title: str, head: Sequence[str]) -> None:
        import openpyxl  # heavy, and few ask for a workbook
        from openpyxl import cell, styles

        self._cell, self._bold = cell.WriteOnlyCell, styles.Font(bold=True)
        self._book = openpyxl.Workbook(write_only=True)
        self._sheet: Any = self._book.create_sheet(title[:31])
        self._sheet.freeze_panes = "A2"
        self._row(head, bold=True)

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self._row(row)

    def _row(self, values: Sequence[Any], *, bold: bool = False) -> None:
        cells = []
        for value in values:
            cell = self._cell(self._sheet, value=safe(value))
            cell.data_type = "s"
            if bold:
                cell.font = self._bold
            cells.append(cell)
        self._sheet.append(cells)

    def save(self, path: Path) -> None:
        """Writes the file; the workbook is finished with that."""
        self._book.save(path)

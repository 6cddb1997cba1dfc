"""The report of a reconciliation 对账报告: findings as a table, for the API and the command line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from gateway import privacy, sheet
from retry_queue.ledger import findings, session

HEAD = ("编号 id", "类型 kind", "单号 number", "左侧记录 left", "右侧记录 right", "字段 field", "左值 left value",
        "右值 right value", "状态 state", "说明 note")  # fmt: skip
KINDS = {"missing": "漏单 missing", "extra": "多单 extra", "different": "字段不一致 different"}
STATES = {
    "open": "待处理 open", "repairing": "修复中 repairing", "repaired": "已修复 repaired",
    "ignored": "已忽略 ignored", "failed": "修复失败 failed",
}  # fmt: skip
PAGE = 500


def fields(found: findings.Found, *, reveal: bool) -> list[dict[str, Any]]:
    """What differs, personal data masked unless revealed."""
    if reveal:
        return found.fields
    return [
        {"path": one.get("path", ""), **{side: shown(one, side) for side in ("left", "right")}} for one in found.fields
    ]


def shown(one: dict[str, Any], side: str) -> Any:
    """One side's value of a differing field, masked by where in the record it stands."""
    steps = str(one.get("path", "")).replace("[", ".[").split(".")
    leaf = steps[-1]
    return privacy.masked(one.get(side), leaf, inside=[step for step in steps[:-1] if not step.startswith("[")])


def rows(found: Sequence[findings.Found], *, reveal: bool) -> list[tuple[Any, ...]]:
    """A line per differing field, one line for what is missing or too many."""
    made: list[tuple[Any, ...]] = []
    for one in found:
        note = (one.detail or {}).get("zh", "")
        head = (one.id, KINDS.get(one.kind, one.kind), one.number, one.left_record, one.right_record)
        tail = (STATES.get(one.state, one.state), note)
        for field in fields(one, reveal=reveal) or [{}]:
            made.append((*head, field.get("path"), _cell(field.get("left")), _cell(field.get("right")), *tail))
    return made


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


async def pages(ledger: session.Ledger, wanted: findings.Filter) -> AsyncIterator[list[findings.Found]]:
    """Everything that fits, a page at a time."""
    after = 0
    while True:
        async with ledger.read() as db:
            found = await findings.search(db, wanted, limit=PAGE, after=after)
        if not found:
            return
        yield found
        after = found[-1].id


async def csv_pieces(ledger: session.Ledger, wanted: findings.Filter, *, reveal: bool) -> AsyncIterator[bytes]:
    """The report as CSV, piece by piece."""
    yield sheet.csv_lines([HEAD], first=True)
    async for page in pages(ledger, wanted):
        yield sheet.csv_lines(rows(page, reveal=reveal), first=False)


async def workbook(ledger: session.Ledger, wanted: findings.Filter, path: Path, *, reveal: bool) -> None:
    """The report as an XLSX file at ``path``."""
    book = sheet.Workbook(f"对账 {wanted.reconciliation_id}", HEAD)
    async for page in pages(ledger, wanted):
        book.add(rows(page, reveal=reveal))
    book.save(path)

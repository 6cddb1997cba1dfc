"""Spreadsheets: hostile files in, no formulas out, and nothing of a record lost on the way."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis
import openpyxl
import pytest
from hypothesis import strategies

from connectors.core import client, errors
from connectors.excel import columns, places, sender, sheet, table
from mappings import library
from tests.conformance import excel_desk as desks


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[client.Client]:
    async with client.alone(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SETTLED", 0.0)


# What files may hold.


def parsed(kind: str, *rows: list[Any]) -> sheet.Parsed:
    return sheet.parse(desks.book(*rows), kind, 100)


def test_what_people_really_write() -> None:
    found = parsed(
        "order",
        ["六月订单明细", None, None],
        ["* 订单号", "订单状态", "订单金额（元）", "商品编码", "数量", "收件电话", "下单时间", "渠道"],
        ["  SN1 ", "待发货", "￥1,234.50", "A", 2.0, 13800000001, 46200.5, "直播"],
        [20260627, "paid", 8, "0012", "3", 13800000001.0, "2026/6/27 8:05", None],
        [None, None, None, None, None, None, None, None],
    )
    assert found.problems == []
    first, second = found.records
    assert first["id"] == "SN1"
    assert (first["status"], first["total"], first["receiver_phone"]) == ("paid", "1234.50", "13800000001")
    assert first["created_at"] == "2026-06-27 12:00:00"
    assert first["extra"] == {"渠道": "直播"}
    assert (second["id"], second["lines"][0]["sku"], second["created_at"]) == (
        "20260627",
        "0012",
        "2026-06-27 08:05:00",
    )


def test_numbers_that_excel_has_bent_are_refused() -> None:
    found = parsed(
        "order", desks.HEAD, [2067719225654838111, "已付款", 1, "A", 1], ["2067719225654838111", "已付款", 1, "A", 1]
    )
    assert [one["id"] for one in found.records] == ["2067719225654838111"]
    assert "文本" in found.problems[0].zh


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_csv_in_every_dress(encoding: str, separator: str) -> None:
    rows = [desks.HEAD, ["SN1", "已付款", "1.50", f"A{separator}B", "2"]]
    content = "\r\n".join(separator.join(f'"{one}"' for one in row) for row in rows).encode(encoding)
    (record,) = sheet.parse(content, "order", 100).records
    assert record["lines"] == [{"sku": f"A{separator}B", "quantity": "2"}]


def test_one_wrong_row_refuses_its_whole_record_and_nothing_else() -> None:
    found = parsed(
        "order", desks.HEAD, ["S1", "已付款", 1, "A", 1], ["S1", "已付款", 1, "B", "多"], ["S2", "已付款", 1, "A", 1]
    )
    assert [one["id"] for one in found.records] == ["S2"]
    assert [(one.row, one.column) for one in found.problems] == [(3, "数量"), (2, "")]


def test_a_second_row_of_a_record_without_lines_is_a_problem() -> None:
    found = parsed("customer", ["客户编号", "客户名称"], ["C1", "甲"], ["C1", "乙"])
    assert [one["name"] for one in found.records] == ["甲"]
    assert found.problems[0].row == 3


def test_missing_columns_are_named() -> None:
    found = parsed("order", ["订单号", "金额"], ["SN1", 1])
    assert "订单状态" in found.problems[0].zh
    assert "SKU" in found.problems[0].en


LONG = ["订单号,订单状态,订单金额,商品编码,数量", "2.06772E+18,已付款,1,A,1", "2.06772E+18,已付款,2,B,1"]


def test_long_numbers_that_a_spreadsheet_bent_in_a_csv_do_not_make_many_orders_one() -> None:
    found = sheet.parse("\r\n".join(LONG).encode("gbk"), "order", 100)
    assert found.records == []
    assert [(one.row, one.column) for one in found.problems] == [(2, "订单号"), (3, "订单号")]
    assert "2.06772E+18" in found.problems[0].zh
    assert "2.06772E+18" in found.problems[0].en


def test_a_failed_formula_or_a_date_made_of_it_is_no_code() -> None:
    day = datetime(2026, 1, 2)  # noqa: DTZ001 - what a spreadsheet's cell gives
    found = parsed("order", [*desks.HEAD, "卖家备注"], ["S1", "已付款", 1, "#N/A", 1], ["S2", "已付款", 1, day, 1],
                   ["S3", "已付款", 1, "A", 1, day])  # fmt: skip
    assert [one["id"] for one in found.records] == ["S3"]
    assert [(one.row, one.column) for one in found.problems] == [(2, "商品编码"), (3, "商品编码")]
    assert "#N/A" in found.problems[0].zh
    assert "日期" in found.problems[1].zh


def test_a_formula_that_nobody_has_calculated_is_told_and_is_not_nothing() -> None:
    made = openpyxl.Workbook()
    for row in ([*desks.HEAD, "运费"], ["S1", "已付款", 1, "A", 1, "=C2*2"], ["S2", "已付款", 1, "A", 1, None]):
        made.active.append(row)
    out = io.BytesIO()
    made.save(out)
    found = sheet.parse(out.getvalue(), "order", 100)
    assert [one["id"] for one in found.records] == ["S2"]
    assert [(one.row, one.column) for one in found.problems] == [(2, "运费")]
    assert "保存一次" in found.problems[0].zh


def test_a_column_that_is_there_twice_and_differs_is_told() -> None:
    found = parsed("order", [*desks.HEAD, "数量"], ["S1", "已付款", 1, "A", 1, 2], ["S2", "已付款", 1, "A", 3, 3],
                   ["S3", "已付款", 1, "A", 4, None])  # fmt: skip
    assert [(one["id"], one.get("extra")) for one in found.records] == [("S2", None), ("S3", None)]
    assert [(one.row, one.column) for one in found.problems] == [(2, "数量")]


def test_an_order_whose_number_is_a_merged_cell_is_not_taken_without_its_other_lines() -> None:
    found = parsed("order", desks.HEAD, ["S1", "已付款", 3, "A", 1], [None, None, None, "B", 2],
                   ["S2", "已付款", 1, "A", 1], ["合计", None, 4], [None, None, 4])  # fmt: skip
    assert [one["id"] for one in found.records] == ["S2"]
    assert "合并" in next(one.zh for one in found.problems if (one.row, one.column) == (3, "订单号"))
    assert "整条没有收" in next(one.zh for one in found.problems if one.row == 2)


def test_a_result_that_was_mended_and_put_in_again_does_not_carry_our_words_as_fields() -> None:
    found = parsed("order", [*desks.HEAD, "渠道"], ["S1", "已付款", 1, "A", 1, "直播"], ["S2", "付", 1, "A", 1, "直播"])
    rows = desks.cells(sheet.result(found))
    rows[2][3] = "已付款"
    again = parsed("order", *rows)
    assert [(one["id"], one["extra"]) for one in again.records] == [("S1", {"渠道": "直播"}), ("S2", {"渠道": "直播"})]
    assert desks.cells(sheet.result(again))[0] == ["结果", "原因", *desks.HEAD, "渠道"]


def test_who_writes_english_headings_is_answered_in_english_and_by_them() -> None:
    found = parsed("order", ["Order", "Status", "Total", "SKU", "Quantity"], ["S1", "what", "x", "A", 1],
                   ["S2", "paid", 1, "A", 1])  # fmt: skip
    head, bad, good = desks.cells(sheet.result(found))
    assert (head[:3], good[0]) == (["Result", "Reason", "Order"], "taken")
    assert bad[0] == "refused"
    assert "Status: 'what' is none of created, paid" in bad[1]
    assert "Total: not a number: x" in bad[1]


def test_an_empty_file_and_a_long_one_are_told_as_what_they_are() -> None:
    assert "空的" in sheet.parse(b"", "order", 100).problems[0].zh
    long = "\n".join([LONG[0], *(f"S{number},已付款,1,A,1" for number in range(50_000))]).encode()
    assert sheet.parse(long, "order", 2000).problems[0].zh.startswith("超过 2000 行")


def test_a_title_above_the_headings_does_not_hide_the_separator() -> None:
    content = "六月订单\n" + "\n".join(LONG[:1]).replace(",", ";") + "\nS1;已付款;1;A;1\n"
    assert [one["id"] for one in sheet.parse(content.encode(), "order", 100).records] == ["S1"]


def packed(**parts: bytes) -> bytes:
    """A workbook with some of its parts replaced or added."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(desks.book(desks.HEAD))) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, parts.pop(name, old.read(name)))
        for name, content in parts.items():
            new.writestr(name, content)
    return out.getvalue()


HOSTILE = {
    "empty": b"",
    "binary": bytes(range(256)) * 10,
    "old xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "web page": b"<html><body>login</body></html>",
    "truncated": desks.book(desks.HEAD, ["S", "paid", 1, "A", 1])[:900],
    "bomb": packed(**{"xl/media/image1.xml": b"0" * (table.UNPACKED + 1)}),
    "many parts": packed(**{f"x/{number}.xml": b"<a/>" for number in range(table.PARTS + 1)}),
    "entities": packed(**{"xl/sharedStrings.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><sst>&b;</sst>'}),
    "external entity": packed(**{"xl/styles.xml": b'<!doctype a SYSTEM "file:///etc/passwd"><a/>'}),
    "not xml": packed(**{"xl/worksheets/sheet1.xml": b"\x00\x01"}),
    "open quote": '订单号,"订单\n'.encode(),
    "nul": b"a\x00b,c\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_a_problem_and_nothing_worse(name: str) -> None:
    found = sheet.parse(HOSTILE[name], "order", 100)
    assert found.records == []
    assert [one.row for one in found.problems] == [0]
    assert found.problems[0].zh
    assert desks.cells(sheet.result(found))[1][0] == "失败 refused"


def test_too_many_rows_are_refused_as_a_whole() -> None:
    content = "订单号,订单状态,订单金额,商品编码,数量\n" + "".join(f"S{n},已付款,1,A,1\n" for n in range(200))
    assert "分成几个" in sheet.parse(content.encode(), "order", 100).problems[0].zh
    assert len(sheet.parse(content.encode(), "order", 200).records) == 200


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(content=strategies.binary(max_size=300), kind=strategies.sampled_from(sorted(columns.SHEETS)))
def test_no_bytes_make_the_reader_fail(content: bytes, kind: str) -> None:
    sheet.result(sheet.parse(content, kind, 50))


CELLS = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(-(2**70), 2**70),
    strategies.floats(allow_nan=False, allow_infinity=False),
    strategies.text(max_size=20),
    strategies.datetimes(),
)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(rows=strategies.lists(strategies.lists(CELLS, min_size=5, max_size=5), max_size=6))
def test_no_cells_make_a_record_that_cannot_be_stored(rows: list[list[Any]]) -> None:
    made = sheet.Parsed()
    heads = dict(enumerate(columns.SHEETS["order"][:5]))
    for row in rows:
        found, problems = sheet._row(row, heads, {}, {}, list("abcde"))
        made.records.append(found)
        assert all(isinstance(one, str) for problem in problems for one in problem)
    json.dumps(made.records)


# What goes out.

RISKY = ["=1+1", "=cmd|' /C calc'!A0", "+86138", "-2+3", "@SUM(A1)", "\t=1", "'quoted", "正常", "1e5"]


@pytest.mark.parametrize("form", ["xlsx", "csv"])
@pytest.mark.parametrize("value", RISKY)
async def test_text_stays_text_on_the_way_out_and_back(
    form: str, value: str, tmp_path: Path, calls: client.Client
) -> None:
    record = {"_sheet": "customer", "id": "C1", "name": value, "note": "x"}
    await calls.call(desks.connection(form=form), "row.export", record)
    (file,) = (tmp_path / "desk" / "out").iterdir()
    if form == "xlsx":
        for row in openpyxl.load_workbook(file).worksheets[0].iter_rows():
            assert {cell.data_type for cell in row} <= {"s", "n"}, "no formula anywhere"
    else:
        line = file.read_bytes().decode("utf-8-sig").split("\r\n")[1]
        assert not any(one.startswith(table.RISKY) for one in line.split(","))
    (back,) = sheet.parse(file.read_bytes(), "customer", 10).records
    assert back["name"] == value.strip()


async def test_the_row_of_a_record_is_replaced_and_files_are_split(tmp_path: Path, calls: client.Client) -> None:
    out = tmp_path / "desk" / "out"
    opened = desks.connection(rows_per_file=2)
    for sku, available in (("A", "1"), ("B", "2"), ("C", "3"), ("A", "9.50"), ("A", "9.50")):
        await calls.call(opened, "row.export", {"_sheet": "inventory", "id": sku, "sku": sku, "available": available})
    first, second = (desks.cells((out / name).read_bytes()) for name in desks.listed(out))
    assert [(row[0], str(row[2])) for row in first[1:]] == [("A", "9.5"), ("B", "2")]
    assert [row[0] for row in second[1:]] == ["C"]
    journal = tmp_path / "desk" / "journal"
    assert sum(len((journal / name).read_text().splitlines()) for name in desks.listed(journal)) == 4, (
        "the same again is nothing"
    )


async def test_a_line_that_a_crash_tore_costs_only_itself(tmp_path: Path, calls: client.Client) -> None:
    opened = desks.connection()
    await calls.call(opened, "row.export", {"_sheet": "inventory", "id": "A", "sku": "A", "available": "1"})
    (journal,) = (tmp_path / "desk" / "journal").iterdir()
    with journal.open("ab") as torn:
        torn.write(b'{"id":"B","sku":"B","avail')
    for sku in ("C", "D"):
        await calls.call(opened, "row.export", {"_sheet": "inventory", "id": sku, "sku": sku, "available": "1"})
    (file,) = (tmp_path / "desk" / "out").iterdir()
    assert [row[0] for row in desks.cells(file.read_bytes())[1:]] == ["A", "C", "D"]


async def test_two_processes_write_one_file_without_losing_a_row(tmp_path: Path) -> None:
    """Two clients share nothing but the folder and its lock."""
    given = [{"_sheet": "inventory", "id": f"S{n}", "sku": f"S{n}", "available": str(n)} for n in range(16)]
    async with client.alone(tmp_path) as first, client.alone(tmp_path) as second:
        both = (first, second)
        await asyncio.gather(
            *(both[number % 2].call(desks.connection(), "row.export", one) for number, one in enumerate(given))
        )
    (file,) = (tmp_path / "desk" / "out").iterdir()
    assert sorted(row[0] for row in desks.cells(file.read_bytes())[1:]) == sorted(one["sku"] for one in given)
    assert not [name for name in desks.listed(tmp_path / "desk" / "out") if name.endswith(".part")]


ORDER = {
    "id": "SN1",
    "status": "partially_shipped",
    "total": "128.00",
    "created_at": "2026-06-27T17:58:11+08:00",
    "receiver": {"name": "张=三", "phone": "13800000001", "address": {"province": "浙江省"}},
    "lines": [
        {"id": "L1", "sku": "0012", "quantity": "1", "unit_price": "64.00"},
        {"id": "L2", "sku": "B", "quantity": "2.5", "paid": "64.00"},
    ],
    "extra": {"渠道": "直播"},
}


async def test_what_was_written_reads_back_as_the_same_order(tmp_path: Path, calls: client.Client) -> None:
    mapping = library.shipped("excel", "order")
    await calls.call(desks.connection(), "row.export", mapping.to_native(ORDER, {}))
    (file,) = (tmp_path / "desk" / "out").iterdir()
    (record,) = sheet.parse(file.read_bytes(), "order", 10).records
    back = json.loads(json.dumps(mapping.from_native(record, {}), default=str))
    assert back["lines"][0]["sku"] == "0012"
    assert (back["status"], back["receiver"], back["extra"]) == (ORDER["status"], ORDER["receiver"], ORDER["extra"])
    assert [float(line["quantity"]) for line in back["lines"]] == [1.0, 2.5]
    assert float(back["total"]) == 128.0


async def test_a_kind_without_a_sheet_is_our_mistake(calls: client.Client) -> None:
    with pytest.raises(errors.Misdeclared) as wrong:
        await calls.call(desks.connection(), "row.export", {"_sheet": "message", "id": "1"})
    assert wrong.value.hint["zh"]


async def test_a_call_that_is_given_up_while_it_waits_leaves_no_lock_behind(
    tmp_path: Path, calls: client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "desk"
    held = await sender._locked(room)
    given = {"_sheet": "inventory", "id": "A", "sku": "A", "available": "1"}
    waiting = asyncio.create_task(calls.call(desks.connection(), "row.export", given))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    os.close(held)
    async with asyncio.timeout(5):
        await calls.call(desks.connection(), "row.export", given)

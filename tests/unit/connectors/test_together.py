"""Rows that are one record, added up: over pages, exactly, and never when a sum would be wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.core import client, declaration, errors, model, terms, together
from connectors.core.own import source
from tests.unit.connectors.conftest import Answer, Peer, Seen, answer

LONG = Decimal("12345678901234567890.123456789012345678")
BY_SKU = terms.Together(by=["sku", "at.house"], add=["qty", "at.free"], once=["no"])


def summed(*pages: list[dict[str, Any]], spec: terms.Together = BY_SKU) -> list[Any]:
    sums = together.Sums(spec, "stock.list")
    for page in pages:
        sums.take(page)
    return [row for page in sums.pages() for row in page]


def test_rows_of_one_record_are_one_with_exact_sums() -> None:
    rows = [
        {"no": 1, "sku": "A", "at": {"house": 7, "free": "0.10"}, "qty": 1, "bin": "x"},
        {"no": 2, "sku": "B", "at": {"house": 7, "free": "5"}, "qty": 5},
        {"no": 3, "sku": "A", "at": {"house": "7", "free": " 0.2"}, "qty": 2},
        {"no": 4, "sku": "A", "at": {"house": 8, "free": "9"}, "qty": 9},
        {"no": 5, "sku": "A", "at": {"house": 7, "free": None}, "qty": LONG},
    ]
    before = str(rows)
    first, second, third = summed(rows[:2], rows[2:])
    whole = {"no": 1, "sku": "A", "at": {"house": 7, "free": "0.30"}, "bin": "x"}
    assert first == whole | {"qty": Decimal("12345678901234567893.123456789012345678")}, "more digits than usual"
    assert (second, third) == (rows[1], rows[3]), "a record of one row is left as it is, in its place"
    assert str(rows) == before
    assert type(summed([{"sku": "A", "qty": 1}, {"sku": "A", "qty": 2}])[0]["qty"]) is int


def test_a_row_that_is_met_again_counts_once() -> None:
    one, two = {"no": 1, "sku": "A", "qty": 3}, {"no": 2, "sku": "A", "qty": 4}
    assert [row["qty"] for row in summed([one, two], [two])] == [7]
    unnamed = [{"sku": "A", "qty": 3}, {"sku": "A", "qty": 3}]
    assert [row["qty"] for row in summed(unnamed)] == [6], "without a name of its own a row is a row"


def test_a_quantity_that_only_some_rows_tell() -> None:
    assert summed([{"sku": "A", "qty": ""}, {"sku": "A", "qty": 3}])[0]["qty"] == 3
    assert summed([{"sku": "A"}, {"sku": "A"}]) == [{"sku": "A"}]
    assert summed([{"bin": 1, "qty": 1}, {"bin": 2, "qty": 2}]) == [{"bin": 1, "qty": 1}, {"bin": 2, "qty": 2}]


@pytest.mark.parametrize("bad", ["many", "1,200", "NaN", "1e99", "1e-99", True, [1], Decimal("Infinity")])
def test_what_is_no_number_is_not_added_up(bad: Any) -> None:
    with pytest.raises(errors.Misdeclared, match="'qty'") as caught:
        summed([{"sku": "A", "qty": 1}, {"sku": "A", "qty": bad}])
    assert str(bad) not in str(caught.value) or len(str(bad)) < 4


def test_many_records_come_in_parts() -> None:
    sums = together.Sums(BY_SKU, "stock.list")
    sums.take([{"sku": str(n % 1200), "qty": 1} for n in range(2400)])
    pages = [*sums.pages()]
    assert [len(page) for page in pages] == [500, 500, 200]
    assert {row["qty"] for page in pages for row in page} == {2}


LIST: dict[str, Any] = {
    "kind": "list", "path": "/stock", "items": "rows", "query": {"page": "${page.no}"},
    "paging": {"style": "page", "size": 2, "total": "total"}, "together": {"by": ["sku"], "add": ["qty"]},
}  # fmt: skip


def opened(url: str, **changed: Any) -> model.Connection:
    told = {
        "apiVersion": "shuniu/api/v1", "id": "office", "label": "前台", "success": {"path": "body.code", "equals": 0},
        "operations": {"ping": {"kind": "get", "path": "/ping"}, "stock.list": LIST | changed},
    }  # fmt: skip
    return model.Connection("office", source.compiled(source.written(told)), {"base_url": url}, {})


def paged(rows: list[dict[str, Any]], totals: list[int] | None = None) -> Callable[[Seen], Answer]:
    def decide(seen: Seen) -> Answer:
        page = int(seen.query.get("page") or 1)
        total = totals[page - 1] if totals else len(rows)
        return answer({"code": 0, "total": total, "rows": rows[(page - 1) * 2 : page * 2]})

    return decide


BINS = [{"sku": "A", "qty": "1.5"}, {"sku": "B", "qty": "9"}, {"sku": "A", "qty": "2"}, {"sku": "A", "qty": "0.25"}]


async def test_a_sites_own_declaration_adds_up_over_pages(peer: Peer, calls: client.Client) -> None:
    peer.decide = paged(BINS)
    found = [row async for page in calls.pages(opened(peer.url), "stock.list", {}) for row in page]
    assert found == [{"sku": "A", "qty": "3.75"}, {"sku": "B", "qty": "9"}]
    assert [seen.query["page"] for seen in peer.seen] == ["1", "2"]
    whole = opened(peer.url, paging={"style": "none"}, query={})
    peer.decide = lambda seen: answer({"code": 0, "rows": BINS})
    assert (await calls.call(whole, "stock.list", {})).data == found, "one answer holds them all"


async def test_a_list_that_changes_its_length_gives_no_sums(peer: Peer, calls: client.Client) -> None:
    """A row that came in between moves another to the next page, where it would be added once more."""
    peer.decide = paged(BINS, [4, 5])
    with pytest.raises(errors.Unavailable, match="5 rows now") as caught:
        [row async for row in calls.pages(opened(peer.url), "stock.list", {})]
    assert caught.value.operation == "stock.list"
    assert set(caught.value.hint) == {"zh", "en"}


async def test_a_list_that_broke_off_gives_no_sums(peer: Peer, calls: client.Client) -> None:
    """An empty page before the end was taken for the end, and what lay behind it for sold out."""
    peer.decide = paged(BINS, [7, 7, 7])
    with pytest.raises(errors.Unavailable, match="4 rows came of a list of 7"):
        [row async for row in calls.pages(opened(peer.url), "stock.list", {})]


def test_a_row_of_nothing_is_written_as_the_row_was() -> None:
    joined = terms.Together(by=["sku", "bin"], add=["qty", "left.free", "held"])
    row = {"sku": "A", "bin": None, "qty": "1.50", "left": {"free": 2, "of": 3}, "held": ""}
    none = {"sku": "A", "bin": None, "qty": "0", "left": {"free": 0, "of": 3}, "held": ""}
    assert together.emptied(joined, row) == none
    assert (together.bare(joined, row), together.bare(joined, none)) == (False, True)
    assert together.name(joined, row) == together.name(joined, none) != together.name(joined, {"sku": "A", "bin": "1"})
    assert together.name(joined, {"qty": 1}) is None


def test_a_whole_listing_of_a_sites_own_says_its_records_anew_each_time() -> None:
    """Else what comes back as it was before it went is taken for its old message, and stays at 0."""
    polled = "polls:\n  stock: {operation: stock.list, entity: inventory, record: sku, whole: true}\n"
    listing = "stock.list: {kind: list, path: /stock, items: rows, together: {by: [sku, bin], add: [qty]}}"
    text = f"apiVersion: shuniu/api/v1\nid: depot\nlabel: Depot\noperations:\n  {listing}\n{polled}"
    spec = source.compiled(text)
    assert spec.events["stock"].whole
    assert spec.messages["row.stock"].dedupe == ["sku", "bin", "${window.end|s}"]
    for wrong, why in (
        (text.replace(", together: {by: [sku, bin], add: [qty]}", ""), "needs together"),
        (text.replace("whole: true", "whole: true, dedupe: [sku]"), None),
    ):
        if why is None:
            assert source.compiled(wrong).messages["row.stock"].dedupe == ["sku", "bin", "${window.end|s}"]
            continue
        with pytest.raises(source.Broken, match=why):
            source.compiled(wrong)
    bad = spec.model_dump(by_alias=True) | {"messages": {"row.stock": {"label": {"zh": "x", "en": "x"}}}}
    with pytest.raises(ValidationError, match=r"window\.end"):
        declaration.Declaration.model_validate(bad)


@pytest.mark.parametrize(("changed", "why"), [
    ({"query": {"since": "${window.start|ms}"}}, "only those that changed"),
    ({"paging": {"style": "page", "size": 2, "total": "total", "reverse": True}}, "forwards"),
    ({"kind": "get"}, "for lists"),
    ({"together": {"by": ["sku"], "add": ["sku"]}}, "names rows"),
    ({"together": {"by": [], "add": ["qty"]}}, "at least 1"),
])  # fmt: skip
def test_where_rows_cannot_be_added_up_is_refused(changed: dict[str, Any], why: str) -> None:
    told = {"label": {"zh": "库存", "en": "Stock"}, **LIST, **changed}
    with pytest.raises(ValidationError, match=why):
        declaration.Operation.model_validate(told)

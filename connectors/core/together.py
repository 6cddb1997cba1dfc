"""Rows of one record made one: a stock level told by batch, state or bin is the sum of its rows.

The rows of a record may lie on several pages, so nothing is given out before the whole listing was read. Kept meanwhile
is one row per record with its sums, and what names a row where that is declared; ``paging.limit_pages`` bounds both.
A quantity that is no number, and a listing that changed its length while it was read, raise: a wrong sum oversells.
"""

from __future__ import annotations

import copy
import decimal
import hashlib
from collections.abc import Hashable, Iterator
from decimal import Decimal
from typing import Any

from connectors.core import errors, paths, template, terms

AT_ONCE = 500
"""Records that are given out together."""
DIGITS = 60
"""More places before or after the point are no quantity, and would be written out one by one."""

_EXACT = decimal.Context(prec=4 * DIGITS, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow])


class Sums:
    """The rows of one listing, added up as they come."""

    def __init__(self, spec: terms.Together, name: str) -> None:
        self._name, self._add = name, spec.add
        self._by = [paths.getter(path) for path in spec.by]
        self._read = [paths.getter(path) for path in spec.add]
        self._once = [paths.getter(path) for path in spec.once]
        self._first: dict[Hashable, Any] = {}
        self._sums: dict[Hashable, list[Any]] = {}
        self._seen: set[Hashable] = set()
        self._length: int | None = None
        self._taken = 0

    def take(self, rows: list[Any], length: int | None = None) -> None:
        """The rows of one page, and how many the whole listing has by its own word.

        Raises errors.Misdeclared, or errors.Unavailable where another page said another length.
        """
        if length is not None and self._length not in (None, length):
            raise errors.Unavailable(
                f"{self._name}: the list has {length} rows now and had {self._length} when its reading began",
                operation=self._name,
                hint={
                    "zh": "读取时列表的行数变了，相加会出错；稍后整个重读",
                    "en": "The list grew or shrank while it was read and cannot be added up; it is read again",
                },
            )
        self._length = length if length is not None else self._length
        self._taken += len(rows)
        for row in rows:
            self._take(row)

    def over(self) -> None:
        """No page is left. Raises errors.Unavailable where rows are missing, by the list's own word."""
        if self._length is not None and self._taken < self._length:
            raise errors.Unavailable(
                f"{self._name}: {self._taken} rows came of a list of {self._length}",
                operation=self._name,
                hint={
                    "zh": "列表没有读全就结束了，相加会出错；稍后整个重读",
                    "en": "The list broke off before its end and cannot be added up; it is read again",
                },
            )

    def _take(self, row: Any) -> None:
        key = _values(self._by, row)
        if not any(key):
            self._first[object()] = row  # it names no record: what it is, the messages say
            return
        row_name = _values(self._once, row)
        if any(row_name):
            if (key, row_name) in self._seen:
                return
            self._seen.add((key, row_name))
        if key not in self._first:
            self._first[key] = row
            return
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [read(self._first[key]) for read in self._read]
        for index, read in enumerate(self._read):
            sums[index] = self._sum(self._add[index], sums[index], read(row))

    def _sum(self, path: str, left: Any, right: Any) -> Any:
        if _nothing(right):
            return left
        if _nothing(left):
            return right
        try:
            total = _EXACT.add(_number(left), _number(right))
        except (decimal.DecimalException, ValueError):
            raise errors.Misdeclared(
                f"{self._name}: '{path}' holds something that is no number and cannot be added up",
                operation=self._name,
                hint={"zh": f"{path} 不是可以相加的数", "en": f"{path} is no number that can be added up"},
            ) from None
        if isinstance(left, str):
            return format(total, "f")
        return int(total) if isinstance(left, int) and isinstance(right, int) else total

    def pages(self) -> Iterator[list[Any]]:
        """Each record's row, in the order in which its first row came."""
        made: list[Any] = []
        for key, row in self._first.items():
            made.append(self._added(row, self._sums[key]) if key in self._sums else row)
            if len(made) == AT_ONCE:
                yield made
                made = []
        if made:
            yield made

    def _added(self, row: Any, sums: list[Any]) -> Any:
        whole = copy.deepcopy(row)
        for path, value in zip(self._add, sums, strict=True):
            if value is not paths.ABSENT:
                paths.put(whole, path, value)
        return whole


def one(spec: terms.Together, name: str, rows: list[Any]) -> list[Any]:
    """The rows of a listing that has one page, added up. Raises errors.Misdeclared."""
    sums = Sums(spec, name)
    sums.take(rows)
    return [row for page in sums.pages() for row in page]


def name(spec: terms.Together, row: Any) -> str | None:
    """What names the record of a row in every listing, 32 characters; None for a row that names none."""
    key = _values([paths.getter(path) for path in spec.by], row)
    return hashlib.sha256("\x1f".join(key).encode()).hexdigest()[:32] if any(key) else None


def bare(spec: terms.Together, row: Any) -> bool:
    """Whether nothing is in any of its quantities. Raises ValueError for one that is no number."""
    found = [value for path in spec.add if not _nothing(value := paths.getter(path)(row))]
    return not any(_number(value) for value in found)


def emptied(spec: terms.Together, row: Any) -> Any:
    """The row with nothing in it: each quantity that it tells is 0, written as it was (a text stays one)."""
    none = copy.deepcopy(row)
    for path in spec.add:
        value = paths.getter(path)(row)
        if not _nothing(value):
            paths.put(none, path, "0" if isinstance(value, str) else 0)
    return none


def _values(reads: list[Any], row: Any) -> tuple[str, ...]:
    return tuple("" if _nothing(value := read(row)) else template.text(value) for read in reads)


def _nothing(value: Any) -> bool:
    return value is paths.ABSENT or value is None or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError(value)
    found = Decimal(str(value) if isinstance(value, float) else value)
    exponent = found.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -DIGITS or found.adjusted() > DIGITS:
        raise ValueError(value)
    return found

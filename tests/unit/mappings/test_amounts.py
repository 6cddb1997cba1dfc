"""Money and numbers in both directions, at their edges, and what they refuse."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import amounts
from tests.unit.mappings import conversion


@pytest.mark.parametrize(
    ("options", "native", "canonical", "written"),
    [
        ({"unit": "yuan"}, "188.00", "188.00", "188.00"),
        ({"unit": "yuan", "places": 2}, "188", "188", "188.00"),
        ({"unit": "yuan", "places": 2}, 188.5, "188.5", "188.50"),
        ({"unit": "yuan", "as": "number"}, Decimal("0.10"), "0.10", 0.1),
        ({"unit": "yuan", "as": "number"}, 12, "12", 12),
        ({"unit": "yuan", "as": "integer"}, 12, "12", 12),
        ({"unit": "yuan"}, " -1.5 ", "-1.5", "-1.5"),
        ({"unit": "yuan"}, "1e2", "100", "100"),
        ({"unit": "fen"}, 18850, "188.50", 18850),
        ({"unit": "fen"}, "18850", "188.50", 18850),
        ({"unit": "fen", "as": "string"}, "1", "0.01", "1"),
        ({"unit": "fen"}, 18850.0, "188.50", 18850),
        ({"unit": "fen"}, 0, "0.00", 0),
        ({"unit": "fen"}, -5, "-0.05", -5),
    ],
)
def test_money(options: dict[str, Any], native: Any, canonical: str, written: Any) -> None:
    one = conversion.codec("total", codec="money", **options)
    assert one.decode(native) == Decimal(canonical)
    assert one.encode(Decimal(canonical)) == written
    assert one.encode(canonical) == written, "stored as text"
    assert type(one.encode(Decimal(canonical))) is type(written)


def test_fen_that_are_not_whole_are_refused_both_ways() -> None:
    fen = conversion.codec("total", codec="money", unit="fen")
    assert "whole" in conversion.refuses(fen.decode, "188.5").en
    assert "decimals" in conversion.refuses(fen.encode, Decimal("1.005")).en
    rounded = conversion.codec("total", codec="money", unit="fen", rounding="half_up")
    assert rounded.encode("1.005") == 101
    assert conversion.codec("total", codec="money", unit="fen", rounding="half_even").encode("1.005") == 100


def test_more_decimals_than_declared_are_refused_unless_rounding_is() -> None:
    assert (
        "rounding"
        in conversion.refuses(conversion.codec("total", codec="money", unit="yuan", places=2).encode, "1.005").zh
    )
    assert conversion.codec("total", codec="money", unit="yuan", places=2, rounding="half_up").encode("1.005") == "1.01"
    assert conversion.codec("total", codec="number", **{"as": "integer"}).encode("3.000") == 3
    conversion.refuses(conversion.codec("total", codec="number", **{"as": "integer"}).encode, "3.5")
    assert conversion.codec("total", codec="number", rounding="half_up", **{"as": "integer"}).encode("3.5") == 4


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        "NaN",
        "Infinity",
        "1_000",
        "1,000",
        "١٢",
        "0x10",
        "12元",
        "--1",
        ".",
        "1e999",
        "9" * 60,
        10**400,
        10**26,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1e-30"),
        Decimal("1e30"),
        True,
        [],
        {},
        b"1",
        "1" * 100_000,
    ],
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    conversion.refuses(conversion.codec("total", codec="money", unit="yuan").decode, value)
    conversion.refuses(conversion.codec("total", codec="money", unit="fen").decode, value)
    conversion.refuses(conversion.codec("total", codec="number").encode, value)


def test_blank_amounts_are_missing() -> None:
    assert conversion.codec("total", codec="money", unit="yuan").decode("  ") is None
    assert conversion.codec("total", codec="money", unit="fen").decode("") is None
    assert conversion.codec("total", codec="number").encode("") is None


@given(st.decimals(-(10**12), 10**12, places=2, allow_nan=False))
def test_money_inverts(amount: Decimal) -> None:
    for options in ({"unit": "yuan"}, {"unit": "yuan", "places": 2}, {"unit": "yuan", "as": "number"}, {"unit": "fen"}):
        one = conversion.codec("total", codec="money", **options)
        assert one.decode(one.encode(amount)) == amount


def test_json_numbers_stay_exact() -> None:
    assert amounts.json_number(Decimal("0.1")) == 0.1
    assert type(amounts.json_number(Decimal("3.00"))) is int
    assert amounts.json_number(Decimal("4055892.66666666666667")) == Decimal("4055892.66666666666667")

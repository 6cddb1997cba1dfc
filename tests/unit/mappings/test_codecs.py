"""Each codec in both directions, at its edges, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import amounts, codecs, errors, kinds, moments, paths, spec

TABLES = {
    "status": spec.Table.model_validate(
        {"from": {"WAIT": "created", 7: "paid", "A": "closed", "B": "closed"}, "to": {"closed": "A", "shipped": "SENT"}}
    ),
    "open": spec.Table.model_validate({"from": {"1": "paid"}, "default_from": "created", "default_to": "0"}),
}


def codec(canonical: str, entity: str = "order", **options: Any) -> codecs.Codec:
    rule = spec.Rule.model_validate({"native": "x", "canonical": canonical, **options})
    return codecs.build(rule, kinds.at(kinds.root(entity), paths.parse(canonical)), TABLES)


def refuses(convert: Any, value: Any) -> errors.BadValue:
    with pytest.raises(errors.BadValue) as caught:
        convert(value)
    assert caught.value.zh
    assert caught.value.en
    return caught.value


# money and numbers


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
    one = codec("total", codec="money", **options)
    assert one.decode(native) == Decimal(canonical)
    assert one.encode(Decimal(canonical)) == written
    assert one.encode(canonical) == written, "stored as text"
    assert type(one.encode(Decimal(canonical))) is type(written)


def test_fen_that_are_not_whole_are_refused_both_ways() -> None:
    fen = codec("total", codec="money", unit="fen")
    assert "whole" in refuses(fen.decode, "188.5").en
    assert "decimals" in refuses(fen.encode, Decimal("1.005")).en
    rounded = codec("total", codec="money", unit="fen", rounding="half_up")
    assert rounded.encode("1.005") == 101
    assert codec("total", codec="money", unit="fen", rounding="half_even").encode("1.005") == 100


def test_more_decimals_than_declared_are_refused_unless_rounding_is() -> None:
    assert "rounding" in refuses(codec("total", codec="money", unit="yuan", places=2).encode, "1.005").zh
    assert codec("total", codec="money", unit="yuan", places=2, rounding="half_up").encode("1.005") == "1.01"
    assert codec("total", codec="number", **{"as": "integer"}).encode("3.000") == 3
    refuses(codec("total", codec="number", **{"as": "integer"}).encode, "3.5")
    assert codec("total", codec="number", rounding="half_up", **{"as": "integer"}).encode("3.5") == 4


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
    refuses(codec("total", codec="money", unit="yuan").decode, value)
    refuses(codec("total", codec="money", unit="fen").decode, value)
    refuses(codec("total", codec="number").encode, value)


def test_blank_amounts_are_missing() -> None:
    assert codec("total", codec="money", unit="yuan").decode("  ") is None
    assert codec("total", codec="money", unit="fen").decode("") is None
    assert codec("total", codec="number").encode("") is None


@given(st.decimals(-(10**12), 10**12, places=2, allow_nan=False))
def test_money_inverts(amount: Decimal) -> None:
    for options in ({"unit": "yuan"}, {"unit": "yuan", "places": 2}, {"unit": "yuan", "as": "number"}, {"unit": "fen"}):
        one = codec("total", codec="money", **options)
        assert one.decode(one.encode(amount)) == amount


def test_json_numbers_stay_exact() -> None:
    assert amounts.json_number(Decimal("0.1")) == 0.1
    assert type(amounts.json_number(Decimal("3.00"))) is int
    assert amounts.json_number(Decimal("4055892.66666666666667")) == Decimal("4055892.66666666666667")


# datetime

SHANGHAI = {"zone": "Asia/Shanghai"}


@pytest.mark.parametrize(
    ("options", "native", "instant", "written"),
    [
        (
            {"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI},
            "2026-03-01 09:00:00",
            "2026-03-01T01:00:00Z",
            "2026-03-01 09:00:00",
        ),
        (
            {"format": "%Y-%m-%dT%H:%M:%S", **SHANGHAI},
            "2026-03-01T09:00:00",
            "2026-03-01T01:00:00Z",
            "2026-03-01T09:00:00",
        ),
        (
            {"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI},
            "2026-3-1 9:00:00",
            "2026-03-01T01:00:00Z",
            "2026-03-01 09:00:00",
        ),
        ({"format": "%Y%m%d%H%M%S", **SHANGHAI}, "20260301090000", "2026-03-01T01:00:00Z", "20260301090000"),
        ({"format": "%Y-%m-%d", **SHANGHAI}, "2026-03-01", "2026-02-28T16:00:00Z", "2026-03-01"),
        (
            {"format": "%Y-%m-%dT%H:%M:%S%z"},
            "2026-03-01T09:00:00+0800",
            "2026-03-01T01:00:00Z",
            "2026-03-01T01:00:00+0000",
        ),
        ({"format": "unix_s"}, 1772326800, "2026-03-01T01:00:00Z", 1772326800),
        ({"format": "unix_s"}, "1772326800", "2026-03-01T01:00:00Z", 1772326800),
        ({"format": "unix_s", "as": "string"}, "1772326800", "2026-03-01T01:00:00Z", "1772326800"),
        ({"format": "unix_ms"}, 1772326800123, "2026-03-01T01:00:00.123Z", 1772326800123),
        ({"format": "iso"}, "2026-03-01T09:00:00+08:00", "2026-03-01T01:00:00Z", "2026-03-01T01:00:00Z"),
        ({"format": "iso", **SHANGHAI}, "2026-03-01T09:00:00", "2026-03-01T01:00:00Z", "2026-03-01T09:00:00+08:00"),
        ({"format": ["%Y-%m-%d", "iso"], **SHANGHAI}, "2026-03-01T00:00:00.000", "2026-02-28T16:00:00Z", "2026-03-01"),
        (
            {"format": "%Y-%m-%d %H:%M:%S", "zone": "America/New_York"},
            "2026-07-01 12:00:00",
            "2026-07-01T16:00:00Z",
            "2026-07-01 12:00:00",
        ),
    ],
)
def test_datetime(options: dict[str, Any], native: Any, instant: str, written: Any) -> None:
    one = codec("created_at", codec="datetime", **options)
    assert one.decode(native) == datetime.fromisoformat(instant)
    assert one.decode(native).tzinfo is not None
    assert one.encode(instant) == written, "stored as text"
    assert one.encode(datetime.fromisoformat(instant)) == written


@pytest.mark.parametrize("nothing", ["", " ", "0000-00-00 00:00:00", "0001-01-01 00:00:00", "0001-01-01T00:00:00"])
def test_the_ways_vendors_write_no_time_are_missing(nothing: str) -> None:
    assert (
        codec("created_at", codec="datetime", format=["%Y-%m-%d %H:%M:%S", "iso"], **SHANGHAI).decode(nothing) is None
    )
    assert codec("created_at", codec="datetime", format="iso", **SHANGHAI).decode(nothing) is None
    assert codec("created_at", codec="datetime", format="unix_s").decode(0) is None


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI}, "2026-02-30 00:00:00"),
        ({"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI}, "2026-02-03"),
        ({"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI}, 20260203),
        ({"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI}, "9999-12-31 23:59:59"),
        ({"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI}, "x" * 10_000),
        ({"format": "unix_s"}, 10**15),
        ({"format": "unix_s"}, "soon"),
        ({"format": "unix_s"}, 1.5),
        ({"format": "unix_s"}, True),
        ({"format": "unix_ms"}, -(10**18)),
        ({"format": "iso"}, "2026-03-01T09:00:00"),
        ({"format": "iso"}, ["2026"]),
    ],
)
def test_what_is_no_time_is_refused(options: dict[str, Any], value: Any) -> None:
    refuses(codec("created_at", codec="datetime", **options).decode, value)


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None),
        "2026-01-01T00:00:00",
        "soon",
        5,
        True,
        datetime(1, 1, 1, tzinfo=UTC),
    ],
)
def test_a_canonical_time_without_zone_is_refused(value: Any) -> None:
    for options in ({"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI}, {"format": "unix_s"}, {"format": "iso"}):
        refuses(codec("created_at", codec="datetime", **options).encode, value)


@pytest.mark.parametrize(
    ("formats", "zone"),
    [
        (["%Y-%m-%d"], None),
        (["nonsense"], "UTC"),
        (["%Q"], "UTC"),
        (["%Y"], "Moon/Base"),
        (["%c"], "UTC"),
        ([], "UTC"),
        (["%"], "UTC"),
    ],
)
def test_formats_that_cannot_work_are_refused(formats: list[str], zone: str | None) -> None:
    with pytest.raises(moments.FormatError):
        moments.codec(formats, zone, None)


@given(st.integers(0, 4_000_000_000))
def test_datetime_inverts(seconds: int) -> None:
    moment = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds // 2)
    for options in (
        {"format": "%Y-%m-%d %H:%M:%S", **SHANGHAI},
        {"format": "%Y%m%d%H%M%S", "zone": "UTC"},
        {"format": "unix_s"},
        {"format": "unix_ms", "as": "string"},
        {"format": "iso"},
    ):
        one = codec("created_at", codec="datetime", **options)
        if not (options.get("zone") == "Asia/Shanghai" and moment.year < 1992):  # summer time repeats an hour there
            assert one.decode(one.encode(moment)) == moment


# enum, boolean


def test_enum() -> None:
    one = codec("status", codec="enum", table="status")
    assert [one.decode(value) for value in ("WAIT", 7, "7", 7.0, "A", "B")] == [
        "created",
        "paid",
        "paid",
        "paid",
        "closed",
        "closed",
    ]
    assert [one.encode(value) for value in ("created", "paid", "closed", "shipped")] == ["WAIT", 7, "A", "SENT"]
    assert one.decode("") is None
    wrong = refuses(one.decode, "NEW_STATUS")
    assert "NEW_STATUS" in wrong.en
    assert "tables.status.from" in wrong.en
    assert "tables.status.to" in refuses(one.encode, "completed").zh
    refuses(one.decode, ["WAIT"])
    refuses(one.decode, {"a": 1})


def test_enum_defaults_and_types() -> None:
    one = codec("status", codec="enum", table="open")
    assert one.decode("whatever") == "created"
    assert one.encode("closed") == "0"
    assert codec("status", codec="enum", table="open", **{"as": "integer"}).encode("paid") == 1
    assert codec("status", codec="enum", table="status", **{"as": "string"}).encode("paid") == "7"


def test_inverse_names_what_cannot_go_back() -> None:
    table = spec.Table.model_validate({"from": {"A": "x", "B": "x", "C": "y"}})
    assert codecs.inverse(table) == ({"y": "C"}, {"x": ["A", "B"]})


def test_boolean() -> None:
    one = codec("hold", codec="boolean", true=["1", "Y"], false="0")
    assert [one.decode(value) for value in ("1", 1, "Y", True, "0", 0, False)] == [True] * 4 + [False] * 3
    assert [one.encode(value) for value in (True, False)] == ["1", "0"]
    assert one.decode("") is None
    refuses(one.decode, "maybe")
    refuses(one.encode, "true")
    plain = codec("hold")
    assert plain.decode(False) is False
    refuses(plain.decode, "1")
    inverted = codec("hold", codec="boolean", true=False, false=True)
    assert [inverted.decode(value) for value in (True, False)] == [False, True]


# text, lists, addresses, JSON


def test_text_by_canonical_type() -> None:
    assert codec("id").decode(2067719225654838) == "2067719225654838"
    assert codec("id").decode(Decimal(2067719225654838)) == "2067719225654838"
    assert codec("id", **{"as": "integer"}).encode("2067719225654838") == 2067719225654838
    assert codec("number", trim=True).decode("  A ") == "A"
    for value in (True, [], {}, 10**100, float("nan")):
        refuses(codec("id").decode, value)
    refuses(codec("id", **{"as": "integer"}).encode, "A1")


def test_no_codec_follows_the_model() -> None:
    assert codec("total").decode("1.50") == Decimal("1.50")
    assert codec("total").encode("1.50") == 1.5
    assert codec("created_at").decode("2026-03-01T00:00:00Z") == datetime(2026, 3, 1, tzinfo=UTC)
    refuses(codec("created_at").decode, "2026-03-01 00:00:00")
    assert codec("tags", "customer").decode(["a", 1, None]) == ["a", "1"]
    refuses(codec("tags", "customer").decode, "a,b")
    assert codec("extra").decode({"a": [1, {"b": 0.5}]}) == {"a": [1, {"b": Decimal("0.5")}]}
    assert codec("extra").encode({"t": datetime(2026, 3, 1, tzinfo=UTC), "d": Decimal("0.5")}) == {
        "t": "2026-03-01T00:00:00+00:00",
        "d": 0.5,
    }


def test_split_and_join_follow_the_model() -> None:
    tags = codec("tags", "customer", codec="split", by=",", trim=True)
    assert tags.decode("a, b,,c,") == ["a", "b", "c"]
    assert tags.encode(["a", "b"]) == "a,b"
    assert tags.encode([]) == ""
    assert tags.decode("") == []
    assert "separator" in refuses(tags.encode, ["a,b"]).en
    refuses(tags.decode, "," * 100_000)
    text = codec("note", "customer", codec="join", by=" / ")
    assert text.decode(["a", "b"]) == "a / b"
    assert text.encode("a / b") == ["a", "b"]
    refuses(text.decode, "a")


def test_address_structured() -> None:
    one = codec("receiver.address", codec="address", parts={"province": "state", "street": "detail"})
    assert one.decode({"state": "浙江省", "detail": None, "other": 1}) == {"province": "浙江省"}
    assert one.encode({"province": "浙江省", "street": "文三路", "zip": "1"}) == {"state": "浙江省", "detail": "文三路"}
    assert one.decode({}) is None
    assert one.encode({"zip": "1"}) is None
    refuses(one.decode, "浙江省")
    refuses(one.encode, "浙江省")
    refuses(one.decode, {"state": ["x"]})


def test_address_joined() -> None:
    one = codec("receiver.address", codec="address", style="joined")
    whole = {"province": "浙江省", "city": "杭州市", "district": "西湖区", "town": "文新街道", "street": "文三路 1 号"}
    assert one.encode(whole) == "浙江省 杭州市 西湖区 文新街道 文三路 1 号"
    assert one.decode(one.encode(whole)) == whole
    assert one.decode("浙江省 杭州市 文三路1号") == {"province": "浙江省", "city": "杭州市", "street": "文三路1号"}
    assert one.decode("文三路1号") == {"street": "文三路1号"}
    assert one.decode(" ") is None
    assert one.encode({}) is None
    three = codec(
        "receiver.address", codec="address", style="joined", separator="^^^", parts=["province", "city", "street"]
    )
    assert three.encode(whole) == "浙江省^^^杭州市^^^文三路 1 号"


def test_json_text() -> None:
    one = codec("extra", codec="json")
    assert one.decode('{"a": 0.10, "b": [9007199254740993]}') == {"a": Decimal("0.10"), "b": [9007199254740993]}
    assert one.encode({"张": Decimal("0.1"), "n": [None, True]}) == '{"张":0.1,"n":[null,true]}'
    assert one.encode({"d": Decimal("4055892.66666666666667")}) == '{"d":4055892.66666666666667}'
    assert one.decode({"already": "data"}) == {"already": "data"}
    assert one.decode("") is None
    for value in ("{", "NaN", "[1e999999999]", "[" * 100_000, '{"a": ' * 40 + "1" + "}" * 40, "9" * 5000):
        refuses(one.decode, value)
    refuses(one.encode, {"big": 2**80})


def test_free_data_is_bounded() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    for value in (deep, [[1] * 300] * 300, {"n": 10**400}, [float("nan")], {"d": Decimal("1e50")}):
        refuses(codec("extra").decode, value)

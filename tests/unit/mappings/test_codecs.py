"""Enums, booleans, texts, lists, addresses and JSON in both directions, at their edges, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mappings import codecs, spec
from tests.unit.mappings import conversion


def test_enum() -> None:
    one = conversion.codec("status", codec="enum", table="status")
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
    wrong = conversion.refuses(one.decode, "NEW_STATUS")
    assert "NEW_STATUS" in wrong.en
    assert "tables.status.from" in wrong.en
    assert "tables.status.to" in conversion.refuses(one.encode, "completed").zh
    conversion.refuses(one.decode, ["WAIT"])
    conversion.refuses(one.decode, {"a": 1})


def test_enum_defaults_and_types() -> None:
    one = conversion.codec("status", codec="enum", table="open")
    assert one.decode("whatever") == "created"
    assert one.encode("closed") == "0"
    assert conversion.codec("status", codec="enum", table="open", **{"as": "integer"}).encode("paid") == 1
    assert conversion.codec("status", codec="enum", table="status", **{"as": "string"}).encode("paid") == "7"


def test_inverse_names_what_cannot_go_back() -> None:
    table = spec.Table.model_validate({"from": {"A": "x", "B": "x", "C": "y"}})
    assert codecs.inverse(table) == ({"y": "C"}, {"x": ["A", "B"]})


def test_boolean() -> None:
    one = conversion.codec("hold", codec="boolean", true=["1", "Y"], false="0")
    assert [one.decode(value) for value in ("1", 1, "Y", True, "0", 0, False)] == [True] * 4 + [False] * 3
    assert [one.encode(value) for value in (True, False)] == ["1", "0"]
    assert one.decode("") is None
    conversion.refuses(one.decode, "maybe")
    conversion.refuses(one.encode, "true")
    plain = conversion.codec("hold")
    assert plain.decode(False) is False
    conversion.refuses(plain.decode, "1")
    inverted = conversion.codec("hold", codec="boolean", true=False, false=True)
    assert [inverted.decode(value) for value in (True, False)] == [False, True]


def test_text_by_canonical_type() -> None:
    assert conversion.codec("id").decode(2067719225654838) == "2067719225654838"
    assert conversion.codec("id").decode(Decimal(2067719225654838)) == "2067719225654838"
    assert conversion.codec("id", **{"as": "integer"}).encode("2067719225654838") == 2067719225654838
    assert conversion.codec("number", trim=True).decode("  A ") == "A"
    for value in (True, [], {}, 10**100, float("nan")):
        conversion.refuses(conversion.codec("id").decode, value)
    conversion.refuses(conversion.codec("id", **{"as": "integer"}).encode, "A1")


def test_no_codec_follows_the_model() -> None:
    assert conversion.codec("total").decode("1.50") == Decimal("1.50")
    assert conversion.codec("total").encode("1.50") == 1.5
    assert conversion.codec("created_at").decode("2026-03-01T00:00:00Z") == datetime(2026, 3, 1, tzinfo=UTC)
    conversion.refuses(conversion.codec("created_at").decode, "2026-03-01 00:00:00")
    assert conversion.codec("tags", "customer").decode(["a", 1, None]) == ["a", "1"]
    conversion.refuses(conversion.codec("tags", "customer").decode, "a,b")
    assert conversion.codec("extra").decode({"a": [1, {"b": 0.5}]}) == {"a": [1, {"b": Decimal("0.5")}]}
    assert conversion.codec("extra").encode({"t": datetime(2026, 3, 1, tzinfo=UTC), "d": Decimal("0.5")}) == {
        "t": "2026-03-01T00:00:00+00:00",
        "d": 0.5,
    }


def test_split_and_join_follow_the_model() -> None:
    tags = conversion.codec("tags", "customer", codec="split", by=",", trim=True)
    assert tags.decode("a, b,,c,") == ["a", "b", "c"]
    assert tags.encode(["a", "b"]) == "a,b"
    assert tags.encode([]) == ""
    assert tags.decode("") == []
    assert "separator" in conversion.refuses(tags.encode, ["a,b"]).en
    conversion.refuses(tags.decode, "," * 100_000)
    text = conversion.codec("note", "customer", codec="join", by=" / ")
    assert text.decode(["a", "b"]) == "a / b"
    assert text.encode("a / b") == ["a", "b"]
    conversion.refuses(text.decode, "a")


def test_address_structured() -> None:
    one = conversion.codec("receiver.address", codec="address", parts={"province": "state", "street": "detail"})
    assert one.decode({"state": "浙江省", "detail": None, "other": 1}) == {"province": "浙江省"}
    assert one.encode({"province": "浙江省", "street": "文三路", "zip": "1"}) == {"state": "浙江省", "detail": "文三路"}
    assert one.decode({}) is None
    assert one.encode({"zip": "1"}) is None
    conversion.refuses(one.decode, "浙江省")
    conversion.refuses(one.encode, "浙江省")
    conversion.refuses(one.decode, {"state": ["x"]})


def test_address_joined() -> None:
    one = conversion.codec("receiver.address", codec="address", style="joined")
    whole = {"province": "浙江省", "city": "杭州市", "district": "西湖区", "town": "文新街道", "street": "文三路 1 号"}
    assert one.encode(whole) == "浙江省 杭州市 西湖区 文新街道 文三路 1 号"
    assert one.decode(one.encode(whole)) == whole
    assert one.decode("浙江省 杭州市 文三路1号") == {"province": "浙江省", "city": "杭州市", "street": "文三路1号"}
    assert one.decode("文三路1号") == {"street": "文三路1号"}
    assert one.decode(" ") is None
    assert one.encode({}) is None
    three = conversion.codec(
        "receiver.address", codec="address", style="joined", separator="^^^", parts=["province", "city", "street"]
    )
    assert three.encode(whole) == "浙江省^^^杭州市^^^文三路 1 号"


def test_json_text() -> None:
    one = conversion.codec("extra", codec="json")
    assert one.decode('{"a": 0.10, "b": [9007199254740993]}') == {"a": Decimal("0.10"), "b": [9007199254740993]}
    assert one.encode({"张": Decimal("0.1"), "n": [None, True]}) == '{"张":0.1,"n":[null,true]}'
    assert one.encode({"d": Decimal("4055892.66666666666667")}) == '{"d":4055892.66666666666667}'
    assert one.decode({"already": "data"}) == {"already": "data"}
    assert one.decode("") is None
    for value in ("{", "NaN", "[1e999999999]", "[" * 100_000, '{"a": ' * 40 + "1" + "}" * 40, "9" * 5000):
        conversion.refuses(one.decode, value)
    conversion.refuses(one.encode, {"big": 2**80})


def test_free_data_is_bounded() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    for value in (deep, [[1] * 300] * 300, {"n": 10**400}, [float("nan")], {"d": Decimal("1e50")}):
        conversion.refuses(conversion.codec("extra").decode, value)

"""Echo: our own write is known again, and nobody else's change is ever taken for it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retry_queue.sync import echo

FIELDS = (
    "name", "phone", "note", "level", "tags", "address.city", "address.street", "total", "lines.sku", "lines.quantity",
)  # fmt: skip


def customer(**more: Any) -> dict[str, Any]:
    return {
        "id": "C1",
        "name": "林小满",
        "phone": "13800000001",
        "tags": ["老客户"],
        "total": "188.00",
        "address": {"city": "杭州市", "street": "文一路"},
        "lines": [{"id": "L1", "sku": "A", "quantity": "2", "note": "x"}],
    } | more


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("188.00", Decimal(188)),
        ("188.00", 188),
        (Decimal("1E+2"), "100"),
        ("-0.50", Decimal("-0.5")),
        ("2024-11-11T08:00:00+08:00", datetime(2024, 11, 11, tzinfo=UTC)),
        (datetime(2024, 11, 11, 8, tzinfo=timezone(timedelta(hours=8))), datetime(2024, 11, 11, tzinfo=UTC)),
        ({"a": 1, "b": None, "c": ""}, {"a": "1.0"}),
        (["1", " x "], [1, "x"]),
    ],
)
def test_one_value_in_two_spellings_is_one(one: Any, other: Any) -> None:
    assert echo.digest(one) == echo.digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("007", "7"),
        ("0571", "571"),
        ("1E2", "100"),
        ("12345678901234567890123456789012345", "12345678901234567890123456789012346"),
        ("A", "a"),
        (True, 1),
        (True, "1"),
        (None, ""),
        ("2024-11-11T08:00:00", "2024-11-11T08:00:00+08:00"),
        (["a", "b"], ["b", "a"]),
        ("1.", "1"),
    ],
)
def test_values_that_only_look_alike_are_two(one: Any, other: Any) -> None:
    assert echo.digest(one) != echo.digest(other)


@given(st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.floats(),
        st.decimals(), st.datetimes(timezones=st.just(UTC)),
        st.sampled_from([Decimal("1E+999999999"), Decimal("1E-999999999"), Decimal("sNaN")]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_everything_has_a_digest_and_it_does_not_take_for_ever(value: Any) -> None:
    assert len(echo.digest(value)) == 16
    assert len(orjson.dumps(echo.plain(value))) < 100_000


def test_a_fingerprint_ignores_only_when_it_was_changed() -> None:
    base = customer()
    assert echo.fingerprint(base) == echo.fingerprint(base | {"updated_at": "2024-01-01T00:00:00+00:00"})
    assert echo.fingerprint(base) != echo.fingerprint(base | {"note": "x"})
    assert echo.fingerprint(base) != echo.fingerprint(base | {"id": "C2"})


def test_a_path_reads_through_objects_and_lists() -> None:
    record = customer()
    assert echo.pick(record, "address.city") == "杭州市"
    assert echo.pick(record, "lines.sku") == ["A"]
    assert echo.pick(record, "lines.nothing.at") == [None]
    assert echo.pick(record, "name.first") is None
    assert echo.pick(record, ".") is record
    assert echo.digests(record, ["name", "note", "lines.nothing"]).keys() == {"name"}


def test_our_own_write_is_known_again() -> None:
    wrote = echo.digests(customer(), FIELDS)
    assert echo.is_echo(customer(total=Decimal("188.0")), wrote, None)
    assert echo.is_echo(customer(updated_at="later", number="N9"), wrote, customer())


def test_nothing_is_an_echo_before_we_wrote() -> None:
    assert not echo.is_echo(customer(), {}, None)


@pytest.mark.parametrize("path", FIELDS[:2] + FIELDS[4:])
def test_a_field_that_reads_otherwise_is_no_echo(path: str) -> None:
    wrote = echo.digests(customer(), FIELDS)
    changed = customer()
    _put(changed, path, "else")
    assert not echo.is_echo(changed, wrote, None)
    assert not echo.is_echo(changed, wrote, customer())


def test_a_change_beside_the_fields_we_wrote_is_somebody_elses() -> None:
    wrote = echo.digests(customer(), ["name", "address.city", "lines.sku"])
    before = customer()
    for path in ("note", "phone", "address.street", "lines.note", "lines.quantity", "tags"):
        changed = customer()
        _put(changed, path, "else")
        assert not echo.is_echo(changed, wrote, before), path
    assert not echo.is_echo(customer(tags=[]), wrote, before)
    gone = customer()
    del gone["address"]["street"]
    assert not echo.is_echo(gone, wrote, before)


def test_ids_that_the_other_side_gives_to_our_lines_are_no_change() -> None:
    """An ERP numbers the lines of a document anew with every save."""
    wrote = echo.digests(customer(), ["lines.sku", "lines.quantity", "lines.note"])
    back = customer(lines=[{"id": "77", "sku": "A", "quantity": "2", "note": "x"}])
    assert echo.is_echo(back, wrote, customer(lines=[]))


def _put(record: dict[str, Any], path: str, value: Any) -> None:
    key, _, rest = path.partition(".")
    if not rest:
        record[key] = value
        return
    inner = record.setdefault(key, {})
    for one in inner if isinstance(inner, list) else [inner]:
        _put(one, rest, value)


_LEAVES = st.sampled_from(FIELDS)
_words = st.text(alphabet="ab0", min_size=1, max_size=3)


@given(
    st.sets(_LEAVES, min_size=1), st.dictionaries(_LEAVES, _words), st.dictionaries(_LEAVES, _words), _LEAVES, _words
)
def test_what_we_wrote_is_swallowed_and_nothing_else(
    written: set[str], ours: dict[str, str], before_: dict[str, str], path: str, value: str
) -> None:
    """The target had ``before``; we wrote our fields; then, perhaps, somebody changed one field more."""
    before, mine = customer(), customer()
    for place, word in before_.items():
        _put(before, place, word)
    for place, word in ours.items():
        _put(mine, place, word)
    wrote = echo.digests(mine, sorted(written))
    came = copy.deepcopy(before)
    for place in written:
        if place in wrote:
            held = echo.pick(mine, place)
            _put(came, place, held[0] if isinstance(held, list) and place != "tags" else held)
    if wrote:
        assert echo.is_echo(came, wrote, before)
    touched = copy.deepcopy(came)
    _put(touched, path, value)
    if echo.digest(echo.pick(touched, path)) != echo.digest(echo.pick(came, path)):
        assert not echo.is_echo(touched, wrote, before)


def test_the_digest_of_the_whole_native_record_is_no_field() -> None:
    wrote = echo.digests(customer(), ["name"]) | {echo.NATIVE: "x"}
    assert echo.is_echo(customer(), wrote, customer())
    assert not echo.is_echo(customer(), {echo.NATIVE: "x"}, None)


def test_whole_records_have_digests_whatever_is_in_them() -> None:
    """T-30: numbers of more than 64 bits are numbers too."""
    huge = {"id": "1", "extra": {"n": 10**30, "d": Decimal("1.10")}}
    for digest in (echo.fingerprint, echo.native_digest):
        assert digest(huge) == digest(copy.deepcopy(huge))
        assert digest(huge) != digest(huge | {"extra": {"n": 10**30 + 1, "d": Decimal("1.10")}})
        assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})

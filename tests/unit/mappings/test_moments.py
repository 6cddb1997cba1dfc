"""Times in every way vendors write them, in both directions, and what they refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings import moments
from tests.unit.mappings import conversion

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
    one = conversion.codec("created_at", codec="datetime", **options)
    assert one.decode(native) == datetime.fromisoformat(instant)
    assert one.decode(native).tzinfo is not None
    assert one.encode(instant) == written, "stored as text"
    assert one.encode(datetime.fromisoformat(instant)) == written


@pytest.mark.parametrize("nothing", ["", " ", "0000-00-00 00:00:00", "0001-01-01 00:00:00", "0001-01-01T00:00:00"])
def test_the_ways_vendors_write_no_time_are_missing(nothing: str) -> None:
    assert (
        conversion.codec("created_at", codec="datetime", format=["%Y-%m-%d %H:%M:%S", "iso"], **SHANGHAI).decode(
            nothing
        )
        is None
    )
    assert conversion.codec("created_at", codec="datetime", format="iso", **SHANGHAI).decode(nothing) is None
    assert conversion.codec("created_at", codec="datetime", format="unix_s").decode(0) is None


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
    conversion.refuses(conversion.codec("created_at", codec="datetime", **options).decode, value)


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
        conversion.refuses(conversion.codec("created_at", codec="datetime", **options).encode, value)


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
        one = conversion.codec("created_at", codec="datetime", **options)
        if not (options.get("zone") == "Asia/Shanghai" and moment.year < 1992):  # summer time repeats an hour there
            assert one.decode(one.encode(moment)) == moment

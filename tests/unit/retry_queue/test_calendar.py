"""Opening hours and periods: pure, at the edges of days, weeks, months, time zones and daylight saving."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pydantic
import pytest

from retry_queue.sync import calendar, route, watch


def at(text: str) -> float:
    """A moment; without an offset it is China's."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else datetime.fromisoformat(text + "+08:00")).timestamp()


def hours(**given: Any) -> calendar.Hours:
    return calendar.Hours.model_validate(given)


WORK = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "18:00"}


@pytest.mark.parametrize(("given", "now", "opens"), [
    (WORK, "2026-11-20T12:00", "2026-11-20T12:00"),
    (WORK, "2026-11-20T08:59:59", "2026-11-20T09:00"),
    (WORK, "2026-11-20T18:00", "2026-11-23T09:00"),  # a Friday evening
    (WORK, "2026-11-21T12:00", "2026-11-23T09:00"),
    ({**WORK, "holidays": ["2026-11-23", "2026-11-24"]}, "2026-11-21T12:00", "2026-11-25T09:00"),
    ({**WORK, "extra": ["2026-11-22"]}, "2026-11-21T12:00", "2026-11-22T09:00"),
    ({**WORK, "extra": ["2026-11-22"], "holidays": ["2026-11-22"]}, "2026-11-21T12:00", "2026-11-23T09:00"),
    ({"from": "20:00", "to": "02:00"}, "2026-11-21T01:59", "2026-11-21T01:59"),
    ({"from": "20:00", "to": "02:00"}, "2026-11-21T02:00", "2026-11-21T20:00"),
    ({"from": "20:00", "to": "02:00", "days": ["fri"]}, "2026-11-21T01:00", "2026-11-21T01:00"),
    ({"from": "20:00", "to": "02:00", "days": ["fri"]}, "2026-11-22T01:00", "2026-11-27T20:00"),
    ({"from": "09:00", "to": "24:00"}, "2026-11-21T23:59:59", "2026-11-21T23:59:59"),
    ({}, "2026-11-21T03:00", "2026-11-21T03:00"),
    # The clocks go forward at two in the morning in New York: 02:30 is not there that day.
    ({"from": "02:30", "to": "04:00", "zone": "America/New_York"}, "2026-03-08T01:00-05:00", "2026-03-08T03:30-04:00"),
])  # fmt: skip
def test_what_is_due_waits_for_the_opening(given: dict[str, Any], now: str, opens: str) -> None:
    assert calendar.opening(at(now), hours(**given)) == at(opens)


def test_without_hours_it_is_always_open() -> None:
    assert calendar.opening(12.5, None) == 12.5


def test_an_opening_is_open_and_never_earlier() -> None:
    dice = random.Random(7)
    for _ in range(300):
        start, end = sorted(dice.sample(range(0, 1440, 30), 2))
        one = hours(**{
            "days": dice.sample(calendar.DAYS, dice.randint(1, 7)),
            "from": f"{start // 60}:{start % 60:02d}", "to": f"{end // 60}:{end % 60:02d}",
            "holidays": [f"2026-11-{day:02d}" for day in dice.sample(range(1, 31), 5)],
            "zone": dice.choice(["Asia/Shanghai", "Europe/Berlin", "UTC", "America/New_York"]),
        })  # fmt: skip
        now = at("2026-10-20T00:00") + dice.random() * 40 * 86400
        found = calendar.opening(now, one)
        assert found >= now
        assert calendar.opening(found, one) == found, "an opening must itself be open"
        assert found - now < 15 * 86400


@pytest.mark.parametrize(("per", "now", "name", "end"), [
    ("day", "2026-11-22T00:00", "2026-11-22", "2026-11-23T00:00"),
    ("day", "2026-11-22T23:59:59", "2026-11-22", "2026-11-23T00:00"),
    ("week", "2026-11-22T12:00", "2026-W47", "2026-11-23T00:00"),
    ("week", "2027-01-01T12:00", "2026-W53", "2027-01-04T00:00"),
    ("month", "2026-12-31T23:00", "2026-12", "2027-01-01T00:00"),
    ("month", "2028-02-01T00:00", "2028-02", "2028-03-01T00:00"),
])  # fmt: skip
def test_a_period_has_a_name_and_an_end(per: Any, now: str, name: str, end: str) -> None:
    quota = calendar.Quota(per=per, limit=1)
    assert calendar.period(at(now), quota) == (name, at(end))
    assert calendar.period(at(end), quota)[0] != name


def test_a_day_is_that_of_the_zone() -> None:
    now = datetime(2026, 11, 22, 17, tzinfo=UTC).timestamp()
    assert calendar.period(now, calendar.Quota(per="day", limit=1))[0] == "2026-11-23"
    assert calendar.period(now, calendar.Quota(per="day", limit=1, zone="UTC"))[0] == "2026-11-22"


@pytest.mark.parametrize("given", [
    {"from": "9 Uhr"}, {"from": "25:00"}, {"zone": "Mars/Olympus"}, {"days": []}, {"days": ["someday"]},
    {"from": "09:00", "to": "09:00"}, {"holidays": ["tomorrow"]}, {"opening": "09:00"}, {"zone": "../../etc/passwd"},
])  # fmt: skip
def test_hours_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        hours(**given)


def test_an_unquoted_time_of_yaml_is_read_as_meant() -> None:
    assert hours(**{"from": 570, "to": 1080}).start == "09:30"


def test_a_route_is_timed_by_any_of_its_timing() -> None:
    base = {"key": "r", "from": {"connection": "a", "entity": "order"}, "to": [{"connection": "b", "operation": "o"}]}

    def timed(**more: Any) -> bool:
        one = route.Route.model_validate(base | more)
        return watch.timed(one, one.targets[0], None)

    assert not timed()
    assert timed(after="3d")
    assert timed(unless=[{"entity": "order"}])
    assert timed(hours=WORK)
    assert timed(to=[{"connection": "b", "operation": "o", "quota": {"per": "day", "limit": 1}}])
    one = route.Route.model_validate(base)
    words = route.Template.model_validate(
        {"key": "t", "text": "x", "recipients": ["a"], "quota": [{"per": "day", "limit": 1}]}
    )
    assert watch.timed(one, one.targets[0], words)


def test_after_ends_in_the_opening_hours() -> None:
    given = {"key": "r", "from": {"connection": "a", "entity": "order"}, "to": [{"connection": "b", "operation": "o"}]}
    one = route.Route.model_validate(given | {"after": "2h", "hours": WORK})
    now = at("2026-11-20T17:00")
    assert watch.delay(one, one.after, now) == at("2026-11-23T09:00") - now


def test_a_watch_asks_entity_connection_and_condition() -> None:
    given = {
        "key": "r", "from": {"connection": "a", "entity": "customer"}, "to": [{"connection": "b", "operation": "o"}],
        "unless": [{"entity": "order", "connection": "shop", "when": 'order.status == "paid"'}],
    }  # fmt: skip
    found = watch.Watches([route.Route.model_validate(given)])
    assert found.fitting("shop", "order", {"status": "paid"}) == {"r"}
    assert found.fitting("shop", "order", {"status": "created"}) == set()
    assert found.fitting("shop", "order", {}) == set()
    assert found.fitting("other", "order", {"status": "paid"}) == set()
    assert found.fitting("shop", "shipment", {"status": "paid"}) == set()

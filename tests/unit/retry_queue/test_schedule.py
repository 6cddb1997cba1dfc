"""When reconciliations are due, and what their windows are."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pytest

from retry_queue.sync import schedule

SHANGHAI = ZoneInfo("Asia/Shanghai")


def plan(**given: Any) -> schedule.Schedule:
    return schedule.Schedule.model_validate({"key": "p", "left": "a", "right": "b", "entity": "order"} | given)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()


def test_every_so_often() -> None:
    one = plan(every="1h", window="2h", grace="5m")
    now = at("2026-03-01 10:17:03")
    assert one.slot(now) == at("2026-03-01 10:00:00")
    assert one.next(now) == at("2026-03-01 11:00:00")
    turn = one.turn(now)
    assert turn.window == (at("2026-03-01 07:55:00"), at("2026-03-01 09:55:00"))
    assert (turn.left_key, turn.right_key, turn.entity, turn.plan_key) == ("a", "b", "order", "p")
    assert schedule.Comparison.model_validate(turn.spec).grace == 300.0


@pytest.mark.parametrize(
    ("now", "slot", "following"),
    [
        ("2026-03-01 02:29:59", "2026-02-28 14:00:00", "2026-03-01 02:30:00"),
        ("2026-03-01 02:30:00", "2026-03-01 02:30:00", "2026-03-01 14:00:00"),
        ("2026-03-01 23:59:59", "2026-03-01 14:00:00", "2026-03-02 02:30:00"),
    ],
)
def test_at_times_of_day(now: str, slot: str, following: str) -> None:
    one = plan(at=["02:30", "14:00"])
    assert one.slot(at(now)) == at(slot)
    assert one.next(at(now)) == at(following)


def test_a_day_that_has_no_such_hour_is_no_trouble() -> None:
    one = plan(at="02:30", zone="Europe/Berlin")
    spring = datetime(2026, 3, 29, 12, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert spring - 86400 < one.slot(spring) <= spring
    assert one.next(spring) is not None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"every": "1h", "at": "02:30"},
        {"every": "10s"},
        {"at": "2:30"},
        {"at": "24:00"},
        {"every": "1h", "zone": "Mars/Base"},
        {"every": "1h", "window": "1s"},
        {"every": "1h", "tolerance": {"total": -1}},
        {"every": "1h", "no_such": 1},
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        plan(**given)


def test_a_side_may_name_its_operations() -> None:
    one = plan(every="1h", left={"connection": "a", "list": "order.list", "get": "order.get"})
    assert (one.left.list, one.right.connection, one.next(0.0)) == ("order.list", "b", 3600.0)
    assert plan(every="1h", enabled=False).next(0.0) is None

"""Calendars: when something may be sent, and how often to whom. Pure; moments are Unix seconds.

``Hours`` are the opening hours of a route (working days, from–to, holidays, extra working days); outside of them it
is quiet and what is due waits for the next opening. A ``Quota`` bounds what one contact gets in a day, week or month.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

ZONE = "Asia/Shanghai"
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Period = Literal["day", "week", "month"]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone '{name}'; write e.g. Asia/Shanghai / 没有时区 {name}") from None
    return name


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _text(value: Any) -> Any:
    """YAML reads an unquoted 9:30 as the number 570 (base 60); that is meant as a time of day."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1440:
        return f"{value // 60:02d}:{value % 60:02d}"
    return value


Zone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[str, BeforeValidator(_text), Field(pattern=r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class Hours(_Part):
    """When it is open: on ``days`` and ``extra`` days but not on ``holidays``, from–to by the clock of ``zone``.

    Where ``to`` is not after ``from`` the opening goes on past midnight.
    """

    days: list[Day] = Field(default_factory=lambda: list(DAYS), min_length=1, max_length=7)
    start: Clock = Field(default="00:00", alias="from")
    end: Clock = Field(default="24:00", alias="to")
    zone: Zone = ZONE
    holidays: list[date] = Field(default_factory=list, max_length=400)
    extra: list[date] = Field(default_factory=list, max_length=400)

    @model_validator(mode="after")
    def _some_time(self) -> Hours:
        if self.start == self.end:
            raise ValueError("from and to are the same time / from 与 to 不能相同")
        return self


class Quota(_Part):
    """At most ``limit`` to one contact in a calendar day, week (from Monday) or month of ``zone``."""

    per: Period
    limit: int = Field(ge=1, le=100_000)
    over: Literal["wait", "skip"] = "wait"
    zone: Zone = ZONE


def listed(value: Any) -> Any:
    """One quota may be written without a list."""
    return [value] if isinstance(value, dict | Quota) else value


Quotas = Annotated[list[Quota], BeforeValidator(listed), Field(max_length=4)]


def opening(at: float, hours: Hours | None) -> float:
    """The first moment from ``at`` on that lies in the opening hours; ``at`` itself when it does."""
    if hours is None:
        return at
    zone = ZoneInfo(hours.zone)
    day = datetime.fromtimestamp(at, zone).date() - timedelta(days=1)  # yesterday's opening may last past midnight
    for _ in range(7 * (len(hours.holidays) + 2) + 2):
        if _works(day, hours):
            start, end = _span(day, hours, zone)
            if at < end:
                return max(at, start)
        day += timedelta(days=1)
    return at


def _works(day: date, hours: Hours) -> bool:
    if day in hours.holidays:
        return False
    return day in hours.extra or DAYS[day.weekday()] in hours.days


def _span(day: date, hours: Hours, zone: ZoneInfo) -> tuple[float, float]:
    first, last = _minutes(hours.start), _minutes(hours.end)
    if last <= first:
        last += 1440
    return _moment(day, first, zone), _moment(day, last, zone)


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    days, rest = divmod(minutes, 1440)
    at = day + timedelta(days=days)
    return datetime(at.year, at.month, at.day, rest // 60, rest % 60, tzinfo=zone).timestamp()


def period(at: float, quota: Quota) -> tuple[str, float]:
    """The name of the period that ``at`` lies in, e.g. ``2026-11-22``, ``2026-W47``, ``2026-11``, and its end."""
    zone = ZoneInfo(quota.zone)
    day = datetime.fromtimestamp(at, zone).date()
    if quota.per == "day":
        return day.isoformat(), _moment(day + timedelta(days=1), 0, zone)
    if quota.per == "week":
        year, week, weekday = day.isocalendar()
        return f"{year}-W{week:02d}", _moment(day + timedelta(days=8 - weekday), 0, zone)
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return f"{day.year}-{day.month:02d}", _moment(following, 0, zone)

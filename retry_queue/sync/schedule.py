"""Reconciliations 对账 as configured: which two connections should say the same of what, how nearly, and when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from retry_queue.ledger import reconciliations
from retry_queue.sync import carried, compare, route

_CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")
MARGIN = 3600.0
"""Seconds around the window in which a counterpart is looked for before it is asked for one by one."""


def _side(value: Any) -> Any:
    return {"connection": value} if isinstance(value, str) else value


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"no time zone '{name}' / 没有时区 {name}") from None
    return name


def _inputs(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Inputs = tuple[dict[str, Any], ...]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class Side(_Part):
    """One of the two. ``list`` and ``get`` name other operations than the ones found by themselves."""

    connection: route.Key
    list: str | None = None
    get: str | None = None
    input: Annotated[Inputs, BeforeValidator(_inputs)] = Field(default=(), max_length=50)
    """What the list is asked with, over ``${config.x}``: an object, or several that are read one after the other."""


Sided = Annotated[Side, BeforeValidator(_side)]
Tolerance = Annotated[Decimal, Field(ge=0, max_digits=20)]


class Comparison(_Part):
    """What is compared. ``left`` is the side that should be followed where nobody owns a field."""

    left: Sided
    right: Sided
    entity: str
    when: str | None = Field(default=None, max_length=1000)
    """Over the left record: which of them it concerns."""
    when_right: str | None = Field(default=None, max_length=1000)
    """Over the right record: which of them may be found to be too many."""
    fields: list[str] = Field(default_factory=list, max_length=200)
    """Only these canonical paths; empty means all that both mappings carry."""
    ignore: list[str] = Field(default_factory=list, max_length=200)
    tolerance: dict[str, Tolerance] = Field(default_factory=dict)
    """Path -> how far apart: an amount, or seconds for times."""
    grace: route.Seconds = 60.0
    """What changed so recently may be on its way: the window ends before it."""

    def spec(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return self.model_dump(mode="json", exclude_defaults=True, include=set(Comparison.model_fields))

    def terms(self, left: carried.Carried, right: carried.Carried) -> compare.Terms:
        """The terms for two mappings."""
        return compare.Terms(compare.paths(self.entity, left, right, self.fields, self.ignore), self.tolerance)


class Schedule(Comparison):
    """A comparison that is made again and again."""

    key: route.Key
    every: route.Seconds | None = None
    at: list[str] = Field(default_factory=list, max_length=48)
    """Times of day, ``02:30``."""
    zone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    window: route.Seconds = 86400.0
    """How far back each turn looks, seconds."""
    enabled: bool = True
    label: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_time(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("at"), str):
            return {**given, "at": [given["at"]]}
        return given

    @model_validator(mode="after")
    def _timed(self) -> Schedule:
        if (self.every is None) == (not self.at):
            raise ValueError("give either every (a duration) or at (times of day) / 请写 every 或 at，二选一")
        if self.every is not None and self.every < 60.0:
            raise ValueError("every must be at least 60s / every 至少 60s")
        if wrong := [one for one in self.at if not _CLOCK.match(one)]:
            raise ValueError(f"'{wrong[0]}' is no time of day; write 02:30 / 不是时刻，请写 02:30")
        if self.window < 60.0:
            raise ValueError("window must be at least 60s / window 至少 60s")
        return self

    def slot(self, now: float) -> float:
        """The newest moment, not after ``now``, at which a turn is due. Unix seconds."""
        if self.every is not None:
            return now - now % self.every
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone)
        days = (today, today - timedelta(days=1), today - timedelta(days=2))
        moments = [
            day.replace(hour=int(one[:2]), minute=int(one[3:]), second=0, microsecond=0).astimezone(UTC).timestamp()
            for day in days
            for one in self.at
        ]
        return max(moment for moment in moments if moment <= now)

    def next(self, now: float) -> float | None:
        """When the next turn is due; None while it is off."""
        if not self.enabled:
            return None
        if self.every is not None:
            return self.slot(now) + self.every
        day = self.slot(now + 86400.0)
        while (earlier := self.slot(day - 1.0)) > now:
            day = earlier
        return day

    def turn(self, now: float) -> reconciliations.New:
        """The turn that is due at ``now``: its window ends so long before that nothing is on its way any more."""
        end = self.slot(now) - self.grace
        return reconciliations.New(
            self.left.connection, self.right.connection, self.entity, (end - self.window, end), self.spec(), self.key
        )

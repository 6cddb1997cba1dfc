"""Alerts 告警 as configured: what people want to be told of, through which connections, how often, at what hours.

A rule names one kind of trouble; ``KINDS`` says what is measured for it and what holds where the rule says nothing.
``at_least`` is a count, ``within`` the time in which that many must have come (0: however old they are), ``for`` how
long it must last. For ``overdue`` and ``silent`` the measure is a time itself, and ``for`` is how much is too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from retry_queue.sync import calendar, route

Kind = Literal[
    "parked", "dead", "quarantine", "difference", "overdue", "breaker", "needs_auth", "expiring", "failing", "silent",
    "drift", "conflicts",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Nature:
    """What holds for a kind where a rule says nothing. ``timed``: the measure is in seconds, compared with ``for``."""

    at_least: int = 1
    within: float = 0.0
    lasting: float = 0.0
    timed: bool = False
    whole: bool = False
    """About the hub as a whole: ``connections`` says nothing to it."""


KINDS: dict[str, Nature] = {
    "parked": Nature(),
    "dead": Nature(within=600.0),
    "quarantine": Nature(at_least=10, within=600.0),
    "difference": Nature(lasting=30.0, whole=True),
    "overdue": Nature(lasting=300.0, timed=True),
    "breaker": Nature(),
    "needs_auth": Nature(),
    "expiring": Nature(within=7 * 86400.0),
    "failing": Nature(at_least=3),
    "silent": Nature(lasting=86400.0, timed=True),
    "drift": Nature(),
    "conflicts": Nature(whole=True),
}
GROWING = frozenset({"parked", "dead", "quarantine"})
"""Kinds whose growth in a time may be meant (``within``)."""


def _rule(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class Rule(_Part):
    """One kind of trouble. ``always``: told outside of the hours as well."""

    kind: Kind
    connections: list[route.Key] = Field(default_factory=list, max_length=200)
    """Only these; empty: all."""
    at_least: int | None = Field(default=None, ge=1, le=1_000_000_000)
    within: route.Seconds | None = None
    lasting: route.Seconds | None = Field(default=None, alias="for")
    always: bool = False

    @model_validator(mode="after")
    def _sane(self) -> Rule:
        if self.within and self.kind not in GROWING and self.kind != "expiring":
            raise ValueError(f"within says nothing for '{self.kind}' / {self.kind} 不能写 within")
        if self.within and self.kind in GROWING and self.within > 86400.0:
            raise ValueError("within is at most a day / within 最长一天")
        if self.connections and KINDS[self.kind].whole:
            raise ValueError(f"'{self.kind}' is about the whole hub, not connections / {self.kind} 不分连接")
        return self

    @property
    def count(self) -> int:
        return self.at_least if self.at_least is not None else KINDS[self.kind].at_least

    @property
    def window(self) -> float:
        return self.within if self.within is not None else KINDS[self.kind].within

    @property
    def duration(self) -> float:
        return self.lasting if self.lasting is not None else KINDS[self.kind].lasting


class Channel(_Part):
    """Whom to tell: an operation of a connection that sends messages; ``recipients`` in that system's own space."""

    connection: route.Key
    operation: str = Field(max_length=80)
    recipients: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default_factory=list, max_length=50)


class Alert(_Part):
    """Rules told together in one message, to every channel.

    What is new goes out at most once in ``gather`` seconds, what goes on is told again every ``repeat`` (0: never).
    Outside of ``hours`` it is quiet, except for rules that say ``always``; what ended by then is never told.
    """

    key: route.Key
    label: str | None = Field(default=None, max_length=120)
    rules: list[Annotated[Rule, BeforeValidator(_rule)]] = Field(min_length=1, max_length=40)
    to: list[Channel] = Field(min_length=1, max_length=10)
    gather: Annotated[route.Seconds, Field(ge=0, le=3600)] = 60.0
    repeat: route.Seconds = 4 * 3600.0
    hours: calendar.Hours | None = None
    resolved: bool = True
    """Whether it is told when something is over."""
    language: Literal["zh", "en"] = "zh"
    enabled: bool = True

    @model_validator(mode="after")
    def _sane(self) -> Alert:
        if 0 < self.repeat < 60:
            raise ValueError("repeat is at least a minute, or 0 / repeat 至少 1 分钟，0 表示不重复")
        return self

    @property
    def name(self) -> str:
        return self.label or self.key


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure: ``n`` counts, or seconds for timed kinds. ``words`` say why, where somebody has said so."""

    kind: str
    subject: str
    """A connection's key, what two connections compare, or empty for the hub as a whole."""
    n: float
    connections: tuple[str, ...] = ()
    words: dict[str, str] | None = None


def matching(rule: Rule, found: Finding, grown: float | None) -> float | None:
    """The number that speaks for a rule when it fits a measure, else None; ``grown`` is the growth in its window."""
    if rule.kind != found.kind or (rule.connections and not set(rule.connections) & set(found.connections)):
        return None
    nature = KINDS[rule.kind]
    if nature.timed:
        return found.n if found.n >= max(rule.duration, 1.0) else None
    if rule.kind == "expiring":
        return found.n if found.n <= rule.window else None
    number = grown if rule.kind in GROWING and rule.window else found.n
    return number if number is not None and number >= rule.count else None

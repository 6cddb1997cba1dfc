"""Routes 路由 as configured: which events go to which operations, in which words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from retry_queue.sync import calendar

Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> float:
    """Reads ``30``, ``"30s"``, ``"5m"``, ``"2h"``, ``"3d"`` or ``"250ms"`` as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = _DURATION.match(str(value))
    if not found:
        raise ValueError(f"'{value}' is no duration; write 30s, 5m, 2h or 3d / 不是时长，请写 30s、5m、2h 或 3d")
    return float(found.group(1)) * _UNITS[found.group(2) or "s"]


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=366 * 86400)]


class Order(StrEnum):
    """What the rest of a lane does while its head fails."""

    HOLD = "hold"  # waits
    SUPERSEDE = "supersede"  # waits, until a newer state of the record replaces what is parked
    SKIP = "skip"  # goes on; the failed one keeps its own schedule and is marked as passed


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class Source(_Part):
    connection: Key
    entity: str


Expression = Annotated[str, Field(min_length=1, max_length=1000)]


class Target(_Part):
    """One end of a route. ``template`` names a message template; ``mapping`` another mapping file.

    ``adjust``: field -> expression; this target is told that value instead. ``linked``: only what this target has, or
    what refers to an order that it has: a shipment goes to the shop its order came from.
    """

    connection: Key
    operation: str
    template: Key | None = None
    mapping: str | None = None
    quota: calendar.Quotas = Field(default_factory=list)
    adjust: dict[str, Expression] = Field(default_factory=dict, max_length=20)
    linked: bool = False


class Unless(_Part):
    """A later event about the same person or record that makes a waiting delivery pointless."""

    entity: str
    connection: Key | None = None
    when: str | None = Field(default=None, max_length=1000)


class Step(_Part):
    """What follows when everything before it has arrived: ``after`` that time, to these targets."""

    to: list[Target] = Field(min_length=1, max_length=20)
    after: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A target with its step (0: at once) and how long it waits when its turn has come."""

    target: Target
    stage: int
    after: float


class Route(_Part):
    """Events of ``source`` for which ``when`` holds go to every target of ``to``, then to each step of ``then``.

    Each delivery waits ``after`` a while and for the next opening of ``hours``, ``unless`` a later event cancels it.
    """

    key: Key
    source: Source = Field(alias="from")
    when: str | None = Field(default=None, max_length=1000)
    to: list[Target] = Field(min_length=1, max_length=20)
    then: list[Step] = Field(default_factory=list, max_length=4)
    after: Seconds = 0.0
    unless: list[Unless] = Field(default_factory=list, max_length=20)
    hours: calendar.Hours | None = None
    order: Order = Order.HOLD
    enabled: bool = True
    label: str | None = None

    @cached_property
    def targets(self) -> tuple[Placed, ...]:
        """Every target in order; its place in this tuple is a delivery's position."""
        first = [Placed(one, 0, self.after) for one in self.to]
        later = [Placed(one, stage, step.after) for stage, step in enumerate(self.then, 1) for one in step.to]
        return (*first, *later)


class Template(_Part):
    """Words for a message. ``{order.number}`` reads the joined records; a missing one reads empty."""

    key: Key
    title: str | None = None
    text: str = Field(min_length=1, max_length=4000)
    format: Literal["text", "markdown"] = "text"
    recipients: list[str] = Field(min_length=1)
    url: str | None = None
    quota: calendar.Quotas = Field(default_factory=list)


ANY_IDENTITY = "identity"
"""Stands for every identity kind that has no rule of its own."""
WEAK = frozenset({"masked_phone", "masked_email", "name", "company"})
"""Evidence that identifies nobody by itself."""
EVIDENCE = {
    "identity": ("身份标识", "identity"), "phone": ("手机号", "phone"), "email": ("邮箱", "email"),
    "tax_number": ("税号", "tax number"), "masked_phone": ("脱敏手机号", "masked phone"),
    "masked_email": ("脱敏邮箱", "masked email"), "name": ("姓名", "name"), "company": ("公司", "company"),
}  # fmt: skip


class MatchRule(_Part):
    """Customers that agree in all of ``by`` are one with this confidence, 0 to 1."""

    by: list[str] = Field(min_length=1, max_length=4)
    confidence: float = Field(gt=0, le=1)


class Match(_Part):
    """When two customers are one: joined by themselves, or suggested to a person."""

    rules: list[MatchRule] = Field(max_length=40, default_factory=lambda: [
        MatchRule(by=[ANY_IDENTITY], confidence=1.0), MatchRule(by=["phone"], confidence=0.95),
        MatchRule(by=["email"], confidence=0.95), MatchRule(by=["tax_number"], confidence=0.8),
        MatchRule(by=["masked_phone", "name"], confidence=0.6),
        MatchRule(by=["masked_email", "name"], confidence=0.6),
    ])  # fmt: skip
    merge_at: float = Field(default=0.9, gt=0, le=1)
    suggest_at: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _sound(self) -> Match:
        for rule in self.rules:
            named = "+".join(rule.by)
            if len(set(rule.by)) < len(rule.by) or (ANY_IDENTITY in rule.by and len(rule.by) > 1):
                raise ValueError(f"'{named}' makes no sense; name each once, identity alone / 规则 {named} 不成立")
            if rule.confidence >= self.merge_at and set(rule.by) <= WEAK:
                en, zh = f"'{named}' identifies nobody: keep it below merge_at", "不足以确定身份，置信度须低于 merge_at"
                raise ValueError(f"{en} / {named} {zh}")
        return self


Conflicts = Literal["newest", "rank", "manual"]
"""What holds when two systems change a field at once: the newest, the higher in rank, what a person says."""


class EntityRule(_Part):
    """Whose word counts for the fields of an entity that several systems change, and when two customers are one.

    ``owners``: field -> the connection whose value holds. ``fields``: field -> policy; ``conflicts`` for all the
    others. ``rank``: connections, the highest first. A field means everything below it as well.
    """

    match: Match | None = None
    owners: dict[str, Key] = Field(default_factory=dict)
    conflicts: Conflicts | None = None
    fields: dict[str, Conflicts] = Field(default_factory=dict)
    rank: list[Key] = Field(default_factory=list)

    def policy(self, path: str) -> tuple[str, str | None]:
        """(policy, owner) of a field; ``newest`` where nothing is said."""
        for prefix in _prefixes(path):
            if prefix in self.owners:
                return "owner", self.owners[prefix]
            if prefix in self.fields:
                return self.fields[prefix], None
        return self.conflicts or "newest", None

    def says(self, path: str) -> bool:
        """Whether the rule says what holds for a field."""
        return self.conflicts is not None or any(one in self.owners or one in self.fields for one in _prefixes(path))


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:n]) for n in range(len(parts), 0, -1)]

"""The format of ``recipe.yaml``, and the recipes that are here.

``parts`` are played by connections, ``parameters`` are what an admin may set, and ``routes``, ``templates``,
``entities``, ``reconciliations``, ``alerts`` are entries of a ``hub.yaml`` with placeholders: ``${shop.key}`` is the
connection that plays ``shop``, ``${erp.order}`` the operation for its capability ``order``, ``${safety}`` a parameter.
An entry with ``each: shop`` is made once for every connection in that part. ``if`` (one condition or several) makes it
only where a part is played, a capability there or a parameter not empty: ``crm``, ``!crm``, ``shop.refund``,
``entity=order``, ``entity!=order``.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connectors.core.declaration import Category, Text
from connectors.core.terms import Purpose
from gateway import hub_file
from mappings import canonical

API_VERSION = "shuniu/recipe/v1"
FILE = "recipe.yaml"
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
LISTS = ("templates", "routes", "reconciliations", "alerts")
"""The sections of a hub.yaml that are lists of entries."""
RESERVED = frozenset({"each", "if"})


class _Piece(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Capability(_Piece):
    """Something a connection can be asked to do: an operation for this entity that a route may end in."""

    entity: str
    kinds: list[Literal["write", "act"]] = ["write", "act"]
    purpose: Purpose | None = None
    optional: bool = False
    """Not every connection in this part must be able to; without it, what needs it is left out."""


class Role(_Piece):
    """A part 角色 that connections play. ``many``: several at once. All that is asked for must be there."""

    key: Name
    label: Text
    help: Text | None = None
    many: bool = False
    optional: bool = False
    categories: list[Category] = Field(default_factory=list)
    emits: list[str] = Field(default_factory=list)
    """Entities its events carry."""
    occasions: str | None = None
    """The entity of which it tells that something happened (a contact was added); ``${part.occasions}`` lists them,
    ``${part.greetings}`` those that must be answered at once."""
    takes: dict[Name, Capability] = Field(default_factory=dict)
    lists: list[str] = Field(default_factory=list)
    """Entities that a comparison can list there; ``${…}`` of a parameter may stand for one."""
    goods: bool = False
    """Tells its goods with the merchant's codes, so that stock finds its way."""

    def entities(self) -> list[str]:
        """Every entity that is asked for."""
        told = [self.occasions] if self.occasions else []
        return [*self.emits, *self.lists, *told, *(one.entity for one in self.takes.values())]


class Choice(_Piece):
    value: str
    label: Text


class Parameter(_Piece):
    """A value an admin may set. ``per``: the part whose every connection may have its own."""

    key: Name
    label: Text
    help: Text | None = None
    type: Literal["integer", "number", "duration", "time", "text", "lines", "boolean", "choice"]
    default: Any = None
    required: bool = True
    min: float | None = None
    max: float | None = None
    choices: list[Choice] = Field(default_factory=list)
    per: Name | None = None


class Recipe(_Piece):
    """A whole recipe."""

    apiVersion: Literal["shuniu/recipe/v1"]
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
    title: Text
    text: Text
    order: int = 100
    """Where it stands in the list."""
    notes: list[Text] = Field(default_factory=list)
    """What an admin should know or do over there."""
    parts: list[Role] = Field(min_length=1)
    parameters: list[Parameter] = Field(default_factory=list)
    templates: list[dict[str, Any]] = Field(default_factory=list)
    entities: dict[str, dict[str, Any]] = Field(default_factory=dict)
    routes: list[dict[str, Any]] = Field(default_factory=list)
    reconciliations: list[dict[str, Any]] = Field(default_factory=list)
    alerts: list[dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _sound(self) -> Recipe:
        names = [one.key for one in self.parts] + [one.key for one in self.parameters]
        if len(names) != len(set(names)):
            raise ValueError("parts and parameters need names of their own")
        many = {one.key for one in self.parts if one.many}
        loops = [entry["each"] for entry in self.entries() if "each" in entry]
        for name in [*loops, *(one.per for one in self.parameters if one.per is not None)]:
            if name not in many:
                raise ValueError(f"no part '{name}' that several play")
        unknown = {one for part in self.parts for one in part.entities() if "${" not in one} - canonical.MODELS.keys()
        if unknown:
            raise ValueError(f"no entity {', '.join(sorted(unknown))}")
        strange = {one.name for entry in self.entries() for one in conditions(entry)}
        strange = {name for name in strange if name.partition(".")[0] not in names}
        if strange:
            raise ValueError(f"if: no part or parameter {', '.join(sorted(strange))}")
        return self

    def entries(self) -> list[dict[str, Any]]:
        """Every entry that makes something."""
        return [entry for section in LISTS for entry in getattr(self, section)]

    def part(self, key: str) -> Role | None:
        """A part by its key."""
        return next((one for one in self.parts if one.key == key), None)


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of ``if``: the thing is there (``value`` None) or has this value; ``negated``: or not."""

    name: str
    negated: bool
    value: str | None


def conditions(entry: Mapping[str, Any]) -> list[Condition]:
    """What must hold for an entry to be made."""
    given = entry.get("if", [])
    found = []
    for text in [given] if isinstance(given, str) else given:
        name, sign, value = str(text).partition("=")
        negated = name[-1:] == "!" if sign else name[:1] == "!"
        found.append(Condition(name.strip("! "), negated, value.strip() if sign else None))
    return found


def parse(text: str) -> Recipe:
    """A recipe from its text. Raises ValueError, YAMLError."""
    return Recipe.model_validate(yaml.safe_load(text))


@cache
def all_recipes() -> dict[str, Recipe]:
    """Every recipe that is here, by id, in the order in which people see them."""
    home = importlib.resources.files("gateway.recipes")
    found = [
        parse(one.joinpath(FILE).read_text(encoding="utf-8"))
        for one in home.iterdir()
        if re.fullmatch(r"[a-z][a-z0-9-]*", one.name) and one.joinpath(FILE).is_file()
    ]
    # What this hub's file has no section for cannot be installed, and is not offered.
    usable = [one for one in found if all(name in hub_file.SECTIONS for name in LISTS if getattr(one, name))]
    return {one.id: one for one in sorted(usable, key=lambda one: (one.order, one.id))}

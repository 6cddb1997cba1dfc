"""The story as data: what people do at the simulators, what must follow, what must happen once."""

from __future__ import annotations

import importlib.resources
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

_MARK = re.compile(r"\{([A-Za-z_][\w.]*)\}")
Effect = Mapping[str, Any]
"""One line of the simulators' journal: simulator, kind, key, data, at."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Part):
    """One call to the simulators' control panel."""

    path: str
    body: dict[str, Any] = Field(default_factory=dict)

    def filled(self, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Path and body with every mark replaced; a text that is one mark keeps the value's type."""
        return str(_filled(self.path, values)), _filled(self.body, values)


class Making(Call):
    """A call that makes something; its ids are at ``id`` in each of the answer's ``rows``."""

    rows: str
    id: str


class Trouble(_Part):
    words: str
    calls: list[Call]


class Meeting(_Part):
    each: list[Call]
    touched: list[Call]
    known: dict[str, str]
    """Connection key -> ``people`` or ``edited``: how many customers of it must be known."""


class Step(_Part):
    """An effect every order must have; its number is the effect's key, or ``at`` a path, or ``inside`` its data."""

    effect: str
    words: str
    at: str | None = None
    inside: bool = False
    begins: bool = False
    """The key begins with the number and goes on behind a slash."""


class Followed(_Part):
    """Where the edited phones must show up."""

    path: str
    rows: str
    fields: list[str]
    words: str


class Echoes(_Part):
    """Effects that only people may cause; theirs have keys that begin with ``human``."""

    effects: list[str]
    human: str


class Accounts(_Part):
    """What must happen once, and what only people may cause."""

    once: list[str]
    echoes: Echoes


class Story(Accounts):
    people: int
    edited: int
    credentials: dict[str, str]
    introduce: list[Call]
    meet: Meeting
    ship: Call
    slow_ship: Call
    order: Making
    edit: Call
    hostile: Trouble
    troubles: list[Trouble]
    steps: list[Step]
    followed: Followed
    told: dict[str, str]


@cache
def shipped() -> Story:
    """The story in this folder."""
    text = (importlib.resources.files("gateway.trial") / "story.yaml").read_text(encoding="utf-8")
    return Story.model_validate(yaml.safe_load(text))


def kind(effect: Effect) -> str:
    """``simulator.kind`` of an effect."""
    return f"{effect['simulator']}.{effect['kind']}"


def missing(steps: Iterable[Step], effects: Iterable[Effect], orders: Iterable[str]) -> list[str]:
    """Steps that have not happened, as ``step order``. Pure."""
    orders = list(orders)
    told: dict[str, list[Effect]] = {}
    for effect in effects:
        told.setdefault(kind(effect), []).append(effect)
    found: list[str] = []
    for step in steps:
        seen = told.get(step.effect, [])
        if step.inside:
            text = "\n".join(str(effect["data"]) for effect in seen)
            found += [f"{step.words} {order}" for order in orders if order not in text]
        else:
            done = {str(_at(effect["data"], step.at) if step.at else effect["key"]) for effect in seen}
            done |= {key.partition("/")[0] for key in done} if step.begins else set()
            found += [f"{step.words} {order}" for order in orders if order not in done]
    return found


def doubles(story: Accounts, effects: Iterable[Effect]) -> list[str]:
    """Effects that happened more than once for one natural key, and our own writes that came back. Pure."""
    listed = list(effects)
    counts = Counter(f"{kind(one)} {one['key']}" for one in listed if kind(one) in story.once)
    echoed = [
        f"echo {kind(one)} {one['key']}"
        for one in listed
        if kind(one) in story.echoes.effects and not str(one["key"]).startswith(story.echoes.human)
    ]
    return [f"{key} × {n}" for key, n in counts.items() if n > 1] + echoed


def _at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(inner, values) for key, inner in node.items()}
    if isinstance(node, list):
        return [_filled(inner, values) for inner in node]
    if not isinstance(node, str):
        return node
    whole = _MARK.fullmatch(node)
    if whole:
        return values[whole.group(1)]
    return _MARK.sub(lambda found: str(values[found.group(1)]), node)

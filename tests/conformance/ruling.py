"""What the suite over every connector stands on: folders found by presence, rules, and waivers that only shrink.

A rule looks at one folder and names its problems. ``settle`` compares them with ``waivers.yaml``: a problem that is
not waived fails, and so does a waiver whose problem is gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from connectors.core import declaration, jsontext, registry, xmltext

WAIVERS = Path(__file__).with_name("waivers.yaml")
IDS = registry.all_ids()


@dataclass(frozen=True, slots=True)
class Problem:
    """One breach: ``about`` is what a waiver would name (an operation, a field, a file)."""

    about: str
    text: str


class Folder:
    """One connector's folder, read lazily."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.files: Traversable = registry.folder(id)

    @property
    def spec(self) -> declaration.Declaration:
        return registry.get(self.id)

    @functools.cached_property
    def readme(self) -> str:
        file = self.files.joinpath("README.md")
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    @functools.cached_property
    def samples(self) -> dict[str, bytes]:
        """The files under ``samples/`` by name."""
        home = self.files.joinpath("samples")
        return {one.name: one.read_bytes() for one in home.iterdir() if one.is_file()} if home.is_dir() else {}

    @functools.cached_property
    def parsed(self) -> dict[str, object]:
        """The samples, parsed; raises ValueError for one that is neither JSON nor XML."""
        return {name: parsed(name, raw) for name, raw in self.samples.items()}

    def has(self, name: str) -> bool:
        return self.files.joinpath(name).is_file()


def parsed(name: str, raw: bytes) -> object:
    """A sample by the ending of its name."""
    return xmltext.loads(raw) if name.endswith(".xml") else jsontext.loads(raw)


@functools.cache
def folder(id: str) -> Folder:
    return Folder(id)


Rule = Callable[[Folder], Iterable[Problem]]
RULES: dict[str, Rule] = {}
"""Static rules by name; dynamic ones (tests of their own) register with ``dynamic``."""
DYNAMIC: set[str] = set()


def rule(check: Rule) -> Rule:
    """Register a static rule under its function's name."""
    RULES[check.__name__] = check
    return check


def dynamic(name: str) -> str:
    """Register the name of a rule that a test of its own enforces."""
    DYNAMIC.add(name)
    return name


class Waiver(BaseModel):
    """Why one problem may stay for now."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connector: str
    rule: str
    about: str
    reason: str = Field(min_length=20)


@functools.cache
def waivers() -> tuple[Waiver, ...]:
    return tuple(Waiver.model_validate(one) for one in yaml.safe_load(WAIVERS.read_text(encoding="utf-8")) or [])


def settle(
    connector: str,
    rule_name: str,
    problems: Iterable[Problem],
    *,
    about: str | None = None,
    known: tuple[Waiver, ...] | None = None,
) -> None:
    """Fail on problems nobody waived and on waivers nobody needs. ``about`` narrows to one thing of a folder."""
    found: dict[str, list[str]] = {}
    for one in problems:
        found.setdefault(one.about, []).append(one.text)
    waived = {
        one.about
        for one in (waivers() if known is None else known)
        if one.connector == connector and one.rule == rule_name and about in (None, one.about)
    }
    lines = [f"connectors/{connector}: {name}: {text}" for name in found if name not in waived for text in found[name]]
    lines += [f"waivers.yaml: {connector}/{rule_name}/{name} is no longer needed" for name in waived - set(found)]
    assert not lines, "\n".join(lines)


def texts(node: object, at: str = "") -> Iterator[tuple[str, declaration.Text]]:
    """Every pair of words in a declaration, with its path."""
    if isinstance(node, declaration.Text):
        yield at, node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from texts(getattr(node, name), f"{at}.{name}" if at else name)
    elif isinstance(node, list):
        for number, one in enumerate(node):
            yield from texts(one, f"{at}[{getattr(one, 'key', number)}]")
    elif isinstance(node, dict):
        for key, one in node.items():
            yield from texts(one, f"{at}.{key}")

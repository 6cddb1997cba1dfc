"""Finds connectors by presence: a folder ``connectors/<id>/`` with a ``connector.yaml`` is a connector.

There is no list to keep. Declarations are parsed once and shared, so that what is compiled from them is shared too.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic
import yaml

from connectors.core import declaration

FILE = "connector.yaml"
ROOMS = ("core", "simulator")
"""Folders of this package that are no connectors."""


class DeclarationError(ValueError):
    """A connector.yaml that cannot be used. The text names the file, each place in it, and what to do."""


class UnknownConnector(KeyError):
    """No folder of that name holds a connector.yaml."""

    def __str__(self) -> str:
        return str(self.args[0])


def load(folder: Traversable | Path | str) -> declaration.Declaration:
    """The declaration in ``folder``; raises DeclarationError listing everything that is wrong with it."""
    place: Traversable = Path(folder) if isinstance(folder, str) else folder
    file = place.joinpath(FILE)
    name = f"{place.name}/{FILE}"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(f"{name}: cannot be read ({error.strerror}); every connector folder needs it") from None
    found = parse(text, name)
    if found.id != place.name:
        raise DeclarationError(f"{name}: id: is '{found.id}' but the folder is '{place.name}'; make them the same")
    return found


def parse(text: str, name: str = FILE) -> declaration.Declaration:
    """A declaration from YAML text; ``name`` is what error texts call it."""
    data = read(text, name)
    try:
        return declaration.Declaration.model_validate(data)
    except pydantic.ValidationError as error:
        raise DeclarationError("\n".join(lines(error, name))) from None


def read(text: str, name: str = FILE) -> dict[str, Any]:
    """YAML text as the object it must be, not yet looked into. Raises DeclarationError."""
    try:
        data = yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader below
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise DeclarationError(f"{name}:{where} not YAML: {problem}") from None
    if not isinstance(data, dict):
        raise DeclarationError(f"{name}: must be an object with apiVersion, id, label, ...")
    return data


def lines(error: pydantic.ValidationError, name: str) -> list[str]:
    """What is wrong with a declaration's shape, one line each."""
    found = []
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in one["loc"]) or "(the whole file)"
        mend = {
            "missing": "add it",
            "extra_forbidden": "no such key here; remove it or mend the spelling",
        }.get(one["type"], one["msg"])
        found.append(f"{name}: {where}: {mend}")
    return found


class Loader(yaml.CSafeLoader):
    """Safe YAML where only true and false are booleans, dates are text, and a key written twice is refused.

    Fields called ``no`` and ``on`` exist, and of two equal keys the second would silently win.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int) and key in seen and key != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' twice", key_node.start_mark)
            if isinstance(key, str | int):
                seen.add(key)
        return super().construct_mapping(node, deep)


Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag != "tag:yaml.org,2002:timestamp" and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _home() -> Traversable:
    return resources.files("connectors")


@cache
def all_ids() -> tuple[str, ...]:
    """Every connector that is here, sorted."""
    return tuple(
        sorted(
            place.name
            for place in _home().iterdir()
            if place.is_dir() and place.name not in ROOMS and place.joinpath(FILE).is_file()
        )
    )


@cache
def get(connector: str) -> declaration.Declaration:
    """The declaration of one connector; raises UnknownConnector or DeclarationError."""
    if connector not in all_ids():
        raise UnknownConnector(f"no connector '{connector}'; there are: {', '.join(all_ids()) or 'none'}")
    return load(_home().joinpath(connector))


def folder(connector: str) -> Traversable:
    """Where a connector's files (samples, README, vectors) are."""
    get(connector)
    return _home().joinpath(connector)


@cache
def _module(connector: str, name: str) -> ModuleType | None:
    full = f"connectors.{connector}.{name}"
    try:
        there = importlib.util.find_spec(full) is not None
    except ModuleNotFoundError:
        there = False
    return importlib.import_module(full) if there else None


def signer(connector: str) -> ModuleType | None:
    """``connectors.<id>.signer`` (``sign``, ``login``, ``verify``), or None when the connector needs none."""
    return _module(connector, "signer")


def stream(connector: str) -> ModuleType | None:
    """``connectors.<id>.stream`` (the long connection), or None."""
    return _module(connector, "stream")


def sender(connector: str) -> ModuleType | None:
    """``connectors.<id>.sender`` (``send``: the connector's own way instead of HTTP), or None."""
    return _module(connector, "sender")


def schema() -> dict[str, Any]:
    """JSON Schema of connector.yaml, for editors."""
    return declaration.Declaration.model_json_schema(by_alias=True)

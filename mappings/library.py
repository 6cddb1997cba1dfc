"""Finding mapping files. Presence is registration: ``mappings/<connector>/<name>.yaml`` is shipped."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

from mappings import document, engine, errors, spec


def parse(text: str, file: str) -> engine.Mapping:
    """A mapping from YAML text. Raises SpecError naming every problem with its line."""
    given, lines = document.parse(text, file)
    return engine.compile(given, file, lines)


@functools.cache
def names() -> tuple[tuple[str, str], ...]:
    """(connector, name) of every shipped file, sorted."""
    found: list[tuple[str, str]] = []
    for folder in importlib.resources.files("mappings").iterdir():
        if folder.is_dir():
            found.extend(
                (folder.name, entry.name.removesuffix(".yaml"))
                for entry in folder.iterdir()
                if entry.name.endswith(".yaml")
            )
    return tuple(sorted(found))


def text(connector: str, name: str) -> str:
    """The YAML text of a shipped file. Raises MappingError when there is none."""
    if (connector, name) not in names():
        known = ", ".join(other for owner, other in names() if owner == connector) or "-"
        raise errors.MappingError(
            f"没有映射文件 {connector}/{name}.yaml；该连接器已有：{known}",
            f"there is no mapping {connector}/{name}.yaml; this connector has: {known}",
            file=f"{connector}/{name}.yaml",
        )
    return (importlib.resources.files("mappings") / connector / f"{name}.yaml").read_text(encoding="utf-8")


@functools.cache
def shipped(connector: str, name: str) -> engine.Mapping:
    """A shipped mapping, compiled once. Raises MappingError."""
    return parse(text(connector, name), f"{connector}/{name}.yaml")


def schema() -> dict[str, Any]:
    """JSON Schema of a mapping file, for editors and the admin UI."""
    return spec.schema()


__all__ = ["names", "parse", "schema", "shipped", "text"]

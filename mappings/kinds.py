"""What a canonical path holds, read from the models, and records brought back from JSON.

Stored records are JSON, so amounts and times come back as text; ``revive`` turns them into Decimal and
aware datetime again where the model says so.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import Enum, StrEnum
from typing import Any

import pydantic

from mappings import canonical, paths


class Shape(StrEnum):
    TEXT = "text"
    DECIMAL = "decimal"
    MOMENT = "moment"
    BOOLEAN = "boolean"
    ENUM = "enum"
    LIST = "list"
    PART = "part"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Kind:
    """A canonical type. ``values`` for an enum, ``item`` for a list, ``model`` for a part."""

    shape: Shape
    required: bool = False
    values: frozenset[str] = frozenset()
    item: Kind | None = None
    model: type[pydantic.BaseModel] | None = None


ANYTHING = Kind(Shape.ANY)


class UnknownField(LookupError):
    """A canonical path that no model has. ``known`` lists what stands at that place."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name = name
        self.known = known


def _kind(annotation: Any, required: bool) -> Kind:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _kind(typing.get_args(annotation)[0], required)
    if origin in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(annotation) if part is not type(None)]
        return _kind(inner[0], required) if len(inner) == 1 else Kind(Shape.ANY, required)
    if origin is list:
        return Kind(Shape.LIST, required, item=_kind(typing.get_args(annotation)[0], True))
    if not isinstance(annotation, type):
        return Kind(Shape.ANY, required)
    if issubclass(annotation, pydantic.BaseModel):
        return Kind(Shape.PART, required, model=annotation)
    if issubclass(annotation, Enum):
        return Kind(Shape.ENUM, required, values=frozenset(str(member.value) for member in annotation))
    scalars = ((str, Shape.TEXT), (bool, Shape.BOOLEAN), (Decimal, Shape.DECIMAL))
    for base, shape in scalars:
        if issubclass(annotation, base):
            return Kind(shape, required)
    if issubclass(annotation, datetime) or annotation is pydantic.AwareDatetime:
        return Kind(Shape.MOMENT, required)
    return Kind(Shape.ANY, required)


@functools.cache
def fields(model: type[pydantic.BaseModel]) -> Mapping[str, Kind]:
    """Field name -> kind of a model."""
    return {name: _kind(field.annotation, field.is_required()) for name, field in model.model_fields.items()}


def at(kind: Kind, segments: tuple[paths.Segment, ...]) -> Kind:
    """The kind below ``kind`` at a path. Raises UnknownField."""
    for segment in segments:
        if kind.shape is Shape.ANY:
            return ANYTHING
        if isinstance(segment, str):
            known = fields(kind.model) if kind.model else {}
            if segment not in known:
                raise UnknownField(segment, sorted(known))
            kind = known[segment]
        else:
            if kind.shape is not Shape.LIST or kind.item is None:
                raise UnknownField(str(segment), [])
            if isinstance(segment, paths.Select):
                at(kind.item, (segment.key,))
            kind = kind.item
    return kind


def root(entity: str) -> Kind:
    """The kind of a whole entity. Raises UnknownField."""
    if entity not in canonical.MODELS:
        raise UnknownField(entity, sorted(canonical.MODELS))
    return Kind(Shape.PART, True, model=canonical.MODELS[entity])


Reviver = Callable[[Any], Any]


def _decimal(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= 60:
        try:
            return Decimal(value)
        except InvalidOperation:
            return value
    return value


def _moment(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= 40:
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value
    return value


@functools.cache
def _reviver(kind: Kind) -> Reviver | None:
    if kind.shape is Shape.DECIMAL:
        return _decimal
    if kind.shape is Shape.MOMENT:
        return _moment
    if kind.shape is Shape.LIST and kind.item is not None:
        inner = _reviver(kind.item)
        if inner is None:
            return None
        return lambda value: [inner(item) for item in value] if isinstance(value, list) else value
    if kind.shape is Shape.PART and kind.model is not None:
        members = {name: reviver for name, part in fields(kind.model).items() if (reviver := _reviver(part))}

        def part(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            return {
                name: members[name](item) if item is not None and name in members else item
                for name, item in value.items()
            }

        return part if members else None
    return None


def revive(entity: str, record: Any) -> Any:
    """A canonical record from storage with amounts and times as values; what cannot be read stays text."""
    reviver = _reviver(root(entity))
    return record if reviver is None else reviver(record)


__all__ = ["ANYTHING", "Kind", "Shape", "UnknownField", "at", "fields", "revive", "root"]

"""The standard models as data: what fields there are, for the mapping canvas and the condition builder."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import problems, schema
from gateway.api import paging
from mappings import canonical, kinds

routes = APIRouter(prefix="/models", tags=["models"])
DEEPEST = 6


class ModelField(paging.Part):
    """One field. ``path`` is relative to the list around it, whose path is ``within``."""

    path: Annotated[str, Field(examples=["receiver.phone"])]
    within: Annotated[str | None, Field(examples=["lines"])] = None
    shape: Annotated[str, Field(examples=["text"], description="text, decimal, moment, boolean, enum, list, part, any")]
    required: bool
    values: list[str] = Field(default_factory=list)


class Model(paging.Part):
    """One kind of record in the one shape all systems are mapped to."""

    entity: str
    fields: list[ModelField]


class Models(paging.Page):
    items: list[Model]


@routes.get("", operation_id="model_list", summary="标准模型 Standard models")
async def every(_request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Models:
    """Every standard model with all its fields."""
    page, more = paging.sliced(sorted(canonical.MODELS), limit, cursor, str)
    return Models(items=[_model(entity) for entity in page], next_cursor=more)


@routes.get("/{entity}", operation_id="model_get", summary="标准模型详情 Model", responses=schema.responses(404))
async def one(entity: str) -> Model:
    """One standard model."""
    if entity not in canonical.MODELS:
        raise problems.Problem("not_found", f"没有业务对象 {entity[:40]}", f"no entity {entity[:40]}")
    return _model(entity)


def _model(entity: str) -> Model:
    return Model(entity=entity, fields=_below(kinds.root(entity), "", None, 0))


def _below(kind: kinds.Kind, prefix: str, within: str | None, depth: int) -> list[ModelField]:
    found: list[ModelField] = []
    if kind.model is None or depth > DEEPEST:
        return found
    for name, part in kinds.fields(kind.model).items():
        path = f"{prefix}{name}"
        found.append(
            ModelField(
                path=path, within=within, shape=str(part.shape), required=part.required, values=sorted(part.values)
            )
        )
        if part.shape is kinds.Shape.PART:
            found += _below(part, f"{path}.", within, depth + 1)
        elif part.shape is kinds.Shape.LIST and part.item is not None:
            found += _below(part.item, "", f"{within}/{path}" if within else path, depth + 1)
    return found

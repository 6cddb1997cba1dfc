"""Recipes: ready route sets. Which connections can play which part, what an installation would do, and doing it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from gateway import current, hub, hub_file, problems, schema, security
from gateway.api import paging, services
from gateway.recipes import fitting, installing, making, recipe

routes = APIRouter(prefix="/recipes", tags=["recipes"])
EXAMPLE: dict[str, Any] = {
    "parts": {"shop": [{"connection": "tmall-main"}], "erp": [{"connection": "k3"}]},
    "parameters": {"delay": "0s"},
}


class RecipeFit(paging.Part):
    """A connection that can play a part, with the operations that serve each capability, the likeliest first."""

    connection: str
    connector: str
    operations: dict[str, list[str]] = Field(default_factory=dict)


class RecipeStranger(paging.Part):
    """A connection that cannot, and why."""

    connection: str
    reasons: list[paging.Words]


class RecipePart(paging.Part):
    """A part that connections play."""

    key: str
    label: paging.Words
    help: paging.Words | None = None
    many: bool
    optional: bool
    categories: list[str]
    fits: list[RecipeFit]
    strangers: list[RecipeStranger]


class RecipeOption(paging.Part):
    value: str
    label: paging.Words


class RecipeParameter(paging.Part):
    """Something to set. ``per``: every connection in that part may have its own value."""

    key: str
    label: paging.Words
    help: paging.Words | None = None
    type: Annotated[str, Field(description="integer, number, duration, time, text, lines, boolean, choice")]
    default: Any = None
    required: bool
    min: float | None = None
    max: float | None = None
    choices: list[RecipeOption] = Field(default_factory=list)
    per: str | None = None


class Recipe(paging.Part):
    """A recipe with who can play its parts here. ``ready``: ``suggested`` can be installed as it is."""

    id: Annotated[str, Field(examples=["order-to-erp"])]
    title: paging.Words
    text: paging.Words
    notes: list[paging.Words]
    parts: list[RecipePart]
    parameters: list[RecipeParameter]
    suggested: making.Casting
    ready: bool
    installed: Annotated[list[str], Field(description="Keys of its routes and schedules that are there already")]


class Recipes(paging.Page):
    items: list[Recipe]


class RecipeFault(paging.Part):
    """Something that stands in the way, or (among warnings) should be looked at."""

    pointer: str
    code: str
    zh: str
    en: str


class RecipeChange(paging.Part):
    """One thing that is created or changed. Secrets are never among them."""

    kind: str
    key: str
    action: str
    fields: list[str] = Field(default_factory=list)


class RecipePreview(paging.Part):
    """What an installation would do; nothing was done. ``file`` is the hub.yaml that says the same."""

    ok: bool
    faults: list[RecipeFault]
    warnings: list[RecipeFault]
    changes: list[RecipeChange]
    file: str


class RecipeInstalled(paging.Part):
    """What was done. No change: it was there already."""

    changes: list[RecipeChange]
    routes: list[str]


def _words(text: Any) -> paging.Words:
    return paging.Words(**text.model_dump())


def _part(part: recipe.Role, now: current.Current) -> RecipePart:
    fits, strangers = fitting.cast(part, now)
    return RecipePart(
        key=part.key,
        label=_words(part.label),
        help=_words(part.help) if part.help else None,
        many=part.many,
        optional=part.optional,
        categories=list(part.categories),
        fits=[
            RecipeFit(
                connection=one.connection,
                connector=one.connector,
                operations={name: list(options) for name, options in one.operations.items()},
            )
            for one in fits
        ],
        strangers=[
            RecipeStranger(connection=one.connection, reasons=[paging.Words(zh=zh, en=en) for zh, en in one.reasons])
            for one in strangers
        ],
    )


def _shown(one: recipe.Recipe, now: current.Current) -> Recipe:
    suggested = making.suggested(one, now)
    made = making.make(one, suggested, now)
    there = {*now.routes, *now.reconciliations}
    keys = [entry["key"] for section in ("routes", "reconciliations") for entry in made.data.get(section, ())]
    return Recipe(
        id=one.id,
        title=_words(one.title),
        text=_words(one.text),
        notes=[_words(each) for each in one.notes],
        parts=[_part(part, now) for part in one.parts],
        parameters=[
            RecipeParameter.model_validate(each.model_dump(exclude={"label", "help", "choices"}) | {
                "label": _words(each.label),
                "help": _words(each.help) if each.help else None,
                "choices": [RecipeOption(value=choice.value, label=_words(choice.label)) for choice in each.choices],
            })
            for each in one.parameters
        ],
        suggested=suggested,
        ready=not made.faults,
        installed=sorted(there.intersection(keys)),
    )  # fmt: skip


def _get(id: str) -> recipe.Recipe:
    found = recipe.all_recipes().get(id)
    if found is None:
        raise problems.Problem("not_found", f"没有方案 {id[:40]}", f"no recipe {id[:40]}")
    return found


async def _now(request: Request) -> current.Current:
    async with services.of(request).ledger.read() as connection:
        return await current.load(connection)


def _faults(found: list[problems.Fault]) -> list[RecipeFault]:
    return [RecipeFault(pointer=one.pointer, code=one.code, zh=one.zh, en=one.en) for one in found]


def _changes(found: list[hub.Change]) -> list[RecipeChange]:
    return [
        RecipeChange(kind=one.kind, key=one.key, action=one.action, fields=[field.path for field in one.fields])
        for one in found
    ]


@routes.get("", operation_id="recipe_list", summary="方案列表 Recipes")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Recipes:
    """Every recipe, with the connections that can play its parts."""
    now = await _now(request)
    listed = list(recipe.all_recipes().values())
    page, more = paging.sliced(listed, limit, cursor, lambda one: f"{one.order:05}-{one.id}")
    return Recipes(items=await asyncio.to_thread(lambda: [_shown(one, now) for one in page]), next_cursor=more)


@routes.get("/{id}", operation_id="recipe_get", summary="方案详情 Recipe", responses=schema.responses(404))
async def one(request: Request, id: str) -> Recipe:
    """One recipe."""
    found, now = _get(id), await _now(request)
    return await asyncio.to_thread(_shown, found, now)


@routes.post("/{id}/preview", operation_id="recipe_preview", summary="预览安装 Preview",
             responses=schema.responses(404), openapi_extra={"requestBody": {"content": {"application/json": {
                 "example": EXAMPLE}}}})  # fmt: skip
async def preview(request: Request, id: str, body: making.Casting) -> RecipePreview:
    """What installing it so would change, and everything that stands in the way. Nothing is done."""
    hub_, found = services.of(request), _get(id)
    seen = await asyncio.to_thread(installing.preview, found, body, await _now(request), hub_.sealer)
    return RecipePreview(
        ok=not seen.faults,
        faults=_faults(seen.faults),
        warnings=_faults(seen.warnings),
        changes=_changes(seen.changes),
        file=seen.text,
    )


@routes.post("/{id}/install", operation_id="recipe_install", summary="安装方案 Install",
             responses=schema.responses(404), openapi_extra={"requestBody": {"content": {"application/json": {
                 "example": EXAMPLE}}}})  # fmt: skip
async def install(request: Request, id: str, body: making.Casting) -> RecipeInstalled:
    """Installs it: all of it or nothing. A second time nothing changes."""
    hub_, who, found = services.of(request), security.principal(request), _get(id)
    try:
        done = await installing.install(hub_.ledger, hub_.sealer, found, body, actor=who.name)
    except installing.Refused as refused:
        raise problems.Problem("invalid", faults=refused.faults) from None
    except hub_file.Broken as broken:
        faults = [problems.Fault(one.code, one.zh, one.en) for one in broken.problems]
        raise problems.Problem("invalid", faults=faults) from None
    if done:
        await hub_.reload()
    return RecipeInstalled(changes=_changes(done), routes=[change.key for change in done if change.kind == "route"])

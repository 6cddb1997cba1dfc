"""Samples: what a system really sends and answers, shipped with its connector; data to preview mappings with."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from connectors.core import catalogue, jsontext, registry
from gateway import problems, schema
from gateway.api import deliveries, paging, services

routes = APIRouter(prefix="/samples", tags=["samples"])
VECTORS = "vectors.json"


class SampleName(paging.Part):
    """One sample file of a connector."""

    name: Annotated[str, Field(examples=["trade_fullinfo_get.response.json"])]


class SampleNames(paging.Page):
    items: list[SampleName]


class Sample(SampleName):
    """A sample's content; numbers that JavaScript cannot hold are text."""

    content: Any


def _known(connectors: catalogue.Catalogue, connector: str) -> list[str]:
    if connectors.own(connector):
        return []  # a site's own declaration comes without samples
    if connector not in registry.all_ids():
        raise problems.Problem("not_found", f"没有连接器 {connector[:40]}", f"no connector {connector[:40]}")
    folder = registry.folder(connector).joinpath("samples")
    names = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if name.endswith(".json") and name != VECTORS)


@routes.get("/{connector}", operation_id="sample_list", summary="样例报文列表 Samples", responses=schema.responses(404))
async def every(
    request: Request, connector: str, limit: paging.Limit = 50, cursor: paging.Cursor = None
) -> SampleNames:
    """The samples of a connector."""
    names = await asyncio.to_thread(_known, services.of(request).site().connectors, connector)
    page, more = paging.sliced(names, limit, cursor, str)
    return SampleNames(items=[SampleName(name=name) for name in page], next_cursor=more)


@routes.get("/{connector}/{name}", operation_id="sample_get", summary="样例 Sample", responses=schema.responses(404))
async def one(request: Request, connector: str, name: str) -> Sample:
    """One sample."""
    connectors = services.of(request).site().connectors
    if name not in await asyncio.to_thread(_known, connectors, connector):
        raise problems.Problem("not_found", f"没有样例 {name[:80]}", f"no sample {name[:80]}")
    file = registry.folder(connector).joinpath("samples").joinpath(name)
    text = await asyncio.to_thread(lambda: file.read_text(encoding="utf-8"))
    return Sample(name=name, content=_safe(deliveries.plain(jsontext.loads(text))))


def _safe(value: Any) -> Any:
    """Integers beyond 2^53 as text: a browser would round them."""
    if isinstance(value, dict):
        return {key: _safe(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_safe(inner) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    return value

"""Refuses what no database keeps and no JSON writes: NUL, lone surrogates, NaN and infinities, in any parameter."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from gateway import problems

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


async def check(request: Request) -> None:
    """Raises the problem ``invalid`` naming each place; the body must have been parsed already or be absent."""
    found = [
        _fault((), name)
        for name, value in [*request.query_params.multi_items(), *request.path_params.items()]
        if _UNSTORABLE.search(name) or _UNSTORABLE.search(str(value))
    ]
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json" and await request.body():
        found += [_fault(path) for path in _walk(await request.json())]
    if found:
        raise problems.Problem("invalid", faults=found[:50])


def _fault(path: tuple[str | int, ...], parameter: str | None = None) -> problems.Fault:
    zh, en = (
        "含有无法保存的字符或数值（NUL、残缺的代理对、NaN）",
        "holds what cannot be kept (NUL, half a surrogate pair, NaN)",
    )
    shown = tuple(_UNSTORABLE.sub("?", step) if isinstance(step, str) else step for step in path)
    return problems.Fault("unstorable", zh, en, shown, parameter and _UNSTORABLE.sub("?", parameter))


def _walk(body: Any) -> Iterator[tuple[str | int, ...]]:
    """The places that hold something unusable; a stack of our own, because nesting may be deep."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), body)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack += [((*path[-20:], str(key)), inner) for key, inner in value.items()]
            if any(_UNSTORABLE.search(key) for key in value):
                yield path
        elif isinstance(value, list):
            stack += [((*path[-20:], index), inner) for index, inner in enumerate(value)]
        elif (isinstance(value, str) and _UNSTORABLE.search(value)) or (
            isinstance(value, float) and not math.isfinite(value)
        ):
            yield path

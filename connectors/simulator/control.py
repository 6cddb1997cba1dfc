"""The controls every simulator has under ``/_sim/<id>``: state, effects, pushes, faults, settings, clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import pydantic
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from connectors.core import rehearsed
from connectors.simulator import faults, journal, push


class Subject(Protocol):
    """What the controls need of a simulator."""

    id: str
    faults: faults.Faults
    journal: journal.Journal
    settings: dict[str, Any]
    ahead: float

    @property
    def pushes(self) -> list[push.Push]: ...
    def now(self) -> float: ...
    def snapshot(self) -> Any: ...
    def configure(self, settings: dict[str, Any]) -> None: ...
    def granted(self) -> dict[str, Any]: ...
    async def reset(self) -> None: ...


Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def answer(data: Any, status: int = 200) -> Response:
    """JSON as people read it: Chinese unescaped, decimals as text."""
    return Response(json.dumps(data, ensure_ascii=False, default=journal.plain), status, media_type="application/json")


async def body(request: Request) -> dict[str, Any]:
    """The JSON object of a control call; an empty body is an empty object. Raises ValueError or TypeError."""
    raw = await request.body()
    data = json.loads(raw) if raw else {}
    if not isinstance(data, dict):
        raise TypeError("the body must be a JSON object")
    return data


def routes(subject: Subject) -> Sequence[BaseRoute]:
    """The stock controls of one simulator."""

    async def state(_request: Request) -> Response:
        return answer(subject.snapshot())

    async def effects(request: Request) -> Response:
        query = request.query_params
        found = subject.journal.find(query.get("kind"), query.get("key"), int(query.get("after", "0")))
        return answer({"totals": subject.journal.totals(), "effects": [asdict(effect) for effect in found]})

    async def pushes(_request: Request) -> Response:
        return answer({"counts": push.counts(subject.pushes), "pushes": [one.shown() for one in subject.pushes]})

    async def switches(request: Request) -> Response:
        if request.method == "DELETE":
            subject.faults = faults.Faults()
        elif request.method == "POST":
            change = await body(request)
            if "ban" in change:
                change["ban_until"] = subject.now() + float(change.pop("ban"))
            subject.faults = faults.Faults.model_validate({**subject.faults.model_dump(), **change})
        return answer(subject.faults.model_dump())

    async def configure(request: Request) -> Response:
        if request.method == "POST":
            subject.configure(await body(request))
        return answer({"settings": sorted(subject.settings)})

    async def connection(request: Request) -> Response:
        told = await body(request)
        if "push_url" in subject.settings and told.get("hook"):
            subject.configure({"push_url": str(told["hook"])})
        known = {"url": str(request.base_url).rstrip("/"), **subject.settings}
        return answer({"values": {**subject.settings, **fitting(subject.id, known), **subject.granted()}})

    async def clock(request: Request) -> Response:
        subject.ahead += float((await body(request)).get("advance", 0))
        return answer({"now": subject.now(), "ahead": subject.ahead})

    async def reset(_request: Request) -> Response:
        await subject.reset()
        return answer({"reset": subject.id})

    return [
        Route("/state", state),
        Route("/effects", effects),
        Route("/pushes", pushes),
        Route("/faults", guarded(switches), methods=["GET", "POST", "DELETE"]),
        Route("/configure", guarded(configure), methods=["GET", "POST"]),
        Route("/connection", guarded(connection), methods=["POST"]),
        Route("/clock", guarded(clock), methods=["POST"]),
        Route("/reset", reset, methods=["POST"]),
    ]


def fitting(id: str, known: dict[str, Any]) -> dict[str, Any]:
    """What a connection that fits this simulator has beside its settings: the first of the connector's rehearsal."""
    config, secrets = rehearsed.connection(id, str(known["url"]), known)
    return {**config, **secrets}


def guarded(endpoint: Endpoint) -> Endpoint:
    """Answer 422 with the reason when a control call says something impossible."""

    async def call(request: Request) -> Response:
        try:
            return await endpoint(request)
        except pydantic.ValidationError as error:
            wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
            return answer({"error": "; ".join(wrong)}, 422)
        except (ValueError, LookupError, TypeError) as error:
            return answer({"error": str(error)}, 422)

    return call

"""A system whose answers get lost after it did what it was asked; it counts what it did.

It recognises nothing by itself: the same order posted twice is two orders, the same note two notes.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

DECLARED = """
apiVersion: shuniu/api/v1
id: office
label: 前台系统
operations:
  order.find: {kind: get, path: "/orders/${input.no|url}", result: order, id: no}
  order.create:
    {kind: write, entity: order, path: /orders, result: order, id: no, id_input: no, idempotent: query_first,
     lookup: order.find}
  order.put: {kind: write, entity: order, method: PUT, path: "/files/${input.no|url}", id_input: no}
  note.add: {kind: act, entity: order, path: /notes, idempotent: no}
"""
MAPPING = """
apiVersion: shuniu/mapping/v1
connector: office
entity: order
rules:
  - {native: no, canonical: id, way: to}
  - {native: total, canonical: total, codec: money, unit: yuan, as: string, places: 2, way: to}
"""


class Office:
    """``share`` of its answers to writes never arrive."""

    def __init__(self, seed: int, share: float) -> None:
        self.done: Counter[tuple[str, str]] = Counter()
        """(what, number) -> how often."""
        self.lost: Counter[str] = Counter()
        self.files: dict[str, Any] = {}
        self._share = share
        self._random = random.Random(seed)
        self.app = Starlette(
            routes=[
                Route("/orders", self._create, methods=["POST"]),
                Route("/orders/{no}", self._find),
                Route("/files/{no}", self._put, methods=["PUT"]),
                Route("/notes", self._note, methods=["POST"]),
                Route("/", self._ping),
            ]
        )

    async def _ping(self, _request: Request) -> Response:
        return JSONResponse({})

    async def _find(self, request: Request) -> Response:
        number = request.path_params["no"]
        return JSONResponse({"order": {"no": number} if self.done["create", number] else None})

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        return await self._did("create", body["no"], request, {"order": {"no": body["no"]}})

    async def _put(self, request: Request) -> Response:
        number, body = request.path_params["no"], await request.json()
        if self.files.get(number) == body:
            return await self._told("put", request, {})  # the same record at the same place: nothing is done
        self.files[number] = body
        return await self._did("put", number, request, {})

    async def _note(self, request: Request) -> Response:
        return await self._did("note", (await request.json())["no"], request, {})

    async def _did(self, what: str, number: str, request: Request, answer: Any) -> Response:
        self.done[what, number] += 1
        return await self._told(what, request, answer)

    async def _told(self, what: str, request: Request, answer: Any) -> Response:
        if self._random.random() < self._share:
            self.lost[what] += 1
            request.scope["extensions"]["simulator.cut"]()
        return JSONResponse(answer)

    def twice(self, what: str) -> int:
        """Effects of this kind that were done once too often."""
        return sum(count - 1 for (kind, _), count in self.done.items() if kind == what)

    def count(self, what: str) -> int:
        """Numbers for which this was done."""
        return sum(kind == what for kind, _ in self.done)

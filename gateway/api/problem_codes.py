"""Where a problem's ``type`` leads: what a code means."""

from __future__ import annotations

from fastapi import APIRouter, Request

from gateway import problems, schema
from gateway.api import paging

routes = APIRouter(prefix="/problems", tags=["problems"])


class ProblemKind(paging.Part):
    """One code of the table."""

    code: str
    status: int
    title: paging.Words


@routes.get("/{code}", operation_id="problem_get", summary="错误码说明 Problem code", responses=schema.responses(404),
            openapi_extra={"x-public": True})  # fmt: skip
async def one(request: Request, code: str) -> ProblemKind:
    """What a stable error code means."""
    kind = problems.KINDS.get(code)
    if kind is None:
        raise problems.Problem("not_found", "没有这个错误码", "no such code")
    return ProblemKind(code=code, status=kind.status, title=paging.Words(zh=kind.zh, en=kind.en))

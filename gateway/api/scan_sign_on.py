"""Signing in by scanning a code on a connected system's own page: to it and back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from gateway import problems, scanning, schema
from gateway.api import services, single_sign_on

routes = APIRouter(prefix="/sessions", tags=["sessions"])
WAY = single_sign_on.Outward("scan", "shuniu_scan", "/api/v1/sessions/scan")
Key = Annotated[str, Path(max_length=60)]


@routes.get("/scan/{key}/start", operation_id="session_scan_start", summary="扫码登录 Go and scan", status_code=303,
            response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**single_sign_on.REDIRECTS, **schema.responses(404)})  # fmt: skip
async def start(request: Request, key: Key, page: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Sends the browser to the system's page; ``page`` is where it ends up afterwards."""
    hub = services.of(request)
    try:
        return WAY.leave(hub, *scanning.begin(hub.settings, hub.site(), hub.sealer, key, page))
    except problems.Problem as problem:
        return WAY.turned_away(request, problem)


@routes.get("/scan/{key}/callback", operation_id="session_scan_callback", summary="扫码登录返回 Back from scanning",
            status_code=303, response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**single_sign_on.REDIRECTS, **schema.responses(401, 404, 409)})  # fmt: skip
async def callback(request: Request, key: Key) -> Response:
    """Opens a session for the member whom the code names, and goes on to the page that was wanted.

    The query is the system's own: ``state`` and its code. A browser is told of a failure by the sign-in page.
    """
    try:
        return await _arrived(request, key)
    except problems.Problem as problem:
        return WAY.turned_away(request, problem)


async def _arrived(request: Request, key: str) -> Response:
    hub = services.of(request)
    cookie = request.cookies.get(WAY.cookie, "")
    given = dict(request.query_params)
    who, page = await scanning.end(hub.calls, hub.settings, hub.site(), hub.sealer, key, cookie, given)
    role = scanning.role(hub.settings, key, who.member)
    if role is None:
        raise problems.Problem(
            "sign_in_refused", "您的账号没有使用枢纽的权限", "you were given no role here", why="role"
        )
    person = single_sign_on.Person(who.name, who.subject, role)
    return await WAY.arrive(request, person, page)

"""Signing in by scanning a code on a connected system's own page: to it and back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from gateway import oidc, problems, scanning, schema, security
from gateway.api import services, single_sign_on
from retry_queue.ledger import users

routes = APIRouter(prefix="/sessions", tags=["sessions"])
COOKIE = "shuniu_scan"
PATH = "/api/v1/sessions/scan"
Key = Annotated[str, Path(max_length=60)]


@routes.get("/scan/{key}/start", operation_id="session_scan_start", summary="扫码登录 Go and scan", status_code=303,
            response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**single_sign_on.REDIRECTS, **schema.responses(404)})  # fmt: skip
async def start(request: Request, key: Key, page: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Sends the browser to the system's page; ``page`` is where it ends up afterwards."""
    hub = services.of(request)
    address, cookie = scanning.begin(hub.settings, hub.site(), hub.sealer, key, page)
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE, cookie, max_age=int(oidc.LASTS), path=PATH, httponly=True, samesite="lax",
        secure=hub.settings.public_url.startswith("https://"),
    )  # fmt: skip
    return answer


@routes.get("/scan/{key}/callback", operation_id="session_scan_callback", summary="扫码登录返回 Back from scanning",
            status_code=303, response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**single_sign_on.REDIRECTS, **schema.responses(401, 404, 409)})  # fmt: skip
async def callback(request: Request, key: Key) -> Response:
    """Opens a session for the member whom the code names, and goes on to the page that was wanted.

    The query is the system's own: ``state`` and its code.
    """
    hub = services.of(request)
    cookie = request.cookies.get(COOKIE, "")
    given = dict(request.query_params)
    who, page = await scanning.end(hub.calls, hub.settings, hub.site(), hub.sealer, key, cookie, given)
    role = scanning.role(hub.settings, key, who.member)
    if role is None:
        raise problems.Problem("sign_in_refused", "您的账号没有使用枢纽的权限", "you were given no role here")
    if not who.name:
        raise oidc.refused("the system gave no usable name")
    old = request.cookies.get(security.COOKIE)
    try:
        made = await security.sign_in_as(hub, who.name, who.subject, role, old, by="scan")
    except users.NameTaken:
        raise single_sign_on.taken(who.name) from None
    answer = RedirectResponse(page, 303, {"Cache-Control": "no-store"})
    security.give_cookie(answer, made.cookie, secure=hub.settings.public_url.startswith("https://"))
    answer.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")
    return answer

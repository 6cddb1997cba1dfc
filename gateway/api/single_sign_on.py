"""Signing in without a password of ours: which ways there are, and the way through an OpenID provider."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from gateway import oidc, problems, scanning, schema, security
from gateway.api import paging, services
from retry_queue.ledger import users

routes = APIRouter(prefix="/sessions", tags=["sessions"])
COOKIE = "shuniu_sign_in"
PATH = "/api/v1/sessions/oidc"
REDIRECTS: dict[int | str, dict[str, Any]] = {303: {"description": "Go on there"}}


class Way(paging.Part):
    """One way to sign in. ``start`` is an address to go to with the browser; null for the form of name and password."""

    id: Literal["password", "oidc", "scan"]
    label: paging.Words
    start: str | None = None


class Ways(paging.Part):
    items: list[Way]


def taken(name: str) -> problems.Problem:
    """Somebody of ours has this name: they are not taken over."""
    zh = f"已有本地用户 {name}，请管理员先改名或删除"
    return problems.Problem("exists", zh, f"there is a local user {name}; an owner must remove it first")


def provider(hub: services.Services) -> oidc.Provider:
    """The provider of these settings; its description is kept with the process."""
    global _provider
    if _provider is None or _provider.config is not hub.settings:
        _provider = oidc.Provider(hub.settings)
    return _provider


_provider: oidc.Provider | None = None


@routes.get("/ways", operation_id="session_ways", summary="登录方式 Ways to sign in", openapi_extra={"x-public": True})
async def ways(request: Request) -> Ways:
    """How people sign in here."""
    hub = services.of(request)
    found = [Way(id="password", label=paging.Words(zh="用户名和密码", en="Name and password"))]
    if provider(hub).on:
        label = paging.Words(zh="单点登录", en="Single sign-on")
        found.append(Way(id="oidc", label=label, start=f"{PATH}/start"))
    for key, (_connection, spec) in scanning.offered(hub.settings, hub.site()).items():
        label = paging.Words(zh=spec.label.zh, en=spec.label.en)
        found.append(Way(id="scan", label=label, start=f"/api/v1/sessions/scan/{key}/start"))
    return Ways(items=found)


@routes.get("/oidc/start", operation_id="session_oidc_start", summary="单点登录 Go to the provider", status_code=303,
            response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**REDIRECTS, **schema.responses(401, 404)})  # fmt: skip
async def start(request: Request, page: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Sends the browser to the provider; ``page`` is where it ends up afterwards."""
    hub = services.of(request)
    address, cookie = await provider(hub).begin(hub.sealer, page)
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    answer.set_cookie(
        COOKIE, cookie, max_age=int(oidc.LASTS), path=PATH, httponly=True, samesite="lax",
        secure=hub.settings.public_url.startswith("https://"),
    )  # fmt: skip
    return answer


@routes.get("/oidc/callback", operation_id="session_oidc_callback", summary="单点登录返回 Back from the provider",
            status_code=303, response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**REDIRECTS, **schema.responses(401, 404, 409)})  # fmt: skip
async def callback(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Opens a session for whom the provider names, and goes on to the page that was wanted."""
    hub = services.of(request)
    if not provider(hub).on:
        raise problems.Problem("not_found", "没有配置单点登录", "no identity provider is set up")
    if error or not code:
        raise oidc.refused(f"the provider says {error[:60] or 'nothing'}")
    said, page = await provider(hub).end(hub.sealer, request.cookies.get(COOKIE, ""), state, code, hub.clock())
    role = provider(hub).role(said)
    if role is None:
        raise problems.Problem("sign_in_refused", "您的账号没有使用枢纽的权限", "your groups give you no role here")
    name = oidc.name_of(said)
    if not name:
        raise oidc.refused("the provider gave no usable name")
    old = request.cookies.get(security.COOKIE)
    try:
        made = await security.sign_in_as(hub, name, oidc.subject(said), role, old)
    except users.NameTaken:
        raise taken(name) from None
    answer = RedirectResponse(page, 303, {"Cache-Control": "no-store"})
    security.give_cookie(answer, made.cookie, secure=hub.settings.public_url.startswith("https://"))
    answer.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")
    return answer

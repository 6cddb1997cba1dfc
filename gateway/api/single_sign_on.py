"""Signing in without a password of ours: which ways there are, and the way through an OpenID provider."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from gateway import oidc, problems, scanning, schema, security
from gateway.api import paging, services
from retry_queue.ledger import users

routes = APIRouter(prefix="/sessions", tags=["sessions"])
log = structlog.get_logger()
REDIRECTS: dict[int | str, dict[str, Any]] = {303: {"description": "Go on there"}}


class Way(paging.Part):
    """One way to sign in. ``start`` is an address to go to with the browser; null for the form of name and password."""

    id: Literal["password", "oidc", "scan"]
    label: paging.Words
    start: str | None = None


class Ways(paging.Part):
    items: list[Way]


@dataclass(frozen=True, slots=True)
class Person:
    """Who came back, as the other side names them, and the role that they have here."""

    name: str | None
    subject: str
    role: str


@dataclass(frozen=True, slots=True)
class Outward:
    """A way that leads over another page: there, with a cookie that knows where the way began, and back.

    ``path``: under which both ends of the way lie, and only they see the cookie.
    """

    id: Literal["oidc", "scan"]
    cookie: str
    path: str

    def leave(self, hub: services.Services, address: str, kept: str) -> Response:
        """To the other page; ``kept`` is what the browser brings back."""
        answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            self.cookie, kept, max_age=int(oidc.LASTS), path=self.path, httponly=True, samesite="lax", secure=_safe(hub)
        )
        return answer

    async def arrive(self, request: Request, who: Person, page: str) -> Response:
        """Opens a session and goes on to ``page``. A local user of that name is not taken over."""
        hub = services.of(request)
        if not who.name:
            raise oidc.refused("the other side gave no usable name")
        old = request.cookies.get(security.COOKIE)
        try:
            made = await security.sign_in_as(hub, who.name, who.subject, who.role, old, by=self.id)
        except users.NameTaken:
            zh = f"已有本地用户 {who.name}，请管理员先改名或删除"
            en = f"there is a local user {who.name}; an owner must remove it first"
            raise problems.Problem("exists", zh, en, why="taken") from None
        answer = RedirectResponse(page, 303, {"Cache-Control": "no-store"})
        security.give_cookie(answer, made.cookie, secure=_safe(hub))
        answer.delete_cookie(self.cookie, path=self.path, httponly=True, samesite="lax")
        return answer

    def turned_away(self, request: Request, problem: problems.Problem) -> Response:
        """A person goes back to the sign-in page, which says why in its own words; a program gets the problem.

        The cookie stays: a way back that somebody forged must not end the one that is under way.
        """
        own = problem.why not in ("nothing", "taken")  # those repeat what came in: a provider's words, a name
        log.info("sign_in.turned_away", way=self.id, why=problem.why, said=problem.en if own else "")
        if "text/html" not in request.headers.get("accept", ""):
            raise problem
        return RedirectResponse(f"/?sign_in={problem.why or 'failed'}", 303, {"Cache-Control": "no-store"})


def _safe(hub: services.Services) -> bool:
    return hub.settings.public_url.startswith("https://")


WAY = Outward("oidc", "shuniu_sign_in", "/api/v1/sessions/oidc")


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
        found.append(Way(id="oidc", label=label, start=f"{WAY.path}/start"))
    offered = scanning.offered(hub.settings, hub.site())
    offices = Counter(spec.label.zh for _, spec in offered.values())
    for key, (_connection, spec) in offered.items():
        label = paging.Words(zh=spec.label.zh, en=spec.label.en)
        if offices[spec.label.zh] > 1:  # two organisations with the same app: nobody could tell their buttons apart
            label = paging.Words(zh=f"{spec.label.zh}（{key}）", en=f"{spec.label.en} ({key})")
        found.append(Way(id="scan", label=label, start=f"/api/v1/sessions/scan/{key}/start"))
    return Ways(items=found)


@routes.get("/oidc/start", operation_id="session_oidc_start", summary="单点登录 Go to the provider", status_code=303,
            response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**REDIRECTS, **schema.responses(401, 404)})  # fmt: skip
async def start(request: Request, page: Annotated[str, Query(max_length=500)] = "/") -> Response:
    """Sends the browser to the provider; ``page`` is where it ends up afterwards."""
    hub = services.of(request)
    try:
        return WAY.leave(hub, *await provider(hub).begin(hub.sealer, page))
    except problems.Problem as problem:
        return WAY.turned_away(request, problem)


@routes.get("/oidc/callback", operation_id="session_oidc_callback", summary="单点登录返回 Back from the provider",
            status_code=303, response_class=RedirectResponse, openapi_extra={"x-public": True},
            responses={**REDIRECTS, **schema.responses(401, 404, 409)})  # fmt: skip
async def callback(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Opens a session for whom the provider names, and goes on to the page that was wanted.

    A browser is told of a failure by the sign-in page.
    """
    try:
        return await _arrived(request, state, code, error)
    except problems.Problem as problem:
        return WAY.turned_away(request, problem)


async def _arrived(request: Request, state: str, code: str, error: str) -> Response:
    hub = services.of(request)
    if not provider(hub).on:
        raise problems.Problem("not_found", "没有配置单点登录", "no identity provider is set up", why="gone")
    if error or not code:
        raise oidc.refused(f"the provider says {error[:60] or 'nothing'}", "nothing")
    said, page = await provider(hub).end(hub.sealer, request.cookies.get(WAY.cookie, ""), state, code, hub.clock())
    role = provider(hub).role(said)
    if role is None:
        raise problems.Problem(
            "sign_in_refused", "您的账号没有使用枢纽的权限", "your groups give you no role here", why="role"
        )
    return await WAY.arrive(request, Person(oidc.name_of(said), oidc.subject(said), role), page)

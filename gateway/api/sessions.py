"""Signing in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field, SecretStr

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit, users

routes = APIRouter(prefix="/sessions", tags=["sessions"])


class Credentials(paging.Part):
    """A name and a password."""

    name: Annotated[str, Field(min_length=1, max_length=80, examples=["admin"])]
    password: Annotated[SecretStr, Field(min_length=1, max_length=security.LONGEST_PASSWORD)]


class Me(paging.Part):
    """Who is signed in. ``csrf`` goes into the X-CSRF-Token header of every change; null for API tokens."""

    name: Annotated[str, Field(examples=["admin"])]
    role: Annotated[str, Field(examples=["owner"])]
    csrf: str | None = None
    expires_at: datetime | None = None


class NewPassword(paging.Part):
    """A change of one's own password."""

    current: SecretStr
    password: SecretStr


@routes.post(
    "",
    operation_id="session_create",
    summary="登录 Sign in",
    status_code=201,
    openapi_extra={"x-public": True},
    responses=schema.responses(401),
)
async def create(request: Request, response: Response, body: Credentials) -> Me:
    """Opens a session: sets the cookie and returns the CSRF token."""
    hub = services.of(request)
    old = request.cookies.get(security.COOKIE)
    made = await security.sign_in(hub, body.name.strip().lower(), body.password.get_secret_value(), old)
    security.give_cookie(response, made.cookie, secure=hub.settings.public_url.startswith("https://"))
    response.headers["Cache-Control"] = "no-store"
    who = made.principal
    ends = paging.moment(hub.clock() + security.LIFETIME)
    return Me(name=who.name, role=who.role.slug, csrf=who.csrf, expires_at=ends)


@routes.get("/current", operation_id="session_get", summary="当前登录 Who am I")
async def current(request: Request, response: Response) -> Me:
    """The session (or token) of this request."""
    who = security.principal(request)
    response.headers["Cache-Control"] = "no-store"
    return Me(name=who.name, role=who.role.slug, csrf=who.csrf)


@routes.delete("/current", operation_id="session_delete", summary="退出 Sign out", status_code=204)
async def remove(request: Request, response: Response) -> None:
    """Ends this session; the cookie is worthless from then on."""
    hub, who = services.of(request), security.principal(request)
    if who.digest is not None:
        async with hub.ledger.write() as connection:
            await users.close_session(connection, who.digest)
            await audit.append(connection, hub.sealer, hub.clock(), who.name, "session.delete", f"user/{who.name}")
    response.delete_cookie(security.COOKIE, path="/", httponly=True, samesite="lax")


@routes.post("/current/password", operation_id="session_password", summary="修改密码 Change password", status_code=204)
async def password(request: Request, response: Response, body: NewPassword) -> None:
    """Changes one's own password and signs out everywhere, here too."""
    hub, who = services.of(request), security.principal(request)
    if who.user_id is None:
        raise problems.Problem("forbidden", "API 令牌没有密码", "an API token has no password")
    fresh = body.password.get_secret_value()
    weak = security.weakness(fresh, who.name)
    if weak is not None:
        raise problems.Problem("invalid", faults=[weak])
    async with hub.ledger.read() as connection:
        stored = await users.password_of(connection, who.user_id)
    if not await security.matches(stored, body.current.get_secret_value()):
        async with hub.ledger.write() as connection:
            await users.failed(connection, who.user_id, hub.clock(), security.FAILURES, security.LOCK_SECONDS)
        wrong = problems.Fault("wrong_password", "当前密码不正确", "the current password is wrong", ("current",))
        raise problems.Problem("invalid", faults=[wrong])
    made = await security.hashed(fresh)
    async with hub.ledger.write() as connection:
        await users.change(connection, who.user_id, password=made)
        await users.close_all(connection, who.user_id)
        await audit.append(connection, hub.sealer, hub.clock(), who.name, "user.password", f"user/{who.name}")
    response.delete_cookie(security.COOKIE, path="/", httponly=True, samesite="lax")

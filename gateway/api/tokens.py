"""API tokens for programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, Field

from gateway import problems, schema, security
from gateway.api import paging, services
from gateway.api import users as people
from retry_queue.ledger import audit, users

routes = APIRouter(prefix="/tokens", tags=["tokens"])


class Token(paging.Part):
    """A token; its value is not kept."""

    id: Annotated[str, Field(examples=["7"])]
    name: Annotated[str, Field(examples=["grafana"])]
    role: people.RoleName
    scopes: Annotated[list[str] | None, Field(description="null: whatever the role may")] = None
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None


class Tokens(paging.Page):
    items: list[Token]


class NewToken(paging.Part):
    """A token to make. Without ``expires_at`` it ends only by revoking.

    ``scopes`` are nouns of operations (``event``, ``delivery``, ``ledger``, …), with ``:read`` only to look.
    """

    name: Annotated[str, Field(min_length=1, max_length=security.LONGEST_TOKEN_NAME)]
    role: people.RoleName = "viewer"
    expires_at: AwareDatetime | None = None
    scopes: Annotated[
        list[Annotated[str, Field(max_length=60)]] | None,
        Field(min_length=1, max_length=100, examples=[["ledger:read", "event:read"]]),
    ] = None


class IssuedToken(Token):
    """The one answer that holds the value."""

    token: Annotated[str, Field(examples=["shn_…"], description="Shown this once; keep it now")]


def _fields(token: users.ApiToken) -> dict[str, object]:
    return {
        "id": str(token.id),
        "name": token.name,
        "role": token.role,
        "scopes": None if token.scopes is None else list(token.scopes),
        "created_by": token.created_by,
        "created_at": paging.instant(token.created_at),
        "expires_at": paging.moment(token.expires_at),
        "used_at": paging.moment(token.used_at),
    }


@routes.get("", operation_id="token_list", summary="API 令牌列表 Tokens")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Tokens:
    """Tokens that were not revoked."""
    async with services.of(request).ledger.read() as connection:
        found = await users.tokens(connection)
    page, more = paging.sliced(found, limit, cursor, lambda one: f"{one.id:018d}")
    return Tokens(items=[Token.model_validate(_fields(one)) for one in page], next_cursor=more)


@routes.post("", operation_id="token_create", summary="新建 API 令牌 Issue", status_code=201)
async def create(request: Request, body: NewToken) -> IssuedToken:
    """Makes a token and shows its value this once."""
    hub, who = services.of(request), security.principal(request)
    ends = body.expires_at.timestamp() if body.expires_at else None
    if ends is not None and ends <= hub.clock():
        past = problems.Fault("past", "到期时间已过", "this time is over", ("expires_at",))
        raise problems.Problem("invalid", faults=[past])
    for place, scope in enumerate(body.scopes or ()):
        if scope not in security.scopes_there_are():
            zh, en = f"没有范围 {scope}", f"there is no scope {scope}"
            raise problems.Problem("invalid", faults=[problems.Fault("unknown_scope", zh, en, ("scopes", place))])
    async with hub.change(touch=False) as connection:
        value, made = await security.issue_token(
            connection, hub.sealer, body.name, body.role, hub.clock(), ends, who.name, body.scopes
        )
    return IssuedToken.model_validate({**_fields(made), "token": value})


@routes.delete("/{id}", operation_id="token_delete", summary="吊销 API 令牌 Revoke", status_code=204,
               responses=schema.responses(404))  # fmt: skip
async def remove(request: Request, id: str) -> None:
    """Ends a token at once."""
    hub, who = services.of(request), security.principal(request)
    number = paging.row_id(id, "令牌", "token")
    async with hub.change(touch=False) as connection:
        if not await users.revoke(connection, number, hub.clock()):
            raise problems.Problem("not_found", f"没有令牌 {id}", f"no token {id}")
        await audit.append(connection, hub.sealer, hub.clock(), who.name, "token.delete", f"token/{id}")

"""People who may sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field, SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit
from retry_queue.ledger import users as people

routes = APIRouter(prefix="/users", tags=["users"])
RoleName = Literal["viewer", "operator", "editor", "owner"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,80}$", examples=["wang.li"])]


class User(paging.Part):
    """A person."""

    id: Annotated[str, Field(examples=["1"])]
    name: str
    role: RoleName
    disabled: bool
    locked_until: datetime | None = None
    created_at: datetime


class Users(paging.Page):
    items: list[User]


class NewUser(paging.Part):
    """A person to add. Names are kept in lower case."""

    name: Name
    password: SecretStr
    role: RoleName = "viewer"


class UserChange(paging.Part):
    """What to change; left out, it stays. A new password signs the person out everywhere."""

    password: SecretStr | None = None
    role: RoleName | None = None
    disabled: bool | None = None


def _shown(user: people.User, now: float) -> User:
    locked = user.locked_until if user.locked_until > now else None
    return User(
        id=str(user.id), name=user.name, role=security.role(user.role).slug, disabled=user.disabled,
        locked_until=paging.moment(locked), created_at=paging.instant(user.created_at),
    )  # fmt: skip


@routes.get("", operation_id="user_list", summary="用户列表 Users")
async def every(request: Request, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Users:
    """Everybody who may sign in, by name."""
    hub = services.of(request)
    async with hub.ledger.read() as connection:
        found = await people.all_rows(connection)
    page, more = paging.sliced(found, limit, cursor, lambda one: one.name)
    return Users(items=[_shown(one, hub.clock()) for one in page], next_cursor=more)


@routes.post("", operation_id="user_create", summary="添加用户 Add", status_code=201, responses=schema.responses(409))
async def create(request: Request, body: NewUser) -> User:
    """Adds a person."""
    hub, who = services.of(request), security.principal(request)
    name, password = body.name.lower(), body.password.get_secret_value()
    weak = security.weakness(password, name)
    if weak is not None:
        raise problems.Problem("invalid", faults=[weak])
    made = await security.hashed(password)
    try:
        async with hub.change(touch=False) as connection:
            user = await security.add_user(connection, hub.sealer, name, made, body.role, hub.clock(), who.name)
    except people.NameTaken:
        raise problems.Problem("exists", f"已有用户 {name}", f"there is a user {name}") from None
    return _shown(user, hub.clock())


@routes.patch("/{id}", operation_id="user_update", summary="修改用户 Change", responses=schema.responses(404, 409))
async def update(request: Request, id: str, body: UserChange) -> User:
    """Changes role, password or whether the person may sign in; any of these ends their sessions."""
    hub, who = services.of(request), security.principal(request)
    number = paging.row_id(id, "用户", "user")
    made = None
    if body.password is not None:
        weak = security.weakness(body.password.get_secret_value())
        if weak is not None:
            raise problems.Problem("invalid", faults=[weak])
        made = await security.hashed(body.password.get_secret_value())
    async with hub.change(touch=False) as connection:
        before = await people.get(connection, number)
        if before is None:
            raise problems.Problem("not_found", f"没有用户 {id}", f"no user {id}")
        if before.role == "owner" and (body.disabled or (body.role or "owner") != "owner"):
            await _keep_an_owner(connection, number)
        user = await people.change(connection, number, password=made, role=body.role, disabled=body.disabled)
        assert user is not None
        await people.close_all(connection, number)
        said = {"role": body.role, "disabled": body.disabled, "password": made is not None}
        detail = {key: value for key, value in said.items() if value not in (None, False) or key == "disabled"}
        await audit.append(connection, hub.sealer, hub.clock(), who.name, "user.update", f"user/{user.name}", detail)
    return _shown(user, hub.clock())


@routes.delete("/{id}", operation_id="user_delete", summary="删除用户 Remove", status_code=204,
               responses=schema.responses(404, 409))  # fmt: skip
async def remove(request: Request, id: str) -> None:
    """Removes a person; the last owner stays."""
    hub, who = services.of(request), security.principal(request)
    number = paging.row_id(id, "用户", "user")
    async with hub.change(touch=False) as connection:
        user = await people.get(connection, number)
        if user is None:
            raise problems.Problem("not_found", f"没有用户 {id}", f"no user {id}")
        if user.role == "owner":
            await _keep_an_owner(connection, number)
        await people.remove(connection, number)
        await audit.append(connection, hub.sealer, hub.clock(), who.name, "user.delete", f"user/{user.name}")


async def _keep_an_owner(connection: AsyncConnection, user_id: int) -> None:
    if not await people.others_of(connection, "owner", user_id):
        raise problems.Problem("conflict", "至少要保留一个可登录的 owner", "at least one owner must be able to sign in")

"""People and API tokens on the command line."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from typing import Annotated, Any

import typer

from gateway import security
from gateway.commands import shell
from retry_queue.ledger import audit, users

ACTOR = "cli"
user_app = typer.Typer(help="用户 / people who may sign in", no_args_is_help=True)
token_app = typer.Typer(help="API 令牌 / API tokens", no_args_is_help=True)
Password = Annotated[
    str | None,
    typer.Option("--password", help="- 从标准输入读取；省略则询问或生成 / - reads stdin; else asked for or made"),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(user_app, name="user")
    app.add_typer(token_app, name="token")


def _password(given: str | None, name: str) -> tuple[str, bool]:
    """The password, and whether it was made here."""
    made = False
    if given == "-":
        password = sys.stdin.readline().rstrip("\n")
    elif given is not None:
        password = given
    elif sys.stdin.isatty():
        password = typer.prompt("密码 / password", hide_input=True, confirmation_prompt=True)
    else:
        password, made = secrets.token_urlsafe(15), True
    weak = security.weakness(password, name)
    if weak is not None:
        raise shell.fail(weak.zh, weak.en)
    return password, made


def _role(slug: str) -> str:
    try:
        return security.role(slug).slug
    except ValueError as error:
        raise shell.fail(f"没有角色 {slug}", str(error)) from None


@user_app.command("add")
def add(
    name: str,
    role: Annotated[str, typer.Option(help="owner | editor | operator | viewer")] = "viewer",
    password: Password = None,
    as_json: shell.Json = False,
) -> None:
    """添加用户 / add a person."""
    name, slug = name.lower(), _role(role)
    if not re.fullmatch(r"[a-z0-9._@-]{1,80}", name):
        raise shell.fail("用户名只能用字母、数字和 . _ @ -", "a name has letters, digits and . _ @ -")
    word, made = _password(password, name)

    async def step(hub: shell.Opened) -> users.User:
        secret = await security.hashed(word)
        at = await hub.ledger.now()
        async with hub.ledger.write() as connection:
            return await security.add_user(connection, hub.sealer, name, secret, slug, at, ACTOR)

    try:
        user = shell.run(step)
    except users.NameTaken:
        raise shell.fail(f"已有用户 {name}", f"there is a user {name}", 1) from None
    if as_json:
        shell.show({"id": str(user.id), "name": name, "role": slug, **({"password": word} if made else {})})
        return
    shell.say(f"已添加 {name}（{slug}）", f"added {name} ({slug})")
    if made:
        typer.echo(f"密码 / password: {word}")


@user_app.command("list")
def listed(as_json: shell.Json = False) -> None:
    """列出用户 / list people."""

    async def step(hub: shell.Opened) -> list[users.User]:
        async with hub.ledger.read() as connection:
            return await users.all_rows(connection)

    found = shell.run(step)
    if as_json:
        shell.show([{"id": str(u.id), "name": u.name, "role": u.role, "disabled": u.disabled} for u in found])
        return
    for user in found:
        typer.echo(f"{user.id}\t{user.name}\t{user.role}\t{'停用 disabled' if user.disabled else ''}".rstrip())


def _change(name: str, action: str, **values: Any) -> None:
    async def step(hub: shell.Opened) -> bool:
        at = await hub.ledger.now()
        async with hub.ledger.write() as connection:
            found = await users.by_name(connection, name)
            if found is None:
                return False
            await users.change(connection, found[0].id, **values)
            await users.close_all(connection, found[0].id)
            await audit.append(connection, hub.sealer, at, ACTOR, action, f"user/{name}")
            return True

    if not shell.run(step):
        raise shell.fail(f"没有用户 {name}", f"no user {name}", 1)


@user_app.command("password")
def password(name: str, password: Password = None, as_json: shell.Json = False) -> None:
    """重设密码，并退出其所有登录 / set a password and sign the person out everywhere."""
    name = name.lower()
    word, made = _password(password, name)
    _change(name, "user.password", password=asyncio.run(security.hashed(word)))
    if as_json:
        shell.show({"name": name, **({"password": word} if made else {})})
        return
    shell.say(f"已重设 {name} 的密码", f"the password of {name} is set")
    if made:
        typer.echo(f"密码 / password: {word}")


@user_app.command("disable")
def disable(name: str, enable: Annotated[bool, typer.Option("--undo", help="重新启用 / enable again")] = False) -> None:
    """停用用户 / keep a person from signing in."""
    _change(name.lower(), "user.update", disabled=not enable)
    shell.say(f"已{'启用' if enable else '停用'} {name}", f"{'enabled' if enable else 'disabled'} {name}")


@token_app.command("create")
def create(
    name: str,
    role: Annotated[str, typer.Option(help="owner | editor | operator | viewer")] = "viewer",
    days: Annotated[int | None, typer.Option(min=1, help="有效天数 / days until it ends")] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="只允许的范围，如 ledger:read，可重复 / only these, repeatable")
    ] = None,
    as_json: shell.Json = False,
) -> None:
    """新建 API 令牌，只显示这一次 / make an API token; it is shown this once."""
    slug = _role(role)
    if not 1 <= len(name) <= security.LONGEST_TOKEN_NAME:
        raise shell.fail("令牌名称过长或为空", "the token's name is empty or too long")

    unknown = sorted(set(scope or ()) - security.scopes_there_are())
    if unknown:
        raise shell.fail(f"没有范围 {unknown[0]}", f"there is no scope {unknown[0]}")

    async def step(hub: shell.Opened) -> tuple[str, users.ApiToken]:
        at = await hub.ledger.now()
        ends = at + days * 86400 if days else None
        async with hub.ledger.write() as connection:
            return await security.issue_token(connection, hub.sealer, name, slug, at, ends, ACTOR, scope or None)

    value, made = shell.run(step)
    if as_json:
        shell.show({"id": str(made.id), "name": made.name, "role": made.role, "token": value})
    else:
        typer.echo(value)

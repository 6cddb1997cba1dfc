"""``shuniu connector``: systems nobody wrote a connector for, declared from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from connectors.core.own import curl, draft, openapi, source
from gateway import current, declarations
from gateway.commands import shell
from gateway.problems import Fault
from retry_queue.ledger import audit, configuration

ACTOR = "cli"
connector_app = typer.Typer(help="自定义连接器 / connectors of your own", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(connector_app, name="connector")


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise shell.fail(f"读不到文件 {file}（{error}）", f"the file {file} cannot be read ({error})") from None


def _drafted(text: str, identifier: str | None, operations: list[str]) -> draft.Draft | None:
    """A draft of an OpenAPI document or a curl command; None for a declaration, which is kept as it was written."""
    if text.lstrip().startswith("curl"):
        return curl.drafted(text, identifier)
    data = source.parsed(text, longest=openapi.LONGEST, deepest=openapi.DEEPEST)
    if "openapi" not in data and "swagger" not in data:
        return None
    return openapi.drafted(text, identifier, operations)


@connector_app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="声明、OpenAPI 文档或 curl 命令，- 表示标准输入 / - for stdin")],
    identifier: Annotated[str | None, typer.Option("--id", help="连接器 id / its id")] = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", help="只取这些接口，可重复 / only these, may be repeated")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只输出声明，不保存 / print it, store nothing")] = False,
    as_json: shell.Json = False,
) -> None:
    """导入并保存一个连接器声明 / import a connector from a declaration, an OpenAPI document or a curl command."""
    text = _text(file)
    try:
        made = _drafted(text, identifier, operation or [])
    except source.Broken as error:
        faults = [Fault("source", one.zh, one.en, one.path) for one in error.wrong]
        raise _refused(faults, as_json=as_json) from None
    if made is not None:
        text = source.written(made.spec)
    spec, faults = declarations.read(text)
    if dry_run and not as_json:
        typer.echo(text, nl=False)
    if spec is None:
        raise _refused(faults, as_json=as_json)
    stored = "unchanged" if dry_run else shell.run(lambda one: _store(one, spec.id, text))
    if isinstance(stored, list):
        raise _refused(stored, as_json=as_json)
    for zh, en in made.remarks if made else []:
        shell.say(zh, en)
    if made and made.secrets:
        names = ", ".join(sorted(made.secrets))
        shell.say(f"命令里的密钥没有保存，请在连接里填写：{names}", f"not kept, enter on the connection: {names}")
    if as_json:
        shell.show({"ok": True, "id": spec.id, "stored": stored, "operations": sorted(spec.operations), "body": text})
    elif not dry_run:
        shell.say(
            f"连接器 {spec.id}：{len(spec.operations)} 个接口",
            f"connector {spec.id}: {len(spec.operations)} operations",
        )


def _refused(faults: list[Fault], *, as_json: bool) -> typer.Exit:
    if as_json:
        shell.show({"ok": False, "problems": [{"code": one.code, "zh": one.zh, "en": one.en} for one in faults]})
    else:
        for one in faults:
            shell.say(one.zh, one.en)
    return typer.Exit(1)


async def _store(opened: shell.Opened, key: str, text: str) -> str | list[Fault]:
    at = await opened.ledger.now()
    async with opened.ledger.write() as connection:
        await audit.lock(connection)
        now = await current.load(connection)
        before = now.declarations.get(key)
        if before == text:
            return "unchanged"
        broken = declarations.breaks(now, key, text) if before is not None else []
        if broken:
            return broken
        await configuration.put_setting(connection, configuration.DECLARATIONS, {**now.declarations, key: text})
        action = "create" if before is None else "change"
        await audit.append(connection, opened.sealer, at, ACTOR, f"declaration.{action}", f"declaration/{key}")
        await configuration.touch(connection)
    return "created" if before is None else "changed"


async def _load(opened: shell.Opened) -> current.Current:
    async with opened.ledger.read() as connection:
        return await current.load(connection)


@connector_app.command("list")
def list_(as_json: shell.Json = False) -> None:
    """自定义连接器及其连接 / connectors of your own, and what is made with them."""
    now = shell.run(_load)
    found = [{"id": key, "connections": declarations.users(now, key)} for key in sorted(now.declarations)]
    if as_json:
        shell.show(found)
        return
    for one in found:
        shell.out.print(f"{one['id']}  {', '.join(one['connections'])}", markup=False)


@connector_app.command("show")
def show(key: str) -> None:
    """输出一个声明 / print a declaration."""
    text = shell.run(_load).declarations.get(key)
    if text is None:
        raise shell.fail(f"没有声明 {key}", f"no declaration {key}", 1)
    typer.echo(text, nl=not text.endswith("\n"))

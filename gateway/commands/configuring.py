"""Configuration as code: apply, diff, export."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import hub, hub_export, hub_file
from gateway.commands import shell

File = Annotated[str, typer.Option("--file", "-f", help="hub.yaml，- 表示标准输入 / a file, - for stdin")]
Prune = Annotated[bool, typer.Option("--prune", help="删除文件里没有的内容 / remove what the file does not name")]
ACTOR = "cli"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("apply")(apply)
    app.command("diff")(diff)
    app.command("export")(export)


def draft(file: str, *, lenient: bool = False) -> hub_file.Draft:
    """A file read; ends the command when it cannot be."""
    if file == "-":
        return hub_file.read(sys.stdin.read(), "stdin", folder=Path.cwd(), lenient=lenient)
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise shell.fail(f"读不到文件 {file}（{error}）", f"the file {file} cannot be read ({error})") from None
    return hub_file.read(text, file, folder=path.parent, lenient=lenient)


def report(problems: list[hub_file.Problem], *, as_json: bool) -> typer.Exit:
    """Lists every problem; nothing was changed."""
    if as_json:
        shell.show({"ok": False, "problems": [dataclasses.asdict(one) for one in problems]})
    else:
        for one in problems:
            shell.err.print(str(one), markup=False)
        shell.say(f"共 {len(problems)} 处问题，没有做任何修改", f"{len(problems)} problems; nothing was changed")
    return typer.Exit(1)


def _shown(changes: list[hub.Change], *, applied: bool, as_json: bool) -> None:
    if as_json:
        shell.show({"ok": True, "applied": applied, "changes": [dataclasses.asdict(one) for one in changes]})
        return
    for one in changes:
        colour = {"create": "green", "change": "yellow", "remove": "red"}[one.action]
        shell.out.print(one.line, style=colour, markup=False)
        for field in one.fields:
            old, new = _value(field.old), _value(field.new)
            text = f"{old} → {new}" if one.action == "change" else new
            shell.out.print(f"    {field.path}: {text}", markup=False)
    if not changes:
        shell.say("没有变化", "nothing changes")
    elif applied:
        shell.say(f"已应用 {len(changes)} 项修改", f"{len(changes)} changes applied")


def _value(value: object) -> str:
    text = "—" if value is None else str(value)
    return f"{text[:80]}…" if len(text) > 80 or "\n" in text[:80] else text


def apply(file: File = "hub.yaml", prune: Prune = False, as_json: shell.Json = False, dry_run: Annotated[
    bool, typer.Option("--dry-run", help="只看不改 / only show")] = False) -> None:  # fmt: skip
    """应用 hub.yaml：要么全部生效，要么不变 / apply hub.yaml, all or nothing."""
    if dry_run:
        diff(file, prune, as_json)
        return
    wanted = draft(file)
    try:
        changes = shell.run(lambda one: hub.apply(one.ledger, one.sealer, wanted, actor=ACTOR, prune=prune))
    except hub_file.Broken as error:
        raise report(error.problems, as_json=as_json) from None
    _shown(changes, applied=True, as_json=as_json)


def diff(file: File = "hub.yaml", prune: Prune = False, as_json: shell.Json = False) -> None:
    """显示应用后会有什么变化 / show what apply would change."""
    wanted = draft(file)
    try:
        changes = shell.run(lambda one: hub.diff(one.ledger, one.sealer, wanted, prune=prune))
    except hub_file.Broken as error:
        raise report(error.problems, as_json=as_json) from None
    _shown(changes, applied=False, as_json=as_json)


def export(
    output: Annotated[
        str, typer.Option("--output", "-o", help="写入文件，默认标准输出 / a file; stdout by default")
    ] = "-",
    as_json: shell.Json = False,
) -> None:
    """导出当前配置（密钥写成 ${变量}） / write the configuration, secrets as ${VARIABLES}."""
    text, needed = shell.run(lambda one: hub_export.export(one.ledger, one.sealer))
    if as_json:
        shell.show({"file": text, "variables": needed})
        return
    if output == "-":
        typer.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8")
    if needed:
        shell.say(f"应用前请设置环境变量：{', '.join(needed)}", f"set before applying: {', '.join(needed)}")

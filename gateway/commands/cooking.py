"""``shuniu recipe``: ready route sets from the command line."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from gateway import current, hub, hub_file
from gateway.commands import shell
from gateway.problems import Fault
from gateway.recipes import fitting, installing, making, recipe

ACTOR = "cli"
recipe_app = typer.Typer(help="现成方案 / ready route sets", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="方案 / the recipe's id")]
Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="角色=连接[,连接]，连接:能力=接口 可指定接口 / part=connection[,connection]"),
]
Values = Annotated[
    list[str] | None,
    typer.Option("--set", help="参数=值，参数@连接=值 只对一个连接 / name=value, name@connection=value"),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(recipe_app, name="recipe")


def _get(id: str) -> recipe.Recipe:
    found = recipe.all_recipes().get(id)
    if found is None:
        known = ", ".join(recipe.all_recipes())
        raise shell.fail(f"没有方案 {id}；可用：{known}", f"no recipe '{id}'; there are: {known}")
    return found


async def _load(one: shell.Opened) -> current.Current:
    async with one.ledger.read() as connection:
        return await current.load(connection)


def _split(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise shell.fail(f"{option} 应写成 名称=值：{text}", f"{option} is name=value: {text}")
    return name.strip(), value.strip()


def casting(wanted: recipe.Recipe, now: current.Current, parts: list[str], values: list[str]) -> making.Casting:
    """What the options say; a part that is not named gets the connections that fit, an empty one (``crm=``) none."""
    filled = making.suggested(wanted, now).parts if not parts else {}
    suggested = making.suggested(wanted, now).parts
    for text in parts:
        key, named = _split(text, "--part")
        filled[key] = [making.Filling(connection=one.strip()) for one in named.split(",") if one.strip()]
    filled = {key: those for key, those in {**suggested, **filled}.items() if those}
    plain: dict[str, str] = {}
    for text in values:
        name, value = _split(text, "--set")
        name, sign, connection = name.partition("@")
        if not sign:
            plain[name] = value
            continue
        one = next((each for each in wanted.parameters if each.key == name and each.per), None)
        for each in filled.get(one.per or "", []) if one else []:
            if each.connection == connection:
                each.parameters[name] = value
                break
        else:
            raise shell.fail(f"--set {text}：没有这样的参数或连接", f"--set {text}: no such parameter or connection")
    return making.Casting(parts=filled, parameters=plain)


@recipe_app.command("list")
def list_(as_json: shell.Json = False) -> None:
    """列出方案和能担任各角色的连接 / list recipes and the connections that fit."""
    now = shell.run(_load)
    rows = []
    for one in recipe.all_recipes().values():
        cast = {part.key: [fit.connection for fit in fitting.cast(part, now)[0]] for part in one.parts}
        missing = [part.label for part in one.parts if not cast[part.key] and not part.optional]
        title = one.title.model_dump()
        rows.append({"id": one.id, "title": title, "ready": not missing, "parts": cast})
        if not as_json:
            shell.out.print(f"{one.id}  {one.title.zh} / {one.title.en}", markup=False)
            if missing:
                zh, en = "、".join(each.zh for each in missing), ", ".join(each.en for each in missing)
                shell.out.print(f"    还缺少 {zh} / still needed: {en}", style="dim", markup=False)
    if as_json:
        shell.show(rows)


@recipe_app.command()
def show(id: Id, part: Parts = None, values: Values = None, as_json: shell.Json = False) -> None:
    """看一个方案会做什么，不安装 / what a recipe would do; nothing is installed."""
    wanted = _get(id)

    async def look(one: shell.Opened) -> tuple[current.Current, installing.Preview]:
        now = await _load(one)
        return now, installing.preview(wanted, casting(wanted, now, part or [], values or []), now, one.sealer)

    now, seen = shell.run(look)
    if as_json:
        shell.show({"id": id, "ok": not seen.faults, "file": seen.text, "changes": _plain(seen.changes),
                    "faults": [_fault(one) for one in seen.faults],
                    "warnings": [_fault(one) for one in seen.warnings]})  # fmt: skip
        return
    shell.out.print(f"{wanted.title.zh} / {wanted.title.en}", style="bold", markup=False)
    shell.out.print(f"{wanted.text.zh}\n{wanted.text.en}", markup=False)
    for one in wanted.parts:
        fits = ", ".join(fit.connection for fit in fitting.cast(one, now)[0]) or "—"
        shell.out.print(f"  --part {one.key}=…  {one.label.zh} / {one.label.en}: {fits}", markup=False)
    for each in wanted.parameters:
        shell.out.print(f"  --set {each.key}={each.default}  {each.label.zh} / {each.label.en}", markup=False)
    for note in wanted.notes:
        shell.out.print(f"  * {note.zh} / {note.en}", style="dim", markup=False)
    if seen.text:
        typer.echo(seen.text, nl=False)
    _tell(seen.faults, seen.warnings)


@recipe_app.command()
def install(id: Id, part: Parts = None, values: Values = None, as_json: shell.Json = False) -> None:
    """安装方案：要么全部生效，要么不变 / install a recipe, all of it or nothing."""
    wanted = _get(id)

    async def do(one: shell.Opened) -> list[hub.Change]:
        chosen = casting(wanted, await _load(one), part or [], values or [])
        return await installing.install(one.ledger, one.sealer, wanted, chosen, actor=ACTOR)

    try:
        changes = shell.run(do)
    except (installing.Refused, hub_file.Broken) as error:
        faults = error.faults if isinstance(error, installing.Refused) else [
            Fault(one.code, one.zh, one.en) for one in error.problems
        ]  # fmt: skip
        if as_json:
            shell.show({"ok": False, "faults": [_fault(one) for one in faults]})
        else:
            _tell(faults, [])
        raise typer.Exit(1) from None
    if as_json:
        shell.show({"ok": True, "changes": _plain(changes)})
        return
    for change in changes:
        shell.out.print(change.line, style="green" if change.action == "create" else "yellow", markup=False)
    said = f"已安装，{len(changes)} 项修改" if changes else "已经装好，没有变化"
    shell.say(said, f"installed, {len(changes)} changes" if changes else "it is there already; nothing changes")


def _tell(faults: object, warnings: list[Fault]) -> None:
    for one in [*faults, *warnings]:  # type: ignore[misc]
        shell.say(one.zh, one.en)


def _fault(one: Fault) -> dict[str, str]:
    return {"pointer": one.pointer, "code": one.code, "zh": one.zh, "en": one.en}


def _plain(changes: list[hub.Change]) -> list[dict[str, object]]:
    return [dataclasses.asdict(one) for one in changes]

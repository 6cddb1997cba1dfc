"""``shuniu growth`` and ``shuniu archive``: what a long history costs, and putting it away."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands import hands, shell

ACTOR = "cli"
archive_app = typer.Typer(
    no_args_is_help=True, help="已结束事件的归档 / ended events in compressed files, before retention removes them"
)
Folder = Annotated[Path, typer.Argument(help="归档文件夹 / the archive's folder")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("growth")(growth)
    app.add_typer(archive_app, name="archive")


@archive_app.command("write")
def write(
    folder: Folder,
    since: Annotated[str, typer.Option(help="从何时收到的 / received from")],
    until: Annotated[str, typer.Option(help="到何时之前 / received before")],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="个人信息不脱敏（会写入审计） / personal data in full; audited")
    ] = False,
    as_json: shell.Json = False,
) -> None:
    """把一段时间内已结束的事件写成压缩文件；中断后再次运行即可继续 / write them; run again to go on."""
    from gateway import archive
    from retry_queue.ledger import audit

    begin, end = hands.moment(since, "--since"), hands.moment(until, "--until")
    if begin is None or end is None or not begin < end or end.timestamp() > time.time():
        raise shell.fail(
            "--since 须早于 --until，且 --until 不能在将来",
            "--since is before --until, and --until is not in the future",
        )
    span = (begin.timestamp(), end.timestamp())

    async def step(hub: shell.Opened) -> archive.Manifest:
        at = await hub.ledger.now()
        async with hub.ledger.write() as db:
            told = {"since": begin.isoformat(), "until": end.isoformat(), "masked": not reveal}
            await audit.append(db, hub.sealer, at, ACTOR, "archive.write", "archive", told)
        return await archive.write(hub.ledger, folder, *span, masked=not reveal)

    try:
        found = shell.run(step)
    except archive.Refused as error:
        raise shell.fail(error.zh, error.en, 1) from None
    except OSError as error:
        raise shell.fail(f"文件无法读写：{error}", f"a file could not be read or written: {error}", 1) from None
    if as_json:
        shell.show(asdict(found))
    else:
        shell.say(
            f"已归档 {found.events} 个事件，{len(found.pieces)} 个文件；{len(found.open)} 个尚未结束，下次运行时补上",
            f"{found.events} events in {len(found.pieces)} files; {len(found.open)} have not ended: run again later",
        )


@archive_app.command("verify")
def verify(folder: Folder, as_json: shell.Json = False) -> None:
    """核对每个文件的校验和；有问题时退出码为 1 / compare checksums; exit code 1 when something is wrong."""
    from gateway import archive

    try:
        wrong = archive.wrong(folder)
    except archive.Refused as error:
        raise shell.fail(error.zh, error.en, 1) from None
    if as_json:
        shell.show({"wrong": wrong})
    for one in [] if as_json else wrong:
        shell.say(one, one)
    raise typer.Exit(1 if wrong else 0)


@archive_app.command("find")
def find(
    folder: Folder,
    text: Annotated[
        str | None, typer.Argument(help="订单号、记录号、事件号或 trace / number, record, event or trace")
    ] = None,
    since: Annotated[str | None, typer.Option(help="从何时收到的 / received from")] = None,
    until: Annotated[str | None, typer.Option(help="到何时之前 / received before")] = None,
) -> None:
    """在归档中查找，每行输出一个事件的 JSON / look an event up; prints one JSON line per event."""
    import json

    from gateway import archive

    begin, end = hands.moment(since, "--since"), hands.moment(until, "--until")
    try:
        for one in archive.find(folder, text, begin.timestamp() if begin else None, end.timestamp() if end else None):
            typer.echo(json.dumps(one, ensure_ascii=False))
    except archive.Refused as error:
        raise shell.fail(error.zh, error.en, 1) from None


def growth(
    rows: Annotated[
        str, typer.Option(help="在这些历史行数下测量 / sizes of the history, with commas")
    ] = "100000,1000000,10000000",
    events: Annotated[int, typer.Option(min=100, help="每档测量的事件数 / events measured at each size")] = 5000,
    as_json: shell.Json = False,
) -> None:
    """历史增长时每个事件的成本（自建临时 PostgreSQL，一千万行约需 15 GB） / the cost of an event as history grows."""
    try:
        steps = [int(one) for one in rows.replace("_", "").split(",")]
    except ValueError:
        raise shell.fail("--rows 应为逗号分隔的整数", "--rows takes whole numbers with commas between them") from None
    from gateway.bench import growth as growing
    from gateway.trial import postgres

    if postgres.binaries() is None:
        raise shell.fail("这台机器上没有 PostgreSQL", "there is no PostgreSQL on this machine", 1)
    raise typer.Exit(growing.run(steps=steps, count=events, as_json=as_json))

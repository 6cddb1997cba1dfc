"""Importing history on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gateway import problems
from gateway.api import backfills as backfill_api
from gateway.commands import hands, shell
from retry_queue import backfill as importing
from retry_queue.ledger import audit, backfills

ACTOR = "cli"
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="等到结束 / until it ends")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("backfill")(backfill)


def backfill(
    connection: Annotated[str | None, typer.Option(help="连接 / connection")] = None,
    source: Annotated[str | None, typer.Option(help="轮询来源 / the poll that reads it")] = None,
    since: Annotated[str | None, typer.Option(help="起 / from (ISO 8601)")] = None,
    until: Annotated[str | None, typer.Option(help="止 / to (ISO 8601)")] = None,
    rate: Annotated[
        float, typer.Option(min=0.1, max=1000, help="每秒最多记录数 / records a second")
    ] = importing.BUDGET,
    wait: Wait = True,
    pause: Annotated[int | None, typer.Option(help="暂停的编号 / pause this one")] = None,
    resume: Annotated[int | None, typer.Option(help="继续的编号 / resume this one")] = None,
    cancel: Annotated[int | None, typer.Option(help="取消的编号 / cancel this one")] = None,
    listing: Annotated[bool, typer.Option("--list", help="列出 / list them")] = False,
    as_json: shell.Json = False,
) -> None:
    """导入历史：不影响实时事件；可暂停、继续、取消 / import history without making live events wait."""
    turns = {"pause": pause, "resume": resume, "cancel": cancel}
    chosen = [(what, number) for what, number in turns.items() if number is not None]
    if len(chosen) + listing + (connection is not None) != 1:
        zh = "请给出 --connection、--list、--pause、--resume、--cancel 之一"
        raise shell.fail(zh, "give one of --connection, --list, --pause, --resume, --cancel")
    if listing:
        _list(as_json=as_json)
        return
    begin = hands.moment(since, "--since")
    if connection is not None and begin is None:
        raise shell.fail("请给出 --since", "give --since")

    async def step(hub: shell.Opened) -> backfills.Row:
        async with hands.opened(hub) as work:
            if chosen:
                what, number = chosen[0]
                await _turned(hub, what, number)
                return await _backfill_row(hub, number)
            body = backfill_api.BackfillStart(
                connection=connection or "", source=source, since=begin or datetime.now(UTC),
                until=hands.moment(until, "--until"), budget=rate,
            )  # fmt: skip
            at = await hub.ledger.now()
            wanted = backfill_api.asked(work.site, at, body, ACTOR)
            async with hub.ledger.write() as db:
                number = await backfills.create(db, wanted, at)
                detail = {"connection": wanted.connection_key, "source": wanted.source}
                await audit.append(db, hub.sealer, at, ACTOR, "backfill.start", f"backfill/{number}", detail)
            work.read(number)
            return await _followed(work, number) if wait else await _backfill_row(hub, number)

    try:
        row = shell.run(step)
    except problems.Problem as error:
        raise hands.refused(error) from None
    if as_json:
        shell.show(_told(row))
    else:
        shell.out.print(_line(row), markup=False)
    if row.state == "failed":
        raise typer.Exit(1)


async def _backfill_row(hub: shell.Opened, number: int) -> backfills.Row:
    async with hub.ledger.read() as db:
        row = await backfills.get(db, number)
    if row is None:
        raise shell.fail(f"没有导入 {number}", f"no backfill {number}")
    return row


async def _turned(hub: shell.Opened, what: str, number: int) -> None:
    row = await _backfill_row(hub, number)
    at = await hub.ledger.now()
    async with hub.ledger.write() as db:
        if not await backfills.turn(db, number, what):
            raise shell.fail(f"导入 {number} 的状态是 {row.state}", f"backfill {number} is {row.state}", 1)
        await audit.append(db, hub.sealer, at, ACTOR, f"backfill.{what}", f"backfill/{number}")


async def _followed(work: hands.Hands, number: int) -> backfills.Row:
    with hands.bar(f"导入 importing #{number}") as bar:
        while (row := await _backfill_row(work.hub, number)).state in ("waiting", "running"):
            said = (row.detail or {}).get(shell.language()) or f"{row.counts.get('rows', 0)}"
            bar.update(bar.task_ids[0], completed=row.share, said=said)
            await work.step()
    return row


def _list(*, as_json: bool) -> None:
    async def step(hub: shell.Opened) -> list[backfills.Row]:
        async with hub.ledger.read() as db:
            return await backfills.search(db, limit=50)

    rows = shell.run(step)
    if as_json:
        shell.show([_told(row) for row in rows])
        return
    for row in rows:
        shell.out.print(_line(row), markup=False)
    if not rows:
        shell.say("没有历史导入", "there are no backfills")


def _told(row: backfills.Row) -> dict[str, Any]:
    return {
        "id": str(row.id), "connection": row.connection_key, "source": row.source, "cause": row.cause,
        "state": row.state, "since": hands.iso(row.window_start), "until": hands.iso(row.window_end),
        "progress": round(row.share, 4), "counts": row.counts, "words": row.detail,
    }  # fmt: skip


def _line(row: backfills.Row) -> str:
    words = f" {(row.detail or {}).get(shell.language(), '')}" if row.detail else ""
    return (
        f"#{row.id} {row.connection_key}/{row.source} {row.cause} {row.state} {row.share:.0%}"
        f" rows={row.counts.get('rows', 0)} new={row.counts.get('new', 0)}{words}"
    )

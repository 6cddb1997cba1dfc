"""The ledger on the command line: balance, replay, migrate."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gateway.commands import shell
from retry_queue import replay as replaying
from retry_queue.ledger import audit, deliveries, session, tallies

ACTOR = "cli"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("ledger")(ledger)
    app.command("replay")(replay)
    app.command("migrate")(migrate)


def ledger(
    as_json: shell.Json = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="逐行核对（含审计链） / read every row, audit chain too")
    ] = False,
) -> None:
    """打印台账平衡；有差额时退出码为 1 / print the ledger's balance; exit code 1 when it does not balance."""

    async def step(hub: shell.Opened) -> tuple[tallies.Balance, list[str]]:
        async with hub.ledger.read() as connection:
            found = await tallies.balance(connection)
            wrong: list[str] = []
            if verify:
                wrong = await tallies.audit(connection) + await audit.verify(connection, hub.sealer)
        return found, wrong

    balance, wrong = shell.run(step)
    if as_json:
        shell.show({**asdict(balance), **({"problems": wrong} if verify else {})})
    else:
        typer.echo(balance.line())
        for one in wrong:
            typer.echo(one)
    if balance.difference or wrong:
        raise typer.Exit(1)


def replay(
    event: Annotated[int | None, typer.Option(help="事件编号 / an event's id")] = None,
    delivery: Annotated[int | None, typer.Option(help="投递编号 / a delivery's id")] = None,
    state: Annotated[str | None, typer.Option(help="dead | parked | skipped")] = None,
    connection: Annotated[str | None, typer.Option(help="目标连接 / target connection")] = None,
    route: Annotated[str | None, typer.Option(help="路由 / route")] = None,
    reason: Annotated[str | None, typer.Option(help="原因 / reason")] = None,
    limit: Annotated[int, typer.Option(min=1, max=replaying.BULK)] = 1000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只数不做 / only count")] = False,
    as_json: shell.Json = False,
) -> None:
    """重放一个事件、一个投递，或按条件批量重放 / replay an event, a delivery, or all that fit a filter."""
    if sum(one is not None for one in (event, delivery, state)) != 1:
        raise shell.fail("请给出 --event、--delivery 或 --state 之一", "give one of --event, --delivery, --state")
    if state is not None and state not in replaying.REPLAYABLE:
        shown = ", ".join(replaying.REPLAYABLE)
        raise shell.fail(f"--state 应为 {shown} 之一", f"--state is one of {shown}")

    async def step(hub: shell.Opened) -> dict[str, Any]:
        if state is not None:
            wanted = deliveries.Filter(state, connection, route, reason)
            matched, done = await replaying.matching(hub.ledger, wanted, limit, dry_run=dry_run)
        else:
            async with hub.ledger.write() as db:
                if event is not None:
                    done = await replaying.event(db, hub.ledger.slot, event)
                else:
                    done = await replaying.some(db, [delivery or 0])
                matched = len(done.events) + len(done.deliveries)
        if done.events or done.deliveries:
            detail = {"event": event, "delivery": delivery, "state": state, "route": route, "connection": connection}
            said = {key: value for key, value in detail.items() if value is not None}
            async with hub.ledger.write() as db:
                await audit.append(db, hub.sealer, await hub.ledger.now(), ACTOR, "replay", "cli", said)
        return {
            "matched": matched,
            "events": [str(i) for i in done.events],
            "deliveries": [str(i) for i in done.deliveries],
            "dry_run": dry_run,
        }

    done = shell.run(step)
    if as_json:
        shell.show(done)
    else:
        count = len(done["events"]) + len(done["deliveries"])
        shell.say(f"符合 {done['matched']}，已重放 {count}", f"{done['matched']} fit, {count} replayed")
    if not done["matched"] and state is None:
        raise shell.fail("没有可重放的内容（已送达、正在处理或不存在）", "nothing to replay", 1)


def migrate(
    check: Annotated[bool, typer.Option("--check", help="只检查是否最新 / only say whether it is current")] = False,
    as_json: shell.Json = False,
) -> None:
    """升级台账结构 / bring the ledger's schema up to date."""
    from gateway import migrate as migrating

    found = shell.load()
    try:
        if not check:
            asyncio.run(migrating.upgrade(found.database_url))
        here, newest = asyncio.run(migrating.state(found.database_url))
    except session.LedgerUnavailable as error:
        raise shell.fail(f"台账不可用：{error}", f"the ledger is not available: {error}") from None
    if as_json:
        shell.show({"revision": here, "newest": newest, "current": here == newest})
    else:
        shell.say(f"台账结构 {here or '无'}，最新 {newest}", f"schema {here or 'none'}, newest {newest}")
    if here != newest:
        raise typer.Exit(1)

"""The ledger on the command line: balance, migrate."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from gateway.commands import shell
from retry_queue.ledger import audit, session, tallies


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("ledger")(ledger)
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
        raise shell.away(error) from None
    if as_json:
        shell.show({"revision": here, "newest": newest, "current": here == newest})
    else:
        shell.say(f"台账结构 {here or '无'}，最新 {newest}", f"schema {here or 'none'}, newest {newest}")
    if here != newest:
        raise typer.Exit(1)

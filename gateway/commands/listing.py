"""Saying on the command line that a list is right, however much is missing in it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.commands import shell
from retry_queue import whole
from retry_queue.ledger import audit, cursors

ACTOR = "cli"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("believe")(believe)


def believe(
    connection: Annotated[str, typer.Argument(help="连接 / connection")],
    as_json: shell.Json = False,
) -> None:
    """确认库存列表没有少：下次读取时，列表里没有的都按 0 同步 / what its next list of stock lacks is truly gone."""
    told = shell.run(lambda hub: _believe(hub, connection))
    if not told:
        raise shell.fail(f"{connection} 还没有读过全量列表", f"no whole list of {connection} was ever read", 1)
    if as_json:
        shell.show({"connection": connection, "sources": told})
    else:
        shell.say(f"已确认：{'、'.join(told)}，马上重新读取", f"believed: {', '.join(told)}; read again now")


async def _believe(hub: shell.Opened, key: str) -> list[str]:
    now = await hub.ledger.now()
    async with hub.ledger.write() as db:
        mine = [one for one in await cursors.all_rows(db) if one.connection_key == key and one.value]
        sources = sorted(one.source for one in mine if whole.ASKED in (json.loads(one.value) or {}))
        for source in sources:
            await cursors.believe(db, key, source)
        if sources:
            await audit.append(db, hub.sealer, now, ACTOR, "listing.believe", f"connection/{key}")
    return sources

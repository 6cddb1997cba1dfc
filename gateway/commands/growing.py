"""``shuniu growth``: does an event cost the same in a long history?"""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.commands import shell


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("growth")(growth)


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

"""``shuniu check`` looks at what is declared and configured, ``shuniu doctor`` at the machine and what is around it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.table import Table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway import check as doctor
from gateway import consistency, current, health, hub, settings
from gateway.commands import configuring, shell
from retry_queue.ledger import session


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check")(check)
    app.command("doctor")(examine)


def examine(as_json: shell.Json = False) -> None:
    """体检：环境、数据库、Redis、时钟、证书、推送入口 / look at the machine and what is around it."""
    found = asyncio.run(health.examine(shell.load()))
    failed = any(line.level == "error" for line in found)
    if as_json:
        shell.show({"ok": not failed, "lines": [dataclasses.asdict(line) for line in found]})
    else:
        _lines(found)
    if failed:
        raise typer.Exit(1)


def check(
    file: Annotated[str | None, typer.Option("--file", "-f", help="另外检查一个 hub.yaml / a hub.yaml too")] = None,
    unconfirmed: Annotated[
        bool, typer.Option("--unconfirmed", help="列出尚未证实的厂商事实 / list facts nobody could verify yet")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="警告也算错误 / warnings fail too")] = False,
    as_json: shell.Json = False,
) -> None:
    """检查所有连接器、字段映射和路由，并说明如何修正 / check everything and say how to mend it."""
    report = doctor.shipped()
    stored = _stored(report)
    if stored is not None:
        doctor.site(report, stored)
    if file is not None:
        draft = configuring.draft(file, lenient=True)
        known = stored or current.Current({}, {}, {}, {}, {})
        doctor.drafted(report, hub.check(draft, known) or consistency.doubts(draft, known))
        report.counts["file_routes"] = len(draft.routes)
    failed = not report.ok or (strict and any(line.level == "warning" for line in report.lines))
    if as_json:
        shell.show(
            {
                "ok": not failed,
                "counts": report.counts,
                "grades": report.grades,
                "lines": [dataclasses.asdict(line) for line in report.lines],
                **({"unconfirmed": report.unconfirmed} if unconfirmed else {}),
            }
        )
    else:
        _print(report, unconfirmed=unconfirmed)
    if failed:
        raise typer.Exit(1)


def _stored(report: doctor.Report) -> current.Current | None:
    """The ledger's configuration, when there is a ledger; looking must not create one."""
    try:
        url = settings.Settings().database_url
    except ValidationError:
        report.say(
            "error", "SHUNIU_*", "环境变量配置有误，请运行 shuniu migrate --check 查看", "the settings are wrong"
        )
        return None
    target = make_url(url)
    if target.get_backend_name() == "sqlite" and not Path(target.database or "").is_file():
        return None

    async def read() -> current.Current:
        async with session.opened(url, owner="check") as ledger, ledger.read() as connection:
            return await current.load(connection)

    try:
        return asyncio.run(read())
    except (session.LedgerUnavailable, DBAPIError) as error:
        report.say(
            "warning", "ledger", f"台账读不到，未检查其中的路由（{error}）", f"the ledger cannot be read ({error})"
        )
        return None


def _lines(found: Iterable[doctor.Line]) -> None:
    colours = {"error": "red", "warning": "yellow", "info": "dim"}
    for line in found:
        shell.out.print(str(line), style=colours[line.level], markup=False)


def _print(report: doctor.Report, *, unconfirmed: bool) -> None:
    _lines(report.lines)
    table = Table(box=None, pad_edge=False)
    table.add_column("连接器 connector")
    table.add_column("等级 grade")
    for name, grade in report.grades.items():
        table.add_row(name, grade)
    shell.out.print(table)
    if unconfirmed:
        for name, facts in report.unconfirmed.items():
            for fact in facts:
                shell.out.print(f"未证实 unconfirmed {name}: {fact}", markup=False)
    counted = ", ".join(f"{name}={number}" for name, number in report.counts.items())
    levels = {level: sum(line.level == level for line in report.lines) for level in ("error", "warning")}
    shell.out.print(f"{counted}; errors={levels['error']} warnings={levels['warning']}", markup=False)

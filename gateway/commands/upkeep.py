"""Keeping systems equal on the command line: reconcile and backfill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from connectors.core import client, pacing
from gateway import current, problems, report, sheet
from gateway.api import backfills as backfill_api
from gateway.api import reconciliations as reconciliation_api
from gateway.commands import shell
from retry_queue import append, backfill, credentials, reconcile
from retry_queue.ledger import audit, backfills, findings, reconciliations, workers
from retry_queue.sync import agreement
from retry_queue.sync import site as sites

ACTOR = "cli"
LOOK = 0.2
ALIVE = 10.0
PATIENCE = 120.0
"""Seconds without any change after which waiting for repairs ends."""
LEFT = ("open", "failed", "repairing")
KINDS = {"missing": "漏单 missing", "extra": "多单 extra", "different": "字段不一致 different"}

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="等到结束 / until it ends")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("reconcile")(reconcile_)
    app.command("backfill")(backfill_)


@dataclass(frozen=True, slots=True)
class Hands:
    """Who does the work: this process when no other is there, else nobody here."""

    hub: shell.Opened
    site: sites.Site
    comparing: reconcile.Reconciler | None
    history: backfill.Backfiller | None

    async def step(self) -> None:
        if self.comparing is not None:
            await self.comparing.step()
        if self.history is not None:
            await self.history.step()
        await asyncio.sleep(LOOK)


@asynccontextmanager
async def _hands(hub: shell.Opened) -> AsyncIterator[Hands]:
    site = await sites.load(hub.ledger, hub.sealer)
    async with hub.ledger.read() as db:
        there = await workers.alive(db, ALIVE) - {"api"}
    if there:
        yield Hands(hub, site, None, None)
        return
    calls = client.Client(credentials.LedgerTokens(hub.ledger, hub.sealer), pacing.LocalPacer())
    appender = append.Appender(hub.ledger, lambda: None)
    comparing = reconcile.Reconciler(hub.ledger, lambda: site, calls, hub.sealer, appender)
    history = backfill.Backfiller(hub.ledger, lambda: site, calls, appender)
    try:
        yield Hands(hub, site, comparing, history)
    finally:
        await comparing.close()
        await history.close()
        await appender.close()
        await calls.aclose()


def _bar(title: str) -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[said]}"))
    bar = Progress(*columns, console=shell.err, disable=not shell.err.is_terminal, transient=True)
    bar.add_task(title, total=1.0, said="")
    return bar


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-01-31 / 2026-01-31T08:00:00+08:00"
        raise shell.fail(f"{option} 应为 {example}", f"{option} is a time such as {example}") from None
    return found if found.tzinfo else found.astimezone()


def _refused(error: problems.Problem) -> typer.Exit:
    for fault in error.faults:
        shell.say(fault.zh, fault.en)
    if not error.faults:
        shell.say(error.zh or "", error.en or "")
    return typer.Exit(2)


# --- reconcile ----------------------------------------------------------------------------------


def reconcile_(
    schedule: Annotated[str | None, typer.Option(help="hub.yaml 里的对账计划 / a schedule of hub.yaml")] = None,
    left: Annotated[str | None, typer.Option(help="左侧连接（以它为准） / the side to follow")] = None,
    right: Annotated[str | None, typer.Option(help="右侧连接 / the other side")] = None,
    entity: Annotated[str | None, typer.Option(help="业务对象，如 order / entity such as order")] = None,
    hours: Annotated[float | None, typer.Option(min=0.01, help="最近多少小时 / so many hours back")] = None,
    since: Annotated[str | None, typer.Option(help="起 / from (ISO 8601)")] = None,
    until: Annotated[str | None, typer.Option(help="止 / to (ISO 8601)")] = None,
    when: Annotated[str | None, typer.Option(help="左侧记录的条件 / condition on left records")] = None,
    field: Annotated[list[str] | None, typer.Option(help="只比较这些字段 / only these fields")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="不比较这些字段 / not these fields")] = None,
    run: Annotated[int | None, typer.Option(help="已有的对账编号 / a comparison made before")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="修复全部差异 / mend all that differs")] = False,
    export: Annotated[str | None, typer.Option(help="导出为 .csv 或 .xlsx / write a .csv or .xlsx file")] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="导出时不脱敏（记入审计） / unmasked, audited")] = False,
    as_json: shell.Json = False,
) -> None:
    """对账：比较两个连接，列出漏单、多单和字段不一致；仍有差异时退出码为 1 / compare two connections."""
    kind = Path(export).suffix.lstrip(".").lower() if export else "csv"
    if kind not in sheet.FORMATS:
        raise shell.fail("--export 的文件名应以 .csv 或 .xlsx 结尾", "--export takes a file that ends in .csv or .xlsx")
    given = {
        "schedule": schedule, "left": left, "right": right, "entity": entity, "hours": hours,
        "since": _moment(since, "--since"), "until": _moment(until, "--until"), "when": when,
        "fields": field or [], "ignore": ignore or [],
    }  # fmt: skip

    async def step(hub: shell.Opened) -> dict[str, Any]:
        async with _hands(hub) as hands:
            number = run if run is not None else await _start(hub, given)
            row = await _compared(hands, number)
            if repair and row.state == "done":
                await _repaired(hands, number)
            if export is not None:
                await _export(hub, number, Path(export), kind, reveal=reveal)
            return await _summary(hub, number)

    try:
        found = shell.run(step)
    except problems.Problem as error:
        raise _refused(error) from None
    if as_json:
        shell.show(found)
    else:
        _tell(found, repair=repair)
    if found["state"] != "done" or found["differences"]:
        raise typer.Exit(1)


async def _start(hub: shell.Opened, given: dict[str, Any]) -> int:
    try:
        body = reconciliation_api.Start.model_validate({k: v for k, v in given.items() if v not in (None, [])})
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise shell.fail(f"参数不正确：{wrong['loc']} {wrong['msg']}", f"{wrong['loc']}: {wrong['msg']}") from None
    at = await hub.ledger.now()
    async with hub.ledger.write() as db:
        wanted = reconciliation_api.asked(body, await current.load(db), at, ACTOR)
        number = await reconciliations.create(db, wanted, at)
        detail = {"left": wanted.left_key, "right": wanted.right_key, "entity": wanted.entity}
        await audit.append(db, hub.sealer, at, ACTOR, "reconciliation.start", f"reconciliation/{number}", detail)
    return number


async def _row(hub: shell.Opened, number: int) -> reconciliations.Row:
    async with hub.ledger.read() as db:
        row = await reconciliations.get(db, number)
    if row is None:
        raise shell.fail(f"没有对账 {number}", f"no reconciliation {number}")
    return row


async def _compared(hands: Hands, number: int) -> reconciliations.Row:
    """Follows a comparison to its end."""
    with _bar(f"对账 reconciling #{number}") as bar:
        while (row := await _row(hands.hub, number)).state in reconciliations.OPEN:
            said = "，".join(f"{name} {n}" for name, n in row.counts.items())
            if row.detail and row.state == "running" and row.progress.get("failures"):
                said = row.detail.get(shell.language(), said)
            bar.update(bar.task_ids[0], completed=agreement.share(row.progress), said=said)
            await hands.step()
    return row


async def _repaired(hands: Hands, number: int) -> None:
    """Asks for every repair and follows them; without a running hub they are only begun."""
    hub = hands.hub
    at = await hub.ledger.now()
    async with hub.ledger.write() as db:
        asked = await findings.ask(db, findings.Filter(number))
        detail = {"touched": asked}
        await audit.append(db, hub.sealer, at, ACTOR, "reconciliation.repair", f"reconciliation/{number}", detail)
    clock = asyncio.get_running_loop().time
    last, changed = asked, clock()
    with _bar(f"修复 repairing {asked}") as bar:
        while True:
            async with hub.ledger.read() as db:
                under_way = await findings.repairing(db, number, begun=hands.comparing is None)
            if under_way != last:
                last, changed = under_way, clock()
            bar.update(bar.task_ids[0], completed=1 - under_way / max(asked, 1), said=f"{asked - under_way}/{asked}")
            if not under_way or clock() - changed > PATIENCE:
                break
            await hands.step()
    if hands.comparing is not None and asked:
        shell.say("修复已排队，枢纽运行后投递", "repairs are queued; they are delivered when the hub runs")


async def _export(hub: shell.Opened, number: int, path: Path, kind: str, *, reveal: bool) -> None:
    wanted = findings.Filter(number)
    if reveal:
        at = await hub.ledger.now()
        async with hub.ledger.write() as db:
            await audit.append(db, hub.sealer, at, ACTOR, "personal_data.reveal", f"reconciliation/{number}")
    if kind == "xlsx":
        await report.workbook(hub.ledger, wanted, path, reveal=reveal)
        return
    pieces = [piece async for piece in report.csv_pieces(hub.ledger, wanted, reveal=reveal)]
    await asyncio.to_thread(path.write_bytes, b"".join(pieces))


async def _summary(hub: shell.Opened, number: int) -> dict[str, Any]:
    row = await _row(hub, number)
    async with hub.ledger.read() as db:
        found = (await findings.counts(db, [number])).get(number, {})
    return {
        "id": str(number),
        "state": row.state,
        "left": row.left_key,
        "right": row.right_key,
        "entity": row.entity,
        "window_start": _iso(row.window_start),
        "window_end": _iso(row.window_end),
        "counts": row.counts,
        "found": found,
        "differences": sum(n for by in found.values() for state, n in by.items() if state in LEFT),
        "words": row.detail,
    }


def _tell(found: dict[str, Any], *, repair: bool) -> None:
    counts = found["counts"]
    where = f"{found['left']} ↔ {found['right']} {found['entity']} #{found['id']}"
    if found["state"] != "done":
        words = found["words"] or {}
        shell.say(f"{where} 未完成：{words.get('zh', '')}", f"{where} is {found['state']}: {words.get('en', '')}")
        return
    shell.out.print(
        f"{where}: left={counts.get('left', 0)} right={counts.get('right', 0)} matched={counts.get('matched', 0)}"
        f" under_way={counts.get('under_way', 0)}",
        markup=False,
    )
    for kind, states in found["found"].items():
        said = ", ".join(f"{state}={n}" for state, n in sorted(states.items()))
        shell.out.print(f"  {KINDS[kind]}: {said}", markup=False)
    if not found["differences"]:
        shell.say("两侧一致", "both sides agree")
    elif not repair:
        shell.say(
            f"共 {found['differences']} 处差异；--repair 修复", f"{found['differences']} differ; --repair mends them"
        )


# --- backfill -----------------------------------------------------------------------------------


def backfill_(
    connection: Annotated[str | None, typer.Option(help="连接 / connection")] = None,
    source: Annotated[str | None, typer.Option(help="轮询来源 / the poll that reads it")] = None,
    since: Annotated[str | None, typer.Option(help="起 / from (ISO 8601)")] = None,
    until: Annotated[str | None, typer.Option(help="止 / to (ISO 8601)")] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="每秒最多记录数 / records a second")] = backfill.BUDGET,
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
    begin = _moment(since, "--since")
    if connection is not None and begin is None:
        raise shell.fail("请给出 --since", "give --since")

    async def step(hub: shell.Opened) -> backfills.Row:
        async with _hands(hub) as hands:
            if chosen:
                what, number = chosen[0]
                await _turned(hub, what, number)
                return await _backfill_row(hub, number)
            body = backfill_api.Start(
                connection=connection or "", source=source, since=begin or datetime.now(UTC),
                until=_moment(until, "--until"), budget=rate,
            )  # fmt: skip
            at = await hub.ledger.now()
            wanted = backfill_api.asked(hands.site, at, body, ACTOR)
            async with hub.ledger.write() as db:
                number = await backfills.create(db, wanted, at)
                detail = {"connection": wanted.connection_key, "source": wanted.source}
                await audit.append(db, hub.sealer, at, ACTOR, "backfill.start", f"backfill/{number}", detail)
            return await _followed(hands, number) if wait else await _backfill_row(hub, number)

    try:
        row = shell.run(step)
    except problems.Problem as error:
        raise _refused(error) from None
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


async def _followed(hands: Hands, number: int) -> backfills.Row:
    with _bar(f"导入 importing #{number}") as bar:
        while (row := await _backfill_row(hands.hub, number)).state in ("waiting", "running"):
            said = (row.detail or {}).get(shell.language()) or f"{row.counts.get('rows', 0)}"
            bar.update(bar.task_ids[0], completed=row.share, said=said)
            await hands.step()
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


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _told(row: backfills.Row) -> dict[str, Any]:
    return {
        "id": str(row.id), "connection": row.connection_key, "source": row.source, "cause": row.cause,
        "state": row.state, "since": _iso(row.window_start), "until": _iso(row.window_end),
        "progress": round(row.share, 4), "counts": row.counts, "words": row.detail,
    }  # fmt: skip


def _line(row: backfills.Row) -> str:
    words = f" {(row.detail or {}).get(shell.language(), '')}" if row.detail else ""
    return (
        f"#{row.id} {row.connection_key}/{row.source} {row.cause} {row.state} {row.share:.0%}"
        f" rows={row.counts.get('rows', 0)} new={row.counts.get('new', 0)}{words}"
    )

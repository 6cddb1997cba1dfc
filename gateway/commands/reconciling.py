"""Reconciliation on the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gateway import current, problems, report, sheet
from gateway.api import reconciliations as reconciliation_api
from gateway.commands import hands, shell
from retry_queue.ledger import audit, findings, reconciliations
from retry_queue.sync import agreement

ACTOR = "cli"
PATIENCE = 120.0
"""Seconds without any change after which waiting for repairs ends."""
LEFT = ("open", "failed", "repairing")
KINDS = {"missing": "漏单 missing", "extra": "多单 extra", "different": "字段不一致 different"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("reconcile")(reconcile)


def reconcile(
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
        "since": hands.moment(since, "--since"), "until": hands.moment(until, "--until"), "when": when,
        "fields": field or [], "ignore": ignore or [],
    }  # fmt: skip

    async def step(hub: shell.Opened) -> dict[str, Any]:
        async with hands.opened(hub) as work:
            number = run if run is not None else await _start(hub, given)
            work.compare(number)
            row = await _compared(work, number)
            if repair and row.state == "done":
                await _repaired(work, number)
            if export is not None:
                await _export(hub, number, Path(export), kind, reveal=reveal)
            return await _summary(hub, number)

    try:
        found = shell.run(step)
    except problems.Problem as error:
        raise hands.refused(error) from None
    if as_json:
        shell.show(found)
    else:
        _tell(found, repair=repair)
    if found["state"] != "done" or found["differences"]:
        raise typer.Exit(1)


async def _start(hub: shell.Opened, given: dict[str, Any]) -> int:
    try:
        body = reconciliation_api.ReconciliationStart.model_validate(
            {k: v for k, v in given.items() if v not in (None, [])}
        )
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


async def _compared(work: hands.Hands, number: int) -> reconciliations.Row:
    """Follows a comparison to its end."""
    with hands.bar(f"对账 reconciling #{number}") as bar:
        while (row := await _row(work.hub, number)).state in reconciliations.OPEN:
            said = "，".join(f"{name} {n}" for name, n in row.counts.items())
            if row.detail and row.state == "running" and row.progress.get("failures"):
                said = row.detail.get(shell.language(), said)
            bar.update(bar.task_ids[0], completed=agreement.share(row.progress), said=said)
            await work.step()
    return row


async def _repaired(work: hands.Hands, number: int) -> None:
    """Asks for every repair and follows them; without a running hub they are only begun."""
    hub = work.hub
    at = await hub.ledger.now()
    async with hub.ledger.write() as db:
        asked = await findings.ask(db, findings.Filter(number))
        detail = {"touched": asked}
        await audit.append(db, hub.sealer, at, ACTOR, "reconciliation.repair", f"reconciliation/{number}", detail)
    clock = asyncio.get_running_loop().time
    last, changed = asked, clock()
    with hands.bar(f"修复 repairing {asked}") as bar:
        while True:
            async with hub.ledger.read() as db:
                under_way = await findings.repairing(db, number, begun=work.own is None)
            if under_way != last:
                last, changed = under_way, clock()
            bar.update(bar.task_ids[0], completed=1 - under_way / max(asked, 1), said=f"{asked - under_way}/{asked}")
            if not under_way or clock() - changed > PATIENCE:
                break
            await work.step()
    if work.own is not None and asked:
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
        "window_start": hands.iso(row.window_start),
        "window_end": hands.iso(row.window_end),
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

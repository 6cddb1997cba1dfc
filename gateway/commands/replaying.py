"""Replaying on the command line: one event, one delivery, some that fit a filter, or all of them as a job."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from gateway.commands import hands, shell
from retry_queue import replay as again
from retry_queue.ledger import audit, deliveries, replays

ACTOR = "cli"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("replay")(replay)


def replay(
    event: Annotated[int | None, typer.Option(help="事件编号 / an event's id")] = None,
    delivery: Annotated[int | None, typer.Option(help="投递编号 / a delivery's id")] = None,
    state: Annotated[str | None, typer.Option(help="dead | parked | skipped")] = None,
    connection: Annotated[str | None, typer.Option(help="目标连接 / target connection")] = None,
    route: Annotated[str | None, typer.Option(help="路由 / route")] = None,
    reason: Annotated[str | None, typer.Option(help="原因 / reason")] = None,
    limit: Annotated[int, typer.Option(min=1, max=again.BULK)] = 1000,
    every: Annotated[
        bool, typer.Option("--all", help="全部，可取消、限速 / all of them, throttled, may be cancelled")
    ] = False,
    rate: Annotated[float, typer.Option(min=0, max=10_000, help="每秒最多条数 / deliveries a second")] = 100.0,
    newest: Annotated[bool, typer.Option("--newest-mapping", help="用最新映射 / with the mapping in force")] = False,
    cancel: Annotated[int | None, typer.Option(help="取消的编号 / cancel this replay")] = None,
    listing: Annotated[bool, typer.Option("--list", help="列出 / list replays")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="等到结束 / until it ends")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只数不做 / only count")] = False,
    as_json: shell.Json = False,
) -> None:
    """重放一个事件、一个投递，或按条件批量重放 / replay an event, a delivery, or all that fit a filter."""
    if sum(one is not None for one in (event, delivery, state, cancel, listing or None)) != 1:
        zh = "请给出 --event、--delivery、--state、--cancel、--list 之一"
        raise shell.fail(zh, "give one of --event, --delivery, --state, --cancel, --list")
    if state is not None and state not in again.REPLAYABLE:
        shown = ", ".join(again.REPLAYABLE)
        raise shell.fail(f"--state 应为 {shown} 之一", f"--state is one of {shown}")
    if listing:
        _list(as_json=as_json)
        return
    if cancel is not None or (every and not dry_run):
        wanted = deliveries.Filter(state, connection, route, reason)
        _told(_job(cancel, wanted, "newest" if newest else "planned", rate, wait=wait), as_json=as_json)
        return

    async def step(hub: shell.Opened) -> dict[str, Any]:
        if state is not None:
            wanted = deliveries.Filter(state, connection, route, reason)
            matched, done = await again.matching(hub.ledger, wanted, limit, dry_run=dry_run, newest=newest)
        else:
            async with hub.ledger.write() as db:
                if event is not None:
                    done = await again.event(db, hub.ledger.slot, event)
                else:
                    done = await again.some(db, [delivery or 0], newest=newest)
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


def _job(cancel: int | None, wanted: deliveries.Filter, mapping: str, rate: float, *, wait: bool) -> replays.Row:
    """Cancels a replay, or starts one and follows it."""

    async def step(hub: shell.Opened) -> replays.Row:
        at = await hub.ledger.now()
        if cancel is not None:
            before = await _row(hub, cancel)
            async with hub.ledger.write() as db:
                if await replays.cancel(db, cancel) is None:
                    zh, en = f"重放 {cancel} 的状态是 {before.state}", f"replay {cancel} is {before.state}"
                    raise shell.fail(zh, en, 1)
                await audit.append(db, hub.sealer, at, ACTOR, "replay.cancel", f"replay/{cancel}")
            return await _row(hub, cancel)
        async with hands.opened(hub) as work:
            async with hub.ledger.write() as db:
                number = await replays.create(db, wanted, mapping, rate, ACTOR, at)
                said = {key: value for key, value in asdict(wanted).items() if value is not None}
                await audit.append(db, hub.sealer, at, ACTOR, "replay.start", f"replay/{number}", said)
            # Without a running hub nobody delivers: the row waits for it.
            return await _followed(work, number) if wait and work.own is None else await _row(hub, number)

    return shell.run(step)


async def _row(hub: shell.Opened, number: int) -> replays.Row:
    async with hub.ledger.read() as db:
        row = await replays.get(db, number)
    if row is None:
        raise shell.fail(f"没有重放 {number}", f"no replay {number}")
    return row


async def _followed(work: hands.Hands, number: int) -> replays.Row:
    with hands.bar(f"重放 replaying #{number}") as bar:
        while (row := await _row(work.hub, number)).state in ("waiting", "running"):
            bar.update(bar.task_ids[0], completed=row.share, said=str(row.counts.get("replayed", 0)))
            await work.step()
    return row


def _list(*, as_json: bool) -> None:
    async def step(hub: shell.Opened) -> list[replays.Row]:
        async with hub.ledger.read() as db:
            return await replays.search(db, limit=50)

    rows = shell.run(step)
    if as_json:
        shell.show([_facts(row) for row in rows])
        return
    for row in rows:
        shell.out.print(_line(row), markup=False)
    if not rows:
        shell.say("没有批量重放", "there are no replays")


def _told(row: replays.Row, *, as_json: bool) -> None:
    if as_json:
        shell.show(_facts(row))
    else:
        shell.out.print(_line(row), markup=False)
    if row.state == "failed":
        raise typer.Exit(1)


def _facts(row: replays.Row) -> dict[str, Any]:
    chosen = {key: value for key, value in asdict(row.wanted).items() if value is not None}
    return {
        "id": str(row.id), "chosen": chosen, "mapping": row.mapping, "state": row.state,
        "progress": round(row.share, 4), "counts": row.counts, "words": row.detail,
    }  # fmt: skip


def _line(row: replays.Row) -> str:
    counts = " ".join(f"{name}={number}" for name, number in row.counts.items())
    return f"#{row.id} {row.wanted.state} {row.wanted.connection_key or '*'} {row.state} {row.share:.0%} {counts}"

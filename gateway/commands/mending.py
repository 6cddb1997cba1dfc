"""Editing an event on the command line: what can be edited is printed, what came back is compared and replayed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import editing, problems
from gateway.commands import shell
from retry_queue import replay
from retry_queue.ledger import audit, events

ACTOR = "cli"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("edit")(edit)


def edit(
    event: Annotated[int, typer.Argument(help="事件编号 / an event's id")],
    given: Annotated[
        Path | None, typer.Option("--with", help="改好的 JSON 文件，- 为标准输入 / the edited JSON, - for stdin")
    ] = None,
    note: Annotated[str, typer.Option(help="为什么修改，会留存 / why; it is kept")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只比较 / only compare")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="不打码（记入审计）/ unmasked, and audited")] = False,
    as_json: shell.Json = False,
) -> None:
    """打印一个事件可修改的内容；用 --with 改好后重放 / print what of an event can be edited; replay it --with that."""
    if given is None:
        typer.echo(shell.run(lambda hub: _text(hub, event, reveal=reveal)))
        return
    if not note.strip() and not dry_run:
        raise shell.fail("请用 --note 说明为什么修改", "say why with --note")
    try:
        text = sys.stdin.read() if str(given) == "-" else given.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise shell.fail(f"读不到 {given}", f"cannot read {given}: {type(error).__name__}") from None
    done = shell.run(lambda hub: _put(hub, event, text, note.strip(), dry_run=dry_run))
    if as_json:
        shell.show(done)
        return
    for one in done["changes"]:
        shell.out.print(f"{one['path']}: {one['before']} → {one['after']}", markup=False)
    if not done["changes"]:
        shell.say("没有改动，未重放", "nothing changed; not replayed")
    elif done["dry_run"]:
        shell.say(f"将改动 {len(done['changes'])} 处", f"{len(done['changes'])} values would change")
    else:
        shell.say("已修改并重放", "edited and replayed")


async def _text(hub: shell.Opened, number: int, *, reveal: bool) -> str:
    now = await hub.ledger.now()
    async with hub.ledger.write() as db:
        story = await _story(db, number)
        what = editing.part(story)
        if what is None:
            raise shell.fail("这个事件没有可修改的内容", "nothing of this event can be edited", 1)
        if reveal:
            await audit.append(db, hub.sealer, now, ACTOR, "personal_data.reveal", f"event/{number}")
    return editing.text(story, what, reveal=reveal)


async def _put(hub: shell.Opened, number: int, text: str, note: str, *, dry_run: bool) -> dict[str, Any]:
    now = await hub.ledger.now()
    going = replay.Replayed()
    try:
        async with hub.ledger.write() as db:
            story = await _story(db, number)
            made = editing.draft(story, editing.part(story) or "payload", text)
            if made.changes and not dry_run:
                who = editing.Who(ACTOR, note, now)
                going = await editing.put(db, hub.sealer, hub.ledger.slot, number, made, who)
    except problems.Problem as problem:
        for fault in problem.faults:
            shell.say(fault.zh, fault.en)
        kind = problems.KINDS[problem.code]
        raise shell.fail(problem.zh or kind.zh, problem.en or kind.en, 1) from None
    return {
        "what": made.what, "changes": [editing.masked(one) for one in made.changes], "dry_run": dry_run,
        "events": [str(i) for i in going.events], "deliveries": [str(i) for i in going.deliveries],
    }  # fmt: skip


async def _story(db: AsyncConnection, number: int) -> events.Story:
    story = await events.get(db, number)
    if story is None:
        raise shell.fail(f"没有事件 {number}", f"no event {number}")
    return story

"""Keys and the audit log on the command line."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from gateway.commands import shell
from retry_queue.ledger import audit, keyring

ACTOR = "cli"
key_app = typer.Typer(help="加密密钥 / the keys that seal credentials", no_args_is_help=True)
audit_app = typer.Typer(help="审计日志 / the audit log", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(key_app, name="keys")
    app.add_typer(audit_app, name="audit")


@key_app.command("list")
def listed(as_json: shell.Json = False) -> None:
    """列出密钥及其用途 / list the keys and what they seal."""

    async def step(hub: shell.Opened) -> tuple[list[keyring.Key], set[str]]:
        async with hub.ledger.read() as connection:
            found = await keyring.listed(connection, hub.sealer)
            needed = await keyring.masters_needed(connection, hub.sealer)
        return found, {mid for mid in hub.sealer.masters[1:] if mid not in needed}

    found, needless = shell.run(step)
    if as_json:
        shell.show(
            {
                "keys": [
                    {"id": one.id, "state": one.state, "master": one.master, "rows": one.rows, "since": one.since}
                    for one in found
                ],
                "needless_masters": sorted(needless),
            }
        )
        return
    for one in found:
        typer.echo(f"{one.id}\t{one.state}\t{one.rows}")
    if needless:
        shell.say("SHUNIU_OLD_SECRET_KEYS 中的旧主密钥可以移除", "SHUNIU_OLD_SECRET_KEYS holds keys nobody needs")


@key_app.command("rotate")
def rotate(
    grace: Annotated[
        float,
        typer.Option(min=0.0, help="等待各进程得知新密钥的秒数 / seconds for running processes to hear of the key"),
    ] = keyring.GRACE,
    as_json: shell.Json = False,
) -> None:
    """在线轮换密钥；中断后再次运行会继续 / change the keys while everything runs; run again, it goes on."""

    async def step(hub: shell.Opened) -> tuple[str, keyring.Standing]:
        at = await hub.ledger.now()
        async with hub.ledger.write() as connection:
            kid = await keyring.begin(connection, hub.sealer, at, ACTOR)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        with Progress(*columns, console=shell.err, disable=not shell.err.is_terminal, transient=True) as bar:
            task = bar.add_task("轮换 rotating", total=None, left="")
            while True:
                now = await keyring.step(hub.ledger, hub.sealer, await hub.ledger.now(), grace)
                if now.phase in ("idle", "stuck"):
                    return kid, now
                bar.update(task, left=f"{now.phase} {now.left}")
                await asyncio.sleep(min(now.wait, 1.0))

    kid, now = shell.run(step)
    if as_json:
        shell.show({"key": kid, "phase": now.phase, "left": now.left})
    if now.phase == "stuck":
        raise shell.fail(
            f"有 {now.left} 行凭证无法解开，旧密钥保留；请重新填写这些凭证后再运行",
            f"{now.left} rows do not open, so the old key is kept; enter those credentials again and run this again",
            1,
        )
    shell.say(f"密钥已轮换为 {kid}；旧密钥已移除", f"the key is {kid} now; the old one is gone")


@audit_app.command("verify")
def verify(as_json: shell.Json = False) -> None:
    """校验审计日志的完整性 / check that the audit log is whole: nothing altered, removed, moved or cut off."""

    async def step(hub: shell.Opened) -> list[str]:
        async with hub.ledger.read() as connection:
            return await audit.verify(connection, hub.sealer)

    wrong = shell.run(step)
    if as_json:
        shell.show({"ok": not wrong, "problems": wrong})
    else:
        for line in wrong[:50]:
            typer.echo(line)
    if wrong:
        raise shell.fail(f"审计日志有 {len(wrong)} 处异常", f"the audit log has {len(wrong)} problems", 1)
    if not as_json:
        shell.say("审计日志完整", "the audit log is whole")

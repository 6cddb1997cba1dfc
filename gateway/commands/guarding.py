"""Keys, the audit log and what is forgotten, on the command line."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from gateway import erasing
from gateway.commands import shell
from retry_queue import keeping
from retry_queue.ledger import audit, erasure, keyring, retention

ACTOR = "cli"
key_app = typer.Typer(help="加密密钥 / the keys that seal credentials", no_args_is_help=True)
customer_app = typer.Typer(help="客户 / customers", no_args_is_help=True)
retention_app = typer.Typer(help="数据保留期 / how long what is kept", no_args_is_help=True)
audit_app = typer.Typer(help="审计日志 / the audit log", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(key_app, name="keys")
    app.add_typer(audit_app, name="audit")
    app.add_typer(customer_app, name="customer")
    app.add_typer(retention_app, name="retention")


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


@customer_app.command("erase")
def erase(
    link: Annotated[int, typer.Argument(min=1, help="客户编号（管理界面网址中的数字） / the customer's link")],
    reason: Annotated[str, typer.Option(help="原因，记入审计 / why, for the audit log; no personal data")],
    yes: Annotated[bool, typer.Option("--yes", help="不再询问 / do not ask")] = False,
    as_json: shell.Json = False,
) -> None:
    """删除一位客户的个人信息，不可恢复 / erase a customer's personal data; it cannot be undone."""
    if not yes and not typer.confirm(f"删除客户 {link} 的个人信息？ / erase customer {link}?"):
        raise typer.Exit(2)

    async def step(hub: shell.Opened) -> erasure.Erased | None:
        at = await hub.ledger.now()
        async with hub.ledger.write() as db:
            return await erasing.customer(db, hub.sealer, hub.ledger.slot, link, ACTOR, reason[:200], at)

    try:
        done = shell.run(step)
    except erasure.UnderWay as busy:
        raise shell.fail("有内容正在处理，请稍后重试", f"{busy}; try again when they have ended", 1) from None
    if done is None:
        raise shell.fail(f"没有客户 {link}", f"no customer {link}", 1)
    if as_json:
        shell.show(asdict(done))
    else:
        shell.say(
            f"已删除：{done.records} 条记录、{done.events} 个事件、{done.attempts} 次尝试",
            f"erased: {done.records} records, {done.events} events, {done.attempts} attempts",
        )


@retention_app.command("show")
def policy(as_json: shell.Json = False) -> None:
    """显示各类数据的保留天数 / show the days that each class is kept."""

    async def step(hub: shell.Opened) -> retention.Policy:
        async with hub.ledger.read() as db:
            return await retention.read(db)

    found = asdict(shell.run(step))
    if as_json:
        shell.show(found)
        return
    for name, days in found.items():
        typer.echo(f"{name}\t{days if days is not None else '永久 for ever'}")


@retention_app.command("set")
def change(
    name: Annotated[
        str,
        typer.Argument(
            help="raw | canonicals | attempts | exchanges | dead_letters | quarantine | comparisons | audit"
        ),
    ],
    days: Annotated[str, typer.Argument(help="天数，或 forever / days, or forever")],
) -> None:
    """修改一类数据的保留天数 / change how long a class is kept."""
    if name not in asdict(retention.Policy()):
        raise shell.fail(f"没有数据类别 {name}", f"no class of data {name}")
    if days != "forever" and not (days.isascii() and days.isdigit() and 1 <= int(days) <= 36500):
        raise shell.fail("天数应为 1–36500 或 forever", "days are 1 to 36500, or forever")
    wanted = None if days == "forever" else int(days)

    async def step(hub: shell.Opened) -> None:
        at = await hub.ledger.now()
        async with hub.ledger.write() as db:
            await audit.lock(db)
            await retention.put(db, replace(await retention.read(db), **{name: wanted}))
            await audit.append(db, hub.sealer, at, ACTOR, "retention.put", "settings/retention", {name: wanted})

    shell.run(step)
    shell.say(f"{name} 保留 {days} 天" if wanted else f"{name} 永久保留", f"{name} is kept {days}")


@retention_app.command("sweep")
def sweep(as_json: shell.Json = False) -> None:
    """立即清理到期数据（平时由工作进程自动进行） / remove what is over now; workers do it by themselves."""

    async def step(hub: shell.Opened) -> int:
        keeper = keeping.Keeper(hub.ledger, hub.sealer)
        return await keeper.sweep(await hub.ledger.now())

    removed = shell.run(step)
    if as_json:
        shell.show({"rows": removed})
    else:
        shell.say(f"已清理 {removed} 行", f"{removed} rows removed")

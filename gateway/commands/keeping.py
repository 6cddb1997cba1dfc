"""``shuniu backup`` and ``shuniu restore``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway import backup
from gateway.commands import hands, shell
from retry_queue.ledger import secrets, session

ResultT = TypeVar("ResultT")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("backup")(take)
    app.command("restore")(restore)


def take(
    file: Annotated[Path | None, typer.Argument(help="写到哪里；默认 DATA_DIR/backups/… / where to")] = None,
    as_json: shell.Json = False,
) -> None:
    """备份台账（运行中也可以）；不含主密钥 / copy the ledger while the hub runs; the secret key is not in it."""
    found = shell.load()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    place = file or found.data_dir / "backups" / f"shuniu-{stamp}.tar"
    if place.exists():
        raise shell.fail(f"{place} 已存在，不会覆盖", f"{place} is there already and is not overwritten")
    sealer = secrets.Sealer(found.secret_key.get_secret_value())
    told = _run(backup.take(found.database_url, sealer, place))
    if as_json:
        shell.show({"file": str(place), "taken_at": told.taken_at, "size": told.size, "sha256": told.sha256})
        return
    shell.out.print(str(place), markup=False)
    shell.say(
        f"已备份 {told.size:,} 字节；主密钥 SHUNIU_SECRET_KEY 不在其中，请另外保管",
        f"{told.size:,} bytes; the secret key is not in it: keep SHUNIU_SECRET_KEY elsewhere",
    )


def restore(
    file: Annotated[Path | None, typer.Argument(help="备份文件 / the backup")] = None,
    taken_at: Annotated[
        str | None,
        typer.Option(
            "--taken-at",
            help="台账已用其他方式恢复到此时刻，只做标记 / put back to this moment by other means: only mark it",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="不再询问 / do not ask")] = False,
    as_json: shell.Json = False,
) -> None:
    """恢复备份；之后发生过的事先查询、不盲目重做 / put a backup back; what happened since is not redone."""
    if (file is None) == (taken_at is None):
        raise shell.fail("请给出备份文件，或 --taken-at", "name a backup, or --taken-at")
    found = shell.load()
    if not yes and not typer.confirm("台账将被替换，继续？ / the ledger will be replaced. Go on?"):
        raise typer.Exit(1)
    aside: Path | None = None
    if file is not None:
        sealer = secrets.Sealer(*found.masters)
        done = _run(backup.put_back(found.database_url, sealer, file))
        at, doubtful, aside = done.manifest.taken_at, done.doubtful, done.aside
    else:
        moment = hands.moment(taken_at, "--taken-at")
        at = (moment or datetime.now(UTC)).timestamp()
        doubtful = _run(backup.mark(found.database_url, at))
    if as_json:
        shell.show({"taken_at": at, "doubtful": doubtful, "aside": str(aside) if aside else None})
        return
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    shell.say(
        f"已恢复到 {when}；{doubtful} 个待发送会先查询目标系统，无法查询的等待人工确认",
        f"back to {when}; {doubtful} deliveries will be looked up first, or wait for a person where that is impossible",
    )
    if aside is not None:
        shell.say(f"原来的台账保留在 {aside}", f"the ledger that was there is kept at {aside}")


def _run(step: Coroutine[Any, Any, ResultT]) -> ResultT:
    try:
        return asyncio.run(step)
    except backup.Refused as error:
        raise shell.fail(error.zh, error.en, 1) from None
    except session.LedgerUnavailable as error:
        raise shell.away(error, 1) from None
    except OSError as error:
        raise shell.fail(f"文件无法读写：{error}", f"a file could not be read or written: {error}", 1) from None

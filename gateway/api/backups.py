"""Backups: when the last one was taken, and taking one now. Files stay on the server: they hold everybody's data."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Request
from pydantic import Field

from gateway import backup, problems, schema, security
from gateway.api import paging, services
from retry_queue.ledger import audit, configuration, secrets, session

routes = APIRouter(prefix="/backups", tags=["settings"])
log = structlog.get_logger()
WAIT = 20.0
"""Seconds that a request waits for its backup; a longer one goes on by itself."""


class Backup(paging.Part):
    """The last backup that came to its end. ``file`` is where it was written, on the machine that took it."""

    at: datetime
    file: Annotated[str, Field(examples=["/var/lib/shuniu/backups/shuniu-20260131-020000.tar"])]
    size: Annotated[int, Field(description="Bytes")]


class Backups(paging.Part):
    """What is known of backups. ``failed`` says why the last one begun here came to nothing."""

    last: Backup | None = None
    running: bool = False
    failed: paging.Words | None = None
    folder: Annotated[str, Field(description="Where backups taken here are written")]


_begun: dict[Path, asyncio.Task[None]] = {}
"""Folder -> the backup this process takes or took last."""


@routes.get("", operation_id="backup_get", summary="备份情况 Backups")
async def found(request: Request) -> Backups:
    """The last backup, and whether one is being taken."""
    return await _told(services.of(request))


@routes.post("", operation_id="backup_create", summary="立即备份 Back up now", status_code=202,
             responses=schema.responses(409))  # fmt: skip
async def create(request: Request) -> Backups:
    """Takes a backup while everything runs; a large one goes on after the answer. One at a time."""
    hub, who = services.of(request), security.principal(request)
    folder = _folder(hub)
    before = _begun.get(folder)
    if before is not None and not before.done():
        raise problems.Problem("conflict", "正在备份，请稍候", "a backup is being taken")
    _begun[folder] = task = asyncio.create_task(_take(hub, who.name), name="backup")
    await asyncio.wait({task}, timeout=WAIT)
    return await _told(hub)


def _folder(hub: services.Services) -> Path:
    return hub.settings.data_dir / "backups"


async def _take(hub: services.Services, actor: str) -> None:
    file = _folder(hub) / f"shuniu-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(hub.clock()))}.tar"
    # Not the hub's own sealer: who puts a backup back has the master key and no data key yet.
    sealer = secrets.Sealer(hub.settings.secret_key.get_secret_value())
    told = await backup.take(hub.settings.database_url, sealer, file)
    async with hub.change(touch=False) as db:
        detail = {"file": str(file), "size": told.size}
        await audit.append(db, hub.sealer, hub.clock(), actor, "backup.create", "backup", detail)


async def _told(hub: services.Services) -> Backups:
    async with hub.ledger.read() as db:
        last: dict[str, Any] | None = await configuration.setting(db, backup.LAST)
    task = _begun.get(_folder(hub))
    return Backups(
        last=Backup(at=paging.instant(last["at"]), file=last["file"], size=last["size"]) if last else None,
        running=task is not None and not task.done(), failed=_why(task), folder=str(_folder(hub)),
    )  # fmt: skip


def _why(task: asyncio.Task[None] | None) -> paging.Words | None:
    error = task.exception() if task is not None and task.done() and not task.cancelled() else None
    if error is None:
        return None
    if isinstance(error, backup.Refused):
        return paging.Words(zh=error.zh, en=error.en)
    if isinstance(error, OSError):
        said = error.strerror or type(error).__name__
        return paging.Words(zh=f"文件无法写入：{said}", en=f"the file could not be written: {said}")
    if isinstance(error, session.LedgerUnavailable):
        return paging.Words(zh="台账暂时不可用，请稍后重试", en="the ledger is not available; try again soon")
    log.error("backup.failed", kind=type(error).__name__)
    return paging.Words(zh="备份没有完成，原因见日志", en="the backup did not come to its end; see the log")

"""What an owner looks after: a backup taken from the browser that the command line can put back, and the set-up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway import backup, migrate
from retry_queue.ledger import configuration, secrets
from tests.unit.gateway import desk as desks


async def test_a_backup_is_taken_from_the_browser_and_reads_with_the_master_key_alone(
    tmp_path: Path, sqlite_url: str
) -> None:
    await migrate.upgrade(sqlite_url)
    async with desks.opened(sqlite_url, tmp_path) as desk:
        owner = await desks.configured(desk)
        await owner.post("/keys/rotate")  # data keys of its own: whoever restores does not have them yet
        before = (await owner.get("/backups")).json()
        assert (before["last"], before["running"], before["failed"]) == (None, False, None)
        made, again = await asyncio.gather(owner.post("/backups"), owner.post("/backups"))
        assert sorted((made.status_code, again.status_code)) == [202, 409], "one at a time"
        told = (await owner.get("/backups")).json()
        assert told["last"]["size"] > 0
        file = Path(told["last"]["file"])
        assert file.parent == tmp_path / "data" / "backups"
        assert file.stat().st_mode & 0o077 == 0
        manifest = backup.read(file)
        assert secrets.Sealer(desks.MASTER).open(manifest.probe, backup.PROBE)
        acts = (await owner.get("/audit", params={"action": "backup.create"})).json()["items"]
        assert len(acts) == 1
        async with desk.ledger.read() as db:
            assert (await configuration.setting(db, backup.LAST))["file"] == str(file)


async def test_why_a_backup_failed_is_told(tmp_path: Path, sqlite_url: str) -> None:
    await migrate.upgrade(sqlite_url)
    async with desks.opened(sqlite_url, tmp_path) as desk:
        owner = await desk.as_("owner")
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "backups").write_text("a file where the folder should be")
        told = (await owner.post("/backups")).json()
        assert told["last"] is None
        assert "无法写入" in told["failed"]["zh"]


async def test_the_set_up_is_told_without_its_secrets(tmp_path: Path, sqlite_url: str) -> None:
    async with desks.opened(sqlite_url, tmp_path, egress_allow="192.168.10.0/24") as desk:
        owner = await desk.as_("owner")
        told = await owner.get("/settings/installation")
        assert told.json()["database"] == "sqlite"
        assert told.json()["networks"] == ["192.168.10.0/24"]
        assert desks.MASTER not in told.text

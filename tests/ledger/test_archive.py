"""The archive: everything that has ended is in it once, whatever cut it off; damage shows; people are masked."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway import archive, cli
from tests.ledger import hub as hubs
from tests.ledger import making, target

PHONE = "13812345678"


async def _ended(worker: hubs.Worker, n: int) -> bool:
    return len(await making.rows(worker.ledger, "SELECT 1 FROM deliveries WHERE state = 'delivered'")) >= n


def _numbers(folder: Path, text: str | None = None) -> list[str]:
    return [one["event"]["number"] for one in archive.find(folder, text)]


async def test_what_has_ended_is_archived_once_and_found_again(
    database_url: str, erp: target.Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PIECE", 5)
    monkeypatch.setattr(archive, "BATCH", 2)
    folder, begun = tmp_path / "january", time.time() - 60
    async with hubs.running(database_url) as worker:
        await worker.push(*(hubs.order(f"T{n}", buyer={"phone": PHONE, "name": "王小明"}) for n in range(20)))
        await making.until(lambda: _ended(worker, 20), what="all delivered")
        (held,) = await making.rows(worker.ledger, "SELECT id, event_id FROM deliveries ORDER BY id LIMIT 1 OFFSET 7")
        await making.change(worker.ledger, "UPDATE deliveries SET state = 'parked' WHERE id = :i", i=held.id)
        until = time.time() + 60
        put, times = archive._put, 0

        def failing(path: Path, content: bytes) -> None:
            nonlocal times
            times += 1
            if times == 4:  # after the second piece, before its manifest
                raise OSError("disk full")
            put(path, content)

        monkeypatch.setattr(archive, "_put", failing)
        with pytest.raises(OSError, match="disk full"):
            await archive.write(worker.ledger, folder, begun, until)
        assert archive.read(folder).events < 10
        done = await archive.write(worker.ledger, folder, begun, until)
        assert done.open == [held.event_id]
        assert done.events == 19
        assert archive.wrong(folder) == []
        found = _numbers(folder)
        assert len(found) == len(set(found)) == 19
        await making.change(worker.ledger, "UPDATE deliveries SET state = 'delivered' WHERE id = :i", i=held.id)
        assert (await archive.write(worker.ledger, folder, begun, until)).events == 20
        assert (await archive.write(worker.ledger, folder, begun, until)).events == 20, "once more adds nothing"
        assert sorted(_numbers(folder)) == sorted(f"T{n}" for n in range(20))
        with pytest.raises(archive.Refused):
            await archive.write(worker.ledger, folder, begun, until, masked=False)
        await archive.write(worker.ledger, tmp_path / "full", begun, until, masked=False)
    (one,) = archive.find(folder, "T7")
    (full,) = archive.find(tmp_path / "full", "T7")
    assert PHONE not in json.dumps(one)
    assert "王小明" not in json.dumps(one, ensure_ascii=False)
    assert full["payload"]["buyer"] == {"phone": PHONE, "name": "王小明"}
    assert full["canonical"]["number"] == one["canonical"]["number"] == "T7"
    assert full["deliveries"][0]["attempts"][0]["outcome"] == "delivered"
    assert list(archive.find(folder, "T")) == list(archive.find(folder, since=until)) == []
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
    _damaged(folder)


def _damaged(folder: Path) -> None:
    run = CliRunner()
    app = cli.build("archive")
    assert run.invoke(app, ["archive", "verify", str(folder)]).exit_code == 0
    told: Any = json.loads(run.invoke(app, ["archive", "find", str(folder), "T3"]).stdout)
    assert told["event"]["record"] == "T3"
    pieces = sorted(folder.glob("*.gz"))
    pieces[0].write_bytes(pieces[0].read_bytes()[:-1] + b"x")
    pieces[1].unlink()
    answer = run.invoke(app, ["archive", "verify", str(folder), "--json"])
    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)["wrong"]) == 2
    assert run.invoke(app, ["archive", "verify", str(folder.parent)]).exit_code == 1

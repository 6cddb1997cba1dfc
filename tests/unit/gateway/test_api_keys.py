"""Keys and the audit log over the API and on the command line."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import cli
from retry_queue.ledger import keyring
from tests.unit.gateway import desk as desks


async def test_a_rotation_begun_over_the_api(database_url: str, tmp_path: Path) -> None:
    async with desks.opened(database_url, tmp_path) as desk:
        owner = await desks.configured(desk)
        before = (await owner.get("/keys")).json()
        assert [one["state"] for one in before["keys"]] == ["current"]
        assert before["keys"][0]["rows"] == 1
        assert not before["rotating"]
        begun = await owner.post("/keys/rotate")
        assert begun.status_code == 202
        assert begun.json()["rotating"]
        assert [one["state"] for one in begun.json()["keys"]] == ["current", "coming"]
        again = (await owner.post("/keys/rotate")).json()
        assert again["keys"] == begun.json()["keys"], "one rotation at a time"
        for _ in range(9):
            await keyring.step(desk.ledger, desk.hub.sealer, desk.clock() + 100, 0.0)
        after = (await owner.get("/keys")).json()
        assert [one["id"] for one in after["keys"]] == [begun.json()["keys"][1]["id"]]
        assert after["keys"][0]["rows"] == 1
        assert after["masters"] == [{**after["masters"][0], "current": True, "needed": True}]
        assert "s1." not in (await owner.get("/keys")).text
        await desk.reload()
        assert desk.site is not None
        opened = desk.site.live["shop"].opened
        assert opened is not None
        assert opened.secrets["hook_secret"] == desks.SHOP["secrets"]["hook_secret"]


def test_the_command_line_says_when_the_log_was_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path))

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli.build(words[0]), list(words))
        return result.exit_code, result.output

    for name in ("wang", "li", "zhao"):
        assert run("user", "add", name)[0] == 0
    assert run("audit", "verify")[0] == 0
    code, said = run("keys", "rotate", "--grace", "0", "--json")
    assert code == 0, said
    assert '"phase": "idle"' in said
    code, said = run("keys", "list")
    assert code == 0
    assert "current" in said
    assert run("audit", "verify")[0] == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "shuniu.sqlite3")) as ledger:
        ledger.execute("UPDATE audit SET actor = 'somebody' WHERE id = 2")
        ledger.commit()
        code, said = run("audit", "verify")
        assert code == 1
        assert "entry 2: was altered" in said
        ledger.execute("UPDATE audit SET actor = 'cli' WHERE id = 2")
        ledger.commit()
        assert run("audit", "verify")[0] == 0
        ledger.execute("DELETE FROM audit WHERE id = 2")
        ledger.commit()
        code, said = run("audit", "verify")
        assert code == 1
        assert "removed" in said

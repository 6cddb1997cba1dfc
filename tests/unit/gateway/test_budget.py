"""Room on the disk is told before it is gone, and logs of the embedded mode stay small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from gateway import budget, settings, supervisor, valkey


def test_what_got_worse_is_said_at_once_and_then_every_hour() -> None:
    warner = budget.Warner()
    assert not warner.due("fine", 0.0)
    assert warner.due("low", 1.0)
    assert not warner.due("low", 100.0)
    assert warner.due("full", 101.0)
    assert not warner.due("full", 200.0)
    assert warner.due("full", 101.0 + budget.AGAIN)
    assert not warner.due("fine", 9000.0)
    assert budget.level(budget.FULL - 1) == "full"
    assert budget.level(budget.NEARLY - 1) == "low"
    assert budget.level(budget.NEARLY) == "fine"


def test_the_supervisor_tells_of_a_disk_that_fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings.load(data_dir=tmp_path)
    parent = supervisor.Supervisor(config, [])
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=budget.FULL - 1))
    with structlog.testing.capture_logs() as said:
        parent.look_after_the_disk()
        parent.look_after_the_disk()
    told = [one for one in said if one["event"] == "disk.room"]
    assert [(one["level"], one["log_level"]) for one in told] == [("full", "error")]
    parent._write_status("running")
    assert json.loads((tmp_path / "status.json").read_text())["disk_free"] == budget.FULL - 1


def test_a_long_log_is_put_aside_while_its_server_goes_on(tmp_path: Path) -> None:
    with valkey.serve(tmp_path) as url:
        log = tmp_path / "valkey.log"
        with log.open("ab") as file:
            file.write(b"x" * 2000)
        assert not budget.turn_over(log, 10_000)
        for number in range(4):
            log.write_bytes(bytes([65 + number]) * 3000)
            assert budget.turn_over(log, 2500)
        assert valkey.ask(url, "PING") == "PONG"
        assert sorted(one.name for one in tmp_path.glob("valkey.log.*")) == ["valkey.log.1", "valkey.log.2"]
        assert (tmp_path / "valkey.log.1").read_bytes()[:1] == b"D"
    assert not budget.turn_over(tmp_path / "nothing.log")

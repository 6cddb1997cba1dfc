"""A worker or poller on its own answers for its health and metrics, and nowhere unless it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway import children, settings
from gateway.trial import processes

ROOT = Path(__file__).resolve().parents[3]


def _answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


@pytest.mark.parametrize("role", ["worker", "poller"])
def test_a_role_alone_is_probed_and_scraped(role: str, tmp_path: Path) -> None:
    port = processes.free_port()
    environment = {
        **os.environ,
        "SHUNIU_DATA_DIR": str(tmp_path),
        "SHUNIU_METRICS_PORT": str(port),
        "SHUNIU_REDIS_URL": f"redis://127.0.0.1:{processes.free_port()}/0",
    }
    migrated = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "migrate"], cwd=ROOT, env=environment, capture_output=True, timeout=60
    )
    assert migrated.returncode == 0, migrated.stderr
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "gateway.serve", role],
            cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log,
            preexec_fn=children.dies_with_parent(),
        )  # fmt: skip
    try:
        processes.wait_for(lambda: child.poll() is not None or _answer(port, "/readyz")[0] == 200, 30, "ready")
        assert _answer(port, "/livez") == (200, '{"status": "ok"}'), (tmp_path / "log").read_text()
        status, text = _answer(port, "/metrics")
        assert status == 200
        assert "shuniu_worker_progress_timestamp_seconds" in text
        assert "shuniu_ledger_difference" not in text, "the gauges of the ledger come from the API"
        assert _answer(port, "/api/v1/routes")[0] == 404
    finally:
        code = processes.stop(child, seconds=30)
    assert code == 0, (tmp_path / "log").read_text()


def test_nothing_listens_unless_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHUNIU_DATA_DIR", str(tmp_path))
    assert settings.load().metrics_port == 0
    monkeypatch.setenv("SHUNIU_METRICS_PORT", "9464")
    config = settings.load()
    assert config.metrics_port == 9464
    assert config.environment()["SHUNIU_METRICS_PORT"] == "0", "the children of one supervisor share a machine"
    monkeypatch.setenv("SHUNIU_METRICS_PORT", "door")
    with pytest.raises(settings.Unusable, match="SHUNIU_METRICS_PORT"):
        settings.load()

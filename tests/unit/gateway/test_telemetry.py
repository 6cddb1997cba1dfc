"""Logs hide what must stay hidden; metrics of several processes are one exposition."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import telemetry

CANARY = "canary-7f3a91c2"
PHONE = "13912345678"


def lines_of(code: str) -> list[dict[str, object]]:
    """What a process of its own writes to its log (logging is global, so not in this one)."""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_no_secret_or_phone_number_gets_through_any_logger() -> None:
    lines = lines_of(f"""
import logging, structlog
from gateway import telemetry
telemetry.configure()
telemetry.conceal("{CANARY}")
log = structlog.get_logger()
structlog.contextvars.bind_contextvars(event_id="e1", delivery_id="d1")
log.info("call", url="https://h/x?access_token={CANARY}x&sign=0011aabb&page=1", appSecret="short", phone="{PHONE}")
body = {{"session": "zzzz9999", "list": ["{PHONE}", {{"corpsecret": "cs112233"}}]}}
log.info("nested", body=body, raw=b"token=abcd1234")
log.info("plain {CANARY} text, call {PHONE}")
try:
    raise ValueError("postgresql://hub:hunter22@db/x Authorization: Bearer eyJhbGciOi.xx {CANARY}")
except ValueError:
    log.exception("failed")
    logging.getLogger("some.library").exception("library failed for %s", "{PHONE}")
logging.getLogger("uvicorn.error").warning("secret=%s", "abcd9999", extra={{"password": "pw12"}})
logging.getLogger("httpx").info("GET https://h/?access_token=quiet123")
""")
    text = json.dumps(lines, ensure_ascii=False)
    for hidden in (
        CANARY,
        PHONE,
        "hunter22",
        "0011aabb",
        "zzzz9999",
        "cs112233",
        "eyJhbGciOi",
        "abcd",
        "pw12",
        "quiet",
    ):
        assert hidden not in text
    assert '"short"' not in text
    assert "139****5678" in text
    assert "page=1" in text
    assert len(lines) == 6
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    assert all(line["event_id"] == "e1" for line in lines)
    assert "Traceback" in str(lines[3]["exception"])
    assert "Traceback" in str(lines[4]["exception"])


@pytest.mark.parametrize(
    "harmless",
    [
        "order 2158723400111392 paid",
        "token expired; ask for a new one",
        "errcode 40001 means the key is wrong",
        "2026-11-22T02:51:33Z",
        "design=blue",
        "no sign of it",
    ],
)
def test_ordinary_words_stay(harmless: str) -> None:
    assert telemetry.redact(harmless, "message") == harmless


def test_numbers_and_names_keep_their_meaning() -> None:
    event = {"signed": True, "sign_count": 3, "key": "order-1", "seconds": 0.5, "none": None, "tid": 3715872340011}
    assert telemetry.redact(event) == {**event, "tid": "3715872340011"}


def test_level_is_obeyed_and_console_style_is_for_people() -> None:
    code = (
        "import structlog; from gateway import telemetry; telemetry.configure('WARNING', 'console');"
        "log = structlog.get_logger(); log.info('quiet'); log.warning('loud', token='abcd1234')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert "quiet" not in ran.stderr
    assert "loud" in ran.stderr
    assert "abcd1234" not in ran.stderr


COUNTING = """
import os, sys
from prometheus_client import Counter, Gauge
done = Counter("shuniu_test_jobs_total", "Jobs.", ["outcome"])
running = Gauge("shuniu_test_running", "Now running.", multiprocess_mode="livesum")
done.labels("ok").inc(int(sys.argv[1])); running.inc()
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def test_metrics_of_several_processes_add_up_and_the_dead_let_go(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    telemetry.wipe(folder)
    (folder / "counter_1.db").write_bytes(b"")
    (folder / "mine.txt").write_text("stays")
    telemetry.wipe(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(number)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2)
    ]
    try:
        pids = [int(child.stdout.readline()) for child in running if child.stdout]
        body, content_type = telemetry.exposition(folder, version="1.2.3")
        text = body.decode()
        assert content_type.startswith("text/plain")
        assert 'shuniu_test_jobs_total{outcome="ok"} 3.0' in text
        assert "shuniu_test_running 2.0" in text
        assert 'shuniu_build_info{python="' in text
        assert 'version="1.2.3"} 1.0' in text
        running[0].kill()
        running[0].wait(10)
        telemetry.mark_dead(folder, pids[0])
        text = telemetry.exposition(folder)[0].decode()
        assert 'shuniu_test_jobs_total{outcome="ok"} 3.0' in text
        assert "shuniu_test_running 1.0" in text
    finally:
        for child in running:
            child.kill()
            child.communicate(timeout=10)


def test_a_snapshot_is_only_read_at_a_scrape() -> None:
    now = 1000.0
    snapshot = telemetry.Snapshot(clock=lambda: now)
    assert "snapshot_age" not in telemetry.exposition(None, collectors=[snapshot])[0].decode()
    snapshot.replace([telemetry.gauge("shuniu_queue_depth", "Waiting.", {("a",): 4.0, ("b",): 5.0}, ("queue",))])
    now = 1007.0
    text = telemetry.exposition(None, collectors=[snapshot])[0].decode()
    assert 'shuniu_queue_depth{queue="b"} 5.0' in text
    assert "shuniu_snapshot_age_seconds 7.0" in text


def test_openmetrics_where_it_is_asked_for() -> None:
    body, content_type = telemetry.exposition(None, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")

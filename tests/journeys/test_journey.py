"""The whole story over real processes, with hostile vendors: what ``./shuniu journey`` runs, on both databases."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from gateway.trial import journey, processes

ORDERS = 200
LINE = re.compile(
    r"^received=\d+ delivered=\d+ duplicate=\d+ filtered=\d+ dead=0 in_flight=0 lost=0 double=0$", re.MULTILINE
)


def told(account: journey.Account, log: Path) -> str:
    """Everything needed to see why a journey did not hold."""
    tail = log.read_text(encoding="utf-8")[-4000:] if log.exists() else ""
    return f"{account.line()}\n{account.notes}\n{tail}"


@pytest.mark.timeout(560)
def test_one_order_both_ways_on_the_embedded_default(folder: Path) -> None:
    account = asyncio.run(journey.once(folder, ORDERS, Console(quiet=True)))
    assert account.holds, told(account, folder / "hub.log")
    assert LINE.match(account.line())
    assert account.balance.received >= ORDERS * 2, "orders and shipments at least"
    assert account.balance.duplicate > 0, "the vendors were meant to repeat themselves"


@pytest.mark.timeout(560)
def test_one_order_both_ways_on_postgresql_and_redis(folder: Path, postgres_url: str, valkey_url: str) -> None:
    account = asyncio.run(
        journey.once(folder, ORDERS, Console(quiet=True), database_url=postgres_url, redis_url=valkey_url)
    )
    assert account.holds, told(account, folder / "hub.log")
    assert LINE.match(account.line())


def _below(pid: int) -> set[int]:
    return set(processes.descendants(pid)) - {pid}


@pytest.mark.timeout(120)
def test_the_demo_flows_balances_and_leaves_no_process_behind(folder: Path) -> None:
    port, sims = processes.free_port(), processes.free_port()
    seen: list[str] = []
    started: set[int] = set()
    end = time.monotonic() + 90
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "gateway.cli", "demo", "--port", str(port), "--sim-port", str(sims)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
    ) as demo:
        assert demo.stdout is not None
        try:
            for line in demo.stdout:
                seen.append(line)
                started |= _below(demo.pid)
                if "WeCom message sent" in line or time.monotonic() > end:
                    break
            demo.send_signal(signal.SIGINT)
            seen.append(demo.stdout.read())
            code = demo.wait(40)
        finally:
            demo.kill()
    text = "".join(seen)
    assert code == 0, text[-3000:]
    assert f"http://127.0.0.1:{port}/" in text
    assert "sales order saved" in text
    assert "balanced" in text
    assert len(started) >= 4, "hub, its processes and the simulators"
    left = {pid for pid in started if Path(f"/proc/{pid}").exists()}
    assert not left

"""``./shuniu sim all``: every simulator in one process answers its connector's connection test, then the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from connectors.core import client, model, registry
from gateway.trial import processes
from tests.journeys import casting


async def _probed(url: str, folder: Path) -> dict[str, Any]:
    """Connector -> what its connection test answers; the error where it fails."""
    place: Any = SimpleNamespace(sim_url=url, hub_url="http://127.0.0.1:9")
    found: dict[str, Any] = {}
    async with client.alone(folder) as calls:
        for id in registry.all_ids():
            state = httpx.get(f"{url}/_sim/{id}/state", trust_env=False).json()
            chosen = {"port": state["port"]} if isinstance(state, dict) and "port" in state else {}
            spec, given = registry.get(id), casting.entry(id, place, **chosen)
            opened = model.Connection(id, spec, given["config"], given["secrets"])
            if spec.probe is None:
                found[id] = "no probe"
                continue
            kind = spec.operations[spec.probe].kind
            assert kind in ("get", "list", "call"), id
            if kind == "list":
                found[id] = [page async for page in calls.pages(opened, spec.probe, {}, None)] or "empty"
            else:
                found[id] = await calls.call(opened, spec.probe, {})
    return found


@pytest.mark.timeout(120)
def test_every_simulator_runs_answers_its_probe_and_ends() -> None:
    port = processes.free_port()
    command = [sys.executable, "-P", "-m", "gateway.cli", "sim", "all", "--port", str(port)]
    with (
        tempfile.TemporaryDirectory(prefix="sa-", dir="/tmp") as name,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running,
    ):
        try:
            asyncio.run(processes.reachable(port, 60))
            url = f"http://127.0.0.1:{port}"
            listed = httpx.get(f"{url}/_sim", trust_env=False).json()
            assert sorted(listed) == sorted(registry.all_ids())
            found = asyncio.run(_probed(url, Path(name)))
            assert set(found) == set(listed)
            assert sum(one != "no probe" for one in found.values()) >= len(found) - 4, found
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                running.kill()

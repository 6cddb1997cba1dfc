"""Every way out of production code goes through ``connectors/core/egress.py``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import house

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"gateway", "webhooks", "retry_queue", "connectors", "mappings"}
WAYS = re.compile(
    r"TCPConnector\(|ClientSession\(|AsyncClient\(|httpx\.(?:get|post|request|Client)\(|asyncio\.open_connection\(|"
    r"create_connection\(|sock_connect\(|websocket\.connect\(|urlopen\(|aiosmtplib\.send\(|\bimport requests\b"
)
OUTSIDE = ("connectors/simulator/", "gateway/trial/", "gateway/bench/", "gateway/rehearsal/")
"""Rooms that are not production: they talk to loopback."""
GROUNDS = {
    "connectors/core/egress.py": "the rule itself",
    "connectors/core/engine.py": "with egress.connector",
    "gateway/oidc.py": "the identity provider, whose address is the operator's own",
    "gateway/health.py": "the doctor, to the hub's own public address",
    "gateway/sandbox.py": "the simulators' own panel, whose address is the operator's own",
    "gateway/references.py": "Vault, whose address is the operator's own",
    "connectors/core/channel.py": "with a socket of egress.connected",
}
"""File -> why it may open something."""


def _strays(root: Path) -> list[str]:
    found = []
    for path in house.files(root):
        name = path.as_posix()
        if path.suffix != ".py" or path.parts[0] not in ROOMS or name.startswith(OUTSIDE):
            continue
        if path.name == "simulator.py" or "simulated" in path.parts or name in GROUNDS:
            continue
        found += [f"{name}: {hit}" for hit in WAYS.findall((root / path).read_text(encoding="utf-8"))]
    return found


def test_nobody_opens_a_socket_past_the_rule() -> None:
    assert not _strays(ROOT)


@pytest.mark.parametrize("source", ["aiohttp.ClientSession()", "httpx.AsyncClient()", "websocket.connect(url)"])
def test_a_way_around_is_found(tmp_path: Path, source: str) -> None:
    (tmp_path / "connectors" / "alpha").mkdir(parents=True)
    (tmp_path / "connectors" / "alpha" / "sender.py").write_text(f"x = {source}\n")
    assert _strays(tmp_path)


def test_grounds_are_still_needed() -> None:
    for name in GROUNDS:
        assert WAYS.search((ROOT / name).read_text(encoding="utf-8")), name

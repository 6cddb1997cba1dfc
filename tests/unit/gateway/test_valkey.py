"""The embedded server is real, private, durable, and an evicting Redis is refused."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from redis import asyncio as redis

from gateway import settings, valkey
from gateway.trial import processes

pytestmark = pytest.mark.redis


async def test_it_keeps_to_its_socket_and_its_rules(tmp_path: Path) -> None:
    with valkey.serve(tmp_path / "vk") as url:
        socket_path = Path(url.removeprefix("unix://").removesuffix("?db=0"))
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o700
        client = redis.from_url(url)
        facts = await client.config_get("port", "appendonly", "appendfsync", "maxmemory-policy")
        assert facts == {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        await valkey.refuse_evicting(client)
        await client.aclose()
    assert not socket_path.parent.exists()


def test_what_was_written_survives_a_restart(tmp_path: Path) -> None:
    with valkey.serve(tmp_path / "vk") as url:
        valkey.ask(url, "SET", "名", "值")
    with valkey.serve(tmp_path / "vk") as url:
        assert valkey.ask(url, "EXISTS", "名") == "1"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_an_evicting_redis_is_refused(tmp_path: Path, policy: str) -> None:
    with valkey.serve(tmp_path / "vk") as url:
        valkey.ask(url, "CONFIG", "SET", "maxmemory-policy", policy)
        client = redis.from_url(url)
        with pytest.raises(settings.Unusable) as refused:
            await valkey.refuse_evicting(client)
        await client.aclose()
    assert policy in refused.value.zh
    assert "noeviction" in refused.value.en


def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gateway import valkey\n"
        f"with valkey.serve(Path({str(tmp_path / 'vk')!r})) as url:\n"
        "    print(url, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert valkey.ask(url, "PING") == "PONG"
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()

    def gone() -> bool:
        try:
            valkey.ask(url, "PING", seconds=1)
        except OSError:
            return True
        return False

    processes.wait_for(gone, 5, "the server ending")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "vk"
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("this is no manifest\n")
    with pytest.raises(settings.Unusable) as refused, valkey.serve(folder):
        pass
    assert "SHUNIU_REDIS_URL" in refused.value.en
    assert "manifest" in refused.value.zh  # its own last words


def test_a_socket_path_too_long_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(settings.Unusable, match="too long"):
        valkey.Server(tmp_path, tmp_path / ("x" * 100) / "valkey.sock")


def test_the_fixture_is_empty_each_time(valkey_url: str) -> None:
    assert valkey.ask(valkey_url, "DBSIZE") == "0"
    valkey.ask(valkey_url, "SET", "left", "over")


def test_the_fixture_is_empty_each_time_again(valkey_url: str) -> None:
    assert valkey.ask(valkey_url, "DBSIZE") == "0"
    valkey.ask(valkey_url, "SET", "left", "over")
    with pytest.raises(RuntimeError, match="unknown command"):
        valkey.ask(valkey_url, "NOSUCH")

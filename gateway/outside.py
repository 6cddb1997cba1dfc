"""Secrets of connections that live outside: what an editor may refer to, read in time, and taken up when it changes.

In place of a secret a connection may say ``file:/run/secrets/shops/key``, ``vault:kv/shops/tmall#app_secret`` or
``env:SHOP_KEY``. That came over the network, so it is looked up only within ``SHUNIU_SECRET_SOURCES``, and never gives
out a secret of the hub itself. What was read stays in the memory of this process: opening a connection is a look into
it, and ``follow`` keeps it fresh.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import structlog

from gateway import references, settings
from retry_queue.ledger import secrets

LARGEST = 64 * 1024
PATIENCE = 3.0
"""Seconds that whoever loads the configuration waits for what lives outside; what comes later is taken up then."""
FILE_SECONDS, VAULT_SECONDS, SOON = 2.0, 60.0, 5.0
"""How old what was read may be; ``SOON`` where a connection waits for it, or Vault did not answer."""
RECENT = 30.0
"""A refusal so soon after a change was about the secret before it."""
_FORM = re.compile(r"(file|vault|env):(.+)", re.DOTALL)
_SEGMENT = re.compile(r"[\w.@:+=-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

log = structlog.get_logger()


def is_one(text: str) -> bool:
    """Whether a secret that was entered says where the real one is."""
    return _FORM.fullmatch(text) is not None


def allowed(reference: str, sources: Iterable[str]) -> bool:
    """Whether the operator opened the place that a reference names; links are followed first."""
    found = _FORM.fullmatch(reference)
    if found is None:
        return False
    kind, where = found[1], found[2]
    places = [one.partition(":")[2] for one in sources if one.startswith(f"{kind}:")]
    if kind == "file":
        return any(_within(where, one) for one in places)
    if kind == "env":
        plain = _NAME.fullmatch(where) is not None and not where.upper().startswith(settings.PREFIX)
        return plain and any(where == one or (one[-1:] == "*" and where.startswith(one[:-1])) for one in places)
    path, _, name = where.partition("#")
    steps = path.split("/")
    plain = bool(name) and all(_SEGMENT.fullmatch(step) and step.strip(".") for step in steps)
    return plain and any(steps[: len(one.split("/"))] == one.split("/") for one in places)


def _within(name: str, folder: str) -> bool:
    if not name.startswith("/") or "\x00" in name:
        return False
    real = Path(os.path.realpath(name))
    return real.is_relative_to(os.path.realpath(folder))


class Outside:
    """What this process has read; ``secrets.Outside`` for the sealer."""

    def __init__(
        self,
        sources: Iterable[str],
        own: Iterable[str] = (),
        vault: Callable[[], references.Vault] = settings.vault,
        environment: Callable[[], Mapping[str, str]] = settings.surroundings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``own``: secrets of the hub itself, which no reference may give out."""
        self._sources = tuple(sources)
        self._own = tuple(one.encode() for one in own if one)
        self._vault, self._environment, self._clock = vault, environment, clock
        self._values: dict[str, str] = {}
        self._faults: dict[str, references.Unusable] = {}
        self._read_at: dict[str, float] = {}
        self._changed_at: dict[str, float] = {}
        self._news: set[str] = set()
        """What has another value than the configuration was opened with."""
        self._silent: tuple[float, references.Unusable] | None = None
        self._threads = ThreadPoolExecutor(4, "outside")  # a Vault that hangs holds up nothing else
        self._running: set[asyncio.Future[None]] = set()

    def value(self, reference: str) -> str:
        try:
            return self._values[reference]
        except KeyError:
            said = self.fault(reference) or _pending(reference)
            raise secrets.SecretUnreadable(said.en, said.zh) from None

    def fault(self, reference: str) -> references.Unusable | None:
        """Why it could not be read when it was tried last."""
        return self._faults.get(reference)

    async def look(self, wanted: Iterable[str]) -> None:
        wanted = set(wanted)
        await self.read(one for one in wanted if one not in self._values and one not in self._faults)
        self._news -= self._values.keys() & wanted

    async def read(self, wanted: Iterable[str]) -> None:
        """Reads these now. Returns after ``PATIENCE``; what takes longer is noted when it comes."""
        loop = asyncio.get_running_loop()
        work: set[asyncio.Future[None]] = set()
        for one in wanted:
            if one not in self._values:
                self._faults.setdefault(one, _pending(one))
            self._read_at[one] = self._clock()
            work.add(loop.run_in_executor(self._threads, self._take, one))
        for future in work:
            self._running.add(future)
            future.add_done_callback(self._running.discard)
        if work:
            await asyncio.wait(work, timeout=PATIENCE)

    async def renew(self, wanted: Iterable[str], waiting: Iterable[str] = (), *, soon: bool = False) -> bool:
        """Reads again what may have changed, ``waiting`` sooner. Whether anything has, since it was asked last.

        ``soon``: the configuration is another one, so that somebody may just have changed the secrets as well.
        """
        wanted, waiting, old = set(wanted), set(waiting), self._clock() - VAULT_SECONDS
        for gone in [one for one, at in self._read_at.items() if one not in wanted and at < old]:
            self.forget(gone)  # tried out in a form, or of a connection of before
        await self.read(one for one in wanted if self._due(one, one in waiting or soon))
        news = self._news & wanted
        self._news -= news
        return bool(news)

    def _due(self, reference: str, soon: bool) -> bool:
        age = self._clock() - self._read_at.get(reference, float("-inf"))
        if reference.startswith("vault:"):
            return age >= (SOON if soon or reference in self._faults else VAULT_SECONDS)
        return age >= FILE_SECONDS

    def changed(self, wanted: Iterable[str]) -> float | None:
        """When the newest of these changed, if that was a moment ago."""
        times = [self._changed_at.get(one, float("-inf")) for one in wanted]
        newest = max(times, default=float("-inf"))
        return newest if newest > self._clock() - RECENT else None

    def forget(self, reference: str) -> None:
        """Drops what was read."""
        for known in (self._values, self._faults, self._read_at, self._changed_at):
            known.pop(reference, None)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def __repr__(self) -> str:
        return f"Outside({', '.join(self._sources)})"

    def _take(self, reference: str) -> None:
        try:
            text = self._found(reference)
        except references.Unusable as error:
            if reference in self._values and reference not in self._faults:
                log.warning("secret.unread", reference=reference, error=error.en)  # what is known goes on counting
            self._faults[reference] = error
            return
        before = self._faults.pop(reference, None)
        if self._values.get(reference) != text:
            if reference in self._values or not isinstance(before, _Pending):
                self._changed_at[reference] = (
                    self._clock()
                )  # a first reading is no change: nobody knows what was before
            self._values[reference] = text
            self._news.add(reference)

    def _found(self, reference: str) -> str:
        if not allowed(reference, self._sources):
            zh = f"不允许引用 {reference[:200]}：请由管理员在 SHUNIU_SECRET_SOURCES 中放行"
            en = f"{reference[:200]} may not be referred to: the operator allows places in SHUNIU_SECRET_SOURCES"
            raise references.Unusable(zh, en)
        kind, _, where = reference.partition(":")
        if kind == "file":
            text = _file(where)
        elif kind == "env":
            text = self._environment().get(where, "")
        else:
            text = self._asked(reference)
        if not text:
            raise references.Unusable(f"{reference} 是空的", f"{reference} is empty")
        if sum(hmac.compare_digest(text.encode(), one) for one in self._own):
            zh, en = (
                f"{reference} 是枢纽自己的密钥，不能用于连接",
                f"{reference} is the hub's own secret, not a system's",
            )
            raise references.Unusable(zh, en)
        return text

    def _asked(self, reference: str) -> str:
        if self._silent is not None and self._clock() - self._silent[0] < SOON:
            raise self._silent[1]
        try:
            return references.resolved(reference, self._vault())
        except references.Unreachable as error:
            self._silent = (self._clock(), error)
            raise


class _Pending(references.Unusable):
    """Nobody has tried to read it to the end."""


def _pending(reference: str) -> _Pending:
    return _Pending(f"还没有读到 {reference}", f"{reference} was not read yet")


def _file(name: str) -> str:
    try:
        place = os.open(os.path.realpath(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(place, "rb") as file:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise ValueError("no file")
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError("too large")
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        why = "no text"
    except OSError as error:
        why = error.strerror or type(error).__name__
    except ValueError as error:
        why = str(error)
    raise references.Unusable(f"无法读取密钥文件 {name}（{why}）", f"the secret file {name} cannot be read ({why})")


def of(config: settings.Settings) -> Outside:
    """What the settings allow, without the hub's own secrets."""
    own = [*config.masters, config.vault_token.get_secret_value(), config.oidc_client_secret.get_secret_value()]
    for url in (config.database_url, config.redis_url):
        rest = url.partition("://")[2]
        scheme = "postgres" if url.startswith("postgresql") else url.partition("://")[0]
        password = urlsplit(url).password or ""
        own += [url, f"{scheme}://{rest}", f"postgresql://{rest}", password, unquote(password)]
    return Outside(config.secret_sources, own)


def sealer(config: settings.Settings, known: Outside | None = None) -> secrets.Sealer:
    """A sealer that also finds what lives outside; ``known`` by somebody who keeps it fresh."""
    made = secrets.Sealer(*config.masters)
    made.outside = known or of(config)
    return made

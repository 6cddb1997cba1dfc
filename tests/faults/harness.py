"""The ground of a fault trial: a hub of real processes between a sender and three systems, to be broken and counted.

One source pushes changes of products; three routes take each of them to a system that recognises a key, one that can
be asked, and one of which nothing can be known (``sink``). After a trial ``Ground.account`` joins what the sender was
told, what the systems did and what the ledger says (``checker``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from gateway import children, hub, hub_file, migrate, security, settings, supervisor
from gateway.trial import processes
from retry_queue.ledger import secrets as sealing
from retry_queue.ledger import session, tallies
from tests.faults import checker, producer, sink

SITE = """
apiVersion: shuniu/v1
declarations:
  - body: |
      apiVersion: shuniu/api/v1
      id: asked
      label: {zh: 可以查询, en: Can be asked}
      pacing: {concurrency: 16}
      errors: &errors
      operations:
        note.find: {kind: get, entity: product, path: "/asked/${input.number}", result: note, id: number, timeout: 4}
        note.add:
          kind: act
          timeout: 4
          entity: product
          path: /asked
          id_input: number
          idempotent: query_first
          lookup: note.find
  - body: |
      apiVersion: shuniu/api/v1
      id: blind
      label: {zh: 无从得知, en: Nothing is known}
      pacing: {concurrency: 16}
      operations:
        note.add: {kind: act, entity: product, path: /blind, id_input: number, timeout: 4, idempotent: "no"}
connections:
  - key: shop
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: product}
    secrets: {hook_secret: "${SECRET}"}
  - {key: keyed, connector: http, config: {base_url: "${SINK}", record_path: /keyed, verify_style: closed}}
  - {key: asked, connector: asked, config: {base_url: "${SINK}"}}
  - {key: blind, connector: blind, config: {base_url: "${SINK}"}}
mappings:
  - connector: asked
    name: product
    body: |
      apiVersion: shuniu/mapping/v1
      connector: asked
      entity: product
      rules: &rules
        - {native: id, canonical: id, way: to}
        - {native: number, canonical: number, way: to}
        - {native: seq, canonical: title, way: to}
  - connector: blind
    name: product
    body: |
      apiVersion: shuniu/mapping/v1
      connector: blind
      entity: product
      rules:
        - {native: id, canonical: id, way: to}
        - {native: number, canonical: number, way: to}
        - {native: seq, canonical: title, way: to}
routes:
  - {key: keep, from: {connection: shop, entity: product}, to: [{connection: keyed, operation: record.put}]}
  - {key: ask, from: {connection: shop, entity: product}, to: [{connection: asked, operation: note.add}]}
  - {key: tell, from: {connection: shop, entity: product}, order: skip, to: [{connection: blind, operation: note.add}]}
"""
SITE = SITE.replace("      errors: &errors\n", "").replace(" &rules", "")


class Hub:
    """The processes of one hub under its supervisor, which a trial may kill, stop and start again by their pids."""

    def __init__(
        self, folder: Path, *, database_url: str, redis_url: str, workers: int, inject: dict[str, Any]
    ) -> None:
        self.folder = folder
        self.config = settings.load(
            data_dir=folder / "data", database_url=database_url or None, redis_url=redis_url or None,
            secret_key=secrets.token_urlsafe(48), port=processes.free_port(), workers=workers, log_level="WARNING",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.config.port}"
        self.log = folder / "hub.log"
        self.inject = inject
        self.child: subprocess.Popen[bytes] | None = None
        self._environment = self.config.environment() | ({} if redis_url else {"SHUNIU_REDIS_URL": ""})
        del self._environment["PROMETHEUS_MULTIPROC_DIR"]

    def launch(self) -> None:
        """Starts the supervisor and with it everything; returns at once."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.faults.launch", json.dumps(self.inject), "all", "0.1"],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=children.dies_with_parent(),
            )  # fmt: skip

    async def up(self, seconds: float = 60.0) -> float:
        """Starts, and waits until it is ready to take events; returns how long that took."""
        begun = time.monotonic()
        self.launch()
        await self.ready(seconds)
        return time.monotonic() - begun

    async def ready(self, seconds: float = 60.0) -> None:
        """Returns when ``/readyz`` says so; raises TimeoutError with the end of the log."""
        end = time.monotonic() + seconds
        async with httpx.AsyncClient(timeout=3.0) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return
                assert self.child is not None
                if self.child.poll() is not None or time.monotonic() > end:
                    raise TimeoutError(f"the hub is not ready (exit {self.child.poll()}):\n{self.tail()}")
                await asyncio.sleep(0.05)

    async def down(self, sign: int = signal.SIGTERM, seconds: float = 45.0) -> float:
        """Ends everything with a signal to the supervisor; returns how long that took."""
        begun = time.monotonic()
        if self.child is not None:
            pids = processes.descendants(self.child.pid)
            if self.child.poll() is None:
                self.child.send_signal(sign)
            try:
                await asyncio.to_thread(self.child.wait, seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(10)
                raise
            finally:
                await _gone(pids)
                self.child = None
        return time.monotonic() - begun

    def pids(self, role: str = "") -> dict[str, int]:
        """Name -> pid of what the supervisor runs now, of one role or all."""
        told = supervisor.status(self.config.data_dir) or {"children": []}
        return {one["name"]: one["pid"] for one in told["children"] if one["pid"] and (not role or one["role"] == role)}

    def kill(self, name: str, sign: int = signal.SIGKILL) -> int:
        """Signals one child by its name; returns its pid, 0 when it has none right now."""
        pid = self.pids().get(name, 0)
        if pid and self.child is not None and pid in processes.descendants(self.child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
                return pid
        return 0

    async def back(self, name: str, old: int, seconds: float = 60.0) -> None:
        """Waits until the child of this name is another process than before."""
        end = time.monotonic() + seconds
        while self.pids().get(name, 0) in (0, old):
            if time.monotonic() > end:
                raise TimeoutError(f"{name} did not come back:\n{self.tail()}")
            await asyncio.sleep(0.05)

    def memory(self) -> dict[str, float]:
        """Name -> resident MiB of each child."""
        found = {}
        for name, pid in self.pids().items():
            with contextlib.suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                found[name] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return found

    def tail(self, size: int = 4000) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-size:] if self.log.exists() else ""


class Ground:
    """A hub, its sender and its systems."""

    def __init__(self, made: Hub, systems: sink.Sink, sender: producer.Producer) -> None:
        self.hub, self.sink, self.sender = made, systems, sender
        self.ledger = session.open_ledger(made.config.database_url, owner="trial", pool=2)
        self.sealer = sealing.Sealer(made.config.secret_key.get_secret_value())

    async def apply(self, text: str) -> None:
        """Applies a hub.yaml text with the addresses of this trial."""
        known = {"SINK": self.sink.url, "SECRET": producer.SECRET}
        await hub.apply(self.ledger, self.sealer, hub_file.read(text, "hub.yaml", variables=known), actor="trial")

    async def balance(self) -> tallies.Balance:
        async with self.ledger.read() as connection:
            return await tallies.balance(connection)

    async def rows(self, statement: str) -> list[Any]:
        async with self.ledger.read() as connection:
            return list((await connection.exec_driver_sql(statement)).all())

    @contextlib.asynccontextmanager
    async def client(self, role: str = "operator") -> AsyncIterator[httpx.AsyncClient]:
        """The admin API, as a program with a token of this role."""
        name = f"trial-{secrets.token_hex(4)}"
        async with self.ledger.write() as connection:
            token, _ = await security.issue_token(connection, self.sealer, name, role, time.time(), None, "trial")
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.hub.url, headers=headers, timeout=20.0) as made:
            yield made

    @contextlib.asynccontextmanager
    async def load(self, rate: float = 50.0, patience: float = 60.0) -> AsyncIterator[None]:
        """Pushes come at this rate for as long as the block runs; the last ones are taken before it ends."""
        stop = asyncio.Event()

        async def flow() -> None:
            while not stop.is_set():
                await self.sender.send(max(int(rate / 4), 1), rate, patience)

        flowing = asyncio.create_task(flow())
        try:
            yield
            stop.set()
            await flowing
        finally:
            flowing.cancel()
            await asyncio.gather(flowing, return_exceptions=True)

    async def quiet(self, seconds: float = 60.0) -> float:
        """Waits until nothing is owed but what waits for a person; returns how long that took (I4)."""
        begun = time.monotonic()
        calm = 0
        while True:
            try:
                balance = await self.balance()
            except session.LedgerUnavailable:
                balance, calm = None, 0
            if balance is not None:
                assert balance.difference == 0, balance.line()
                calm = calm + 1 if balance.in_flight == balance.parked and not await self._open() else 0
                if calm >= 2:
                    return time.monotonic() - begun
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"not quiet within {seconds} s: {await self.story()}\n{self.hub.tail()}")
            await asyncio.sleep(0.15)

    async def _open(self) -> bool:
        return bool(
            await self.rows("SELECT 1 FROM deliveries WHERE state IN ('pending','in_flight','retrying') LIMIT 1")
        )

    def slowest(self, since: int = 0) -> float:
        """The longest way of an event from its 2xx to its first effect, in seconds; without the first so many."""
        first: dict[str, float] = {}
        for one in self.sink.effects:
            first.setdefault(one.number, one.at)
        accepted = list(self.sender.accepted.items())[since:]
        return max((first[number] - at for number, at in accepted if number in first), default=0.0)

    async def story(self) -> str:
        """What stands where, for a trial that failed."""
        rows = await self.rows(
            "SELECT route_key, state, reason, count(*) AS n, max(attempt) AS tries, max(detail) AS said"
            " FROM deliveries GROUP BY route_key, state, reason"
        )
        waiting = await self.rows("SELECT state, reason, count(*) AS n FROM inbox GROUP BY state, reason")
        said = [f"{(await self.balance()).line()}"]
        said += [f"inbox {one.state} {one.reason or ''}: {one.n}" for one in waiting]
        said += [
            f"{one.route_key} {one.state} {one.reason or ''}: {one.n} (≤{one.tries} tries) {one.said or ''}"
            for one in rows
        ]
        return "\n".join(said)

    async def account(self) -> checker.Account:
        """Joins the three sides; call it when all is quiet."""
        self.sink.sync()
        async with self.client() as api:
            told = (await api.get("/api/v1/ledger")).json()
            metrics = (await api.get("/metrics")).text
        return await checker.account(self.ledger, self.sender, self.sink, told, metrics)

    async def held(self, *, seconds: float = 60.0, metrics: bool = True) -> checker.Account:
        """Waits for quiet, counts, and asserts every invariant; returns the account with the figures.

        ``metrics`` false: without those of ``/metrics``, which are up to five seconds old.
        """
        took = await self.quiet(seconds)
        deadline = time.monotonic() + 20.0
        found = await self.account()
        if not metrics:
            found.unbalanced = [one for one in found.unbalanced if "metrics" not in one]
        while metrics and found.stale_metrics and time.monotonic() < deadline:  # the gauges are read every five seconds
            await asyncio.sleep(0.5)
            found = await self.account()
        found.figures["quiet_after"] = round(took, 1)
        problems = found.problems()
        assert not problems, "\n".join([*problems, await self.story(), self.hub.tail()])
        return found


@contextlib.asynccontextmanager
async def ground(
    folder: Path,
    seed: int,
    *,
    database_url: str = "",
    redis_url: str = "",
    workers: int = 2,
    records: int = 40,
    text: str = SITE,
    inject: dict[str, Any] | None = None,
) -> AsyncIterator[Ground]:
    """A running ground; everything of it ends with the block, also when the block raises."""
    systems = sink.Sink(folder)
    await systems.up()
    given = {"backoff": [0.05], **(inject or {})}
    made = Hub(folder, database_url=database_url, redis_url=redis_url, workers=workers, inject=given)
    try:
        await migrate.upgrade(made.config.database_url)
        sender = producer.Producer(f"{made.url}/hooks/shop", folder, seed, records)
        one = Ground(made, systems, sender)
        try:
            await one.apply(text)
            await made.up()
            yield one
        finally:
            await one.ledger.close()
    finally:
        await made.down()
        await systems.down()


async def _gone(pids: list[int]) -> None:
    """Waits until these processes are no more; kills what the kernel has not taken by then."""
    end = time.monotonic() + 10.0
    while left := [one for one in pids if Path(f"/proc/{one}").exists() and not ended(one)]:
        if time.monotonic() > end:
            for one in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            end += 5.0
        await asyncio.sleep(0.05)


def ended(pid: int) -> bool:
    """A process that has ended and was not fetched yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True

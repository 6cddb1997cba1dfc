"""A real hub for fault tests: its own processes, configured by a hub.yaml text, on either database."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from gateway import hub, hub_file, migrate, security, settings
from gateway.trial import processes
from retry_queue.ledger import secrets as sealing
from retry_queue.ledger import session, tallies
from tests.faults import systems


class House:
    """A running hub."""

    def __init__(self, config: settings.Settings, log: Path) -> None:
        self.config = config
        self.url = f"http://127.0.0.1:{config.port}"
        self.log = log
        self.ledger = session.open_ledger(config.database_url, owner="faults", pool=2)
        self.sealer = sealing.Sealer(config.secret_key.get_secret_value())

    async def apply(self, text: str, values: Mapping[str, str]) -> None:
        """Applies a hub.yaml text."""
        await hub.apply(self.ledger, self.sealer, hub_file.read(text, "hub.yaml", variables=values), actor="test")

    async def balance(self) -> tallies.Balance:
        async with self.ledger.read() as connection:
            return await tallies.balance(connection)

    async def rows(self, statement: str) -> list[Any]:
        async with self.ledger.read() as connection:
            return list((await connection.exec_driver_sql(statement)).all())

    async def quiet(self, those: list[systems.System], seconds: float) -> float:
        """Waits until nothing is pushed and nothing is owed; returns how long that took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        calm = 0
        while loop.time() - begun < seconds:
            balance = await self.balance()
            assert balance.difference == 0, balance.line()
            busy = any(one.pending for one in those) or balance.in_flight != balance.parked
            calm = 0 if busy else calm + 1
            if calm > 3:
                return loop.time() - begun
            await asyncio.sleep(0.1)
        raise AssertionError(f"not quiet within {seconds} s: {(await self.balance()).line()}\n{self.tail()}")

    @contextlib.asynccontextmanager
    async def client(self, role: str) -> AsyncIterator[httpx.AsyncClient]:
        """The admin API, as a program with a token of this role."""
        async with self.ledger.write() as connection:
            token, _ = await security.issue_token(
                connection, self.sealer, f"test-{role}", role, time.time(), None, "test"
            )
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1", headers=headers, timeout=20.0) as made:
            yield made

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8")[-4000:] if self.log.exists() else ""


@contextlib.asynccontextmanager
async def standing(
    folder: Path, *, database_url: str = "", redis_url: str = "", workers: int = 1
) -> AsyncIterator[House]:
    """Starts a hub in ``folder`` and ends it."""
    config = settings.load(
        data_dir=folder / "data", database_url=database_url or None, redis_url=redis_url or None,
        secret_key=secrets.token_urlsafe(48), port=processes.free_port(), workers=workers, log_level="WARNING",
        egress_allow="127.0.0.0/8",
    )  # fmt: skip
    environment = config.environment() | ({} if redis_url else {"SHUNIU_REDIS_URL": ""})
    del environment["PROMETHEUS_MULTIPROC_DIR"]
    await migrate.upgrade(config.database_url)
    with processes.started(["gateway.serve", "all", "0.1"], environment, log=folder / "hub.log"):
        await processes.reachable(config.port)
        made = House(config, folder / "hub.log")
        try:
            yield made
        finally:
            await made.ledger.close()


PAIR = """
apiVersion: shuniu/v1
connections:
  - key: one
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: customer, base_url: "${ONE}", record_path: /c}
    secrets: {hook_secret: "${SECRET}"}
  - key: two
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: customer, base_url: "${TWO}", record_path: /c}
    secrets: {hook_secret: "${SECRET}"}
entities:
  customer: ${RULE}
routes:
  - {key: there, from: {connection: one, entity: customer}, to: [{connection: two, operation: record.put}]}
  - {key: back, from: {connection: two, entity: customer}, to: [{connection: one, operation: record.put}]}
"""


@contextlib.asynccontextmanager
async def pair(
    folder: Path, rule: str, pushes: tuple[systems.Push, systems.Push], *, seed: int, **how: Any
) -> AsyncIterator[tuple[House, list[systems.System]]]:
    """A hub between two systems that both keep customers."""
    those = [systems.System(key, seed + place, pushes[place]) for place, key in enumerate(("one", "two"))]
    for one in those:
        await one.up()
    try:
        async with standing(folder, **how) as house:
            for one in those:
                one.hook = f"{house.url}/hooks/{one.key}"
            text = PAIR.replace("${RULE}", rule)
            await house.apply(text, {"ONE": those[0].url, "TWO": those[1].url, "SECRET": systems.SECRET})
            await asyncio.sleep(1.5)  # every process has taken the configuration over
            yield house, those
    finally:
        for one in those:
            await one.down()

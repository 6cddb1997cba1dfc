"""The hub as the bench runs it: its own processes over a ledger of its own, with a few doors and one route each."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from redis import asyncio as aioredis

from gateway import migrate, settings, telemetry
from gateway.bench import callbacks, orders, target
from gateway.trial import processes
from retry_queue.ledger import configuration, connections, session, tallies
from retry_queue.ledger import secrets as sealing
from retry_queue.ledger.states import ConnectionState

SERVE = "gateway.serve"
DOORS = {"shop": "id", "flood": "message", "calm": "id"}
"""Source -> where its events say which they are; each has a target of its own, ``<source>_erp``."""


class Product:
    """A hub's settings and ledger; its processes run for the length of the blocks below."""

    def __init__(self, config: settings.Settings, redis: str, ledger: session.Ledger, sealer: sealing.Sealer) -> None:
        self.config, self.redis, self.ledger, self.sealer = config, redis, ledger, sealer
        self.port = config.port
        self.log = config.data_dir / "hub.log"

    @contextmanager
    def running(self, *roles: str) -> Iterator[list[int]]:
        """One process per role (``api``, ``worker``, ``all``); gives their ids."""
        with ExitStack() as stack:
            environment = self.config.environment()
            started = [processes.started([SERVE, role], environment, self.log) for role in roles]
            yield [stack.enter_context(one).pid for one in started]

    async def forget(self) -> None:
        """Empties what came in, so that what follows starts without a backlog, as ceiling F does with its own tables.

        No process of the hub runs. On PostgreSQL nothing is left to be vacuumed meanwhile.
        """
        word = "TRUNCATE" if self.ledger.dialect == "postgresql" else "DELETE FROM"
        async with self.ledger.write() as db:
            for table in ("lanes", "attempts", "deliveries", "canonicals", "inbox", "events", "tallies"):
                await db.exec_driver_sql(f"{word} {table}")

    async def balance(self) -> tallies.Balance:
        async with self.ledger.read() as db:
            return await tallies.balance(db)

    async def quiet(self, seconds: float = 240.0) -> None:
        """Returns when nothing is owed any more; raises TimeoutError."""
        end = time.monotonic() + seconds
        while (left := (await self.balance()).in_flight) > 0:
            if time.monotonic() > end:
                raise TimeoutError(f"{left} events are still in flight")
            await asyncio.sleep(0.1)

    async def commits(self) -> int:
        """Transactions that wrote something since this server began (PostgreSQL; 0 elsewhere)."""
        if self.ledger.dialect != "postgresql":
            return 0
        async with self.ledger.read() as db:
            return int((await db.exec_driver_sql("SELECT pg_current_xact_id()::text::bigint")).scalar_one())

    async def jobs(self) -> int:
        """Jobs that arq was handed since this Redis began: each leaves one key that expires."""
        client = aioredis.Redis.from_url(self.redis)
        try:
            told: dict[str, Any] = await client.info("commandstats")
        finally:
            await client.aclose()
        return int(told.get("cmdstat_psetex", {}).get("calls", 0))


@asynccontextmanager
async def made(folder: Path, database: str, redis: str, sink: int) -> AsyncIterator[Product]:
    """A hub ready to be started; ``database`` empty: SQLite in the folder."""
    config = settings.load(
        data_dir=folder,
        database_url=database or None,
        redis_url=redis or None,
        secret_key=secrets.token_urlsafe(48),
        egress_allow="127.0.0.0/8",  # the sink
        port=processes.free_port(),
        log_level="WARNING",
    )
    telemetry.wipe(config.metrics_dir)
    await migrate.upgrade(config.database_url)
    ledger = session.open_ledger(config.database_url, owner="bench", pool=1)
    sealer = sealing.Sealer(config.secret_key.get_secret_value())
    now, enabled = time.time(), ConnectionState.ENABLED
    async with ledger.write() as db:
        for source, dedupe in DOORS.items():
            taking = {"verify_style": "hmac", "verify_header": orders.HEADER, "dedupe_path": dedupe}
            sending = {"verify_style": "closed", "base_url": f"http://{target.HOST}:{sink}", "record_path": "/orders"}
            await connections.put(db, sealer, source, "http", taking, {"hook_secret": orders.SECRET}, enabled, now)
            await connections.put(db, sealer, f"{source}_erp", "http", sending, {}, enabled, now)
            route = {
                "from": {"connection": source, "entity": "order"},
                "when": 'order.status == "paid" && !order.hold',
                "to": [{"connection": f"{source}_erp", "operation": "record.put"}],
            }
            await configuration.put_route(db, f"{source}-orders", route, True)
        office = (callbacks.CONNECTOR, callbacks.CONFIG, callbacks.SECRETS)
        await connections.put(db, sealer, "office", *office, enabled, now)
        await configuration.touch(db)
    try:
        yield Product(config, redis, ledger, sealer)
    finally:
        await ledger.close()

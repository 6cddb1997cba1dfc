"""Runs the bench: the product beside ceiling F, PostgreSQL and embedded, in one run on one machine.

Keys of the result: ``ingress.*`` acknowledged events per second, durable before the acknowledgement;
``end_to_end.*`` from the first hand-in until the last delivery; ``…ratio`` is product / ceiling;
``cpu_ms_per_event`` sums every process and PostgreSQL; ``idle`` is hand-in to arrival at 20 per second.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from gateway import migrate, settings, telemetry, valkey
from gateway.bench import ceiling, load, orders
from gateway.trial import postgres, processes
from retry_queue.ledger import configuration, connections, session, tallies
from retry_queue.ledger import secrets as sealing
from retry_queue.ledger.states import ConnectionState

CONNECTIONS = 64
HOST = "127.0.0.1"


@dataclass(slots=True)
class Size:
    """How much to send."""

    ingress: int
    end_to_end: int
    idle: int


QUICK = Size(ingress=4000, end_to_end=4000, idle=60)
FULL = Size(ingress=20000, end_to_end=20000, idle=300)


class Sender:
    """Numbers every event of a bench run once."""

    def __init__(self) -> None:
        self.next = 1

    def requests(self, path: str, port: int, count: int) -> Iterator[bytes]:
        start, self.next = self.next, self.next + count
        return iter(list(orders.requests(path, f"{HOST}:{port}", start, count)))


def stats(port: int) -> dict[str, int]:
    """What the sink has seen."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/stats", timeout=10) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def times(port: int) -> dict[str, float]:
    """Order id -> when the sink first saw it."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/times", timeout=30) as answer:
        found: dict[str, float] = json.load(answer)
        return found


async def seen(port: int, count: int, seconds: float = 180.0) -> None:
    """Returns when the sink has seen so many different orders."""
    end = time.monotonic() + seconds
    while (await asyncio.to_thread(stats, port))["seen"] < count:
        if time.monotonic() > end:
            raise TimeoutError(f"only {stats(port)['seen']} of {count} arrived")
        await asyncio.sleep(0.05)


async def measured(path: str, port: int, sink: int, sender: Sender, count: int, roots: list[int]) -> dict[str, float]:
    """Sends ``count`` orders saturated and waits for all of them at the sink."""
    before = stats(sink)["seen"]
    requests = sender.requests(path, port, count)
    cpu = processes.cpu_seconds(roots)
    begun = time.perf_counter()
    sent = await load.saturate(HOST, port, requests, CONNECTIONS)
    await seen(sink, before + sent.accepted)
    taken = time.perf_counter() - begun
    spent = processes.cpu_seconds(roots) - cpu
    return {
        "per_s": sent.accepted / taken,
        "cpu_ms_per_event": 1000 * spent / max(sent.accepted, 1),
        "ack_p99_ms": sent.quantile(0.99),
        "refused": float(sent.refused),
    }


async def idle(path: str, port: int, sink: int, sender: Sender, count: int) -> dict[str, float]:
    """Hand-in to arrival at 20 events per second."""
    keys = [orders.order(number)["id"] for number in range(sender.next, sender.next + count)]
    before = stats(sink)["seen"]
    sent, sent_at = await load.steady(HOST, port, sender.requests(path, port, count), 20.0)
    await seen(sink, before + sent.accepted, 30.0)
    arrived = times(sink)
    waits = sorted(1000 * (arrived[key] - at) for key, at in zip(keys, sent_at, strict=True) if key in arrived)
    return {
        "idle_p50_ms": waits[len(waits) // 2],
        "idle_p99_ms": waits[min(int(len(waits) * 0.99), len(waits) - 1)],
        "idle_ack_p50_ms": sent.quantile(0.5),
    }


async def run_ceiling(database: str, server: int, sink: int, sender: Sender, size: Size) -> dict[str, dict[str, float]]:
    """Ceiling F on PostgreSQL."""
    plain = database.replace("postgresql+asyncpg", "postgresql")
    port = processes.free_port()

    async def fresh() -> None:
        connection = await asyncpg.connect(plain)
        await connection.execute(ceiling.SCHEMA)
        await connection.close()

    await fresh()
    with processes.started(["gateway.bench.ceiling", "ingest", plain, str(port)]) as ingest:
        await processes.reachable(port)
        await load.saturate(HOST, port, sender.requests("/hook", port, 500), CONNECTIONS)
        sent = await load.saturate(HOST, port, sender.requests("/hook", port, size.ingress), CONNECTIONS)
        await fresh()
        target = f"http://{HOST}:{sink}/orders"
        with processes.started(["gateway.bench.ceiling", "worker", plain, target]) as work:
            await measured("/hook", port, sink, sender, 300, [])
            found = await measured("/hook", port, sink, sender, size.end_to_end, [ingest.pid, work.pid, server])
            waits = await idle("/hook", port, sink, sender, size.idle)
    return {"ingress": {"per_s": sent.per_second, "ack_p99_ms": sent.quantile(0.99)}, "end_to_end": found | waits}


@asynccontextmanager
async def product(folder: Path, database: str, redis: str, sink: int) -> AsyncIterator[settings.Settings]:
    """A hub's settings with the bench's two connections and one route, nothing started."""
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
    now = time.time()
    source = {"verify_style": "hmac", "verify_header": orders.HEADER, "dedupe_path": "id"}
    target = {"verify_style": "closed", "base_url": f"http://{HOST}:{sink}", "record_path": "/orders"}
    route = {
        "from": {"connection": "shop", "entity": "order"},
        "when": 'order.status == "paid" && !order.hold',
        "to": [{"connection": "erp", "operation": "record.put"}],
    }
    enabled = ConnectionState.ENABLED
    async with ledger.write() as db:
        await connections.put(db, sealer, "shop", "http", source, {"hook_secret": orders.SECRET}, enabled, now)
        await connections.put(db, sealer, "erp", "http", target, {}, enabled, now)
        await configuration.put_route(db, "orders", route, True)
        await configuration.touch(db)
    try:
        yield config
    finally:
        await ledger.close()


async def run_product(
    folder: Path, database: str, redis: str, server: int | None, sink: int, sender: Sender, size: Size
) -> dict[str, dict[str, float]]:
    """The product with one API and one worker process."""
    extra = [server] if server else []
    async with product(folder, database, redis, sink) as config:
        serve = ["gateway.serve"]
        environment = config.environment()
        path, port = "/hooks/shop", config.port
        log = folder / "hub.log"
        with ExitStack() as stack:
            begun = time.perf_counter()
            api = stack.enter_context(processes.started([*serve, "api"], environment, log))
            await processes.reachable(port)
            start = time.perf_counter() - begun
            await load.saturate(HOST, port, sender.requests(path, port, 500), CONNECTIONS)
            sent = await load.saturate(HOST, port, sender.requests(path, port, size.ingress), CONNECTIONS)
            await _emptied(config)
            work = stack.enter_context(processes.started([*serve, "worker"], environment, log))
            await measured(path, port, sink, sender, 300, [])
            found = await measured(path, port, sink, sender, size.end_to_end, [api.pid, work.pid, *extra])
            waits = await idle(path, port, sink, sender, size.idle)
            memory = processes.pss_mib([api.pid, work.pid])
        balance = await _balance(config)
    return {
        "ingress": {"per_s": sent.per_second, "ack_p99_ms": sent.quantile(0.99), "refused": float(sent.refused)},
        "end_to_end": found | waits,
        "process": {"start_s": start, "pss_mib": memory},
        "ledger": {"difference": float(balance.difference), "in_flight": float(balance.in_flight)},
    }


async def _emptied(config: settings.Settings) -> None:
    """Forgets what the ingress part left, so that the end-to-end part starts empty."""
    ledger = session.open_ledger(config.database_url, owner="bench", pool=1)
    async with ledger.write() as db:
        for table in ("inbox", "events", "tallies"):
            await db.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - a fixed name
    await ledger.close()


async def _balance(config: settings.Settings) -> tallies.Balance:
    ledger = session.open_ledger(config.database_url, owner="bench", pool=1)
    try:
        async with ledger.read() as db:
            return await tallies.balance(db)
    finally:
        await ledger.close()


async def bench(size: Size, console: Console, database_url: str = "") -> dict[str, Any]:
    """The whole bench; returns nested results."""
    found: dict[str, Any] = {"machine": machine()}
    with ExitStack() as stack:
        folder = _folder(stack)
        sink_process = stack.enter_context(processes.started(["gateway.bench.sink"]))
        if sink_process.stdout is None:
            raise RuntimeError("the sink says no port")
        sink = int(sink_process.stdout.readline())
        sender = Sender()
        if database_url or postgres.binaries() is not None:
            pid, url, ceiling_url = _databases(stack, folder, database_url)
            redis = stack.enter_context(valkey.serve(folder / "redis"))
            console.print("ceiling F …", highlight=False)
            found["ceiling"] = await run_ceiling(ceiling_url, pid, sink, sender, size)
            console.print("product on PostgreSQL …", highlight=False)
            found["postgres"] = await run_product(folder / "postgres", url, redis, pid, sink, sender, size)
            _ratios(found)
        console.print("product embedded (SQLite) …", highlight=False)
        redis = stack.enter_context(valkey.serve(folder / "redis2"))
        found["embedded"] = await run_product(folder / "embedded", "", redis, None, sink, sender, size)
        found["duplicates"] = stats(sink)["twice"]
    return found


def _folder(stack: ExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shuniu-bench-", dir="/tmp")))
    folder.chmod(0o711)  # PostgreSQL, which will not be root, must be able to walk in
    return folder


def _databases(stack: ExitStack, folder: Path, given: str) -> tuple[int, str, str]:
    if given:
        return 0, given, given
    options = ["synchronous_commit=on", "shared_buffers=256MB", "max_wal_size=2GB"]
    server = postgres.PostgresServer(folder / "pg", durable=True, options=options)
    running = server.start()
    stack.callback(server.stop)
    return running.pid, stack.enter_context(running.database()), stack.enter_context(running.database())


def _ratios(found: dict[str, Any]) -> None:
    mine, top = found["postgres"], found["ceiling"]
    found["ingress"] = {
        "per_s": mine["ingress"]["per_s"],
        "ratio": mine["ingress"]["per_s"] / top["ingress"]["per_s"],
    }
    found["end_to_end"] = {
        "per_s": mine["end_to_end"]["per_s"],
        "ratio": mine["end_to_end"]["per_s"] / top["end_to_end"]["per_s"],
        "idle_p50_ms": mine["end_to_end"]["idle_p50_ms"],
        "idle_p99_ms": mine["end_to_end"]["idle_p99_ms"],
        "cpu_ms_per_event": mine["end_to_end"]["cpu_ms_per_event"],
        "cpu_ratio": mine["end_to_end"]["cpu_ms_per_event"] / top["end_to_end"]["cpu_ms_per_event"],
    }


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "system": platform.system()}


def flat(found: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"ingress.per_s": …}`` for scripts."""
    out: dict[str, Any] = {}
    for key, value in found.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


def run(*, quick: bool = False, as_json: bool = False, database_url: str = "") -> int:
    """``shuniu bench``; returns the exit code."""
    console = Console(stderr=True, quiet=as_json)
    found = flat(asyncio.run(bench(QUICK if quick else FULL, console, database_url)))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return 0
    table = Table("measure", "value", title=f"shuniu bench, {found['machine.cores']} cores")
    for key, value in found.items():
        table.add_row(key, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)
    return 0

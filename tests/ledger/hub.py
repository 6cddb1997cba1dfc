"""A hub in this process: a source by hook, a target on a socket, and as many workers as a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from connectors.core import model
from gateway import settings, wiring
from retry_queue import append, dispatch, pump, tasks
from retry_queue.ledger import configuration, connections, secrets, session, tallies
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import breaker
from tests import hooks
from tests.ledger import making, target
from webhooks import receive

SECRET = "hook secret"
MASTER = "a master key of the tests, long enough"
SEALER = secrets.Sealer(MASTER)


def order(name: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    """An order as the source tells it; ``minute`` is its modification time."""
    return {
        "id": name, "number": name, "status": "paid", "total": "188.00",
        "updated_at": f"2024-11-11T{minute // 60:02}:{minute % 60:02}:00+00:00",
    } | more  # fmt: skip


async def connect(
    ledger: session.Ledger, key: str, config: dict[str, Any], clear: dict[str, str] | None = None
) -> None:
    """Stores an enabled connection of the generic connector."""
    async with ledger.write() as connection:
        state = ConnectionState.ENABLED
        await connections.put(connection, SEALER, key, "http", config, clear or {}, state, time.time())
        await configuration.touch(connection)


async def source(ledger: session.Ledger, key: str = "shop", entity: str = "order") -> None:
    config = {"verify_style": "hmac", "verify_header": "X-Signature", "entity": entity}
    await connect(ledger, key, config, {"hook_secret": SECRET})


async def sink(ledger: session.Ledger, url: str, key: str = "erp", **config: Any) -> None:
    await connect(ledger, key, {"verify_style": "closed", "base_url": url, "record_path": "/orders", **config})


async def route(
    ledger: session.Ledger, key: str = "r", to: str | list[dict[str, Any]] = "erp", operation: str = "record.put",
    of: str = "shop", **more: Any,
) -> None:  # fmt: skip
    targets = [{"connection": to, "operation": operation}] if isinstance(to, str) else to
    spec = {"from": {"connection": of, "entity": "order"}, "to": targets} | more
    async with ledger.write() as connection:
        await configuration.put_route(connection, key, spec, True)
        await configuration.touch(connection)


async def set_state(ledger: session.Ledger, key: str, state: ConnectionState) -> None:
    """As a person enables or pauses a connection."""
    async with ledger.write() as connection:
        await connections.set_state(connection, key, state, None, time.time())
        await configuration.touch(connection)


@dataclass
class Worker:
    """One process's worth: its own ledger, client, pumps."""

    hub: wiring.Hub
    pumps: pump.Pumps
    receiver: receive.Receiver
    work: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def ledger(self) -> session.Ledger:
        return self.hub.ledger

    async def push(self, *bodies: dict[str, Any] | bytes, key: str = "shop") -> None:
        """Hands in signed calls at once; as every sender does, again when we said "not now"."""

        async def one(body: dict[str, Any] | bytes) -> None:
            raw = body if isinstance(body, bytes) else orjson.dumps(body)
            proof = hooks.proof(raw, SECRET)
            hook = model.RawHook("POST", {}, {"x-signature": proof}, raw)
            for _ in range(10):
                with contextlib.suppress(session.LedgerUnavailable):
                    await self.receiver.accept(self.receiver.door(key), hook)
                    return
            raise session.LedgerUnavailable("ten tries")

        await asyncio.gather(*(one(body) for body in bodies))

    async def balance(self) -> tallies.Balance:
        async with self.ledger.read() as connection:
            return await tallies.balance(connection)

    async def settled(self, seconds: float = 20.0) -> tallies.Balance:
        """Waits until nothing is in flight; the ledger must balance."""

        async def check() -> tallies.Balance | None:
            found = await self.balance()
            assert found.difference == 0, found.line()
            return found if found.received and found.in_flight == 0 else None

        found = await making.until(check, seconds, "nothing in flight")
        assert isinstance(found, tallies.Balance)
        return found

    async def deliveries(self) -> list[Any]:
        return await making.rows(self.ledger, "SELECT * FROM deliveries ORDER BY id")


async def build(
    url: str, redis: str | None = None, rule: breaker.Rule = breaker.USUAL, sources: tuple[str, ...] = ()
) -> Worker:
    """A worker that is not running yet; ``sources`` are where secrets may live outside."""
    config = settings.Settings(database_url=url, secret_key=MASTER, secret_sources=sources)
    hub = await wiring.build(config, "test")
    hub.bell = dispatch.Bell(redis)
    hub.appender = append.Appender(hub.ledger, hub.bell.ring)
    pumps = pump.Pumps(hub.ledger, hub.calls, hub.sealer, hub.current, hub.reload, rule)
    made = Worker(hub, pumps, receive.Receiver(hub.door, hub.appender))
    if redis is not None:
        made.work.append(asyncio.create_task(dispatch.listen(redis, tasks.wake(pumps.rung), hub.stopped)))
    return made


@contextlib.asynccontextmanager
async def running(
    url: str, redis: str | None = None, rule: breaker.Rule = breaker.USUAL, sources: tuple[str, ...] = ()
) -> AsyncIterator[Worker]:
    """A worker at work; stopped in order at the end, which must not take long."""
    made = await build(url, redis, rule, sources)
    if sources:
        made.work.append(asyncio.create_task(wiring.follow(made.hub)))
    made.work.append(asyncio.create_task(made.pumps.run(made.hub.stopped)))
    try:
        yield made
    finally:
        made.hub.stopped.set()
        async with asyncio.timeout(30):
            await asyncio.gather(*made.work)
        await made.hub.close()


@contextlib.asynccontextmanager
async def targets(*names: str) -> AsyncIterator[dict[str, target.Target]]:
    """Target systems that are up."""
    made = {name: target.Target() for name in names}
    for one in made.values():
        await one.up()
    try:
        yield made
    finally:
        for one in made.values():
            one.gate.set()
            await one.down()


@contextlib.asynccontextmanager
async def wired(ledger: session.Ledger) -> AsyncIterator[target.Target]:
    """A source ``shop``, a target ``erp`` that is up, and a route of all orders between them."""
    async with targets("erp") as made:
        await source(ledger)
        await sink(ledger, made["erp"].url)
        await route(ledger)
        yield made["erp"]

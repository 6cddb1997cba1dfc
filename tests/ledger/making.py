"""What the ledger tests make and look at: events, planned deliveries, results, and waiting for a condition."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue.ledger import inbox, lane, outbox, records, session
from retry_queue.ledger.states import DeliveryState, EventState

Check = Callable[[], Any] | Callable[[], Awaitable[Any]]


async def until(check: Check, seconds: float = 20.0, what: str = "the condition") -> Any:
    """Ask ``check`` until it answers something true and return that; raises TimeoutError."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come true within {seconds} s")
        await asyncio.sleep(0.01)


async def rows(ledger: session.Ledger, query: str, **given: Any) -> list[Any]:
    """What a plain query says."""
    async with ledger.read() as connection:
        return list(await connection.execute(text(query), given))


async def change(ledger: session.Ledger, query: str, **given: Any) -> None:
    async with ledger.write() as connection:
        await connection.execute(text(query), given)


def event(dedupe: str, key: str = "shop", **more: Any) -> inbox.NewEvent:
    given = {
        "source": "hook",
        "message": "record",
        "entity": "order",
        "record": dedupe,
        "payload": f'{{"id":"{dedupe}"}}',
        "occurred_at": None,
        "trace": "0" * 32,
    } | more
    return inbox.NewEvent(connection_key=key, dedupe=dedupe, **given)


async def append(ledger: session.Ledger, *events: inbox.NewEvent) -> list[int | None]:
    async with ledger.write() as connection:
        return await inbox.append(connection, events)


async def a_record(connection: AsyncConnection, ref: records.Ref = ("shop", "order", "T1")) -> int:
    """The row id of a record the ledger knows."""
    kept = await records.keep(connection, [records.State(ref, None, None, "f", "{}", 0)])
    return kept[ref][0] if kept else (await records.find(connection, [ref]))[ref].id


async def owe(
    ledger: session.Ledger,
    name: str,
    *,
    lane_name: str = "erp/order/1",
    kind: str = "act",
    version: float | None = None,
    route: str = "r",
    position: int = 0,
    delay: float = 0.0,
    target: str | None = None,
    priority: int = inbox.LIVE,
    record: int | None = None,
) -> int:
    """One planned event with one delivery, as intake writes them; returns the delivery's id."""
    async with ledger.write() as connection:
        record = record or await a_record(connection)
        made = (await inbox.append(connection, [event(name)]))[0]
        assert made is not None
        await connection.execute(text("UPDATE inbox SET state = 'planned' WHERE id = :id"), {"id": made})
        await connection.execute(
            text("INSERT INTO canonicals (event_id, entity, mapping, body) VALUES (:id, 'order', 'm', '{}')"),
            {"id": made},
        )
        await outbox.plan(connection, [
            lane.NewDelivery(
                event_id=made, route_key=route, connection_key=target or lane_name.split("/")[0], operation="put",
                position=position, kind=kind, record_id=record, lane=lane_name, version=version, hop=0,
                priority=priority, delay=delay,
            )
        ])  # fmt: skip
        found = await connection.execute(text("SELECT id FROM deliveries WHERE event_id = :id"), {"id": made})
        return int(found.scalar_one())


async def claim(
    ledger: session.Ledger, target: str = "erp", limit: int = 50, lease: float = 60.0, skip: Sequence[str] = ()
) -> list[lane.ClaimedDelivery]:
    async with ledger.write() as connection:
        return await outbox.claim(connection, target, limit, ledger.owner, lease, dict.fromkeys(skip, lane.SKIP))


async def settle(ledger: session.Ledger, *results: lane.Result) -> set[int]:
    async with ledger.write() as connection:
        return await outbox.settle(connection, results, ledger.owner)


def result(
    delivery: lane.ClaimedDelivery, state: DeliveryState = DeliveryState.DELIVERED, delay: float = 0.0, **more: Any
) -> lane.Result:
    given = {"failed": state is DeliveryState.RETRYING} | more
    return lane.Result(delivery, state, str(state), 0.01, delay, **given)


async def states(ledger: session.Ledger) -> dict[int, str]:
    """Delivery id -> state."""
    return {row.id: row.state for row in await rows(ledger, "SELECT id, state FROM deliveries ORDER BY id")}


def ruling(event_: inbox.ClaimedEvent, state: EventState = EventState.PLANNED, **more: Any) -> inbox.Ruling:
    return inbox.Ruling(event_.id, event_.fence, state, **more)


async def parted(ledger: session.Ledger, bound: int) -> None:
    """Sets the first bound of the empty partitioned tables: after years it is far away, at the beginning too."""
    async with ledger.write() as connection:
        for table in ("events", "canonicals", "attempts"):
            await connection.exec_driver_sql(f"DROP TABLE {table}_0, {table}_spare")
            for suffix, bounds in (("0", f"MINVALUE) TO ({bound}"), ("spare", f"{bound}) TO (MAXVALUE")):
                made = f"CREATE TABLE {table}_{suffix} PARTITION OF {table} FOR VALUES FROM ({bounds})"
                await connection.exec_driver_sql(made)

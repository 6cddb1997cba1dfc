"""The settler: results of deliveries, written in groups (group commit), kept until the ledger takes them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from retry_queue import gates, metrics, rest
from retry_queue.ledger import connections, inbox, lane, links, outbox, session, tallies
from retry_queue.sync import claiming, deliver
from retry_queue.sync import site as sites

MAX_GROUP = 500
LINGER, ENOUGH = 0.02, 64
"""Seconds to wait for more results while many come, and how many are enough: fewer, larger commits. Nobody waits for
them, for a call's slot is free before its result is written."""
HISTORY_LINGER = 0.1
"""Seconds that results of imported history wait for company: each commit of theirs is in the way of a live one."""

log = structlog.get_logger()


class Settler:
    """Writes results in groups; keeps them until the ledger takes them."""

    def __init__(self, ledger: session.Ledger, guard: gates.Gates, site: Callable[[], sites.Site]) -> None:
        self._ledger = ledger
        self._gates = guard
        self._site = site
        self._queue: list[tuple[lane.Result, asyncio.Future[None]]] = []
        self._bell = asyncio.Event()
        self._live = asyncio.Event()
        self._full = asyncio.Event()
        self._busy = False

    async def put(self, result: lane.Result) -> None:
        """Returns when the result is committed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((result, future))
        self._bell.set()
        if len(self._queue) >= ENOUGH:
            self._full.set()
        if result.delivery.lease is None or result.delivery.lease.priority < inbox.BACKFILL:
            self._live.set()
        await future

    async def run(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            if self._busy:
                await rest.until(self._full, LINGER)
            self._full.clear()
            await rest.until(self._live, HISTORY_LINGER)
            self._live.clear()
            while self._queue:
                group, self._queue = self._queue[:MAX_GROUP], self._queue[MAX_GROUP:]
                self._busy = len(group) >= 8
                await self._write(group)

    async def _write(self, group: list[tuple[lane.Result, asyncio.Future[None]]]) -> None:
        results = [result for result, _ in group]
        pause = 0.1
        while True:
            try:
                async with self._ledger.write() as connection:
                    joined: links.Joined = []
                    ours = await outbox.settle(connection, results, self._ledger.owner, joined)
                    for entity, names in joined:
                        await claiming.join(connection, entity, sorted(names.items()))
                    await tallies.add(connection, self._ledger.slot, _counts(results, ours))
                    changes = await self._gates.record(connection, results, ours, self._site())
                    for result in results:
                        if result.delivery.id in ours and result.reason == "credential" and result.detail:
                            await _pause(connection, result)
                break
            except session.LedgerUnavailable as error:
                log.warning("settle.waiting", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except Exception as error:
                log.exception("settle.refused", results=len(group))
                await self._apart(group, error)
                return
        self._gates.took(changes)
        for result in results:
            metrics.attempt(result, ours=result.delivery.id in ours)
        for _, future in group:
            if not future.done():
                future.set_result(None)

    async def _apart(self, group: list[tuple[lane.Result, asyncio.Future[None]]], error: Exception) -> None:
        """One by one, so that a result which the database refuses stops nobody else's; that one is parked bare."""
        if len(group) > 1:
            for one in group:
                await self._write([one])
            return
        result, future = group[0]
        if result.outcome == deliver.INTERNAL:
            future.set_exception(error)  # its lane's lease will end
            return
        await self._write([(deliver.internal(result.delivery, error), future)])


async def _pause(connection: AsyncConnection, result: lane.Result) -> None:
    said = {"code": "credential", **orjson.loads(result.detail or "{}")}
    if await connections.refuse(connection, result.delivery.connection_key, said):
        log.warning("connection.needs_auth", connection=result.delivery.connection_key, code=result.code)


def _counts(results: list[lane.Result], ours: set[int]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for result in results:
        if result.delivery.id in ours:
            counts[(result.delivery.connection_key, f"delivery.{result.state}")] += 1
    return counts

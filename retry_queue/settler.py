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
LINGER, ENOUGH = 0.04, 128
"""Seconds to wait for more results while many come, and how many are enough: fewer, larger commits. Nobody waits for
them, for a call's slot is free before its result is written."""
HISTORY_LINGER = 0.1
"""Seconds that results of imported history wait for company: each commit of theirs is in the way of a live one."""
ALONE = 16
"""Results of history in one group, at most, where only one can write at a time: a live writer waits as long."""

Then = Callable[[Exception | None], None]
"""Called once: with None when the result is written, with the error when it never will be."""
Waiting = tuple[lane.Result, Then]

log = structlog.get_logger()


class Line:
    """Results that are written together, ``most`` at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.queue: list[Waiting] = []
        self.bell = asyncio.Event()
        self.full = asyncio.Event()
        self.busy = False


class Settler:
    """Writes results in groups; keeps them until the ledger takes them."""

    def __init__(self, ledger: session.Ledger, guard: gates.Gates, site: Callable[[], sites.Site]) -> None:
        self._ledger = ledger
        self._gates = guard
        self._site = site
        self._live = Line(MAX_GROUP)
        self._past = Line(ALONE if ledger.single else MAX_GROUP)

    async def put(self, result: lane.Result) -> None:
        """Returns when the result is committed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def written(error: Exception | None) -> None:
            if future.done():
                return  # nobody waits any more
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.take(result, written)
        await future

    def take(self, result: lane.Result, then: Then) -> None:
        """Lines a result up to be written. Most are: a task and a future for each would cost more than their commit."""
        past = result.delivery.lease is not None and result.delivery.lease.priority >= inbox.BACKFILL
        line = self._past if past else self._live
        line.queue.append((result, then))
        line.bell.set()
        if len(line.queue) >= ENOUGH:
            line.full.set()

    async def run(self) -> None:
        """Live results wait for no other ones; history's come in groups, in between."""
        await asyncio.gather(self._run(self._live, patient=False), self._run(self._past, patient=True))

    async def _run(self, line: Line, *, patient: bool) -> None:
        while True:
            await line.bell.wait()
            line.bell.clear()
            if patient:
                await asyncio.sleep(HISTORY_LINGER)
            elif line.busy:
                await rest.until(line.full, LINGER)
            line.full.clear()
            while line.queue:
                group, line.queue = line.queue[: line.most], line.queue[line.most :]
                line.busy = len(group) >= 8
                await self._write(group, patient=patient)

    async def _write(self, group: list[Waiting], *, patient: bool) -> None:
        results = [result for result, _ in group]
        pause = 0.1
        while True:
            try:
                async with self._ledger.write(patient=patient) as connection:
                    joined: links.Joined = []
                    ours = await outbox.settle(connection, results, self._ledger.owner, joined)
                    for entity, names in joined:
                        await claiming.join(connection, entity, sorted(names.items()))
                    await tallies.add(connection, self._ledger.slot, _counts(results, ours))
                    changes = await self._gates.record(connection, results, ours, self._site())
                    for result in results:
                        if result.delivery.id in ours and result.reason == "credential" and result.detail:
                            await _pause(connection, result, self._site())
                break
            except session.LedgerUnavailable as error:
                log.warning("settle.waiting", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except Exception as error:
                log.exception("settle.refused", results=len(group))
                await self._apart(group, error, patient=patient)
                return
        self._gates.took(changes)
        for result in results:
            metrics.attempt(result, ours=result.delivery.id in ours)
        for _, then in group:
            then(None)

    async def _apart(self, group: list[Waiting], error: Exception, *, patient: bool) -> None:
        """One by one, so that a result which the database refuses stops nobody else's; that one is parked bare."""
        if len(group) > 1:
            for one in group:
                await self._write([one], patient=patient)
            return
        result, then = group[0]
        if result.outcome == deliver.INTERNAL:
            then(error)  # its lane's lease will end
            return
        await self._write([(deliver.internal(result.delivery, error), then)], patient=patient)


async def _pause(connection: AsyncConnection, result: lane.Result, site: sites.Site) -> None:
    live = site.live.get(result.delivery.connection_key)
    proof = live.opened.proof if live is not None and live.opened is not None else ""
    said = {"code": "credential", **orjson.loads(result.detail or "{}")}
    if await connections.refuse(connection, result.delivery.connection_key, said, proof):
        log.warning("connection.needs_auth", connection=result.delivery.connection_key, code=result.code)


def _counts(results: list[lane.Result], ours: set[int]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for result in results:
        if result.delivery.id in ours:
            counts[(result.delivery.connection_key, f"delivery.{result.state}")] += 1
    return counts

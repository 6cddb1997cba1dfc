"""Pumps: the loops of a worker process that move the ledger on, one per target plus one for intake.

A slow target fills only its own pump (bulkhead). Results are settled in groups. A sweep asks the
database once a second what is due, so a lost wake-up, a retry's time or a dead process's lane never
waits longer than that.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import client
from retry_queue import metrics
from retry_queue.ledger import configuration, connections, inbox, lane, outbox, secrets, session, tallies, workers
from retry_queue.ledger.states import DeliveryState
from retry_queue.sync import context, deliver, intake
from retry_queue.sync import site as sites

SWEEP = 1.0
SILENT = 10.0
"""Seconds without a heartbeat after which a process counts as dead."""
INTAKE_BATCH = 100
AHEAD = 200
"""Deliveries claimed ahead of their call, at most."""
SETTLE_MAX = 500
LINGER = 0.003
"""Seconds to wait for more results while many come: fewer, larger commits."""

log = structlog.get_logger()


class Pace:
    """How far ahead to claim: what can be called within a few seconds, so that no lease runs out in a queue."""

    def __init__(self) -> None:
        self._seconds = 0.05

    def took(self, seconds: float) -> None:
        self._seconds += 0.1 * (seconds - self._seconds)

    def ahead(self, window: int) -> int:
        """Deliveries to hold ready for ``window`` calls at a time."""
        return max(window, min(AHEAD, int(window * 2.0 / max(self._seconds, 0.001))))


async def _either(first: asyncio.Event | None, second: asyncio.Event) -> None:
    """Returns when one of two events is set."""
    if first is None:
        await second.wait()
        return
    if first.is_set() or second.is_set():
        return
    waits = [asyncio.ensure_future(first.wait()), asyncio.ensure_future(second.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Settler:
    """Writes results in groups; keeps them until the ledger takes them."""

    def __init__(self, ledger: session.Ledger) -> None:
        self._ledger = ledger
        self._queue: list[tuple[lane.Result, asyncio.Future[None]]] = []
        self._bell = asyncio.Event()
        self._busy = False

    async def put(self, result: lane.Result) -> None:
        """Returns when the result is committed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((result, future))
        self._bell.set()
        await future

    async def run(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            if self._busy:
                await asyncio.sleep(LINGER)
            while self._queue:
                group, self._queue = self._queue[:SETTLE_MAX], self._queue[SETTLE_MAX:]
                self._busy = len(group) >= 8
                await self._write(group)

    async def _write(self, group: list[tuple[lane.Result, asyncio.Future[None]]]) -> None:
        results = [result for result, _ in group]
        pause = 0.1
        while True:
            try:
                async with self._ledger.write() as connection:
                    ours = await outbox.settle(connection, results, self._ledger.owner)
                    await tallies.add(connection, self._ledger.slot, _counts(results, ours))
                    for result in results:
                        if result.delivery.id in ours and result.reason == "credential" and result.detail:
                            await _pause(connection, result)
                break
            except session.LedgerUnavailable as error:
                log.warning("settle.waiting", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
        for result in results:
            metrics.attempt(result, ours=result.delivery.id in ours)
        for _, future in group:
            if not future.done():
                future.set_result(None)


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


class Pumps:
    """All pumps of one worker process."""

    def __init__(
        self,
        ledger: session.Ledger,
        calls: client.Client,
        sealer: secrets.Sealer,
        site: Callable[[], sites.Site],
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._intake = intake.Intake(ledger, site, calls, sealer, reload, self._pokes, self.wake)
        self._courier = deliver.Courier(ledger, site, calls, sealer)
        self._site = site
        self._reload = reload
        self._settler = Settler(ledger)
        self._intake_bell = asyncio.Event()
        self._bells: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.progress = 0
        """Grows with every loop turn: liveness is progress, not process life."""

    def wake(self) -> None:
        """New events were appended."""
        self._intake_bell.set()

    def poke(self, target: str) -> None:
        """A target has something due."""
        if target not in self._bells:
            live = self._site().live.get(target)
            if live is None:
                return
            self._bells[target] = asyncio.Event()
            self._spawn(self._deliveries(target), f"pump {target}")
        self._bells[target].set()

    def _pokes(self, targets: set[str]) -> None:
        for target in targets:
            self.poke(target)

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("pump.failed", task=task.get_name(), exc_info=task.exception())

    async def run(self, stopped: asyncio.Event) -> None:
        """Works until ``stopped``, then finishes what is under way."""
        self._spawn(self._settler.run(), "settler")
        self._spawn(self._intakes(), "intake")
        self._spawn(self._sweeps(), "sweep")
        self.wake()
        await stopped.wait()
        self._stopping = True
        for task in list(self._tasks):
            if task.get_name() != "settler":
                task.cancel()
        end = asyncio.get_running_loop().time() + 25.0
        while (left := self._running | self._intake.running) and asyncio.get_running_loop().time() < end:
            await asyncio.wait(left, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _intakes(self) -> None:
        while not self._stopping:
            self._intake_bell.clear()
            try:
                taken = await self._intake.step(INTAKE_BATCH)
            except session.LedgerUnavailable as error:
                log.warning("intake.waiting", error=str(error))
                await asyncio.sleep(0.5)
                continue
            self.progress += 1
            if not taken:
                await self._intake_bell.wait()

    async def _deliveries(self, target: str) -> None:
        """One target's pump: claims ahead in batches, calls ``concurrency`` at a time."""
        bell = self._bells[target]
        turn = asyncio.Event()
        ready: deque[tuple[float, context.Job]] = deque()
        under_way: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        pace = Pace()

        def ended(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            self._running.discard(task)
            turn.set()

        while not self._stopping:
            live = self._site().live.get(target)
            usable = live is not None and live.delivers
            window = live.opened.declaration.pacing.concurrency if live is not None and live.opened else 0
            while ready and len(under_way) < window:
                claimed_at, job = ready.popleft()
                late = not usable or loop.time() - claimed_at > deliver.FRESH
                task = asyncio.create_task(self._give_back(job) if late else self._one(job, bell, pace))
                under_way.add(task)
                self._running.add(task)
                task.add_done_callback(ended)
            wanted = pace.ahead(window) - len(ready) if usable else 0
            if bell.is_set() and wanted > 0 and len(ready) <= window // 2:
                bell.clear()
                if await self._refill(target, wanted, ready, loop.time()) >= wanted:
                    bell.set()
                continue
            turn.clear()
            await _either(bell if wanted > 0 and len(ready) <= window // 2 else None, turn)
        for _, job in ready:
            await self._give_back(job)

    async def _refill(
        self, target: str, wanted: int, ready: deque[tuple[float, context.Job]], claimed_at: float
    ) -> int:
        """Claims a batch; what needs no call is settled at once. Returns how many it got."""
        skip = self._site().skipping
        try:
            async with self._ledger.write() as connection:
                claimed = await outbox.claim(connection, target, wanted, self._ledger.owner, lane.LEASE, skip)
            made = await self._courier.prepare(claimed) if claimed else []
        except session.LedgerUnavailable as error:
            log.warning("claim.waiting", error=str(error))
            await asyncio.sleep(0.5)
            return 0
        self.progress += 1
        for one in made:
            if isinstance(one, context.Job):
                ready.append((claimed_at, one))
            else:
                self._keep(self._settled(one, self._bells[target]))
        return len(made)

    async def _one(self, job: context.Job, bell: asyncio.Event, pace: Pace) -> None:
        result = await self._courier.deliver(job)
        pace.took(result.duration)
        # The slot is free for the next call while this result waits for its commit.
        self._keep(self._settled(result, bell))

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _settled(self, result: lane.Result, bell: asyncio.Event) -> None:
        await self._settler.put(result)
        again = lane.lane_wait(result)
        if again is not None and again <= 0:
            bell.set()

    async def _give_back(self, job: context.Job) -> None:
        """Nothing was sent: the lane goes back as it was, for whoever has time for it."""
        result = lane.Result(job.delivery, DeliveryState.PENDING, "returned", 0.0, tried=False)
        await self._settler.put(result)

    async def _sweeps(self) -> None:
        turn = 0
        while not self._stopping:
            try:
                await self._sweep(turn)
            except session.LedgerUnavailable as error:
                log.warning("sweep.waiting", error=str(error))
            turn += 1
            await asyncio.sleep(SWEEP)

    async def _sweep(self, turn: int) -> None:
        async with self._ledger.write() as connection:
            alive = await workers.beat(connection, self._ledger.owner)
            if turn % 5 == 0:
                dead = [one for one in await workers.silent(connection, SILENT) if one != self._ledger.owner]
                if dead:
                    log.warning("workers.buried", count=len(dead))
                    await workers.bury(connection, dead)
            if turn % 60 == 30:
                healed = await outbox.heal(connection)
                if healed:
                    log.error("lanes.healed", count=healed)
        if not alive:
            log.error("worker.taken_for_dead", owner=self._ledger.owner)
        async with self._ledger.read() as connection:
            epoch = await configuration.epoch(connection)
            waits = await outbox.due(connection)
            first = await inbox.wait(connection)
        if epoch != self._site().epoch:
            await self._reload()
        loop = asyncio.get_running_loop()
        for target, wait in waits.items():
            if wait <= 0:
                self.poke(target)
            elif wait < SWEEP:
                loop.call_later(wait, self.poke, target)
        if first is not None and first <= 0:
            self.wake()
        elif first is not None and first < SWEEP:
            loop.call_later(first, self.wake)

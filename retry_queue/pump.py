"""Pumps: the loops of a worker process that move the ledger on, one per target plus one for intake.

A slow target fills only its own pump (bulkhead). Results are settled in groups. A sweep asks the
database once a second what is due, so a lost wake-up, a retry's time or a dead process's lane never
waits longer than that.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

import structlog

from connectors.core import client, lease
from retry_queue import gates, holdings, rest, settler, sweep, tracing, turns
from retry_queue.ledger import inbox, lane, outbox, secrets, session, workers
from retry_queue.ledger.states import DeliveryState
from retry_queue.sync import breaker, context, deliver, intake
from retry_queue.sync import site as sites

INTAKE_BATCH = 200
GATHER, MANY = 0.02, 8
"""Seconds in which more events gather before they are planned, once so many came in one go: each batch costs the
same dozen and a half statements, however few are in it."""
BESIDE, ABREAST = 0.025, 3
"""Seconds between two looks at what others have while one connection crowds, and how many of them at once: in a busy
process a step of a few events takes three times as long."""
HISTORY = (inbox.BACKFILL, inbox.BACKFILL)
FAST = (inbox.FAST, inbox.FAST)
URGENT = 16
"""Fast deliveries of one target that are claimed at once, beside those that have a slot."""
STOPPING = 5.0
"""Seconds for the loops to come to their end by themselves."""

log = structlog.get_logger()
Ready = deque[tuple[float, context.Job]]
"""When it was claimed, and what is to be done."""


class Pumps:
    """All pumps of one worker process."""

    def __init__(
        self,
        ledger: session.Ledger,
        calls: client.Client,
        sealer: secrets.Sealer,
        site: Callable[[], sites.Site],
        reload: Callable[[], Awaitable[None]],
        rule: breaker.Rule = breaker.USUAL,
    ) -> None:
        """``rule``: when the breaker of a target opens, and how it comes back."""
        self._ledger = ledger
        self._gates = gates.Gates(rule)
        self._intake = intake.Intake(ledger, site, calls, sealer, reload, self._pokes, self.wake)
        self._courier = deliver.Courier(ledger, site, calls, sealer)
        self._site = site
        self._reload = reload
        self._settler = settler.Settler(ledger, self._gates, site)
        self._intake_bell = asyncio.Event()
        self._turns: dict[str, turns.Turn] = {}
        self._stock = turns.Stock()
        self._holdings = holdings.Holdings()
        self._tasks: set[asyncio.Task[object]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._halt = asyncio.Event()
        self._seat = holdings.Seat(asyncio.get_running_loop().time())
        """When the last heartbeat was confirmed, and since when this process has its seat."""
        self._sweeper = sweep.Sweeper(ledger, site, reload, self._gates, self._seat, self)
        self._steps = 0
        self._settling = 0
        """Results that are not written yet."""

    @property
    def progress(self) -> int:
        """Grows with every loop turn: liveness is progress, not process life."""
        return self._steps + self._sweeper.turns

    def wake(self) -> None:
        """New events were appended."""
        self._intake_bell.set()

    def rung(self) -> None:
        """Another process says that there is work: events to plan, or deliveries that it planned itself."""
        self._intake_bell.set()
        self._sweeper.look()

    def poke(self, target: str, fast: bool = False) -> None:
        """A target has something due; ``fast``: something that does not queue."""
        if target not in self._turns:
            if self._halt.is_set() or target not in self._site().live:
                return
            self._turns[target] = turns.Turn()
            self._spawn(self._deliveries(target), f"pump {target}")
        self._turns[target].ring(due=True, fast=fast)

    def past(self, targets: Iterable[str]) -> None:
        """Targets are owed imported history, or a replay."""
        for target in self._turns.keys() & set(targets):
            self._turns[target].ring(history=True)

    def _pokes(self, targets: Mapping[str, bool]) -> None:
        for target, fast in targets.items():
            self.poke(target, fast)

    def _spawn(self, work: Coroutine[object, None, object], name: str) -> asyncio.Task[object]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("pump.failed", task=task.get_name(), exc_info=task.exception())

    async def run(self, stopped: asyncio.Event) -> None:
        """Works until ``stopped``, then finishes what is under way."""
        self._seat.heard(asyncio.get_running_loop().time())
        settling = self._spawn(self._settler.run(), "settler")
        loops = {"sweep": self._sweeper.sweeps(self._halt), "looks": self._sweeper.looks(self._halt)}
        for name, loop in (loops | {"intake": self._intakes(), "beside": self._beside()}).items():
            self._spawn(loop, name)
        self.wake()
        await stopped.wait()
        self._halt.set()
        self._intake.crowded.set()
        self._stock.short.set()
        self.rung()
        for turn in self._turns.values():
            turn.ring()
        # A claim under way is not cut off: what it took would look as if it might have been sent.
        await asyncio.wait(self._tasks - {settling}, timeout=STOPPING)
        for task in self._tasks - {settling}:
            task.cancel()
        end = asyncio.get_running_loop().time() + 25.0
        while asyncio.get_running_loop().time() < end:
            if left := self._running | self._intake.running:
                await asyncio.wait(left, timeout=1.0)
            elif self._settling:
                await asyncio.sleep(0.01)
            else:
                break
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _intakes(self) -> None:
        taken: int | None = None
        while not self._halt.is_set():
            quiet = taken is not None and taken < INTAKE_BATCH and not self._intake_bell.is_set()
            self._intake_bell.clear()
            self._stock.planning()
            taken = await self._planned(self._intake.step, INTAKE_BATCH, look=quiet)
            if taken == 0:
                await self._intake_bell.wait()
            elif taken and self._intake.crowded.is_set() and self._stock.enough():
                await rest.until(self._stock.short, turns.ENOUGH)
            elif taken is not None and MANY <= taken < INTAKE_BATCH:
                await rest.until(self._halt, GATHER)

    async def _beside(self) -> None:
        steps: set[asyncio.Task[object]] = set()
        while not self._halt.is_set():
            if not self._intake.crowded.is_set():
                await self._intake.crowded.wait()
                continue
            if len(steps) < ABREAST:
                steps.add(self._spawn(self._planned(self._intake.others), "beside"))
            await rest.until(self._halt, BESIDE)
            steps &= self._tasks

    async def _planned(self, step: Callable[..., Awaitable[int]], *args: int, **options: bool) -> int | None:
        """How many events a step took, begun here lest it be left unawaited; None when it failed, after a while."""
        try:
            taken = await step(*args, **options)
        except session.LedgerUnavailable as error:
            log.warning("intake.waiting", error=str(error))
            await asyncio.sleep(0.5)
        except Exception:
            log.exception("intake.failed")
            await asyncio.sleep(1.0)
        else:
            self._steps += 1
            return taken
        return None

    async def _deliveries(self, target: str) -> None:
        """One target's pump: claims ahead in batches, calls ``concurrency`` at a time."""
        turn = self._turns[target]
        ready: Ready = deque()
        spare: Ready = deque()
        under_way: set[asyncio.Task[None]] = set()
        historic: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        pace = turns.Pace()

        def ended(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            historic.discard(task)
            self._running.discard(task)
            turn.ring()

        def start(claimed_at: float, job: context.Job, usable: bool) -> asyncio.Task[None]:
            now = loop.time()
            held = now - claimed_at <= deliver.FRESH and self._seat.covers(claimed_at, now)
            work = self._one(job, turn, pace, claimed_at) if usable and held else self._give_back(job.delivery)
            task = asyncio.create_task(work)
            under_way.add(task)
            self._running.add(task)
            task.add_done_callback(ended)
            return task

        while not self._halt.is_set():
            live = self._site().live.get(target)
            usable = live is not None and live.delivers and self._seat.covers(loop.time(), loop.time())
            gate = self._gates.of(target, self._concurrency(target))
            window = gate.width
            if gate.shut:
                for _, job in (*ready, *spare):
                    self._keep(self._give_back(job.delivery))
                ready.clear()
                spare.clear()
                if gate.due and usable and await self._probe(target, ready, loop.time()):
                    start(*ready.popleft(), usable)
                await turn.come()
                continue
            if turn.fast and usable:
                turn.fast = await self._refill(target, URGENT, ready, loop.time(), FAST) >= URGENT
            while ready and (len(under_way) < window or ready[0][1].delivery.urgent):
                start(*ready.popleft(), usable)
            share = max(1, window // 2)  # history never holds more than this, so live work always finds a free slot
            while spare and len(under_way) < window and len(historic) < share:
                historic.add(start(*spare.popleft(), usable))
            # What must not be repeated is claimed only to be called at once: after a crash all that was
            # claimed looks as if it might have been sent.
            at_once = target in self._site().careful or window < self._concurrency(target)  # or it is recovering
            ahead = window - len(under_way) if at_once else pace.ahead(window)
            wanted = ahead - len(ready) if usable else 0
            if turn.due and wanted > 0 and len(ready) <= window // 2:
                turn.due = False
                got = await self._refill(target, wanted, ready, loop.time())
                self._stock.refilled(wanted, got)
                turn.due = turn.due or got >= wanted
                continue
            room = share - len(historic) if at_once else pace.past(share)
            if turn.history and usable and not ready and not spare and len(historic) <= share // 2:
                got = await self._refill(target, room, spare, loop.time(), HISTORY)
                turn.history = got >= room
                if 0 < got < room:
                    loop.call_later(turns.SOON, functools.partial(turn.ring, history=True))
                continue
            await turn.come()
        for _, job in (*ready, *spare):
            self._keep(self._give_back(job.delivery))

    async def _refill(
        self,
        target: str,
        wanted: int,
        ready: Ready,
        claimed_at: float,
        of: tuple[int, int] = (inbox.FAST, inbox.LIVE),
    ) -> int:
        """Claims a batch; what needs no call is settled at once. Returns how many it got."""
        policies, gate = self._site().policies, self._gates.of(target, 1).held
        held, doubtful = self._holdings.claiming(target)
        try:
            async with self._ledger.write(patient=of == HISTORY) as connection:
                if doubtful:  # nobody else would take it up before its lease ends
                    await workers.abandon(connection, target, self._ledger.owner, held)
                claimed = await outbox.claim(
                    connection, target, wanted, self._ledger.owner, lane.LEASE, policies, of,
                    held=gate, period=self._gates.rule.probe,
                )  # fmt: skip
            self._holdings.claimed(target, claimed)
            made = await self._prepared(claimed) if claimed else []
        except session.LedgerUnavailable as error:
            log.warning("claim.waiting", error=str(error))
            await asyncio.sleep(0.5)
            self._turns[target].ring(due=True)  # what was claimed without our knowing is not due for anybody else
            return 0
        except Exception:
            log.exception("claim.failed", target=target)
            await asyncio.sleep(1.0)
            self._turns[target].ring(due=True)
            return 0
        self._steps += 1
        self._line_up(target, made, ready, claimed_at)
        return len(made)

    async def _probe(self, target: str, ready: Ready, claimed_at: float) -> bool:
        """Takes the one delivery that may try a target whose breaker is open; what needs no call is settled."""
        owner, policies = self._ledger.owner, self._site().policies
        try:
            async with self._ledger.write() as connection:
                claimed = await outbox.probe(connection, target, owner, lane.LEASE, policies, self._gates.rule.probe)
            self._holdings.took(target, claimed)
            made = await self._prepared(claimed) if claimed else []
        except session.LedgerUnavailable as error:
            log.warning("claim.waiting", error=str(error))
            return False
        self._line_up(target, made, ready, claimed_at)
        return bool(ready)

    def _line_up(self, target: str, made: Iterable[context.Job | lane.Result], ready: Ready, claimed_at: float) -> None:
        for one in made:
            if isinstance(one, context.Job):
                (ready.appendleft if one.delivery.urgent else ready.append)((claimed_at, one))
            else:
                self._settle(one, self._turns[target])

    def _concurrency(self, target: str) -> int:
        live = self._site().live.get(target)
        return live.opened.declaration.pacing.concurrency if live is not None and live.opened else 0

    async def _prepared(self, claimed: Sequence[lane.ClaimedDelivery]) -> list[context.Job | lane.Result]:
        """Joined; what cannot be joined for a reason of its own is parked, and with the ledger away all go back."""
        try:
            return await self._courier.prepare(claimed)
        except session.LedgerUnavailable:
            for delivery in claimed:
                self._keep(self._give_back(delivery))
            raise
        except Exception as error:
            log.exception("claim.unprepared", deliveries=len(claimed))
            if len(claimed) == 1:
                return [deliver.internal(claimed[0], error)]
            return [one for delivery in claimed for one in await self._prepared([delivery])]

    async def _one(self, job: context.Job, turn: turns.Turn, pace: turns.Pace, claimed_at: float) -> None:
        # Not the loop's clock, which stands still until its next turn: the last one may have been before a long sleep.
        lease.HELD.set(lambda: self._seat.covers(claimed_at, time.monotonic()))
        span = tracing.beginning(job.delivery) if tracing.on() else None
        try:
            result = await self._courier.deliver(job)
        except Exception as error:
            log.exception("delivery.internal", delivery=job.delivery.id)
            result = deliver.internal(job.delivery, error)
        if span is not None:
            tracing.tell(tracing.attempt(result, *span))
        pace.took(result.duration)
        # The slot is free for the next call while this result waits for its commit.
        self._settle(result, turn)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _settle(self, result: lane.Result, turn: turns.Turn) -> None:
        self._settling += 1
        self._settler.take(result, functools.partial(self._settled, result, turn))

    def _settled(self, result: lane.Result, turn: turns.Turn, error: Exception | None) -> None:
        self._settling -= 1
        self._holdings.let_go(result.delivery)
        if error is not None:
            log.error("settle.lost", delivery=result.delivery.id, exc_info=error)
            return
        live = self._site().live.get(result.delivery.connection_key)
        if result.reason == "credential" and live is not None and live.delivers:
            self._keep(self._stopped(result, turn))
        else:
            _next(result, turn)

    async def _stopped(self, result: lane.Result, turn: turns.Turn) -> None:
        """The target is refused by now, which has to be known before its next call: that would only be refused too."""
        await self._reload()
        _next(result, turn)

    async def _give_back(self, delivery: lane.ClaimedDelivery) -> None:
        """Nothing was sent: the lane goes back as it was, for whoever has time for it."""
        if delivery.interrupted:  # an earlier attempt is in doubt, and as untried it would be sent again: it stays so
            self._holdings.leave(delivery)
            return
        # What was tried before may have been done in part: it stays between two tries, and its echo is known by that.
        # Not so what was only claimed before: as if it had failed, others would pass it, and changes wait for it.
        between = delivery.before == DeliveryState.RETRYING
        state = DeliveryState.RETRYING if between else DeliveryState.PENDING
        result = lane.Result(delivery, state, "returned", 0.0, tried=False)
        try:
            await self._settler.put(result)
        finally:
            self._holdings.let_go(delivery)


def _next(result: lane.Result, turn: turns.Turn) -> None:
    """Rings where the lane has more to do at once."""
    again = lane.lane_wait(result)
    if again is not None and again <= 0:
        turn.ring(
            due=True, history=result.delivery.lease is not None and result.delivery.lease.priority >= inbox.BACKFILL
        )

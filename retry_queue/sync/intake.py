"""Intake: claims received events, hydrates and maps them, and writes what the plan decided.

Three steps: claim (statements of their own) · hydrate and map (no transaction) ·
write records, deliveries and rulings (one transaction, only for events that are still ours).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.core import client
from mappings import errors as mapping_errors
from retry_queue import tracing
from retry_queue.ledger import claims, configuration, inbox, outbox, records, secrets, session, tallies, unsettled
from retry_queue.ledger.states import EventState
from retry_queue.sync import about, aim, claiming, draft, identity, owing, plan, reading, timers
from retry_queue.sync import site as sites

LEASE = 60.0
PEOPLE = "customer"
HISTORY, PAST = 4, (inbox.BACKFILL, inbox.BACKFILL)
"""Events of imported history planned in one go, at most, and only while nothing live waits; and their priority."""
CROWD = 40
"""Events of one connection in one claim with which it crowds the others out: they are planned beside it then."""
EACH = 20
"""Events of each other connection planned in one go beside it."""
AT_A_STRETCH = 16
"""Events mapped or decided before others of this process have their turn."""
HYDRATING = 200  # events of one connection waiting for their detail call, at most

Claimed = tuple[list[inbox.ClaimedEvent], set[int], int]  # which of it is not in turn; the configuration's epoch

log = structlog.get_logger()


class _Lost(Exception):
    """Other planners have some of the events by now; ``ours`` are the ids that are left."""

    def __init__(self, ours: set[int]) -> None:
        self.ours = ours


class Intake:
    """Plans events. One per worker process; ``site`` gives the current configuration."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        sealer: secrets.Sealer,
        reload: Callable[[], Awaitable[None]],
        poke: Callable[[Mapping[str, bool]], None],
        done: Callable[[], None],
    ) -> None:
        """``poke`` names targets that have work now, and whether some of it is fast; ``done``: take more events."""
        self._ledger = ledger
        self._site = site
        self._sealer = sealer
        self._reload = reload
        self._poke = poke
        self._done = done
        self._reader = reading.Reader(ledger, calls)
        self._hydrating: Counter[str] = Counter()
        self._held: set[int] = set()
        """Events that are being planned, or whose detail call is under way."""
        self.crowded = asyncio.Event()
        """Some connections fill whole claims: ``others`` is to be called beside ``step``, which is theirs alone."""
        self._crowd: set[str] = set()
        self._older = False  # history was planned last, and there may be more of it
        self._doubtful = False
        """Something may be leased to us that we do not know of, or could not finish."""
        self.running: set[asyncio.Task[None]] = set()

    async def step(self, limit: int, *, look: bool = False) -> int:
        """Plans up to ``limit`` due events and returns how many it took; ``look``: probably there are none.

        Events that need a detail call go on by themselves per connection, so that a slow system delays
        only its own; a connection with ``HYDRATING`` of them gets no more until some are done.
        """
        doubtful, self._doubtful = self._doubtful, False
        try:
            if look and not doubtful and not await self._waits():
                return 0
            return await self._step(limit, doubtful)
        except Exception:
            self._doubtful = True
            raise

    async def others(self) -> int:
        """Plans what is fast and a few events of each connection but those that crowd; returns how many it took.

        A step that is full takes a tenth of a second, and what comes meanwhile would wait for two of them.
        """
        try:
            apart = [*self._crowd, *self._busy()] or [""]
            async with self._ledger.read() as connection:
                if not await claims.waits_apart(connection, apart):
                    return 0
            async with self._ledger.loose() as connection:
                claimed = await claims.claim_apart(connection, EACH, self._ledger.owner, LEASE, apart)
                self._crowd |= {key for key, n in _counted(claimed).items() if n >= EACH}
                known = await self._known(connection, claimed) if claimed else (set(), 0)
            return await self._taken(claimed, *known) if claimed else 0
        except Exception:
            self._doubtful = True
            raise

    async def _waits(self) -> bool:
        async with self._ledger.read() as connection:
            return await inbox.due(connection, inbox.BACKFILL)

    def _busy(self) -> list[str]:
        return [key for key, n in self._hydrating.items() if n >= HYDRATING]

    async def _step(self, limit: int, doubtful: bool) -> int:
        busy = self._busy()
        claimed: list[inbox.ClaimedEvent] = []
        if self._older and not doubtful:  # no lock is taken for nothing between two pieces of history
            async with self._ledger.read() as connection:
                self._older = not await inbox.due(connection, inbox.LIVE)
        if doubtful or not self._older:
            async with self._ledger.loose() as connection:
                if doubtful:  # nobody else would take it up before its lease ends
                    await inbox.abandon(connection, self._ledger.owner, self._held)
                claimed, behind, epoch = await self._claim(connection, limit, busy, (inbox.FAST, inbox.LIVE))
                self._older = not claimed and await inbox.due(connection, inbox.BACKFILL, inbox.BACKFILL)
        if not claimed and self._older:
            async with self._ledger.loose(patient=True) as connection:
                claimed, behind, epoch = await self._claim(connection, min(limit, HISTORY), busy, PAST)
            self._older = bool(claimed)
        return await self._taken(claimed, behind, epoch) if claimed else 0

    async def _taken(self, claimed: list[inbox.ClaimedEvent], behind: set[int], epoch: int) -> int:
        """Plans what was claimed; returns how many were in turn."""
        if behind:
            asyncio.get_running_loop().call_later(inbox.TURN, self._done)
            claimed = [one for one in claimed if one.id not in behind]
        if not claimed:
            return 0
        if epoch != self._site().epoch:  # an event is never planned by an older configuration than took it in
            await self._reload()
        site = self._site()
        direct: list[draft.Draft] = []
        hinted: dict[str, list[draft.Draft]] = {}
        for event in claimed:
            one = draft.Draft(event)
            if not self._reader.hinted(site, one):
                direct.append(one)
            elif self._reader.needless(site, one):
                one.plan = plan.skip("no_route")
                direct.append(one)
            else:
                hinted.setdefault(event.connection_key, []).append(one)
        for key, drafts in hinted.items():
            self._hydrating[key] += len(drafts)
            self._held |= {one.event.id for one in drafts}
            task = asyncio.create_task(self._hydrate(site, key, drafts), name=f"hydrate {key}")
            self.running.add(task)
            task.add_done_callback(self.running.discard)
        if direct:
            names = {one.event.id for one in direct}
            self._held |= names
            try:
                await self._finish(site, direct)
            finally:
                self._held -= names
        return len(claimed)

    async def _claim(
        self, connection: AsyncConnection, limit: int, busy: Sequence[str], of: tuple[int, int]
    ) -> Claimed:
        owner, claimed = self._ledger.owner, []
        if crowd := sorted(self._crowd.difference(busy)) if of != PAST else []:
            claimed = await claims.claim_of(connection, max(limit // len(crowd), 1), owner, LEASE, crowd)
        if not claimed:
            claimed = await claims.claim(connection, limit, owner, LEASE, busy, of)
        if of != PAST:
            self._crowd = {key for key, n in _counted(claimed).items() if n >= CROWD / max(len(crowd), 1)}
            (self.crowded.set if self._crowd else self.crowded.clear)()
        return claimed, *(await self._known(connection, claimed) if claimed else (set(), 0))

    async def _known(self, connection: AsyncConnection, claimed: Sequence[inbox.ClaimedEvent]) -> tuple[set[int], int]:
        behind = await inbox.behind(connection, [one for one in claimed if self._ordered(one)])
        return behind, await configuration.epoch(connection)

    def _ordered(self, event: inbox.ClaimedEvent) -> bool:
        """Whether it counts that others of its record came before: not for hints, which all read the newest state."""
        return not event.fast and not self._reader.hinted(self._site(), draft.Draft(event))

    async def _hydrate(self, site: sites.Site, key: str, drafts: list[draft.Draft]) -> None:
        """Reads the records behind a batch of hints and plans each little group as it comes in."""
        names = {one.event.id for one in drafts}
        try:
            pending = {asyncio.create_task(self._reader.read(site, one)): one for one in drafts}
            while pending:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)
                ready = [task for task in pending if task.done()]
                for task in done:
                    task.result()
                await self._finish(site, [pending.pop(task) for task in ready])
                self._hydrating[key] -= len(ready)
                drafts = drafts[len(ready) :]
        except session.LedgerUnavailable as error:
            log.warning("intake.lost_lease", error=str(error), connection=key)
            self._doubtful = True
        finally:
            self._held -= names
            self._hydrating[key] -= len(drafts)
            self._done()

    async def _finish(self, site: sites.Site, drafts: list[draft.Draft]) -> None:
        for place, one in enumerate(drafts, 1):
            if one.plan is None and one.canonical is None:
                self._reader.map(site, one, None)
            if place % AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        targets = await self._kept(site, drafts)
        if targets:
            self._poke(targets)

    async def _kept(self, site: sites.Site, drafts: Sequence[draft.Draft]) -> dict[str, bool]:
        """Decides and writes; when the ledger is away, again for as long as the events are surely ours."""
        clock = asyncio.get_running_loop().time
        end = clock() + LEASE / 2
        locked = False
        while True:
            try:
                if not locked:
                    async with self._ledger.read() as connection:
                        await self._decide(connection, site, drafts)
                return await self._write(site, drafts, locked=locked)
            except records.Moved:  # another process planned the same records meanwhile; now they are held
                locked = True
                for one in drafts:
                    if one.decided:
                        one.plan, one.before, one.delay, one.decided = None, None, 0.0, False
            except _Lost as lost:
                log.warning("intake.lost_lease", events=len(drafts) - len(lost.ours))
                drafts = [one for one in drafts if one.event.id in lost.ours]
                if not drafts:
                    return {}
            except session.LedgerUnavailable as error:
                if clock() > end:
                    raise
                log.warning("intake.waiting", error=str(error))
                await asyncio.sleep(0.2)
            except Exception as error:
                log.exception("intake.refused", events=len(drafts))
                if len(drafts) == 1:
                    drafts[0].plan = draft.internal(error)
                    return await self._write(site, drafts)
                # One by one, so that a record which the database refuses is parked and stops nobody else.
                return owing.merged([await self._kept(site, [one]) for one in drafts])

    # --- deciding ----------------------------------------------------------------------------------

    async def _decide(self, connection: AsyncConnection, site: sites.Site, drafts: Sequence[draft.Draft]) -> None:
        """Decides in the order of arrival; events of one record in one batch see each other."""
        open_ = [one for one in drafts if one.plan is None]
        if not open_:
            return
        known = await records.find(connection, [one.ref for one in open_])
        written = [one.ref[0] for one in open_ if site.writes(one.ref[0], one.entity)]
        busy = await unsettled.busy(connection, written) if written else {}
        now = max(one.event.received_at for one in open_)
        for place, one in enumerate(open_, 1):
            if place % AT_A_STRETCH == 0:
                await asyncio.sleep(0)
            if one.canonical is None:
                continue
            one.decided = True
            before = known.get(one.ref)
            at = one.event.received_at
            seen = plan.seen_at(before, at, one.read_at)
            waited, open_write = time.time() - at, busy and plan.under_way(one.ref, before, busy, seen)
            if open_write and not one.event.replay and not site.asks(one.event.connection_key, one.entity):
                one.plan = plan.skip("no_route")  # ours or not: the write itself says what the record is
                continue
            if waited < plan.patience(before) and (open_write or plan.read_too_early(before, one.read_at)):
                one.delay = min(max(0.5, waited / 10), 5.0)
                one.plan = plan.Plan(EventState.RECEIVED, "own_write_under_way")
                continue
            wrote = orjson.loads(before.wrote) if before is not None and before.wrote else None
            spec = site.message(one.event.connection_key, one.event.message)
            try:
                one.plan = plan.decide(
                    one.ref,
                    one.canonical,
                    one.text,
                    one.version,
                    before,
                    wrote,
                    aim.of_event(one.event, site.candidates(one.event.connection_key, one.entity)),
                    now,
                    replay=one.event.replay,
                    event_id=one.arrival,
                    message=one.event.message,
                    occasion=bool(spec is not None and spec.occasion),
                    merging=bool(site.merging(one.entity)),
                )
            except mapping_errors.ExpressionError as error:
                one.plan = plan.Plan(EventState.PARKED, "condition", {"zh": error.zh, "en": error.en})
                continue
            except Exception as error:
                log.exception("intake.internal", event=one.event.id, kind=type(error).__name__)
                one.plan = draft.internal(error)
                continue
            one.before = before
            if one.plan.state is not None:
                known[one.ref] = owing.after(before, one.plan.state)

    # --- writing -----------------------------------------------------------------------------------

    async def _write(self, site: sites.Site, drafts: Sequence[draft.Draft], *, locked: bool = False) -> dict[str, bool]:
        """``locked``: decides while it holds the records. Raises records.Moved when they are not as decided by."""
        targets: dict[str, bool] = {}
        newest: dict[records.Ref, records.State] = {}
        async with self._ledger.write(patient=all(one.past for one in drafts)) as connection:
            if any(one.entity == PEOPLE for one in drafts):
                await records.alone(connection)
            if locked:
                await records.hold(connection, [one.ref for one in drafts if one.plan is None])
                await self._decide(connection, site, drafts)
            for one in drafts:
                if one.plan is not None and one.plan.state is not None:
                    newest[one.plan.state.ref] = one.plan.state
            kept = await records.keep(connection, list(newest.values()))
            missing = [ref for ref in newest if ref not in kept]
            overtaken = await records.find(connection, missing)
            for one in drafts:
                if one.ref in overtaken and one.plan is not None and one.plan.state is not None:
                    stale = plan.skip("stale")
                    one.plan = replace(
                        one.plan, ruling=stale.ruling, reason=stale.reason, words=stale.words, state=None
                    )
            mine = [one for one in drafts if one.plan is not None]
            places = await identity.join(connection, self._sealer, site.match, mine, kept)
            places, back = await claiming.judge(connection, site, mine, places)
            ours = await inbox.settle(connection, [draft.ruling(one) for one in drafts])
            if len(ours) < len(drafts):  # roll back: a state kept for it would make the event look unchanged to them
                raise _Lost(ours)
            planned = [one for one in mine if one.plan is not None and one.plan.ruling is EventState.PLANNED]
            await inbox.carry(
                connection,
                [
                    (one.event.id, one.entity, one.meaning.name if one.meaning else "", one.text, one.native)
                    for one in planned
                ],
            )
            owed = [owed for one in planned for owed in owing.owed(one, places[one.ref], back, site)]
            await outbox.plan(connection, owed)
            await about.note(connection, self._sealer, mine, places)
            cancelled = await timers.planned(connection, self._sealer, site, mine, places, owed)
            targets = owing.merged([{one.connection_key: one.priority == inbox.FAST} for one in owed])
            await tallies.add(connection, self._ledger.slot, owing.counts(mine) + cancelled)
        if tracing.on():
            caused = Counter(each.event_id for each in owed)
            for one in planned:
                tracing.tell(owing.span(one, caused[one.event.id]))
        return targets


def _counted(claimed: Sequence[inbox.ClaimedEvent]) -> Counter[str]:
    return Counter(one.connection_key for one in claimed if not one.fast)

"""Reconciling 对账: makes the comparisons that are due, scheduled or asked for, and mends what a person says.

One process at a time works on a comparison (lease and fence); it goes on after a restart where it was. A repair
is an event like any other: the record is read again on the side that should be followed and appended, aimed at
the other side only, so that lanes, mappings and attempts apply and nobody gets a second message.
"""

from __future__ import annotations

import random
import secrets as tokens
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pydantic
import structlog

from connectors.core import client, declaration, errors
from mappings import errors as mapping_errors
from retry_queue import append, metrics, rest
from retry_queue.ledger import (
    configuration,
    departed,
    findings,
    inbox,
    reconciliations,
    records,
    secrets,
    session,
    sightings,
)
from retry_queue.sync import agreement, aim, schedule, several, sides, verdict
from retry_queue.sync import site as sites

LOOK = 1.0
AT_ONCE = 2
"""Comparisons that one process works on at a time."""
TRIES = 8
"""Failures in a row after which a comparison is given up."""
REPAIRS = 20
"""Repairs begun in one go."""
REPAIR_LEASE = 60.0
FOLLOWED = 500
SETTING = "reconciliations"

log = structlog.get_logger()


@dataclass(slots=True)
class _Plans:
    epoch: int = -1
    found: list[schedule.Schedule] = field(default_factory=list)
    next_at: float = 0.0


class Reconciler(rest.Crew):
    """Does everything about reconciliations that is due. One per process that polls."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        sealer: secrets.Sealer,
        appender: append.Appender,
        only: int | None = None,
    ) -> None:
        """``only``: work on this comparison and nothing else, for a command that was asked to make one."""
        super().__init__("reconcile", LOOK)
        self._ledger = ledger
        self._site = site
        self._calls = calls
        self._sealer = sealer
        self._appender = appender
        self._only = only
        self._plans = _Plans()

    async def step(self) -> None:
        """Notes turns that are due, begins comparisons, begins and follows repairs."""
        if self._only is None:
            await self._turns()
        while len(self._running) < AT_ONCE:
            async with self._ledger.write() as db:
                row = await reconciliations.claim(db, self._ledger.owner, agreement.LEASE, self._only)
            if row is None:
                break
            self._begin(self._one(row), f"reconcile {row.id}")
        await self._repairs()
        await self._follow()

    # --- schedules ---------------------------------------------------------------------------------

    async def _turns(self) -> None:
        now = await self._ledger.now()
        epoch = self._site().epoch
        if epoch != self._plans.epoch:
            async with self._ledger.read() as db:
                given = await configuration.setting(db, SETTING) or []
            self._plans = _Plans(epoch, list(_schedules(given)))
        if now < self._plans.next_at:
            return
        self._plans.next_at = now + 5.0
        due = [one.turn(now) for one in self._plans.found if one.enabled]
        if due:
            async with self._ledger.write() as db:
                for one in due:
                    if await reconciliations.turn(db, one) is not None:
                        log.info("reconcile.due", schedule=one.plan_key)

    # --- one comparison ----------------------------------------------------------------------------

    async def _one(self, row: reconciliations.Row) -> None:
        run: agreement.Run | None = None
        try:
            run = agreement.Run(self._ledger, self._site(), self._calls, self._sealer, row, self._halt)
            counts = await run.work()
            async with self._ledger.write() as db:
                ended = await reconciliations.end(db, row, "done", counts)
        except reconciliations.Lost:
            return
        except agreement.Halted:
            with suppress(session.LedgerUnavailable):
                async with self._ledger.write() as db:
                    await reconciliations.release(db, [self._ledger.owner])
            return
        except session.LedgerUnavailable as error:
            log.warning("reconcile.waiting", reconciliation=row.id, error=str(error))
            return  # the lease ends, and somebody goes on
        except Exception as error:  # judged and written down, whatever it is
            log.warning("reconcile.stopped", reconciliation=row.id, kind=type(error).__name__, exc_info=_ours(error))
            with suppress(session.LedgerUnavailable):
                ended = await self._stopped(row, dict(run.progress) if run else dict(row.progress), error)
                if ended:
                    await self._forget(row.id)
            return
        if ended:
            metrics.RECONCILIATIONS.labels(row.left_key, row.right_key, row.entity, "done").inc()
            log.info("reconcile.done", reconciliation=row.id, **counts)
            with suppress(session.LedgerUnavailable):
                await self._forget(row.id)

    async def _stopped(self, row: reconciliations.Row, progress: dict[str, Any], error: Exception) -> bool:
        """Again later, or given up; True when it ended."""
        failures = int(progress.get("failures", 0)) + 1
        words, delay = judged(error, failures)
        async with self._ledger.write() as db:
            if delay is not None and failures <= TRIES:
                await reconciliations.later(db, row, {**progress, "failures": failures}, delay, words)
                return False
            ended = await reconciliations.end(db, row, "failed", None, words)
        metrics.RECONCILIATIONS.labels(row.left_key, row.right_key, row.entity, "failed").inc()
        return ended

    async def _forget(self, number: int) -> None:
        """What was read is needed no more, and holds personal data."""
        gone = 1
        while gone:
            async with self._ledger.write() as db:
                gone = await sightings.drop(db, number)

    # --- repairs -----------------------------------------------------------------------------------

    async def _repairs(self) -> None:
        async with self._ledger.write() as db:
            asked = await findings.claim(db, REPAIRS, REPAIR_LEASE, self._only)
            rows = {i: await reconciliations.get(db, i) for i in {one.reconciliation_id for one in asked}}
        for one in asked:
            row = rows[one.reconciliation_id]
            if row is None or self._halt.is_set():
                return
            await self._repair(row, one)

    async def _repair(self, row: reconciliations.Row, one: findings.Found) -> None:
        try:
            event, target = await self._event(row, one)
            gone = await self._gone(row, one, target)
        except Exception as error:
            if isinstance(error, session.LedgerUnavailable):
                raise
            log.warning("repair.failed", finding=one.id, kind=type(error).__name__, exc_info=_ours(error))
            words, delay = judged(error, 1)
            async with self._ledger.write() as db:
                if delay is not None:
                    await findings.later(db, one.id, delay, words)
                else:
                    await findings.end(db, [(one.id, "failed", words)])
            return
        async with self._ledger.write() as db:
            record = one.right_record if target == row.right_key else one.left_record
            if record is not None:
                await records.forget_written(db, [(target, row.entity, record)])
            await departed.leave(db, gone)
        made = (await self._appender.append([event]))[0]
        async with self._ledger.write() as db:
            number = made if made is not None else await inbox.number(db, event.connection_key, event.dedupe)
            if number is not None:
                await findings.begun(db, [(one.id, number, one.asked_at or 0.0)])

    async def _event(self, row: reconciliations.Row, one: findings.Found) -> tuple[inbox.NewEvent, str]:
        """The event that mends a finding, and the connection it is aimed at. Raises what reading raises."""
        site = self._site()
        spec = schedule.Comparison.model_validate(row.spec)
        right = one.kind == "extra" or (one.kind == "different" and self._owned(site, row, one))
        source, target = (row.right_key, row.left_key) if right else (row.left_key, row.right_key)
        record = one.right_record if right else one.left_record
        if not aim.reaches(site.candidates(source, row.entity), target):
            raise sides.Unreadable(
                f"没有把 {source} 的 {row.entity} 写入 {target} 的路由，请人工处理",
                f"no route writes a {row.entity} of {source} to {target}; mend it by hand",
            )
        if one.kind == "different":
            await self._single(row, one)
        side = sides.find(site, spec.right if right else spec.left, row.entity)
        async with self._ledger.read() as db:
            known = (await records.find(db, [(source, row.entity, record or "")])).values()
        at = next((each.version for each in known), None)
        native = await side.row(self._calls, record or "", at)
        if native is None:
            raise sides.Unreadable(f"{source} 里已没有 {record}", f"there is no {record} in {source} any more")
        found = side.event(native)
        name = inbox.aimed(target, f"{one.id}:{int((one.asked_at or 0.0) * 1000)}")
        return (
            inbox.NewEvent(
                connection_key=source,
                source=(side.message.source if side.message else "repair")[:40],
                message=found.message,
                entity=found.entity,
                record=found.record[:200] if found.record else None,
                dedupe=name,
                payload=found.payload.decode(),
                occurred_at=found.occurred_at.timestamp() if found.occurred_at else None,
                trace=tokens.token_hex(16),
            ),
            target,
        )

    async def _single(self, row: reconciliations.Row, one: findings.Found) -> None:
        """Raises Unreadable for what was split or merged: a whole must not be written over one of its parts."""
        async with self._ledger.read() as db:
            found = await records.find(db, [(row.left_key, row.entity, one.left_record or "")])
            groups = await records.groups(db, [each.link_id for each in found.values()])
        linked = [each for group in groups.values() for each in group if each.entity == row.entity]
        counts = [sum(each.connection_key == key for each in linked) for key in (row.left_key, row.right_key)]
        if max(counts) > 1:
            said = several.words(*counts)
            raise sides.Unreadable(said["zh"], said["en"])

    async def _gone(self, row: reconciliations.Row, one: findings.Found, target: str) -> list[records.Known]:
        """Records of the target that the ledger still links with what is missing there, and that are not there."""
        if one.kind == "different":
            return []
        source, record = (
            (row.left_key, one.left_record) if target == row.right_key else (row.right_key, one.right_record)
        )
        ref = (source, row.entity, record or "")
        async with self._ledger.read() as db:
            known = await records.find(db, [ref])
            groups = await records.groups(db, [each.link_id for each in known.values()])
        linked = [
            each
            for group in groups.values()
            for each in group
            if each.connection_key == target and each.entity == row.entity
        ]
        if not linked:
            return []
        spec = schedule.Comparison.model_validate(row.spec)
        side = sides.find(self._site(), spec.right if target == row.right_key else spec.left, row.entity)
        if side.gets is None:
            return linked
        return [each for each in linked if await side.one(self._calls, each.record) is None]

    def _owned(self, site: sites.Site, row: reconciliations.Row, one: findings.Found) -> bool:
        """Whether every field that differs belongs to the right side."""
        rule = site.entities.get(row.entity)
        if rule is None or not one.fields:
            return False
        owners = [_owner(rule.owners, str(each.get("path", ""))) for each in one.fields]
        return all(owner == row.right_key for owner in owners)

    async def _follow(self) -> None:
        async with self._ledger.read() as db:
            ended = await findings.follow(db, FOLLOWED)
        if ended:
            async with self._ledger.write() as db:
                await findings.end(db, ended)


def _owner(owners: dict[str, str], path: str) -> str | None:
    top = path.partition(".")[0].partition("[")[0]
    return owners.get(path) or owners.get(top)


def _schedules(given: Any) -> Any:
    """The stored schedules; one that cannot be read any more is left out, and ``check`` names it."""
    for one in given:
        with suppress(pydantic.ValidationError):
            yield schedule.Schedule.model_validate(one)


def _ours(error: Exception) -> Exception | None:
    """An error that is ours to mend, for the log."""
    theirs = (sides.Unreadable, errors.ConnectorError, mapping_errors.MappingError, mapping_errors.ExpressionError)
    return None if isinstance(error, theirs) else error


def judged(error: Exception, failures: int) -> tuple[dict[str, str], float | None]:
    """Why reading stopped, and after how many seconds to try again; None: not again."""
    if isinstance(error, sides.Unreadable):
        return error.words, None
    if isinstance(error, mapping_errors.ExpressionError):
        return {"zh": error.zh, "en": error.en}, None
    if isinstance(error, pydantic.ValidationError):
        said = {"zh": "对账定义无法读取", "en": "what to compare cannot be read"}
        return said, None
    ruling = verdict.of_error(
        error, failures=failures - 1, idempotent=declaration.Idempotency.KEY, jitter=random.random()
    )
    if ruling.act in (verdict.Act.RETRY, verdict.Act.WAIT):
        return ruling.words, ruling.delay
    return ruling.words, None

"""Delivering: one claimed delivery -> mapped, called, judged. Returns a result; the settler writes it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import structlog

from connectors.core import client, declaration, errors, model
from mappings import errors as mapping_errors
from retry_queue.ledger import lane, merged, records, secrets, session
from retry_queue.ledger.states import DeliveryState
from retry_queue.sync import adjust, backoff, breaker, context, echo, flows, merge, plan, timers, verdict, words
from retry_queue.sync import site as sites

DEADLINE = 55.0
FRESH = 55.0
"""Seconds after the claim within which a call may begin: it ends before the lease does."""
LINK_WAIT = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""How long to wait for a record that is referred to and not linked yet, before a person is asked."""
AWAITED = 6
"""How many of those waits are spent on a link that would only tell more: our write may be in its own retries."""

PROBED = 3
"""Failures that a probe counts as at most when it is judged."""

_ELSEWHERE = {
    "elsewhere": {
        "zh": "对应的单据不在这个系统里，无需送往",
        "en": "what it refers to belongs to another system; nothing to send here",
    },
    "not_listed": {
        "zh": "这家店没有这个商家编码的商品，无需更新库存",
        "en": "nothing with this merchant's code is listed there; no stock to update",
    },
}
INTERNAL = "internal"
"""The outcome of an attempt that an error of ours ended."""

log = structlog.get_logger()


class Courier:
    """Delivers. One per worker process."""

    def __init__(
        self,
        ledger: session.Ledger,
        site: Callable[[], sites.Site],
        calls: client.Client,
        sealer: secrets.Sealer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._site = site
        self._calls = calls
        self._sealer = sealer
        self._clock = clock

    async def prepare(self, claimed: Sequence[lane.ClaimedDelivery]) -> list[context.Job | lane.Result]:
        """Joins everything a batch needs; what needs no call any more comes back as a result."""
        site = self._site()
        made = [self._job(site, delivery) for delivery in claimed]
        jobs = [one for one in made if isinstance(one, context.Job)]
        if jobs:
            await context.resolve(self._ledger, self._sealer, jobs)
            await self._merge(site, jobs)
            made = await timers.due(self._ledger, self._sealer, site, made)
        return made

    async def rendered(self, delivery: lane.ClaimedDelivery) -> tuple[context.Job, dict[str, Any] | None] | None:
        """A delivery as it would be sent now, without sending it; None when it has nowhere to go any more.

        The second part is None when nobody can be found to send it to. Raises MappingError.
        """
        (made,) = await self.prepare([delivery])
        return (made, self._native(made)) if isinstance(made, context.Job) else None

    async def _merge(self, site: sites.Site, jobs: Sequence[context.Job]) -> None:
        """Puts what counts by now into the records that travel both ways, whichever event each job is from."""
        those = [one for one in jobs if one.delivery.kind == "state" and site.merging(one.delivery.entity)]
        if not those:
            return
        async with self._ledger.read() as connection:
            held = await merged.settled(connection, {one.delivery.link_id for one in those})
        for one in those:
            fields = held.get(one.delivery.link_id, {})
            known = one.member.canonical if one.member else None
            own = orjson.loads(known) if known else None
            target, exists = one.delivery.connection_key, one.member is not None
            one.canonical = merge.applied(one.canonical, fields, exists=exists, own=own, target=target)
            one.scope.pop("owners", None)  # the merged record has heard the owner already

    def _job(self, site: sites.Site, delivery: lane.ClaimedDelivery) -> context.Job | lane.Result:
        found = site.routes.get(delivery.route_key)
        live = site.live.get(delivery.connection_key)
        place = delivery.position % plan.RESTORE
        if found is None or place >= len(found.targets) or live is None or not live.used:
            said = {"zh": "路由或目标连接已删除", "en": "the route or its target is gone"}
            return _ended(delivery, DeliveryState.SKIPPED, "route_gone", said)
        target = found.targets[place].target
        delivery.chained = bool(found.then)
        delivery.interrupted = delivery.interrupted or site.doubts(delivery)
        operation = site.operation(delivery.connection_key, delivery.operation)
        if operation is None:
            said = {"zh": f"接口操作 {delivery.operation} 不存在", "en": f"no operation {delivery.operation}"}
            return _ended(delivery, DeliveryState.PARKED, "misdeclared", said)
        name = flows.mapping_name(target, operation, delivery.entity)
        template = site.templates.get(target.template) if target.template else None
        canonical: dict[str, Any] = orjson.loads(delivery.body)
        rule = site.entities.get(delivery.entity) if delivery.kind == "state" else None
        job = context.Job(
            delivery,
            live,
            target,
            delivery.operation,
            site.planned_meaning(delivery.mapping) or site.meaning(live.connector, name),
            template,
            canonical,
        )
        if rule:
            job.scope["owners"] = rule.owners
        return job

    async def deliver(self, job: context.Job) -> lane.Result:
        """One attempt. Never raises for what a vendor or a mapping does."""
        site = self._site()
        started = self._clock()
        operation = site.operation(job.delivery.connection_key, job.operation)
        if operation is None or job.live.opened is None:
            said = job.live.problem or {"zh": "连接无法使用", "en": "the connection cannot be used"}
            return _ended(job.delivery, DeliveryState.PARKED, "connection_broken", said)
        hold = site.policies.get(job.delivery.route_key) != lane.SKIP
        if job.delivery.interrupted and operation.idempotent is declaration.Idempotency.NO and not operation.flow:
            ruling = verdict.restored() if site.doubts(job.delivery) else verdict.unknown()
            return replace(self._result(job, ruling, started, hold, None), called=False)
        if job.delivery.crashes >= verdict.MAX_CRASHES:
            return replace(self._result(job, verdict.crashing(job.delivery.crashes), started, hold, None), called=False)
        early = self._early(job, hold)
        if early is not None:
            return early
        outcome: model.Outcome | None = None
        exchanges: Sequence[model.Exchange] = ()
        try:
            native = self._native(job)
            if native is None:
                said = {"zh": "找不到收件人，无需发送", "en": "nobody to send it to"}
                return _ended(job.delivery, DeliveryState.SKIPPED, "no_recipient", said)
            job.digest = echo.native_digest(native)
            if self._told(job):
                said = {
                    "zh": "对目标而言内容没有变化，无需重复写入",
                    "en": "nothing changes for the target; not written again",
                }
                return _ended(
                    job.delivery,
                    DeliveryState.DELIVERED,
                    "unchanged",
                    said,
                    record=job.member.record if job.member else None,
                )
            async with asyncio.timeout(DEADLINE):
                fresh = job.delivery.attempt == 1 and not job.delivery.interrupted
                urgent = job.delivery.urgent
                if job.delivery.rest is not None:
                    native = {**native, "rest": job.delivery.rest}
                outcome = await self._calls.call(job.live.opened, job.operation, native, fresh=fresh, urgent=urgent)
            ruling = verdict.of_outcome(outcome, failures=job.delivery.failures, jitter=random.random())
            exchanges = outcome.exchanges
        except TimeoutError:
            late = errors.OutcomeUnknown("no answer in time")
            ruling = self._judge(late, job, operation)
        except (errors.ConnectorError, mapping_errors.MappingError) as error:
            ruling = self._judge(error, job, operation)
            exchanges = _exchanges(error)
        except Exception as error:
            log.exception("delivery.internal", delivery=job.delivery.id, kind=type(error).__name__)
            ruling = self._judge(error, job, operation)
        return self._result(job, ruling, started, hold, outcome, exchanges, operation)

    def _early(self, job: context.Job, hold: bool) -> lane.Result | None:
        """What can be said before mapping: a reference that is not there yet."""
        delivery = job.delivery
        if job.elsewhere:
            return _ended(delivery, DeliveryState.SKIPPED, job.elsewhere, _ELSEWHERE[job.elsewhere])
        waiting = job.missing or (job.awaited if delivery.failures < AWAITED else [])
        if waiting:
            named = "、".join(waiting)
            wait = backoff.after(delivery.failures + 1, 0.5, schedule=LINK_WAIT).delay
            said = {
                "zh": f"等待关联：目标系统中还没有 {named}",
                "en": f"waiting for a link: no {named} in the target yet",
            }
            if job.bound() and delivery.failures >= AWAITED:
                return _ended(delivery, DeliveryState.SKIPPED, "elsewhere", _ELSEWHERE["elsewhere"])
            if wait is None:
                return _ended(delivery, DeliveryState.PARKED, "link_missing", said, hold=hold)
            return lane.Result(
                delivery, DeliveryState.RETRYING, "wait", 0.0, wait, True, "link_missing",
                orjson.dumps(said).decode(), hold=hold,
            )  # fmt: skip
        return None

    def _told(self, job: context.Job) -> bool:
        """Whether the last write to this very record said the same.

        A change of the source that does not concern the target must not write over what was changed there
        meanwhile.
        """
        if job.delivery.kind != "state" or job.delivery.attempt > 1 or job.member is None or not job.member.wrote:
            return False
        if job.delivery.position >= plan.RESTORE:
            return False  # it says something else by now, or nobody can tell
        return bool(orjson.loads(job.member.wrote).get(echo.NATIVE) == job.digest)

    def _native(self, job: context.Job) -> dict[str, Any] | None:
        """Canonical -> the operation's input; None when a message has nobody to go to."""
        adjust.apply(job)
        canonical, scope = job.canonical, job.scope
        if job.template is not None:
            scope = {**job.scope, job.delivery.entity: canonical}
            canonical = words.message(job.template, scope, context.key(job.delivery))
            if not canonical["recipients"]:
                return None
        elif job.member is not None and "owners" in job.scope:
            source = job.delivery.source_key
            for path, owner in job.scope["owners"].items():
                if owner != source:
                    canonical = merge.without(canonical, path)
        if job.meaning is None:
            raise mapping_errors.MappingError(
                f"没有把 {job.delivery.entity} 写入 {job.live.connector} 的字段映射",
                f"no mapping of {job.delivery.entity} for {job.live.connector}",
            )
        return job.meaning.mapping.to_native(canonical, scope)

    def _judge(self, error: BaseException, job: context.Job, operation: declaration.Operation) -> verdict.Verdict:
        kind = declaration.Idempotency.QUERY_FIRST if operation.flow else operation.idempotent
        # A probe tries the system, not its record: it is never the failure too many.
        failures = job.delivery.failures if job.delivery.probe is None else min(job.delivery.failures, PROBED)
        return verdict.of_error(
            error,
            failures=failures,
            idempotent=kind,
            jitter=random.random(),
        )

    def _result(
        self,
        job: context.Job,
        ruling: verdict.Verdict,
        started: float,
        hold: bool,
        outcome: model.Outcome | None,
        exchanges: Sequence[model.Exchange] = (),
        operation: declaration.Operation | None = None,
    ) -> lane.Result:
        state, failed = _STATES[ruling.act]
        failed = failed and not (job.delivery.probe is not None and ruling.reason in breaker.FAILED)
        delivered = ruling.act is verdict.Act.DELIVERED
        return lane.Result(
            delivery=job.delivery,
            state=state,
            outcome=str(ruling.act),
            duration=self._clock() - started,
            delay=ruling.delay,
            failed=failed,
            reason=ruling.reason,
            detail=orjson.dumps({**ruling.words, "code": ruling.code}).decode() if ruling.words else None,
            code=ruling.code,
            exchanges=_written(exchanges),
            target_record=outcome.record_id if outcome else None,
            hold=hold,
            banned=ruling.banned,
            rest=outcome.rest if outcome else None,
            binding=self._binding(job, outcome, operation) if delivered and outcome and operation else None,
        )

    def _binding(
        self, job: context.Job, outcome: model.Outcome, operation: declaration.Operation
    ) -> records.Binding | None:
        """The link to the target's record and, where its events come back to us, what we wrote there."""
        # A generic operation writes what it is given.
        entity = operation.id_of or operation.entity or job.delivery.entity
        if operation.kind != "write" or outcome.record_id is None or entity != job.delivery.entity or job.template:
            return None
        key = job.delivery.connection_key
        listens = bool(self._site().candidates(key, entity))
        wrote = echo.digests(job.canonical, job.meaning.shared) if listens and job.meaning else {}
        past = echo.remembered(job.member.wrote, wrote) if wrote and job.member else {}
        text = orjson.dumps({**wrote, echo.NATIVE: job.digest, echo.PAST: past}).decode()
        return records.Binding((key, entity, outcome.record_id), job.delivery.link_id, text, job.delivery.hop + 1)


_STATES = {
    verdict.Act.DELIVERED: (DeliveryState.DELIVERED, False),
    verdict.Act.RETRY: (DeliveryState.RETRYING, True),
    verdict.Act.WAIT: (DeliveryState.RETRYING, False),
    verdict.Act.PAUSE: (DeliveryState.RETRYING, False),
    verdict.Act.PARK: (DeliveryState.PARKED, False),
    verdict.Act.DEAD: (DeliveryState.DEAD, True),
    verdict.Act.SKIP: (DeliveryState.SKIPPED, False),
}


def internal(delivery: lane.ClaimedDelivery, error: Exception) -> lane.Result:
    """Ours to mend: parked, to be replayed after that."""
    name = type(error).__name__
    said = {"zh": f"内部错误 {name}，修复后可重放", "en": f"internal error {name}; replay it when that is mended"}
    detail = orjson.dumps(said).decode()
    return lane.Result(delivery, DeliveryState.PARKED, INTERNAL, 0.0, reason="internal", detail=detail, code=name)


def _ended(
    delivery: lane.ClaimedDelivery,
    state: DeliveryState,
    reason: str,
    said: dict[str, str],
    *,
    hold: bool = True,
    record: str | None = None,
) -> lane.Result:
    detail = orjson.dumps(said).decode()
    return lane.Result(delivery, state, str(state), 0.0, 0.0, False, reason, detail, hold=hold, target_record=record)


def _exchanges(error: BaseException) -> Sequence[model.Exchange]:
    found = getattr(error, "exchange", None)
    if found is None:
        return ()
    return found if isinstance(found, list | tuple) else (found,)


def _written(exchanges: Sequence[model.Exchange]) -> str | None:
    return orjson.dumps(list(exchanges)).decode() if exchanges else None

"""The worker process: pumps, polls, and the arq listener that wakes them."""

from __future__ import annotations

import asyncio

import structlog

from gateway import wiring
from retry_queue import alert, backfill, bulk, dispatch, keeping, metrics, poll, pump, reconcile, tasks
from retry_queue.sync import breaker

log = structlog.get_logger()


async def run(hub: wiring.Hub, *, polls: bool = True, pumps: bool = True, pace: float = 1.0) -> None:
    """Works until ``hub.stopped``; what is under way is finished first (up to 25 s)."""
    rule = breaker.Rule(probe=hub.settings.probe_seconds)
    engine = pump.Pumps(hub.ledger, hub.calls, hub.sealer, hub.current, hub.reload, rule)
    work = [asyncio.create_task(wiring.follow(hub), name="follow")]
    if pumps:
        work.append(asyncio.create_task(engine.run(hub.stopped), name="pumps"))
        work.append(asyncio.create_task(bulk.Replayer(hub.ledger).run(hub.stopped), name="replayer"))
        if hub.settings.redis:
            listener = dispatch.listen(hub.settings.redis, tasks.wake(engine.rung), hub.stopped)
            work.append(asyncio.create_task(listener, name="listener"))
            hearing = dispatch.hear(hub.settings.redis, engine.rung, hub.stopped)
            work.append(asyncio.create_task(hearing, name="hearing"))
    else:
        work.append(asyncio.create_task(wiring.watch(hub), name="watch"))
    if polls:
        poller = poll.Poller(hub.ledger, hub.current, hub.calls, hub.appender, pace)
        work.append(asyncio.create_task(poller.run(hub.stopped), name="poller"))
        comparing = reconcile.Reconciler(hub.ledger, hub.current, hub.calls, hub.sealer, hub.appender)
        work.append(asyncio.create_task(comparing.run(hub.stopped), name="reconciler"))
        history = backfill.Backfiller(hub.ledger, hub.current, hub.calls, hub.appender)
        work.append(asyncio.create_task(history.run(hub.stopped), name="backfiller"))
        watcher = alert.Watcher(hub.ledger, hub.current, hub.calls, hub.sealer, hub.settings.public_url)
        work.append(asyncio.create_task(watcher.run(hub.stopped), name="alerts"))
        keeper = keeping.Keeper(hub.ledger, hub.sealer)
        work.append(asyncio.create_task(keeper.run(hub.stopped), name="keeper"))
    beat = asyncio.create_task(_progress(engine), name="progress")
    log.info("worker.ready", owner=hub.ledger.owner, slot=hub.ledger.slot)
    halt = asyncio.create_task(hub.stopped.wait())
    done, _ = await asyncio.wait([*work, halt], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {halt}:
        if not task.cancelled() and task.exception() is not None:
            log.error("worker.failed", task=task.get_name(), exc_info=task.exception())
    hub.stopped.set()
    beat.cancel()
    await asyncio.gather(*work, beat, halt, return_exceptions=True)


async def _progress(engine: pump.Pumps) -> None:
    last = -1
    while True:
        if engine.progress != last:
            last = engine.progress
            metrics.PROGRESS.set_to_current_time()
        await asyncio.sleep(5.0)

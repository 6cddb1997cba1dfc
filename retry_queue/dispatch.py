"""Dispatch: ringing arq, and being rung. arq carries wake-ups only; losing all of Redis costs seconds.

A bell coalesces: however many events arrive, at most one call per ``GAP`` goes over the channel and one job per
``JOB_GAP`` into the queue, because a woken worker drains batches until nothing is due. Whoever missed the call hears
of the job, which always follows the last call. When Redis is away ringing fails in silence and the sweep, which asks
the database, does the same work within its period.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import orjson
import structlog
from arq import connections as arq_connections
from arq import worker as arq_worker
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from retry_queue import redis_address

if TYPE_CHECKING:
    from arq.typing import WorkerCoroutine

QUEUE = "shuniu:bell"
SHORTCUT = "shuniu:now"
"""A channel beside the queue: it saves an idle worker the wait for its next look, and keeps nothing."""
GAP, JOB_GAP = 0.02, 0.1
"""Seconds between two calls over the channel, and between two jobs of arq."""
WAITING = 16
"""Wake-ups that may wait in Redis at once."""
POLL = 0.1
"""Seconds between two looks of an idle worker, which the channel wakes sooner."""
RETRY_ON = [RedisConnectionError, RedisTimeout, BusyLoadingError, FileNotFoundError, ConnectionRefusedError, OSError]

log = structlog.get_logger()


def dumps(value: dict[str, Any]) -> bytes:
    """The only thing that may travel through Redis: JSON of names and numbers, never pickle."""
    return orjson.dumps(value, default=str)


def loads(data: bytes) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(data)
    return read


def redis_settings(url: str) -> arq_connections.RedisSettings:
    """Settings that outlive a restart of Redis."""
    settings = arq_connections.RedisSettings.from_dsn(url)
    settings.conn_retries = 2
    settings.conn_retry_delay = 1
    settings.retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 3)
    settings.retry_on_error = RETRY_ON
    return settings


async def pool(url: str) -> arq_connections.ArqRedis:
    """What rings: arq's own, and where Sentinels are asked for the master one that keeps to our limits of time."""
    if redis_address.group(url) is None:
        return await arq_connections.create_pool(
            redis_settings(url), job_serializer=dumps, job_deserializer=loads, default_queue_name=QUEUE
        )
    settings = arq_connections.RedisSettings()
    again = {"retry": Retry(ExponentialBackoff(cap=0.5, base=0.02), 3), "retry_on_error": RETRY_ON}
    made = redis_address.client(
        url, arq_connections.ArqRedis, socket_connect_timeout=settings.conn_timeout, encoding="utf8", **again
    )
    made.job_serializer, made.job_deserializer, made.default_queue_name = dumps, loads, QUEUE
    return cast("arq_connections.ArqRedis", made)


class Bell:
    """Rings a worker through arq. ``local`` is called too, when this process works itself."""

    def __init__(self, url: str | None, local: Callable[[], None] | None = None) -> None:
        self._url = url
        self._local = local
        self._pool: arq_connections.ArqRedis | None = None
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._job_at = 0.0
        """When the last job was handed over, by the loop's clock."""
        self.rung = 0
        self.failed = 0

    def ring(self) -> None:
        """Asks for a wake-up soon; returns at once."""
        if self._local is not None:
            self._local()
        if self._url is None:
            return
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="bell")

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        owed = False
        while True:
            called = await self._called(self._job_at + JOB_GAP - clock() if owed else None)
            owed = True
            try:
                job = clock() >= self._job_at + JOB_GAP
                await self._send(call=called, job=job)
                if job:
                    self._job_at, owed = clock(), False
                self.rung += 1
            except (RedisError, OSError, TimeoutError) as error:
                self.failed += 1
                self._pool, owed = None, False
                log.info("bell.redis_away", kind=type(error).__name__)
                await asyncio.sleep(0.5)
            await asyncio.sleep(GAP)

    async def _called(self, seconds: float | None) -> bool:
        """Waits for a ring, at most so long; False when none came."""
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            return False
        self._wanted.clear()
        return True

    async def _send(self, *, call: bool, job: bool) -> None:
        async with asyncio.timeout(2.0):
            if self._pool is None:
                self._pool = await pool(self._url or "")
            if call:
                await self._pool.publish(SHORTCUT, b"")  # whoever listens right now need not wait for the next look
            if not job:
                return
            if await self._pool.zcard(QUEUE) >= WAITING:
                return  # enough wake-ups wait already: nobody listens, or everybody is at work
            await self._pool.enqueue_job("wake", _job_id=uuid.uuid4().hex, _expires=600)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pool is not None:
            await self._pool.aclose()


async def listen(url: str, wake: Callable[[dict[str, Any]], Awaitable[None]], stopped: asyncio.Event) -> None:
    """Runs the arq worker until ``stopped``; comes back by itself whenever Redis does."""
    alone = redis_address.group(url) is None
    while not stopped.is_set():
        job = arq_worker.func(cast("WorkerCoroutine", wake), name="wake", keep_result=0, timeout=10, max_tries=1000)
        worker = arq_worker.Worker(
            functions=[job],
            queue_name=QUEUE,
            redis_settings=redis_settings(url) if alone else None,
            redis_pool=None if alone else await pool(url),
            poll_delay=POLL,
            max_jobs=20,
            keep_result=0,
            job_serializer=dumps,
            job_deserializer=loads,
            handle_signals=False,
            health_check_interval=30,
            job_completion_wait=1,
        )
        run = asyncio.create_task(worker.async_run(), name="arq")
        halt = asyncio.create_task(stopped.wait())
        await asyncio.wait({run, halt}, return_when=asyncio.FIRST_COMPLETED)
        halt.cancel()
        if run.done() and not run.cancelled() and run.exception() is not None:
            log.info("bell.listener_restarts", kind=type(run.exception()).__name__)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await _closed(worker)
        if not stopped.is_set():
            await asyncio.sleep(0.2)


async def hear(url: str, woken: Callable[[], None], stopped: asyncio.Event) -> None:
    """Wakes at once while Redis can be heard; the queue and the sweep do the same a little later."""
    while not stopped.is_set():
        client = redis_address.client(url, socket_connect_timeout=2)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(SHORTCUT)
                while not stopped.is_set():
                    if await channel.get_message(timeout=1.0) is not None:
                        woken()
        except (RedisError, OSError, TimeoutError) as error:
            log.debug("bell.deaf", kind=type(error).__name__)
            await asyncio.sleep(0.5)
        finally:
            await client.aclose()


async def _closed(worker: arq_worker.Worker) -> None:
    try:
        await worker.close()
    except (RedisError, OSError, TimeoutError, AttributeError) as error:
        log.debug("bell.close", kind=type(error).__name__)
        if (open_ := getattr(worker, "_pool", None)) is not None:
            await open_.aclose()  # arq stops before this when its last word does not get through

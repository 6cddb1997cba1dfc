"""Limits and bans that many processes share, by Redis and without it."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from redis import asyncio as aioredis

from connectors.core import errors
from retry_queue import pacer
from retry_queue.ledger import session
from tests.ledger import making, paced, target

NOWHERE = "unix:///nowhere/at/all.sock?db=0"
Make = Callable[..., pacer.SharedPacer]


@pytest.fixture
async def make(ledger: session.Ledger) -> AsyncIterator[Make]:
    made: list[pacer.SharedPacer] = []

    def one(url: str | None, **how: Any) -> pacer.SharedPacer:
        made.append(pacer.SharedPacer(ledger, url, **how))
        return made[-1]

    yield one
    for each in made:
        await each.aclose()


@pytest.fixture(params=["redis", "ledger"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Where turns are handed out: a Redis that is there and empty, or one that is away."""
    if request.param == "ledger":
        yield NOWHERE
        return
    found: str = request.getfixturevalue("valkey_url")
    redis = aioredis.Redis.from_url(found)
    await redis.flushall()
    yield found
    await redis.aclose()


async def starts(pacers: list[pacer.SharedPacer], calls: int, operation: str = "a") -> list[float]:
    """When each of so many calls, spread over the pacers, was let go."""
    one = paced.connection("http://127.0.0.1:1")
    found: list[float] = []

    async def call(number: int) -> None:
        await pacers[number % len(pacers)].acquire(one, operation)
        found.append(time.monotonic())

    await asyncio.gather(*(call(n) for n in range(calls)))
    return sorted(found)


def most(times: list[float], stretch: float) -> int:
    return max(sum(at <= other < at + stretch for other in times) for at in times)


async def test_one_limit_over_several_pacers(make: Make, url: str) -> None:
    """Never more than the limit in its period, and never many at once: no stampede at a refill."""
    times = await starts([make(url) for _ in range(3)], 90)
    assert most(times, 0.7) <= 40, "as far as a busy machine wakes up in time"
    assert 1.2 <= times[-1] - times[0] <= 9.0, "and not much slower than allowed"
    if url != NOWHERE:
        redis = aioredis.Redis.from_url(url, decode_responses=True)
        (name,) = [key async for key in redis.scan_iter(f"{pacer.PREFIX}*") if await redis.type(key) == "zset"]
        turns = [at / 1000 for _, at in await redis.zrange(name, 0, -1, withscores=True)]
        await redis.aclose()
        assert len(turns) >= 30, "those of the last period"
        assert most(turns, 0.999) <= 40
        assert min(later - earlier for earlier, later in itertools.pairwise(turns)) >= 0.012, "no stampede"


async def test_scopes_add_up_and_apps_do_not_share(make: Make, valkey_url: str) -> None:
    one, other = make(valkey_url, patience=0.0), make(valkey_url, patience=5.0)
    busy = paced.connection("http://127.0.0.1:1")
    # Thirty at once, who would all have to be late by a second to find a turn each: one alone may well be late enough.
    told = await asyncio.gather(*(one.acquire(busy, "b") for _ in range(30)), return_exceptions=True)
    refused = [error for error in told if error is not None]
    assert 0 < len(refused) < 30
    for error in refused:
        assert isinstance(error, errors.Throttled)
        assert 0 < (error.retry_after or 0) <= 1.0
        assert not error.banned
    await other.acquire(paced.connection("http://127.0.0.1:1"), "a")
    await one.acquire(paced.connection("http://127.0.0.1:1", "c2", "another app"), "b")


async def test_a_ban_reaches_everybody_and_outlives_redis(make: Make, url: str) -> None:
    first, second = make(url), make(url)
    mine, same, other = (paced.connection("http://127.0.0.1:1", *of) for of in (("c1",), ("c2",), ("c3", "x")))
    await second.acquire(mine, "a")
    await first.banned(mine, 30.0, "app")
    await asyncio.sleep(0.25 if url == NOWHERE else 0.03)
    for one in (first, second, make(url)):
        for who in (mine, same):
            with pytest.raises(errors.Throttled) as caught:
                await one.acquire(who, "a")
            assert caught.value.banned
            assert 25 < (caught.value.retry_after or 0) <= 30
        await one.acquire(other, "a")
    if url != NOWHERE:
        redis = aioredis.Redis.from_url(url)
        await redis.flushall()
        await redis.aclose()
        with pytest.raises(errors.Throttled):
            await make(url).acquire(mine, "a")


async def test_what_they_ask_for_holds_everybody(make: Make, valkey_url: str) -> None:
    """429 with a time: calls of all workers start after it, and not in the same moment."""
    first, second = make(valkey_url), make(valkey_url)
    one = paced.connection("http://127.0.0.1:1")
    begun = time.monotonic()
    await first.throttled(one, "a", 0.5)
    times = await starts([first, second], 10)
    assert times[0] - begun >= 0.49
    assert times[-1] - times[0] >= 0.05


async def test_redis_goes_away_in_the_middle(make: Make, ledger: session.Ledger, valkey_url: str) -> None:
    one = make(valkey_url)
    await starts([one], 5)
    assert await making.rows(ledger, "SELECT kind FROM paces") == []
    await one.aclose()
    one._redis.connection_pool = aioredis.ConnectionPool.from_url(NOWHERE)
    times = await starts([one], 20)
    assert most(times, 0.2) <= 10
    (row,) = await making.rows(ledger, "SELECT kind FROM paces")
    assert row.kind == "turn"


async def test_redis_and_the_ledger_learn_nothing_about_whose_it_is(
    make: Make, ledger: session.Ledger, valkey_url: str
) -> None:
    one = make(valkey_url)
    connection = paced.connection("http://127.0.0.1:1", "secret-shop-canary")
    await one.acquire(connection, "a")
    await one.throttled(connection, "a", 0.1)
    await one.banned(connection, 1.0)
    redis = aioredis.Redis.from_url(valkey_url)
    keys = b" ".join([key async for key in redis.scan_iter()])
    held = await redis.hgetall(pacer.HELD)
    await redis.aclose()
    assert b"canary" not in keys + b"".join(held) + b"".join(held.values())
    assert keys
    assert all("canary" not in row.key for row in await making.rows(ledger, "SELECT key FROM paces"))


@pytest.mark.parametrize("redis", [True, False])
async def test_several_processes_keep_a_ban(postgres_url: str, valkey_url: str, redis: bool) -> None:
    """T-23, counted at the system: calls within a ban = 0, but for those that were on their way."""
    async with hosted() as (system, answered):
        command = [sys.executable, "-m", "tests.ledger.paced", postgres_url, valkey_url if redis else "-", system.url]
        children = [
            await asyncio.create_subprocess_exec(*command, "4.5", stdin=PIPE, stdout=PIPE, env=dict(os.environ))
            for _ in range(3)
        ]
        async with asyncio.timeout(60):
            for child in children:
                assert child.stdout is not None
                assert await child.stdout.readline() == b"ready\n"
            told = await asyncio.gather(*(child.communicate(b"go\n") for child in children))
            said = [orjson.loads(one[0]) for one in told]
    assert answered, "the system sent somebody away"
    assert all(one.get("banned") for one in said), said
    on_its_way = 0.7 if redis else 1.0  # a call that was let go may be slow on a busy machine
    during = [at for at in (call.at for call in system.calls) if answered[0] + on_its_way < at < answered[0] + 1.95]
    assert during == []
    times = [call.at for call in system.calls]
    assert most(times, 0.7) <= 42, "and over all of them no more than the limit"
    assert times[-1] > answered[0] + 2.0, "it goes on afterwards"


@asynccontextmanager
async def hosted() -> AsyncIterator[tuple[target.Target, list[float]]]:
    """A system that bans at its thirtieth call, and when it did."""
    system, answered = target.Target(), list[float]()

    def judge(_body: Any) -> target.Answer | None:
        if len(system.calls) == 30 and not answered:
            answered.append(asyncio.get_running_loop().time())
            return target.Answer(418)
        return None

    system.judge = judge
    await system.up()
    try:
        yield system, answered
    finally:
        await system.down()

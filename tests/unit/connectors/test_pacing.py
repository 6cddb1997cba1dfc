from __future__ import annotations

import asyncio
import random

import pytest

from connectors.core import errors, model, pacing
from tests.unit.connectors import conftest


def spec(scopes):
    return conftest.declared(
        f"pacing: {{scopes: {scopes}}}\nprobe: a\noperations:\n"
        "  a: {label: {zh: a, en: a}}\n  b: {label: {zh: b, en: b}}\n"
    )


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


def paced(**more):
    clock = Clock()
    return pacing.LocalPacer(clock=clock, sleep=clock.sleep, **more), clock


def connection(made, key="c1", **config):
    return model.Connection(key, made, config, {})


async def test_never_more_than_the_limit_in_any_stretch():
    pacer, clock = paced(patience=100)
    one = connection(spec("[{scope: shop, limit: 5, per: 10}]"))
    starts = []
    for _ in range(40):
        clock.now += random.random()
        await pacer.acquire(one, "a")
        starts.append(clock.now)
    for at in starts:
        assert sum(at <= other < at + 10 for other in starts) <= 5
    assert starts[4] - starts[0] < 10, "a burst up to the limit goes out at once"


async def test_each_receiver_has_a_limit_of_its_own():
    pacer, clock = paced(patience=100)
    one = connection(spec("[{scope: receiver, receivers: [to], limit: 2, per: 60, operations: [a]}]"))
    begun = clock.now
    for given in ({"to": "u1|u2"}, {"to": ["u1"]}, {"to": "u3"}, {}, None):
        await pacer.acquire(one, "a", given)
    await pacer.acquire(one, "b", {"to": "u1"})
    assert clock.now == begun
    await pacer.acquire(one, "a", {"to": "u2"})
    assert clock.now == begun, "u2 was written to once"
    await pacer.acquire(one, "a", {"to": "u1|u4"})
    assert clock.now == begun + 60, "regression: what one member gets too often is dropped over there without a word"
    for scopes in ("[{scope: receiver, limit: 1, per: 1}]", "[{scope: shop, receivers: [to], limit: 1, per: 1}]"):
        with pytest.raises(ValueError, match="receivers"):
            spec(scopes)


async def test_waiters_are_spread_and_the_impatient_are_told():
    pacer = pacing.LocalPacer(patience=0.3)
    one = connection(spec("[{scope: shop, limit: 2, per: 0.2}]"))
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def start():
        await pacer.acquire(one, "a")
        return loop.time() - begun

    found = await asyncio.gather(*(start() for _ in range(6)), return_exceptions=True)
    times = sorted(at for at in found if isinstance(at, float))
    told = [error for error in found if isinstance(error, errors.Throttled)]
    assert len(times) == 4
    assert times[2] >= 0.19
    assert len(told) == 2
    assert all(0.3 < error.retry_after <= 0.45 and not error.banned for error in told)


async def test_scopes_share_as_declared():
    made = spec(
        "[{scope: method, limit: 1, per: 9, operations: [b]}, {scope: ip, limit: 3, per: 9},"
        " {scope: app, limit: 2, per: 9, by: app_key}]"
    )
    pacer, _ = paced(patience=0)
    first, second = connection(made, "c1", app_key="k"), connection(made, "c2", app_key="k")
    third = connection(made, "c3", app_key="other")
    await pacer.acquire(first, "b")
    with pytest.raises(errors.Throttled):
        await pacer.acquire(first, "b")
    await pacer.acquire(second, "a")
    with pytest.raises(errors.Throttled):
        await pacer.acquire(second, "a")  # two of the app "k" are gone, also from here
    await pacer.acquire(third, "b")
    with pytest.raises(errors.Throttled):
        await pacer.acquire(third, "a")  # three of the address are gone


async def test_a_refused_call_takes_no_place():
    pacer, clock = paced(patience=0)
    one = connection(spec("[{scope: shop, limit: 1, per: 10}, {scope: method, limit: 5, per: 10}]"))
    await pacer.acquire(one, "a")
    for _ in range(20):
        with pytest.raises(errors.Throttled):
            await pacer.acquire(one, "a")
    clock.now += 10
    await pacer.acquire(one, "a")


async def test_ban():
    pacer, clock = paced()
    one, other = connection(spec("[]"), "c1"), connection(spec("[]"), "c2")
    pacer.banned(one, 60)
    pacer.banned(one, 5)
    with pytest.raises(errors.Throttled) as caught:
        await pacer.acquire(one, "a")
    assert caught.value.banned
    assert caught.value.retry_after == 60
    await pacer.acquire(other, "a")
    clock.now += 60
    await pacer.acquire(one, "a")


async def test_a_ban_reaches_those_who_already_wait():
    pacer, clock = paced()
    one = connection(spec("[{scope: shop, limit: 1, per: 5}]"))
    await pacer.acquire(one, "a")
    sleep = clock.sleep

    async def banned_meanwhile(seconds):
        pacer.banned(one, 100)
        await sleep(seconds)

    pacer._sleep = banned_meanwhile
    with pytest.raises(errors.Throttled) as caught:
        await pacer.acquire(one, "a")
    assert caught.value.banned

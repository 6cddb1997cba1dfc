"""The bell over a real Valkey: few jobs however much is rung, and one after the last ring."""

from __future__ import annotations

import asyncio

import pytest
from redis import asyncio as aioredis

from retry_queue import dispatch

pytestmark = pytest.mark.redis


async def test_many_rings_are_few_jobs_and_the_last_is_followed_by_one(valkey_url: str) -> None:
    client = aioredis.Redis.from_url(valkey_url)
    bell = dispatch.Bell(valkey_url)
    try:
        await client.delete(dispatch.QUEUE)
        for _ in range(100):
            bell.ring()
            await asyncio.sleep(0.005)
        async with asyncio.timeout(10):
            while not await client.zcard(dispatch.QUEUE):
                await asyncio.sleep(0.01)
        rung = await client.zcard(dispatch.QUEUE)
        assert rung < 50
        await asyncio.sleep(3 * dispatch.JOB_GAP)  # whatever is owed for the rings before
        await client.delete(dispatch.QUEUE)
        bell.ring()  # over the channel at once, and right after it a second one that is too early for a job
        await asyncio.sleep(dispatch.GAP / 4)
        bell.ring()
        async with asyncio.timeout(10):
            while not await client.zcard(dispatch.QUEUE):
                await asyncio.sleep(0.01)
    finally:
        await bell.close()
        await client.aclose()

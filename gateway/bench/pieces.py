"""Pieces of the hot path, alone in this process: the mapping beside closures, the delivery client beside aiohttp."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson

from connectors.core import auth, client, egress, model, pacing, registry
from gateway.bench import closures, orders, target
from mappings import library
from retry_queue.sync import draft

AT_ONCE = 32


def mapping(turns: int, rounds: int = 5) -> dict[str, float]:
    """Microseconds per order in both directions together, ours and by hand, and their ratio (interleaved medians)."""
    ours = library.shipped("http", "order")
    native = orjson.loads(orjson.dumps(orders.order(1, 1.7e9)))
    stored = orjson.loads(draft.encode(ours.from_native(native)))
    by_hand = orjson.loads(draft.encode(closures.reading(native)))
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "read": (lambda: ours.from_native(native), lambda: closures.reading(native)),
        "write": (lambda: ours.to_native(stored), lambda: closures.writing(by_hand)),
    }
    found: dict[str, float] = {}
    for name, (mine, theirs) in pairs.items():
        times = [(_timed(mine, turns), _timed(theirs, turns)) for _ in range(rounds)]
        found[f"{name}_us"] = statistics.median(one for one, _ in times)
        found[f"{name}_by_hand_us"] = statistics.median(one for _, one in times)
    ours_us = found["read_us"] + found["write_us"]
    return found | {"ratio": ours_us / (found["read_by_hand_us"] + found["write_by_hand_us"])}


def _timed(call: Callable[[], object], turns: int) -> float:
    gc.collect()
    gc.disable()
    try:
        begun = time.perf_counter()
        for _ in range(turns):
            call()
        return 1e6 * (time.perf_counter() - begun) / turns
    finally:
        gc.enable()


async def calling(sink: int, count: int, rounds: int = 3) -> dict[str, float]:
    """Requests per second of the delivery client and of bare aiohttp to the same sink, and their ratio."""
    address = f"http://{target.HOST}:{sink}"
    config = {"verify_style": "closed", "base_url": address, "record_path": "/orders"}
    connection = model.Connection("bench", registry.get("http"), config, {})
    body = orders.order(0) | {"seller_note": "0"}  # the same state again and again is no duplicate
    text = orjson.dumps(body)
    calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
    rates: list[tuple[float, float]] = []
    with egress.only(egress.Rule(allowed=(ipaddress.ip_network("127.0.0.0/8"),))):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as bare:

            async def theirs() -> None:
                headers = {"content-type": "application/json"}
                async with bare.put(f"{address}/orders/{body['id']}", data=text, headers=headers) as answer:
                    await answer.read()

            async def ours() -> None:
                await calls.call(connection, "record.put", body, urgent=True)  # beyond the declared concurrency

            try:
                for _ in range(rounds):
                    rates.append((await _rate(ours, count), await _rate(theirs, count)))
            finally:
                await calls.aclose()
    return {
        "per_s": statistics.median(one for one, _ in rates),
        "aiohttp_per_s": statistics.median(one for _, one in rates),
        "ratio": statistics.median(one / other for one, other in rates),
    }


async def _rate(call: Callable[[], Awaitable[Any]], count: int) -> float:
    turns = iter(range(count))

    async def one() -> None:
        for _ in turns:
            await call()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - begun)

"""A burst of a hundred times the usual load from one connection, most of it about few records, beside a calm one."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from gateway.bench import flow, load, orders, product, target
from gateway.trial import processes

CALM = 20.0
"""Events per second of the connection beside it, before and during the burst."""
BUSY_RECORDS, BUSY_SHARE = 0.01, 0.3
"""So many of the records get so large a share of the events."""
_FIRST = 500_000_000
"""Numbers of the burst's records begin here, away from all others."""


@dataclass(frozen=True, slots=True)
class Size:
    """Events per second of the burst, its seconds, and the seconds of calm before it."""

    per_s: float
    seconds: float
    before: float


async def run(bench: flow.Bench, hub: product.Product, size: Size) -> flow.Figures:
    """Acknowledgements, order per record, the newest state of each, and what the calm connection felt."""
    with hub.running("api", "worker"):
        await processes.reachable(hub.port)
        await bench.through("/hooks/calm", hub.port, 50, [])
        await bench.through(flow.HOOK, hub.port, 50, [])
        before = await _calm(bench, hub, size.before)
        begun = time.perf_counter()
        seen = bench.sink.stats()
        newest: dict[str, int] = {}
        flood = load.steady(
            target.HOST, hub.port, _flood(hub.port, int(size.per_s * size.seconds), newest), size.per_s, lines=128
        )
        during, (sent, _) = await asyncio.gather(_calm(bench, hub, size.seconds), flood)
        await hub.quiet()
        drained = time.perf_counter() - begun
        stats = bench.sink.stats()
        arrived = bench.sink.ask("/newest")
    late = sum(arrived.get(key) != turn for key, turn in newest.items()) if not sent.refused else 0
    return {
        "sent": float(sent.sent),
        "refused": float(sent.refused),
        "ack_p50_ms": sent.quantile(0.5),
        "ack_p99_ms": sent.quantile(0.99),
        "seconds_until_drained": drained,
        "calls": float(stats["calls"] - seen["calls"]),
        "disordered": float(stats["disordered"]),
        "not_newest": float(late),
        "other_p95_before_ms": before,
        "other_p95_during_ms": during,
        "other_p95_ratio": during / max(before, 1e-9),
    }


async def _calm(bench: flow.Bench, hub: product.Product, seconds: float) -> float:
    """The 95th percentile of hand-in to arrival on the calm connection, milliseconds."""
    count = max(int(CALM * seconds), 5)
    keys, path = bench.sender.ids(count), "/hooks/calm"
    sent, sent_at = await load.steady(target.HOST, hub.port, bench.orders(path, hub.port, count), CALM)
    end = time.monotonic() + 60.0
    while len(waits := await asyncio.to_thread(bench.sink.waits, keys, sent_at)) < sent.accepted:
        if time.monotonic() > end:
            raise TimeoutError(f"only {len(waits)} of {sent.accepted} calm events arrived")
        await asyncio.sleep(0.1)
    return target.quantile(waits, 0.95)


def _flood(port: int, count: int, newest: dict[str, int]) -> Iterator[bytes]:
    """States of orders, written as they are sent; notes in ``newest`` the last one of each record."""
    chance = random.Random(17)
    records = max(count // 2, 100)
    busy = max(int(records * BUSY_RECORDS), 1)
    turns: dict[int, int] = {}
    fresh = itertools.cycle(range(busy, records))
    template = orjson.dumps(orders.order(_FIRST)).decode()
    for _ in range(count):
        number = chance.randrange(busy) if chance.random() < BUSY_SHARE else next(fresh)
        turn = turns[number] = turns.get(number, 0) + 1
        newest[orders.name(_FIRST + number)] = turn
        yield orders.request("/hooks/flood", f"{target.HOST}:{port}", _state(template, _FIRST + number, turn))


def _state(template: str, number: int, turn: int) -> bytes:
    """One state of an order, changed right now, by replacing text: the sender must not be what is measured."""
    at = time.time()
    whole, rest = divmod(at, 1)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int(rest * 1e6):06d}+00:00"
    text = template.replace(orders.name(_FIRST), orders.name(number))
    start = text.index('"updated_at":"') + 14
    text = text[:start] + moment + text[text.index('"', start) :]
    text = text.replace('"seller_note":""', f'"seller_note":"{turn}","message":"{number}-{turn}"')
    return text.encode()

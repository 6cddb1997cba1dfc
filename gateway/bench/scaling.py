"""From one worker process to several: how fast a backlog is delivered, the product beside ceiling F.

Measured twice. On all cores, which workers share with PostgreSQL, the target and each other: on a small machine that
tells more of the machine than of the hub. And in turns: each worker runs for its slot of a round and is held still
for the others', so that all of them need one core together, and there are cores enough for whatever they wait for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from gateway.bench import flow, load, product, target, top
from gateway.trial import processes

SLOT = 0.01
"""Seconds that a worker runs before the next one does."""
SMALLER = 3
"""A backlog is this much smaller where workers take turns, as that takes as many times longer as there are slots."""


async def run(
    bench: flow.Bench, hub: product.Product, rival: top.Top, events: int, workers: Sequence[int]
) -> flow.Figures:
    """Events per second of a backlog by the number of workers, what one costs, and how it grows with them."""
    found: flow.Figures = {}
    await rival.fresh()
    first, last = workers[0], workers[-1]

    async def both(count: int, events: int, slots: int) -> Iterator[tuple[str, tuple[float, float]]]:
        ours = hub.running("api"), hub.running(*["worker"] * count)
        mine = await _drained(bench, flow.HOOK, hub.port, events, *ours, slots)
        theirs = await _drained(bench, top.PATH, rival.port, events, rival.ingest(), rival.workers(count), slots)
        return iter((("workers", mine), ("ceiling", theirs)))

    for count in workers:
        for name, (rate, cpu) in await both(count, events, 0):
            found |= {f"{name}_{count}_per_s": rate, f"{name}_{count}_cpu_ms": cpu}
    for count in (first, last):
        for name, (rate, _) in await both(count, events // SMALLER, last):
            found[f"{name}_{count}_in_turns_per_s"] = rate
    for name, prefix in (("workers", ""), ("ceiling", "ceiling_")):
        for figure, of in (("cost", "cpu_ms"), ("gain_on_all_cores", "per_s"), ("gain", "in_turns_per_s")):
            found[prefix + figure] = found[f"{name}_{last}_{of}"] / max(found[f"{name}_{first}_{of}"], 1e-6)
    found["gain_ratio"] = found["gain"] / max(found["ceiling_gain"], 1e-6)
    found["gain_per_worker"] = found["gain"] * first / last
    return found


async def _drained(
    bench: flow.Bench, path: str, port: int, events: int,
    taking: AbstractContextManager[object], working: AbstractContextManager[list[int]], slots: int,
) -> tuple[float, float]:  # fmt: skip
    """Fills a backlog while nobody works, then starts workers; ``slots``: of a round of turns, 0 for none.

    Gives, of what is delivered between the first and the last tenth, the rate and the CPU of workers and PostgreSQL
    per event, in ms. What took it in has ended by then: the hub's API plans too while workers are behind (relief), so
    that one worker beside it would be two processes, and four would be five.
    """
    keys, before = bench.sender.ids(events), bench.sink.stats()["seen"]
    with taking:
        await processes.reachable(port)
        sent = await load.saturate(target.HOST, port, bench.orders(path, port, events), flow.CONNECTIONS)
    seen, spent = [], []
    with working as pids:
        await bench.sink.seen(before + 1)
        with _turns(pids, slots):
            for share in (0.1, 0.9):
                await bench.sink.seen(before + int(share * sent.accepted))
                spent.append(processes.cpu_seconds([*pids, bench.server]))
                seen.append(bench.sink.stats()["seen"])
            await bench.sink.seen(before + sent.accepted)
    times: dict[str, float] = await asyncio.to_thread(bench.sink.ask, "/times")
    arrived = sorted(times[key] for key in keys if key in times)
    tenth = len(arrived) // 10
    rate = (len(arrived) - 2 * tenth) / max(arrived[-1 - tenth] - arrived[tenth], 1e-6)
    return rate, 1000 * (spent[1] - spent[0]) / max(seen[1] - seen[0], 1)


@contextmanager
def _turns(pids: Sequence[int], slots: int) -> Iterator[None]:
    """Each process runs in one slot of a round only; they run freely again at the end."""
    ended = threading.Event()

    def rounds() -> None:
        running = list(pids)
        while not ended.is_set():
            for slot in range(slots):
                now = list(pids[slot : slot + 1])
                for pid in now:
                    os.kill(pid, signal.SIGCONT)
                for pid in set(running) - set(now):
                    os.kill(pid, signal.SIGSTOP)
                running = now
                ended.wait(SLOT)

    turning = threading.Thread(target=rounds, name="turns")
    if slots:
        turning.start()
    try:
        yield
    finally:
        ended.set()
        if slots:
            turning.join()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

"""From one worker process to several: how fast a backlog is delivered, the product beside ceiling F."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager

from gateway.bench import flow, load, product, target, top
from gateway.trial import processes


async def run(
    bench: flow.Bench, hub: product.Product, rival: top.Top, events: int, workers: Sequence[int]
) -> flow.Figures:
    """Events per second of a backlog by the number of workers, and how many times one worker's rate that is."""
    found: flow.Figures = {}
    await rival.fresh()
    with hub.running("api"), rival.ingest():
        for port in (hub.port, rival.port):
            await processes.reachable(port)
        for count in workers:
            ours = hub.running(*["worker"] * count)
            found[f"workers_{count}_per_s"] = await _drained(bench, flow.HOOK, hub.port, events, ours)
            theirs = rival.workers(count)
            found[f"ceiling_{count}_per_s"] = await _drained(bench, top.PATH, rival.port, events, theirs)
    first, last = workers[0], workers[-1]
    found["gain"] = found[f"workers_{last}_per_s"] / found[f"workers_{first}_per_s"]
    found["ceiling_gain"] = found[f"ceiling_{last}_per_s"] / found[f"ceiling_{first}_per_s"]
    found["gain_ratio"] = found["gain"] / found["ceiling_gain"]
    return found


async def _drained(
    bench: flow.Bench, path: str, port: int, events: int, workers: AbstractContextManager[list[int]]
) -> float:
    """Fills a backlog while nobody works, then starts workers; the rate between its first and its last tenth."""
    keys, before = bench.sender.ids(events), bench.sink.stats()["seen"]
    sent = await load.saturate(target.HOST, port, bench.orders(path, port, events), flow.CONNECTIONS)
    with workers:
        await bench.sink.seen(before + sent.accepted)
    times: dict[str, float] = await asyncio.to_thread(bench.sink.ask, "/times")
    arrived = sorted(times[key] for key in keys if key in times)
    tenth = len(arrived) // 10
    return (len(arrived) - 2 * tenth) / max(arrived[-1 - tenth] - arrived[tenth], 1e-6)

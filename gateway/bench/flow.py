"""Ingress and end to end: the product and ceiling F in turns over the same minutes, medians and their ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.bench import callbacks, load, orders, product, target, top
from gateway.trial import processes

CONNECTIONS = 64
HOOK = "/hooks/shop"
STEADY = 300.0
"""Hand-ins per second at which acknowledgements are timed."""
QUIET = 20.0
"""Hand-ins per second of a hub that has time."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """Events of one round, rounds, and seconds of steady load."""

    events: int
    rounds: int
    seconds: float


class Bench:
    """What one run shares: the target, the numbered orders, and the server's process."""

    def __init__(self, sink: target.Target, server: int = 0) -> None:
        self.sink, self.server = sink, server
        self.sender = orders.Sender()
        self._callbacks = 1

    def orders(self, path: str, port: int, count: int) -> Iterator[bytes]:
        return self.sender.requests(path, f"{target.HOST}:{port}", count)

    def callbacks(self, port: int, count: int) -> Iterator[bytes]:
        first, self._callbacks = self._callbacks, self._callbacks + count
        return callbacks.requests("/hooks/office", f"{target.HOST}:{port}", first, count)

    async def through(self, path: str, port: int, count: int, roots: list[int]) -> Figures:
        """Sends so many orders saturated and waits for all of them at the target."""
        before = self.sink.stats()["seen"]
        wanted = self.orders(path, port, count)
        cpu, begun = processes.cpu_seconds(roots), time.perf_counter()
        sent = await load.saturate(target.HOST, port, wanted, CONNECTIONS)
        await self.sink.seen(before + sent.accepted)
        taken = time.perf_counter() - begun
        spent = processes.cpu_seconds(roots) - cpu
        return {
            "per_s": sent.accepted / taken,
            "cpu_ms_per_event": 1000 * spent / max(sent.accepted, 1),
            "ack_p99_ms": sent.quantile(0.99),
            "refused": float(sent.refused),
        }

    async def idle(self, path: str, port: int, seconds: float) -> Figures:
        """Hand-in to arrival of a hub that has time."""
        count = max(int(QUIET * seconds), 5)
        keys, before = self.sender.ids(count), self.sink.stats()["seen"]
        sent, sent_at = await load.steady(target.HOST, port, self.orders(path, port, count), QUIET)
        await self.sink.seen(before + sent.accepted, 30.0)
        waits = self.sink.waits(keys, sent_at)
        return {
            "idle_p50_ms": target.quantile(waits, 0.5),
            "idle_p99_ms": target.quantile(waits, 0.99),
            "idle_ack_p50_ms": sent.quantile(0.5),
        }


def medians(found: list[Figures]) -> Figures:
    """Per figure the median of its rounds."""
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def ratio(mine: list[Figures], theirs: list[Figures], name: str) -> float:
    """The median of the rounds' own ratios: what disturbed a round disturbed both of its halves."""
    return statistics.median(one[name] / max(other[name], 1e-9) for one, other in zip(mine, theirs, strict=True))


async def ingress(bench: Bench, hub: product.Product, rival: top.Top | None, size: Size) -> dict[str, Figures]:
    """Acknowledged hand-ins per second, durable first, and what an acknowledgement takes under a steady load."""
    mine: list[Figures] = []
    theirs: list[Figures] = []
    with hub.running("api"):
        await processes.reachable(hub.port)
        if rival is None:
            return {"ingress": await _taken(bench, HOOK, hub.port, size)}
        await rival.fresh()
        with rival.ingest():
            await processes.reachable(rival.port)
            for port, path in ((hub.port, HOOK), (rival.port, top.PATH)):
                await load.saturate(target.HOST, port, bench.orders(path, port, 300), CONNECTIONS)
            for _ in range(size.rounds):
                theirs.append(await _taken(bench, top.PATH, rival.port, size))
                mine.append(await _taken(bench, HOOK, hub.port, size))
                sealed = bench.callbacks(hub.port, size.events)
                sent = await load.saturate(target.HOST, hub.port, sealed, CONNECTIONS)
                mine[-1] |= {"aes_per_s": sent.per_second, "aes_refused": float(sent.refused)}
        half = statistics.median(one["per_s"] for one in mine) / 2
        sent, _ = await load.steady(
            target.HOST, hub.port, bench.orders(HOOK, hub.port, int(half * size.seconds)), half, lines=CONNECTIONS
        )
    found = medians(mine) | {
        "ratio": ratio(mine, theirs, "per_s"),
        "ack_ratio": ratio(mine, theirs, "ack_p50_ms"),
        "aes_ratio": statistics.median(one["aes_per_s"] / one["per_s"] for one in mine),
        "half_p99_ms": sent.quantile(0.99),
    }
    return {"ingress": found, "ceiling_ingress": medians(theirs)}


async def _taken(bench: Bench, path: str, port: int, size: Size) -> Figures:
    sent = await load.saturate(target.HOST, port, bench.orders(path, port, size.events), CONNECTIONS)
    calm, _ = await load.steady(
        target.HOST, port, bench.orders(path, port, max(int(STEADY * size.seconds), 20)), STEADY
    )
    return {
        "per_s": sent.per_second,
        "ack_p99_ms": sent.quantile(0.99),
        "ack_p50_ms": calm.quantile(0.5),
        "refused": float(sent.refused),
    }


async def end_to_end(bench: Bench, hub: product.Product, rival: top.Top | None, size: Size) -> dict[str, Figures]:
    """From the first hand-in until the last delivery, with one API and one worker process on either side."""
    mine: list[Figures] = []
    theirs: list[Figures] = []
    with hub.running("api", "worker") as pids:
        await processes.reachable(hub.port)
        await bench.through(HOOK, hub.port, 200, [])
        if rival is None:
            for _ in range(size.rounds):
                mine.append(await bench.through(HOOK, hub.port, size.events, pids))
            return {"end_to_end": medians(mine) | await bench.idle(HOOK, hub.port, size.seconds)}
        await rival.fresh()
        with rival.ingest() as ingest, rival.workers() as workers:
            await processes.reachable(rival.port)
            await bench.through(top.PATH, rival.port, 200, [])
            roots = [ingest, *workers, bench.server]
            for _ in range(size.rounds):
                theirs.append(await bench.through(top.PATH, rival.port, size.events, roots))
                with top.held(workers):
                    jobs, commits = await hub.jobs(), await hub.commits()
                    mine.append(await bench.through(HOOK, hub.port, size.events, [*pids, bench.server]))
                    mine[-1]["arq_jobs_per_event"] = (await hub.jobs() - jobs) / size.events
                    mine[-1]["commits_per_event"] = (await hub.commits() - commits) / size.events
            above = await bench.idle(top.PATH, rival.port, size.seconds)
            with top.held(workers):
                waits = await bench.idle(HOOK, hub.port, size.seconds)
        memory = processes.pss_mib(pids)
    found = medians(mine) | waits | {"pss_mib": memory}
    found["ratio"], found["cpu_ratio"] = ratio(mine, theirs, "per_s"), ratio(mine, theirs, "cpu_ms_per_event")
    return {"end_to_end": found, "ceiling_end_to_end": medians(theirs) | above}

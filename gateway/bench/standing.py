"""The whole hub under its supervisor: how long it takes to start, what it weighs idle, and a worker that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx

from gateway.bench import flow, load, product, target, top
from gateway.trial import processes

CHILD = b"gateway.child"
"""By which the supervisor's processes are known."""


async def run(
    bench: flow.Bench, hub: product.Product, rival: top.Top | None, events: int, rest: float
) -> dict[str, flow.Figures]:
    """``process``: start and memory; ``kill``: from kill -9 of the worker to the next delivery, lost and repeated."""
    begun = time.perf_counter()
    with hub.running("all") as (parent,):
        await _ready(hub.port)
        start = time.perf_counter() - begun
        await bench.through(flow.HOOK, hub.port, 20, [])
        working = time.perf_counter() - begun
        await asyncio.sleep(rest)
        children = _children(parent)
        figures = {
            "start_s": start,
            "working_s": working,
            "pss_mib": processes.pss_mib(children.values()),
            "with_supervisor_and_valkey_mib": processes.pss_mib([parent]),
        }
        killed = await _killed(bench, flow.HOOK, hub.port, events, children["worker"])
        await hub.quiet()
    balance = await hub.balance()
    killed |= {"difference": float(balance.difference), "parked": float(balance.parked)}
    if rival is not None:
        killed["ceiling_s"] = await _again(bench, rival, events)
    return {"process": figures, "kill": killed}


async def _ready(port: int, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    async with httpx.AsyncClient(timeout=2.0) as client:
        while True:
            try:
                if (await client.get(f"http://{target.HOST}:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.02)


def _children(parent: int) -> dict[str, int]:
    """Role -> process id of what the supervisor keeps."""
    found: dict[str, int] = {}
    for pid in set(processes.descendants(parent)) - {parent}:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if CHILD in words:
            found[words[words.index(CHILD) + 1].decode()] = pid
    return found


async def _killed(bench: flow.Bench, path: str, port: int, events: int, worker: int) -> flow.Figures:
    before = bench.sink.stats()
    sending = asyncio.create_task(
        load.saturate(target.HOST, port, bench.orders(path, port, events), flow.CONNECTIONS)
    )  # fmt: skip
    await bench.sink.seen(before["seen"] + events // 5)
    os.kill(worker, signal.SIGKILL)
    at = time.time()
    # What was on its way through the kernel arrives within a few milliseconds.
    first = await bench.sink.after(at + 0.05) - at
    sent = await sending
    await bench.sink.seen(before["seen"] + sent.accepted)
    after = bench.sink.stats()
    return {
        "first_s": first,
        "lost": float(before["seen"] + sent.accepted - after["seen"]),
        "repeated": float(after["twice"] - before["twice"]),
    }


async def _again(bench: flow.Bench, rival: top.Top, events: int) -> float:
    """The same for ceiling F, whose worker is started again at once: what a cold process costs here."""
    await rival.fresh()
    with rival.ingest():
        await processes.reachable(rival.port)
        await load.saturate(target.HOST, rival.port, bench.orders(top.PATH, rival.port, events), flow.CONNECTIONS)
        at = time.time()
        with rival.workers():
            return await bench.sink.after(at) - at

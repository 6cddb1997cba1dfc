"""``shuniu rehearse``: a great sale before it comes. A hundredfold burst of orders against simulators, and a report.

The hub is real: its processes, its database, its routes from the site's own hub.yaml. Shops hand their orders in by a
generic signed door, so that the promised rate really arrives; all other systems are played by their simulators, which
keep the limits that their vendors publish only where the simulator says so, while the hub keeps those it declares.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from gateway.bench import orders, run
from gateway.rehearsal import recast, surge
from gateway.trial import processes, stage

REST = 180.0
"""Seconds at most for what the systems bring by themselves at the start, such as their customers."""
PROMPT_MS = 1000.0
"""The strictest sender that is known gives up after 1.5 s; beyond this there is no room left."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to rehearse; rates per second, times in seconds."""

    rate: float = 20.0
    times: float = 100.0
    seconds: float = 180.0
    calm: float = 30.0
    drain: float = 600.0
    workers: int = 2
    database_url: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at the hub; ``at`` seconds since the first order."""

    at: float
    offered: int
    accepted: int
    owed: int
    """Events and deliveries under way, as the balance counts them."""


@dataclass(slots=True)
class Outcome:
    """What a rehearsal came to."""

    plan: Plan
    waves: list[surge.Wave]
    cast: recast.Cast
    moments: list[Moment] = field(default_factory=list)
    burst_ended: float = 0.0
    drained_after: float | None = None
    """Seconds from the end of the burst until nothing was owed; None when that did not happen in time."""
    received: int = 0
    lost: int = 0
    double: int = 0
    difference: int = 0
    owed: int = 0
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    """Target connection -> state of deliveries -> how many."""
    reasons: list[tuple[str, int]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    seconds: float = 0.0
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        return sum(wave.accepted for wave in self.waves)

    @property
    def given_up(self) -> int:
        return sum(wave.given_up for wave in self.waves)

    @property
    def failed(self) -> int:
        """Deliveries that a person must look at."""
        return sum(count for states in self.states.values() for state, count in states.items()
                   if state in ("dead", "parked"))  # fmt: skip

    @property
    def ending(self) -> float | None:
        """Seconds that what is still owed would take at the pace of the last minute; None when nothing moved."""
        if not self.owed or len(self.moments) < 2:
            return 0.0 if not self.owed else None
        last = self.moments[-1]
        before = next((one for one in reversed(self.moments) if last.at - one.at >= 60), self.moments[0])
        speed = (before.owed - last.owed) / max(last.at - before.at, 0.001)
        return last.owed / speed if speed > 0 else None

    @property
    def sound(self) -> bool:
        """Nothing lost, doubled, given up or unbalanced."""
        return not (self.lost or self.double or self.given_up or self.difference)

    @property
    def prompt(self) -> bool:
        """Acknowledged in time for every sender, also in the burst."""
        return all(wave.quantile(0.99) <= PROMPT_MS for wave in self.waves)

    @property
    def verdict(self) -> str:
        """``ready``, ``slow`` (true, but late, or not drained, or somebody must look) or ``broken``."""
        if not self.sound:
            return "broken"
        return "ready" if self.prompt and self.drained_after is not None and not self.failed else "slow"


async def rehearse(folder: Path, text: str, plan: Plan, console: Console) -> Outcome:
    """Rehearses a hub.yaml. Raises recast.NothingToRehearse and hub_file.Broken."""
    known = await asyncio.to_thread(recast.credentials)
    async with stage.running(
        folder, introduced=False, workers=plan.workers, database_url=plan.database_url,
        pace=1.0,  # polled as often as in earnest
    ) as place:  # fmt: skip
        cast = recast.recast(text, known, place.sim_url)
        for one in cast.left_out:
            console.print(f"[yellow]未演练 left out: {one}[/yellow]", highlight=False)
        place.credentials = {**place.credentials, recast.SECRET_NAME: orders.SECRET}
        await place.apply(cast.text)
        waves = [
            surge.Wave("calm", plan.rate, plan.calm),
            surge.Wave("burst", plan.rate * plan.times, plan.seconds),
            surge.Wave("after", plan.rate, plan.calm),
        ]
        outcome = Outcome(plan, waves, cast, machine=run.machine())
        await _at_rest(place)
        roots = place.pids()
        cpu = processes.cpu_seconds(roots)
        begun = time.monotonic()
        await _through(place, outcome, begun, console)
        outcome.seconds = time.monotonic() - begun
        outcome.cpu_seconds = processes.cpu_seconds(roots) - cpu
        outcome.memory_mib = processes.pss_mib(roots)
        await _accounts(place, outcome)
    return outcome


def _maker(cast: recast.Cast, port: int, goods: list[str]) -> Callable[[int], bytes]:
    host = f"{surge.HOST}:{port}"

    def make(number: int) -> bytes:
        door = cast.doors[number % len(cast.doors)]
        order = orders.order(number)
        for place, row in enumerate(order["lines"]):
            row["sku"] = goods[(number + place) % len(goods)]
        return orders.request(f"/hooks/{door}", host, orjson.dumps(order))

    return make


async def _at_rest(place: stage.Stage) -> None:
    """Returns when nothing was under way, and nothing new came, for three looks in a row."""
    seen, still, end = -1, 0, time.monotonic() + REST
    while still < 3 and time.monotonic() < end:
        balance = await place.balance()
        still = still + 1 if not balance.in_flight and balance.received == seen else 0
        seen = balance.received
        await asyncio.sleep(1.0)


async def _through(place: stage.Stage, outcome: Outcome, begun: float, console: Console) -> None:
    """Sends everything, looks once a second, and waits until nothing is owed or the time is over."""
    plan = outcome.plan
    goods = [str(one["code"]) for one in await place.panel("goods")]
    sending = surge.Surge(place.config.port, _maker(outcome.cast, place.config.port, goods))
    task = asyncio.create_task(sending.run(outcome.waves))
    outcome.burst_ended = plan.calm + plan.seconds
    try:
        while True:
            balance = await place.balance()
            at = time.monotonic() - begun
            outcome.moments.append(Moment(at, sending.offered, sending.accepted, balance.in_flight))
            if int(at) % 5 == 0:
                console.print(f"[dim]{at:5.0f} s  已发 sent {sending.offered}  已收 accepted {sending.accepted}"
                              f"  在途 owed {balance.in_flight}[/dim]", highlight=False)  # fmt: skip
            if at > outcome.burst_ended and outcome.drained_after is None and task.done() and not balance.in_flight:
                outcome.drained_after = at - outcome.burst_ended
            over = at > outcome.burst_ended + plan.calm + plan.drain
            if task.done() and (outcome.drained_after is not None or over):
                break
            await asyncio.sleep(1.0)
        await task
    finally:
        task.cancel()


async def _accounts(place: stage.Stage, outcome: Outcome) -> None:
    """What came of it, counted in the ledger and at the simulators."""
    balance = await place.balance()
    outcome.difference, outcome.owed = balance.difference, balance.in_flight
    doors = ", ".join(f"'{key}'" for key in outcome.cast.doors)  # keys of ours: letters, digits, - and _
    async with place.ledger.read() as db:
        found = (await db.exec_driver_sql(f"SELECT count(*) AS n FROM inbox WHERE connection_key IN ({doors})")).one()  # noqa: S608
        of_orders = f"FROM deliveries AS d JOIN inbox AS i ON i.id = d.event_id WHERE i.connection_key IN ({doors})"
        rows = (
            await db.exec_driver_sql(
                f"SELECT d.connection_key AS target, d.state AS state, count(*) AS n {of_orders}"
                " GROUP BY d.connection_key, d.state"
            )
        ).all()
        why = (
            await db.exec_driver_sql(
                f"SELECT d.connection_key AS target, d.reason, count(*) AS n, max(d.detail) AS said {of_orders}"
                " AND d.state IN ('dead', 'parked') GROUP BY d.connection_key, d.reason ORDER BY 3 DESC LIMIT 5"
            )
        ).all()
    outcome.received = int(found.n)
    outcome.lost = max(0, outcome.accepted - outcome.received)
    for row in rows:
        outcome.states.setdefault(str(row.target), {})[str(row.state)] = int(row.n)
    outcome.reasons = [(f"{row.target}: {row.reason} {_said(row.said)}".strip(), int(row.n)) for row in why]
    done = Counter((one["simulator"], one["kind"], str(one["key"])) for one in await asyncio.to_thread(place.effects))
    outcome.double = sum(count - 1 for count in done.values() if count > 1)


def _said(detail: str | None) -> str:
    """One explanation of many, in the words that a person reads first."""
    try:
        told = orjson.loads(detail or "{}")
    except orjson.JSONDecodeError:
        return ""
    return str(told.get("zh") or told.get("en") or "")[:200] if isinstance(told, dict) else ""

"""Pushes come several times, shuffled and a day late: every record ends up as its source last had it.

Counted at the target: a *stale write* replaced a newer state by an older one, a *double effect* is one state written,
or one message of it sent, twice. Half of the copies differ in their envelope, so that no dedupe key can tell them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.bench import load
from tests import hooks
from tests.faults import house, systems
from tests.ledger import target

HUB = """
apiVersion: shuniu/v1
connections:
  - key: shop
    connector: http
    config: {verify_style: hmac, verify_header: X-Signature, entity: order}
    secrets: {hook_secret: "${SECRET}"}
  - {key: erp, connector: http, config: {verify_style: closed, base_url: "${ERP}", record_path: /orders}}
  - {key: desk, connector: http, config: {verify_style: closed, base_url: "${DESK}", send_path: /notes}}
routes:
  - {key: keep, from: {connection: shop, entity: order}, to: [{connection: erp, operation: record.put}]}
  - {key: tell, from: {connection: shop, entity: order}, to: [{connection: desk, operation: send}]}
"""
SHUFFLE = timedelta(minutes=10)
LATE = 0.02
"""The share of pushes that come a day later, when everything else has long been done."""


class Books(target.Target):
    """Keeps orders and counts what must not happen to them; ``total`` is the number of the state."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.held: dict[str, int] = {}
        self.writes = self.stale = 0
        self.done: Counter[tuple[str, int]] = Counter()
        self._random = random.Random(seed)

    async def _pause(self, body: Any) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 0.01))  # so that calls overtake each other

    def _done(self, key: str, body: Any) -> None:
        record, state = str(body["id"]), round(float(body["total"]))
        self.writes += 1
        self.stale += state < self.held.get(record, 0)
        self.held[record] = state
        self.done[record, state] += 1

    @property
    def twice(self) -> int:
        return sum(count - 1 for count in self.done.values())


class Pushes:
    """What a source sends: ``now`` in the order of arrival, and ``later`` a day after that."""

    def __init__(self, records: int, seed: int) -> None:
        dice = random.Random(seed)
        begun = datetime(2026, 11, 11, tzinfo=UTC)
        self.newest: dict[str, int] = {}
        self.now: list[bytes] = []
        self.later: list[bytes] = []
        arriving: list[tuple[datetime, int, bytes]] = []
        serial = itertools.count()
        for number in range(records):
            name, at = f"N{number:05d}", begun + timedelta(seconds=dice.uniform(0, 600))
            self.newest[name] = dice.randint(1, 4)
            for state in range(1, self.newest[name] + 1):
                at += timedelta(seconds=dice.uniform(0.05, 240))
                for _ in range(dice.randint(1, 5)):
                    body = {"id": name, "status": "paid", "total": f"{state}.00", "updated_at": at.isoformat()}
                    if dice.random() < 0.5:
                        body["push_id"] = str(next(serial))  # another envelope around the same words
                    raw = orjson.dumps(body)
                    if dice.random() < LATE:
                        self.later.append(raw)
                    else:
                        arriving.append((at + SHUFFLE * dice.random(), next(serial), raw))
        self.now = [raw for *_, raw in sorted(arriving)]
        dice.shuffle(self.later)


def _requests(bodies: list[bytes], port: int) -> Iterator[bytes]:
    for raw in bodies:
        proof = hooks.proof(raw, systems.SECRET)
        head = (
            f"POST /hooks/shop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"X-Signature: {proof}\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        yield head.encode() + raw


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres])])
async def test_every_record_ends_up_newest(
    folder: Path, database: str, full: bool, seed: int, trial: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    large = full and database == "postgres"
    how: dict[str, Any] = {}
    if database == "postgres":
        served = {"database_url": request.getfixturevalue("postgres_url")}
        how = served | {"redis_url": request.getfixturevalue("valkey_url"), "workers": 2}
    pushes = Pushes(10_000 if large else 250, seed)
    erp, desk = Books(seed), Books(seed + 1)
    begun = time.monotonic()
    for one in (erp, desk):
        await one.up()
    try:
        async with house.standing(folder, **how) as hub:
            await hub.apply(HUB, {"ERP": erp.url, "DESK": desk.url, "SECRET": systems.SECRET})
            await asyncio.sleep(1.5)  # every process has taken the configuration over
            refused = 0
            for bodies in (pushes.now, pushes.later):
                told = await load.saturate("127.0.0.1", hub.config.port, _requests(bodies, hub.config.port), 16)
                refused += told.refused
                await hub.quiet([], 300.0)
            balance = await hub.balance()
    finally:
        for one in (erp, desk):
            await one.down()
    figures = {
        "pushes": len(pushes.now) + len(pushes.later), "writes": erp.writes, "messages": desk.writes,
        "newest": sum(erp.held.get(name) == state for name, state in pushes.newest.items()) / len(pushes.newest),
        "stale_writes": erp.stale, "written_twice": erp.twice, "told_twice": desk.twice,
        "dead": balance.dead, "parked": balance.parked, "refused": refused,
    }  # fmt: skip
    size = f"{len(pushes.newest):,} records, {database}"
    trial("pushes repeated, shuffled within 10 minutes, a day late", size, seed=seed, **figures)
    print(figures, f"{time.monotonic() - begun:.0f} s")
    assert erp.held == pushes.newest, figures
    untold = [name for name, state in pushes.newest.items() if not desk.done[name, state]]
    assert untold == [], figures
    assert (erp.stale, erp.twice, desk.twice) == (0, 0, 0), figures
    assert (balance.dead, balance.parked, refused) == (0, 0, 0), figures

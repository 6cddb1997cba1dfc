"""Many timers at once, with days written as seconds: each fires once, a cancelled one never.

``python -m tests.ledger.many_timers 20000`` runs the full size on a SQLite file; ``tests/faults`` runs it on both
databases, small or in full. Half of the people order before their timer is due, some from two sources at once; a
second worker takes part, and one is stopped on the way.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import migrate
from retry_queue.ledger import session
from tests.ledger import hub as hubs
from tests.ledger import making

CHUNK = 250


@dataclass(frozen=True, slots=True)
class Account:
    """What a run came to."""

    timers: int
    sent: int
    twice: int
    sent_although_cancelled: int
    cancelled: int
    cancelled_too_late: int
    """Orders that came after their timer had fired already; none of these is a fault."""
    missing: int
    difference: int
    seconds: float

    @property
    def holds(self) -> bool:
        return not (self.twice or self.sent_although_cancelled or self.missing or self.difference)

    def line(self) -> str:
        return " ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)


def _contact(n: int) -> dict[str, Any]:
    return {"id": f"C{n}", "name": f"C{n}", "identities": [{"kind": "unionid", "value": f"u{n}"}]}


def _order(n: int, place: str) -> dict[str, Any]:
    return hubs.order(f"{place}{n}", buyer={"identities": [{"kind": "unionid", "value": f"u{n}"}]})


async def run(url: str, n: int, seed: int = 1, after: float = 0.0) -> Account:
    """``n`` timers; ``after`` seconds each, long enough that half of the orders come in time."""
    dice = random.Random(seed)
    after = after or max(3.0, n / 250)
    ledger = session.open_ledger(url, owner="look", pool=2)
    begun = time.monotonic()
    async with hubs.targets("desk") as made:
        for key, entity in (("contacts", "customer"), ("shop", "order"), ("store", "order")):
            await hubs.source(ledger, key, entity)
        await hubs.sink(ledger, made["desk"].url, "desk", send_path="/notes")
        await hubs.route(
            ledger, "remind", to=[{"connection": "desk", "operation": "send"}], after=f"{after:.0f}s",
            unless=[{"entity": "order", "when": 'order.status == "paid"'}],
            **{"from": {"connection": "contacts", "entity": "customer"}},
        )  # fmt: skip
        buyers = set(dice.sample(range(n), n // 2))
        async with hubs.running(url) as first, hubs.running(url):
            for start in range(0, n, CHUNK):
                place = range(start, min(start + CHUNK, n))
                await first.push(*(_contact(i) for i in place), key="contacts")
                orders = [i for i in place if i in buyers]
                await first.push(*(_order(i, "T") for i in orders))
                await first.push(*(_order(i, "S") for i in orders if i % 3 == 0), key="store")
            async with hubs.running(url) as third:
                await asyncio.sleep(after / 2)
                assert third.pumps.progress
            await first.settled(after * 4 + n / 20)
            balance = await first.balance()
        rows = await making.rows(
            ledger, "SELECT t.state, d.state AS ended, r.record FROM timers t JOIN deliveries d ON d.id = t.delivery_id"
            " JOIN records r ON r.id = t.record_id",
        )  # fmt: skip
        sent = Counter(call.body["id"] for call in made["desk"].calls)
    await ledger.close()
    cancelled = {row.record for row in rows if row.state == "cancelled"}
    owed = {f"C{i}" for i in range(n)} - cancelled
    return Account(
        timers=len(rows),
        sent=len(sent),
        twice=sum(1 for times in sent.values() if times > 1),
        sent_although_cancelled=len(cancelled & sent.keys()),
        cancelled=len(cancelled),
        cancelled_too_late=len({f"C{i}" for i in buyers} - cancelled),
        missing=len(owed - sent.keys()) + (n - len(rows)),
        difference=balance.difference + len([row for row in rows if row.state == "waiting"]),
        seconds=round(time.monotonic() - begun, 1),
    )


def main() -> int:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000

    async def once(url: str) -> Account:
        await migrate.upgrade(url)
        return await run(url, n)

    with tempfile.TemporaryDirectory(prefix="timers-", dir="/tmp") as name:
        account = asyncio.run(once(f"sqlite+aiosqlite:///{Path(name) / 'ledger.sqlite3'}"))
    sys.stdout.write(account.line() + "\n")
    return 0 if account.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())

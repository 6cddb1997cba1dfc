"""What an event costs while the ledger grows.

PostgreSQL is filled step by step; at each step some more events are taken in, planned, claimed and settled with the
product's own statements, and old ones looked for by their numbers. The history is spread over half a year, two events
to an order, of twenty shops, and lies in the partitions that the product makes. Bodies are short: what is looked at is
how cost follows the number of rows, not the disk. Measured twice: events of new orders only, as most are, and half of
them changing an order of any age, whose rows nobody has looked at for long.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway import migrate
from gateway.trial import postgres, processes
from retry_queue.ledger import claims, events, inbox, lane, outbox, partitions, records, session
from retry_queue.ledger.states import DeliveryState, EventState

STEPS = (100_000, 1_000_000, 10_000_000)
CHUNK = 250_000
BATCH = 100
SHOPS = 20
SPAN = 180 * 86400.0
"""Seconds of history."""
STAGES = ("take in", "claim and look back", "plan", "claim to deliver", "settle")
_SEQUENCES = ("inbox_id_seq", "records_id_seq", "deliveries_id_seq", "attempts_id_seq")
_SHOP = f"'shop-' || (n / 2) % {SHOPS}"
_AT = "{now} - {span} * (1 - n::float8 / {total})"
_FILL = f"""
INSERT INTO inbox (id, connection_key, dedupe, state, priority, next_at, received_at)
SELECT n, {_SHOP}, 'E' || n, 'planned', 1, 0, {_AT} FROM generate_series({{low}}, {{high}}) n;
INSERT INTO events (id, connection_key, source, message, entity, record, payload, received_at, trace)
SELECT n, {_SHOP}, 'hook', 'record', 'order', 'R' || n - n % 2, repeat('x', 120), {_AT}, md5(n::text)
FROM generate_series({{low}}, {{high}}) n;
INSERT INTO canonicals (event_id, entity, mapping, body)
SELECT n, 'order', 'http/order@1', repeat('y', 60) FROM generate_series({{low}}, {{high}}) n;
INSERT INTO records (id, connection_key, entity, record, number, version, fingerprint, canonical, updated_at)
SELECT n, {_SHOP}, 'order', 'R' || n, 'N' || n, {_AT}, md5(n::text), '{{{{}}}}', 0
FROM generate_series({{low}}, {{high}}) n WHERE n % 2 = 0;
INSERT INTO deliveries (id, event_id, route_key, connection_key, operation, position, kind, record_id, lane, state,
                        attempt, next_at, version, created_at, settled_at)
SELECT n, n, 'orders', 'erp', 'record.put', 0, 'state', n - n % 2, 'erp/order/' || n - n % 2, 'delivered',
       1, 0, {_AT}, {_AT}, {_AT} FROM generate_series({{low}}, {{high}}) n;
INSERT INTO attempts (id, delivery_id, attempt, outcome, duration, worker, at)
SELECT n, n, 1, 'delivered', 0.01, 'w', {_AT} FROM generate_series({{low}}, {{high}}) n
"""  # noqa: S608 - numbers of our own


@dataclass(slots=True)
class Found:
    """What was measured at one size. Times per event are microseconds, those of searches milliseconds.

    ``mixed_…``: half of the events change an old order.
    """

    rows: int
    partitions: int
    gib: float
    wall_us: float
    postgres_cpu_us: float
    stages: dict[str, float]
    mixed_wall_us: float
    mixed_postgres_cpu_us: float
    mixed_stages: dict[str, float]
    search_p50_ms: float
    search_p95_ms: float


async def _run(ledger: session.Ledger, *statements: str) -> None:
    async with ledger.write() as connection:
        await connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        for one in statements:
            await connection.exec_driver_sql(one)


async def _next(ledger: session.Ledger) -> int:
    """An even id that no table has reached yet."""
    told = ", ".join(f"(SELECT last_value FROM {name})" for name in _SEQUENCES)  # noqa: S608 - our own names
    async with ledger.read() as connection:
        top = (await connection.exec_driver_sql(f"SELECT greatest({told})")).scalar_one()
    return int(top) + 2 - int(top) % 2


async def fill(ledger: session.Ledger, rows: int, total: int) -> list[range]:
    """Adds so many delivered events, and the partitions they need; returns the orders that were made."""
    made = []
    while rows > 0:
        for family in partitions.FAMILIES:
            while await partitions.ahead(ledger, family):
                pass
        low = await _next(ledger)
        high = low + min(CHUNK, rows) - 1
        given = {"low": low, "high": high, "now": time.time(), "span": SPAN, "total": max(total, high)}
        for statement in _FILL.format(**given).split(";"):
            await _run(ledger, statement)
        await _run(ledger, *[f"SELECT setval('{name}', {high})" for name in _SEQUENCES])
        rows -= high - low + 1
        made.append(range(low, high, 2))
    return made


async def vacuum(ledger: session.Ledger) -> None:
    """What autovacuum does in a quiet hour."""
    async with ledger.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql("VACUUM ANALYZE")


class Turn:
    """A stretch of events that go the whole way; stage -> seconds in ``spent``."""

    def __init__(self, ledger: session.Ledger, old: Sequence[range], top: int, seed: int) -> None:
        """``old``: orders of which half of the events are; none: all are of new ones. ``top``: the first new one."""
        self._ledger, self._old, self._top = ledger, old, top
        self._random = random.Random(seed)
        self.spent = dict.fromkeys(STAGES, 0.0)

    def _orders(self, count: int) -> list[int]:
        old = [_pick(self._random, self._old) for _ in range(count // 2 if self._old else 0)]
        return [*old, *(self._top + 2 * n for n in range(count - len(old)))]

    async def batch(self, count: int) -> None:
        """Takes in ``count`` events and brings them to their end."""
        orders = sorted(set(self._orders(count)))
        self._top += 2 * count
        shops = {one: f"shop-{one // 2 % SHOPS}" for one in orders}
        news = [
            inbox.NewEvent(
                shops[one], "hook", "record", "order", f"R{one}", f"M{one}-{self._top}", "x" * 120, None, "0" * 32
            )
            for one in orders
        ]
        begun = time.perf_counter()

        def lap(stage: str) -> None:
            nonlocal begun
            now = time.perf_counter()
            self.spent[stage] += now - begun
            begun = now

        async with self._ledger.write() as db:
            await inbox.append(db, news)
        lap(STAGES[0])
        async with self._ledger.write() as db:
            claimed = await claims.claim(db, count, "bench", 60.0)
            await inbox.behind(db, claimed)
        lap(STAGES[1])
        await self._plan(claimed)
        lap(STAGES[2])
        async with self._ledger.write() as db:
            owed = await outbox.claim(db, "erp", count, "bench", 60.0, {})
        lap(STAGES[3])
        done = [lane.Result(one, DeliveryState.DELIVERED, "delivered", 0.01, binding=_binding(one)) for one in owed]
        async with self._ledger.write() as db:
            settled = await outbox.settle(db, done, "bench")
        lap(STAGES[4])
        if not len(claimed) == len(settled) == len(orders):
            raise RuntimeError(f"{len(orders)} in, {len(claimed)} planned, {len(settled)} delivered")

    async def _plan(self, claimed: Sequence[inbox.ClaimedEvent]) -> None:
        now = time.time()
        refs = {one.id: (one.connection_key, "order", str(one.record)) for one in claimed}
        async with self._ledger.write() as db:
            await records.find(db, refs.values())
            kept = await records.keep(
                db,
                [
                    records.State(refs[one.id], f"N{str(one.record)[1:]}", now, f"{one.id:032d}", "{}", 0, one.id)
                    for one in claimed
                ],
            )
            rulings = [inbox.Ruling(one.id, one.fence, EventState.PLANNED) for one in claimed]
            await inbox.settle(db, rulings)
            await inbox.carry(db, [(one.id, "order", "http/order@1", "y" * 60, None) for one in claimed])
            await outbox.plan(
                db,
                [
                    lane.NewDelivery(
                        one.id, "orders", "erp", "record.put", 0, "state", kept[refs[one.id]][0],
                        f"erp/order/{kept[refs[one.id]][1]}", now, 0, inbox.LIVE,
                    )
                    for one in claimed
                ],
            )  # fmt: skip


def _binding(one: lane.ClaimedDelivery) -> records.Binding:
    return records.Binding(("erp", "order", str(one.source_record)), one.link_id, "{}", 0)


def _pick(chosen: random.Random, old: Sequence[range]) -> int:
    return chosen.choice(chosen.choices(old, [len(one) for one in old])[0])


async def searches(ledger: session.Ledger, old: Sequence[range], count: int, seed: int) -> list[float]:
    """Looks for orders of any age, by number and by the sender's own id in turn; milliseconds each, in order."""
    chosen = random.Random(seed)
    shops = [f"shop-{n}" for n in range(SHOPS)]
    taken = []
    for place in range(count):
        text = f"{'NR'[place % 2]}{_pick(chosen, old)}"
        begun = time.perf_counter()
        async with ledger.read() as db:
            named = await events.refs(db, text, shops, ["order"])
            found = await events.search(db, limit=51, text=text, named=named)
        taken.append(1000 * (time.perf_counter() - begun))
        if not found:
            raise RuntimeError(f"{text} was not found")
    return sorted(taken)


async def measure(ledger: session.Ledger, server: int, old: Sequence[range], rows: int, count: int) -> Found:
    """Cost at the size that the ledger has now."""
    async with ledger.read() as db:
        pieces = len(await partitions.parts(db, partitions.EVENTS))
        size = (await db.exec_driver_sql("SELECT pg_database_size(current_database())")).scalar_one()
    fresh = await _gone(ledger, server, [], rows, count)
    mixed = await _gone(ledger, server, old, rows, count)
    await searches(ledger, old, 10, rows)
    looked = await searches(ledger, old, 200, rows + 1)
    return Found(rows, pieces, size / 2**30, *fresh, *mixed, looked[len(looked) // 2], looked[int(len(looked) * 0.95)])


async def _gone(
    ledger: session.Ledger, server: int, old: Sequence[range], seed: int, count: int
) -> tuple[float, float, dict[str, float]]:
    """(wall, CPU of PostgreSQL, stages), each per event, of ``count`` events after some that are not counted."""
    turn = Turn(ledger, old, await _next(ledger), seed)
    for _ in range(5):
        await turn.batch(BATCH)
    turn.spent = dict.fromkeys(STAGES, 0.0)
    cpu, begun = processes.cpu_seconds([server]), time.perf_counter()
    for _ in range(count // BATCH):
        await turn.batch(BATCH)
    wall, spent = time.perf_counter() - begun, processes.cpu_seconds([server]) - cpu
    each = 1e6 / (count // BATCH * BATCH)
    return wall * each, spent * each, {name: seconds * each for name, seconds in turn.spent.items()}


async def grow(url: str, server: int, steps: Sequence[int], count: int, console: Console) -> list[Found]:
    """Fills an empty database up to each of ``steps`` rows and measures there."""
    await migrate.upgrade(url)
    ledger = session.open_ledger(url, owner="bench", pool=2, patience=900.0)
    found: list[Found] = []
    old: list[range] = []
    there = 0
    try:
        for step in sorted(steps):
            begun = time.perf_counter()
            old += await fill(ledger, step - there, max(steps))
            there = step
            await vacuum(ledger)
            console.print(f"{step:,} rows after {time.perf_counter() - begun:.0f} s", highlight=False)
            found.append(await measure(ledger, server, old, step, count))
            console.print_json(json.dumps(asdict(found[-1])))
    finally:
        await ledger.close()
    return found


def run(*, steps: Sequence[int] = STEPS, count: int = 5000, as_json: bool = False) -> int:
    """``shuniu growth``; a PostgreSQL of its own, gone afterwards. Returns the exit code."""
    console = Console(stderr=True, quiet=as_json)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shuniu-growth-", dir="/tmp")))
        folder.chmod(0o711)  # PostgreSQL, which will not be root, must be able to walk in
        options = ["shared_buffers=512MB", "max_wal_size=2GB", "wal_level=minimal", "max_wal_senders=0"]
        server = postgres.PostgresServer(folder / "pg", durable=True, options=options)
        running = server.start()
        stack.callback(server.stop)
        url = stack.enter_context(running.database())
        found = asyncio.run(grow(url, running.pid, steps, count, console))
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], indent=1) + "\n")
        return 0
    table = Table(
        "events", "partitions", "GiB", "us/event", "us CPU of PostgreSQL", "half old: us/event", "us CPU", "search p50",
        "p95 ms",
        title="shuniu growth",
    )  # fmt: skip
    for one in found:
        mixed = (one.mixed_wall_us, one.mixed_postgres_cpu_us)
        numbers = (one.gib, one.wall_us, one.postgres_cpu_us, *mixed, one.search_p50_ms, one.search_p95_ms)
        table.add_row(f"{one.rows:,}", str(one.partitions), *(f"{number:.1f}" for number in numbers))
    Console().print(table)
    return 0

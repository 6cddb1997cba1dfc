"""Runs the bench: the product beside ceiling F and other peers, PostgreSQL and embedded, in one run on one machine.

Keys of the result: ``ingress.*`` acknowledged events per second, durable before the acknowledgement;
``end_to_end.*`` from the first hand-in until the last delivery; ``…ratio`` is product / ceiling;
``cpu_ms_per_event`` sums every process and PostgreSQL; ``idle`` is hand-in to arrival at 20 per second.
What each must reach is in ``goals``.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from gateway import valkey
from gateway.bench import burst, chart, flow, goals, page, pieces, product, scaling, search, standing, target, top
from gateway.trial import postgres, processes

PARTS = ("pieces", "ingress", "end_to_end", "embedded", "burst", "scaling", "kill", "search")
"""What can be measured alone."""
DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Size:
    """How much to do."""

    name: str
    flow: flow.Size
    burst: burst.Size
    backlog: int
    """Events that wait when workers start."""
    workers: Sequence[int]
    kill: int
    rows: int
    """Events among which is searched."""
    asked: int
    turns: int
    """Of a mapping, per round; also calls of the delivery client."""
    rest: float
    """Seconds of idleness before memory is read."""


QUICK = Size("quick", flow.Size(300, 1, 0.5), burst.Size(150, 2.0, 0.5), 300, (1, 2), 300, 5000, 20, 200, 0.2)
FULL = Size(
    "full", flow.Size(6000, 5, 5.0), burst.Size(2000, 30.0, 15.0), 12_000, (1, 2, 4), 8000, 1_000_000, 300, 4000, 5.0
)


@dataclass(slots=True)
class Machinery:
    """What all parts share; ``tell`` says what is being measured."""

    folder: Path
    bench: flow.Bench
    size: Size
    tell: Callable[[str], None]
    stack: AsyncExitStack
    server: postgres.Postgres | None = None
    given: str = ""
    found: dict[str, Any] = field(default_factory=dict)
    pair: tuple[product.Product, top.Top] | None = None
    """The hub on PostgreSQL and ceiling F, once a part needed them."""

    @property
    def durable(self) -> bool:
        """Whether there is a PostgreSQL."""
        return bool(self.given) or self.server is not None

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """An empty database, of our own server or of the one that was given; dropped afterwards."""
        if self.server is not None:
            with self.server.database() as url:
                yield url
            return
        name = f"shuniu_bench_{secrets.token_hex(6)}"
        plain = self.given.replace("postgresql+asyncpg", "postgresql")
        connection = await asyncpg.connect(plain)
        try:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            address = make_url(self.given).set(database=name)
            yield address.render_as_string(hide_password=False)
        finally:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.close()

    def rival(self, url: str) -> top.Top:
        return top.Top(url, self.bench.sink.port)


async def bench(size: Size, console: Console, database_url: str = "", parts: Sequence[str] = PARTS) -> dict[str, Any]:
    """The whole bench, or some parts of it; returns the flat result."""
    async with AsyncExitStack() as stack:
        folder = _folder(stack)
        sink = stack.enter_context(processes.started(["gateway.bench.sink"]))
        if sink.stdout is None:
            raise RuntimeError("the sink says no port")
        seen = target.Target(int(sink.stdout.readline()))
        server = _server(stack, folder) if not database_url and postgres.binaries() is not None else None
        shared = flow.Bench(seen, server.pid if server else 0)
        made = Machinery(
            folder, shared, size, lambda text: console.print(f"{text} …", highlight=False), stack, server, database_url
        )
        made.found = {"machine": machine(), "size": size.name}
        for part in parts:
            await _PARTS[part](made)
        stats = seen.stats()
    kills = made.found.get("kill", {}).get("repeated", 0)
    made.found["duplicates"] = stats["twice"] - int(kills)
    return _joined(flat(made.found))


async def _pieces(made: Machinery) -> None:
    made.tell("pieces: mapping, delivery client")
    made.found["mapping"] = pieces.mapping(max(made.size.turns // 4, 100))
    made.found["calling"] = await pieces.calling(made.bench.sink.port, made.size.turns)


async def _standing(made: Machinery, name: str) -> tuple[product.Product, top.Top] | None:
    """The hub on PostgreSQL and ceiling F beside it, made once for all parts; None where there is no PostgreSQL."""
    if not made.durable:
        return None
    made.tell(name)
    if made.pair is None:
        own, other = [await made.stack.enter_async_context(made.database()) for _ in range(2)]
        redis = made.stack.enter_context(valkey.serve(made.folder / "redis"))
        sink = made.bench.sink.port
        hub = await made.stack.enter_async_context(product.made(made.folder / "postgres", own, redis, sink))
        made.pair = hub, top.Top(other, sink)
    return made.pair


async def _ingress(made: Machinery) -> None:
    if pair := await _standing(made, "ingress"):
        hub, rival = pair
        made.found |= await flow.ingress(made.bench, hub, rival, made.size.flow)
        await hub.forget()


async def _end_to_end(made: Machinery) -> None:
    if pair := await _standing(made, "end to end"):
        hub, rival = pair
        made.found |= await flow.end_to_end(made.bench, hub, rival, made.size.flow)
        made.found["ledger"] = await _balanced(hub)


async def _embedded(made: Machinery) -> None:
    made.tell("embedded (SQLite)")
    with valkey.serve(made.folder / "redis-embedded") as redis:
        async with product.made(made.folder / "embedded", "", redis, made.bench.sink.port) as hub:
            rounds = flow.Size(made.size.flow.events, max(made.size.flow.rounds // 2, 1), made.size.flow.seconds)
            found = await flow.end_to_end(made.bench, hub, None, rounds)
            made.found["embedded"] = {**found, "ledger": await _balanced(hub)}


async def _burst(made: Machinery) -> None:
    if pair := await _standing(made, "burst"):
        made.found["burst"] = await burst.run(made.bench, pair[0], made.size.burst) | await _balanced(pair[0])


async def _scaling(made: Machinery) -> None:
    if pair := await _standing(made, "scaling"):
        made.found["scaling"] = await scaling.run(made.bench, *pair, made.size.backlog, made.size.workers)


async def _kill(made: Machinery) -> None:
    if pair := await _standing(made, "start, memory, kill -9"):
        made.found |= await standing.run(made.bench, *pair, made.size.kill, made.size.rest)


async def _search(made: Machinery) -> None:
    if pair := await _standing(made, "search"):
        made.found["search"] = await search.run(pair[0], made.size.rows, made.size.asked)


_PARTS = {
    "pieces": _pieces, "ingress": _ingress, "end_to_end": _end_to_end, "embedded": _embedded, "burst": _burst,
    "scaling": _scaling, "kill": _kill, "search": _search,
}  # fmt: skip


async def _balanced(hub: product.Product) -> flow.Figures:
    await hub.quiet()
    balance = await hub.balance()
    return {"difference": float(balance.difference), "in_flight": float(balance.in_flight)}


def _folder(stack: AsyncExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shuniu-bench-", dir="/tmp")))
    folder.chmod(0o711)  # PostgreSQL, which will not be root, must be able to walk in
    return folder


def _server(stack: AsyncExitStack, folder: Path) -> postgres.Postgres:
    options = ["synchronous_commit=on", "shared_buffers=256MB", "max_wal_size=2GB"]
    server = postgres.PostgresServer(folder / "pg", durable=True, options=options)
    running = server.start()
    stack.callback(server.stop)
    return running


def _joined(found: dict[str, Any]) -> dict[str, Any]:
    """With the ratios of one part to another."""
    if "embedded.end_to_end.per_s" in found and "end_to_end.per_s" in found:
        found["embedded.ratio"] = found["embedded.end_to_end.per_s"] / found["end_to_end.per_s"]
    return found


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and when."""
    return {
        "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "system": platform.system(),
        "load": os.getloadavg()[0], "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def flat(found: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"ingress.per_s": …}`` for scripts."""
    out: dict[str, Any] = {}
    for key, value in found.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


def run(
    *, quick: bool = False, as_json: bool = False, database_url: str = "", parts: Sequence[str] = PARTS,
    folder: Path | None = None, compare: Path | None = None, tolerance: float = 0.25,
) -> int:  # fmt: skip
    """``shuniu bench``; returns the exit code: 1 when something got worse than the result of ``compare``."""
    before = page.read(compare) if compare is not None else None
    found = asyncio.run(bench(QUICK if quick else FULL, Console(stderr=True, quiet=as_json), database_url, parts))
    whole = not quick and tuple(parts) == PARTS
    if folder is None and whole and DOCUMENTS.is_dir():
        folder = DOCUMENTS
    if folder is not None:
        page.write(folder, found)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        _show(found)
    if before is None:
        return 0
    console = Console(stderr=True)
    fallen = goals.fallen(found, before, tolerance)
    for goal, now, then in fallen:
        console.print(f"{goal.zh} / {goal.en}: {chart.number(then)} -> {chart.number(now)}", highlight=False)
    return 1 if fallen else 0


def _show(found: dict[str, Any]) -> None:
    shown = Table("measure", "value", title=page.title(found))
    for key, value in found.items():
        shown.add_row(key, f"{value:.3f}" if isinstance(value, float) else str(value))
    judged = Table("goal", "value", "least", "aim", "")
    for goal, value in goals.judged(found):
        said = "++" if goal.met(value, goal.aim) else "+" if goal.met(value, goal.least) else "-"
        numbers = [chart.number(one) for one in (value, goal.least, goal.aim)]
        judged.add_row(f"{goal.en} ({goal.key})", *numbers, said)
    console = Console()
    console.print(shown)
    console.print(judged)

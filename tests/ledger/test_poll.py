"""Polling: nothing between two readings is lost, and reading again costs nothing."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors.core import auth, client, declaration, model, pacing, registry
from retry_queue import append, poll
from retry_queue.ledger import connections, cursors, session, tallies, workers
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites
from tests.ledger import hub as hubs
from tests.ledger import making, target

Open = Callable[[str], session.Ledger]
PACE = 0.02
"""One declared second is so many real ones."""

SHELF = """
apiVersion: shuniu/connector/v1
id: shelf
version: 1.0.0
label: {zh: 书架, en: Shelf}
category: generic
docs_url: https://example.com/
fields:
  - {key: base_url, type: url, required: true, label: {zh: 地址, en: Address}}
success: {path: status, one_of: [200]}
errors:
  - {status: [401], becomes: credential}
probe: list
operations:
  list:
    label: {zh: 列表, en: List}
    kind: list
    method: GET
    path: /records
    query: {since: "${window.start|iso}", until: "${window.end|iso}", page: "${page.no}"}
    items: items
    id: id
    paging: {style: page, first: 1, size: 3, total: total}
messages:
  row:
    label: {zh: 一行, en: A row}
    entity: order
    record: id
    dedupe: [id, version]
    time: updated_at
events:
  rows:
    label: {zh: 变更, en: Changes}
    door: poll
    messages: [row]
    operation: list
    every: 1
    window: 3600
    overlap: 60
    horizon: 7000
    order_by: updated_at
"""


class Shelf:
    """Rows with the time of their last change; remembers which windows were asked for."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked: list[tuple[float, float]] = []

    def put(self, name: str, ago: float, version: int = 1) -> None:
        at = datetime.fromtimestamp(time.time() - ago, UTC)
        self.rows = [row for row in self.rows if row["id"] != name]
        self.rows.append({"id": name, "version": version, "updated_at": at.isoformat()})

    def read(self, path: str) -> Any:
        given = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        since, until = (datetime.fromisoformat(given[name]).timestamp() for name in ("since", "until"))
        page = int(given["page"])
        if page == 1:
            self.asked.append((since, until))
        found = [
            row for row in self.rows if since - 1 <= datetime.fromisoformat(row["updated_at"]).timestamp() <= until
        ]
        return {"items": found[(page - 1) * 3 : page * 3], "total": len(found)}


class Reader:
    """One polling process."""

    def __init__(self, ledger: session.Ledger, url: str, spec: declaration.Declaration) -> None:
        self.ledger = ledger
        opened = model.Connection("shelf", spec, {"base_url": url}, {})
        live = sites.Live("shelf", "shelf", ConnectionState.ENABLED, opened, None)
        self.site = sites.Site(1, {"shelf": live}, [], {}, {}, {})
        self.calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
        self.appender = append.Appender(ledger, lambda: None)
        self.poller = poll.Poller(ledger, lambda: self.site, self.calls, self.appender, PACE)
        self.stopped = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.poller.run(self.stopped))
        try:
            yield
        finally:
            self.stopped.set()
            async with asyncio.timeout(10):
                await task
            await self.appender.close()
            await self.calls.aclose()

    async def cursor(self) -> Any:
        async with self.ledger.read() as connection:
            rows = await cursors.all_rows(connection)
        return rows[0] if rows else None

    async def passed(self, times: int = 1) -> None:
        """Waits for so many polls that ended well."""
        fence = getattr(await self.cursor(), "fence", 0)

        async def check() -> bool:
            row = await self.cursor()
            return row is not None and row.owner is None and row.failures == 0 and row.fence >= fence + times

        await making.until(check, what="a poll that ends well")


@pytest.fixture
def spec() -> declaration.Declaration:
    return registry.parse(SHELF, "shelf/connector.yaml")


@pytest.fixture
async def server() -> AsyncIterator[target.Target]:
    async with hubs.targets("shelf") as made:
        yield made["shelf"]


@pytest.fixture
def shelf(server: target.Target) -> Shelf:
    made = Shelf()
    server.lists = made.read
    return made


@pytest.fixture
def reader(ledger: session.Ledger, server: target.Target, spec: declaration.Declaration) -> Reader:
    return Reader(ledger, server.url, spec)


async def taken(ledger: session.Ledger) -> list[str]:
    return [row.dedupe for row in await making.rows(ledger, "SELECT dedupe FROM inbox ORDER BY id")]


async def test_the_first_poll_reads_the_horizon_window_by_window(reader: Reader, shelf: Shelf) -> None:
    for n in range(8):
        shelf.put(f"R{n}", 6900 - n * 900)
    began = time.time()
    async with reader.running():
        await reader.passed()
    assert sorted(await taken(reader.ledger)) == [f"row:R{n}|1" for n in range(8)]
    first = shelf.asked[: [until >= began - 1 for _, until in shelf.asked].index(True) + 1]
    assert len(first) == 2
    assert abs(first[0][0] - (began - 7000 - 60)) < 5
    for (_, end), (start, _) in itertools.pairwise(first):
        assert start <= end - 59, "windows overlap, or a row that comes late would be lost"
    events = await making.rows(reader.ledger, "SELECT record, entity, message, source FROM events")
    assert {(row.entity, row.message, row.source) for row in events} == {("order", "row", "rows")}


async def test_reading_again_is_no_duplicate(reader: Reader, shelf: Shelf) -> None:
    for n in range(4):
        shelf.put(f"R{n}", 5)
    async with reader.running():
        await reader.passed()
        shelf.put("R0", 0, version=2)
        await reader.passed(3)
    assert await taken(reader.ledger) == ["row:R0|1", "row:R1|1", "row:R2|1", "row:R3|1", "row:R0|2"]
    async with reader.ledger.read() as connection:
        counted = (await tallies.by_connection(connection))["shelf"]
        balance = await tallies.balance(connection)
    assert (counted["received"], counted.get("duplicate", 0)) == (5, 0)
    assert counted["reread"] >= 8
    assert (balance.received, balance.in_flight, balance.difference) == (5, 5, 0)


async def test_the_cursor_moves_only_after_the_commit(
    reader: Reader, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.put("R1", 5000)
    shelf.put("R2", 10)
    real, tried = reader.appender.append, 0

    async def away(events: Any) -> Any:
        nonlocal tried
        tried += 1
        if tried <= 3:
            assert (await reader.cursor()).value is None
            raise session.LedgerUnavailable("gone")
        return await real(events)

    monkeypatch.setattr(reader.appender, "append", away)
    async with reader.running():
        await reader.passed()
    assert sorted(await taken(reader.ledger)) == ["row:R1|1", "row:R2|1"]
    assert len({round(start) for start, _ in shelf.asked[:4]}) <= 2, "the same window is read until it is stored"
    assert tried >= 5


async def test_a_window_that_was_stored_is_not_read_again_after_a_failure(
    reader: Reader, shelf: Shelf, server: target.Target
) -> None:
    shelf.put("R1", 5000)
    shelf.put("R2", 10)
    broken = True
    server.judge = lambda _body: target.Answer(400) if broken and shelf.asked else None  # from the second window on
    async with reader.running():

        async def stuck() -> bool:
            row = await reader.cursor()
            return row is not None and row.failures > 0

        await making.until(stuck)
        row = await reader.cursor()
        assert row.value is not None
        assert '"zh"' in row.last_error
        assert await taken(reader.ledger) == ["row:R1|1"]
        broken = False
        await reader.passed()
        assert (await reader.cursor()).last_error is None
    assert sorted(await taken(reader.ledger)) == ["row:R1|1", "row:R2|1"]
    assert len([start for start, _ in shelf.asked if start < time.time() - 6000]) == 1


async def test_one_process_at_a_time_holds_a_cursor(
    open_ledger: Open, server: target.Target, shelf: Shelf, spec: declaration.Declaration
) -> None:
    readers = [Reader(open_ledger(f"p{n}"), server.url, spec) for n in range(3)]
    for n in range(7):
        shelf.put(f"R{n}", 5)
    server.gate.clear()
    async with readers[0].running(), readers[1].running(), readers[2].running():
        await making.until(lambda: server.waiting == 1)
        server.gate.set()
        await readers[0].passed(6)
        assert server.most == 1
    assert len(await taken(readers[0].ledger)) == 7


async def test_refused_credentials_ask_for_a_person(reader: Reader, shelf: Shelf, server: target.Target) -> None:
    async with reader.ledger.write() as connection:
        await connections.put(
            connection, hubs.SEALER, "shelf", "http", {}, {}, ConnectionState.ENABLED, time.time()
        )  # fmt: skip
    server.judge = lambda _body: target.Answer(401)
    async with reader.running():

        async def refused() -> bool:
            async with reader.ledger.read() as connection:
                row = await connections.get(connection, "shelf")
            return row is not None and row.state is ConnectionState.NEEDS_AUTH

        await making.until(refused)
    row = await reader.cursor()
    assert row.failures >= 1
    assert '"credential"' in row.last_error
    assert shelf.asked == []


async def test_a_dead_pollers_cursor_is_taken_over(
    open_ledger: Open, server: target.Target, shelf: Shelf, spec: Any
) -> None:
    dead = open_ledger("dead")
    await workers.register(dead, "dead", "worker", 1, "here")
    async with dead.write() as connection:
        assert await cursors.claim(connection, "shelf", "rows", "dead", 3600)
    reader = Reader(open_ledger("alive"), server.url, spec)
    shelf.put("R1", 5)
    async with reader.running():
        async with reader.ledger.write() as connection:
            assert await cursors.claim(connection, "shelf", "rows", "alive", 1) is None
            await workers.bury(connection, ["dead"])
        await reader.passed()
    assert await taken(reader.ledger) == ["row:R1|1"]


async def test_a_late_poller_moves_nothing(open_ledger: Open) -> None:
    one, two = open_ledger("p1"), open_ledger("p2")
    async with one.write() as connection:
        late = await cursors.claim(connection, "shelf", "rows", "p1", 0.0)
        held = await cursors.claim(connection, "shelf", "rows", "p2", 60.0)
    assert late is not None
    assert held is not None
    async with two.write() as connection:
        assert not await cursors.keep(connection, "shelf", "rows", late.fence, {"at": 1}, 60.0)
        assert not await cursors.move(connection, "shelf", "rows", late.fence, {"at": 1}, 0.0, 0)
        assert await cursors.keep(connection, "shelf", "rows", held.fence, {"at": 2}, 60.0)
        assert await cursors.move(connection, "shelf", "rows", held.fence, None, 60.0, 0)
        await cursors.hurry(connection, "shelf")
        again = await cursors.claim(connection, "shelf", "rows", "p1", 60.0)
    assert again is not None
    assert again.value == {"at": 2}


async def test_who_lost_track_of_its_own_lease_has_it_anew(ledger: session.Ledger) -> None:
    """The ledger went away before the lease was given back; nobody needs to wait two minutes for it."""
    async with ledger.write() as connection:
        first = await cursors.claim(connection, "shelf", "rows", "w1", 3600.0)
        again = await cursors.claim(connection, "shelf", "rows", "w1", 3600.0)
    assert first is not None
    assert again is not None
    assert again.fence == first.fence + 1

"""Backfill: history is read whole and once, sends nobody a message, and nothing live waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors.core import auth, client, declaration, model, pacing, registry
from retry_queue import append, backfill
from retry_queue.ledger import backfills, inbox, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites
from tests.ledger import hub as hubs
from tests.ledger import making, pair, target, test_poll

Open = Callable[[str], session.Ledger]
DAY = 86400.0


class History:
    """A process that works on backfills over the shelf of the polling tests."""

    def __init__(self, ledger: session.Ledger, url: str, spec: declaration.Declaration) -> None:
        self.ledger = ledger
        self.opened = model.Connection("shelf", spec, {"base_url": url}, {})
        live = sites.Live("shelf", "shelf", ConnectionState.ENABLED, self.opened, None)
        self.site = sites.Site(1, {"shelf": live}, [], {}, {}, {})
        self.calls = client.Client(auth.MemoryTokens(), pacing.LocalPacer())
        self.appender = append.Appender(ledger, lambda: None)
        self.worker = backfill.Backfiller(ledger, lambda: self.site, self.calls, self.appender)

    async def ask(self, days: float = 30.0, budget: float = 0.0, **more: Any) -> int:
        now = time.time()
        given = {"cause": "person", "window": (now - days * DAY, now)} | more
        async with self.ledger.write() as db:
            return await backfills.create(db, backfills.New("shelf", "rows", budget=budget, **given), now)

    async def get(self, number: int) -> backfills.Row:
        async with self.ledger.read() as db:
            found = await backfills.get(db, number)
        assert found is not None
        return found

    async def done(self, number: int, seconds: float = 30.0) -> backfills.Row:
        """Works until it is done, as a running process would."""

        async def check() -> backfills.Row | None:
            await self.worker.step()
            row = await self.get(number)
            return row if row.state == "done" else None

        found = await making.until(check, seconds, "the backfill is done")
        assert isinstance(found, backfills.Row)
        await self.worker.idle()
        return found

    async def close(self) -> None:
        await self.worker.close()
        await self.appender.close()
        await self.calls.aclose()


@pytest.fixture
def spec() -> declaration.Declaration:
    return registry.parse(test_poll.SHELF.replace("window: 3600", "window: 864060"), "shelf/connector.yaml")


@pytest.fixture
def shelf() -> test_poll.Shelf:
    return test_poll.Shelf()


@pytest.fixture
async def server(shelf: test_poll.Shelf) -> AsyncIterator[target.Target]:
    made = target.Target()
    made.lists = shelf.read
    await made.up()
    yield made
    made.gate.set()
    await made.down()


@pytest.fixture
async def history(
    ledger: session.Ledger, server: target.Target, spec: declaration.Declaration
) -> AsyncIterator[History]:
    made = History(ledger, server.url, spec)
    yield made
    await made.close()


async def taken(ledger: session.Ledger) -> list[tuple[str, int]]:
    rows = await making.rows(ledger, "SELECT dedupe, priority FROM inbox ORDER BY id")
    return [(row.dedupe, row.priority) for row in rows]


async def test_the_whole_history_is_read_once_at_the_last_priority(
    history: History, shelf: test_poll.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "UNPLANNED", 100)  # nobody plans here
    for n in range(9):
        shelf.put(f"R{n}", n * 3 * DAY + 5)
    row = await history.done(await history.ask())
    assert sorted(await taken(history.ledger)) == [(f"row:R{n}|1", inbox.BACKFILL) for n in range(9)]
    assert (row.counts["rows"], row.counts["new"], row.counts["windows"], row.share) == (9, 9, 3, 1.0)
    again = await history.done(await history.ask())
    assert (again.counts["rows"], again.counts["new"]) == (9, 0)
    assert len(await taken(history.ledger)) == 9


async def test_goes_on_after_its_process_died(
    history: History,
    shelf: test_poll.Shelf,
    server: target.Target,
    open_ledger: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backfill, "UNPLANNED", 100)  # nobody plans here
    for n in range(9):
        shelf.put(f"R{n}", (29 - n * 3) * DAY)
    number = await history.ask(budget=20.0)
    await history.worker.step()
    await making.until(lambda: len(shelf.asked) >= 2)
    await history.worker.close()  # in the middle of the second window
    row = await history.get(number)
    assert row.state == "running"
    assert 0.3 < row.share < 0.4
    before = len(shelf.asked)
    other = History(open_ledger("w2"), server.url, history.opened.declaration)
    try:
        assert (await other.done(number)).counts["windows"] == 3
    finally:
        await other.close()
    assert len(await taken(history.ledger)) == 9
    assert len(shelf.asked) - before <= 2, "the first window is not read again"


async def test_pause_resume_and_cancel(
    history: History, shelf: test_poll.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "UNPLANNED", 100)  # nobody plans here
    for n in range(30):
        shelf.put(f"R{n}", (29 - n) * DAY + 60)
    number = await history.ask(budget=15.0)
    await history.worker.step()
    await making.until(lambda: len(shelf.asked) >= 2)

    async def turn(what: str) -> bool:
        async with history.ledger.write() as db:
            return await backfills.turn(db, number, what)

    assert await turn("pause")
    assert not await turn("pause")
    await history.worker.idle()
    read = len(await taken(history.ledger))
    assert 0 < read < 30
    await history.worker.step()
    await history.worker.idle()
    assert len(await taken(history.ledger)) == read
    assert await turn("resume")
    row = await history.done(number)
    assert len(await taken(history.ledger)) == 30
    assert row.state == "done"
    assert not await turn("cancel")
    number = await history.ask()
    assert await turn("cancel")
    await history.worker.step()
    assert (await history.get(number)).state == "cancelled"


async def test_reads_no_faster_than_its_budget(
    history: History, shelf: test_poll.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "UNPLANNED", 100)  # nobody plans here
    for n in range(20):
        shelf.put(f"R{n}", n * DAY + 60)
    began = time.monotonic()
    await history.done(await history.ask(budget=20.0))
    assert time.monotonic() - began >= 0.9


async def test_what_cannot_be_read_says_why(history: History, server: target.Target, quick: None) -> None:
    server.judge = lambda _body: target.Answer(401)
    number = await history.ask()
    await history.worker.step()
    await history.worker.idle()
    row = await history.get(number)
    assert row.state == "failed"
    assert row.detail is not None
    async with history.ledger.write() as db:
        assert await backfills.turn(db, number, "resume")
    server.judge = lambda _body: None
    assert (await history.done(number)).state == "done"
    server.judge = lambda _body: target.Answer(503)
    number = await history.ask()
    await history.worker.step()
    await history.worker.idle()
    row = await history.get(number)
    assert (row.state, row.failures, bool(row.detail)) == ("running", 1, True)


async def test_waits_outside_while_something_live_is_late(
    history: History, shelf: test_poll.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "PATIENCE", 0.1)
    shelf.put("R1", DAY)
    await making.append(history.ledger, making.event("live"))
    await asyncio.sleep(0.2)
    number = await history.ask()
    await history.worker.step()
    await making.until(lambda: shelf.asked)
    await asyncio.sleep(0.5)
    assert [name for name, _ in await taken(history.ledger)] == ["live"]
    await making.change(history.ledger, "UPDATE inbox SET state = 'skipped' WHERE dedupe = 'live'")
    await history.done(number)
    assert len(await taken(history.ledger)) == 2


async def test_little_is_under_way_at_once(
    history: History, shelf: test_poll.Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "UNPLANNED", 4)
    for n in range(12):
        shelf.put(f"R{n}", n * DAY + 60)
    number = await history.ask(budget=1000.0)
    await history.worker.step()
    await asyncio.sleep(1.0)
    assert len(await taken(history.ledger)) <= 4 + 3  # a page is three rows
    for _ in range(50):
        await making.change(history.ledger, "UPDATE inbox SET state = 'skipped'")
        await history.worker.step()
        if (await history.get(number)).state == "done":
            break
        await asyncio.sleep(0.1)
    assert len(await taken(history.ledger)) == 12


async def test_what_is_offered_is_what_nobody_asked_for(history: History) -> None:
    (one,) = backfill.offers(history.site, set(), 1000.0)
    assert (one.connection_key, one.source, one.entity, one.since) == ("shelf", "rows", "order", 1000.0 - 7000)
    await history.ask()
    async with history.ledger.read() as db:
        done = await backfills.imported(db)
    assert backfill.offers(history.site, done, 1000.0) == []


def test_an_import_ends_where_the_poll_began(spec: declaration.Declaration) -> None:
    source = spec.events["rows"]
    assert backfill.window(source, True, 100_000.0, 1.0, None) == (1.0, 93_000.0)
    assert backfill.window(source, False, 100_000.0, 1.0, None) == (1.0, 100_000.0)
    assert backfill.window(source, True, 100_000.0, 1.0, 200_000.0) == (1.0, 100_000.0)


# --- beside live traffic ----------------------------------------------------------------------------


async def test_history_sends_nobody_a_message(database_url: str, ledger: session.Ledger) -> None:
    """Both a record's state and a message go out for what is live; of history only the state is kept."""
    async with pair.opened(database_url, ledger, both=False) as two, hubs.targets("notes") as sinks:
        await hubs.sink(ledger, sinks["notes"].url, "notes")
        async with ledger.write() as db:
            spec = {
                "from": {"connection": "left", "entity": "customer"},
                "to": [{"connection": "notes", "operation": "send"}],
            }
            await pair.configuration.put_route(db, "tell", spec, True)
            await pair.configuration.touch(db)
        await two.worker.hub.reload()
        two.fill(12, ago=20 * DAY)
        two.right.records.customers.clear()
        hub = two.worker.hub
        worker = backfill.Backfiller(hub.ledger, hub.current, hub.calls, hub.appender)
        now = time.time()
        async with hub.ledger.write() as db:
            wanted = backfills.New("left", "changes", "first", (now - 30 * DAY, now), 0.0)
            await backfills.create(db, wanted, now)
        await worker.step()
        await worker.idle()
        await two.worker.settled()
        assert two.same() == []
        assert [call for call in sinks["notes"].calls if call.method == "POST"] == []
        assert {row.priority for row in await making.rows(ledger, "SELECT priority FROM inbox")} == {inbox.BACKFILL}

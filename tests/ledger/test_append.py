"""The appender: acknowledged means durable, a ledger that is away means no acknowledgement."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sa_event
from sqlalchemy import text

from connectors.core import model, registry
from gateway import migrate
from gateway.trial import postgres
from retry_queue import append
from retry_queue.ledger import inbox, quarantine, sandbox, session, tallies
from tests.ledger import making

Open = Callable[[str], session.Ledger]


@pytest.fixture
async def appender(ledger: session.Ledger) -> AsyncIterator[append.Appender]:
    made = append.Appender(ledger, lambda: None)
    yield made
    await made.close()


@asynccontextmanager
async def blocked(ledger: session.Ledger) -> AsyncIterator[None]:
    """Nobody else can append while this lasts."""
    async with ledger.write() as connection:
        if ledger.dialect == "postgresql":
            await connection.execute(text("LOCK TABLE inbox IN EXCLUSIVE MODE"))
        yield


async def counted(ledger: session.Ledger) -> dict[str, int]:
    async with ledger.read() as connection:
        return (await tallies.by_connection(connection)).get("shop", {})


async def test_an_acknowledged_event_is_committed(open_ledger: Open, appender: append.Appender) -> None:
    other = open_ledger("reader")

    async def push(n: int) -> None:
        (made,) = await appender.append([making.event(f"e{n}")])
        assert await making.rows(other, "SELECT 1 FROM events WHERE id = :id", id=made)

    await asyncio.gather(*(push(n) for n in range(60)))


async def test_many_hand_ins_share_few_commits(ledger: session.Ledger, appender: append.Appender) -> None:
    commits = 0

    def committed(_connection: Any) -> None:
        nonlocal commits
        commits += 1

    sa_event.listen(ledger.engine.sync_engine, "commit", committed)
    made = await asyncio.gather(*(appender.append([making.event(f"e{n}")]) for n in range(1000)))
    assert len({ids[0] for ids in made}) == 1000
    if ledger.dialect == "postgresql":  # each statement is its own transaction, which nobody commits
        commits = (await making.rows(ledger, "SELECT count(DISTINCT xmin::text) AS n FROM inbox"))[0].n
    assert 1 <= commits <= 5
    assert await counted(ledger) == {"received": 1000}


async def test_a_hand_in_of_many_is_all_or_nothing_and_answers_in_its_order(appender: append.Appender) -> None:
    first = await appender.append([making.event(n) for n in "abc"])
    again = await appender.append([making.event(n) for n in "xbyc"])
    assert None not in first
    assert [made is None for made in again] == [False, True, False, True]
    assert await appender.append([]) == []


async def test_duplicates_are_counted_and_rereads_are_not(ledger: session.Ledger, appender: append.Appender) -> None:
    same = making.event("a")
    made = await asyncio.gather(*(appender.append([same]) for _ in range(5)))
    assert sum(ids[0] is not None for ids in made) == 1
    polled = [making.event("a", reread=True), making.event("b", reread=True)]
    await appender.append(polled)
    await appender.append(polled)
    assert await counted(ledger) == {"received": 6, "duplicate": 4, "reread": 3}
    async with ledger.read() as connection:
        balance = await tallies.balance(connection)
    assert (balance.received, balance.duplicate, balance.in_flight, balance.difference) == (6, 4, 2, 0)


async def test_what_is_new_is_acknowledged_when_what_was_known_cannot_be_counted(
    ledger: session.Ledger, appender: append.Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its sender would bring it again, and nobody rings for what is there."""

    async def away(*_given: object) -> None:
        raise session.LedgerUnavailable("just now")

    assert await appender.append([making.event("known")])
    rings = 0

    def rung() -> None:
        nonlocal rings
        rings += 1

    monkeypatch.setattr(appender, "_woken", rung)
    monkeypatch.setattr(quarantine, "add", away)
    new, known, both = await asyncio.gather(
        appender.append([making.event("new"), making.event("newer")]),
        appender.append([making.event("known")]),
        appender.append([making.event("half"), making.event("known")]),
        return_exceptions=True,
    )
    assert isinstance(known, session.LedgerUnavailable)
    assert isinstance(both, session.LedgerUnavailable)
    stored = {row.dedupe for row in await making.rows(ledger, "SELECT dedupe FROM inbox")}
    if ledger.single:  # one transaction for all of it
        assert isinstance(new, session.LedgerUnavailable)
        assert stored == {"known"}
        assert not rings
    else:
        assert rings
        assert isinstance(new, list)
        assert None not in new
        assert stored == {"known", "new", "newer", "half"}
    monkeypatch.undo()
    again = await appender.append([making.event("half"), making.event("known")])
    assert [made is None for made in again] == [not ledger.single, True]
    async with ledger.read() as connection:
        balance = await tallies.balance(connection)
    assert balance.difference == 0
    assert balance.in_flight == len(stored | {"half"})


async def test_the_bell_rings_after_the_commit_and_only_for_new_events(open_ledger: Open) -> None:
    rings: list[int] = []
    made = append.Appender(open_ledger("w1"), lambda: rings.append(1))
    await made.append([making.event("a")])
    await asyncio.gather(*(made.append([making.event(f"e{n}")]) for n in range(50)))
    before = len(rings)
    assert 2 <= before <= 5
    await made.append([making.event("a")])
    assert len(rings) == before
    await made.close()


async def test_too_many_waiting_are_refused_and_those_who_wait_are_served(
    open_ledger: Open, appender: append.Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append, "MAX_WAITING", 10)
    async with blocked(open_ledger("other")):
        first = asyncio.create_task(appender.append([making.event("first")]))
        await making.until(lambda: appender._committing and not appender._waiting)
        waiting = [asyncio.create_task(appender.append([making.event(f"e{n}")])) for n in range(10)]
        await making.until(lambda: len(appender._waiting) == 10)
        with pytest.raises(append.Overloaded):
            await appender.append([making.event("one too many")])
        assert not first.done()
    assert all(await asyncio.gather(first, *waiting))
    rows = await making.rows(open_ledger("reader"), "SELECT dedupe FROM inbox")
    assert len(rows) == 11
    assert "one too many" not in {row.dedupe for row in rows}


async def test_what_the_database_refuses_spoils_nobody_elses(
    ledger: session.Ledger, open_ledger: Open, appender: append.Appender
) -> None:
    """T-30: half a character cannot be stored; the others of its commit can."""
    async with blocked(open_ledger("other")):
        first = asyncio.create_task(appender.append([making.event("first")]))
        await making.until(lambda: appender._committing and not appender._waiting)
        good = [asyncio.create_task(appender.append([making.event(f"e{n}")])) for n in range(5)]
        bad = asyncio.create_task(appender.append([making.event("bad", payload="\ud800")]))
        appender.refuse("shop", "forged", "wrong", "x")
        more = [asyncio.create_task(appender.append([making.event(f"f{n}")])) for n in range(5)]
    assert all(ids[0] for ids in await asyncio.gather(first, *good, *more))
    with pytest.raises(Exception) as caught:
        await bad
    assert not isinstance(caught.value, session.LedgerUnavailable)
    assert await counted(ledger) == {"received": 11}
    assert (await appender.append([making.event("after")]))[0]


async def test_a_caller_that_went_away_harms_nobody(open_ledger: Open, appender: append.Appender) -> None:
    async with blocked(open_ledger("other")):
        gone = asyncio.create_task(appender.append([making.event("gone")]))
        stays = asyncio.create_task(appender.append([making.event("stays")]))
        await making.until(lambda: appender._committing and not appender._waiting)
        gone.cancel()
    assert (await stays)[0]
    assert (await appender.append([making.event("gone")])) == [None]  # it was taken in; a retry is a duplicate


async def test_closing_answers_everybody(open_ledger: Open) -> None:
    made = append.Appender(open_ledger("w1"), lambda: None)
    async with blocked(open_ledger("other")):
        tasks = [asyncio.create_task(made.append([making.event(f"e{n}")])) for n in range(3)]
        await making.until(lambda: made._committing and not made._waiting)
        tasks += [asyncio.create_task(made.append([making.event(f"f{n}")])) for n in range(3)]
        await making.until(lambda: len(made._waiting) == 3)
        made.refuse("shop", "forged", "", "x")
        closing = asyncio.create_task(made.close())
    async with asyncio.timeout(10):
        await closing
        assert all(ids[0] for ids in await asyncio.gather(*tasks))
    async with open_ledger("reader").read() as connection:
        assert len(await quarantine.newest(connection)) == 1


async def test_refused_calls_are_all_counted_and_the_newest_are_kept(
    ledger: session.Ledger, appender: append.Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "KEPT", 20)
    for n in range(50):
        appender.refuse("shop", "forged" if n % 2 else "unsigned", f"detail {n}\x00", f"body {n}")
        if n % 10 == 9:
            await appender.append([making.event(f"e{n}")])
    async with ledger.read() as connection:
        kept = await quarantine.newest(connection, 100)
        balance = await tallies.balance(connection)
    assert [row.excerpt for row in kept] == [f"body {n}" for n in range(49, 29, -1)]
    assert (balance.rejected, balance.received, balance.difference) == (50, 5, 0)


def a_source_event(**more: Any) -> model.SourceEvent:
    given: dict[str, Any] = {
        "message": "record", "entity": "order", "record": "T1", "dedupe": "record:1", "payload": b"{}",
        "occurred_at": datetime(2024, 1, 1, tzinfo=UTC), "fast": False,
    } | more  # fmt: skip
    return model.SourceEvent(**given)


def of(key: str, switches: int = 0) -> model.Connection:
    return model.Connection(key, registry.get("http"), {}, {}, switches)


async def test_what_was_read_before_a_switch_is_refused_after_it(
    ledger: session.Ledger, appender: append.Appender
) -> None:
    """An invented order that was under way when a rehearsal ended would otherwise belong to the real shop."""
    await making.change(
        ledger,
        "INSERT INTO connections (key, connector, config, secrets, state, created_at, updated_at)"
        " VALUES ('shop', 'http', '{}', '{}', 'enabled', 0, 0)",
    )
    assert await appender.append([append.new_event(of("shop"), "hook", a_source_event(dedupe="a"))]) != [None]
    late = append.new_event(of("shop"), "hook", a_source_event(dedupe="b"))
    read = append.new_event(of("shop"), "poll", a_source_event(dedupe="c"), reread=True)
    async with ledger.write() as connection:
        await sandbox.alone(connection)
        going = asyncio.create_task(appender.append([late]))
        await asyncio.sleep(0.3)
        assert await sandbox.owed(connection, "shop") == 1, "nothing is appended while the switch is decided"
        await connection.execute(text("UPDATE connections SET switches = switches + 1"))
    with pytest.raises(append.Switched):
        await going
    assert await appender.append([read]) == [None], "a poll finds that out by its cursor"
    now = append.new_event(of("shop", 1), "hook", a_source_event(dedupe="b"))
    assert await appender.append([now]) != [None]
    await appender.append([replace(now, switches=None)])
    balance = await making.rows(ledger, "SELECT kind, sum(n) AS n FROM tallies GROUP BY kind ORDER BY kind")
    assert [(row.kind, int(row.n)) for row in balance] == [("duplicate", 1), ("received", 3), ("reread", 1)]
    assert len(await making.rows(ledger, "SELECT id FROM inbox")) == 2


async def test_what_a_sender_makes_up_fits_its_column(ledger: session.Ledger, appender: append.Appender) -> None:
    long = "record:" + "长" * 160
    found = [
        a_source_event(dedupe=long + "a", record="R" * 300),
        a_source_event(dedupe=long + "b", record="N\x00UL"),
        a_source_event(dedupe=long + "a", record=None, fast=True),
    ]
    made = await appender.append([append.new_event(of("shop"), "hook", one) for one in found])
    assert [ids is not None for ids in made] == [True, True, False]
    rows = await making.rows(
        ledger, "SELECT e.record, i.dedupe FROM inbox i JOIN events e ON e.id = i.id ORDER BY e.id"
    )
    assert len(rows[0].record) == 200
    assert "\x00" not in rows[1].record
    assert max(len(row.dedupe) for row in rows) == 120


def test_a_source_event_becomes_an_event_of_the_inbox() -> None:
    made = append.new_event(of("shop"), "hook", a_source_event(fast=True), reread=True)
    assert (made.priority, made.reread, made.occurred_at, made.record) == (inbox.FAST, True, 1704067200.0, "T1")


def test_an_event_told_again_to_another_ledger_has_the_same_trace() -> None:
    """Idempotency keys follow from it: after a restore a target that recognises repeats must recognise them."""
    one = append.new_event(of("shop"), "hook", a_source_event(dedupe="a")).trace
    assert one == append.new_event(of("shop"), "poll", a_source_event(dedupe="a"), reread=True).trace
    assert one != append.new_event(of("shop"), "hook", a_source_event(dedupe="b")).trace
    assert one != append.new_event(of("store"), "hook", a_source_event(dedupe="a")).trace
    assert len(one) == 32


# --- the ledger goes away -------------------------------------------------------------------------


async def test_a_file_that_cannot_be_opened_is_no_acknowledgement(sqlite_url: str, tmp_path: Path) -> None:
    ledger = session.open_ledger(sqlite_url, owner="w1")
    made = append.Appender(ledger, lambda: None)
    await made.append([making.event("before")])
    await ledger.close()
    away = tmp_path.parent / f"{tmp_path.name}-away"
    tmp_path.rename(away)
    with pytest.raises(session.LedgerUnavailable):
        await made.append([making.event("during")])
    made.refuse("shop", "forged", "dropped with the ledger away", "")
    with pytest.raises(session.LedgerUnavailable):
        await made.append([making.event("during")])
    away.rename(tmp_path)
    assert (await made.append([making.event("during")]))[0]
    assert sorted(row.dedupe for row in await making.rows(ledger, "SELECT dedupe FROM inbox")) == ["before", "during"]
    await made.close()
    await ledger.close()


@pytest.mark.postgres
async def test_a_server_that_is_killed_loses_nothing_that_was_acknowledged(own_server: postgres.PostgresServer) -> None:
    """T-06: whatever the server says while it dies and comes back, callers see LedgerUnavailable or success."""
    url = own_server.server.url()
    await migrate.upgrade(url)
    ledger = session.open_ledger(url, owner="w1")
    made = append.Appender(ledger, lambda: None)
    acknowledged: set[str] = set()
    seen: Counter[str] = Counter()
    stopped = False

    async def push(place: int) -> None:
        n = 0
        while not stopped:
            n += 1
            try:
                await made.append([making.event(f"{place}-{n}")])
                acknowledged.add(f"{place}-{n}")
            except session.LedgerUnavailable:
                seen["unavailable"] += 1
                await asyncio.sleep(0.005)

    async def look() -> None:
        while not stopped:
            try:
                await ledger.now()
            except session.LedgerUnavailable:
                await asyncio.sleep(0.005)

    async def more(than: int) -> None:
        await making.until(lambda: len(acknowledged) > than + 50, what="acknowledgements")

    calls: list[Awaitable[None]] = [push(n) for n in range(8)] + [look()]
    tasks = [asyncio.ensure_future(call) for call in calls]
    await more(0)
    for sign in (signal.SIGQUIT, signal.SIGINT):
        await asyncio.to_thread(own_server.stop, sign)
        refused = seen["unavailable"]
        await making.until(lambda refused=refused: seen["unavailable"] > refused + 10)
        await asyncio.to_thread(own_server.start)
        await more(len(acknowledged))
    own_server.server.sql("ALTER DATABASE postgres SET default_transaction_read_only = on")
    own_server.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'w1'")
    refused = seen["unavailable"]
    await making.until(lambda: seen["unavailable"] > refused + 10, what="a read-only server refusing")
    stopped = True
    await asyncio.gather(*tasks)
    rows = {
        row.dedupe for row in await making.rows(ledger, "SELECT i.dedupe FROM inbox i JOIN events e ON e.id = i.id")
    }
    assert acknowledged <= rows
    await made.close()
    await ledger.close()

"""Partitions on PostgreSQL: made in time, dropped when all in them is over, and nothing that is open ever goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from gateway import migrate
from gateway.trial import postgres
from retry_queue import keeping
from retry_queue.ledger import claims, inbox, partitions, retention, revival, session
from retry_queue.ledger.states import EventState
from tests.ledger import hub as hubs
from tests.ledger import making

pytestmark = pytest.mark.postgres
DAY = 86400.0
FILL = """
    INSERT INTO inbox (connection_key, dedupe, state, priority, next_at, received_at)
    SELECT 'shop', '{0}-' || n, 'planned', 1, 0, {1} + n FROM generate_series(1, {2}) n;
    INSERT INTO events (id, connection_key, source, message, entity, record, payload, received_at, trace)
    SELECT id, 'shop', 'hook', 'record', 'order', dedupe, '{{}}', received_at, 't' FROM inbox
    WHERE dedupe LIKE '{0}-%';
    INSERT INTO canonicals (event_id, entity, mapping, body)
    SELECT id, 'order', 'm', '{{}}' FROM inbox WHERE dedupe LIKE '{0}-%';
    INSERT INTO records (connection_key, entity, record, updated_at)
    SELECT 'shop', 'order', dedupe, 0 FROM inbox WHERE dedupe LIKE '{0}-%';
    INSERT INTO deliveries (event_id, route_key, connection_key, operation, position, kind, record_id, lane, state,
                            next_at, created_at)
    SELECT i.id, 'r', 'erp', 'put', 0, 'state', r.id, 'erp/order/' || r.id, 'delivered', 0, i.received_at
    FROM inbox i JOIN records r ON r.record = i.dedupe WHERE i.dedupe LIKE '{0}-%';
    INSERT INTO attempts (delivery_id, attempt, outcome, duration, worker, at)
    SELECT d.id, 1, 'delivered', 0.1, 'w', d.created_at FROM deliveries d JOIN inbox i ON i.id = d.event_id
    WHERE i.dedupe LIKE '{0}-%'
"""


async def fill(ledger: session.Ledger, name: str, age: float, count: int) -> None:
    """Delivered orders of ``age`` seconds ago."""
    async with ledger.write() as connection:
        for statement in FILL.format(name, time.time() - age, count).split(";"):
            await connection.exec_driver_sql(statement)


@pytest.fixture
async def ledger(own_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[session.Ledger]:
    monkeypatch.setattr(partitions, "SMALLEST", 100)
    monkeypatch.setattr(partitions, "LARGEST", 100)
    monkeypatch.setattr(partitions, "STEP", 10)
    opened = session.open_ledger(own_postgres_url, owner="w1", pool=4)
    await making.parted(opened, 101)
    yield opened
    await opened.close()


async def shape(ledger: session.Ledger, family: partitions.Family = partitions.EVENTS) -> list[tuple[str, int | None]]:
    async with ledger.read() as connection:
        return [(one.suffix, one.high) for one in await partitions.parts(connection, family)]


async def extend(ledger: session.Ledger) -> None:
    for family in partitions.FAMILIES:
        while await partitions.ahead(ledger, family):
            pass


async def count(ledger: session.Ledger, table: str) -> int:
    return int((await making.rows(ledger, f"SELECT count(*) AS n FROM {table}"))[0].n)


async def test_partitions_are_made_before_they_are_needed(ledger: session.Ledger) -> None:
    await extend(ledger)
    assert await shape(ledger) == [("0", 101), ("101", 201), ("spare", None)]
    await fill(ledger, "a", 0, 90)
    await extend(ledger)
    assert await shape(ledger) == [("0", 101), ("101", 201), ("spare", None)], "one is empty still"
    await fill(ledger, "b", 0, 20)
    await extend(ledger)
    want = [("0", 101), ("101", 201), ("201", 301), ("spare", None)]
    assert await shape(ledger) == await shape(ledger, partitions.ATTEMPTS) == want
    assert await count(ledger, "events_101") == await count(ledger, "canonicals_101") == 10
    assert await count(ledger, "events_spare") == 0


async def test_nobody_made_partitions_and_nothing_was_refused(ledger: session.Ledger) -> None:
    """All workers are away while events come in: they land in the spare, which becomes a partition like the others."""
    await fill(ledger, "a", 0, 250)
    assert await count(ledger, "events_spare") == 150
    await extend(ledger)
    assert [suffix for suffix, _ in await shape(ledger)] == ["0", "101", "350", "spare"]
    assert await count(ledger, "events_101") == 150
    assert await count(ledger, "events_spare") == 0
    assert await making.append(ledger, making.event("more")) == [251]
    names = await making.rows(ledger, "SELECT indexname FROM pg_indexes WHERE indexname LIKE '%spare%' ORDER BY 1")
    assert len(names) == 3 + 1 + 2, "only those of the new spares"


async def test_a_bell_curve_of_sizes() -> None:
    assert partitions.next_size(0, 60.0) == 250_000
    assert partitions.next_size(100, 1e9) == 250_000
    assert partitions.next_size(864_000, 86400.0) == 6_050_000
    assert partitions.next_size(10**10, 86400.0) == 200_000_000


async def _policy(ledger: session.Ledger, **days: Any) -> None:
    async with ledger.write() as connection:
        await retention.put(connection, retention.Policy(**days))


async def _sweep(ledger: session.Ledger) -> int:
    return await keeping.Keeper(ledger, hubs.SEALER).sweep(time.time())


async def _filled(ledger: session.Ledger) -> list[Any]:
    """Three hundred orders of long ago over three partitions, some of them open; returns rows of those."""
    for name in ("a", "b", "c"):
        await fill(ledger, name, 400 * DAY, 100)
        await extend(ledger)
    await fill(ledger, "new", 0, 20)
    await extend(ledger)
    ids = [row.id for row in await making.rows(ledger, "SELECT id FROM inbox ORDER BY id")]
    for state, place in (("received", 5), ("parked", 106), ("skipped", 207)):
        await making.change(ledger, "UPDATE inbox SET state = :s WHERE id = :i", s=state, i=ids[place])
    for state, place in (("retrying", 10), ("parked", 111), ("dead", 212), ("dead", 213), ("superseded", 214)):
        await making.change(ledger, "UPDATE deliveries SET state = :s WHERE event_id = :i", s=state, i=ids[place])
    await making.change(ledger, "UPDATE events SET received_at = :now WHERE id = :i", now=time.time(), i=ids[212])
    return ids


async def test_what_is_over_goes_at_once_and_what_is_open_stays(ledger: session.Ledger) -> None:
    ids = await _filled(ledger)
    await _policy(ledger, raw=180, canonicals=180, attempts=90, dead_letters=300)
    assert await _sweep(ledger) > 0
    assert [suffix for suffix, _ in await shape(ledger)] == ["kept", "301", "401", "spare"]
    kept = {row.id for row in await making.rows(ledger, "SELECT id FROM events_kept")}
    assert kept == {ids[place] for place in (5, 106, 10, 111, 212)}
    assert {row.event_id for row in await making.rows(ledger, "SELECT event_id FROM canonicals_kept")} == kept
    tried = await making.rows(
        ledger, "SELECT d.event_id FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE a.id < 301"
    )
    assert {row.event_id for row in tried} == {ids[place] for place in (10, 111)}
    assert await count(ledger, "events") == 25
    assert await count(ledger, "inbox") == await count(ledger, "deliveries") == 320, "counts stay"
    assert await _sweep(ledger) == 0, "a second sweep finds nothing"
    async with ledger.write() as connection:
        gone = (await making.rows(ledger, "SELECT id FROM deliveries WHERE state = 'superseded'"))[0].id
        await connection.execute(text("UPDATE deliveries SET state = 'dead' WHERE id = :i"), {"i": gone})
        assert await revival.revive(connection, [gone]) == [], "what has no body is not owed again"
        assert await inbox.revive(connection, [ids[207]]) == []
        assert await inbox.revive(connection, [ids[106]]) == [ids[106]]
        await inbox.carry(connection, [(ids[106], "order", "m", "{}", None)])  # its second planning
    for event in await _claimed(ledger):
        assert event.id in (ids[5], ids[106])


async def _claimed(ledger: session.Ledger) -> list[inbox.ClaimedEvent]:
    async with ledger.write() as connection:
        found = await claims.claim(connection, 10, "w1", 60.0)
        assert len(found) == 2
        await inbox.settle(connection, [making.ruling(one, EventState.SKIPPED) for one in found])
        return found


async def test_what_outlived_its_partition_goes_when_it_is_over(ledger: session.Ledger) -> None:
    await _filled(ledger)
    await _policy(ledger, raw=180, canonicals=180, attempts=90, dead_letters=300)
    await _sweep(ledger)
    await making.change(ledger, "UPDATE inbox SET state = 'skipped' WHERE state <> 'planned'")
    await making.change(ledger, "UPDATE deliveries SET state = 'delivered'")
    await making.change(ledger, "UPDATE events SET received_at = 1000 WHERE id < 301")
    await _sweep(ledger)
    assert await count(ledger, "events_kept") == 0
    assert await count(ledger, "attempts_kept") == 0
    await making.append(ledger, making.event("more"))


async def test_an_event_revived_while_its_partition_goes_is_not_lost(ledger: session.Ledger) -> None:
    """A person replays in the very moment: either the row stays, or there is nothing to replay; never a row less."""
    ids = await _filled(ledger)
    await _policy(ledger, raw=180, canonicals=180, attempts=90, dead_letters=300)
    begun, going = asyncio.Event(), asyncio.Event()

    async def person() -> list[int]:
        async with ledger.write() as connection:
            found = await inbox.revive(connection, [ids[207]])
            begun.set()
            await going.wait()
            return found

    asking = asyncio.create_task(person())
    await begun.wait()
    sweeping = asyncio.create_task(_sweep(ledger))
    locks = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    await making.until(lambda: making.rows(ledger, locks), what="the sweep waiting for the person")
    going.set()
    assert await asking == [ids[207]]
    await sweeping
    assert ids[207] in {row.id for row in await making.rows(ledger, "SELECT id FROM events_kept")}


async def test_rows_wait_for_their_partition_but_not_for_long(ledger: session.Ledger) -> None:
    """What goes with its partition within a week is not rewritten before; in one that lasts longer it is emptied."""
    await fill(ledger, "a", 183 * DAY, 50)
    await fill(ledger, "b", 177 * DAY, 60)
    await extend(ledger)
    await fill(ledger, "c", 0, 100)
    await extend(ledger)
    await _policy(ledger, raw=180, canonicals=180, attempts=90)
    await _sweep(ledger)
    assert len(await making.rows(ledger, "SELECT 1 FROM events WHERE payload = 'null'")) == 0
    await making.change(ledger, "UPDATE events SET received_at = received_at + 100 * 86400 WHERE record LIKE 'b-%'")
    async with ledger.write() as connection:
        await retention.restart(connection)
    await _sweep(ledger)
    assert len(await making.rows(ledger, "SELECT 1 FROM events WHERE payload = 'null'")) == 50


async def test_with_too_much_that_stays_a_partition_is_emptied_row_by_row(
    ledger: session.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await _filled(ledger)
    monkeypatch.setattr(partitions, "MOST_KEPT", 1)
    await _policy(ledger, raw=180, canonicals=180, attempts=90, dead_letters=300)
    await _sweep(ledger)
    left = {row.id for row in await making.rows(ledger, "SELECT id FROM events WHERE payload <> 'null' AND id < 301")}
    assert left == {ids[place] for place in (5, 106, 10, 111, 212)}
    assert await count(ledger, "events") == 320


# --- the migration --------------------------------------------------------------------------------


NEWER = "ALTER TABLE connections ADD COLUMN switches integer NOT NULL DEFAULT 0"
"""What the version before the exchange did not know, and the code that these tests run asks for."""


def _to(revision: str) -> Callable[[Connection], None]:
    def run(connection: Connection) -> None:
        step = command.upgrade if revision != "down" else command.downgrade
        step(migrate._config(connection), revision if revision != "down" else "0003")

    return run


async def _digest(ledger: session.Ledger) -> list[Any]:
    queries = ("SELECT * FROM events ORDER BY id", "SELECT * FROM canonicals ORDER BY event_id",
               "SELECT * FROM attempts ORDER BY id")  # fmt: skip
    return [[tuple(row) for row in await making.rows(ledger, query)] for query in queries]


async def test_a_database_with_rows_is_converted_while_it_is_used(postgres_server: postgres.Postgres) -> None:
    with postgres_server.database() as url:
        ledger = session.open_ledger(url, owner="w1", pool=4)
        try:
            async with ledger.write() as connection:
                await connection.run_sync(_to("0003"))
                await connection.exec_driver_sql(NEWER)
            await fill(ledger, "a", 100.0, 5000)
            before = await _digest(ledger)
            files = "SELECT pg_relation_filenode(to_regclass(:name)) AS node"
            was = {name: (await making.rows(ledger, files, name=name))[0].node for name in ("events", "attempts")}
            taken: list[int | None] = []
            planned: list[int] = []
            ending = asyncio.Event()

            async def old_version() -> None:
                """Takes in, plans and reads without knowing what happens; what cannot be written now is tried again."""
                number = 0
                while not ending.is_set():
                    number += 1
                    try:
                        taken.extend(await making.append(ledger, making.event(f"live-{number}")))
                        async with ledger.write() as connection:
                            found = await claims.claim(connection, 50, "w1", 60.0)
                            await inbox.carry(connection, [(one.id, "order", "m", "{}", None) for one in found])
                            planned.extend(await inbox.settle(connection, [making.ruling(one) for one in found]))
                    except session.LedgerUnavailable:
                        await asyncio.sleep(0.05)

            using = asyncio.create_task(old_version())
            await making.until(lambda: len(taken) > 20, what="traffic")
            await migrate.upgrade(url)
            there = len(taken)
            await making.until(lambda: len(taken) > there + 20, what="traffic after it")
            ending.set()
            await using
            assert (await migrate.state(url))[0] == "0006"
            after = await _digest(ledger)
            assert [rows[: len(old)] for rows, old in zip(after, before, strict=True)] == before
            stored = {row[0] for row in after[0]}
            assert stored >= {one for one in taken if one is not None}
            assert {row[0] for row in after[1]} >= set(planned)
            now = {name: (await making.rows(ledger, files, name=f"{name}_0"))[0].node for name in was}
            assert now == was, "nothing was copied"
            checks = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname LIKE 'ck_%_first'"
            assert not await making.rows(ledger, checks)
            await extend(ledger)
            assert len(await shape(ledger)) == 3
            async with ledger.write() as connection:
                await connection.run_sync(_to("down"))
                await connection.exec_driver_sql(NEWER)
            assert await _digest(ledger) == after
            await migrate.upgrade(url)
            assert await _digest(ledger) == after
        finally:
            await ledger.close()


async def test_the_exchange_reads_no_rows(postgres_server: postgres.Postgres) -> None:
    """What keeps everybody waiting is an instant, however many rows there are: the scan came before, online."""
    with postgres_server.database() as url:
        ledger = session.open_ledger(url, owner="w1", pool=2)
        try:
            async with ledger.write() as connection:
                await connection.run_sync(_to("0003"))
                await connection.exec_driver_sql(NEWER)
            await fill(ledger, "a", 100.0, 2000)
            await migrate._prepared(ledger)
            blocks = (
                "SELECT sum(seq_tup_read) AS n FROM pg_stat_all_tables WHERE relname ~ '^(events|canonicals|attempts)'"
            )
            await making.rows(ledger, "SELECT pg_stat_force_next_flush()")
            before = (await making.rows(ledger, blocks))[0].n
            assert before >= 6000
            async with ledger.write() as connection:
                await connection.run_sync(_to("0004"))
            await making.rows(ledger, "SELECT pg_stat_force_next_flush()")
            assert (await making.rows(ledger, blocks))[0].n == before
            async with ledger.write() as connection:
                await connection.run_sync(_to("down"))
            await migrate._prepared(ledger)  # cut off after it, and begun again weeks later
            await making.change(ledger, "SELECT setval('inbox_id_seq', 240000)")
            await migrate.upgrade(url)
            assert (next(high for _, high in await shape(ledger)) or 0) >= 240000 + 250000
        finally:
            await ledger.close()

"""In a long history PostgreSQL reads what a step needs: no whole table, and no partition that cannot have it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import event

from gateway.bench import growth
from retry_queue.ledger import claims, deliveries, events, inbox, lane, outbox, partitions, session, unsettled
from retry_queue.ledger import timers as ledger_timers
from tests.ledger import making, test_claim_plan

pytestmark = pytest.mark.postgres
PIECES, EACH = 10, 3000
SHOPS = [f"shop-{n}" for n in range(growth.SHOPS)]


@pytest.fixture
async def ledger(own_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[session.Ledger]:
    """Half a year in ten partitions and more, and the last hundred events to be planned."""
    for name, value in (("SMALLEST", EACH), ("LARGEST", EACH), ("STEP", 10)):
        monkeypatch.setattr(partitions, name, value)
    monkeypatch.setattr(growth, "CHUNK", EACH)
    opened = session.open_ledger(own_postgres_url, owner="w1", pool=2)
    await making.parted(opened, EACH)
    await growth.fill(opened, PIECES * EACH, PIECES * EACH)
    last = "SELECT id FROM inbox ORDER BY id DESC LIMIT 100"
    await making.change(opened, f"UPDATE inbox SET state = 'received', received_at = 0 WHERE id IN ({last})")
    await growth.vacuum(opened)
    yield opened
    await opened.close()


def pieces(nodes: list[dict[str, Any]], table: str) -> dict[str, int]:
    """Partition (or table) -> rows touched, of those that were looked into at all; fails where one was read whole."""
    touched: dict[str, int] = {}
    for node in nodes:
        name = node.get("Relation Name", "")
        if re.fullmatch(rf"{table}(_\w+)?", name) and node["Actual Loops"] and node["Node Type"] != "ModifyTable":
            lost = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows = int((node["Actual Rows"] + lost) * node["Actual Loops"])
            begun = name.endswith(("_spare", f"_{PIECES * EACH}", f"_{(PIECES + 1) * EACH}"))  # a page or none
            assert begun or "Seq Scan" not in node["Node Type"], f"{name} is read whole"
            if rows or not begun:
                touched[name] = touched.get(name, 0) + rows
    return touched


async def newest(ledger: session.Ledger, count: int) -> list[int]:
    return [row.id for row in await making.rows(ledger, f"SELECT id FROM events ORDER BY id DESC LIMIT {count}")]


async def test_claiming_and_loading_stay_in_the_newest_partitions(ledger: session.Ledger) -> None:
    ids = await newest(ledger, 100)
    batch = [(i, 1, 0, 0, 1, "x") for i in ids]
    found = pieces(await test_claim_plan.explained(ledger, claims._LOAD, batch, min(ids), max(ids)), "events")
    assert len(found) <= 2, found
    assert sum(found.values()) <= 110, found
    owed = [(row.id,) for row in await making.rows(ledger, "SELECT id FROM deliveries ORDER BY id DESC LIMIT 20")]
    nodes = await test_claim_plan.explained(ledger, outbox._LOAD, owed)
    for table in ("events", "canonicals", "records", "deliveries"):
        found = pieces(nodes, table)
        assert len(found) <= 2, found
        assert sum(found.values()) <= 30, found


async def test_looking_back_goes_neither_through_the_history_nor_through_a_burst(ledger: session.Ledger) -> None:
    """Earlier events of a record that are still to be planned cannot lie before the oldest one to be planned."""
    ids = await newest(ledger, 2000)
    for burst in (100, 2000):  # the second comes before anybody has looked at statistics again
        await making.change(ledger, "UPDATE inbox SET state = 'received' WHERE id >= :low", low=ids[burst - 1])
        rows = [(i, 1) for i in ids[:100]]
        nodes = await test_claim_plan.explained(ledger, inbox._BEHIND, rows, inbox.LOOK_BACK, ids[99], ids[0])
        for table, most in (("events", 250), ("inbox", 110)):
            found = pieces(nodes, table)
            assert len(found) <= 2, found
            assert sum(found.values()) <= most, found


async def test_a_timer_looks_up_what_came_for_its_record(ledger: session.Ledger) -> None:
    rows = [(1, i, i - i % 2) for i in await newest(ledger, 20)]
    found = pieces(await test_claim_plan.explained(ledger, ledger_timers._NEWS, rows), "events")
    assert sum(found.values()) <= 60, found


async def test_what_is_not_settled_is_found_without_reading_what_waits(ledger: session.Ledger) -> None:
    """Each planned batch asks; in a burst a hundred thousand deliveries wait for their turn."""
    await making.change(ledger, "UPDATE deliveries SET state = 'pending', settled_at = NULL")
    some = "SELECT id FROM deliveries ORDER BY id DESC LIMIT 5"
    await making.change(ledger, f"UPDATE deliveries SET state = 'retrying', attempt = 1 WHERE id IN ({some})")
    await making.change(
        ledger,
        "INSERT INTO lanes (lane, connection_key, priority, next_at, fence, seq)"
        " SELECT lane, min(connection_key), 1, 0, 0, 1 FROM deliveries GROUP BY lane ON CONFLICT DO NOTHING",
    )
    await making.change(ledger, "UPDATE lanes SET owner = 'w' WHERE lane IN (SELECT lane FROM lanes LIMIT 10)")
    await growth.vacuum(ledger)
    targets = [(row.key,) for row in await making.rows(ledger, "SELECT DISTINCT connection_key AS key FROM deliveries")]
    nodes = await test_claim_plan.explained(ledger, unsettled._BUSY, targets, lane.LEASE, lane.HALF_DONE)
    assert sum(pieces(nodes, "deliveries").values()) <= 100, nodes
    assert sum(pieces(nodes, "lanes").values()) <= 20, nodes


# --- what people ask ------------------------------------------------------------------------------


async def looked(ledger: session.Ledger, ask: Callable[[Any], Any]) -> list[list[dict[str, Any]]]:
    """The executed plans of every statement that ``ask`` sends."""
    said: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        said.append((statement, parameters))

    event.listen(ledger.engine.sync_engine, "before_cursor_execute", note)
    async with ledger.read() as connection:
        assert await ask(connection)
    event.remove(ledger.engine.sync_engine, "before_cursor_execute", note)
    plans = []
    for statement, parameters in said:
        async with ledger.read() as connection:
            told = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            found = told.scalar_one()
        queue = [(json.loads(found) if isinstance(found, str) else found)[0]["Plan"]]
        nodes = []
        while queue:
            nodes.append(queue.pop())
            queue += nodes[-1].get("Plans", [])
        plans.append(nodes)
    return plans


@pytest.mark.parametrize("word", ["N", "R"])
async def test_an_order_is_found_by_its_numbers(ledger: session.Ledger, word: str) -> None:
    """By the order number and by the sender's id: by indexes of every partition, a few rows each."""
    top = (await newest(ledger, 1))[0]
    for order in (top - top % 2 - 2 * EACH, top - top % 2 - 200):

        async def ask(connection: Any, text: str = f"{word}{order}") -> Any:
            named = await events.refs(connection, text, SHOPS, ["order"])
            found = await events.search(connection, limit=51, text=text, named=named)
            assert {one.record for one in found} == {f"R{text[1:]}"}
            return found

        for nodes in await looked(ledger, ask):
            for table in ("events", "records", "inbox"):
                assert sum(pieces(nodes, table).values()) <= 100, table


async def test_the_newest_events_are_listed_from_the_newest_partition(ledger: session.Ledger) -> None:
    for more in ({}, {"connection_key": "shop-3"}):

        async def ask(connection: Any, more: Any = more) -> Any:
            return await events.search(connection, limit=51, **more)

        for nodes in await looked(ledger, ask):
            found = pieces(nodes, "events")
            assert len(found) <= 3, found
            assert sum(found.values()) <= 51 * growth.SHOPS + 100


async def test_the_attempts_of_an_event_are_found_by_the_index(ledger: session.Ledger) -> None:
    (owed,) = await making.rows(ledger, "SELECT id FROM deliveries ORDER BY id LIMIT 1 OFFSET 7000")

    async def ask(connection: Any) -> Any:
        return (await deliveries.attempts(connection, [owed.id]))[owed.id]

    for nodes in await looked(ledger, ask):
        assert sum(pieces(nodes, "attempts").values()) <= 5


async def test_what_growth_measures_goes_the_whole_way(own_postgres_url: str) -> None:
    """Each event of ``./shuniu growth`` is planned and delivered, or it would measure less than it says."""
    opened = session.open_ledger(own_postgres_url, owner="bench", pool=2)
    try:
        old = await growth.fill(opened, 2000, 2000)
        found = await growth.measure(opened, os.getpid(), old, 2000, 200)
        assert found.wall_us > 0
        assert set(found.stages) == set(growth.STAGES)
        assert found.search_p95_ms >= found.search_p50_ms > 0
        states = await making.rows(opened, "SELECT DISTINCT state FROM deliveries UNION SELECT state FROM inbox")
        assert {row.state for row in states} == {"delivered", "planned"}
    finally:
        await opened.close()

"""PostgreSQL reads only what is due, however much history and however long a backlog there is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text

from retry_queue.ledger import claims, inbox, outbox, session
from tests.ledger import making

pytestmark = pytest.mark.postgres
FINISHED, DUE, WAITING = 20_000, 5_000, 5_000


@pytest.fixture
async def full(own_postgres_url: str) -> Any:
    """A ledger with a history, a backlog that is due, and as many that wait for their retry."""
    ledger = session.open_ledger(own_postgres_url, owner="w1", pool=2)
    fill = """
        INSERT INTO inbox (connection_key, dedupe, state, priority, next_at, received_at)
        SELECT 'shop', n::text, CASE WHEN n <= {0} THEN 'planned' ELSE 'received' END, 1,
               CASE WHEN n <= {1} THEN 1000 + n ELSE 1e12 END, 1000 + n FROM generate_series(1, {2}) n;
        INSERT INTO events (id, connection_key, source, message, entity, record, payload, received_at, trace)
        SELECT id, 'shop', 'hook', 'record', 'order', dedupe, repeat('x', 200), received_at, 't' FROM inbox;
        INSERT INTO canonicals (event_id, entity, mapping, body) SELECT id, 'order', 'm', repeat('x', 200) FROM inbox;
        INSERT INTO records (connection_key, entity, record, updated_at)
        SELECT 'shop', 'order', n::text, 0 FROM generate_series(1, 20000) n;
        INSERT INTO deliveries (event_id, route_key, connection_key, operation, position, kind, record_id, lane, state,
                                next_at, created_at)
        SELECT id, 'r', 'erp', 'put', 0, 'state', 1 + id % 1000, 'erp/order/' || id,
               CASE WHEN id <= {0} THEN 'delivered' ELSE 'pending' END, next_at, 1000 FROM inbox;
        INSERT INTO lanes (lane, connection_key, priority, next_at, fence, seq)
        SELECT lane, connection_key, 1, next_at, 0, 1 FROM deliveries WHERE state = 'pending';
    """
    async with ledger.engine.begin() as connection:
        for statement in fill.format(FINISHED, FINISHED + DUE, FINISHED + DUE + WAITING).split(";"):
            if statement.strip():
                await connection.exec_driver_sql(statement)
    async with ledger.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    yield ledger
    await ledger.close()


async def explained(ledger: session.Ledger, statement: Any, rows: list[Any], *scalars: Any) -> list[dict[str, Any]]:
    """Every node of the executed plan of one of the ledger's own statements."""
    sql = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement._text["postgresql"]
    batch = tuple(list(column) for column in zip(*rows, strict=True)) if rows else ()
    async with ledger.engine.connect() as connection:
        found = (await connection.exec_driver_sql(sql, (*batch, *scalars))).scalar_one()
        await connection.rollback()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    nodes: list[dict[str, Any]] = []
    queue = [plan]
    while queue:
        node = queue.pop()
        nodes.append(node)
        queue += node.get("Plans", [])
    return nodes


def read(nodes: list[dict[str, Any]], table: str) -> dict[str, int]:
    """How each index (or the whole table, as '') was read: rows touched, also those thrown away."""
    touched: dict[str, int] = {}
    for node in nodes:
        if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable":
            lost = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            name = node.get("Index Name", "")
            touched[name] = touched.get(name, 0) + int((node["Actual Rows"] + lost) * node["Actual Loops"])
    return touched


async def test_the_inbox_claim_reads_what_it_takes(full: session.Ledger) -> None:
    nodes = await explained(full, claims._ANY, [("",)], 100, "w1", 60.0, 0, 1)
    touched = read(nodes, "inbox")
    assert "" not in touched, touched
    assert touched["ix_inbox_due"] <= 110
    assert sum(touched.values()) <= 250, touched


async def test_shares_are_found_without_reading_the_burst(full: session.Ledger) -> None:
    """Which connections have something due, and the oldest of each: not by way of what one of them has waiting."""
    await making.append(full, *(making.event(f"o{n}", key=f"other{n % 5}") for n in range(200)))
    touched = read(await explained(full, claims._APART["postgresql"], [("shop",)], 20, "w1", 60.0), "inbox")
    assert "" not in touched, touched
    assert sum(touched.values()) <= 800, touched


async def test_a_look_at_what_others_have_does_not_walk_over_the_crowd(
    full: session.Ledger, own_postgres_url: str
) -> None:
    """The wound: forty looks a second of every worker read all that was planned of a burst and not vacuumed yet."""
    await making.append(full, *(making.event(f"o{n}", key=f"other{n % 5}") for n in range(50)))
    steps = session.open_ledger(own_postgres_url, owner="w2", pool=1, steps=True)
    try:
        for ledger in (full, steps):
            async with ledger.write() as connection:  # as planning does it, with nobody to tidy up meanwhile
                await connection.exec_driver_sql(
                    "UPDATE inbox SET state = 'planned' WHERE id IN"
                    " (SELECT id FROM inbox WHERE connection_key = 'shop' AND state = 'received' LIMIT 4000)"
                )
            for apart, waiting in ((["shop"], 1), (["shop", *(f"other{n}" for n in range(5))], 0)):
                nodes = await explained(ledger, claims._WAITING["postgresql"], [(key,) for key in apart])
                assert nodes[0]["Actual Rows"] == waiting
                assert nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"] <= 80
                assert "" not in read(nodes, "inbox")
    finally:
        await steps.close()


async def test_the_lane_claim_reads_what_it_takes(full: session.Ledger) -> None:
    touched = read(await explained(full, outbox._CLAIM, [], "erp", 64, "w1", 60.0, 0, 1, 0), "lanes")
    assert "" not in touched, touched
    assert touched["ix_lanes_due"] <= 70
    assert sum(touched.values()) <= 200, touched


async def test_what_waits_is_not_read_when_nothing_is_due(full: session.Ledger) -> None:
    """A target that is down for hours has all its lanes waiting; asking for work must stay cheap."""
    await making.change(full, "UPDATE lanes SET next_at = 1e12")
    await making.change(full, "UPDATE inbox SET next_at = 1e12 WHERE state = 'received'")
    async with full.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    lanes = read(await explained(full, outbox._CLAIM, [], "erp", 64, "w1", 60.0, 0, 1, 0), "lanes")
    assert sum(lanes.values()) == 0, lanes
    received = read(await explained(full, claims._ANY, [("",)], 100, "w1", 60.0, 0, 1), "inbox")
    assert sum(received.values()) == 0, received


async def test_the_queue_of_a_lane_is_found_without_its_history(full: session.Ledger) -> None:
    names = [(f"erp/order/{n}",) for n in range(FINISHED + 1, FINISHED + 65)]
    nodes = await explained(full, outbox._QUEUE["postgresql"], names)
    touched = read(nodes, "deliveries")
    assert "" not in touched, touched
    assert touched.get("ix_deliveries_lane", 0) <= 70, touched


async def test_settling_goes_by_the_keys(full: session.Ledger) -> None:
    rows = [(n, 0, "delivered", None, None, 0.0, 0, None, 1) for n in range(FINISHED + 1, FINISHED + 65)]
    touched = read(await explained(full, outbox._SETTLE, rows), "deliveries")
    assert "" not in touched, touched
    frees = [(f"erp/order/{n}", 0, 1, 0.0) for n in range(FINISHED + 1, FINISHED + 65)]
    touched = read(await explained(full, outbox._FREE, frees), "lanes")
    assert "" not in touched, touched


async def test_a_backlog_that_nobody_counted_is_not_read_as_a_whole(full: session.Ledger) -> None:
    """Statistics of a calm hour say that nothing is open: then what is open must not be read for each claim and settle.

    Each group of sixty read all that was open, and each batch of events all that had come from their connection.
    """
    await making.change(full, "UPDATE deliveries SET state = 'delivered' WHERE state = 'pending'")
    await making.change(full, "UPDATE inbox SET state = 'planned' WHERE state = 'received'")
    async with full.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
    await making.change(full, f"UPDATE deliveries SET state = 'in_flight' WHERE id > {FINISHED}")
    await making.change(full, f"UPDATE inbox SET state = 'received' WHERE id > {FINISHED}")
    numbers = range(FINISHED + 1, FINISHED + 61)
    names = [(f"erp/order/{n}",) for n in numbers]
    queue = read(await explained(full, outbox._QUEUE["postgresql"], names), "deliveries")
    assert sum(queue.values()) <= 100, queue
    settled = [(n, 0, "delivered", None, None, 0.0, 0, None, 1) for n in numbers]
    deliveries = read(await explained(full, outbox._SETTLE, settled), "deliveries")
    assert sum(deliveries.values()) <= 100, deliveries
    planned = [(n, 0, "planned", None, None, 0.0, 0) for n in numbers]
    events = read(await explained(full, inbox._SETTLE, planned), "inbox")
    assert sum(events.values()) <= 100, events
    behind = read(
        await explained(full, inbox._BEHIND, [(n, 1) for n in numbers], 16, numbers[0], numbers[-1]), "events"
    )
    assert sum(behind.values()) <= 300, behind


async def test_the_parts_that_are_linked_are_found_by_their_link(full: session.Ledger) -> None:
    from retry_queue.ledger import records

    nodes = await explained(full, records._GROUP, [(n,) for n in range(1, 20)])
    assert "" not in read(nodes, "records")


async def test_taking_a_group_in_compares_no_row_with_every_other(own_postgres_url: str) -> None:
    ledger = session.open_ledger(own_postgres_url, owner="w1", pool=1, steps=True)
    rows = [("shop", f"d{n}", 1, None, "hook", "record", "order", f"T{n}", "{}", None, "t", 0) for n in range(500)]
    nodes = await explained(ledger, inbox._TAKE, rows, 3)
    await ledger.close()
    assert not [node for node in nodes if node["Node Type"] in ("Nested Loop", "Hash Join", "Merge Join")]
    scans = [node for node in nodes if node.get("CTE Name") == "given"]
    assert [node["Actual Loops"] for node in scans] == [1, 1]
    assert [node for node in nodes if node.get("CTE Name") == "made" and node["Actual Loops"] > 1] == []

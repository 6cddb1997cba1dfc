"""Chains: the steps of a route go one after the other, with one trace and one balance; nothing is done twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from retry_queue import replay
from retry_queue.ledger import configuration, deliveries, session
from tests.ledger import hub as hubs
from tests.ledger import making, target


@pytest.fixture
async def systems(database_url: str, ledger: session.Ledger) -> AsyncIterator[dict[str, target.Target]]:
    """erp and crm first, side by side; then the log; then the shop's archive."""
    async with hubs.targets("erp", "crm", "log", "archive") as those:
        await hubs.source(ledger)
        for name, one in those.items():
            await hubs.sink(ledger, one.url, name)
        to = [{"connection": name, "operation": "record.put"} for name in ("erp", "crm")]
        then = [{"to": [{"connection": name, "operation": "record.put"}]} for name in ("log", "archive")]
        await hubs.route(ledger, to=to, then=then)
        yield those


def put(those: dict[str, target.Target]) -> dict[str, int]:
    return {name: len(one.calls) for name, one in those.items()}


async def states(worker: hubs.Worker) -> dict[str, tuple[str, str | None]]:
    return {row.connection_key: (row.state, row.reason) for row in await worker.deliveries()}


async def test_each_step_goes_when_all_before_it_have_arrived(
    database_url: str, systems: dict[str, target.Target]
) -> None:
    systems["crm"].gate.clear()
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))

        async def first() -> bool:
            return put(systems)["erp"] == 1 and systems["crm"].waiting == 1

        await making.until(first)
        assert put(systems)["log"] == 0, "the CRM has not answered yet"
        assert (await worker.balance()).in_flight == 1
        systems["crm"].gate.set()
        assert (await worker.settled()).delivered == 1
        assert put(systems) == {"erp": 1, "crm": 1, "log": 1, "archive": 1}
        at = {name: one.calls[0].at for name, one in systems.items()}
        assert max(at["erp"], at["crm"]) < at["log"] < at["archive"]
        rows = await making.rows(
            worker.ledger,
            "SELECT DISTINCT e.trace FROM deliveries d JOIN events e ON e.id = d.event_id",
        )
        assert len(rows) == 1


async def test_many_chains_side_by_side_all_end(database_url: str, systems: dict[str, target.Target]) -> None:
    async with hubs.running(database_url) as one, hubs.running(database_url) as two:
        for start in range(0, 40, 20):
            worker = one if start else two
            await worker.push(*(hubs.order(f"T{n}") for n in range(start, start + 20)))
        assert (await one.settled()).delivered == 40
        assert put(systems) == dict.fromkeys(systems, 40)


async def test_a_failed_step_stops_what_follows_and_is_resumed_alone(
    database_url: str, systems: dict[str, target.Target]
) -> None:
    systems["log"].next.append(target.Answer(422, b'{"code":"E7","message":"no"}'))
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        found = await worker.settled()
        assert (found.dead, found.delivered, found.in_flight) == (1, 0, 0)
        seen = await states(worker)
        assert seen["log"][0] == "dead"
        assert seen["archive"] == ("skipped", "earlier_step")
        (event,) = await making.rows(worker.ledger, "SELECT id FROM inbox")
        async with worker.ledger.write() as connection:
            await replay.event(connection, worker.ledger.slot, event.id)
        worker.pumps.wake()
        assert (await worker.settled()).delivered == 1
        assert put(systems) == {"erp": 1, "crm": 1, "log": 2, "archive": 1}, "earlier steps are not repeated"


async def test_a_step_skipped_by_a_person_lets_the_next_go(
    database_url: str, systems: dict[str, target.Target]
) -> None:
    systems["log"].next.append(target.Answer(422, b'{"code":"E7","message":"no"}'))
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1"))
        await worker.settled()
        (dead,) = [row for row in await worker.deliveries() if row.state == "dead"]
        async with worker.ledger.write() as connection:
            await deliveries.skip(connection, [dead.id], replay.BY_PERSON)
        worker.pumps.wake()
        assert (await worker.settled()).delivered == 1
        assert put(systems) == {"erp": 1, "crm": 1, "log": 1, "archive": 1}


MAPPING = """
apiVersion: shuniu/mapping/v1
connector: http
entity: order
rules:
  - {{native: id, canonical: id, required: true}}
  - {{native: total, canonical: total, codec: money, unit: yuan, as: string, places: 2}}
  - {{native: status, canonical: status, way: from}}
  - {{native: {name}, canonical: status, way: to}}
"""


async def test_what_is_under_way_keeps_the_mapping_it_was_planned_with(
    database_url: str, ledger: session.Ledger, erp: target.Target, quick: Any
) -> None:
    async def publish(name: str) -> None:
        async with ledger.write() as connection:
            await configuration.publish_mapping(connection, "http", "order", MAPPING.format(name=name), "test", 1.0)
            await configuration.touch(connection)

    await publish("status")
    await erp.down()
    async with hubs.running(database_url) as worker:
        await worker.push(hubs.order("T1", status="paid"))

        async def tried() -> bool:
            return any(row.failures for row in await worker.deliveries())

        await making.until(tried)
        (row,) = await worker.deliveries()
        assert row.mapping == "http/order@1"
        await publish("zustand")
        await worker.hub.reload()
        await erp.up()
        await worker.settled()
        assert erp.records["T1"] == {"id": "T1", "total": "188.00", "status": "paid"}, "planned before the new version"
        await publish("status")
        await worker.hub.reload()
        await worker.push(hubs.order("T2"))
        await worker.settled()
        assert [row.mapping for row in await worker.deliveries()] == ["http/order@1", "http/order@3"]

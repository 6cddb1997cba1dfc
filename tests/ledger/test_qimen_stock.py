"""A warehouse's stock by polling: an answer of many rows is one record for each SKU and warehouse, batches added up."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import orjson

from connectors.qimen import simulator
from connectors.simulator import engine
from retry_queue import poll
from retry_queue.ledger import connections
from retry_queue.ledger.states import ConnectionState
from tests.conformance import panel, rehearsal
from tests.ledger import hub, making

PACE = 0.0003
"""Half an hour becomes 0.54 s."""


async def levels(worker: hub.Worker) -> dict[str, Decimal]:
    """id -> what may be sold, of every record there is."""
    rows = await making.rows(worker.ledger, "SELECT canonical FROM records WHERE connection_key = 'wms'")
    told = [orjson.loads(row.canonical) for row in rows]
    return {one["id"]: Decimal(one["available"]) for one in told}


async def test_batches_on_several_pages_are_one_level_per_warehouse(sqlite_url: str) -> None:
    async with engine.serve(["qimen"], time_scale=0.002) as url, hub.running(sqlite_url) as worker:
        site = url.simulators["qimen"]
        assert isinstance(site, simulator.Simulator)
        site.configure({"every_kind": True})
        # The first page is full of others: the batches of a SKU are told on the second one.
        site.house.stock = {"TEA-01": 40} | {f"FILL-{number}": 1 for number in range(110)}
        for house, kind, batch, count in (
            ("WH01", "ZP", "B1", 2),
            ("WH01", "ZP", "B2", 3),
            ("WH01", "CC", "B3", 9),
            ("WH02", "ZP", "B1", 7),
        ):
            site.house.batches["TEA-01", house, kind, batch] = count
        site.house.batches["CUP-01", "WH02", "CC", "B1"] = 5
        config, secrets = rehearsal.fitting("qimen", str(url), site)
        async with worker.ledger.write() as db:
            await connections.put(
                db, hub.SEALER, "wms", "qimen", {**config, "read_stock": "yes"}, secrets, ConnectionState.ENABLED, 0.0
            )
        await worker.hub.reload()
        poller = poll.Poller(worker.ledger, worker.hub.current, worker.hub.calls, worker.hub.appender, PACE)
        halt = asyncio.Event()
        task = asyncio.create_task(poller.run(halt))
        try:
            fill = {f"FILL-{number}@WH01": Decimal(1) for number in range(110)}

            async def all_known() -> bool:
                return await levels(worker) == fill | {"TEA-01@WH01": Decimal(45), "TEA-01@WH02": Decimal(7)}

            await making.until(all_known, 30, "one record for each SKU and warehouse, and none of what is damaged")
            await panel.control("qimen", url, "/batch", item="TEA-01", batch="B2", quantity=1)
            await panel.control("qimen", url, "/batch", item="TEA-01", warehouse="WH02", batch="B9", quantity=1)

            async def noticed() -> bool:
                now = await levels(worker)
                return (now["TEA-01@WH01"], now["TEA-01@WH02"]) == (43, 8)

            await making.until(noticed, 30, "a change of one batch is a new sum")
            parked = await making.rows(worker.ledger, "SELECT count(*) AS n FROM inbox WHERE state = 'parked'")
            assert parked[0].n == 0
        finally:
            halt.set()
            await asyncio.wait_for(task, 15)

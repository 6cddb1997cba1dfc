"""Stock compared and mended: one system names a level by SKU and warehouse, another by SKU, a list by material."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.jdy import simulator as jdy
from connectors.jushuitan import simulator as jushuitan
from retry_queue.ledger import configuration, connections, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import schedule, sides
from retry_queue.sync import site as sites
from tests.conformance import panel, rehearsal
from tests.ledger import hub as hubs
from tests.ledger import pair

SKU = "SKU-1001"
HERE = 'inventory.warehouse == "CK001"'


async def join(ledger: session.Ledger, key: str, stage: rehearsal.Stage) -> None:
    opened = stage.connection(None)
    async with ledger.write() as db:
        given = dict(opened.config), dict(opened.secrets)
        await connections.put(db, hubs.SEALER, key, stage.id, *given, ConnectionState.ENABLED, 0.0)


@contextlib.asynccontextmanager
async def houses(url: str) -> AsyncIterator[tuple[pair.Pair, jdy.Simulator, jushuitan.Simulator]]:
    """An ERP with two warehouses on the left, and on the right an OMS that keeps what is in the first."""
    async with rehearsal.stage("jdy") as left, rehearsal.stage("jushuitan") as right, hubs.running(url) as worker:
        erp, oms = left.simulator, right.simulator
        assert isinstance(erp, jdy.Simulator)
        assert isinstance(oms, jushuitan.Simulator)
        await join(worker.ledger, "left", left)
        await join(worker.ledger, "right", right)
        spec = {
            "from": {"connection": "left", "entity": "inventory"}, "when": HERE,
            "to": [{"connection": "right", "operation": "stock.take"}],
        }  # fmt: skip
        async with worker.ledger.write() as db:
            await configuration.put_route(db, "stock", spec, True)
            await configuration.touch(db)
        await worker.hub.reload()
        two: Any = pair.Pair(None, None, {}, worker, pair.reconciler(worker))  # type: ignore[arg-type]
        yield two, erp, oms


async def test_a_repair_of_stock_read_its_row_by_half_of_its_name(sqlite_url: str) -> None:
    """It found no level, because the list names rows by material; and would have found that of another warehouse."""
    async with houses(sqlite_url) as (two, erp, oms):
        level = erp.books.shelves
        other = {(SKU, "CK002", "C-01"): Decimal(7)}
        erp.books.shelves = other | {place: count for place, count in level.items() if place[1] == "CK001"}
        codes = {place[0] for place in erp.books.shelves}
        for code in list(oms.erp.stock):
            if code not in codes:
                del oms.erp.stock[code]
        kept = oms.erp.stock[SKU]
        asked = {"entity": "inventory", "fields": ["available"], "when": HERE}
        for wrong in (3, 5):  # the second time they are linked, and what was written there once is to be written again
            kept["qty"] = wrong
            row = await two.compared(await two.ask(**asked))
            assert row.state == "done", row.detail
            (found,) = await two.findings(row.id)
            assert (found.kind, found.left_record, found.right_record) == ("different", f"{SKU}@CK001", SKU)
            assert found.fields == [{"path": "available", "left": "120", "right": str(wrong)}]
            assert await two.repaired(row.id) == {"different": {"repaired": 1}}
            assert two.worker is not None
            await pair.quiet(two.worker)
            assert (kept["qty"], oms.erp.stock["SKU-1002"]["qty"]) == (120, 120)
            again = await two.compared(await two.ask(**asked))
            assert (again.state, await two.findings(again.id)) == ("done", [])


@pytest.mark.parametrize("edition", ["qjb", "qyb"])
async def test_each_edition_is_compared_by_its_own_list(edition: str) -> None:
    """The first edition's list was asked of all, and a level by an operation that knows numbers of a queue only."""
    async with rehearsal.stage("wangdian") as stage:
        plan = stage.plan.connections
        opened = stage.connection(next(key for key, one in plan.items() if one.config["edition"] == edition))
        live = sites.Live("wdt", "wangdian", ConnectionState.ENABLED, opened, None)
        site = sites.Site(1, {"wdt": live}, [], {}, {}, {})
        side = sides.find(site, schedule.Side(connection="wdt"), "inventory")
        assert (side.lists, side.gets) == (f"{edition}.stock.list", None)
        for code in ("TEA-01", "CUP-01"):
            await panel.control(stage.id, stage.url, "/stock", spec_no=code, change=5)
        now = time.time()
        seen = [one async for page in side.pages(stage.caller, (now - 600, now + 5)) for one in page]
        assert sorted(one.record.partition("@")[0] for one in seen) == ["CUP-01", "TEA-01"]
        for one in seen:
            row = await side.row(stage.caller, one.record, one.at)
            assert row["spec_no"] == one.record.partition("@")[0]
            assert one.record != str(row["rec_id"]), "the list's own id is another"

"""Reconciliation where a list only hints: shop orders against the ERP's sales orders, through their detail calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors.simulator import engine, server
from gateway.api import explaining
from retry_queue import reconcile
from retry_queue.ledger import configuration, connections, events, findings, reconciliations, session
from retry_queue.ledger.states import ConnectionState
from tests.conformance import rehearsal
from tests.ledger import hub as hubs
from tests.ledger import making, pair

ORDERS = 12


@dataclass
class Shop:
    """A shop and an ERP, a worker between them, and who compares them."""

    worker: hubs.Worker
    reconciler: reconcile.Reconciler
    simulators: dict[str, Any]
    tids: list[str]

    @property
    def books(self) -> Any:
        return self.simulators["kingdee"].books.documents["SAL_SaleOrder"]

    async def compared(self, **spec: Any) -> tuple[reconciliations.Row, list[findings.Found]]:
        now = await self.worker.ledger.now()
        given = {"left": "shop", "right": "erp", "entity": "order", "grace": 0, "when": 'order.status == "paid"'} | spec
        wanted = reconciliations.New("shop", "erp", "order", (now - 7200, now + 60), given, by="tester")
        async with self.worker.ledger.write() as db:
            number = await reconciliations.create(db, wanted, now)
        await self.reconciler.step()
        await self.reconciler.idle()
        async with self.worker.ledger.read() as db:
            row = await reconciliations.get(db, number)
            found = await findings.search(db, findings.Filter(number), limit=1000)
        assert row is not None
        assert row.state == "done", row.detail
        return row, found


@pytest.fixture
async def shop(sqlite_url: str) -> AsyncIterator[Shop]:
    """Paid orders that went through to the ERP, as the story has it."""
    simulators = engine.create(["taobao", "kingdee"])
    async with server.running(engine.application(simulators)) as url:
        async with session.opened(sqlite_url, owner="setup") as ledger, ledger.write() as db:
            for key, connector in (("shop", "taobao"), ("erp", "kingdee")):
                config, secrets = rehearsal.fitting(connector, url, simulators[connector])
                await connections.put(db, hubs.SEALER, key, connector, config, secrets, ConnectionState.ENABLED, 0.0)
            spec = {
                "from": {"connection": "shop", "entity": "order"},
                "when": 'order.status == "paid" && !order.hold',
                "to": [{"connection": "erp", "operation": "sales_order.save"}],
            }
            await configuration.put_route(db, "order-to-erp", spec, True)
            await configuration.touch(db)
        async with httpx.AsyncClient(base_url=url) as person:
            made = (await person.post("/_sim/taobao/orders", json={"count": ORDERS})).json()["orders"]
            tids = [str(one["tid"]) for one in made]
            async with hubs.running(sqlite_url) as worker:
                yield Shop(worker, pair.reconciler(worker), simulators, tids)


async def test_orders_are_compared_through_their_details(shop: Shop) -> None:
    """Nothing went over yet, then everything did, then people over there changed what they should not."""
    row, found = await shop.compared()
    assert [one.kind for one in found] == ["missing"] * ORDERS
    assert {one.number for one in found} == set(shop.tids)
    async with shop.worker.ledger.write() as db:
        assert await findings.ask(db, findings.Filter(row.id)) == ORDERS

    async def mended() -> bool:
        await shop.reconciler.step()
        async with shop.worker.ledger.read() as db:
            states = (await findings.counts(db, [row.id]))[row.id]["missing"]
        return states == {"repaired": ORDERS}

    await making.until(mended, 60.0, "every order is in the ERP")
    assert len(shop.books) == ORDERS
    row, found = await shop.compared()
    assert (found, row.counts["matched"]) == ([], ORDERS)
    async with shop.worker.ledger.read() as db:
        planned = await making.rows(shop.worker.ledger, "SELECT min(id) AS id FROM inbox WHERE state = 'planned'")
        story = await events.get(db, planned[0].id)
    assert story is not None
    assert len(story.payload) < 300, "the message only named the order"
    told = explaining.source(shop.worker.hub.site, story, reveal=True)
    assert told is not None
    values = {one.target: one.value for one in told.fields}
    assert values["number"] in shop.tids, "what was read for it is explained too"
    assert values["total"] is not None
    numbers = sorted(shop.books)
    shop.books[numbers[0]].rows["FSaleOrderEntry"][0]["FQty"] = "77"
    shop.books[numbers[1]].header["FLinkPhone"] = "13000000000"
    del shop.books[numbers[2]]
    shop.books[numbers[3]].header["FLinkMan"] = shop.books[numbers[3]].header["FLinkMan"][:1] + "*"
    row, found = await shop.compared()
    assert sorted((one.kind, one.number) for one in found) == [
        ("different", numbers[0]),
        ("different", numbers[1]),
        ("missing", numbers[2]),
    ]
    apart = {one.number: [each["path"].split("[")[0] for each in one.fields] for one in found}
    assert apart[numbers[0]][0] == "lines"
    assert apart[numbers[1]] == ["receiver.phone"]

"""What vanishes from a whole listing of stock is told as nothing, once it surely is: the shops sold it on for ever."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.core import decode, model
from connectors.kingdee.simulated import shipping
from connectors.simulator import faults
from gateway import cli
from retry_queue import append, poll, whole
from retry_queue.ledger import configuration, connections, cursors, listed, session
from retry_queue.ledger.states import ConnectionState
from retry_queue.sync import site as sites
from tests.conformance import rehearsal
from tests.ledger import hub, making, target

PACE = 0.0002
"""Half an hour becomes 0.36 s."""
SKU, OTHER = "SKU-1001", "SKU-1002"


def shuniu(*words: str) -> int:
    """The exit code of a command."""
    return CliRunner().invoke(cli.build(words[0]), list(words)).exit_code


@dataclasses.dataclass
class Scene:
    """An ERP's simulator, its connection polled by a real worker, and a shop that takes stock."""

    erp: str
    simulator: Any
    worker: hub.Worker
    shop: target.Target

    def told(self, record: str) -> list[Decimal]:
        """What the shop was told to have of a record, in order."""
        return [Decimal(one["available"]) for one in self.shop.order if one["id"] == record]

    async def until(self, record: str, wanted: int) -> None:
        async def check() -> bool:
            return self.told(record)[-1:] == [wanted]

        await making.until(check, 20, f"{wanted} of {record} in the shop")

    async def full(self) -> None:
        """Waits until the whole stock is in the shop."""
        await making.until(lambda: self.shop.records, 20, "stock in the shop")
        await self.passed(1)
        await self.worker.settled()
        assert len(self.shop.records) > 10

    async def cursor(self) -> Any:
        async with self.worker.ledger.read() as db:
            return next((one for one in await cursors.all_rows(db) if one.source == "stock"), None)

    async def passed(self, times: int = 2) -> None:
        """Waits for so many more listings, well or badly ended."""
        fence = (await self.cursor()).fence

        async def check() -> bool:
            row = await self.cursor()
            return bool(row.owner is None and row.fence > fence + times)

        await making.until(check, 20, "more listings")

    async def refused(self) -> str:
        """The words of a listing that is not believed."""

        async def check() -> str | None:
            row = await self.cursor()
            return row.last_error if row.failures else None

        return str(await making.until(check, 20, "a listing that is refused"))

    async def hurry(self) -> None:
        """As if the time until the next try had gone by."""
        async with self.worker.ledger.write() as db:
            await cursors.hurry(db, self.erp)


def only_stock(site: sites.Site, erp: str) -> sites.Site:
    """The site as a poller sees it that reads nothing else: the ERP's limit of calls is for the stock."""
    live = site.live[erp]
    assert live.opened is not None
    spec = live.opened.declaration
    narrow = spec.model_copy(update={"events": {"stock": spec.events["stock"]}})
    opened = model.Connection(erp, narrow, live.opened.config, live.opened.secrets)
    return sites.Site(1, {erp: dataclasses.replace(live, opened=opened)}, [], {}, {}, {})


@contextlib.asynccontextmanager
async def scene(erp: str, url: str) -> AsyncIterator[Scene]:
    async with rehearsal.stage(erp) as stage, hub.targets("shop") as those, hub.running(url) as worker:
        opened = stage.connection(None, read_stock="yes")
        async with worker.ledger.write() as db:
            given = dict(opened.config), dict(opened.secrets)
            await connections.put(db, hub.SEALER, erp, erp, *given, ConnectionState.ENABLED, 0.0)
        await hub.sink(worker.ledger, those["shop"].url, "shop")
        to = [{"connection": "shop", "operation": "record.put"}]
        spec = {"from": {"connection": erp, "entity": "inventory"}, "to": to}
        async with worker.ledger.write() as db:
            await configuration.put_route(db, "stock", spec, True)
            await configuration.touch(db)
        await worker.hub.reload()
        site = only_stock(worker.hub.current(), erp)
        poller = poll.Poller(worker.ledger, lambda: site, worker.hub.calls, worker.hub.appender, PACE)
        halt = asyncio.Event()
        task = asyncio.create_task(poller.run(halt))
        try:
            yield Scene(erp, stage.simulator, worker, those["shop"])
        finally:
            halt.set()
            await asyncio.wait_for(task, 15)


@pytest.fixture(autouse=True)
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "LOOK", 0.05 / PACE)


Change = Callable[[Any, bool], None]


def jdy(site: Any, there: bool) -> None:
    for place in [one for one in site.books.shelves if one[0] == SKU]:
        del site.books.shelves[place]
    if there:
        site.books.put(SKU, "CK001", "A-01", Decimal(120))


def kingdee(site: Any, there: bool) -> None:
    kept = site.books.documents["STK_Inventory"]
    for key in [one for one in kept if one.startswith(f"{SKU}@")]:
        del kept[key]
    if there:
        shipping.stock(site.books, SKU, Decimal(120), "L1")


def u8(site: Any, there: bool) -> None:
    site.site.stock.pop(SKU, None)
    if there:
        site.site.stock[SKU] = Decimal(120)


def yonyou(site: Any, there: bool) -> None:
    mine = [one for one in site.books.stock if one["product_code"] == SKU]
    other = next(one for one in site.books.stock if one["product_code"] == OTHER)
    site.books.stock[:] = [one for one in site.books.stock if one not in mine]
    if there:
        site.books.stock.append({**other, "product_code": SKU, "productsku_code": SKU, "currentqty": 120,
                                 "availableqty": 120})  # fmt: skip


@pytest.mark.parametrize("vanish", [jdy, kingdee, u8, yonyou], ids=lambda one: str(one.__name__))
async def test_a_sku_that_vanishes_from_the_list_was_sold_for_ever(sqlite_url: str, vanish: Change) -> None:
    """Its row is gone because it is at zero, and the shop kept the last quantity. It comes back, and goes once more."""
    async with scene(vanish.__name__, sqlite_url) as one:
        await one.full()
        record = next(id for id in one.shop.records if id.startswith(f"{SKU}@"))
        kept = {id: body["available"] for id, body in one.shop.records.items() if id != record}
        turns = ((False, 0), (True, 120), (False, 0)) if vanish is jdy else ((False, 0),)
        for there, wanted in turns:
            vanish(one.simulator, there)
            await one.until(record, wanted)
        await one.passed()
        assert {id: body["available"] for id, body in one.shop.records.items() if id != record} == kept
        balance = await one.worker.settled()
        assert (balance.dead, balance.difference) == (0, 0)


async def test_a_list_that_broke_off_or_came_back_empty_emptied_no_shop(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is taken for gone because a call failed, rows moved between pages, or nothing may be seen any more."""
    monkeypatch.setenv("SHUNIU_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("SHUNIU_SECRET_KEY", hub.MASTER)
    async with scene("jdy", sqlite_url) as one:
        await one.full()
        books, before = one.simulator.books, dict(one.simulator.books.shelves)
        record = f"{SKU}@CK001"

        one.simulator.faults = faults.Faults(error_rate=1.0, only=["*inventory*"])
        jdy(one.simulator, False)
        await one.refused()
        assert 0 not in one.told(record), "who could not be asked has said nothing"
        books.shelves |= before
        one.simulator.faults = faults.Faults()
        await one.hurry()
        await one.passed()

        rows, turns = books.levels, itertools.count()
        books.levels = lambda: [row for row in rows() if row["material_number"] != SKU or next(turns) % 2]
        await one.passed(4)
        assert next(turns) > 4
        assert 0 not in one.told(record), "what one reading missed and the next one has is there"
        del books.levels
        await one.passed()

        books.shelves.clear()
        said = await one.refused()
        assert "believe jdy" in said
        await one.hurry()
        await one.passed(1)
        assert not any(Decimal(body["available"]) == 0 for body in one.shop.order), "an empty list empties no shop"
        books.shelves |= {place: count for place, count in before.items() if place[0] != SKU}
        await one.hurry()
        await one.until(record, 0)
        assert (await one.cursor()).last_error is None

        books.shelves.clear()
        await one.refused()
        assert await asyncio.to_thread(shuniu, "believe", "jdy") == 0
        await making.until(lambda: all(Decimal(body["available"]) == 0 for body in one.shop.records.values()), 20)
        books.shelves |= before
        await one.until(record, 120)
        books.shelves.clear()
        await one.refused()
        assert await asyncio.to_thread(shuniu, "believe", "nobody") == 1, "it was said of one list only"
        assert (await one.worker.settled()).difference == 0


async def test_what_a_simulator_listed_is_never_missed_in_the_real_list(ledger: session.Ledger) -> None:
    async with ledger.write() as db:
        await listed.put(db, "erp", "stock", [("a", "{}"), ("b", "{}")])
        await listed.put(db, "other", "stock", [("a", "{}")])
        await listed.aside(db, "erp")
        await listed.put(db, "erp", "stock", [("x", "{}")])
        assert await listed.names(db, "erp", "stock", "") == ["x"]
        await listed.back(db, "erp")
        assert await listed.names(db, "erp", "stock", "") == ["a", "b"]
        await listed.drop(db, "erp", "stock", ["a"])
        assert await listed.rows(db, "erp", "stock", ["a", "b"]) == ["{}"]
        assert (await listed.count(db, "erp", "stock"), await listed.count(db, "other", "stock")) == (1, 1)
        await listed.forget(db, "erp", "stock")
        assert await listed.names(db, "other", "stock", "") == ["a"]


async def test_another_warehouse_is_another_list() -> None:
    """What is not asked for any more is not empty."""
    async with rehearsal.stage("kingdee") as stage:

        def asked(**config: Any) -> str:
            opened = stage.connection(None, read_stock="yes", **config)
            return whole.Listing(None, opened, "stock").asked({})  # type: ignore[arg-type]

        assert asked(usable_status="KCZT02_SYS") != asked()
        assert asked(return_stock="CK009") == asked(), "what it does not ask by is nothing to it"


async def test_a_warehouse_that_has_nothing_left_answers_without_the_item(sqlite_url: str) -> None:
    """Its hint found no record, which was taken for nothing to tell: the shop sold the last level on."""
    async with rehearsal.stage("qimen") as stage, hub.targets("shop") as those, hub.running(sqlite_url) as worker:
        found = stage.connection("main")
        opened = model.Connection("wms", found.declaration, found.config, found.secrets)
        async with worker.ledger.write() as db:
            given = dict(opened.config), dict(opened.secrets)
            await connections.put(db, hub.SEALER, "wms", "qimen", *given, ConnectionState.ENABLED, 0.0)
        await hub.sink(worker.ledger, those["shop"].url, "shop")
        to = [{"connection": "shop", "operation": "record.put"}]
        spec = {"from": {"connection": "wms", "entity": "inventory"}, "to": to}
        async with worker.ledger.write() as db:
            await configuration.put_route(db, "stock", spec, True)
            await configuration.touch(db)
        await worker.hub.reload()
        simulator: Any = stage.simulator
        house = simulator.house
        for turn, left in enumerate((118, 0)):
            house.stock[SKU] = left
            if not left:
                del house.stock[SKU]
            row = {"itemCode": SKU, "warehouseCode": "WH01", "inventoryType": "ZP", "outBizCode": f"SC-{turn}"}
            hint = decode.event(opened.declaration, "confirmations", {"items": {"item": [row]}}, opened)
            await worker.hub.appender.append([append.new_event(opened, "confirmations", hint)])
            await worker.settled()
            told = [(one["id"], one["available"]) for one in those["shop"].order]
            assert told[turn:] == [(f"{SKU}@WH01", str(left))]


async def test_a_listing_under_way_is_not_the_one_that_a_person_believes(ledger: session.Ledger) -> None:
    async with ledger.write() as db:
        assert not await cursors.believe(db, "erp", "stock"), "it was never read"
        held = await cursors.claim(db, "erp", "stock", "w1", 60.0)
        assert held is not None
        assert await cursors.keep(db, "erp", "stock", held.fence, {"at": 1.0, "asked": "x"}, 60.0)
        assert await cursors.believe(db, "erp", "stock")
        assert not await cursors.keep(db, "erp", "stock", held.fence, {"at": 2.0}, 60.0), "its lease is lost"
        again = await cursors.claim(db, "erp", "stock", "w2", 60.0)
        assert again is not None
        assert again.value == {"at": 1.0, "asked": "x", "believe": True}

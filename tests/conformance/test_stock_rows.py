"""Stock that an ERP tells in several rows of one SKU and warehouse: by bin, batch, state or lot. Shops hear the sum."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.core import decode, scope, template
from connectors.jdy import simulator as star
from connectors.kingdee import simulator as galaxy
from connectors.kingdee.simulated import shipping
from connectors.u8 import simulator as u8
from connectors.yonyou.simulated import books
from mappings import library
from tests.conformance import panel, rehearsal

SKU = "SKU-1001"
Levels = dict[str, tuple[Decimal, Decimal]]


async def told(stage: rehearsal.Stage, **config: Any) -> Levels:
    """id -> (available, on hand), as the poll of the stock tells them, an event each."""
    opened = stage.connection(None, read_stock="yes", **config)
    name, source = next((name, one) for name, one in scope.open_sources(opened).items() if name == "stock")
    given = template.render(source.input, scope.of(opened)) or {}
    now = datetime.now(UTC)
    window, found, keys = (now - timedelta(hours=1), now), {}, set()
    async for page in stage.caller.pages(opened, source.operation or "", given, window=window):
        for row in page:
            event = decode.event(opened.declaration, name, row, opened, window=window)
            level = library.shipped(stage.id, "inventory").from_native(decode.native(
                event.payload, opened.declaration.messages[event.message]), {"config": opened.config})  # fmt: skip
            assert level["id"] not in found, "one event for one record"
            assert event.dedupe not in keys, "no two records are taken for one message"
            found[level["id"]] = (level["available"], level["on_hand"])
            keys.add(event.dedupe)
    return found


async def control(stage: rehearsal.Stage, path: str, **body: Any) -> None:
    await panel.control(stage.id, stage.url, path, **body)


async def test_bins_on_several_pages_are_one_level() -> None:
    """Of three bins the shops were told the last: 40 of 120."""
    async with rehearsal.stage("jdy") as stage:
        site = stage.simulator
        assert isinstance(site, star.Simulator)
        for index in range((99 - (len(site.books.levels()) - 3)) % 100):
            site.books.add_goods(f"FILL-{index}", "填充", 1)
        for place in [one for one in site.books.shelves if one[0] == SKU]:
            site.books.shelves[place] = site.books.shelves.pop(place)
        pages = [index // 100 for index, row in enumerate(site.books.levels()) if row["material_number"] == SKU]
        assert [page - pages[0] for page in pages] == [0, 1, 1]
        assert (await told(stage))[f"{SKU}@CK001"] == (120, 120)
        await control(stage, "/levels", number=SKU, bin="A-02", qty="0.3")
        await control(stage, "/levels", number=SKU, stock="CK002", bin="C-01", qty="7")
        await control(stage, "/levels", number=SKU, stock="CK002", bin="C-02", qty="0.1")
        seen = await told(stage)
        assert seen[f"{SKU}@CK001"] == (Decimal("80.3"), Decimal("80.3")), "a change of one bin is a new sum"
        assert seen[f"{SKU}@CK002"] == (Decimal("7.1"), Decimal("7.1")), "another warehouse is another record"


async def test_batches_and_states_are_one_level() -> None:
    """Of three batches the shops were told the last: 20 of 120."""
    async with rehearsal.stage("yonyou") as stage:
        house = stage.simulator.settings["warehouse"]
        assert (await told(stage))[f"{SKU}@{house}"] == (120, 120)
        await control(stage, f"/levels/{SKU}", batch="B2", qty=0.1)
        await control(stage, f"/levels/{SKU}", batch="B9", warehouse="77", qty=0.2)
        await control(stage, f"/levels/{SKU}", batch="B9", status=5, qty=9)
        seen = await told(stage)
        assert seen[f"{SKU}@{house}"] == (Decimal("99.1"), Decimal("99.1"))
        assert seen[f"{SKU}@77"] == (Decimal("0.2"), Decimal("0.2"))
        sound = await told(stage, stock_status=str(books.SOUND))
        assert sound[f"{SKU}@{house}"] == (Decimal("90.1"), Decimal("90.1")), "of the one state that may be sold"


async def test_batches_of_a_material_are_one_level() -> None:
    async with rehearsal.stage("u8") as stage:
        site = stage.simulator
        assert isinstance(site, u8.Simulator)
        batches = {("01", "B1"): Decimal("0.5"), ("01", "B2"): Decimal(3), ("02", "B1"): Decimal(4)}
        site.site.batches |= {(SKU, *place): quantity for place, quantity in batches.items()}
        seen = await told(stage)
        assert (seen[f"{SKU}@01"], seen[f"{SKU}@02"]) == ((Decimal("123.5"),) * 2, (4, 4))


async def test_lots_are_one_level() -> None:
    async with rehearsal.stage("kingdee") as stage:
        site = stage.simulator
        assert isinstance(site, galaxy.Simulator)
        shipping.stock(site.books, SKU, Decimal("0.25"), "L1")
        shipping.stock(site.books, SKU, Decimal(7), "L2")
        assert (await told(stage))[f"{SKU}@CK001"] == (Decimal("127.25"),) * 2
        site.books.documents["STK_Inventory"][f"{SKU}@CK001#L2"].header["FStockStatusId"] = "KCZT02_SYS"
        assert (await told(stage))[f"{SKU}@CK001"] == (Decimal("120.25"),) * 2, "what may not be sold is not read"
        other = await told(stage, usable_status="KCZT02_SYS")
        assert other == {f"{SKU}@CK001": (7, 7)}, "what may be sold is in the status that the connection names"

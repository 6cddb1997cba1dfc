"""Three shops, one ERP, over real processes: paid orders in, shipments out, each exactly once.

The shops repeat their messages and cut replies after they shipped; one order gets an after-sale in between.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.trial import stage as stages

ORDERS = 6
HUB = Path(__file__).with_name("shops.yaml")
SHOPS = {"pdd": "order_sn", "jd": "orderId", "youzan": "tid"}


def effects(stage: stages.Stage, simulator: str, kind: str) -> list[str]:
    """The keys of one kind of effect; an order's number begins the key."""
    found = [one for one in stage.effects() if one["simulator"] == simulator and one["kind"] == kind]
    return [str(one["key"]).split("/")[0] for one in found]


async def waiting(stage: stages.Stage) -> list[Any]:
    async with stage.ledger.read() as connection:
        rows = await connection.exec_driver_sql("SELECT detail FROM deliveries WHERE reason = 'waiting'")
        return [row.detail for row in rows]


@pytest.mark.timeout(240)
async def test_three_shops_and_one_erp(folder: Path) -> None:
    async with stages.running(folder, pace=0.05) as stage:
        await stage.apply(HUB.read_text(encoding="utf-8"))
        await stage.panel("youzan/configure", {"push_url": f"{stage.hub_url}/hooks/mall"})
        for shop in SHOPS:
            await stage.panel(f"{shop}/faults", {"duplicate_push": 2, "drop_reply": 1, "drop_kinds": ["shipment"]})

        async def listening() -> bool:
            return bool((await stage.panel("pdd/state"))["sockets"])

        await stages.until(listening, 30, "the message channel")
        numbers = {
            shop: [one[key] for one in (await stage.panel(f"{shop}/orders", {"count": ORDERS}))["orders"]]
            for shop, key in SHOPS.items()
        }
        wanted = sorted(number for several in numbers.values() for number in several)

        async def in_the_erp() -> bool:
            return sorted(effects(stage, "kingdee", "sales_order.audit")) == wanted

        await stages.until(in_the_erp, 60, "every order audited in the ERP")
        late = numbers["pdd"][0]
        refund = (await stage.panel(f"pdd/orders/{late}/refund", {}))["id"]
        await stage.panel("kingdee/ship", {"all": True})

        async def shipped() -> bool:
            found = {shop: set(effects(stage, shop, "shipment")) for shop in SHOPS}
            return found == {shop: set(several) - {late} for shop, several in numbers.items()}

        await stages.until(shipped, 60, "every shop shows it shipped, but for the one with an after-sale")

        async def held() -> bool:
            return any("售后" in detail for detail in await waiting(stage))

        await stages.until(held, 30, "the held shipment says why")
        begun = time.monotonic()
        await stage.panel(f"pdd/refunds/{refund}", {"status": 11})

        async def released() -> bool:
            return late in effects(stage, "pdd", "shipment") and (await stage.balance()).in_flight == 0

        await stages.until(released, 90, "the after-sale withdrawn, it ships by itself")
        assert time.monotonic() - begun < 90
        for simulator, kind in [("kingdee", "sales_order"), *((shop, "shipment") for shop in SHOPS)]:
            happened = Counter(effects(stage, simulator, kind))
            assert set(happened.values()) == {1}, (simulator, happened)
        balance = await stage.balance()
        assert (balance.dead, balance.difference) == (0, 0)

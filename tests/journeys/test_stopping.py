"""What a shop closes after it went to the ERP is not shipped there, and nobody is told of what they never had."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.trial import stage as stages
from tests.journeys.casting import cast, connect
from tests.journeys.seeing import ended, reached


@pytest.mark.timeout(300)
async def test_a_closed_order_is_stopped_where_it_is(folder: Path) -> None:
    async with stages.running(folder, pace=0.05, introduced=False) as place:
        await connect(place, "jd", "jushuitan", "youzan", "kingdee")
        for shop, erp in (("jd", "jushuitan"), ("youzan", "kingdee")):
            await place.install("order-to-erp", cast(shop=shop, erp=erp))
        bought = str((await place.panel("jd/orders", {"count": 1}))["orders"][0]["orderId"])
        other = str((await place.panel("youzan/orders", {"count": 1}))["orders"][0]["tid"])

        async def there() -> bool:
            done = await ended(place)
            return all(done[f"order-{shop}", "delivered", ""] for shop in ("jd-to-jushuitan", "youzan-to-kingdee"))

        await reached(place, there, 90, "both orders in their ERPs")
        await place.panel(f"jd/orders/{bought}/cancel", {})
        await place.panel(f"youzan/orders/{other}/close", {})

        async def stopped() -> bool:
            done = await ended(place)
            return bool(
                done["stopped-jd-to-jushuitan", "delivered", ""] and done["closed-youzan-to-kingdee", "delivered", ""]
            )

        await reached(place, stopped, 90, "both told")
        (said,) = (await place.panel(f"jushuitan/orders/{bought}"))["documents"]
        (kept,) = (await place.panel("kingdee/documents/SAL_SaleOrder"))["documents"]
        assert (said["status"], said["shop_status"]) == ("Cancelled", "TRADE_CLOSED")
        assert (kept["BillNo"], kept["CloseStatus"], kept["DocumentStatus"]) == (other, "B", "C")
        assert not [one for one in await ended(place) if one[1] in ("dead", "parked")]

"""Every recipe at work against the simulators, installed as an admin does it, in several casts."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.trial import stage as stages
from tests.journeys.casting import cast, connect

CASTS = [
    ("douyin", "wangdian"), ("kuaishou", "qimen"), ("shopify", "jdy"), ("wechat", "jushuitan"),
    ("xiaohongshu", "jdy"), ("youzan", "wangdian"), ("taobao", "qimen"),
]  # fmt: skip
ORDERS = 2


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets live below it."""
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as name:
        yield Path(name)


async def rows(place: stages.Stage, text: str) -> list[Any]:
    async with place.ledger.read() as connection:
        return list(await connection.exec_driver_sql(text))


async def ended(place: stages.Stage) -> Counter[tuple[str, str, str]]:
    """Deliveries by route, state and reason."""
    found = await rows(place, "SELECT route_key, state, coalesce(reason, '') AS reason FROM deliveries")
    return Counter((one.route_key, one.state, one.reason) for one in found)


async def why(place: stages.Stage) -> list[Any]:
    """What did not arrive, with the words."""
    return await rows(place, "SELECT route_key, state, reason, detail FROM deliveries WHERE state <> 'delivered'")


def effects(place: stages.Stage, simulator: str, *kinds: str) -> list[dict[str, Any]]:
    return [one for one in place.effects() if one["simulator"] == simulator and one["kind"] in kinds]


@pytest.mark.timeout(240)
async def test_paid_orders_reach_seven_casts_once(folder: Path) -> None:
    async with stages.running(folder, pace=0.05, introduced=False) as place:
        await connect(place, *dict.fromkeys(name for pair in CASTS for name in pair))
        for shop, erp in CASTS:
            await place.install("order-to-erp", cast(shop=shop, erp=erp))
        for shop, _ in CASTS:
            for _ in range(ORDERS):
                await place.panel(f"{shop}/orders", {"count": 1})
        wanted = Counter({f"order-{shop}-to-{erp}": ORDERS for shop, erp in CASTS})

        async def arrived() -> bool:
            done = Counter({key: n for (key, state, reason), n in (await ended(place)).items()
                            if (state, reason) == ("delivered", "")})  # fmt: skip
            return all(done[key] >= n for key, n in wanted.items())

        try:
            await stages.until(arrived, 90, "every order in its ERP")
        except TimeoutError:
            pytest.fail(f"{await ended(place)} {await why(place)}")
        counts = Counter((one["simulator"], one["kind"], one["key"]) for one in place.effects())
        assert max(counts.values()) == 1

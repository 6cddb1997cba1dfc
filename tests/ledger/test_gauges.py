"""The gauges of the ledger, as a scrape shows them."""

from __future__ import annotations

import types
from typing import Any, cast

import pytest

from gateway import app, wiring
from retry_queue.ledger import session
from tests.ledger import making


async def _ages(ledger: session.Ledger, name: str) -> dict[str, float]:
    hub = cast("wiring.Hub", cast("Any", types.SimpleNamespace(ledger=ledger, site=types.SimpleNamespace(live={}))))
    (found,) = [one for one in await app.gauges(hub) if one.name == name]
    return {sample.labels["connection"]: sample.value for sample in found.samples}


async def test_what_more_workers_could_shorten_leaves_out_what_was_tried_or_parked(ledger: session.Ledger) -> None:
    for name in "abc":
        await making.owe(ledger, name, lane_name=f"erp/order/{name}")
    first, second, third = [row.id for row in await making.rows(ledger, "SELECT id FROM deliveries ORDER BY id")]
    for number, state, age in ((first, "parked", 900), (second, "retrying", 600), (third, "pending", 60)):
        await making.change(
            ledger,
            "UPDATE deliveries SET state = :state, created_at = created_at - :age WHERE id = :id",
            state=state, age=age, id=number,
        )  # fmt: skip
    assert await _ages(ledger, "shuniu_queue_oldest_age_seconds") == {"erp": pytest.approx(900, abs=30)}
    assert await _ages(ledger, "shuniu_queue_pending_age_seconds") == {"erp": pytest.approx(60, abs=30)}
    await making.change(ledger, "UPDATE deliveries SET state = 'delivered' WHERE id = :id", id=third)
    assert await _ages(ledger, "shuniu_queue_pending_age_seconds") == {}

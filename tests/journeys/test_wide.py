"""Five shops, two ERPs, a warehouse, a CRM and three messengers on one hub: ``./shuniu journey --wide``, small."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rich.console import Console

from gateway.recipes import recipe
from gateway.trial import wide

ORDERS = 4


def test_the_story_is_as_wide_as_it_says() -> None:
    told = wide.shipped()
    connectors = [one["connector"] for one in told.connections]
    assert len(connectors) == len(set(connectors)) == 12
    assert len(told.orders) == 5
    assert {one.recipe for one in told.install} <= set(recipe.all_recipes())
    assert len({one.recipe for one in told.install}) >= 5


@pytest.mark.timeout(500)
def test_many_systems_on_one_hub_balance(folder: Path) -> None:
    account = asyncio.run(wide.once(folder, ORDERS, Console(quiet=True), pace=0.05))
    log = (folder / "hub.log").read_text(encoding="utf-8")[-3000:]
    assert account.holds, f"{account.line()}\n{account.notes}\n{log}"
    assert account.balance.received >= ORDERS * 5 * 2, "orders and shipments at least"
    assert account.balance.duplicate > 0, "the vendors were meant to repeat themselves"

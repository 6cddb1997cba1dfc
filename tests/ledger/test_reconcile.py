"""Reconciliation: finds what differs and nothing else, mends it by the normal way, survives its process."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from retry_queue.ledger import findings, reconciliations, session
from retry_queue.sync import agreement
from tests.ledger import making, pair


@pytest.fixture
async def two(database_url: str, ledger: session.Ledger) -> AsyncIterator[pair.Pair]:
    async with pair.opened(database_url, ledger) as made:
        yield made


def choose(count: int, share: float, seed: int = 7) -> list[set[int]]:
    """Three sets of so many of ``count`` in all, no number in two of them."""
    numbers = random.Random(seed).sample(range(count), round(count * share))
    return [set(numbers[place::3]) for place in range(3)]


async def prove(two: pair.Pair, count: int, share: float = 0.01, seconds: float = 60.0) -> None:
    """Seeds differences into pairs, finds all of them and no other, mends them, finds none."""
    two.fill(count)
    await two.link(count, every=2)
    missing, extra, different = choose(count, share)
    two.spoil(missing, extra, different)
    row = await two.compared(seconds=seconds)
    assert row.state == "done", row.detail
    found = await two.findings(row.id)
    told = {
        kind: {int((one.left_record or one.right_record or "")[1:]) for one in found if one.kind == kind}
        for kind in findings.KINDS
    }
    assert told == {"missing": missing, "extra": extra, "different": different}
    assert len(found) == len(missing) + len(extra) + len(different)
    assert row.counts["left"] == count - len(extra)
    assert row.counts["matched"] == count - len(found)
    states = await two.repaired(row.id, seconds)
    assert {kind: list(by) for kind, by in states.items()} == {kind: ["repaired"] for kind in states}
    await pair.quiet(two.worker)
    assert two.same() == []
    again = await two.compared(await two.ask(hours=3.0), seconds=seconds)
    assert (again.state, await two.findings(again.id)) == ("done", [])
    assert again.counts["matched"] == count


async def test_finds_what_differs_and_nothing_else_and_mends_it(two: pair.Pair) -> None:
    await prove(two, 300, 0.05)


@pytest.mark.full
@pytest.mark.timeout(900)
async def test_one_percent_of_twenty_thousand(two: pair.Pair) -> None:
    began = time.monotonic()
    await prove(two, 20_000, 0.01, 600.0)
    print(f"20,000 pairs compared twice and mended in {time.monotonic() - began:.0f} s")

"""One percent of many pairs disagrees: all of it is found, nothing else, and repair brings both sides together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway import migrate
from retry_queue.ledger import session
from tests.ledger import pair


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_seeded_difference_is_found_and_mended(
    database_url: str, full: bool, seed: int, trial: Callable[..., None]
) -> None:
    await migrate.upgrade(database_url)
    size, share = (20_000, 0.01) if full else (300, 0.05)
    setup = session.opened(database_url, owner="setup", pool=2)
    async with setup as ledger, pair.opened(database_url, ledger) as two:
        figures = await pair.prove(two, size, share, 600.0 if full else 60.0, seed)
    trial("reconciliation of two systems that disagree", f"{size:,} pairs, {share:.0%} seeded", seed=seed, **figures)

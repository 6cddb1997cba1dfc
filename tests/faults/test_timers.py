"""Very many timers at once, with days written as seconds: each fires once, a cancelled one never."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway import migrate
from tests.ledger import many_timers


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_timers_fire_once_and_cancelled_ones_never(
    database_url: str, full: bool, trial: Callable[..., None]
) -> None:
    await migrate.upgrade(database_url)
    size = 20_000 if full else 1_000
    found = await many_timers.run(database_url, size)
    trial("timers fire once, cancelled ones never", f"{size:,} timers", figures=found.line())
    assert found.holds, found.line()
    assert found.timers == size
    assert found.cancelled >= size / 4, found.line()

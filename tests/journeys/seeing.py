"""What happened on a stage: rows of the ledger, effects at the simulators, and waiting for either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.trial import stage as stages


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


async def reached(place: stages.Stage, check: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    """Waits; what did not arrive is told when it takes too long."""
    try:
        await stages.until(check, seconds, what)
    except TimeoutError as error:
        pytest.fail(f"{error}: {await ended(place)} {await why(place)}")


def effects(place: stages.Stage, simulator: str, *kinds: str) -> list[dict[str, Any]]:
    return [one for one in place.effects() if one["simulator"] == simulator and one["kind"] in kinds]

"""Fast events and their deliveries: claimed from busy connections, before others, and past a lane that is held."""

from __future__ import annotations

from retry_queue.ledger import claims, inbox, outbox, session
from tests.ledger import making


async def test_a_busy_connection_still_gives_its_fast_events(ledger: session.Ledger) -> None:
    await making.append(ledger, *(making.event(f"e{number}") for number in range(3)))
    await making.append(ledger, making.event("welcome", priority=inbox.FAST))
    async with ledger.write() as connection:
        (found,) = await claims.claim(connection, 10, ledger.owner, 60.0, ["shop"])
        assert found.fast
        rest = await claims.claim(connection, 10, ledger.owner, 60.0)
    assert [one.fast for one in rest] == [False] * 3


async def test_an_urgent_claim_takes_fast_lanes_only(ledger: session.Ledger) -> None:
    await making.owe(ledger, "e1", lane_name="erp/order/1", priority=inbox.LIVE)
    await making.owe(ledger, "e2", lane_name="erp/!fast/7", priority=inbox.FAST)
    async with ledger.write() as connection:
        (found,) = await outbox.claim(
            connection, "erp", 10, ledger.owner, 60.0, {}, priorities=(inbox.FAST, inbox.FAST)
        )
        assert (found.lane, found.urgent) == ("erp/!fast/7", True)
        assert not await outbox.claim(
            connection, "erp", 10, ledger.owner, 60.0, {}, priorities=(inbox.FAST, inbox.FAST)
        )
        (other,) = await outbox.claim(connection, "erp", 10, ledger.owner, 60.0, {})
    assert (other.lane, other.urgent) == ("erp/order/1", False)

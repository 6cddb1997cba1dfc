"""What one member is sent too often is dropped over there without a word, so it must not be sent."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.core import auth, client, errors, pacing
from connectors.simulator import engine
from connectors.wecom import simulator
from tests.conformance.messaging import wecom as connection


class Unhurried(pacing.LocalPacer):
    """Lets everything go out at once."""

    async def acquire(self, *_: Any) -> None:
        return


async def test_excess_per_member_is_not_sent(caller: client.Client) -> None:
    async with engine.serve(["wecom"], time_scale=0.01) as url:
        sim = url.simulators["wecom"]
        assert isinstance(sim, simulator.Simulator)
        sim.configure({"member_per_minute": 30})
        careless = client.Client(auth.MemoryTokens(), Unhurried())
        try:
            for number in range(33):
                await careless.call(connection(url), "message.send", told("sales01", number))
        finally:
            await careless.aclose()
        assert len(sim.corp.messages.read("sales01")) == 30
        for number in range(30):
            await caller.call(connection(url), "message.send", told("sales02|sales03", number))
        for member in ("sales02", "sales03"):
            with pytest.raises(errors.Throttled):
                await caller.call(connection(url), "message.send", told(member, 31))
        assert len(sim.corp.messages.read("sales02")) == 30, "regression: what was too much was lost without a word"


def told(members: str, number: int) -> dict[str, Any]:
    return {"touser": members, "text": {"content": f"n{number}"}}

"""What the Pinduoduo tests share: a connection to the simulator and calls of its controls."""

from __future__ import annotations

import functools
from typing import Any

from connectors.core import model, registry
from connectors.pdd import simulator
from connectors.simulator import engine
from tests.conformance import panel

control = functools.partial(panel.control, "pdd")
SETTINGS: dict[str, Any] = simulator.Simulator.SETTINGS


def connection(url: str, *, secrets: dict[str, str] | None = None, **config: Any) -> model.Connection:
    """A connection to the simulator at ``url``; ``config`` and ``secrets`` change single fields."""
    known = {"base_url": f"{url}/pdd/api/router", "pmc_url": f"{url}/pdd".replace("http", "ws", 1)}
    return model.Connection(
        key="shop",
        declaration=registry.get("pdd"),
        config={**known, "client_id": SETTINGS["client_id"], **config},
        secrets={
            "client_secret": SETTINGS["client_secret"],
            "access_token": SETTINGS["access_token"],
            **(secrets or {}),
        },
    )


def shop(url: engine.Url) -> simulator.Simulator:
    found = url.simulators["pdd"]
    assert isinstance(found, simulator.Simulator)
    return found


async def sold(url: str, **wish: Any) -> str:
    """The number of a fresh order."""
    made = await control(url, "orders", **wish)
    return str(made["orders"][0]["order_sn"])

"""What the Taobao tests share: a connection to the simulator, and a wire that can be cut."""

from __future__ import annotations

from typing import Any

from connectors.core import model, registry
from connectors.simulator import engine
from connectors.taobao import simulator

SETTINGS = {"app_key": "12129701", "app_secret": "simulated-app-secret", "session": "6100simulated-session"}


def shop_of(url: engine.Url) -> simulator.Simulator:
    """The simulator behind ``url``."""
    found = url.simulators["taobao"]
    assert isinstance(found, simulator.Simulator)
    return found


def connection(url: str, *, secrets: dict[str, str] | None = None, **config: Any) -> model.Connection:
    """A connection to the simulator at ``url``; ``config`` and ``secrets`` change single fields."""
    ws = url.replace("http://", "ws://")
    return model.Connection(
        key="shop",
        declaration=registry.get("taobao"),
        config={
            "base_url": f"{url}/taobao/router/rest",
            "tmc_url": f"{ws}/taobao/tmc",
            "app_key": SETTINGS["app_key"],
            **config,
        },
        secrets={"app_secret": SETTINGS["app_secret"], "session": SETTINGS["session"], **(secrets or {})},
    )
